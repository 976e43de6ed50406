pd_symmetry_x = pd["protocol_results"]["symmetry_horizontal"] if pd else None
