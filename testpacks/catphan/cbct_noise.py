cbct_noise = cbct["ctp486"]["rois"]["Center"]["stdev"] if cbct else None
