from datetime import timedelta

from qa_fetch import Archive, composite


def analyse(images):
    from pylinac import DRGS

    analysis = DRGS(image_paths=[str(file) for file in images.files])
    analysis.analyze(tolerance=1.5)
    return analysis


drgs = None
if go and not UTILS.get_skip("drgs"):
    started = META["work_started"]
    images = Archive.for_unit(UTILS).latest(
        patientid,
        plan=rtplanname,
        kind="portal",
        approved=True,
        session="day",
        at_least=int(min_images),
        before=started,
        after=started - timedelta(days=max_age_days),
    )
    drgs = composite.results(analyse, composite.fields(images, int(min_images), angles=False), UTILS)
