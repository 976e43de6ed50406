drgs_3 = drgs["segment_data"][2]["r_dev"] if drgs else None
