pf_max_leaf = str(pf["max_error_leaf"]) if pf else None
