wl_gantry_iso = wl["gantry_3d_iso_diameter_mm"] if wl else None
