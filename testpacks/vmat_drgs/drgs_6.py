drgs_6 = drgs["segment_data"][5]["r_dev"] if drgs else None
