cbct_hu_air = cbct["ctp404"]["hu_rois"]["Air"]["value"] if cbct else None
