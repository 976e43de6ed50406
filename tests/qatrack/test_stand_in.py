"""The stand-in behaves as QATrack+ 3.1.1.4 and 4.0.0 do: the engine, point by point."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
from qatrack_engine import tokens
from qatrack_pack import Database, ImportRefused, load
from qatrack_small_packs import answers, composite, engine, one, pack, text_composite
from qatrack_text import PageBroken, ServerError, formatted

# The importer


def _of(entry: dict[str, Any], model: str) -> dict[str, Any]:
    """Return the fields of the first object of a model."""
    fields: dict[str, Any] = next(one["fields"] for one in entry["dependencies"] if one["model"] == model)
    return fields


def test_a_pack_is_imported_with_its_tests_in_the_order_of_their_memberships(tmp_path: Path) -> None:
    """What counts is ``order``, not the place in the file."""

    def turned(entry: dict[str, Any]) -> None:
        _of(entry, "qa.testlistmembership")["order"] = 9

    (tmp_path / "daily.tpk").write_text(pack(one("first"), one("second"), change=turned))
    assert [test.slug for test in load(tmp_path / "daily.tpk")["daily"].tests()] == ["second", "first"]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda entry: entry["dependencies"].pop(0), "KeyError: 'QA'"),
        (lambda entry: entry["dependencies"].pop(1), "KeyError: 'The test a'"),
        (lambda entry: _of(entry, "qa.testlistmembership").pop("order"), "NOT NULL constraint failed: order"),
        (lambda entry: _of(entry, "qa.test").update(formatting=None), "NOT NULL constraint failed: formatting"),
        (lambda entry: _of(entry, "qa.test").update(display_name=None), "NOT NULL constraint failed: display_name"),
        (lambda entry: entry["object"]["fields"].update(warning_message=None), "NOT NULL .* warning_message"),
        (lambda entry: _of(entry, "qa.category").update(description=None), "NOT NULL constraint failed: description"),
        (lambda entry: _of(entry, "qa.category").update(colour="red"), "unexpected keyword argument 'colour'"),
        (lambda entry: _of(entry, "qa.test").update(autoreviewruleset=1), "AutoReviewRuleSet"),
        (lambda entry: _of(entry, "qa.test").update(formatting="%.2f of it."), "too long for type character varying"),
        (lambda entry: _of(entry, "qa.test").update(constant_value="two"), "could not convert string to float"),
        (lambda entry: entry["dependencies"].append({"model": "qa.test"}), "KeyError: 'fields'"),
    ],
)
def test_what_qatrack_cannot_import_is_refused_whole(spoil: Callable[[dict[str, Any]], Any], reason: str) -> None:
    """Nothing of the pack stays in the database."""
    database = Database()
    with pytest.raises(ImportRefused, match=reason):
        load(pack(one("a"), change=spoil), database)
    assert database == Database()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda whole: whole["objects"].pop("testlistcycles"),
        lambda whole: whole["objects"]["testlists"].append({"key": ["daily"]}),
        lambda whole: whole["meta"].pop("version"),
    ],
)
def test_a_pack_needs_its_frame(spoil: Callable[[dict[str, Any]], Any]) -> None:
    """Three kinds of objects, each entry a string, and a version for the import page."""
    whole = json.loads(pack(one("a")))
    spoil(whole)
    with pytest.raises(ImportRefused):
        load(json.dumps(whole))


def test_a_new_category_with_the_slug_of_another_is_refused() -> None:
    """One that is there already is used as it is, whatever the pack says of it."""
    database = Database(categories={"Old": "qa"})
    with pytest.raises(ImportRefused, match="UNIQUE constraint failed: qa"):
        load(pack(one("a")), database)
    load(pack(one("a"), change=lambda entry: _of(entry, "qa.category").update(slug=None)), Database({"QA": "qa"}))


def test_what_qatrack_takes_unseen_is_taken_here_too() -> None:
    """A test of no known type, a slug that is no name, a syntax error, fields of another version."""
    fields = {"bogus": one("not a slug", "bogus"), "broken": composite("broken", "broken = = 1", of_version_9=True)}
    tests = load(pack(*fields.values()))["daily"].tests()
    assert [(test.slug, test.type) for test in tests] == [("not a slug", "bogus"), ("broken", "composite")]


def test_a_pack_can_be_imported_twice() -> None:
    """Names of tests and slugs of lists get a number, slugs of tests stay."""
    database = Database()
    for number in ("", "-1", "-2"):
        (found,) = load(pack(one("a")), database).items()
        assert found[0] == f"daily{number}"
        assert [(test.name, test.slug) for test in found[1].tests()] == [(f"The test a{number}", "a")]


# Order and context


def test_procedures_run_after_those_they_mention_and_else_by_the_alphabet(tmp_path: Path) -> None:
    """Each writes its name into META, which all of them share."""
    log = "META.setdefault('order', []).append('{0}'); {0} = {1}"
    tests = [
        composite("c", log.format("c", "1")),
        composite("b", log.format("b", "d + 1")),
        composite("d", log.format("d", "2")),
        text_composite("z", "z = ' '.join(META['order'])"),
        composite("unused", "unused = z and b and c and d and 1"),
    ]
    assert answers(tmp_path, *tests)["z"]["value"] == "c d"  # b waits for d, and z does not mention b


def test_only_names_outside_strings_and_after_no_dot_are_seen() -> None:
    """A slug in a string, a comment or after a dot orders nothing."""
    names = {"x", "META", "wl", "a", "b", "c"}
    assert tokens("x = META.wl['a'] + \"b\"  # c\n") & names == {"x", "META"}


def test_tests_that_need_each_other_are_not_performed(tmp_path: Path) -> None:
    """Nor is what depends on them; everything else is."""
    results = answers(tmp_path, *(composite(a, f"{a} = {b}") for a, b in ("xy", "yx", "zx")), composite("w", "w = 1"))
    assert {slug: result["error"] for slug, result in results.items()} == {
        "w": None,
        **dict.fromkeys("xyz", "Cyclic test dependency"),
    }


def test_result_goes_before_the_slug_and_temporaries_go_away(tmp_path: Path) -> None:
    """Imports and variables are gone for the next test, what a test set under its slug stays."""
    results = answers(
        tmp_path,
        composite("a", "import fractions\nspare = 7\na = 1\nresult = 2"),
        text_composite("b", "b = [name in globals() for name in ('fractions', 'spare', 'result', 'a')]"),
        composite("c", "c = a + len(b)"),
    )
    assert results["b"]["value"] == [False, False, False, True]
    assert results["c"]["value"] == 6


def test_a_procedure_sees_the_posted_values_and_what_is_around_them(tmp_path: Path) -> None:
    """Dates come parsed, the dates of the work with the zone of the site, an empty one as it came."""
    what = "[go, str(day), str(moment), str(bad), str(META['work_started']), META['work_completed'], UTILS.unit.number]"
    results = answers(
        tmp_path,
        text_composite("seen", f"seen = {what}"),
        text_composite("rest", "rest = [UTILS.user.username, REFS, len(TOLS['go']), pydicom is dicom, math.pi > 3]"),
        one("go", "boolean"),
        *(one("day", "date"), one("moment", "datetime"), one("bad", "date")),
        go=1,
        day="6 May 2024",
        moment="2024-05-06 07:08:09",
        bad="soon",
    )
    assert results["seen"]["value"] == [
        *(1, "2024-05-06", "2024-05-06 07:08:09-04:00", "None", "2026-11-20 07:30:00-05:00", "", 1)
    ]
    slugs = ("seen", "rest", "go", "day", "moment", "bad")
    assert results["rest"]["value"] == ["physicist", dict.fromkeys(slugs), 7, True, True]


# Results


@pytest.mark.parametrize("bad", ["float('nan')", "-math.inf", "{'deep': [math.nan]}"])
def test_one_nan_or_infinity_loses_the_results_of_all_tests(tmp_path: Path, bad: str) -> None:
    """The answer is no JSON then."""
    with pytest.raises(PageBroken, match="the page loses the results of all tests"):
        answers(tmp_path, composite("good", "good = 1"), text_composite("bad", f"bad = {bad}"))


@pytest.mark.analysis
def test_the_two_that_qatrack_notices_cost_only_their_own_test(tmp_path: Path) -> None:
    """Infinity as a plain float, and the very object numpy.nan; a NaN that numpy computed is another."""
    import numpy

    results = answers(
        tmp_path, composite("a", "a = math.inf"), composite("b", "b = numpy.nan"), composite("c", "c = 1")
    )
    assert [results[slug]["error"].splitlines()[-1] for slug in "ab"] == [
        "ValueError: a has a result of 'inf'",
        "ValueError: b has a result of 'nan'",
    ]
    assert results["c"]["value"] == 1
    with pytest.raises(PageBroken), numpy.errstate(invalid="ignore"):
        answers(tmp_path, composite("a", "a = numpy.float64('nan')"))


def test_an_open_bracket_in_one_procedure_breaks_the_whole_post(tmp_path: Path) -> None:
    """A mere syntax error does not."""
    with pytest.raises(ServerError, match="QATrack\\+ cannot read a procedure of this list"):
        answers(tmp_path, composite("good", "good = 1"), composite("bad", "bad = (1"))
    results = answers(tmp_path, composite("good", "good = 1"), composite("bad", "bad = = 1"))
    assert results["good"]["value"] == 1
    assert results["bad"]["error"].splitlines()[-1] == "SyntaxError: invalid syntax"


def test_what_json_does_not_know_is_written_as_far_as_qatrack_can(tmp_path: Path) -> None:
    """Sets, ranges, dates; not paths, bytes, or a person's name."""
    results = answers(
        tmp_path,
        text_composite("a", "import datetime as d\na = [{1}, range(2), d.date(2024, 5, 6), d.datetime(2024, 5, 6, 7)]"),
        text_composite("b", "import decimal, datetime as d\nb = [decimal.Decimal('2'), d.timedelta(1, 62), d.time(7)]"),
        text_composite("c", "c = pydicom.uid.UID('1.2')"),
        text_composite("d", "d = b'bytes'"),
        text_composite("e", "e = pydicom.valuerep.PersonName('A^B')"),
    )
    assert results["a"]["value"] == [[1], [0, 1], "06 May 2024", "06 May 2024 07:00:00"]
    assert results["b"]["value"] == ["2", "P1DT00H01M02S", "07:00:00"]
    assert results["c"]["value"] == "1.2"
    assert results["d"]["error"].splitlines()[-1] == (
        "ValueError: d failed with error: Object of type bytes is not JSON serializable."
    )
    assert results["e"]["error"].splitlines()[-1].startswith("ValueError: e failed with error: ")


@pytest.mark.analysis
def test_numpy_values_are_plain_ones_on_the_page(tmp_path: Path) -> None:
    """Scalars, arrays and truth values."""
    result = answers(tmp_path, text_composite("a", "a = [numpy.float32(0.5), numpy.arange(3), numpy.bool_(True)]"))["a"]
    assert result["value"] == [0.5, [0, 1, 2], True]


@pytest.mark.parametrize(
    ("value", "formatting", "text"),
    [
        (1.23456, "%.2f", "1.23"),
        (1.23456, "{:.1f}", "1.2"),
        (None, "%.2f", "%.2f"),
        (None, "", "None"),
        ({"a": 1}, None, "{'a': 1}"),
        (0.5, "", "0.50000000"),
        (2 / 3, None, "0.66666667"),
        (-123.456, "", "-123.45600"),
        (12345678.9, "", "12345679"),
        (1e9, "", "1.0000000e+9"),
        (0.00012, "", "1.2000000e-4"),
        (0, "", "0"),
    ],
)
def test_results_are_formatted_as_the_test_asks(value: Any, formatting: Optional[str], text: str) -> None:
    """By either style, else with eight digits."""
    assert formatted(value, formatting) == text


# Errors


def test_the_tooltip_begins_at_the_last_frame_of_the_procedure_and_has_no_cause(tmp_path: Path) -> None:
    """Whatever stands before it is cut, so the last line must stand alone."""
    procedure = "def fetch():\n    try:\n        {}['a']\n    except KeyError as cause:\n        "
    results = answers(tmp_path, text_composite("wl", procedure + "raise ValueError('no image') from cause\nfetch()"))
    assert results["wl"] == {
        "value": None,
        "error": 'Invalid Test Procedure: wl", line 5, in fetch\nValueError: no image\n',
        "comment": "",
        "user_attached": [],
    }


def test_the_tooltip_knows_the_first_five_frames(tmp_path: Path) -> None:
    """The engine, the procedure and three calls."""
    calls = "".join(f"def f{number}(): f{number + 1}()\n" for number in range(6)) + "def f6(): 1 / 0\nf0()"
    error = answers(tmp_path, composite("deep", calls))["deep"]["error"]
    assert error == 'Invalid Test Procedure: deep", line 3, in f2\nZeroDivisionError: division by zero\n'


@pytest.mark.parametrize("mentioned", ["go", "wl", "late"])
def test_an_error_is_silent_while_a_mentioned_test_is_empty(tmp_path: Path, mentioned: str) -> None:
    """Empty is what nobody entered, a composite that returned None, and one that failed."""
    tests = [
        one("go", "boolean"),
        text_composite("wl", "wl = None"),
        text_composite("late", "late = 1 / 0"),
        composite("largest", f"largest = 1 / 0 if {mentioned} else {{}}['x']"),
    ]
    assert answers(tmp_path, *tests)["largest"]["error"] is None
    once_entered = answers(tmp_path, *tests, go=1)["largest"]["error"]
    assert (once_entered is None) == (mentioned != "go")


# UTILS


def test_a_procedure_sets_comments_and_skips_and_reads_them(tmp_path: Path) -> None:
    """A comment is of the one test; a skip is known to the tests after it."""
    it = engine(
        tmp_path,
        composite("a", "UTILS.set_comment('by hand'); UTILS.set_skip('c', True); a = 1"),
        text_composite("b", "b = [a, UTILS.get_skip('c'), UTILS.get_skip('d'), UTILS.get_comment('d')]"),
        *(one("c"), one("d")),
    )
    answer = it.compute(dict.fromkeys("abcd"), {}, skips={"d": True}, comments={"d": "seen"})
    assert answer["skips"] == {"c": True}
    assert [answer["results"][slug]["comment"] for slug in "ab"] == ["by hand", None]
    assert answer["results"]["b"]["value"] == [1, True, True, "seen"]


def test_files_are_attached_to_the_test_that_writes_them(tmp_path: Path) -> None:
    """Bytes, a stream, an open file, text, and a path, of which the text is written."""
    procedure = """
import io
stream = io.BytesIO(b'in a stream'); stream.read()
for name, obj in [('a.pdf', b'bytes'), ('/etc/b.PNG', stream), ('c', 'text'), ('d.pdf', '/no/such/file')]:
    UTILS.write_file(name, obj)
a = 1
"""
    it = engine(tmp_path, composite("a", procedure), composite("b", "b = a"))
    results = it.compute(dict.fromkeys("ab"), {})["results"]
    files = results["a"]["user_attached"]
    written = [it.attachments.path(one["attachment_id"]).read_bytes() for one in files]
    assert written == [b"bytes", b"in a stream", b"text", b"/no/such/file"]
    assert [one["attachment_id"] for one in files] == it.attachments.ids() == [1, 2, 3, 4]
    assert set(files[0]) == {"attachment_id", "name", "size", "url", "is_image"}
    assert results["b"]["user_attached"] == []


@pytest.mark.analysis
def test_a_figure_is_attached_as_its_name_says(tmp_path: Path) -> None:
    """UTILS.get_figure gives one that no other thread has."""
    it = engine(
        tmp_path, composite("a", "f = UTILS.get_figure()\nf.add_subplot()\nUTILS.write_file('a.pdf', f)\na = 1")
    )
    it.compute({"a": None}, {})
    assert it.attachments.path(1).read_bytes().startswith(b"%PDF")


def test_ten_threads_compute_without_seeing_each_other(tmp_path: Path) -> None:
    """Each POST has its own context, and every file its own id."""
    procedure = "import time\nspare = x\ntime.sleep(0.01)\nUTILS.write_file('a.txt', str(x))\na = spare"
    it = engine(tmp_path, one("x"), composite("a", procedure))
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda x: it.compute({"x": x, "a": None}, {})["results"]["a"], range(30)))
    assert [result["value"] for result in found] == list(range(30))
    ids = [result["user_attached"][0]["attachment_id"] for result in found]
    assert [it.attachments.path(number).read_text() for number in ids] == [str(x) for x in range(30)]
