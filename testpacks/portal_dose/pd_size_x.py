pd_size_x = pd["field_size_horizontal_mm"] if pd else None
