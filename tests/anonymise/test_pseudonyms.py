"""``qa-fetch pseudonyms``: a De-ID service over real HTTPS, well and badly behaved, and a list of one's own."""

from __future__ import annotations

import json
import logging
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commands import Ran, failed
from deid_service import TOKEN, Deid, endless
from peers.http_double import Reply, certificate
from peers.process import Missing, free_port, skip_or_fail

from qa_fetch.anonymise import pseudonyms as module
from qa_fetch.anonymise.deid import DeidService
from qa_fetch.anonymise.identities import Identities
from qa_fetch.anonymise.keyed import Key
from qa_fetch.anonymise.pseudonyms import custom_pseudonyms, pseudonyms
from qa_fetch.errors import BadArchive, ConfigError, ConnectionFailed, NotFound, QAFetchError, Refused

Pair = tuple[Path, Path]
PATIENTS = ["1234", "87262"]
FOREVER = threading.Event()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A certificate for the service, made once."""
    try:
        return certificate(tmp_path_factory.mktemp("deid"))
    except Missing as missing:
        skip_or_fail(missing)


@pytest.fixture
def deid(pair: Pair) -> Iterator[Deid]:
    """The service."""
    with Deid(pair) as running:
        yield running


@pytest.fixture
def service(deid: Deid, pair: Pair, tmp_path: Path) -> DeidService:
    """Its configuration, which does not wait long between two tries."""
    return replace(DeidService.load(deid.config(tmp_path, pair[0])), pauses=(0.0, 0.0), timeout=5.0)


@pytest.fixture(autouse=True)
def no_token_in_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever happens, no log holds the token or a patient."""
    caplog.set_level(logging.DEBUG)
    yield
    assert not [word for word in (TOKEN, *PATIENTS) if word in caplog.text]


def read(path: Any) -> Any:
    return json.loads(Path(path).read_text("utf-8"))


def failure(service: DeidService, kind: type[QAFetchError], to: Path) -> QAFetchError:
    """How asking fails; nothing is written then, and the sentence names neither the token nor a patient."""
    with pytest.raises(QAFetchError) as caught:
        pseudonyms(PATIENTS, "TRIAL17", service=service, to=to, shift_days=True)
    assert type(caught.value) is kind
    assert not to.exists()
    assert not [word for word in (TOKEN, *PATIENTS) if word in str(caught.value)]
    return caught.value


# --- the service


def test_codes_and_day_shifts_are_asked_for_and_kept(deid: Deid, service: DeidService, tmp_path: Path) -> None:
    """By the contract, once per patient, in files of mode 0600 that ``Identities`` takes."""
    asked = ["1234", "sub-87262", "1234 "]
    made = pseudonyms(asked, "TRIAL17", service=service, to=tmp_path / "keys", shift_days=True)
    body = {"project": "TRIAL17", "PatientIDList": [{"PatientID": "1234"}, {"PatientID": "87262"}]}
    assert [(one.method, one.path) for one in deid.asked] == [("POST", "/api/deid"), ("POST", "/api/deid_shift")]
    assert deid.bodies == [body, body]
    assert {one.headers["Authorization"] for one in deid.asked} == {f"token {TOKEN}"}
    assert (made.new_ids.name, made.patients) == ("new_ids_TRIAL17.json", 2)
    assert read(made.new_ids) == {"sub-1234": "GPCR-00001", "sub-87262": "GPCR-00002"}
    assert read(made.day_shift) == {"sub-1234": -7, "sub-87262": -14}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()} == {0o600}
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    key = Key.load(tmp_path / "trial.key")
    identities = Identities(key, tmp_path / "ids", new_ids=made.new_ids, offsets=made.day_shift)
    assert (identities.code("87262"), identities.days("87262")) == ("GPCR-00002", -14)


def test_patients_are_asked_for_500_at_a_time(deid: Deid, service: DeidService, tmp_path: Path) -> None:
    """Over one connection, and without day shifts unless they are wanted."""
    made = pseudonyms((f"A{n}B" for n in range(1001)), "T", service=service, to=tmp_path / "keys")
    assert [len(body["PatientIDList"]) for body in deid.bodies] == [500, 500, 1]
    assert (deid.connections, made.day_shift, len(read(made.new_ids))) == (1, None, 1001)


def test_a_later_run_adds_to_the_files_and_contradictions_are_told(
    deid: Deid, service: DeidService, tmp_path: Path
) -> None:
    """What is there stays; another code or another shift is an error."""
    keys = tmp_path / "keys"
    pseudonyms(PATIENTS[:1], "TRIAL17", service=service, to=keys, shift_days=True)
    made = pseudonyms(PATIENTS[1:], "TRIAL17", service=service, to=keys, shift_days=True)
    assert list(read(made.new_ids)) == list(read(made.day_shift)) == ["sub-1234", "sub-87262"]
    before = made.new_ids.read_bytes()
    deid.numbers = {"1234": 9}
    for what, path in (("code", made.new_ids), ("day shift", made.day_shift)):
        with pytest.raises(ConfigError) as caught:
            pseudonyms(["1234"], "TRIAL17", service=service, to=keys, shift_days=True)
        assert str(caught.value) == (
            f"a patient has another {what} in {path} than now. "
            "Find out which is right, or name another folder for the new ones."
        )
        deid.changed = lambda answer: {"1234": "GPCR-00001"} if "GPCR-00009" in answer.values() else answer
    deid.changed = lambda answer: {"5555": "GPCR-00001"}
    with pytest.raises(ConfigError) as caught:
        pseudonyms(["5555"], "TRIAL17", service=service, to=keys)
    assert str(caught.value) == (
        f"a code that {made.new_ids} has for one patient is now another's. Give each a code of its own."
    )
    assert made.new_ids.read_bytes() == before


def test_a_service_that_fails_at_first_is_asked_again(deid: Deid, service: DeidService, tmp_path: Path) -> None:
    """After an error of its own, an answer that breaks off, and none at all."""
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{"
    deid.replies = [Reply(500), Reply(raw=[whole]), Reply(503, close=True), Reply(raw=[])]
    made = pseudonyms(PATIENTS, "T", service=replace(service, pauses=(0.0,) * 4), to=tmp_path / "keys")
    assert read(made.new_ids)["sub-1234"] == "GPCR-00001"
    assert len(deid.asked) == 5


def test_a_service_that_goes_on_failing_is_given_up(deid: Deid, service: DeidService, tmp_path: Path) -> None:
    """After as many tries as there are pauses, and one."""
    deid.replies = [Reply(502, b"<h1>1234</h1>")] * 9
    error = failure(service, Refused, tmp_path / "keys")
    assert str(error) == "the De-ID service failed (HTTP 502). Its log says why; run again later."
    assert (error.retriable, len(deid.asked)) == (True, 3)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (401, "does not accept the token (HTTP 401). Check deid_token, or ask its administrator for a new one."),
        (403, "does not accept the token (HTTP 403). Check deid_token, or ask its administrator for a new one."),
        (404, "has nothing under this address (HTTP 404). Check deid_URL."),
        (400, "refused the question (HTTP 400). Check the project and that its patients are known there."),
        (429, "was asked too often (HTTP 429). Run again in a few minutes."),
        (204, "answered with a status that is no success (HTTP 204). Check deid_URL."),
    ],
)
def test_a_refusal_is_told_and_not_asked_again(
    deid: Deid, service: DeidService, tmp_path: Path, status: int, sentence: str
) -> None:
    """What the answer says beside its status is not shown."""
    deid.replies = [Reply(status, b"" if status == 204 else b"1234 is unknown")]
    assert str(failure(service, Refused, tmp_path / "keys")) == f"the De-ID service {sentence}"
    assert len(deid.asked) == 1


def test_a_wrong_token_is_refused(deid: Deid, service: DeidService, tmp_path: Path) -> None:
    """By the service itself."""
    error = failure(replace(service, token="wrong"), Refused, tmp_path / "keys")
    assert (error.status, len(deid.asked)) == (401, 1)  # type: ignore[attr-defined]


def test_a_redirect_is_not_followed(deid: Deid, service: DeidService, pair: Pair, tmp_path: Path) -> None:
    """The token goes where the configuration says."""
    with Deid(pair) as other:
        for status in (301, 302, 303, 307, 308):
            deid.replies = [Reply(status, headers={"Location": other.address})]
            assert str(failure(service, Refused, tmp_path / "keys")) == (
                "the De-ID service sends the question to another address, which is not followed "
                f"(HTTP {status}). Set deid_URL to where it lives now."
            )
        assert other.asked == []


NOT_JSON = (
    "the De-ID service answered with something that is not an object of JSON, so it is not used. "
    "Check deid_URL, or report it to its administrator."
)
FOREIGN = (
    "the De-ID service answered with patients that were not asked for, so nothing is used. "
    "Report it to its administrator."
)
ONE_FOR_TWO = "the De-ID service gave one code to two patients, so none is used. Report it to its administrator."
NO_SHIFT = (
    "the De-ID service gave a day shift that is 0 or no whole number of days within a century, so none is used. "
    "Report it to its administrator."
)


def unused(what: str) -> str:
    return f"the De-ID service gave a code that is not used: the code {what}. Report it to its administrator."


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"\x00\xff garbage", NOT_JSON),
        (b"<html>Sign in</html>", NOT_JSON),
        (b"{'1234': 'P1', '87262': 'P2'}", NOT_JSON),
        (b"__import__('os').system('true')", NOT_JSON),
        (b"", NOT_JSON),
        (b'["P1", "P2"]', NOT_JSON),
        (b'{"1234": "P1", "1234": "P2", "87262": "P3"}', NOT_JSON),
        (b"[" * 100_000, NOT_JSON),
        (b"{}", "the De-ID service left out 2 of the 2 patients that were asked for, so nothing is used. "
         "Check that they belong to the project, then run again."),
        (b'{"1234": "P1"}', "the De-ID service left out 1 of the 2 patients that were asked for, so nothing is used. "
         "Check that they belong to the project, then run again."),
        (b'{"1234": "P1", "87262": "P2", "5": "P5"}', FOREIGN),
        (b'{"1234": "P1", "87262": "p1"}', ONE_FOR_TWO),
        (b'{"1234": "", "87262": "P2"}', unused("is empty")),
        (b'{"1234": null, "87262": "P2"}', unused("cannot be the name of a folder and a value of DICOM")),
        (b'{"1234": ["P1"], "87262": "P2"}', unused("cannot be the name of a folder and a value of DICOM")),
        (b'{"1234": "../P1", "87262": "P2"}', unused("cannot be the name of a folder and a value of DICOM")),
        (b'{"1234": "X-12-34", "87262": "P2"}', unused("contains the patient's ID")),
        (b'{"1234": "87262", "87262": "P2"}', unused("is the ID of another patient")),
    ],
)  # fmt: skip
def test_an_answer_that_is_wrong_is_not_used(
    deid: Deid, service: DeidService, tmp_path: Path, body: bytes, sentence: str
) -> None:
    """It is neither evaluated nor repaired, and not asked for again."""
    deid.replies = [Reply(200, body)]
    assert str(failure(service, BadArchive, tmp_path / "keys")) == sentence
    assert len(deid.asked) == 1


@pytest.mark.parametrize("days", [0, "3", 2.5, True, None, 40_000])
def test_a_day_shift_that_is_none_is_not_used(deid: Deid, service: DeidService, tmp_path: Path, days: Any) -> None:
    """And the codes, which were right, are not written either."""
    deid.changed = lambda answer: {**answer, "1234": days} if -7 in answer.values() else answer
    assert str(failure(service, BadArchive, tmp_path / "keys")) == NO_SHIFT


def test_an_answer_without_end_is_not_read(deid: Deid, service: DeidService, tmp_path: Path) -> None:
    """Whether it says so or not."""
    told = "the De-ID service answered with more than 1 MB, so it is not used. Report it to its administrator."
    for reply in (Reply(200, b" " * 2_000_000), Reply(200, endless())):
        deid.replies = [reply]
        assert str(failure(service, BadArchive, tmp_path / "keys")) == told


def test_a_compressed_answer_is_not_unpacked(deid: Deid, service: DeidService, tmp_path: Path) -> None:
    """It could be of any size."""
    deid.replies = [Reply(200, b"x", headers={"Content-Encoding": "gzip"})]
    assert str(failure(service, BadArchive, tmp_path / "keys")) == (
        "the De-ID service compressed its answer although it was asked not to, so it is not used. "
        "Switch compression off in the server or proxy before it."
    )


def test_a_service_that_hangs_is_given_up(deid: Deid, service: DeidService, tmp_path: Path) -> None:
    """After its timeout, once per try."""

    def hang() -> Iterator[bytes]:
        FOREVER.wait(3)
        yield b""

    deid.replies = [Reply(raw=hang()), Reply(raw=hang())]
    error = failure(replace(service, timeout=0.2, pauses=(0.0,)), ConnectionFailed, tmp_path / "keys")
    assert str(error) == (
        f"the De-ID service (127.0.0.1 port {deid.port}) has not answered within 0.2 s. "
        "Check that it runs, or raise timeout."
    )
    assert (error.retriable, len(deid.asked)) == (True, 2)


def test_a_service_that_is_not_there_is_told(service: DeidService, tmp_path: Path) -> None:
    """Where it should be."""
    port = free_port()
    assert str(failure(replace(service, url=f"https://127.0.0.1:{port}/x"), ConnectionFailed, tmp_path / "keys")) == (
        f"nothing listens on 127.0.0.1 port {port}, where the De-ID service should be. Start it, or correct url."
    )


def test_a_certificate_that_nobody_vouches_for_is_refused(deid: Deid, service: DeidService, tmp_path: Path) -> None:
    """Neither with another authority nor without one does the token leave, and it is not tried again."""
    (tmp_path / "other").mkdir()
    other, _ = certificate(tmp_path / "other")
    for ca_file in (other, None):
        assert str(failure(replace(service, ca_file=ca_file), ConnectionFailed, tmp_path / "keys")) == (
            "the certificate of the De-ID service is signed by nobody whom this host trusts. "
            "Set ca_file to the certificate of its authority (PEM)."
        )
    assert deid.asked == []


def test_a_certificate_for_another_name_is_refused(deid: Deid, service: DeidService, tmp_path: Path) -> None:
    """The name in the address is what counts."""
    url = service.url.replace("127.0.0.1", "localhost")
    assert str(failure(replace(service, url=url), ConnectionFailed, tmp_path / "keys")) == (
        "the certificate of the De-ID service is not for localhost. Write the name that it is for in url."
    )
    assert deid.asked == []


# --- the configuration


def test_the_token_may_lie_elsewhere(deid: Deid, pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an environment variable or a file, which is found beside the configuration."""
    monkeypatch.setenv("DEID_TOKEN", TOKEN)
    (tmp_path / "token").write_text(TOKEN + "\n", "utf-8")
    for more in ({"deid_token_env": "DEID_TOKEN"}, {"deid_token_file": "token"}):
        service = DeidService.load(deid.config(tmp_path, pair[0], deid_token=None, **more))
        assert service.codes("T", ["1234"]) == {"1234": "GPCR-00001"}
        assert TOKEN not in repr(service)


def test_plain_http_is_for_this_machine_only(tmp_path: Path) -> None:
    """A service behind a proxy on the same host may do without TLS."""
    with Deid(None) as plain:
        assert DeidService.load(plain.config(tmp_path, None)).codes("T", ["1234"]) == {"1234": "GPCR-00001"}


WRONG = "deid.json is wrong: {}. Correct it and run again."


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"deid_URL": "http://deid.example/api"}, "deid_URL begins with http, so that anybody on the way "
         "could read patients' IDs and the token. Use https."),
        ({"deid_URL": "ftp://deid.example/api"}, WRONG.format("deid_URL must be an http or https address without user "
         "and password")),
        ({"deid_URL": None}, WRONG.format("deid_URL is missing")),
        ({"deid_Tokn": "x", "timeout": 0}, WRONG.format("'deid_Tokn' is not one of its keys (did you mean deid_token?);"
         " timeout must be a number of seconds above 0")),
        ({"deid_token": None}, "deid.json: there is no token. Set deid_token, deid_token_env or deid_token_file."),
        ({"deid_token_env": "NOWHERE"}, "deid.json: deid_token is set and the place of one too. Keep one of them."),
        ({"deid_token": None, "deid_token_env": "NOWHERE_SET"}, "deid.json: deid_token_env names an environment "
         "variable that is not set. Set it."),
        ({"deid_token": "a\u00e4"}, "deid.json: the token holds characters that HTTP cannot send. Correct it."),
    ],
)  # fmt: skip
def test_a_configuration_that_is_wrong_is_told(deid: Deid, tmp_path: Path, more: Any, sentence: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigError) as caught:
        DeidService.load(deid.config(tmp_path, None, **more))
    assert str(caught.value) == sentence


def test_a_configuration_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Absent, no JSON, or with a key twice."""
    path = tmp_path / "deid.json"
    for text in (None, "{", "[]", '{"deid_URL": "https://a", "deid_URL": "https://b"}'):
        if text is not None:
            path.write_text(text, "utf-8")
        with pytest.raises(ConfigError) as caught:
            DeidService.load(path)
        assert str(caught.value) == (
            f"{path} cannot be read (No such file or directory). Check the path and its permissions."
            if text is None
            else "deid.json is not a JSON object with every key once. Check its braces, quotes and commas."
        )


# --- a list of one's own


def codes_csv(folder: Path, text: str) -> Path:
    path = folder / "codes.csv"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    ["1234,A1\n87262,A2\n", "old,new\n1234,A1\n87262,A2\n5,A5\n", "PatientID;Code\n\nsub-1234;A1\n87262;A2\n"],
)
def test_codes_of_a_list_are_written_as_those_of_the_service(tmp_path: Path, text: str) -> None:
    """With names of columns or without, whatever separates them."""
    made = custom_pseudonyms(PATIENTS, "T", codes=codes_csv(tmp_path, text), to=tmp_path / "keys")
    assert read(made.new_ids) == {"sub-1234": "A1", "sub-87262": "A2"}
    assert (made.day_shift, made.patients) == (None, 2)


def test_drawn_days_stay_when_it_is_run_again(tmp_path: Path) -> None:
    """Each is from 1 to 30 days in either direction, and new patients join."""
    patients = [f"{number:04d}" for number in range(200)]
    codes = codes_csv(tmp_path, "".join(f"{one},X{9999 - int(one)}Y\n" for one in patients))
    how: dict[str, Any] = {"codes": codes, "to": tmp_path / "keys", "shift_days": True}
    first = read(custom_pseudonyms(patients[:100], "T", **how).day_shift)
    again = read(custom_pseudonyms(patients, "T", **how).day_shift)
    assert len(again) == 200 and {name: again[name] for name in first} == first
    assert all(0 < abs(days) <= 30 for days in again.values()) and len(set(again.values())) > 20


def test_every_draw_is_from_1_to_30_days_in_either_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    """And each of these 60 is drawn as often as the others."""
    drawn = []
    for number in range(60):
        monkeypatch.setattr(module.secrets, "randbelow", lambda below, number=number: number if below == 60 else None)
        drawn.append(module._drawn("", None))
    assert drawn == [*range(-30, 0), *range(1, 31)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1234,A1\n", "codes.csv has no code for 1 of the 2 patients. Add them, run again."),
        ("1234,A1\n87262,A2,x\n", "codes.csv, line 2: two columns are expected. Correct it and run again."),
        ('1234,"A1\n', "codes.csv, line 1: its quotes do not match. Correct them and run again."),
        ("1234,A1\n1234,A2\n87262,A3\n", "codes.csv, line 2: the patient has another code in line 1. "
         "Keep one of them."),
        ("1234,A1\n87262,a1\n", "codes.csv, line 2: the code is that of line 1, which is another patient. "
         "Give each patient a code of its own."),
    ],
)  # fmt: skip
def test_a_list_that_is_wrong_is_told(tmp_path: Path, text: str, sentence: str) -> None:
    """By its line, and without what stands there."""
    with pytest.raises((ConfigError, NotFound)) as caught:
        custom_pseudonyms(PATIENTS, "T", codes=codes_csv(tmp_path, text), to=tmp_path / "keys")
    assert str(caught.value) == sentence
    assert not (tmp_path / "keys").exists()


def test_a_project_never_chooses_a_path(tmp_path: Path) -> None:
    """What cannot be in a name of a file is replaced, and no two projects share one."""
    codes, names = codes_csv(tmp_path, "1234,A1\n"), set()
    for project in ("../../etc/x", "A B", "A/B", "A_B", "..", "Ä"):
        made = custom_pseudonyms(["1234"], project, codes=codes, to=tmp_path / "keys")
        assert made.new_ids.parent == tmp_path / "keys"
        names.add(made.new_ids.name)
    assert len(names) == 6 and "new_ids_A_B.json" in names


@pytest.mark.parametrize(
    ("patients", "project", "sentence"),
    [
        (["1"], " ", "the project has no name of 1 to 64 printable characters. Give it one."),
        ([], "T", "no patient is named. Give at least one PatientID."),
        (["12*"], "T", "a PatientID is empty, too long, or holds * ? or another character that no ID has. "
         "Name each patient by the whole ID."),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_told(
    service: DeidService, deid: Deid, tmp_path: Path, patients: list[str], project: str, sentence: str
) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigError) as caught:
        pseudonyms(patients, project, service=service, to=tmp_path / "keys")
    assert (str(caught.value), deid.asked) == (sentence, [])


# --- the command


def query(folder: Path, *lines: str) -> Path:
    path = folder / "query.csv"
    path.write_text("".join(line + "\n" for line in lines), "utf-8")
    return path


def test_the_command_asks_the_service(
    deid: Deid, pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two rows of one patient are one question, and the token is nowhere to be seen."""
    rows = query(tmp_path, "PatientID,Modality", "1234,CT", "87262,CT", "1234,RTPLAN")
    config, keys = deid.config(tmp_path, pair[0]), tmp_path / "keys"
    how = ("pseudonyms", rows, "--project", "TRIAL17", "--config", config, "--to", keys, "--shift-days")
    ran = Ran(capsys, how)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        f"codes of 2 patients in {keys}/new_ids_TRIAL17.json\ntheir day shifts in {keys}/day_shift_TRIAL17.json\n"
    )
    assert Ran(capsys, (*how, "--json")).json == {
        "new_ids": f"{keys}/new_ids_TRIAL17.json",
        "day_shift": f"{keys}/day_shift_TRIAL17.json",
        "patients": 2,
    }


def test_the_command_takes_a_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And says where it has put the codes."""
    rows, codes = query(tmp_path, "PatientID", "1234"), codes_csv(tmp_path, "1234,A1\n")
    ran = Ran(capsys, ("pseudonyms", rows, "--project", "T", "--custom", codes, "--to", tmp_path / "keys"))
    assert (ran.code, ran.err, ran.out) == (0, "", f"codes of 1 patients in {tmp_path}/keys/new_ids_T.json\n")


def test_rows_that_name_no_single_patient_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All at once, before anything is sent."""
    rows = query(tmp_path, "PatientID,Modality", "1234,CT", "12*,CT", ",CT")
    ran = Ran(capsys, ("pseudonyms", rows, "--project", "T", "--custom", "none.csv", "--to", tmp_path / "keys"))
    failed(
        ran,
        2,
        f"{rows} does not name one patient in row 2 (line 3), row 3 (line 4). "
        "Write a whole PatientID there, without * and ?.",
    )


def test_the_command_names_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 for patients without a code, 2 for wrong use."""
    rows, codes = query(tmp_path, "PatientID", "1234"), codes_csv(tmp_path, "5,A1\n")
    how = ("pseudonyms", rows, "--project", "T", "--to", tmp_path / "keys")
    failed(
        Ran(capsys, (*how, "--custom", codes)), 1, "codes.csv has no code for 1 of the 1 patients. Add them, run again."
    )
    assert "one of the arguments --config --custom is required" in Ran(capsys, how).err
