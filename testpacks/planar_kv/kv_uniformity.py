kv_uniformity = kv["percent_integral_uniformity"] if kv else None
