pf_skew = pf["mlc_skew"] if pf else None
