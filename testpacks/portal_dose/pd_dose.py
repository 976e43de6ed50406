pd_dose = pd["central_roi_mean"] if pd else None
