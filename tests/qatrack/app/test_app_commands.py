"""The management commands."""

from __future__ import annotations

from pathlib import Path

from app_site import Site


def test_echo_tests_every_archive_and_says_by_its_exit_code_whether_all_work(site: Site, course_files: Path):
    """From the server itself, with what the admin pages say."""
    site.run(f"""
        share = models.Archive.objects.create(name="share", kind="folder", path={str(course_files)!r})
        models.Archive.objects.create(name="down", kind="dimse", ae_title="A", host="127.0.0.1", port=1, budget=5)
        models.Unit.objects.create(number=3, archive=share, patient="QA_TB1")
        tell(0)
    """)
    everything, one, unit = (
        site.manage("qa_fetch_echo", *arguments) for arguments in ((), ("share",), ("--unit", "3"))
    )
    assert (everything.returncode, everything.stderr) == (1, "CommandError: 1 of 2 archives failed: down.\n")
    assert everything.stdout.splitlines()[0] == "down"
    assert "  FAILED     port: nothing listens on 127.0.0.1 port 1" in everything.stdout
    assert (one.returncode, one.stdout.splitlines()[0]) == (0, "share")
    assert (unit.returncode, "QA_TB1" in unit.stdout) == (0, False)
    wrong = site.manage("qa_fetch_echo", "nobody")
    assert (wrong.returncode, wrong.stdout.splitlines()) == (
        1,
        ["nobody", "  FAILED     no archive is called 'nobody'. Configured are: down, share."],
    )


def test_echo_without_any_archive_says_how_to_configure_one(site: Site):
    """The first thing that somebody tries after the installation."""
    done = site.manage("qa_fetch_echo")
    assert (done.returncode, done.stderr) == (
        1,
        "CommandError: no archive is configured. Write qa_fetch.toml (the README has one to copy), "
        "or name one inline such as dimse://AET@host:port.\n",
    )


def test_prefetch_fills_the_shelf_from_the_unit_that_the_admin_pages_name(site: Site, course_files: Path):
    """The lists stand in the file, the archive and the patient of their unit on the admin pages."""
    site.run(f"""
        share = models.Archive.objects.create(name="share", kind="folder", path={str(course_files)!r})
        models.Unit.objects.create(number=3, archive=share, patient="QA_TB1")
        tell(0)
    """)
    (site.folder / "qa_fetch.toml").write_text(
        '[qatrack.lists.wl]\nunit = 3\ntest_list = "winston-lutz-6x"\n'
        '[qatrack.lists.other]\nunit = 4\ntest_list = "picket-fence"\n'
    )
    first, again, other = (site.manage("qa_fetch_prefetch", name) for name in ("wl", "wl", "other"))
    assert (first.returncode, first.stdout.startswith("wl: 4 objects fetched, ")) == (0, True)
    assert (again.returncode, again.stdout.startswith("wl: 4 objects were on the shelf, ")) == (0, True)
    assert (other.returncode, other.stdout, other.stderr) == (
        1,
        "other: no patient is known for list other. Give patientid in its tests, or patient in [units.4].\n",
        "CommandError: 1 of 1 lists failed: other.\n",
    )
    assert site.run('tell(list(models.Fetch.objects.values_list("from_shelf", flat=True)))') == [True, False]
