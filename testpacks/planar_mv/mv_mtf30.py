mv_mtf30 = {percent: value for pair in mv["mtf_lp_mm"] for percent, value in pair.items()}["30"] if mv else None
