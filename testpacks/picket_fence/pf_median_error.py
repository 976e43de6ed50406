pf_median_error = pf["absolute_median_error_mm"] if pf else None
