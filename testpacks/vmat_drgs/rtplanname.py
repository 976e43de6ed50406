rtplanname = "DRGS"
