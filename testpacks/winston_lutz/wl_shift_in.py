wl_shift_in = round(wl["shift_in_mm"], 3) + 0.0 if wl else None
