"""What a check finds in any test pack: what QATrack+ would reject, and what it takes and does not do."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Optional

import pytest

from qa_fetch.cli import testpack as commands
from qa_fetch.errors import ConfigError
from qa_fetch.testpack import Finding, check

FETCH = """from qa_fetch import Archive, composite
x = None
if go:
    images = Archive("aria").latest(patient, before=META["work_started"])
    x = composite.results(lambda images: images, images, UTILS)
"""


def fields_of(slug: str, kind: str, procedure: Optional[str], **more: Any) -> dict[str, Any]:
    """A test as QATrack+ exports it."""
    made: dict[str, Any] = {"name": slug.upper(), "slug": slug, "type": kind, "category": ["QA"], "formatting": ""}
    return {**made, "display_name": "", "calculation_procedure": procedure, "choices": None, **more}


def tpk(*tests: dict[str, Any], **more: Any) -> str:
    """A pack of one list ``l`` with these tests, between a boolean ``go`` and a string ``patient``."""
    tests = (fields_of("go", "boolean", ""), *tests, fields_of("patient", "string", None))
    category = {"model": "qa.category", "fields": {"name": "QA", "slug": "qa", "description": ""}}
    dependencies = [category, *({"model": "qa.test", "fields": test} for test in tests)]
    for order, test in enumerate(tests):
        fields = {"test_list": ["l"], "test": [test["name"]], "order": order}
        dependencies.append({"model": "qa.testlistmembership", "fields": fields})
    dependencies += more.get("dependencies", [])
    fields = {"name": "L", "slug": "l", "description": "", "warning_message": "", **more.get("fields", {})}
    entry = {"key": ["l"], "object": {"model": "qa.testlist", "fields": fields}, "dependencies": dependencies}
    objects = {"tests": [], "testlists": [json.dumps(entry)], "testlistcycles": []}
    return json.dumps({"meta": {"version": "3.1.1.4"}, "objects": objects})


def composite(procedure: Optional[str], slug: str = "x", **more: Any) -> dict[str, Any]:
    """A composite test."""
    return fields_of(slug, "composite", procedure, **more)


def said(text: str) -> list[tuple[str, str, str]]:
    """The findings as rows."""
    return [(finding.severity, finding.place, finding.says) for finding in check(text)]


# The import


def without(pack: str, *path: str) -> str:
    """A pack that lacks one key."""
    whole = json.loads(pack)
    table = whole
    for key in path[:-1]:
        table = table[key]
    del table[path[-1]]
    return json.dumps(whole)


MEMBER = {"test_list": ["l"], "test": ["GO"], "order": 0}


@pytest.mark.parametrize(
    ("pack", "place", "says"),
    [
        ("[]", "the file", "it is not a test pack, which is one JSON object. Export or build it again."),
        ('{"a": NaN}', "the file", "it is not a test pack, which is one JSON object. Export or build it again."),
        (
            without(tpk(), "meta", "version"),
            "meta / version",
            "it is missing, and the import page shows nothing without it. Write QATrack+'s.",
        ),
        (
            without(tpk(), "objects", "testlistcycles"),
            "objects / testlistcycles",
            "it is missing, so the import fails. Write an empty list there.",
        ),
        (
            json.dumps({"meta": {"version": "3"}, "objects": {"tests": [{}], "testlists": [], "testlistcycles": []}}),
            "tests, number 1",
            "it is not a string of JSON, so the import fails. Write it as a string.",
        ),
        (
            tpk(composite("x = 1", category=["Dose"])),
            "l / x / category",
            "the pack does not hold the category 'Dose', so the import fails even where the database has it. "
            "Add it to the dependencies.",
        ),
        (
            tpk(dependencies=[{"model": "qa.testlistmembership", "fields": {**MEMBER, "test": ["GO!"]}}]),
            "l",
            "a qa.testlistmembership names the test 'GO!', which the pack does not hold, so the import fails. "
            "Correct the name or add the test.",
        ),
        (
            tpk(dependencies=[{"model": "qa.testlistmembership", "fields": {**MEMBER, "order": 7}}]),
            "l",
            "'GO' is twice in 'l', in different places, so the import fails. Take one of them out.",
        ),
        (
            tpk(composite("x = 1", formatting=None)),
            "l / x / formatting",
            "it is null, which QATrack+'s database does not take, so the import fails. Leave it out.",
        ),
        (
            tpk(fields={"warning_message": None}),
            "l / warning_message",
            "it is null, which QATrack+'s database does not take, so the import fails. Leave it out.",
        ),
        (
            tpk(composite("x = 1", formatting="{:0.2f} mm!")),
            "l / x / formatting",
            "it has 11 characters; QATrack+ takes at most 10, and most databases refuse the import. Shorten it.",
        ),
        (
            tpk(composite("x = 1", autoreviewruleset=1)),
            "l / x / autoreviewruleset",
            "a rule set for reviews is another one in every database, so the import fails. Leave it out.",
        ),
        (
            tpk(dependencies=[{"model": "qa.category", "fields": {"name": "D", "slug": "d", "colour": "red"}}]),
            "l / d / colour",
            "a category has no such field, so the import fails. Leave it out.",
        ),
        (
            tpk(dependencies=[{"model": "qa.category", "fields": {"name": "D", "slug": "qa"}}]),
            "l / qa / slug",
            "two categories have it, so the import fails. Give one of them another.",
        ),
        (
            tpk(composite("x = 1"), composite("y = 1", "y", name="X")),
            "l / y",
            "two different tests have the name 'X', of which one gets lost. Rename one.",
        ),
    ],
)
def test_whatever_makes_the_import_fail_is_an_error_with_its_place(pack: str, place: str, says: str) -> None:
    """QATrack+ has one generic message for all of them."""
    found = said(pack)
    assert ("error", place, says) in found
    assert {severity for severity, _, _ in found} == {"error"}


def test_a_membership_without_an_order_is_found() -> None:
    """The database refuses it."""
    pack = tpk().replace('\\"order\\": 0', '\\"ordre\\": 0')
    says = "a qa.testlistmembership has no order, so the import fails. Give each a number."
    assert said(pack) == [("error", "l", says)]


# Tests


@pytest.mark.parametrize(
    ("test", "place", "says"),
    [
        (
            fields_of("x", "compsite", "x = 1"),
            "l / x / type",
            "QATrack+ imports the unknown type 'compsite' and cannot show the test. Take one of boolean, simple, "
            "wraparound, multchoice, constant, date, datetime, string, composite, scomposite, upload.",
        ),
        (
            fields_of("a-b", "boolean", ""),
            "l / a-b / slug",
            "'a-b' is no name that a procedure could use; take letters, digits and _, with a letter first.",
        ),
        (
            fields_of("numpy", "simple", ""),
            "l / numpy / slug",
            "'numpy' is a name that QATrack+ itself gives to procedures; take another.",
        ),
        (fields_of("c", "constant", ""), "l / c / constant_value", "a test of the type constant needs it. Write one."),
        (
            composite("go = 1", "go", name="Second"),
            "l / go",
            "2 tests of this list have it, of which QATrack+ computes one. Rename the others.",
        ),
        (
            composite(None),
            "l / x",
            "a test of the type composite has no procedure, so it shows an error or breaks the whole page. "
            "Write at least: x = None",
        ),
        (
            composite("x = 1 +"),
            "l / x",
            "it is no valid Python: invalid syntax (line 1). Correct it.",
        ),
        (
            composite("if go:\n    return\nx = 1"),
            "l / x",
            "it is no valid Python: 'return' outside function (line 2). Correct it.",
        ),
        (
            composite("y = 1"),
            "l / x",
            "it sets neither x nor result, so it has no result but an error. Assign the result to x.",
        ),
        (
            composite("x = np.mean([1, 2])"),
            "l / x",
            "it uses np, which is neither a test of this list nor anything that QATrack+ provides. "
            "Import it, or correct the name.",
        ),
        (
            fields_of("x", "upload", "x = len(FILE.read()) if go else None"),
            "l / x",
            "it uses go, but QATrack+ gives no other tests to the procedure of an upload. "
            "Compute with it in a composite test.",
        ),
        (
            composite("from qa_fetch import Archve\nx = 1"),
            "l / x, line 1",
            "qa_fetch.Archve does not exist in the installed qa_fetch. "
            "Correct the name, or install the version that has it.",
        ),
        (
            composite(FETCH.replace(".latest", ".newest")),
            "l / x, line 4",
            "Archive has no newest. Correct the name; see the README.",
        ),
        (
            composite(FETCH.replace("images, UTILS)", "images.fodler, UTILS)")),
            "l / x, line 5",
            "Images has no fodler. Correct the name; see the README.",
        ),
        (
            composite(FETCH.replace("composite.results", "composite.result")),
            "l / x, line 5",
            "qa_fetch.composite has no result. Correct the name; see the README.",
        ),
        (
            composite(FETCH.replace("patient,", "patient, plane='WL',")),
            "l / x, line 4",
            "Archive.latest cannot be called like this: got an unexpected keyword argument 'plane'. Correct the call.",
        ),
    ],
)
def test_what_cannot_work_is_an_error_though_quatrack_imports_it(test: dict[str, Any], place: str, says: str) -> None:
    """One finding each, and it names the line where there is one."""
    assert said(tpk(test)) == [("error", place, says)]


def test_an_open_bracket_breaks_the_whole_page() -> None:
    """QATrack+ splits all procedures into words before it computes any."""
    ((severity, place, says),) = said(tpk(composite("x = (1\n")))
    assert (severity, place) == ("error", "l / x")
    assert says.startswith("QATrack+ cannot split it into words (")
    assert says.endswith("), which breaks the whole page. Look for an open bracket, quote or indent.")


def test_a_circle_is_named_and_what_merely_waits_for_it_is_not() -> None:
    """A name counts wherever it stands, as an argument too."""
    tests = [composite("x = y", "x"), composite("y = dict(x=1)", "y"), composite("z = x", "z")]
    says = (
        "x, y wait for each other, so QATrack+ computes none of them nor what needs them. "
        "Take out one name; also a variable or an argument that is called like a test counts."
    )
    assert said(tpk(*tests)) == [("error", "l", says)]


@pytest.mark.parametrize("use", ['f"{y}"', 'eval("y + 1")', 'globals()["y"]', 'globals().get("y")'])
def test_a_test_that_is_named_only_in_a_string_is_computed_too_late(use: str) -> None:
    """On Python 3.12 QATrack+ does see into f-strings; before, it does not."""
    says = (
        "it uses y only inside a string, where QATrack+ does not see it and computes it too late. "
        "Take it out of the string: value = y"
    )
    assert said(tpk(composite(f"x = {use}"), composite("y = 1", "y"))) == [("error", "l / x", says)]
    assert said(tpk(composite(f"value = y\nx = {use}"), composite("y = 1", "y"))) == []


# Ways through a procedure

NOT_ALWAYS = "on some way through it sets neither x nor result, which is an error on the page. Begin with: x = None"


@pytest.mark.parametrize(
    "procedure",
    [
        "if go:\n  x = 1",
        "for i in range(3):\n  x = i",
        "while go:\n  x = 1\n  break",
        "try:\n  x = int(patient)\nexcept ValueError:\n  print('no')",
        "import contextlib\nwith contextlib.suppress(ValueError):\n  x = int(patient)",
        "if go:\n  x = 1\nelif patient:\n  raise ValueError('no')",
        "x = 1\nif go:\n  del x",
        "while True:\n  if go:\n    break\n  x = 1\n  break",
    ],
)
def test_a_way_through_that_sets_nothing_is_found(procedure: str) -> None:
    """Such a test shows a KeyError as soon as that way is taken."""
    assert said(tpk(composite(procedure))) == [("error", "l / x", NOT_ALWAYS)]


@pytest.mark.parametrize(
    "procedure",
    [
        "if go:\n  x = 1\nelse:\n  result = 2",
        "if not go:\n  raise ValueError('no')\nx = 1",
        "try:\n  y = int(patient)\nexcept ValueError:\n  x = None\nelse:\n  x = y",
        "try:\n  y = 1\nfinally:\n  x = 2",
        "while True:\n  x = 1\n  if x:\n    break",
        "for i in range(3):\n  pass\nelse:\n  x = i",
        "for x in [go]:\n  break\nelse:\n  x = 1",
        "with open(patient) as x:\n  pass",
        "if (x := go):\n  pass",
        "def x():\n  pass",
        "import math as x",
        "def f():\n  global x\n  x = 1\nf()",
        "import statistics\ndef mean(values):\n  return statistics.mean(values) + offset\noffset = 1\nx = mean([1])",
        "class A:\n  b = 1\n  def c(self):\n    return self.b\nx = [a for a in (A().c(),) if a][0]",
        "x = UTILS.get_skip('y') or REFS['go'] or TOLS or dicom or pydicom or math or numpy or matplotlib or scipy",
    ],
)
def test_a_procedure_that_sets_its_slug_has_no_finding(procedure: str) -> None:
    """Whatever it is that sets it, and whatever names it makes for itself."""
    assert said(tpk(composite(procedure))) == []


if sys.version_info >= (3, 10):

    def test_a_match_that_takes_everything_sets_the_slug() -> None:
        """And one without a last case may not."""
        last = "match patient:\n  case 'a':\n    x = 1\n  case {last}:\n    x = 2"
        assert said(tpk(composite(last.format(last="_")))) == []
        assert said(tpk(composite(last.format(last="'b'")))) == [("error", "l / x", NOT_ALWAYS)]


# Habits

NOT_GATED = (
    "Archive.latest is not inside an if, so every change of the page asks the archive again. "
    "Put it below a boolean test: if go:"
)
NOT_PINNED = (
    "Archive.latest is not pinned in time, so editing last year's record would take today's images. "
    'Give before=META["work_started"].'
)
ADDRESS = (
    "an address stands in the procedure, so a change of the archive means a change of every pack. "
    "Write it into qa_fetch.toml and use its name here."
)
HIDDEN = (
    "this except takes every error of the fetch, so nobody sees why there are no images. "
    "Leave it out, or name the error: except NotFound:"
)
WRITTEN = (
    "every change of the page makes another attachment, and none is ever deleted. "
    "Use composite.attach(name, content, UTILS)."
)
ASSOCIATED = (
    "it opens a DICOM connection of its own, with its address in the pack and nothing kept. "
    "Use qa_fetch.Archive, whose address stands in qa_fetch.toml."
)
PLAIN = (
    "the result is a plain dictionary, which QATrack+'s REST API stores as str(...), not as JSON. "
    "Give composite.Results(...) of it."
)
LATEST = 'from qa_fetch import Archive\nx = Archive().latest(patient, before=META["work_started"]).uids[0]'
IN_A_FUNCTION = (
    "import qa_fetch\ndef newest():\n"
    "  return qa_fetch.Archive.for_unit(UTILS).latest(patient, on=META['work_started'])\n"
)
TRIED = (
    "from qa_fetch import Archive\nx = None\nif go:\n  try:\n    x = len(Archive().plans(patient))\n"
    "  except {error}:\n    x = 0"
)


@pytest.mark.parametrize(
    ("procedure", "line", "says"),
    [
        (LATEST, 2, NOT_GATED),
        (IN_A_FUNCTION + "x = newest()", 3, NOT_GATED),
        (FETCH.replace(', before=META["work_started"]', ""), 4, NOT_PINNED),
        (FETCH.replace('META["work_started"]', "None"), 4, NOT_PINNED),
        (
            "from qa_fetch import Archive\nx = Archive().plan(patient).label if go else None",
            2,
            "Archive.plan is not pinned in time, so editing last year's record would take today's plan. "
            'Give as_of=META["work_started"].',
        ),
        (FETCH.replace('"aria"', '"dimse://ESAPI@10.0.0.2:51402"'), 4, ADDRESS),
        (FETCH.replace('"aria"', '"aria", host=patient'), 4, ADDRESS),
        ("server = '10.0.0.2'\nx = server", 1, ADDRESS),
        (TRIED.format(error="Exception"), 6, HIDDEN),
        ("x = 1\nif go:\n  UTILS.write_file('a.pdf', b'')", 3, WRITTEN),
        ("from pynetdicom import AE\nx = AE().associate(patient, 104)", 2, ASSOCIATED),
    ],
)
def test_a_habit_that_somebody_will_regret_is_a_warning(procedure: str, line: int, says: str) -> None:
    """It works on the day it is written."""
    assert said(tpk(composite(procedure))) == [("warning", f"l / x, line {line}", says)]


@pytest.mark.parametrize(
    "procedure",
    [
        FETCH,
        "x = None\nif go:\n  x = 1\n" + IN_A_FUNCTION + "x = len(newest().uids) if go else None",
        IN_A_FUNCTION + "x = go and newest().uids[0]",
        "if not go:\n  raise ValueError('not yet')\n" + LATEST,
        TRIED.format(error="KeyError"),
        TRIED.format(error="Exception as error") + "\n    raise ValueError('no images') from error",
        "from qa_fetch import composite\nx = print('folder:a') if go else composite.cleaned('dimse')",
        "x = 'newer' if UTILS.test_list == '3.1.1.4' else '1.2.840.10008.1.1'",
        "from pathlib import Path\nx = Path(patient).parent.name + 'folder: none'",
    ],
)
def test_a_procedure_with_good_habits_has_no_finding(procedure: str) -> None:
    """Gated, pinned, without an address."""
    assert said(tpk(composite(procedure))) == []


def test_an_upload_and_a_default_may_fetch_and_write_as_they_run_once() -> None:
    """QATrack+ runs them for one file, or when a page is opened."""
    assert said(tpk(fields_of("x", "upload", "UTILS.write_file('a.png', FILE)\nx = 1"))) == []
    assert said(tpk(fields_of("x", "string", LATEST))) == []


@pytest.mark.parametrize(
    "value",
    ["{'a': 1}", "dict(a=1)", "{'a': 1} if go else None", "go and analysis.results_data(as_dict=True)"],
)
def test_a_string_composite_that_gives_a_plain_dictionary_is_warned_of(value: str) -> None:
    """Others could not read it back."""
    before = "from qa_fetch import composite; analysis = __import__('pylinac').Dummy()\n"
    pack = tpk(fields_of("x", "scomposite", f"{before}x = {value}"))
    assert said(pack) == [("warning", "l / x, line 2", PLAIN)]
    assert said(tpk(fields_of("x", "scomposite", f"{before}named = {value}\nx = named"))) != []
    assert said(tpk(fields_of("x", "scomposite", f"import json\n{before}x = json.dumps({value})"))) == []
    assert said(tpk(fields_of("x", "scomposite", f"{before}x = composite.Results({value})"))) == []
    assert said(tpk(composite(f"{before}x = {value}"))) == []


def test_a_text_that_stands_for_not_yet_is_warned_of_where_others_look_into_it() -> None:
    """They would fail with it, and stay quiet with None."""
    waiting = "import json\nx = json.loads(patient) if go else 'waiting for images'"
    says = "a text is the result here, into which y looks as into a dictionary. Give None while there is nothing yet."
    assert said(tpk(composite(waiting), composite("y = x['a']", "y"))) == [("warning", "l / x, line 2", says)]
    assert said(tpk(composite(waiting), composite("y = len(x)", "y"))) == []


def test_a_sublist_may_use_the_tests_of_the_list_above_it() -> None:
    """It is performed within that one."""
    child = {"name": "C", "slug": "c", "description": "", "warning_message": ""}
    inner = composite("y = go", "y")
    below: list[dict[str, Any]] = [
        {"model": "qa.testlist", "fields": child},
        {"model": "qa.sublist", "fields": {"parent": ["l"], "child": ["c"], "outline": False, "order": 9}},
        {"model": "qa.test", "fields": inner},
        {"model": "qa.testlistmembership", "fields": {"test_list": ["c"], "test": ["Y"], "order": 0}},
    ]
    assert said(tpk(composite("x = y"), dependencies=below)) == []
    inner["calculation_procedure"] = "y = x"
    ((_, place, says),) = said(tpk(composite("x = y"), dependencies=below))
    assert (place, says.partition(",")[0]) == ("l", "x")


def test_the_mistakes_of_the_only_published_pack_for_this_job_are_all_found() -> None:
    """A stand-in for it: renamed tests, a method that is gone, a text for "not yet", a dictionary as it is."""
    fetch = (
        "from qa_fetch.compat import PynetdicomWrapper\nif go:\n"
        "    moment = PynetdicomWrapper(patient, 'WL').get_latest_series('.')\n"
        "    x = {'when': moment}\nelse:\n    x = 'waiting on images'"
    )
    membership = {"model": "qa.testlistmembership", "fields": {"test_list": ["l"], "test": ["Isocentre"], "order": 7}}
    tests = [fields_of("x", "scomposite", fetch), fields_of("when", "scomposite", "when = x['when']")]
    assert [(severity, place) for severity, place, _ in said(tpk(*tests, dependencies=[membership]))] == [
        ("error", "l"),
        ("error", "l / x, line 3"),
        ("warning", "l / x, line 6"),
        ("warning", "l / x, line 4"),
    ]


def test_a_test_of_two_lists_is_told_of_once() -> None:
    """For the first of them, and the second cannot be imported without what it does not bring along."""
    whole = json.loads(tpk(composite("y = 1")))
    (entry,) = map(json.loads, whole["objects"]["testlists"])
    entry["object"]["fields"].update(slug="m", name="M")
    for made in entry["dependencies"]:
        made["fields"].update({"test_list": ["m"]} if "order" in made["fields"] else {})
    whole["objects"]["testlists"].append(json.dumps(entry))
    says = "it sets neither x nor result, so it has no result but an error. Assign the result to x."
    assert said(json.dumps(whole)) == [("error", "l / x", says)]
    entry["dependencies"] = [made for made in entry["dependencies"] if made["fields"].get("slug") != "go"]
    whole["objects"]["testlists"][1] = json.dumps(entry)
    alone = (
        "the test 'GO' comes with another list, so this one cannot be imported alone. Add the test to its dependencies."
    )
    assert said(json.dumps(whole)) == [("error", "l / x", says), ("warning", "m", alone)]


def test_nothing_of_a_pack_is_run(tmp_path: Path) -> None:
    """A pack from the internet is looked at before it is trusted; and it may be as odd as it likes."""
    trace = tmp_path / "ran"
    procedure = (
        f"import qa_fetch.cli.__main__\nfrom qa_fetch.node.__main__ import main\nopen({str(trace)!r}, 'w')\nx = 1"
    )
    assert said(tpk(composite(procedure))) == []
    assert not trace.exists()
    assert said(tpk(composite("x = '\\d'"))) == []
    assert [finding.severity for finding in check(tpk(composite("x = " + "(" * 3000 + ")" * 3000)))] == ["error"]
    deep = "it is nested too deeply to be looked into. Make several lines of it."
    assert said(tpk(composite("y = patient" + " + patient" * 2000 + "\nx = y"))) == [("warning", "l / x", deep)]
    assert [finding.severity for finding in check("{" + '"a":[' * 100_000)] == ["error"]


def test_a_file_that_cannot_be_read_is_wrong_use(tmp_path: Path) -> None:
    """Not a finding about a pack."""
    with pytest.raises(ConfigError) as caught:
        check(tmp_path / "no.tpk")
    assert str(caught.value) == f"{tmp_path / 'no.tpk'} cannot be read: No such file or directory. Correct the path."
    (tmp_path / "image.tpk").write_bytes(b"\x89PNG\xff")
    with pytest.raises(ConfigError) as caught:
        check(str(tmp_path / "image.tpk"))
    says = "is not a test pack: it is not UTF-8 text. Name a .tpk file."
    assert str(caught.value) == f"{tmp_path / 'image.tpk'} {says}"


# The commands


def run(*arguments: object) -> int:
    """``qa-fetch testpack ...`` without the rest of the command line."""
    import argparse

    top = argparse.ArgumentParser()
    commands.add_testpack(top.add_subparsers())
    given = top.parse_args(["testpack", *map(str, arguments)])
    code: int = given.run(given)
    return code


def test_the_command_check_fails_for_errors_and_not_for_warnings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table for people, JSON for machines."""
    good, warned, bad = (tmp_path / f"{name}.tpk" for name in ("good", "warned", "bad"))
    good.write_text(tpk(composite("x = 1")), "utf-8")
    warned.write_text(tpk(composite(LATEST)), "utf-8")
    bad.write_text(tpk(composite("y = 1")), "utf-8")
    assert run("check", good, warned) == 0
    out = capsys.readouterr().out
    assert f"{good}: no finding\n" in out
    assert "warning" in out and NOT_GATED in out
    assert run("check", "--json", good, bad) == 1
    says = "it sets neither x nor result, so it has no result but an error. Assign the result to x."
    found = {"file": str(bad), "severity": "error", "place": "l / x", "says": says}
    assert json.loads(capsys.readouterr().out) == [found]
    assert check(bad) == [Finding("error", "l / x", says)]


def test_the_command_build_writes_what_its_check_then_finds_current(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One pack or a folder of packs; a stale one is named with the command that helps."""
    packs = tmp_path / "testpacks"
    for name in ("a", "b"):
        (packs / name).mkdir(parents=True)
        (packs / name / "pack.toml").write_text(SMALL, "utf-8")
    assert run("build") == 0  # its default is ./testpacks
    assert capsys.readouterr().out == f"built {packs / 'a.tpk'}\nbuilt {packs / 'b.tpk'}\n"
    assert run("check", packs / "a.tpk") == 0
    (packs / "b" / "go.py").write_text("go = True\n", "utf-8")
    capsys.readouterr()
    assert run("build", packs, "--check") == 1
    says = f"not current: {packs / 'b.tpk'}. Run: qa-fetch testpack build {packs}\n1 of 2 current\n"
    assert capsys.readouterr().out == says
    assert run("build", packs / "b") == 0
    assert run("build", packs, "--check") == 0
    with pytest.raises(ConfigError) as caught:
        run("build", tmp_path / "no-packs")
    says = "holds no pack.toml and no folder with one. Name the folder of your test packs."
    assert str(caught.value) == f"{tmp_path / 'no-packs'} {says}"


SMALL = """
[pack]
name = "Small"
description = "One question"
contact = "qa_fetch"
id = "2f6c1c1e-7d4c-4c52-9a35-0a3f4a8f4f10"
datetime = "2026-11-21 12:00:00+00:00"
version = "3.1.1.4"

[[categories]]
name = "QA"
slug = "qa"

[[lists]]
name = "Small"
slug = "small"
tests = ["go"]

[[tests]]
slug = "go"
name = "Images taken"
type = "boolean"
category = "QA"
"""
