drgs_2 = drgs["segment_data"][1]["r_dev"] if drgs else None
