drgs_4 = drgs["segment_data"][3]["r_dev"] if drgs else None
