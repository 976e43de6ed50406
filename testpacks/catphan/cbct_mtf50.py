cbct_mtf50 = cbct["ctp528"]["mtf_lp_mm"]["50"] if cbct else None
