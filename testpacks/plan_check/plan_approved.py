from qa_fetch import composite

plan_approved = None
if plan:
    plan_approved = plan if plan_accept else composite.previous("plan_approved", UTILS)
