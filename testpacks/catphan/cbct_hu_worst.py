cbct_hu_worst = max((roi["difference"] for roi in cbct["ctp404"]["hu_rois"].values()), key=abs) if cbct else None
