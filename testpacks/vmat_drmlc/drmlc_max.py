drmlc_max = max(abs(segment["r_dev"]) for segment in drmlc["segment_data"]) if drmlc else None
