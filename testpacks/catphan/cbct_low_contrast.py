cbct_low_contrast = cbct["ctp515"]["num_rois_seen"] if cbct else None
