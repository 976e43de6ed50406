wl_count = wl["num_total_images"] if wl else None
