connections_tried = len(connections) if connections else None
