drmlc_4 = drmlc["segment_data"][3]["r_dev"] if drmlc else None
