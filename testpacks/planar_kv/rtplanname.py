rtplanname = "KV_PHANTOM"
