pd_centre_x = (pd["cax_to_right_mm"] - pd["cax_to_left_mm"]) / 2 if pd else None
