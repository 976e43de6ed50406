from qa_fetch import composite

plan_differences = None
if plan and plan_approved:
    plan_differences = "; ".join(composite.plan_changes(plan, plan_approved)) or "none"
