cbct_hu_pmp = cbct["ctp404"]["hu_rois"]["PMP"]["value"] if cbct else None
