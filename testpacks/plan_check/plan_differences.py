from qa_fetch import composite

plan_differences = None
if plan and plan_approved:
    changes = "; ".join(composite.plan_changes(plan, plan_approved))
    plan_differences = changes or "none"
    composite.comment("plan_differences", changes, UTILS)
