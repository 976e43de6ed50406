star_up = star["up_mm"] if star else None
