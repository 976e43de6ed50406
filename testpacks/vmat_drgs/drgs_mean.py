drgs_mean = drgs["abs_mean_deviation"] if drgs else None
