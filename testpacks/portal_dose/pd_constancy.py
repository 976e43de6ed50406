pd_constancy = 100 * (pd["central_roi_mean"] / pd_reference - 1) if pd else None
