cbct_hu_delrin = cbct["ctp404"]["hu_rois"]["Delrin"]["value"] if cbct else None
