drgs_7 = drgs["segment_data"][6]["r_dev"] if drgs else None
