kv_images = kv["images"]["says"] if kv else None
