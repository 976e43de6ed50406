drmlc_images = drmlc["images"]["says"] if drmlc else None
