star_spokes = star["spokes"] if star else None
