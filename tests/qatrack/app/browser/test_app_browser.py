"""The admin pages as people see them, in Chromium; its pictures are kept where QA_FETCH_SCREENSHOTS says."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from app_site import Site
from peers.process import Missing, free_ports, skip_or_fail

sys.path.append(str(Path(__file__).resolve().parents[3] / "node" / "pages"))  # the browser of the node's tests

from browser import Browser, opened  # noqa: E402

APP = "/admin/qa_fetch_qatrack/"
_FILL = """
from datetime import timedelta
from django.utils import timezone
share = models.Archive.objects.create(name="share", kind="folder", path={path!r})
aria = models.Archive.objects.create(name="aria", ae_title="DB_SERVICE", host="127.0.0.1", port={closed})
models.Archive.objects.create(name="orthanc", kind="orthanc", url="http://127.0.0.1:8042", user="qa",
                              password_env="ORTHANC_PASSWORD")
models.Unit.objects.create(number=1, archive=aria, patient="QA_TB1")
models.ThisServer.objects.create(default=aria, ae_title="QATRACK", port=11113)
User.objects.create_superuser("root", "root@example.org", "secret")
utils = SimpleNamespace(unit=SimpleNamespace(number=1), user="jane")
for archive in (Archive("share"), Archive("share"), Archive.for_unit(utils)):
    try:
        archive.latest("QA_TB1", kind="portal")
    except QAFetchError:
        continue
tell(0)
"""


@pytest.fixture(scope="module")
def address(migrated: Site, course_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A site with some archives, fetches and a shelf, served by Django's own server."""
    folder = tmp_path_factory.mktemp("served")
    site = migrated.copy(folder / "site")
    closed, port = free_ports(2)
    site.write(f'QA_FETCH = {{"shelf": {{"path": {str(folder / "shelf")!r}}}}}')
    (site.folder / "qa_fetch.toml").write_text('[archives.orthanc]\nkind = "folder"\npath = "/srv/images"\n')
    site.run("from types import SimpleNamespace\n" + _FILL.format(path=str(course_files), closed=closed))
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "django", "runserver", "--noreload", f"127.0.0.1:{port}"],
            env=site.environment,
            cwd=site.folder,
            stdout=log,
            stderr=log,
        )
        try:
            _wait(f"http://127.0.0.1:{port}/admin/login/", server, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(20)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            urlopen(url, timeout=5).close()
            return
        except URLError:
            assert server.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.05)


@pytest.fixture(scope="module")
def browser(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Signed in; without Chromium these tests fail in CI, and elsewhere skip with what would help."""
    try:
        with opened(address, tmp_path_factory.mktemp("screenshots")) as tab:
            tab.open("/admin/")
            tab.fill("#id_username", "root")
            tab.fill("#id_password", "secret")
            tab.press("input[type=submit]")
            tab.complaints()  # of Django's own page
            yield tab
    except Missing as missing:
        skip_or_fail(missing)


def keep(browser: Browser, name: str) -> None:
    """A picture of the page in the light and in the dark; in neither does anything stick out or complain."""
    for colours in ("light", "dark"):
        browser.look(dark=colours == "dark", width=1280, height=760)
        browser.keep(f"qatrack-{name}-{colours}")
    assert [complaint for complaint in browser.complaints() if "favicon" not in complaint] == []


def test_the_list_of_archives_says_what_is_in_use_and_tests_a_connection(browser: Browser):
    """One press leads to each step in plain words."""
    browser.open(APP + "archive/")
    assert browser.texts("#result_list tbody tr th") == ["aria", "orthanc", "share"]
    keep(browser, "archives")
    browser.press("button[value=aria]")
    assert "The connection does not work." in browser.text(".qa-fetch")
    assert browser.texts(".qa-fetch td.failed") == ["✗ failed"]
    keep(browser, "test-failed")
    browser.open(APP + "archive/")
    browser.press("button[value=share]")
    assert "The connection works." in browser.text(".qa-fetch")
    keep(browser, "test-works")


def test_the_form_shows_the_fields_of_the_chosen_kind(browser: Browser):
    """A physicist who enters a DICOM archive is not asked for a URL."""
    browser.open(APP + "archive/add/")
    seen = "document.querySelector('.field-{}').offsetParent !== null"
    assert [browser.run(seen.format(key)) for key in ("ae_title", "url", "path", "password_env")] == [
        True,
        False,
        False,
        False,
    ]
    keep(browser, "archive-dimse")
    browser.run("document.getElementById('id_kind').value = 'orthanc'")
    browser.run("document.getElementById('id_kind').dispatchEvent(new Event('change'))")
    assert [browser.run(seen.format(key)) for key in ("ae_title", "url", "path", "password_env")] == [
        False,
        True,
        False,
        True,
    ]
    browser.fill("#id_name", "web")
    browser.fill("#id_url", "http://somewhere/?x")
    browser.press("input[name=_save]")
    assert browser.texts(".errorlist li") == [
        "url is 'http://somewhere/?x'; expected an http or https address without user and password."
    ]
    keep(browser, "archive-refused")


def test_the_log_shows_failures_in_red_and_no_patient(browser: Browser):
    """With the sentence that the physicist saw."""
    browser.open(APP + "fetch/")
    outcomes = browser.texts("td.field-outcome")
    assert outcomes[-2:] == ["from the shelf", "fetched"]
    assert "nothing listens on 127.0.0.1" in browser.text("td.field-outcome strong")
    assert set(browser.texts("td.field-shown_patient")) == {"hidden"}
    keep(browser, "log")
    browser.open(APP)
    keep(browser, "index")
    browser.open(APP + "thisserver/")
    keep(browser, "this-server")
    browser.open(APP + "unit/")
    keep(browser, "units")


def test_the_shelf_is_pruned_by_two_presses(browser: Browser):
    """The second one only after it was said what goes."""
    browser.open(APP + "shelfusage/")
    keep(browser, "shelf")
    browser.fill("#id_older_than", "0")
    browser.press(".qa-fetch form button")
    assert "What would be removed" in browser.text(".qa-fetch")
    keep(browser, "shelf-preview")
    browser.press(".qa-fetch form button")
    assert "0 sets, 0 bytes." in browser.text(".qa-fetch")
    keep(browser, "shelf-pruned")
