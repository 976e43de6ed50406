mv_cnr = mv["median_cnr"] if mv else None
