pd_symmetry_y = pd["protocol_results"]["symmetry_vertical"] if pd else None
