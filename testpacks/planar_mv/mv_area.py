mv_area = mv["phantom_area"] if mv else None
