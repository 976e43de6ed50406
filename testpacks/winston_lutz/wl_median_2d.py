wl_median_2d = wl["median_2d_cax_to_bb_mm"] if wl else None
