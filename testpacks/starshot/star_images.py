star_images = star["images"]["says"] if star else None
