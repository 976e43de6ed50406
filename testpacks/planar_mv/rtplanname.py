rtplanname = "MV_PHANTOM"
