connections_failing = sum(said != "ok" for said in connections.values()) if connections else None
