rtplanname = "PF_@gantry@"
