wl_shift_up = round(wl["shift_up_mm"], 3) + 0.0 if wl else None
