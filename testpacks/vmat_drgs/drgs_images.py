drgs_images = drgs["images"]["says"] if drgs else None
