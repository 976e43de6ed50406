from datetime import timedelta

from qa_fetch import Archive, composite


def analyse(images):
    import pylinac

    analysis = getattr(pylinac, "@phantom@")(str(images.files[0]))
    analysis.analyze()
    return analysis


kv = None
if go and not UTILS.get_skip("kv"):
    started = META["work_started"]
    images = Archive.for_unit(UTILS).latest(
        patientid,
        plan=rtplanname,
        kind="kv",
        approved=True,
        at_least=int(min_images),
        before=started,
        after=started - timedelta(days=max_age_days),
    )
    kv = composite.results(analyse, composite.only_field(images), UTILS)
