cbct_hu_teflon = cbct["ctp404"]["hu_rois"]["Teflon"]["value"] if cbct else None
