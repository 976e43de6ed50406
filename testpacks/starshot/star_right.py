star_right = star["right_mm"] if star else None
