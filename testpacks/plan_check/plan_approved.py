from qa_fetch import composite

plan_approved = None
if plan:
    todo = "Look at the plan, then answer Yes to: Approve this plan from now on."
    plan_approved = plan if plan_accept else composite.previous("plan_approved", UTILS, todo)
