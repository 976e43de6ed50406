mv_uniformity = mv["percent_integral_uniformity"] if mv else None
