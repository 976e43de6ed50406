pf_spacing = pf["mean_picket_spacing_mm"] if pf else None
