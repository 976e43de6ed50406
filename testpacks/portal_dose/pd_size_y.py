pd_size_y = pd["field_size_vertical_mm"] if pd else None
