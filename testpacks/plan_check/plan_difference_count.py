from qa_fetch import composite

plan_difference_count = len(composite.plan_changes(plan, plan_approved)) if plan and plan_approved else None
