plan_beams = len(plan["beams"]) if plan else None
