mv_contrast = mv["median_contrast"] if mv else None
