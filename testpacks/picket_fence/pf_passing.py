pf_passing = pf["percent_leaves_passing"] if pf else None
