cbct_images = cbct["images"]["says"] if cbct else None
