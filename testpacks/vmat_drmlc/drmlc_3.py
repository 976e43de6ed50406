drmlc_3 = drmlc["segment_data"][2]["r_dev"] if drmlc else None
