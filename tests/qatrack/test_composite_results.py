"""What ``composite.results`` gives a page: JSON without NaN, once per images and procedure, report attached once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from peers.course import PATIENT, Course
from pydicom.uid import UID
from pydicom.valuerep import DSfloat
from qatrack_double import Utils

from qa_fetch import Archive, BadArchive, ConfigError, Images, NotFound, composite


def count(images: Images) -> None:
    """Note that an analysis was made, with the images: whatever else it changed would be one of its settings."""
    vars(images)["made"] = made(images) + 1


def made(images: Images) -> int:
    """How often an analysis was made of these images."""
    return int(vars(images).get("made", 0))


@pytest.fixture
def images(course_files: Path) -> Images:
    return Archive(f"folder:{course_files}").latest(PATIENT, plan="WL_6X", approved=True)


class Analysis:
    """As pylinac's: results, and a report that is another file each time."""

    def __init__(self, **found: Any) -> None:
        self.found = found

    def results_data(self, as_dict: bool = False) -> dict[str, Any]:
        assert as_dict
        return {**self.found, "date_of_analysis": datetime.now()}

    def publish_pdf(self, path: str, metadata: dict[str, str]) -> None:
        Path(path).write_text(f"{metadata['Images']} {datetime.now().isoformat()}")


def analyse(images: Images) -> Analysis:
    count(images)
    return Analysis(shift=0.5)


def test_results_say_which_images_they_are_of(images: Images, course: Course) -> None:
    """In words for the page, and by UID for whoever asks a year later; the patient is not named."""
    found = composite.results(analyse, images, Utils())
    assert found["shift"] == 0.5
    about = found["images"]
    assert about["says"] == f"4 x portal image for plan WL_6X, 2025-11-03 17:05 to 17:06, from {images.archive}"
    assert about["uids"] == course.newest.uids
    assert about["acquired"] == "2025-11-03T17:05:00"
    assert about["plan"] == {
        "label": "WL_6X",
        "uid": course.wl.SOPInstanceUID,
        "date": "2025-09-01",
        "approval": "APPROVED",
    }
    assert PATIENT not in str(found)


def test_the_text_of_results_is_json(images: Images) -> None:
    """QATrack+'s REST API stores str() of what a string test returns."""
    found = composite.results(analyse, images, Utils())
    assert json.loads(str(found)) == found
    assert json.loads(json.dumps(found)) == found


def test_the_same_images_are_analysed_once(images: Images) -> None:
    """However often the page runs the procedure again, each time with a function of its own."""
    source = """
def analyse(images):
    count(images)
    return {"size": size}
"""

    def run(size: float, code: str = source) -> Any:
        page: dict[str, Any] = {"size": size, "count": count}
        exec(compile(code, "__QAT+COMP_wl", "exec"), page)
        return composite.results(page["analyse"], images)["size"]

    assert [run(5.0), run(5), run(8.0), run(5.0)] == [5.0, 5.0, 8.0, 5.0]  # 5 from a page is 5.0 from the REST API
    assert run(5.0, source.replace('{"size": size}', '{"size": size + 1}')) == 6.0
    assert made(images) == 3  # for 5, for 8, and for the procedure that was changed


def test_two_pages_at_once_make_one_analysis(images: Images) -> None:
    """Whoever comes second waits for the first."""
    begun, go_on = vars(images)["begun"], vars(images)["go_on"] = threading.Event(), threading.Event()
    found: list[Any] = []

    def slow(images: Images) -> Analysis:
        count(images)
        vars(images)["begun"].set()
        assert vars(images)["go_on"].wait(20)
        return Analysis(shift=0.5)

    pages = [threading.Thread(target=lambda: found.append(composite.results(slow, images, Utils()))) for _ in range(4)]
    for page in pages:
        page.start()
    assert begun.wait(20)
    go_on.set()
    for page in pages:
        page.join(20)
    assert [result["shift"] for result in found] == [0.5] * 4
    assert made(images) == 1


@pytest.mark.analysis
def test_an_analysis_runs_as_outside_of_qatrack(images: Images) -> None:
    """QATrack+ makes numpy raise where libraries expect a warning, as pylinac does."""
    import numpy

    def dividing(images: Images) -> dict[str, bool]:
        with pytest.warns(RuntimeWarning, match="invalid value"):
            quotient = numpy.zeros(2) / numpy.zeros(2)
        return {"undefined": bool(numpy.isnan(quotient).all())}

    with numpy.errstate(all="raise"):
        assert composite.results(dividing, images)["undefined"] is True
        assert numpy.geterr()["invalid"] == "raise"


def test_the_report_is_attached_once_per_page(images: Images) -> None:
    """A POST again gives the page the same attachment; another record has one of its own."""
    page = Utils()
    composite.results(analyse, images, page)
    again = page.another_post()
    composite.results(analyse, images, again)
    assert [name for name, _ in again.written] == ["Analysis 2025-11-03.pdf"]
    assert (page.attached, again.attached) == ([1], [1])
    other = Utils(started=datetime(2025, 11, 4, 8, 0))
    composite.results(analyse, images, other)
    assert len(other.written) == 1
    assert other.written[0][1] == page.written[0][1]
    assert made(images) == 1


def test_an_analysis_that_was_made_already_is_taken_as_it_is(images: Images) -> None:
    """As in the three lines of the README: its report is attached once too, although it is made anew each time."""
    page = Utils()
    first = composite.results(Analysis(shift=0.5), images, page)
    again = page.another_post()
    assert composite.results(Analysis(shift=0.5), images, again)["shift"] == first["shift"]
    assert len(again.written) == 1
    assert composite.results({"mean": 2}, images)["analysis"] == "analysis"


def test_nan_never_reaches_the_page_and_is_explained_where_it_is_read(images: Images) -> None:
    """One NaN would lose all results of the page."""
    found = composite.results(Analysis(shift=float("nan"), angle=1.0), images)
    assert json.loads(str(found))["shift"] is None
    assert found["angle"] == 1.0
    with pytest.raises(NotFound) as raised:
        found["shift"]
    assert str(raised.value) == "the analysis gave no number for shift. Look at its report, and at the images."


def test_an_analysis_may_add_results_of_its_own(images: Images) -> None:
    """What only the analysed object knows; pylinac's warnings, which hold paths of the server, are left out."""
    found = composite.results((Analysis(shift=0.5, warnings=["/srv/x"]), {"center_x_mm": 1.5}), images)
    assert (found["shift"], found["center_x_mm"], "warnings" in found) == (0.5, 1.5, False)
    assert found["analysis"] == "Analysis"


def test_a_result_that_there_is_not_is_named(images: Images) -> None:
    """With those there are."""
    with pytest.raises(ConfigError) as raised:
        composite.results({"shift": 1}, images)["shitf"]
    assert str(raised.value) == "the analysis has no result 'shitf'. It has shift, analysis, images."


def test_what_is_no_analysis_is_refused(images: Images) -> None:
    """A list of numbers has no names."""
    with pytest.raises(ConfigError) as raised:
        composite.results([1, 2], images)
    assert str(raised.value) == (
        "a list is no analysis. Give an analysed pylinac object, a function that makes one from the images, "
        "or a mapping of results."
    )


@dataclass
class Roi:
    value: float


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (DSfloat("1.5"), 1.5),
        (UID("1.2.3"), "1.2.3"),
        (float("inf"), None),
        ((1, {"b", "a"}), [1, ["a", "b"]]),
        ({1: date(2025, 11, 3)}, {"1": "2025-11-03"}),
        (Path("a"), "a"),
        (Roi(0.5), {"value": 0.5}),
        (True, True),
    ],
)
def test_values_become_what_json_has(value: object, expected: object) -> None:
    """Without a trace of pydicom, numpy or dataclasses."""
    cleaned = composite.cleaned(value)
    assert cleaned == expected
    assert type(cleaned) is type(expected)


@pytest.mark.parametrize("value", [b"x", Decimal("1"), object(), Roi])
def test_a_value_that_nobody_can_store_is_named(value: object) -> None:
    """A guess would be stored with the record."""
    with pytest.raises(ConfigError) as raised:
        composite.cleaned(value)
    assert str(raised.value) == (
        f"a {type(value).__name__} cannot be the result of a test. Take the numbers or the text you want out of it."
    )


@pytest.mark.analysis
def test_numpys_values_become_pythons() -> None:
    """Numbers, arrays, and NaN in them."""
    import numpy

    cleaned = composite.cleaned({"a": numpy.float32(0.5), "b": numpy.arange(2), "c": numpy.array([1.0, numpy.nan])})
    assert json.dumps(cleaned) == '{"a": 0.5, "b": [0, 1], "c": [1.0, null]}'


class Figure:
    """As matplotlib's."""

    def savefig(self, to: Any, format: str) -> None:
        to.write(f"a {format}".encode())


def opened(path: Path) -> Any:
    return path.open("rb")


@pytest.mark.parametrize(
    "content", [lambda path: path, lambda path: path.read_bytes(), opened, lambda path: bytearray(path.read_bytes())]
)
def test_whatever_holds_a_file_can_be_attached(content: Callable[[Path], Any], tmp_path: Path) -> None:
    """Once per content, whichever way it is given."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"text")
    page = Utils()
    given = content(path)
    composite.attach("a.txt", given, page)
    composite.attach("a.txt", path, page.another_post())
    if hasattr(given, "close"):
        given.close()
    assert page.written == [("a.txt", b"text")]


def test_a_figure_is_attached_as_its_name_says() -> None:
    """PNG, PDF, SVG."""
    page = Utils()
    composite.attach("curve.pdf", Figure(), page)
    assert page.written == [("curve.pdf", b"a pdf")]


def test_what_cannot_be_attached_is_refused() -> None:
    """A path as text would attach the text, as QATrack+ does."""
    with pytest.raises(ConfigError) as raised:
        composite.attach("a.txt", "/tmp/a.txt", Utils())
    assert str(raised.value) == ("a str cannot be attached. Give bytes, a pathlib.Path, a figure, or an open file.")


def test_what_the_last_record_holds_is_read_back() -> None:
    """As JSON; and a sentence where there is none, or where it is something else."""
    page = Utils(records={"plan": '{"mu": 100}', "note": "{'mu': 100}"})
    assert composite.previous("plan", page) == {"mu": 100}
    with pytest.raises(NotFound, match="no earlier record of this list has a value for dose. Enter what"):
        composite.previous("dose", page)
    with pytest.raises(BadArchive, match="what the last record holds for note is not JSON"):
        composite.previous("note", page)
