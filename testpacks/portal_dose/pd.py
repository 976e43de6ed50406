from datetime import timedelta

from qa_fetch import Archive, composite


def analyse(images):
    from pylinac import FieldAnalysis

    analysis = FieldAnalysis(str(images.files[0]))
    image, dpmm = analysis.image.array, analysis.image.dpmm
    rows, columns = image.shape
    inverted = image[:9, :9].mean() > image[rows // 2, columns // 2]  # pylinac turns images of large fields round
    analysis.analyze(vert_width=10 * dpmm / columns, horiz_width=10 * dpmm / rows, invert=bool(inverted))
    return analysis


pd = None
if go and not UTILS.get_skip("pd"):
    started = META["work_started"]
    images = Archive.for_unit(UTILS).latest(
        patientid,
        plan=rtplanname,
        kind="portal_dose",
        approved=True,
        at_least=int(min_images),
        before=started,
        after=started - timedelta(days=max_age_days),
    )
    pd = composite.results(analyse, composite.only_field(images), UTILS)
