"""Archives, units and who we are, from the admin pages into the configuration."""

from __future__ import annotations

from pathlib import Path

from app_site import Site


def test_the_shipped_migrations_are_complete(migrated: Site):
    """A site never has to make a migration for our app, whatever its Django."""
    done = migrated.manage("makemigrations", "--check", "--dry-run", "qa_fetch_qatrack")
    assert (done.returncode, done.stdout.strip()) == (0, "No changes detected in app 'qa_fetch_qatrack'")


def test_before_migrate_has_run_the_site_works_and_the_file_counts(tmp_path: Path):
    """Tables that are not there yet are no error, and spoil no transaction of a page."""
    site = Site(tmp_path / "site")
    told = site.run("""
        from django.contrib.contenttypes.models import ContentType
        from django.core.management import call_command
        call_command("migrate", "contenttypes", verbosity=0)
        with transaction.atomic():
            ContentType.objects.create(app_label="a", model="b")
            try:
                Archive()
            except ConfigError as error:
                said = str(error)
            ContentType.objects.create(app_label="a", model="c")
        tell(said, ContentType.objects.filter(app_label="a").count())
    """)
    assert told == [
        "no archive is configured. Write qa_fetch.toml (the README has one to copy), "
        "or name one inline such as dimse://AET@host:port.",
        2,
    ]
    assert site.manage("check", "--fail-level", "WARNING").returncode == 0


def test_what_the_admin_pages_say_is_the_configuration_at_once(site: Site, course_files: Path):
    """The unit's archive gives the unit's images, and a change counts for the very next call."""
    told = site.run(f"""
        from types import SimpleNamespace
        folder = models.Archive.objects.create(name="share", kind="folder", path={str(course_files)!r})
        aria = models.Archive.objects.create(name="aria", kind="dimse", ae_title="DB", host="db", port=104, keep_open=0)
        models.Unit.objects.create(number=3, archive=folder, patient="QA_TB1")
        models.ThisServer.objects.create(default=aria, ae_title="QATRACK", port=11115, settle_minutes=3)
        config = Config.load()
        first = [config.archive().name, config.archive()["port"], config.archive()["keep_open"],
                 config.local("ae_title").value, config.shelf("settle_minutes").value]
        aria.port = 51402
        aria.save()
        utils = SimpleNamespace(unit=SimpleNamespace(number=3), user="jane")
        images = Archive.for_unit(utils).latest(Config.load().unit(3).patient, kind="portal")
        tell(first, Config.load().archive()["port"], len(images) > 0)
    """)
    assert told == [["aria", 104, 0.0, "QATRACK", 3.0], 51402, True]


def test_one_reading_of_the_configuration_asks_the_database_once(site: Site):
    """A page reads the configuration for each composite, so a reading must cost little."""
    told = site.run("""
        from django.test.utils import CaptureQueriesContext
        aria = models.Archive.objects.create(name="aria", ae_title="A", host="h", port=1)
        models.ThisServer.objects.create(default=aria)
        with CaptureQueriesContext(connection) as asked:
            Config.load().archive("aria")
        tell([query["sql"].split(" FROM ")[1].split()[0] for query in asked if query["sql"].startswith("SELECT")])
    """)
    assert told == ['"qa_fetch_qatrack_archive"', '"qa_fetch_qatrack_unit"', '"qa_fetch_qatrack_thisserver"']


def test_the_file_wins_over_local_settings_and_these_over_the_admin_pages(site: Site):
    """Archives and units are taken whole from the first that defines them, spelled as it will; the rest adds up."""
    site.write(
        'QA_FETCH = {"archives": {"Aria": {"kind": "folder", "path": "/settings"}}, "local": {"port": 105},'
        ' "units": {1: {"patient": "BY_HAND"}}}'
    )
    (site.folder / "qa_fetch.toml").write_text(
        '[local]\nhost = "127.0.0.1"\n[archives.pacs]\nkind = "folder"\npath = "/file"\n'
    )
    told = site.run("""
        for name in ("aria", "pacs", "mine"):
            models.Archive.objects.create(name=name, kind="folder", path="/pages")
        models.Unit.objects.create(number=1, patient="BY_PAGES", archive=models.Archive.objects.get(name="mine"))
        server = models.ThisServer.objects.create(port=104, ae_title="PAGES")
        config = Config.load()
        unit = config.unit(1)
        page = shown(admin().get("/admin/qa_fetch_qatrack/archive/"))
        page += shown(admin().get("/admin/qa_fetch_qatrack/unit/"))
        page += shown(admin().get("/admin/qa_fetch_qatrack/thisserver/%d/change/" % server.pk))
        tell({name: str(config.archive(name)["path"]) for name in config.archive_names()}, [unit.archive, unit.patient],
             [config.local(key).value for key in ("port", "ae_title")], page)
    """)
    paths, unit, local, page = told
    assert paths == {"pacs": "/file", "mine": "/pages", "Aria": "/settings"}
    assert (unit, local) == ([None, "BY_HAND"], [105, "PAGES"])
    assert "aria folder /pages - no: defined in local_settings.py, which wins Test" in page
    assert f"pacs folder /pages - no: defined in {site.folder / 'qa_fetch.toml'}, which wins Test" in page
    assert "mine folder /pages unit 1 yes Test" in page
    assert "1 mine BY_PAGES no: defined in the configuration file or local_settings.py, which wins" in page
    assert f"local.host is 127.0.0.1, from the file {site.folder / 'qa_fetch.toml'}, which wins" in page


def test_tables_of_an_older_version_are_one_sentence(site: Site):
    """After an update without migrate nobody has to read a traceback of the database."""
    told = site.run("""
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE qa_fetch_qatrack_archive RENAME COLUMN host TO place")
        try:
            Config.load()
        except ConfigError as error:
            tell(str(error))
    """)
    assert told == (
        "the archives of the admin pages cannot be read (OperationalError). Check QATrack+'s database; "
        "after an update of qa_fetch run: python manage.py migrate qa_fetch_qatrack"
    )


def test_every_setting_of_the_file_has_a_field(site: Site):
    """A setting that comes to qa_fetch.toml comes to the admin pages too."""
    told = site.run("""
        from qa_fetch.config import KINDS, LOCAL, SHELF
        def missing(model, keys):
            return sorted(set(keys) - {field.name for field in model._meta.get_fields()})
        tell(missing(models.Archive, [key for options in KINDS.values() for key in options]),
             missing(models.ThisServer, [*LOCAL, *SHELF, "default", "budget"]))
    """)
    assert told == [[], []]
