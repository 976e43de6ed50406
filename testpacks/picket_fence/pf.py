from datetime import timedelta

from qa_fetch import Archive, composite


def analyse(images):
    from pylinac import PicketFence
    from pylinac.picketfence import MLC

    analysis = PicketFence(str(images.files[0]), mlc=MLC[pf_mlc])
    analysis.analyze(tolerance=0.5)
    return analysis


pf = None
if go and not UTILS.get_skip("pf"):
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
    pf = composite.results(analyse, composite.only_field(images), UTILS)
