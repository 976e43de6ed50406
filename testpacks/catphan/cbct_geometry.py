cbct_geometry = cbct["ctp404"]["avg_line_distance_mm"] if cbct else None
