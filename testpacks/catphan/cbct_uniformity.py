cbct_uniformity = cbct["ctp486"]["uniformity_index"] if cbct else None
