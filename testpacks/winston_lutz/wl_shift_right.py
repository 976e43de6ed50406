wl_shift_right = wl["shift_right_mm"] if wl else None
