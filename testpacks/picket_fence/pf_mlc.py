chosen = UTILS.previous_test_instance("pf_mlc")
pf_mlc = chosen.string_value if chosen else None
