drmlc_1 = drmlc["segment_data"][0]["r_dev"] if drmlc else None
