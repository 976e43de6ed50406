kv_seen = kv["num_contrast_rois_seen"] if kv else None
