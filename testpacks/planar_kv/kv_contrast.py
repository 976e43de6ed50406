kv_contrast = kv["median_contrast"] if kv else None
