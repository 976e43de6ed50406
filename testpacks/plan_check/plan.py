from qa_fetch import Archive, composite

plan = None
if go and not UTILS.get_skip("plan"):
    found = Archive.for_unit(UTILS).plan(patientid, rtplanname, approved=True, as_of=META["work_started"])
    plan = composite.plan_facts(found)
