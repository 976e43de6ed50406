"""The tables for QATrack+ in the configuration: units, the server, and lists to push."""

from __future__ import annotations

import sys
from datetime import date, datetime, time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable

import pytest

from qa_fetch.config import Config, Unit
from qa_fetch.config.layers import Layer
from qa_fetch.errors import ConfigError

ARCHIVES = {"aria": "dimse://ESAPI@10.0.0.2:51402", "pacs": "dimse://PACS@10.0.0.3:104"}
LIST = {"unit": 1, "test_list": "winston-lutz-6x"}
LIST_KEYS = "unit, test_list, tests, skip, kind, archive, frequency, at"


def config(**tables: Any) -> Config:
    return Config([Layer("file x", {"archives": ARCHIVES, **tables}, Path("/etc/qa"))])


def refused(call: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        call(*arguments)
    return str(caught.value)


# Units


def test_a_unit_has_its_archive_and_its_patient() -> None:
    """Both are optional, and the archive may be written in other capitals, or inline."""
    units = {"1": {"archive": "ARIA", "patient": "QA_TB1"}, "0": {"archive": "folder:/qa"}, "12": {}}
    found = config(units=units)
    assert found.unit(1) == Unit(1, "ARIA", "QA_TB1")
    assert found.unit(0) == Unit(0, "folder:/qa", None)
    assert found.unit(12) == Unit(12)
    assert "QA_TB1" not in repr(found.unit(1))


def test_a_unit_that_nobody_set_has_nothing() -> None:
    """Then the default archive is meant."""
    assert config().unit(7) == Unit(7, None, None)
    assert Config([]).unit(7) == Unit(7, None, None)


def test_the_first_layer_that_defines_a_unit_wins_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of Django's settings is mixed into what the file says; there the numbers may be numbers."""
    (tmp_path / "qa_fetch.toml").write_text('[archives]\naria = "folder:/a"\n[units.1]\narchive = "aria"\n')
    settings = SimpleNamespace(configured=True, QA_FETCH={"units": {1: {"patient": "A"}, 2: {"patient": "B"}}})
    monkeypatch.setitem(sys.modules, "django.conf", SimpleNamespace(settings=settings))
    found = Config.load(tmp_path / "qa_fetch.toml")
    assert found.unit(1) == Unit(1, "aria", None)
    assert found.unit(2) == Unit(2, None, "B")


@pytest.mark.parametrize(
    ("units", "says"),
    [
        ({"tb1": {}}, "file x: 'tb1' cannot be a unit; expected QATrack+'s number of it: [units.1]."),
        ({"01": {}}, "file x: '01' cannot be a unit; expected QATrack+'s number of it: [units.1]."),
        ({"-1": {}}, "file x: '-1' cannot be a unit; expected QATrack+'s number of it: [units.1]."),
        ({True: {}}, "file x: True cannot be a unit; expected QATrack+'s number of it: [units.1]."),
        ({"1": "aria"}, "file x: units.1 is 'aria'; expected a table [units.1]."),
    ],
)  # fmt: skip
def test_a_wrong_table_of_units_is_refused_at_once(units: Any, says: str) -> None:
    """Also by calls that do not need it, so that it is found on the first day."""
    assert refused(lambda: config(units=units)) == says


@pytest.mark.parametrize(
    ("unit", "says"),
    [
        ({"archive": "arai"}, "file x: units.1.archive is 'arai'; expected one of aria, pacs. Did you mean aria?"),
        ({"archive": "dimse://ESAPI"}, "file x: units.1.archive: 'dimse://ESAPI' is not an archive's address. "
                                       "Write it as dimse://AE_TITLE@host:port."),
        ({"patient": 5}, "file x: units.1.patient is 5; expected a PatientID, in quotes."),
        ({"pateint": "x"}, "file x: units.1.pateint is not a setting of a unit; expected one of archive, patient. "
                           "Did you mean patient?"),
    ],
)  # fmt: skip
def test_a_wrong_unit_is_refused_with_what_there_is(unit: Any, says: str) -> None:
    """The sentence names the archives there are."""
    assert refused(config(units={"1": unit}).unit, 1) == says


def test_a_unit_whose_archive_is_nowhere_says_what_to_add() -> None:
    """There is no list of archives to choose from."""
    assert refused(Config([Layer("file x", {"units": {"1": {"archive": "aria"}}})]).unit, 1) == (
        "file x: units.1.archive is 'aria'; no archive is configured. Add [archives.aria] to qa_fetch.toml."
    )


# The server


def test_the_server_comes_whole_from_the_first_layer_that_has_it() -> None:
    """A token is never sent to the address of another layer; relative paths start at the file's folder."""
    first = Layer(
        "file x", {"qatrack": {"url": "https://qat.example/qatrack/", "token_file": "token"}}, Path("/etc/qa")
    )
    second = Layer("Django settings QA_FETCH", {"qatrack": {"url": "https://other", "token_env": "OTHER"}})
    lists_only = Layer("environment", {"qatrack": {"lists": {}}})
    found = Config([lists_only, first, second]).qatrack()
    assert dict(found.options) == {
        "url": "https://qat.example/qatrack",
        "token_env": None,
        "token_file": Path("/etc/qa/token"),
        "ca_file": None,
        "certificate_file": None,
        "key_file": None,
        "timeout": 60.0,
    }


def test_without_a_server_the_sentence_says_what_to_add() -> None:
    """Push and prefetch share it."""
    assert refused(config().qatrack) == ("QATrack+ is not configured. Add [qatrack] with its url to qa_fetch.toml.")


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"token_env": "T"}, "file x: qatrack.url is missing; expected an http or https address without user and "
                             "password."),
        ({"url": "ftp://x"}, "file x: qatrack.url is 'ftp://x'; expected an http or https address without user and "
                             "password."),
    ],
)  # fmt: skip
def test_a_server_without_an_address_is_refused(table: Any, says: str) -> None:
    """Nothing is guessed."""
    assert refused(config(qatrack=table).qatrack) == says


# Lists


def test_a_list_has_what_a_person_would_enter() -> None:
    """Dates as QATrack+ reads them, a flag as the number that its boolean tests want."""
    tests = {"go": True, "patientid": "QA_TB1", "t": 21.5, "n": 3, "d": date(2026, 5, 6),
             "dt": datetime(2026, 5, 6, 7, 30)}  # fmt: skip
    lists = {"wl_tb1": {**LIST, "tests": tests, "skip": ["wl_pdf"], "archive": "pacs", "at": "07:30"}}
    found = config(qatrack={"lists": lists}).test_list("WL-TB1")
    assert (found.name, found.unit, found.test_list, found.kind) == ("wl_tb1", 1, "winston-lutz-6x", "portal")
    assert found.tests == {
        "go": 1,
        "patientid": "QA_TB1",
        "t": 21.5,
        "n": 3,
        "d": "2026-05-06",
        "dt": "2026-05-06 07:30:00",
    }
    assert (found.skip, found.archive, found.at) == (("wl_pdf",), "pacs", time(7, 30))
    assert "QA_TB1" not in repr(found)


def test_toml_says_a_time_of_day_with_or_without_quotes(tmp_path: Path) -> None:
    """TOML has a time of its own, which needs seconds."""
    text = '[qatrack.lists.a]\nunit = 1\ntest_list = "x"\nat = 07:30:00\n'
    (tmp_path / "qa_fetch.toml").write_text(text)
    assert Config.load(tmp_path / "qa_fetch.toml").test_list("a").at == time(7, 30)


def test_the_first_layer_that_defines_a_list_wins_whole() -> None:
    """Lists of other layers stay beside it."""
    first = Layer("file x", {"qatrack": {"lists": {"a": LIST}}})
    second = Layer("Django settings", {"qatrack": {"lists": {"A": {**LIST, "kind": "kv"}, "b": LIST}}})
    found = Config([first, second])
    assert found.test_list_names() == ["a", "b"]
    assert found.test_list("a").kind == "portal"


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"unit": 1}, "file x: qatrack.lists.a.test_list is missing; expected the slug or the name of a test list."),
        ({**LIST, "unit": "TB1"}, "file x: qatrack.lists.a.unit is 'TB1'; expected QATrack+'s number of the unit."),
        ({**LIST, "tests": {"go now": 1}}, "file x: qatrack.lists.a.tests is {'go now': 1}; "
                                           "expected a table of slugs and values, such as { go = 1 }."),
        ({**LIST, "tests": {"t": float("nan")}}, "file x: qatrack.lists.a.tests is {'t': nan}; "
                                                 "expected a table of slugs and values, such as { go = 1 }."),
        ({**LIST, "at": "7 am"}, 'file x: qatrack.lists.a.at is \'7 am\'; expected a time of day such as "07:30".'),
        ({**LIST, "archive": "x"}, "file x: qatrack.lists.a.archive is 'x'; expected one of aria, pacs."),
        ({**LIST, "tets": {}}, f"file x: qatrack.lists.a.tets is not a setting of a list; expected one of {LIST_KEYS}. "
                               "Did you mean tests?"),
        ({**LIST, "tests": {"go": 1}, "skip": ["go"]}, "file x: qatrack.lists.a has a value for go and skips it. "
                                                       "Leave it out of tests or skip."),
    ],
)  # fmt: skip
def test_a_wrong_list_is_refused_with_what_is_expected(table: Any, says: str) -> None:
    """Before anything is sent."""
    assert refused(config(qatrack={"lists": {"a": table}}).test_list, "a") == says


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"uri": "x"}, "file x: qatrack.uri is not a setting; expected one of url, token_env, token_file, ca_file, "
                       "certificate_file, key_file, timeout, lists. Did you mean url?"),
        ({"lists": []}, "file x: qatrack.lists is []; expected tables [qatrack.lists.NAME]."),
        ({"lists": {"a": 1}}, "file x: qatrack.lists.a is 1; expected a table [qatrack.lists.a]."),
        ({"lists": {"a/b": {}}}, "file x: 'a/b' cannot name a list; expected a name without : / or \\, "
                                 "of at most 64 characters."),
        ({"lists": {"a-b": {}, "A_b": {}}}, "file x: qatrack.lists.A_b and qatrack.lists.a-b have the same name; "
                                            "expected names that differ in more than capitals, - and _."),
    ],
)  # fmt: skip
def test_a_wrong_table_for_qatrack_is_refused_at_once(table: Any, says: str) -> None:
    """A typing slip never silently means its default."""
    assert refused(lambda: config(qatrack=table)) == says


def test_a_list_that_nobody_set_is_answered_with_those_there_are() -> None:
    """Or with what to add."""
    assert refused(config(qatrack={"lists": {"a": LIST}}).test_list, "b") == (
        "no list is called 'b'. Configured are: a."
    )
    assert refused(config().test_list, "b") == "no list is called 'b'. Add [qatrack.lists.NAME] to qa_fetch.toml."


def test_every_value_of_the_tables_is_printed_with_its_origin() -> None:
    """That is how somebody finds out why a push goes where it goes; secrets stay hidden."""
    tables = {
        "units": {"1": {"patient": "QA_TB1"}},
        "qatrack": {
            "url": "https://qat",
            "token_env": "QATRACK_TOKEN",
            "lists": {"a": {**LIST, "tests": {"go": 1, "api_key": "geheim"}}},
        },
    }
    settings = {s.key: (s.value, s.origin) for s in config(**tables).settings() if s.key.startswith(("units", "qatr"))}
    default = "built-in default"
    assert settings == {
        "units.1.archive": (None, default),
        "units.1.patient": ("QA_TB1", "file x"),
        "qatrack.url": ("https://qat", "file x"),
        "qatrack.token_env": ("QATRACK_TOKEN", "file x"),
        "qatrack.token_file": (None, default),
        "qatrack.ca_file": (None, default),
        "qatrack.certificate_file": (None, default),
        "qatrack.key_file": (None, default),
        "qatrack.timeout": (60.0, default),
        "qatrack.lists.a.unit": (1, "file x"),
        "qatrack.lists.a.test_list": ("winston-lutz-6x", "file x"),
        "qatrack.lists.a.tests": ({"go": 1, "api_key": "(hidden)"}, "file x"),
        "qatrack.lists.a.skip": ([], default),
        "qatrack.lists.a.kind": ("portal", default),
        "qatrack.lists.a.archive": (None, default),
        "qatrack.lists.a.frequency": (None, default),
        "qatrack.lists.a.at": (None, default),
    }
