wl_images = wl["images"]["says"] if wl else None
