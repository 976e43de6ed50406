rtplanname = "PD_@energy@"
