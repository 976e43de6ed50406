from datetime import timedelta

from qa_fetch import Archive, composite


def analyse(images):
    from pylinac import Starshot

    files = [str(file) for file in images.files]
    analysis = Starshot(files[0]) if len(files) == 1 else Starshot.from_multiple_images(files)
    analysis.analyze(tolerance=1.0)
    image, centre = analysis.image, analysis.wobble.center
    return analysis, {
        "spokes": len(analysis.lines),
        "right_mm": (centre.x - image.center.x) / image.dpmm,
        "up_mm": (image.center.y - centre.y) / image.dpmm,
    }


star = None
if go and not UTILS.get_skip("star"):
    started = META["work_started"]
    images = Archive.for_unit(UTILS).latest(
        patientid,
        plan=rtplanname,
        kind="portal",
        approved=True,
        at_least=max(1, int(min_images)),
        before=started,
        after=started - timedelta(days=max_age_days),
    )
    star = composite.results(analyse, composite.fields(images, int(min_images)), UTILS)
