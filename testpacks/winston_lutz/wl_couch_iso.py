wl_couch_iso = wl["couch_2d_iso_diameter_mm"] if wl else None
