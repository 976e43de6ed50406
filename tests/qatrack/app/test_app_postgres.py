"""On PostgreSQL, where a failed query spoils the whole transaction of a page unless it has a savepoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from app_site import Site
from peers.postgres import Postgres
from peers.process import Missing, skip_or_fail

_SETTINGS = """
DATABASES = {{"default": {{"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": "tester",
                           "HOST": "127.0.0.1", "PORT": "{port}", "OPTIONS": {{"connect_timeout": 5}}}}}}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server of its own."""
    try:
        made = Postgres()
    except Missing as missing:
        skip_or_fail(missing)
    with made:
        yield made


def test_nothing_of_ours_spoils_the_transaction_of_a_page(server: Postgres, tmp_path: Path, course_files: Path):
    """Tables that are missing, a row that cannot be written, a plan label with a NUL, and a database that is gone."""
    site = Site(tmp_path / "site")
    fetch = f"""
        User.objects.all().delete()
        with transaction.atomic():
            User.objects.create(username="before")
            images = Archive("folder:{course_files}").latest("QA_TB1", kind="portal")
            User.objects.create(username="after")
        tell(len(images), User.objects.count())
    """
    site.write(_SETTINGS.format(port=server.port))
    assert site.manage("migrate", "auth", "--verbosity", "0").returncode == 0
    assert site.run(fetch) == [4, 2]
    assert site.manage("migrate", "--verbosity", "0").returncode == 0
    assert site.run(fetch) == [4, 2]
    told = site.run("""
        import logging
        from qa_fetch.archive.told import Told
        told = Told("latest", "a", says="plan \\x00")
        logging.getLogger("qa_fetch.archive").info("%s", told, extra={"told": told})
        models.Archive.objects.create(name="aria", ae_title="A", host="h", port=1)
        tell([row.what for row in models.Fetch.objects.order_by("pk")], Config.load().archive_names())
    """)
    assert told == [["portal image", "plan  "], ["aria"]]
    server.stop()
    gone = site.run("""
        try:
            Config.load()
        except ConfigError as error:
            tell(str(error))
    """)
    assert gone == (
        "the archives of the admin pages cannot be read (OperationalError). Check QATrack+'s database; "
        "after an update of qa_fetch run: python manage.py migrate qa_fetch_qatrack"
    )
