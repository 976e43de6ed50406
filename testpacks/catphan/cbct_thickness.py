cbct_thickness = cbct["ctp404"]["measured_slice_thickness_mm"] if cbct else None
