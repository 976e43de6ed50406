wl_max_2d = wl["max_2d_cax_to_bb_mm"] if wl else None
