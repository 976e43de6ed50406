drgs_max = max(abs(segment["r_dev"]) for segment in drgs["segment_data"]) if drgs else None
