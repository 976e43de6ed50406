cbct_hu_acrylic = cbct["ctp404"]["hu_rois"]["Acrylic"]["value"] if cbct else None
