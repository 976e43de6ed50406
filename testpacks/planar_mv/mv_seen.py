mv_seen = mv["num_contrast_rois_seen"] if mv else None
