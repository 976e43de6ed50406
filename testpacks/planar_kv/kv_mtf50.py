kv_mtf50 = {percent: value for pair in kv["mtf_lp_mm"] for percent, value in pair.items()}["50"] if kv else None
