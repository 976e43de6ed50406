pf_images = pf["images"]["says"] if pf else None
