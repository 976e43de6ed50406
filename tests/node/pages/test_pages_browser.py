"""The pages as people see them, in Chromium; its pictures are kept where QA_FETCH_SCREENSHOTS says."""

from __future__ import annotations

from collections.abc import Iterator

import node_client as client
import pages_content as content
import pytest
from browser import Browser, opened
from node_objects import uid
from node_script import done
from peers.process import Missing, skip_or_fail

from qa_fetch.node import NodeOptions, NodeProcess, Peer
from qa_fetch.node import Web as WebOptions

PAGES = {
    "patients": "/",
    "patient": "/patients/1/",
    "study": "/studies/1/",
    "series": "/series/2/",
    "image": "/objects/2/",
    "plan": "/objects/1/",
    "arrivals": "/arrivals/",
    "now": "/now/",
    "statistics": "/statistics/",
    "white-list": "/white-list/",
    "conflicts": "/conflicts/",
    "sign-in": "/sign-in/",
    "nobody-found": "/?name=nobody",
}
_LOOKS = {"light": {}, "dark": {"dark": True}, "narrow": {"width": 375, "height": 780}}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node with the content of ``pages_content``."""
    peers = {"ARIA": Peer(host="127.0.0.1", port=104), "CLINIC": Peer(source="10.0.0.0/24", services=("find",))}
    folder = tmp_path_factory.mktemp("browser") / "node"
    with content.running(NodeOptions(folder, port=0, peers=peers, web=WebOptions(port=0, read_only=False))) as running:
        yield running


@pytest.fixture(scope="module")
def tab(node: NodeProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all; without Chromium these tests fail in CI, and elsewhere skip with what would help."""
    try:
        with opened(f"http://127.0.0.1:{node.web_port}", tmp_path_factory.mktemp("screenshots")) as browser:
            yield browser
    except Missing as missing:
        skip_or_fail(missing)


@pytest.fixture
def browser(tab: Browser) -> Iterator[Browser]:
    """The browser as it is at first; whatever a test does, nothing complains and nothing else is asked for anything."""
    tab.look()
    yield tab
    assert tab.complaints() == []
    assert tab.strangers() == set()


def test_somebody_looks_for_a_plan_and_at_its_images(browser: Browser) -> None:
    """From the search over the patient, the study and the plan to one image."""
    browser.open("/")
    assert browser.texts("tbody th")[0] == "Machine1, QA"
    browser.fill("#s-plan", "wl_6x")
    browser.press(".search button")
    assert browser.text("main [role=status]") == "2 patients found, the newest study first."
    browser.follow("Machine1, QA")
    assert browser.texts("thead th")[:4] == ["Date", "Study", "Modalities", "Plans"]
    browser.follow("Winston-Lutz")
    assert browser.texts(".card strong") == ["Plans", "MV images"]
    browser.press(".card")
    browser.press(".tile")
    assert browser.text("h1") == "WL_6X"
    rows = browser.texts("section[aria-labelledby=beams-title] tbody tr")
    jaws = "X -5.0 to 5.0, Y -10.0 to 10.0"
    assert [" ".join(row.split()) for row in rows] == [
        f"1 G000 6 MV photon 100 0\u00b0 15\u00b0 0\u00b0 {jaws} static 1 600 TB1",
        f"2 G090 6 MV photon 100 90\u00b0 15\u00b0 0\u00b0 {jaws} static 1 600 TB1",
        f"3 Arc 6 MV photon 412.75 181\u00b0 to 179\u00b0 clockwise 15\u00b0 0\u00b0 {jaws} dynamic 2 600 TB1",
    ]
    facts = browser.text("dl.facts")
    assert "APPROVED" in facts and "Curie, Marie 2025-11-02" in facts and "20 fractions, 612.75 MU each" in facts
    browser.press("section[aria-labelledby=referring-title] .card")
    assert len(browser.texts(".tile")) == 4
    browser.press(".tile")
    browser.follow("WL_6X")
    assert browser.text("h1") == "WL_6X"


def test_an_image_is_looked_at_with_another_window(browser: Browser) -> None:
    """The picture is there in both, and the way back to its own window too."""
    browser.open("/objects/2/")
    assert browser.run("document.querySelector('.screen img').naturalWidth") == 512
    browser.fill("#w-centre", "30000")
    browser.fill("#w-width", "20000.5")
    browser.press(".window button")
    assert "centre=30000&width=20000.5" in browser.run("document.querySelector('.screen img').src")
    assert browser.run("document.querySelector('.screen img').naturalWidth") == 512
    browser.follow("As stored")
    assert browser.run("document.querySelector('.screen img').src").endswith("picture?frame=1")
    browser.follow("Next")
    assert browser.text("h1") == "G2"


def test_the_attributes_are_searched_while_somebody_types(browser: Browser) -> None:
    """And by pressing the button, which works without any script."""
    browser.open("/objects/2/")
    every = len(browser.texts("#attribute-table tbody tr"))
    browser.fill("#a-wanted", "gantry")
    shown = [text for text in browser.texts("#attribute-table tbody tr") if text]
    assert shown == ["(300A,011E) Gantry Angle DS 0.0"] or shown == ["(300A,011E) Gantry Angle DS 0"]
    assert browser.text("#attribute-table-count") == f"1 of {every}"
    browser.press(".filter button")
    assert len(browser.texts("#attribute-table tbody tr")) == 1


def test_a_file_is_put_to_a_study_on_its_page(browser: Browser, node: NodeProcess) -> None:
    """Chosen, uploaded, and in the list."""
    file = node.options.data.parent / "review <b>.txt"
    file.write_text("seen")
    browser.open("/studies/1/")
    browser.driver.find_element("css selector", "#annotation-file").send_keys(str(file))
    browser.press(".upload button")
    assert browser.texts("#annotations tbody a") == ["review <b>.txt"]


def test_who_comes_and_goes_shows_while_somebody_watches(browser: Browser, node: NodeProcess) -> None:
    """The page asks again by itself, and shows what has been sent."""
    browser.open("/now/")
    assert "Nobody is connected" in browser.text()
    with client.association(node.port, [(client.VERIFICATION, client.PLAIN)], calling="WATCHED"):
        browser.until("document.body.innerText.includes('WATCHED')")
        assert client.get(node.port, "SERIES", {"SeriesInstanceUID": uid(1, 1, 2)}, calling="GETTER")[0].status == 0
        browser.until("document.body.innerText.includes('all sent')")
        browser.keep("now-somebody")
    browser.until("document.body.innerText.includes('Nobody is connected')")


def test_the_keyboard_reaches_the_content_first(browser: Browser) -> None:
    """The first stop leads past the navigation."""
    browser.open("/")
    browser.driver.switch_to.active_element.send_keys("\ue004")  # tab
    assert browser.driver.switch_to.active_element.text == "Skip to the content"
    browser.driver.switch_to.active_element.send_keys("\ue007")  # enter
    assert browser.run("document.activeElement.id") == "main"


@pytest.mark.parametrize("look", _LOOKS)
def test_every_page_fits_and_is_kept_as_a_picture(browser: Browser, look: str) -> None:
    """In light and dark colours and on a telephone; nothing hangs over, and every text stands out from its ground."""
    browser.look(**_LOOKS[look])  # type: ignore[arg-type]
    for name, path in PAGES.items():
        browser.open(path)
        assert browser.run("document.documentElement.scrollWidth <= innerWidth"), name
        assert browser.run("[...document.images].filter(i => i.complete && !i.naturalWidth).length") == 0, name
        assert browser.run(_CONTRAST) >= 4.5, name
        browser.keep(f"{look}-{name}")
    ground = browser.run("getComputedStyle(document.documentElement).backgroundColor")
    assert ground == ("rgb(18, 23, 27)" if look == "dark" else "rgb(246, 247, 248)")


def test_hostile_texts_are_shown_and_do_nothing(browser: Browser) -> None:
    """The browser itself finds no element in them."""
    browser.open("/")
    patient = browser.run("[...document.links].find(a => a.text.includes('<script>')).pathname")
    browser.open(patient)
    study = browser.run("[...document.links].find(a => a.text.includes('<script>') && a.closest('table')).pathname")
    for path in ("/", patient, study, "/arrivals/", "/statistics/"):
        browser.open(path)
        assert content.HOSTILE in browser.text(), path
        assert browser.run("document.querySelectorAll('main script, main b, main [onerror]').length") == 0, path
        browser.keep(f"hostile-{path.strip('/').replace('/', '-') or 'patients'}")


def test_somebody_signs_in_and_out(tab: Browser, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Asked for a name first, led to where they wanted, and gone afterwards."""
    folder = tmp_path_factory.mktemp("sign-in")
    options = NodeOptions(folder / "node", port=0, web=WebOptions(port=0, sign_in=True))
    begun = "__import__('qa_fetch.node.index').node.index.start(options)"
    done(options, f"({begun}, __import__('qa_fetch.node.accounts').node.accounts.add('ann', 'a pass phrase'))[1]")
    tab.look()
    tab.strangers()
    with NodeProcess(options) as node:
        there = Browser(tab.driver, f"http://127.0.0.1:{node.web_port}", tab.screenshots)
        there.open("/statistics/")
        assert there.text("h1") == "Sign in"
        there.fill("#d-name", "ann")
        there.fill("#d-password", "wrong")
        there.press(".door button")
        wrong = "This name and password do not belong together. Try again, or ask the node's administrator."
        assert there.text("[role=alert]") == wrong
        there.keep("sign-in-wrong")
        there.fill("#d-password", "a pass phrase")
        there.press(".door button")
        assert (there.text("h1"), there.text(".who span")) == ("Statistics", "ann")
        there.keep("signed-in-empty")
        there.press(".who button")
        there.open("/")
        assert there.text("h1") == "Sign in"
        refused = (
            f"{there.address}/sign-in/ - Failed to load resource: the server responded with a status of 403 (Forbidden)"
        )
        assert there.complaints() == [refused]
        assert there.strangers() == set()


# The lowest contrast between a text and what lies behind it, as WCAG computes it.
_CONTRAST = """(() => {
  const rgb = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  let lowest = 21;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest("svg, .off, option, script")) continue;
    let behind = element, ground;
    for (; behind; behind = behind.parentElement) {
      ground = rgb(getComputedStyle(behind).backgroundColor);
      if (ground[3] !== 0) break;
    }
    const ends = [light(rgb(getComputedStyle(element).color)), light(ground)].sort((a, b) => b - a);
    lowest = Math.min(lowest, (ends[0] + 0.05) / (ends[1] + 0.05));
  }
  return lowest;
})()"""
