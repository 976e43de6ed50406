from qa_fetch import composite

connections = None
if go and not UTILS.get_skip("connections"):
    connections = composite.connections(composite.patient(UTILS) or "")
    wrong = [f"{name}: {said}" for name, said in connections.items() if said != "ok"]
    composite.comment("connections", "; ".join(wrong), UTILS)
