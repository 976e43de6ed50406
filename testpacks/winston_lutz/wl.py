from datetime import timedelta

from qa_fetch import Archive, composite


def analyse(images):
    from pylinac import WinstonLutz

    analysis = WinstonLutz([str(file) for file in images.files])
    analysis.analyze(bb_size_mm=bb_size_mm)
    shift = analysis.bb_shift_vector
    return analysis, {"shift_right_mm": shift.x, "shift_in_mm": shift.y, "shift_up_mm": shift.z}


wl = None
if go and not UTILS.get_skip("wl"):
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
    wl = composite.results(analyse, composite.fields(images, int(min_images)), UTILS)
