drgs_1 = drgs["segment_data"][0]["r_dev"] if drgs else None
