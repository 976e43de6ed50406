rtplanname = "DRMLC"
