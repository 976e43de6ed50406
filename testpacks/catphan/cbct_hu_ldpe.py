cbct_hu_ldpe = cbct["ctp404"]["hu_rois"]["LDPE"]["value"] if cbct else None
