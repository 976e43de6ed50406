wl_shift_up = wl["shift_up_mm"] if wl else None
