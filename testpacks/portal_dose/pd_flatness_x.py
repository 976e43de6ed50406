pd_flatness_x = pd["protocol_results"]["flatness_horizontal"] if pd else None
