wl_shift_right = round(wl["shift_right_mm"], 3) + 0.0 if wl else None
