star_diameter = star["circle_diameter_mm"] if star else None
