pf_pickets = pf["number_of_pickets"] if pf else None
