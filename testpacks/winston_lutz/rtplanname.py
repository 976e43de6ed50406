rtplanname = "WL_@energy@"
