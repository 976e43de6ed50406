pf_max_picket = pf["max_error_picket"] + 1 if pf else None
