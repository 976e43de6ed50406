"""Who may look at the pages, and who may put something to them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import node_client as client
import node_objects as objects
import pytest
from node_objects import uid
from node_script import done
from web_client import Web, form

from qa_fetch.errors import ConfigError
from qa_fetch.node import NodeOptions, NodeProcess
from qa_fetch.node import Web as WebOptions

WRONG = "This name and password do not belong together. Try again, or ask the node&#x27;s administrator."
WAIT = "Too many wrong passwords came from here. Wait five minutes, then try again."
NO_PATH = (
    "a path of this server is not taken, only content. "
    "Send the file itself: POST /annotations/study, series or instance/UID, for example as multipart/form-data."
)
NO_JSON = "the upload is said to be JSON and is none. Correct it, or send it with another Content-Type."
NO_NAME = "the upload has no name. Add ?name= to the address, or send it as multipart/form-data."
NO_STUDY = "this node has no study with this UID. Store it first, or check the UID."
NO_LEVEL = "this level is not known. Use study, series or instance."
STUDY = f"/annotations/study/{uid(1, 1)}"
PASSWORD = "a good pass phrase"


_BEGUN = "__import__('qa_fetch.node.index').node.index.start(options)"
_ACCOUNTS = "__import__('qa_fetch.node.accounts').node.accounts"


def accounts(options: NodeOptions, call: str) -> Any:
    """What a function of ``qa_fetch.node.accounts`` gives, in a process of its own."""
    return done(options, f"({_BEGUN}, {_ACCOUNTS}.{call})[1]")


def names(options: NodeOptions) -> Any:
    """Who is known, as name, kind and whether they may write."""
    return done(options, f"({_BEGUN}, [(a.name, a.kind, a.may_write) for a in {_ACCOUNTS}.list()])[1]")


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> NodeOptions:
    """Of a node that wants to know who looks, and lets some of them write."""
    folder = tmp_path_factory.mktemp("access")
    web = WebOptions(port=0, sign_in=True, read_only=False)
    return NodeOptions(folder / "node", port=0, log=folder / "node.log", web=web)


@pytest.fixture(scope="module")
def tokens(options: NodeOptions) -> dict[str, str]:
    """Tokens by what they may do; the accounts ann (who may write) and bob are made as well."""
    calls = [f"add('ann', {PASSWORD!r}, True)", f"add('bob', {PASSWORD!r})"]
    for call in calls:
        accounts(options, call)
    return {"write": accounts(options, "add_token('robot', True)"), "read": accounts(options, "add_token('watch')")}


@pytest.fixture(scope="module")
def node(options: NodeOptions, tokens: dict[str, str]) -> Iterator[NodeProcess]:
    """The node, with one plan and one image."""
    with NodeProcess(options) as running:
        assert client.store(running.port, objects.plan(), objects.image()) == [0, 0]
        yield running


def signed_in(node: NodeProcess, name: str) -> Web:
    """Somebody who has signed in."""
    web = Web(node.web_port, browser=True)
    web.get("/sign-in/")
    assert web.post("/sign-in/", {"name": name, "password": PASSWORD}).status == 302
    return web


def test_who_is_not_signed_in_sees_nothing(node: NodeProcess) -> None:
    """A browser is sent to sign in and comes back afterwards; a program is told what to send."""
    browser, program = Web(node.web_port, browser=True), Web(node.web_port)
    for path in ("/", "/patients/1/", "/objects/1/picture", "/statistics.json", STUDY, "/save_annotation/", "/nothing"):
        assert browser.get(path).status == 302
        answer = program.get(path)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="qa_fetch node"')
        assert answer.json == {"error": "sign in, or send a token in the Authorization header."}
    assert browser.get("/patients/1/?page=2").headers["Location"] == "/sign-in/?next=/patients/1/%3Fpage%3D2"
    page = browser.get("/sign-in/").text
    assert "Patients" not in page
    assert browser.get("/static/node.css").status == 200


def test_signing_in_leads_on_and_signing_out_ends_it(node: NodeProcess) -> None:
    """The session is gone on the server too, not only its cookie."""
    web = Web(node.web_port, browser=True)
    web.get("/sign-in/?next=/statistics/")
    answer = web.post("/sign-in/", {"name": "ann", "password": PASSWORD, "next": "/statistics/"})
    assert (answer.status, answer.headers["Location"]) == (302, "/statistics/")
    assert web.get("/").status == 200
    kept = dict(web.cookies)
    assert web.get("/sign-out/").status == 405
    assert web.post("/sign-out/", {}).headers["Location"] == "/sign-in/"
    web.cookies = kept
    assert web.get("/").status == 302


@pytest.mark.parametrize("goal", ["//evil.example/", "https://evil.example/", "javascript:alert(1)", "/\\evil.example"])
def test_signing_in_leads_nowhere_else(node: NodeProcess, goal: str) -> None:
    """A goal off this node is left out."""
    web = Web(node.web_port, browser=True)
    web.get("/sign-in/")
    answer = web.post("/sign-in/", {"name": "ann", "password": PASSWORD, "next": goal})
    assert (answer.status, answer.headers["Location"]) == (302, "/")


def test_cookies_are_for_the_node_alone(node: NodeProcess) -> None:
    """No script reads the session, and no other site makes a browser send it."""
    web = Web(node.web_port, browser=True)
    web.get("/sign-in/")
    cookies = web.post("/sign-in/", {"name": "bob", "password": PASSWORD}).headers.get_all("Set-Cookie") or []
    assert all("SameSite=Strict" in cookie for cookie in cookies)
    assert ["HttpOnly" in cookie for cookie in cookies if cookie.startswith("qa_fetch_node=")] == [True]


def test_a_form_without_its_token_is_not_taken(node: NodeProcess) -> None:
    """Another site cannot know it."""
    web = Web(node.web_port, browser=True)
    answer = web.post("/sign-in/", {"name": "ann", "password": PASSWORD, "csrfmiddlewaretoken": "x"})
    assert answer.status == 403
    assert "The form was not sent from this node&#x27;s own page, or its page is old." in answer.text


def test_wrong_passwords_are_slowed_down_for_who_gives_them(node: NodeProcess) -> None:
    """Five tries at a name; others sign in meanwhile, and the right password does not help who waits."""
    web = Web(node.web_port, browser=True)
    web.get("/sign-in/")
    for _ in range(5):
        answer = web.post("/sign-in/", {"name": "eve", "password": "guess"})
        assert (answer.status, WRONG in answer.text) == (403, True)
    answer = web.post("/sign-in/", {"name": "eve", "password": PASSWORD})
    assert (answer.status, WAIT in answer.text) == (429, True)
    signed_in(node, "bob")


def test_a_token_that_is_not_known_is_refused(node: NodeProcess) -> None:
    """With what to do."""
    answer = Web(node.web_port, token="wrong\u00e9").get("/statistics.json")
    said = {"error": "this token is not known. Ask the node's administrator for one."}
    assert (answer.status, answer.json) == (401, said)


def test_who_may_only_look_puts_nothing_there(node: NodeProcess, tokens: dict[str, str]) -> None:
    """Neither an account nor a token; the page does not even offer it."""
    answer = Web(node.web_port, token=tokens["read"]).post(STUDY, b"{}", Content_Type="application/json")
    said = {"error": "this token may only read. Ask for one made with --write."}
    assert (answer.status, answer.json) == (403, said)
    bob = signed_in(node, "bob")
    assert 'class="upload"' not in bob.get("/studies/1/").text
    answer = bob.post(f"{STUDY}?name=x", {"file": "x"})
    assert (answer.status, answer.json) == (
        403,
        {"error": "this account may only look. Ask for one made with --write."},
    )


def test_a_file_is_put_to_a_study_listed_and_fetched_again(node: NodeProcess, tokens: dict[str, str]) -> None:
    """By a form, as JSON and as plain bytes; each keeps its name, its content and who gave it."""
    robot = Web(node.web_port, token=tokens["write"])
    body, kind = form("report \u00e4.txt", b"all well")
    first = robot.post(STUDY, body, Content_Type=kind)
    assert (first.status, first.json["name"], first.json["size"], first.json["author"]) == (
        201,
        "report \u00e4.txt",
        8,
        "robot",
    )
    second = robot.post(STUDY, b'{"passed": true}', Content_Type="application/json")
    assert (second.status, second.json["name"]) == (201, "annotation.json")
    third = robot.post(f"{STUDY}?name=film.bin", bytes(range(256)) * 5000, Content_Type="application/octet-stream")
    assert (third.status, third.json["size"]) == (201, 1_280_000)
    listed = robot.get(STUDY).json["annotations"]
    assert listed == [first.json, second.json, third.json]
    fetched = robot.get(first.headers["Location"])
    assert (fetched.body, fetched.headers["Content-Type"]) == (b"all well", "text/plain")
    assert fetched.headers["Content-Disposition"] == "attachment; filename*=utf-8''report%20%C3%A4.txt"
    assert robot.get(third.headers["Location"]).body == bytes(range(256)) * 5000
    assert robot.ask("DELETE", first.headers["Location"]).status == 405


def test_an_annotation_is_given_on_the_page(node: NodeProcess) -> None:
    """And shows there afterwards, with who gave it."""
    ann = signed_in(node, "ann")
    body, kind = form("seen.txt", b"seen")
    token = ann.cookies["qa_fetch_node_csrf"]
    answer = ann.post(f"/annotations/instance/{uid(1, 1, 2, 1)}", body, Content_Type=kind, X_CSRFToken=token)
    assert (answer.status, answer.headers["Location"]) == (302, "/objects/2/#annotations")
    text = ann.get("/objects/2/").text
    assert "seen.txt</a>" in text and "<td>ann</td>" in text


def test_the_same_content_is_kept_once(node: NodeProcess, tokens: dict[str, str]) -> None:
    """Under its digest; its names are only in the index."""
    robot = Web(node.web_port, token=tokens["write"])
    address = f"/annotations/series/{uid(1, 1, 2)}"
    digests = {robot.post(f"{address}?name={name}", b"same", Content_Type="text/plain").json["sha256"] for name in "ab"}
    (digest,) = digests
    kept = node.options.data / "annotations" / digest
    assert kept.read_bytes() == b"same"
    assert not list(kept.parent.glob("*.part"))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\secret\\plan.dcm", "plan.dcm"),
        ("a\r\nSet-Cookie: x=1", "aSet-Cookie: x=1"),
        ("exe.\u202etxt.exe", "exe.txt.exe"),
        ("...", "annotation"),
        ("<script>.html", "<script>.html"),
        ("x" * 400, "x" * 150),
    ],
)
def test_a_name_leads_nowhere(node: NodeProcess, tokens: dict[str, str], given: str, kept: str) -> None:
    """What is fetched is saved under a plain name, and never shown in the node's name."""
    robot = Web(node.web_port, token=tokens["write"])
    answer = robot.post(f"{STUDY}?name={_quoted(given)}", b"<script>alert(1)</script>", Content_Type="text/html")
    assert (answer.status, answer.json["name"]) == (201, kept)
    fetched = robot.get(answer.headers["Location"])
    assert fetched.headers["Content-Type"] == "application/octet-stream"
    assert fetched.headers["Content-Disposition"].startswith("attachment; filename")
    assert fetched.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert "Set-Cookie" not in fetched.headers
    assert "<script>alert" not in Web(node.web_port, browser=True, token=tokens["read"]).get("/studies/1/").text


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


@pytest.mark.parametrize(
    ("path", "body", "kind", "status", "message"),
    [
        (STUDY, b'{"file_path": "/etc/passwd", "uid": "1", "level": "study"}', "application/json", 400, NO_PATH),
        ("/save_annotation/", b'{"file_path": "/etc/passwd"}', "application/json", 400, NO_PATH),
        (STUDY, b"file_path=/etc/passwd", "application/x-www-form-urlencoded", 400, NO_NAME),
        (STUDY, b"{", "application/json", 400, NO_JSON),
        (STUDY, b"x", "text/plain", 400, NO_NAME),
        (f"{STUDY}?name=x", b"", "text/plain", 400, "the upload is empty. Send the content of the file."),
        ("/annotations/study/1.2.3?name=x", b"x", "text/plain", 404, NO_STUDY),
        ("/annotations/patient/QA1?name=x", b"x", "text/plain", 404, NO_LEVEL),
    ],
)
def test_what_is_not_taken_is_said_in_one_sentence(
    node: NodeProcess, tokens: dict[str, str], path: str, body: bytes, kind: str, status: int, message: str
) -> None:
    """Paths of the server above all, which SPHERE copied."""
    answer = Web(node.web_port, token=tokens["write"]).post(path, body, Content_Type=kind)
    assert (answer.status, answer.json) == (status, {"error": message})


def test_a_form_with_a_path_instead_of_a_file_is_not_taken(node: NodeProcess, tokens: dict[str, str]) -> None:
    """The same sentence; without either, another one."""
    robot = Web(node.web_port, token=tokens["write"])
    field = b'--limit\r\nContent-Disposition: form-data; name="%s"\r\n\r\n/etc/passwd\r\n--limit--\r\n'
    no_file = "the form has no file. Choose one, and send it again."
    for name, message in ((b"file_path", NO_PATH), (b"other", no_file)):
        answer = robot.post(STUDY, field % name, Content_Type="multipart/form-data; boundary=limit")
        assert (answer.status, answer.json) == (400, {"error": message})


def test_more_than_64_megabytes_are_not_taken(node: NodeProcess, tokens: dict[str, str]) -> None:
    """Neither announced so, nor found so; nothing of it stays."""
    robot = Web(node.web_port, token=tokens["write"])
    said = {"error": "the upload is larger than 64 MB. Put it elsewhere, and annotate a link to it."}
    answer = Web(node.web_port).post("/sign-in/", bytes(66 << 20), Content_Type="multipart/form-data; boundary=x")
    assert (answer.status, answer.json) == (413, said)
    for length in ((64 << 20) + 1, (66 << 20)):
        answer = robot.post(f"{STUDY}?name=large", bytes(length), Content_Type="application/octet-stream")
        assert (answer.status, answer.json) == (413, said)
    assert not list((node.options.data / "annotations").glob("*.part"))


def test_no_page_puts_an_identifier_into_the_log(
    node: NodeProcess, options: NodeOptions, tokens: dict[str, str]
) -> None:
    """Whatever was asked for."""
    Web(node.web_port, token=tokens["read"]).get("/?name=Machine1&id=QA1")
    assert options.log is not None
    said = [json.loads(line)["message"] for line in options.log.read_text().splitlines()]
    assert said and not any("QA1" in message or "Machine" in message for message in said)


def test_a_read_only_node_takes_nothing_and_still_shows_all(tmp_path: Path) -> None:
    """As it is when nobody says otherwise."""
    with NodeProcess(NodeOptions(tmp_path / "node", port=0, web=WebOptions(port=0))) as node:
        assert client.store(node.port, objects.plan()) == [0]
        web = Web(node.web_port)
        answer = web.post(f"{STUDY}?name=x", b"x", Content_Type="text/plain")
        said = {"error": "this node is read-only. Set read_only = false in its [web]."}
        assert (answer.status, answer.json) == (403, said)
        assert web.get(STUDY).json == {"annotations": []}
        assert 'class="upload"' not in Web(node.web_port, browser=True).get("/studies/1/").text


def test_without_signing_in_only_programs_of_this_machine_and_its_own_pages_write(tmp_path: Path) -> None:
    """A page of another site that makes a browser of this machine send something is refused."""
    options = NodeOptions(tmp_path / "node", port=0, web=WebOptions(port=0, read_only=False))
    with NodeProcess(options) as node:
        assert client.store(node.port, objects.plan()) == [0]
        address, web = f"{STUDY}?name=x", Web(node.web_port)
        assert web.post(address, b"x", Content_Type="text/plain").status == 201
        for header in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}):
            assert web.post(address, b"x", Content_Type="text/plain", **header).status == 403
        assert web.get("/", Host="evil.example").status == 400


def test_accounts_and_tokens_are_listed_and_removed(tmp_path: Path) -> None:
    """By name; no password and no token can be read out of the list."""
    options = NodeOptions(tmp_path / "node", port=0)
    assert accounts(options, f"add('ann', {PASSWORD!r}, True)") is None
    token = accounts(options, "add_token('robot')")
    assert len(token) == 43
    listed = accounts(options, "list().__repr__()")
    assert token not in listed and PASSWORD not in listed
    assert names(options) == [["ann", "user", True], ["robot", "token", False]]
    assert accounts(options, "remove('robot')") is None
    assert names(options) == [["ann", "user", True]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("add('', 'long enough')", "the name of an account is 1 to 150 printable characters. Choose another one."),
        ("add_token('a\\nb')", "the name of an account is 1 to 150 printable characters. Choose another one."),
        ("add('x', 'short')", "the password is too short. Choose one of 8 characters or more."),
        (
            "add_token('ann')",
            "there is an account or a token named 'ann' already. Choose another name, or remove it.",
        ),
        ("remove('nobody')", "there is no account and no token named 'nobody'. Choose one of ann, bob, robot, watch."),
    ],
)
def test_an_account_that_cannot_be_made_or_removed_says_why(
    options: NodeOptions, tokens: dict[str, str], call: str, message: str
) -> None:
    """In one sentence."""
    assert accounts(options, call) == {"error": ConfigError.__name__, "says": message}
