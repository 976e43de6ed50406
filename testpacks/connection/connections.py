from qa_fetch import composite

connections = None
if go and not UTILS.get_skip("connections"):
    connections = composite.connections(composite.patient(UTILS) or "")
