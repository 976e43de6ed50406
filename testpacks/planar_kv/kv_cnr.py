kv_cnr = kv["median_cnr"] if kv else None
