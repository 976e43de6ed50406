"""Lists performed from outside: what is sent, what is found before that, and what the command says."""

from __future__ import annotations

import argparse
import json
import time
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rest_double import TESTS, TOKEN, Assigned, HeldTest, QATrackDouble, configured, winston_lutz

from qa_fetch.cli.qatrack import add_qatrack
from qa_fetch.errors import ConfigError
from qa_fetch.qatrack.lists import Pushed, push


@pytest.fixture
def double() -> Any:
    with QATrackDouble([Assigned(2, winston_lutz()), Assigned(1, winston_lutz(), "Daily")]) as running:
        yield running


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QATRACK_TOKEN", TOKEN)


def problem(**how: Any) -> str:
    """What the only list failed with; nothing was recorded for it."""
    (done,) = push(**how)
    assert (done.outcome, done.url) == ("failed", "")
    return done.problem


# What is sent


def test_a_list_is_performed_and_a_second_push_of_the_day_finds_it(double: QATrackDouble) -> None:
    """The composites run there; what makes the push unique names no patient."""
    configured(double.url)
    (first,) = push()
    assert (first.name, first.unit, first.outcome, first.problem) == ("wl_tb1", 1, "pushed", "")
    assert first.url == f"{double.url}/qa/session/details/1/"
    (sent,) = double.posts
    assert sent["unit_test_collection"] == f"{double.url}/api/qa/unittestcollections/2/"
    assert sent["user_key"] == f"qa_fetch:wl_tb1:1:{sent['work_started'][:10]}"
    values = {slug: data["value"] for slug, data in double.records[0]["tests"].items()}
    assert values == {
        "go": 1,
        "patientid": "QA_TB1",
        "rtplanname": "WL_6X",
        "temp": 21.5,
        "film": "EBT3",
        "wl": "images of QA_TB1",
        "wl_max_2d": 0.5,
    }
    (again,) = push(["WL-TB1"], on=sent["work_started"][:10])
    assert (again.outcome, again.url) == ("already there", first.url)
    assert len(double.posts) == len(double.records) == 1


def test_a_list_may_be_called_by_its_name_and_its_assignment_by_frequency(double: QATrackDouble) -> None:
    """An assignment that is switched off does not count."""
    ours = double.assigned[1].test_list
    double.assigned += [Assigned(1, ours, "Monthly"), Assigned(1, ours, "Old", active=False)]
    configured(double.url, test_list='"Winston-Lutz 6X"')
    assert problem() == (
        "test list 'Winston-Lutz 6X' is assigned to unit 1 with 2 frequencies. "
        "Name one of them as frequency of this list."
    )
    configured(double.url, test_list='"Winston-Lutz 6X"', frequency='"monthly"')
    assert [done.outcome for done in push()] == ["pushed"]
    assert double.posts[0]["unit_test_collection"].endswith("/3/")


def test_a_record_never_lands_on_another_unit(double: QATrackDouble) -> None:
    """Whatever the server filters: 250 lists of other units in three pages, and ours among them."""
    others = [Assigned(unit, double.assigned[0].test_list) for unit in range(3, 253)]
    double.assigned[1:1] = others
    double.filters = False
    double.record("somebody else's")
    configured(double.url)
    assert [done.outcome for done in push()] == ["pushed"]
    assert double.posts[0]["unit_test_collection"].endswith(f"/{len(double.assigned)}/")
    configured(double.url, unit="999")
    assert problem() == (
        "QATrack+ has no active assignment of test list 'winston-lutz-6x' to unit 999. "
        "Assign it there, or correct unit and test_list of this list."
    )


def test_work_begins_at_the_configured_time_and_never_in_the_future(double: QATrackDouble) -> None:
    """A day that is over is performed as of its end, so that all its images count."""
    late = '"23:59"' if datetime.now().strftime("%H:%M") < "23:59" else '"00:00"'
    configured(double.url, lists={"a": 'at = "00:00"', "b": f"at = {late}", "c": ""})
    push()
    push(["a", "c"], on=date(2025, 11, 3))
    midnight, now, _, past, end = ((one["work_started"], one["work_completed"]) for one in double.posts)
    assert midnight[0] == f"{midnight[0][:10]} 00:00:00"
    assert midnight[0] <= midnight[1]
    assert now[0] <= now[1] <= f"{datetime.now():%Y-%m-%d %H:%M:%S}"
    assert past == ("2025-11-03 00:00:00",) * 2
    assert end == ("2025-11-03 23:59:00",) * 2
    tomorrow = date.today() + timedelta(days=1)
    with pytest.raises(ConfigError) as caught:
        push(on=tomorrow)
    assert str(caught.value) == f"on={tomorrow} is still to come. Give a day that has begun."


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the time zone of a process cannot be changed here")
def test_a_push_into_another_time_zone_is_refused(double: QATrackDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    """QATrack+'s API takes times without a zone and reads them in its own: a record would be wrong by hours."""
    configured(double.url)
    monkeypatch.setenv("TZ", "EST5EDT,M3.2.0,M11.1.0")  # Toronto, where no tzdata is installed either
    time.tzset()
    try:
        double.created = "2026-07-01T18:00:00.123456Z"
        assert problem() == (
            "QATrack+ has 18:00 on its clock when this machine has 14:00, so times would be wrong. "
            "Set this machine to the time zone of QATrack+ (its TIME_ZONE; TZ in the environment)."
        )
        for double.created in ("2026-07-01T14:00:00-04:00", "2026-12-01T14:00:00-05:00", "nonsense"):
            assert [done.outcome for done in push(dry_run=True)] == ["would be pushed"]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_patient_of_the_unit_stands_in_for_a_list_without_one(double: QATrackDouble) -> None:
    """One place for the PatientID of a machine; a list that names another patient has its own way."""
    units = '[units.1]\npatient = "QA_UNIT"\n'
    tests = TESTS.replace('patientid = "QA_TB1", ', "")
    configured(double.url, lists={"a": f"tests = {tests}", "b": ""}, before=units)
    push()
    assert [sent["tests"]["patientid"] for sent in double.posts] == [{"value": "QA_UNIT"}, {"value": "QA_TB1"}]


def test_a_dry_run_checks_everything_and_records_nothing(double: QATrackDouble) -> None:
    """What is there already is said as well."""
    configured(double.url)
    assert [done.outcome for done in push(dry_run=True)] == ["would be pushed"]
    assert double.posts == []
    push()
    assert [done.outcome for done in push(dry_run=True)] == ["already there"]


# What is found before anything is sent


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"tests": '{ go = 1, patientid = "QA" }'},
         "test list 'winston-lutz-6x' has tests that nothing is given for: rtplanname, film, temp. "
         "Add them to tests of [qatrack.lists.wl_tb1], or to its skip."),
        ({"skip": '["wl_max"]'}, "test list 'winston-lutz-6x' has no test 'wl_max'. Did you mean wl_max_2d?"),
        ({"tests": TESTS.replace("temp", "xyz")},
         "test list 'winston-lutz-6x' has no test 'xyz'. "
         "It has film, go, patientid, pi, rtplanname, temp, wl, wl_max_2d."),
        ({"tests": TESTS.replace("temp =", "wl_max_2d = 1, temp =")},
         "wl_max_2d of test list 'winston-lutz-6x' is QATrack+'s to calculate. Leave it out of tests."),
        ({"tests": TESTS.replace("true", '"yes"')},
         "go of test list 'winston-lutz-6x' must be true or false. Correct it in tests of [qatrack.lists.wl_tb1]."),
        ({"tests": TESTS.replace("21.5", '"warm"')},
         "temp of test list 'winston-lutz-6x' must be a number. Correct it in tests of [qatrack.lists.wl_tb1]."),
        ({"tests": TESTS.replace("EBT3", "XR")},
         "film of test list 'winston-lutz-6x' must be one of EBT3, EBT4. "
         "Correct it in tests of [qatrack.lists.wl_tb1]."),
        ({"tests": TESTS.replace("WL_6X", "")},
         "test list 'winston-lutz-6x' has tests that nothing is given for: rtplanname. "
         "Add them to tests of [qatrack.lists.wl_tb1], or to its skip."),
        ({"tests": TESTS.replace("temp =", 'at = "6 May 2026", temp =')},
         "at of test list 'winston-lutz-6x' must be a date and time such as \"2025-11-03 14:30\". "
         "Correct it in tests of [qatrack.lists.wl_tb1]."),
    ],
)  # fmt: skip
def test_what_qatrack_would_take_wrongly_is_found_before(
    fields: dict[str, str], says: str, double: QATrackDouble
) -> None:
    """QATrack+ stores some wrong values as nothing, and has no word for others."""
    if "at =" in fields.get("tests", ""):
        double.assigned[1].test_list.tests.append(HeldTest("at", "datetime"))
    configured(double.url, **fields)
    assert problem() == says
    assert problem(dry_run=True) == says
    assert double.posts == []


def test_a_list_with_an_upload_is_for_people(double: QATrackDouble) -> None:
    """QATrack+'s API has no way to skip one."""
    double.assigned[1].test_list.tests.append(HeldTest("pdf", "upload"))
    configured(double.url, skip='["pdf"]')
    assert problem() == (
        "test list 'winston-lutz-6x' has an upload (pdf), which only a person can give. Use a list without it."
    )


# Several lists, and the command


def test_without_a_token_or_a_list_nothing_is_sent(double: QATrackDouble) -> None:
    """These are for the person who writes the configuration."""
    Path("qa_fetch.toml").write_text(f'[qatrack]\nurl = "{double.url}"\n')
    for text, says in [
        ("", "no list is configured. Add [qatrack.lists.NAME] with unit and test_list to qa_fetch.toml."),
        ('[qatrack.lists.a]\nunit = 1\ntest_list = "x"\n',
         "QATrack+: there is no token. Set token_env or token_file in [qatrack]."),
    ]:  # fmt: skip
        with Path("qa_fetch.toml").open("a") as file:
            file.write(text)
        with pytest.raises(ConfigError) as caught:
            push()
        assert str(caught.value) == says
    assert double.http.asked == []


def test_one_list_that_fails_does_not_stop_the_others(double: QATrackDouble) -> None:
    """And each is told as soon as it is done."""
    configured(double.url, lists={"a": "unit = 9", "b": ""})
    told: list[Pushed] = []
    done = push(on_list=told.append)
    assert [(one.name, one.outcome) for one in done] == [("a", "failed"), ("b", "pushed")]
    assert told == done


def run(*arguments: str) -> int:
    top = argparse.ArgumentParser()
    add_qatrack(top.add_subparsers())
    given = top.parse_args(["qatrack", *arguments])
    code: int = given.run(given)
    return code


def test_the_command_says_what_became_of_each_list(double: QATrackDouble, capsys: pytest.CaptureFixture[str]) -> None:
    """1 as soon as one failed; the same for machines."""
    configured(double.url, lists={"a": "unit = 9", "b": ""})
    assert run("push", "b", "--dry-run") == 0
    assert "would be pushed" in capsys.readouterr().out
    assert run("push") == 1
    out = capsys.readouterr().out
    assert "QATrack+ has no active assignment of test list 'winston-lutz-6x' to unit 9." in out
    assert f"{double.url}/qa/session/details/1/" in out
    assert run("push", "--json") == 1
    a, b = json.loads(capsys.readouterr().out)
    assert (a["name"], a["unit"], a["outcome"], a["url"]) == ("a", 9, "failed", "")
    assert (b["outcome"], b["problem"]) == ("already there", "")
