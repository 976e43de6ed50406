cbct_hu_poly = cbct["ctp404"]["hu_rois"]["Poly"]["value"] if cbct else None
