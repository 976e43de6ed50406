from datetime import timedelta

from qa_fetch import Archive, composite


def analyse(images):
    import pylinac

    analysis = getattr(pylinac, "CatPhan@model@")(str(images.folder), memory_efficient_mode=True)
    analysis.analyze(hu_tolerance=40, scaling_tolerance=1, thickness_tolerance=0.25)
    return analysis


cbct = None
if go and not UTILS.get_skip("cbct"):
    started = META["work_started"]
    images = Archive.for_unit(UTILS).latest(
        patientid,
        kind="cbct",
        at_least=int(min_images),
        before=started,
        after=started - timedelta(days=max_age_days),
    )
    cbct = composite.results(analyse, images, UTILS)
