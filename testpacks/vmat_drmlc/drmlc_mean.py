drmlc_mean = drmlc["abs_mean_deviation"] if drmlc else None
