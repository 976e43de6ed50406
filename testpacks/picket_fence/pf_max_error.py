pf_max_error = pf["max_error_mm"] if pf else None
