kv_mtf30 = {percent: value for pair in kv["mtf_lp_mm"] for percent, value in pair.items()}["30"] if kv else None
