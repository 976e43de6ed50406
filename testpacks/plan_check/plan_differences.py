from qa_fetch import composite

plan_differences = None
if plan and plan_approved:
    changes = "; ".join(composite.plan_changes(plan, plan_approved))
    plan_differences = changes or "none"
    if not plan_accept:  # else the comment still says what was approved
        composite.comment("plan_differences", changes, UTILS)
