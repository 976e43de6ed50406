"""The admin pages: what a form refuses, the connection test, the log and the shelf."""

from __future__ import annotations

from pathlib import Path

from app_site import Site


def test_a_form_says_beside_its_field_what_the_configuration_would_refuse(site: Site):
    """The mistake is found while it is made, and not by a physicist a week later."""
    told = site.run(r"""
        browser = admin()
        def refused(page, **fields):
            form = post(browser, page, **fields).context_data["adminform"].form
            return {key: list(messages) for key, messages in form.errors.items()}
        dimse = {"name": "aria", "kind": "dimse", "ae_title": "DB", "host": "db", "port": "104"}
        tell([
            refused("archive/add/", **{**dimse, "port": ""}),
            refused("archive/add/", **{**dimse, "host": "10.0.0.2:104"}),
            refused("archive/add/", **{**dimse, "name": "a/b"}),
            refused("archive/add/", **{**dimse, "also": "nobody"}),
            refused("archive/add/", name="web", kind="dicomweb", url="http://u:p@host/"),
            refused("archive/add/", name="web", kind="dicomweb", url="http://host/", password_env="geheim!"),
            refused("archive/add/", name="share", kind="folder", path="images"),
            refused("thisserver/add/", port="0"),
            refused("thisserver/add/", budget="0"),
            refused("thisserver/add/", settle_minutes="-1"),
        ])
    """)
    assert told == [
        {"port": ["port is missing; expected a whole number from 1 to 65535."]},
        {"host": ["host is '10.0.0.2:104'; expected a host name or IP address."]},
        {"__all__": ["'a/b' cannot name an archive; expected a name without : / or \\."]},
        {"also": ["No archive is called nobody. Configured are: aria."]},
        {"url": ["url is 'http://u:(hidden)@host/'; expected an http or https address without user and password."]},
        {
            "password_env": [
                "This is not the name of an environment variable in capitals, such as ARIA_PASSWORD. Give one."
            ]
        },
        {"path": ["This path does not begin at the root or a drive. Give the whole path."]},
        {"port": ["port is 0; expected a whole number from 1 to 65535."]},
        {"budget": ["budget is 0.0; expected a number of seconds above 0."]},
        {"settle_minutes": ["settle_minutes is -1.0; expected a number of minutes from 0 up."]},
    ]


def test_an_archive_is_entered_used_and_kept_while_a_unit_needs_it(site: Site):
    """Deleting it would silently give the unit's tests images of the default archive."""
    told = site.run("""
        browser = admin()
        fields = {"name": "aria", "kind": "dimse", "ae_title": "DB", "host": "db", "port": "104", "path": "left over"}
        added = post(browser, "archive/add/", **fields).status_code
        dropped = models.Archive.objects.get().path
        twin = post(browser, "archive/add/", **{**fields, "name": "ARIA"}).context_data["adminform"].form.errors
        row = models.Archive.objects.get()
        unit = post(browser, "unit/add/", number="1", archive=str(row.pk), patient="QA_TB1").status_code
        who = post(browser, "thisserver/add/", default=str(row.pk), ae_title="QATRACK", port="11113").status_code
        post(browser, f"archive/{row.pk}/delete/", post="yes")
        page = shown(browser.get("/admin/qa_fetch_qatrack/archive/"))
        second = browser.get("/admin/qa_fetch_qatrack/thisserver/add/").status_code
        alone = browser.get("/admin/qa_fetch_qatrack/thisserver/").status_code
        tell([added, unit, who, second, alone], list(twin["__all__"]),
             Config.load().unit(1).archive, dropped, "aria dimse DB at db port 104 default, unit 1 yes Test" in page)
    """)
    assert told == [
        [302, 302, 302, 403, 302],
        [
            "archives.ARIA and archives.aria have the same name; "
            "expected names that differ in more than capitals, - and _."
        ],
        "aria",
        "",
        True,
    ]


def test_the_connection_test_shows_each_step_and_trusts_nothing_that_it_shows(site: Site, course_files: Path):
    """Also for an archive of the file; whatever stands in a name or an answer is text."""
    (site.folder / "qa_fetch.toml").write_text(f"[archives.'<b>share']\nkind = 'folder'\npath = '{course_files}'\n")
    told = site.run("""
        models.Archive.objects.create(name="gone", kind="folder", path="/nowhere/<script>")
        models.Archive.objects.create(name="broken", kind="dimse")
        browser = admin()
        pages = [post(browser, "archive/test/", archive=name, patient="QA_TB1")
                 for name in ("<b>share", "gone", "broken", "dimse://A@127.0.0.1:1")]
        listed = browser.get("/admin/qa_fetch_qatrack/archive/")
        tell([shown(page) for page in pages], [b"<b>share" in listed.content, b"<script>" in pages[1].content],
             shown(listed))
    """)
    (works, gone, broken, inline), trusted, listed = told
    assert "The connection works." in works
    assert "✓ ok" in works
    assert "gone: /nowhere/<script> is not a folder. Correct path." in gone
    assert "Django settings QA_FETCH: archives.broken.ae_title is missing" in broken
    assert "No archive is called dimse://A@127.0.0.1:1. Choose one from the list." in inline
    assert trusted == [False, False]
    assert f"<b>share {site.folder / 'qa_fetch.toml'} Test" in listed
    assert "expected an AE title of 1 to 16 ASCII characters" in listed


def test_only_who_may_change_archives_can_test_them_and_only_by_the_button(site: Site):
    """A link in a mail must not make the server call somebody."""
    told = site.run("""
        models.Archive.objects.create(name="share", kind="folder", path="/nowhere")
        log = models.Fetch.objects
        link = admin().get("/admin/qa_fetch_qatrack/archive/test/?archive=share").status_code
        forged = post(admin(enforce_csrf_checks=True), "archive/test/", archive="share").status_code
        may_see = post(somebody("view_archive"), "archive/test/", archive="share").status_code
        before = log.count()
        may_change = post(somebody("view_archive", "change_archive"), "archive/test/", archive="share").status_code
        tell([link, forged, may_see, before, may_change])
    """)
    assert told == [302, 403, 403, 0, 200]


def test_the_shelf_is_pruned_only_after_a_preview_and_a_confirmation(site: Site, course_files: Path):
    """The first press says what would go; a link, a forged form and somebody who may only look remove nothing."""
    told = site.run(f"""
        import os
        from pathlib import Path
        share = Archive("folder:{course_files}")
        share.latest("QA_TB1", kind="portal")
        root = Config.load().shelf("path").value
        for path in root.rglob("*"):
            os.utime(path, (0, 0))
        def kept():
            return len(list(root.glob("*/objects/*/*.dcm")))
        there = kept()
        browser, page = admin(), "shelfusage/"
        nothing = shown(post(browser, page, older_than="", max_gb=""))
        preview = shown(post(browser, page, older_than="30", max_gb=""))
        after_preview = kept()
        browser.get("/admin/qa_fetch_qatrack/shelfusage/?older_than=30&confirmed=yes")
        forged = post(admin(enforce_csrf_checks=True), page, older_than="30", confirmed="yes").status_code
        looking = somebody("view_shelfusage")
        denied = post(looking, page, older_than="30", confirmed="yes").status_code
        may_look = shown(looking.get("/admin/qa_fetch_qatrack/shelfusage/"))
        before = kept()
        fields = {{"older_than": "30", "confirmed": "yes"}}
        done = browser.post("/admin/qa_fetch_qatrack/shelfusage/", fields, follow=True)
        tell([there == after_preview == before > 0, kept()], [forged, denied], nothing, preview, may_look, shown(done))
    """)
    kept, refused, nothing, preview, may_look, done = told
    assert (kept, refused) == ([True, 0], [403, 403])
    assert "Give a number of days, a size, or both." in nothing
    assert "What would be removed" in preview
    assert "Remove Back without removing" in preview
    assert "Make room" not in may_look
    assert "portal image" in may_look
    assert "sets and objects removed," in done
    assert "0 sets, 0 bytes." in done


def test_a_shelf_that_cannot_be_read_is_a_sentence_on_its_page(site: Site):
    """And not a server error."""
    site.write('QA_FETCH = {"shelf": {"settle": 3}}')
    page = site.run('tell(shown(admin().get("/admin/qa_fetch_qatrack/shelfusage/")))')
    assert "Django settings QA_FETCH: shelf.settle is not a setting; expected one of path, settle_minutes." in page
