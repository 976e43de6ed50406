rtplanname = "STAR_@axis@"
