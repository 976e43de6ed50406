"""What the pages answer, asked without a browser."""

from __future__ import annotations

import re
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path

import node_client as client
import node_objects as objects
import pages_content as content
import pytest
from node_objects import uid
from web_client import Web

from qa_fetch.node import NodeOptions, NodeProcess, Peer
from qa_fetch.node import Web as WebOptions

PAGES = ("/", "/arrivals/", "/now/", "/white-list/", "/conflicts/", "/statistics/", "/sign-in/")
_PEERS = {"ARIA": Peer(host="127.0.0.1", port=104), "CLINIC": Peer(source="10.0.0.0/24", services=("find",))}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node with the content of ``pages_content``, on which everybody of this machine may look and annotate."""
    folder = tmp_path_factory.mktemp("pages") / "node"
    options = NodeOptions(folder, port=0, peers=_PEERS, web=WebOptions(port=0, read_only=False))
    with content.running(options) as running:
        yield running


@pytest.fixture
def web(node: NodeProcess) -> Web:
    """A browser without a screen."""
    return Web(node.web_port, browser=True)


class _Elements(HTMLParser):
    """Every element of a page, with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))


def every_page(web: Web) -> dict[str, str]:
    """The text of every page that can be reached by links, by its address."""
    seen: dict[str, str] = {}
    waiting = ["/"]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        answer = web.get(path)
        assert answer.status == 200, path
        seen[path] = answer.text
        links = [attributes.get("href", "") for tag, attributes in _Elements(answer.text).found if tag == "a"]
        waiting += [link for link in links if link.startswith("/") and ".json" not in link]
    return seen


def test_no_text_of_an_object_becomes_part_of_a_page(web: Web) -> None:
    """Names, descriptions, labels, AE titles: all are shown as they are, and none becomes an element."""
    pages = every_page(web)
    shown = "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert sum(shown in text for text in pages.values()) >= 6
    for path, text in pages.items():
        elements = _Elements(text).found
        assert not [name for name, _ in elements if name in ("b", "i", "style")], path
        assert [each for name, each in elements if name == "script"] == [{"src": "/static/node.js", "defer": ""}], path
        assert not [each for _, each in elements if any(key == "style" or key.startswith("on") for key in each)], path


def test_every_form_field_and_picture_has_a_name_for_who_cannot_see_it(web: Web) -> None:
    """Labels, alternative texts, one main part and one first heading on each page."""
    for path, text in every_page(web).items():
        elements = _Elements(text).found
        labelled = {each.get("for") for name, each in elements if name == "label"}
        fields = [each for name, each in elements if name in ("input", "select") and each.get("type") != "hidden"]
        assert {each.get("id") for each in fields} <= labelled, path
        assert all("alt" in each for name, each in elements if name == "img"), path
        assert [sum(name == wanted for name, _ in elements) for wanted in ("main", "h1")] == [1, 1], path
        identifiers = [each["id"] for _, each in elements if "id" in each]
        assert len(identifiers) == len(set(identifiers)), path


def test_patient_data_is_not_kept_by_browsers_nor_open_to_other_sites(web: Web) -> None:
    """The headers of every page; only what is the same for everybody may be kept."""
    for path in (*PAGES, "/objects/1/", "/objects/2/picture", "/objects/2/thumbnail", "/statistics.json", "/nothing"):
        headers = web.get(path).headers
        assert headers["Content-Security-Policy"] == (
            "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
        assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "private, no-store"), path
        assert (headers["X-Frame-Options"], headers["Referrer-Policy"]) == ("DENY", "same-origin"), path
    assert web.get("/static/node.css").headers["Cache-Control"] == "public, max-age=3600"


def test_nothing_but_the_assets_is_served_from_the_package(web: Web) -> None:
    """No way leads out of their folder."""
    for path in ("/static/urls.py", "/static/..%2f__init__.py", "/static/%2e%2e/access.py", "/static//etc/passwd"):
        assert web.get(path).status == 404


def test_what_is_not_there_is_said_in_words(web: Web, node: NodeProcess) -> None:
    """As a page to a browser, as JSON to a program; the same for what is not understood."""
    page = web.get("/patients/999999/")
    assert page.status == 404
    assert "There is nothing at this address. It may have been removed; search for it instead." in page.text
    said = {"error": "There is nothing at this address. It may have been removed; search for it instead."}
    for path in ("/patients/999999/", "/objects/0/picture", "/nothing/at/all"):
        answer = Web(node.web_port).get(path)
        assert (answer.status, answer.json) == (404, said)
    assert web.ask("DELETE", "/patients/1/").status == 405
    assert web.ask("PUT", "/", headers={"Origin": "http://elsewhere"}).status == 403


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("name=machine", ["QA1"]),
        ("name=QA+machine1", ["QA1"]),
        ("name=M%C3%9CLL", ["QA2"]),
        ("id=qa3", ["QA3"]),
        ("plan=pdip", ["QA1"]),
        ("modality=CT", ["QA3"]),
        ("modality=RTIMAGE&plan=wl", ["QA1"]),
        ("from=2025-11-02", ["QA1"]),
        ("to=2025-11-01&id=QA", ["QA1", "QA2", "QA3"]),
        ("from=2025-11-03", []),
        ("name=%25", []),
        ("id=%27%20OR%201=1--", []),
    ],
)
def test_patients_are_found_by_what_people_know_of_them(web: Web, question: str, expected: list[str]) -> None:
    """Parts of names and IDs, in any case; modality, plan and dates of their studies."""
    found = re.findall(r'<td class="code">(QA\d)</td>', web.get(f"/?{question}").text)
    assert sorted(found) == expected


def test_a_search_without_sense_still_answers(web: Web) -> None:
    """A date that is none is said so; pages beyond the end are the last one; odd numbers are taken for 1."""
    text = web.get("/?from=yesterday&page=999999").text
    assert "A date is written as 2025-11-03. This one was left out of the search." in text
    odd = ("/?page=-1&name=%FF", "/arrivals/?day=2025-99-99", "/objects/2/?frame=x&centre=nan&width=1")
    for path in (*odd, f"/?page={'9' * 30}", f"/objects/2/?frame={'9' * 30}"):
        assert web.get(path).status == 200, path
    for path in ("/?name=%00", "/annotations/study/1%00", "/patients/%00"):
        assert web.get(path).status == 400, path
    assert web.get(f"/patients/{'9' * 30}/").status == 404


def test_a_page_that_fails_says_so_without_any_detail(tmp_path: Path) -> None:
    """What went wrong is for the log, not for whoever asks."""
    with NodeProcess(NodeOptions(tmp_path / "node", port=0, web=WebOptions(port=0))) as node:
        with closing(sqlite3.connect(node.options.data / "index.sqlite3")) as index:
            index.execute("ALTER TABLE qa_fetch_node_conflict RENAME TO gone")
        answer = Web(node.web_port, browser=True).get("/conflicts/")
        assert answer.status == 500
        assert "The node could not make this page. Look into its log, and try again." in answer.text
        assert "conflict" not in answer.text.lower()


def test_a_long_series_comes_in_pages(web: Web) -> None:
    """48 objects on the first, the rest on the second."""
    (path,) = [
        path for path, text in every_page(web).items() if path.startswith("/series/") and "CBCT 2 mm</h1>" in text
    ]
    assert [web.get(f"{path}?page={page}").text.count('class="tile"') for page in (1, 2)] == [48, 12]


def test_pictures_are_png_and_what_has_none_says_what_it_is(web: Web) -> None:
    """A plan's thumbnail is its modality, as text."""
    kinds = [web.get(path).headers["Content-Type"] for path in ("/objects/2/picture", "/objects/2/thumbnail")]
    assert kinds == ["image/png", "image/png"]
    plan = web.get("/objects/1/thumbnail")
    assert plan.headers["Content-Type"] == "image/svg+xml"
    assert ">RTPLAN</text>" in plan.text
    hostile = [
        web.get(f"/objects/{key}/thumbnail").text
        for key in (69, 70)
        if b"svg" in web.get(f"/objects/{key}/thumbnail").body
    ]
    assert all("<script>" not in text for text in hostile)


def test_who_is_connected_and_what_is_sent_shows_while_it_happens(web: Web, node: NodeProcess) -> None:
    """And in the list of what was sent last, when it is over."""
    with client.association(node.port, [(client.VERIFICATION, client.PLAIN)], calling="SOMEBODY"):
        assert "SOMEBODY" in web.get("/now/").text
    seen: list[str] = []

    def look() -> None:
        seen.append(web.get("/now/").text)

    series = {"SeriesInstanceUID": uid(1, 1, 2)}
    result, received = client.get(node.port, "SERIES", series, meanwhile=look, calling="FETCHER")
    assert (result.status, len(received.objects)) == (0, 4)
    assert re.search(r"C-GET.*FETCHER.*<progress", seen[0], re.S)
    after = web.get("/now/").text
    assert re.search(r"Sent last.*C-GET.*FETCHER.*all sent.*4 of 4", after, re.S)


def test_the_white_list_says_who_may_do_what(web: Web) -> None:
    """With the addresses that it is known by."""
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", web.get("/white-list/").text))
    assert "Anybody may ask for echo, store, find, move, get, commit, also who is not in this list." in text
    assert "ARIA 127.0.0.1 127.0.0.1:104 no \u2713 \u2713 \u2713 \u2713 \u2713 \u2713" in text
    assert "CLINIC 10.0.0.0/24 \u2013 no \u2013 \u2013 \u2713 \u2013 \u2013 \u2013" in text


def test_an_object_under_a_known_uid_shows_among_the_conflicts(web: Web) -> None:
    """With the object that has the UID."""
    text = web.get("/conflicts/").text
    assert uid(1, 1, 2, 1) in text and "ARIA" in text


def test_the_statistics_are_there_for_programs(web: Web) -> None:
    """The same numbers as on the page."""
    found = web.get("/statistics.json").json
    assert found["objects"] == 70
    counts = {each["modality"]: (each["series"], each["objects"]) for each in found["modalities"]}
    assert counts == {"CT": (1, 60), "RTIMAGE": (2, 5), "RTPLAN": (4, 4), content.HOSTILE: (1, 1)}
    assert {each["source"]: each["objects"] for each in found["sources"]} == {"CBCT": 60, "ARIA": 7, "<b>BAD</b>": 3}
    assert sum(each["objects"] for each in found["speed"]) == 70
    assert all(each["megabytes_per_second"] > 0 for each in found["speed"])
    last = found["growth"][-1]
    assert (last["total_objects"], last["total_bytes"]) == (70, found["bytes"])
    hours = web.get("/statistics.json?by=hour").json["speed"]
    assert sum(each["objects"] for each in hours) == 70


def test_a_page_whose_file_is_gone_still_says_what_the_index_knows(web: Web, node: NodeProcess) -> None:
    """And what to do about it."""
    lost = objects.image(1, 9, 2, 1)
    assert client.store(node.port, lost) == [0]
    (file,) = [each for each in node.options.data.rglob("*.dcm") if str(lost.SOPInstanceUID) in each.name]
    kept = file.read_bytes()
    file.unlink()
    (path,) = [
        path for path, text in every_page(web).items() if path.startswith("/objects/") and uid(1, 9, 2, 1) in text
    ]
    assert "Its file cannot be read. Run: qa-fetch node data verify" in web.get(path).text
    file.write_bytes(kept)


def test_a_connection_that_sends_no_request_harms_no_other(web: Web, node: NodeProcess) -> None:
    """Half a request is waited for; the next one is answered meanwhile."""
    with socket.create_connection(("127.0.0.1", web.port)) as idle:
        idle.sendall(b"GET / HTTP/1.1\r\nHost: 127")
        assert web.get("/health").status == 200
