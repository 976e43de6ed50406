drgs_5 = drgs["segment_data"][4]["r_dev"] if drgs else None
