plan_mu = plan["mu"] if plan else None
