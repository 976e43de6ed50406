kv_area = kv["phantom_area"] if kv else None
