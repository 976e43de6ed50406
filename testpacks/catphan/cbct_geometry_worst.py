cbct_geometry_worst = (
    max((distance - 50 for distance in cbct["ctp404"]["line_distances_mm"]), key=abs) if cbct else None
)
