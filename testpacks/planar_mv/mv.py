from datetime import timedelta

from qa_fetch import Archive, composite


def analyse(images):
    import pylinac

    analysis = getattr(pylinac, "@phantom@")(str(images.files[0]))
    analysis.analyze()
    return analysis


mv = None
if go and not UTILS.get_skip("mv"):
    started = META["work_started"]
    images = Archive.for_unit(UTILS).latest(
        patientid,
        plan=rtplanname,
        kind="portal",
        approved=True,
        at_least=int(min_images),
        before=started,
        after=started - timedelta(days=max_age_days),
    )
    mv = composite.results(analyse, composite.only_field(images), UTILS)
