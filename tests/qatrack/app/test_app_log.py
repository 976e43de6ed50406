"""The fetch log: a row for each call, and nothing that harms the page that made it."""

from __future__ import annotations

from pathlib import Path

from app_site import Site

_FETCHES = """
from types import SimpleNamespace
models.Archive.objects.create(name="share", kind="folder", path={path!r})
utils = SimpleNamespace(unit=SimpleNamespace(number=3), user="jane <b>")
share = Archive.for_unit(utils)
for plan in (None, None, None, "NO_SUCH_PLAN", "NO_SUCH_PLAN"):
    try:
        share.latest("QA_TB1", plan=plan, kind="portal")
    except QAFetchError as error:
        problem = str(error)
"""


def test_each_call_is_a_row_that_hides_the_patient_unless_the_site_wants_it(site: Site, course_files: Path):
    """Who, for which unit, from where, and the sentence of a failure; of the patient not even a hash is kept.

    A page that asks again at each change of a field repeats itself in the log only when something else came of it.
    """
    told = site.run(
        _FETCHES.format(path=str(course_files))
        + """
rows = list(models.Fetch.objects.order_by("pk").values_list(
    "user", "unit", "archive", "patient", "call", "from_shelf", "problem"))
browser = admin()
page = browser.get("/admin/qa_fetch_qatrack/fetch/")
failed = shown(browser.get("/admin/qa_fetch_qatrack/fetch/?outcome=failed"))
one = shown(browser.get(f"/admin/qa_fetch_qatrack/fetch/{models.Fetch.objects.first().pk}/change/"))
statuses = [browser.get("/admin/qa_fetch_qatrack/fetch/add/").status_code,
            post(browser, f"fetch/{models.Fetch.objects.first().pk}/change/", user="me").status_code,
            post(browser, f"fetch/{models.Fetch.objects.first().pk}/delete/", post="yes").status_code]
models.Fetch.objects.update(patient="KEPT_ONCE")
still = shown(browser.get("/admin/qa_fetch_qatrack/fetch/"))
tell(rows, problem, shown(page), failed, one, statuses, b"jane <b>" in page.content, still)
"""
    )
    rows, problem, page, failed, one, statuses, raw, still = told
    assert rows == [
        ["jane <b>", 3, "share", "", "latest", False, ""],
        ["jane <b>", 3, "share", "", "latest", True, ""],
        ["jane <b>", 3, "share", "", "latest", None, problem],
    ]
    assert "3 share latest: 4 x portal image from the shelf" in page
    assert "jane <b> hidden" in page
    assert "1 fetch log entry" in failed
    assert problem in failed
    assert "hidden" in one
    assert "QA_TB1" not in page + one
    assert "KEPT_ONCE" not in still
    assert (statuses, raw) == ([403, 403, 403], False)


def test_a_site_that_wants_them_sees_the_patients(site: Site, course_files: Path):
    """By its own setting."""
    site.write("QA_FETCH_LOG_PATIENTS = True")
    told = site.run(
        _FETCHES.format(path=str(course_files)) + 'tell(shown(admin().get("/admin/qa_fetch_qatrack/fetch/")))'
    )
    assert "jane <b> QA_TB1" in told


def test_a_database_that_refuses_the_row_stops_neither_the_call_nor_the_page(site: Site, course_files: Path):
    """QATrack+ saves what it was about to save, and the images are there."""
    done = site._python(
        "-c",
        "from app_inside import *\n"
        + f"""
with connection.cursor() as cursor:
    cursor.execute("DROP TABLE qa_fetch_qatrack_fetch")
with transaction.atomic():
    User.objects.create(username="before")
    images = Archive("folder:{course_files}").latest("QA_TB1", kind="portal")
    User.objects.create(username="after")
tell(len(images) > 0, sorted(User.objects.values_list("username", flat=True)))
""",
    )
    assert done.stdout.splitlines()[-1] == '[true, ["after", "before"]]'
    assert "no such table: qa_fetch_qatrack_fetch" in done.stderr
    assert "QA_TB1" not in done.stderr


def test_hostile_text_fits_into_the_columns_and_a_second_start_writes_no_second_row(site: Site):
    """A plan's label may hold what no database takes; Django's autoreload may start the app twice."""
    told = site.run("""
        import logging
        from qa_fetch.archive.told import Told
        from qa_fetch.qatrack import fetch_log, stored_settings
        from django.conf import settings
        fetch_log.listen()
        stored_settings.put_in_place()
        told = Told("latest", "a" * 99, says="plan \\x00\\udc80" + "x" * 999, patient=7, user="u" * 999)
        logging.getLogger("qa_fetch.archive").info("%s", told, extra={"told": told})
        logging.getLogger("qa_fetch.archive").info("nothing to keep")
        row = models.Fetch.objects.get()
        tell(row.what[:9], len(row.what), len(row.user), dict(settings.QA_FETCH))
    """)
    assert told == ["plan  ?xx", 255, 150, {}]


def test_prune_removes_old_rows_and_patients_that_are_no_longer_wanted(site: Site):
    """Rows go after QA_FETCH_LOG_DAYS; a dry run only counts them."""
    site.write("QA_FETCH_LOG_DAYS = 30")
    fill = """
        from datetime import timedelta
        from django.utils import timezone
        for days in (1, 29, 31, 400):
            when = timezone.now() - timedelta(days=days)
            models.Fetch.objects.create(when=when, archive="a", call="latest", patient="P")
        tell(0)
    """
    site.run(fill)
    dry, done = site.manage("qa_fetch_prune", "--dry-run"), site.manage("qa_fetch_prune", "--older-than", "90")
    assert dry.stdout.splitlines() == [
        "fetch log: 2 rows older than 30 days would be removed",
        "shelf: left as it is. Give --older-than DAYS or --max-gb N.",
    ]
    assert done.stdout.splitlines() == [
        "fetch log: 2 rows older than 30 days removed",
        "shelf: 0 sets and objects removed, 0 bytes",
    ]
    assert site.run('tell(sorted(models.Fetch.objects.values_list("patient", flat=True)))') == ["", ""]
    site.write('QA_FETCH_LOG_DAYS = "never"')
    wrong = site.manage("qa_fetch_prune")
    assert (wrong.returncode, wrong.stderr.strip()) == (
        1,
        "CommandError: Django settings: QA_FETCH_LOG_DAYS is 'never'; expected a number of days above 0.",
    )
