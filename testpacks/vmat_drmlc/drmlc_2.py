drmlc_2 = drmlc["segment_data"][1]["r_dev"] if drmlc else None
