mv_mtf50 = {percent: value for pair in mv["mtf_lp_mm"] for percent, value in pair.items()}["50"] if mv else None
