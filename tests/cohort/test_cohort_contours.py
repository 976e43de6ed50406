"""Structure sets, orderly and not: names and outlines belong together by number alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
from pydicom.dataset import Dataset

from qa_fetch import part10
from qa_fetch.cohort.contours import structures
from qa_fetch.errors import BadArchive

RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
SQUARE = [0, 0, 3, 10, 0, 3, 10, 10, 3, 0, 10, 3]


def item(**facts: Any) -> Dataset:
    """A data set of these elements."""
    made = Dataset()
    for keyword, value in facts.items():
        setattr(made, keyword, value)
    return made


def contour(data: Any = SQUARE, kind: str = "CLOSED_PLANAR", claimed: Optional[int] = None, image: str = "") -> Dataset:
    """An item of ContourSequence."""
    made = item(ContourGeometricType=kind, NumberOfContourPoints=len(data) // 3 if claimed is None else claimed)
    made.ContourData = [f"{value:g}" for value in data]
    if image:
        made.ContourImageSequence = [item(ReferencedSOPInstanceUID=image)]
    return made


def outlines(number: int, *contours: Dataset, **facts: Any) -> Dataset:
    """An item of ROIContourSequence."""
    return item(ReferencedROINumber=number, ContourSequence=list(contours), **facts)


def structure_set(names: list[tuple[int, str]], *outlined: Dataset, **facts: Any) -> Dataset:
    """A structure set of ROIs by number and name."""
    heads = [item(ROINumber=number, ROIName=name, ReferencedFrameOfReferenceUID="1.2.3") for number, name in names]
    return item(
        SOPClassUID=RT_STRUCTURE_SET,
        SOPInstanceUID="1.2.9",
        StructureSetROISequence=heads,
        ROIContourSequence=list(outlined),
        **facts,
    )


def test_names_and_outlines_are_matched_by_number(tmp_path: Path) -> None:
    """In a file whose sequences have an order each; a ROI without an item of ROIContourSequence shifts nothing."""
    data = structure_set(
        [(3, "PTV/1"), (7, "Never drawn"), (1, "Rectum")],
        outlines(1, contour(image="1.2.4")),
        outlines(3, contour([0, 0, 0, 1, 0, 0, 1, 1, 0]), ROIDisplayColor=[255, 0, 7]),
    )
    data.RTROIObservationsSequence = [
        item(ObservationNumber=1, ReferencedROINumber=1, RTROIInterpretedType="ORGAN", ROIInterpreter=""),
        item(ObservationNumber=2, ReferencedROINumber=3, RTROIInterpretedType="PTV", ROIInterpreter=""),
    ]
    data.StructureSetROISequence[0].ROIVolume = "12.5"
    part10.write(data, tmp_path / "rtstruct.dcm")
    found = structures(tmp_path / "rtstruct.dcm")
    target, missing, rectum = found.regions
    assert (found.uid, found.warnings) == ("1.2.9", ())
    assert (target.number, target.name, target.interpreted_type, target.volume_in_tps) == (3, "PTV/1", "PTV", 12.5)
    assert (target.colour, target.frame_of_reference, target.fault) == ((255, 0, 7), "1.2.3", None)
    assert [each.points.tolist() for each in target.contours] == [[[0, 0, 0], [1, 0, 0], [1, 1, 0]]]
    assert (rectum.name, rectum.interpreted_type, rectum.volume_in_tps, rectum.colour) == (
        "Rectum",
        "ORGAN",
        None,
        None,
    )
    assert [(each.points.tolist(), each.image) for each in rectum.contours] == [
        (np.array(SQUARE).reshape(-1, 3).tolist(), "1.2.4")
    ]
    assert missing.fault == "it has no contours. Draw it, or leave it out"


def test_outlines_in_memory_are_the_same_as_in_a_file(tmp_path: Path) -> None:
    """pydicom has numbers in one case and text in the other."""
    data = structure_set([(1, "A")], outlines(1, contour([0.5, -1e-3, 2, 1, 0, 2, 1, 1, 2])))
    part10.write(data, tmp_path / "rtstruct.dcm")
    (here,), (there,) = structures(data).regions, structures(tmp_path / "rtstruct.dcm").regions
    assert (
        here.contours[0].points.tolist() == there.contours[0].points.tolist() == [[0.5, -1e-3, 2], [1, 0, 2], [1, 1, 2]]
    )


@pytest.mark.parametrize(
    ("contours", "fault"),
    [
        ([], "it has no contours. Draw it, or leave it out"),
        ([contour([1, 2, 3], "POINT")], "it is a point, which has no volume. Leave it out"),
        (
            [contour(kind="OPEN_PLANAR")],
            "its contours are open lines, which enclose nothing. Close them and export again",
        ),
        (
            [contour([0, 0, 0, 1, 1, 0])],
            "none of its contours has three points, so they enclose nothing. Draw it, or leave it out",
        ),
        (
            [contour(), contour([0, 0, 0, 1, 1], claimed=2)],
            "a contour of it has values that are no points. Export the structure set again",
        ),
        (
            [contour(), contour(claimed=5)],
            "a contour of it has fewer points than it claims. Export the structure set again",
        ),
        ([contour(kind="")], "a contour of it is of a type that is not known. Export the structure set again"),
    ],
    ids=["nothing", "point", "line", "flat", "no points", "cut short", "no type"],
)
def test_a_region_that_cannot_be_filled_says_why(contours: list[Dataset], fault: str) -> None:
    """None of its outlines is used, and its neighbour is whole."""
    found = structures(structure_set([(1, "A"), (2, "B")], outlines(1, *contours), outlines(2, contour())))
    assert (found.regions[0].fault, found.regions[0].contours) == (fault, ())
    assert found.regions[1].fault is None
    assert len(found.regions[1].contours) == 1


def test_values_that_are_no_numbers_are_no_points(tmp_path: Path) -> None:
    """A damaged file; what pydicom would raise while it reads the values does not get out."""
    data = structure_set([(1, "A")], outlines(1, contour()))
    path = tmp_path / "rtstruct.dcm"
    part10.write(data, path)
    path.write_bytes(path.read_bytes().replace(b"0\\0\\3\\10", b"0\\x\\3\\10", 1))
    (found,) = structures(path).regions
    assert found.fault == "a contour of it has values that are no points. Export the structure set again"


def test_an_outline_that_stands_twice_does_not_cancel_itself() -> None:
    """One converter writes every contour twice, which by the even-odd rule would leave nothing."""
    (found,) = structures(structure_set([(1, "A")], outlines(1, contour()), outlines(1, contour()))).regions
    assert len(found.contours) == 1
    assert found.warnings == ("Contours that stand in it a second time were left out: 1.",)


@pytest.mark.parametrize(
    "again",
    [
        [10, 0, 3, 10, 10, 3, 0, 10, 3, 0, 0, 3],
        [0, 10, 3, 10, 10, 3, 10, 0, 3, 0, 0, 3],
        [*SQUARE, *SQUARE[:3]],
        [0.001, 0, 3, 10, 0, 3, 10, 10, 3, 0, 10, 3.001],
    ],
)
def test_an_outline_is_the_same_wherever_it_begins_and_whichever_way_it_goes(again: list[float]) -> None:
    """Or ends where it began, or has other decimals: it would cancel the first one all the same."""
    (found,) = structures(structure_set([(1, "A")], outlines(1, contour(), contour(again)))).regions
    assert [each.points.reshape(-1).tolist() for each in found.contours] == [SQUARE]
    assert found.warnings == ("Contours that stand in it a second time were left out: 1.",)


def test_other_outlines_with_the_same_points_or_the_same_middle_both_count() -> None:
    """A ring of a square and a diamond, a bow tie of the square's corners, and the square on another plane."""
    diamond = [5, -5, 3, 15, 5, 3, 5, 15, 3, -5, 5, 3]
    bow = [0, 0, 3, 10, 10, 3, 10, 0, 3, 0, 10, 3]
    above = [value if index % 3 < 2 else 6 for index, value in enumerate(SQUARE)]
    every = [contour(each) for each in (SQUARE, diamond, bow, above)]
    (found,) = structures(structure_set([(1, "A")], outlines(1, *every))).regions
    assert (len(found.contours), found.warnings) == (4, ())


def test_points_and_flat_outlines_beside_whole_ones_are_left_out_and_told() -> None:
    """They enclose nothing, so nothing is lost."""
    drawn = outlines(1, contour(), contour([1, 2, 3], "POINT"), contour([0, 0, 0, 1, 1, 0]))
    (found,) = structures(structure_set([(1, "A")], drawn)).regions
    assert len(found.contours) == 1
    assert found.warnings == (
        "Contours that are points or open lines, which enclose nothing, were left out: 1.",
        "Contours that have fewer than three points, which enclose nothing, were left out: 1.",
    )


def test_a_number_that_stands_twice_belongs_to_nobody() -> None:
    """Which name the outlines belong to cannot be known."""
    found = structures(structure_set([(1, "A"), (1, "B"), (2, "C")], outlines(1, contour()), outlines(2, contour())))
    fault = (
        "its number stands twice in the structure set, so its contours may be another's. Correct it and export again"
    )
    assert [(each.name, each.fault) for each in found.regions] == [("A", fault), ("B", fault), ("C", None)]
    assert found.regions[0].contours == ()


def test_what_belongs_to_no_region_is_told() -> None:
    """Outlines of a number that has no name, and a name without number."""
    data = structure_set([(1, "A")], outlines(1, contour()), outlines(9, contour()))
    data.StructureSetROISequence.append(item(ROIName="B"))
    found = structures(data)
    assert [each.name for each in found.regions] == ["A"]
    assert found.warnings == (
        "ROIs without a usable ROINumber were left out: 1. Export the structure set again.",
        "Contours that belong to no ROI were left out: 1 sets. Export the structure set again.",
    )


def test_a_structure_set_without_contours_still_has_its_names() -> None:
    """ROIContourSequence may be missing."""
    data = structure_set([(1, "A")])
    del data.ROIContourSequence
    (found,) = structures(data).regions
    assert (found.name, found.fault) == ("A", "it has no contours. Draw it, or leave it out")


def test_a_structure_set_without_names_is_refused() -> None:
    """It cannot be one."""
    data = structure_set([(1, "A")])
    del data.StructureSetROISequence
    with pytest.raises(BadArchive) as caught:
        structures(data)
    assert str(caught.value) == (
        "The structure set 1.2.9 has no StructureSetROISequence, so no ROI has a name. Fetch it again."
    )
