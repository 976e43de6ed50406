pd_centre_y = (pd["cax_to_top_mm"] - pd["cax_to_bottom_mm"]) / 2 if pd else None
