wl_coll_iso = wl["coll_2d_iso_diameter_mm"] if wl else None
