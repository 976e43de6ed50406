wl_shift_in = wl["shift_in_mm"] if wl else None
