plan_accept = 0
