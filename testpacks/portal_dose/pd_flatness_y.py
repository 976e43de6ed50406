pd_flatness_y = pd["protocol_results"]["flatness_vertical"] if pd else None
