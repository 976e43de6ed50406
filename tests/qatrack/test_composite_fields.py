"""One image of each field: what was given again replaces, what is not there yet is waited for, a guess is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Optional

import pytest
from peers import course
from peers.course import PATIENT
from pydicom.dataset import Dataset

from qa_fetch import Ambiguous, Archive, ConfigError, Images, Incomplete, composite
from qa_fetch.demo.objects import write

WHEN = datetime(2025, 11, 3, 17, 5)
Taken = Callable[..., Images]
ENOUGH = (
    "Wait for the rest and ask with a later before (in QATrack+: Work Started), or say how many fields are enough (in "
    "QATrack+: Images of a complete set)."
)


@pytest.fixture
def plan() -> Dataset:
    """Four fields, one of which only sets the patient up."""
    made = course.plan("WL_6X")
    made.BeamSequence[3].TreatmentDeliveryType = "SETUP"
    return made


@pytest.fixture
def taken(plan: Dataset, tmp_path: Path) -> Taken:
    """The session in which these beams were imaged, one after the other; None for an image that does not say."""

    def take(
        beams: Sequence[Optional[int]], *, of_plan: bool = True, angles: Optional[Sequence[Optional[float]]] = None
    ) -> Images:
        images = list(course.session(plan, WHEN, images=len(beams)).images)
        for place, (image, beam) in enumerate(zip(images, beams)):
            image.ReferencedBeamNumber = beam
            image.GantryAngle = 90 * ((beam or 1) - 1) if angles is None else angles[place]
            image.AcquisitionTime = (WHEN + timedelta(minutes=place)).strftime("%H%M%S")
        write([plan, *images], tmp_path / "archive")
        archive = Archive(f"folder:{tmp_path / 'archive'}")
        return archive.latest(PATIENT, plan="WL_6X" if of_plan else None)

    return take


def names(plan: Dataset) -> list[str]:
    return [str(beam.BeamName) for beam in plan.BeamSequence]


def test_every_field_that_treats_once_is_the_session(taken: Taken) -> None:
    """Nothing is left out, so it is still a folder."""
    images = taken([1, 2, 3])
    assert composite.fields(images) is images


def test_of_a_field_that_was_given_again_the_last_image_counts(taken: Taken) -> None:
    """And nothing is said of the others: not their UIDs, not their time."""
    images = taken([1, 2, 3, 3, 1, 2])
    last = composite.fields(images)
    assert last.uids == images.uids[3:]
    assert last.files == images.files[3:]
    assert (last.acquired, last.finished) == (WHEN + timedelta(minutes=3), WHEN + timedelta(minutes=5))
    assert [one.ReferencedBeamNumber for one in last] == [3, 1, 2]
    about = composite.results({"mean": 1}, last)["images"]
    assert about["uids"] == list(images.uids[3:])
    assert about["says"].startswith("3 x portal image for plan WL_6X, 2025-11-03 17:08 to 17:10")


def test_a_folder_that_holds_more_is_not_given_away(taken: Taken) -> None:
    """An analysis of it would take both attempts."""
    last = composite.fields(taken([1, 2, 3, 3]))
    with pytest.raises(ConfigError) as raised:
        last.folder  # noqa: B018 - asking for it is what fails
    assert str(raised.value) == (
        "a field was given again, so the folder of this session holds more than the last image of each field. Give "
        "the analysis the files: [str(file) for file in images.files]."
    )
    assert not hasattr(last, "anything")


def test_an_image_of_a_field_that_only_sets_up_does_not_count(taken: Taken) -> None:
    """Where the plan says which fields there are."""
    images = taken([4, 1, 2, 3])
    assert composite.fields(images).uids == images.uids[1:]
    assert composite.fields(images, 4) is images


def test_a_field_without_an_image_is_waited_for(taken: Taken, plan: Dataset) -> None:
    """By name; a repeat of another is no substitute."""
    with pytest.raises(Incomplete) as raised:
        composite.fields(taken([2, 2, 2]))
    first, _, third, _ = names(plan)
    assert str(raised.value) == f"the session has images of 1 of 3 fields, without {first}, {third}. {ENOUGH}"
    assert raised.value.missing == [first, third]


def test_a_number_of_fields_that_is_set_is_enough(taken: Taken) -> None:
    """As for a plan in which a field makes no image."""
    images = taken([1, 2, 2])
    assert composite.fields(images, 2).uids == (images.uids[0], images.uids[2])
    with pytest.raises(Incomplete) as raised:
        composite.fields(images, 3)
    assert str(raised.value) == f"the session has images of 2 of 3 fields. {ENOUGH}"


ROUND = [0.0, 45.0, 90.0, 135.0, 180.0, 225.0, 270.0, 315.0]


@pytest.mark.parametrize("beam", [1, None], ids=["one field", "no beam number"])
def test_images_at_other_angles_are_no_repeats(beam: Optional[int], taken: Taken) -> None:
    """As of one field that was turned by hand; the number that is set is of them, and means at least."""
    images = taken([beam] * 8, angles=ROUND)
    assert composite.fields(images, 4) is images
    assert composite.fields(images, 8) is images
    with pytest.raises(Incomplete) as raised:
        composite.fields(images, 9)
    assert str(raised.value) == f"the session has images of 8 of 9 fields. {ENOUGH}"


@pytest.mark.parametrize("keyword", ["BeamLimitingDeviceAngle", "PatientSupportAngle"])
def test_an_angle_is_also_one_of_the_collimator_or_the_couch(
    keyword: str, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the gantry where it was."""
    made = course.rt_image

    def turned(plan: Dataset, where: course.Series, acquired: datetime, number: int, **settings: Any) -> Dataset:
        image = made(plan, where, acquired, number, **settings)
        setattr(image, keyword, 30 * number)
        return image

    monkeypatch.setattr(course, "rt_image", turned)
    images = taken([1, 1, 1], angles=[0, 0, 0])
    assert composite.fields(images, 3) is images


@pytest.mark.parametrize("beam", [1, None], ids=["one field", "no beam number"])
def test_a_repeat_is_of_the_same_field_at_the_same_angles_within_a_degree(beam: Optional[int], taken: Taken) -> None:
    """Across 0 too."""
    images = taken([beam] * 5, angles=[0.2, 90, 180, 359.7, 90.4])
    assert composite.fields(images, 3).uids == images.uids[2:]


def test_no_plan_says_at_how_many_angles_a_field_is_imaged(taken: Taken, plan: Dataset) -> None:
    """So the first of them are not taken for all."""
    plan.BeamSequence = plan.BeamSequence[:1]
    with pytest.raises(ConfigError) as raised:
        composite.fields(taken([1] * 8, angles=ROUND))
    assert str(raised.value) == (
        "nothing says how many images make the session complete (it has 8 at different angles, and its plan has 1 "
        "field). Say it (in QATrack+: Images of a complete set), or repeat a measurement in a session of its own."
    )


def test_an_arc_is_one_image_wherever_it_ended(taken: Taken) -> None:
    """Where the analysis is of fields and not of angles."""
    images = taken([1, 2, 2], angles=[179, 181, 150])
    assert composite.fields(images, 2, angles=False).uids == (images.uids[0], images.uids[2])


def test_a_repeat_of_an_arc_is_no_substitute_for_another(taken: Taken) -> None:
    """An analysis of two images of one would find no difference."""
    with pytest.raises(Incomplete) as raised:
        composite.fields(taken([2, 2], angles=[181, 150]), 2, angles=False)
    assert str(raised.value) == f"the session has images of 1 of 2 fields. {ENOUGH}"


def test_a_beam_may_have_the_number_0(taken: Taken, plan: Dataset) -> None:
    """Which is a number as others are."""
    plan.BeamSequence[0].BeamNumber = 0
    images = taken([0, 2, 3, 3], angles=[0, 90, 180, 180])
    assert composite.fields(images).uids == (*images.uids[:2], images.uids[3])


@pytest.mark.parametrize(
    ("beams", "angles", "turned"),
    [
        ([None, None, None], [0, 0, 0], False),
        ([None, None, None], [None, None, 0], True),
        ([1, None, 2], [0, 90, 180], True),
    ],
    ids=["arcs", "no angles", "some have no number"],
)
def test_images_that_do_not_say_their_field_count_as_one_each(
    beams: list[Optional[int]], angles: list[Optional[float]], turned: bool, taken: Taken
) -> None:
    """As long as there are no more of them than fields; else one of them is a repeat."""
    images = taken(beams, angles=angles)
    assert composite.fields(images, angles=turned) is images
    with pytest.raises(Ambiguous) as raised:
        composite.fields(images, 2, angles=turned)
    assert str(raised.value) == (
        "the session has 3 images of 2 fields, and they do not say which is of which, so one that was given again "
        "cannot be told. Repeat a measurement in a session of its own, or say how many fields there are (in QATrack+: "
        "Images of a complete set)."
    )
    with pytest.raises(Incomplete) as too_few:
        composite.fields(images, 4, angles=turned)
    assert str(too_few.value) == f"the session has images of 3 of 4 fields. {ENOUGH}"


def test_nobody_guesses_how_many_fields_there_are(taken: Taken) -> None:
    """Without a plan the number has to be set."""
    images = taken([1, 2], of_plan=False)
    with pytest.raises(ConfigError) as raised:
        composite.fields(images)
    assert str(raised.value) == (
        "nothing says how many fields make the session complete (no plan was asked for). Say it (in QATrack+: Images "
        "of a complete set)."
    )
    assert composite.fields(images, 2) is images


def test_a_plan_of_nothing_but_set_up_does_not_say_it_either(taken: Taken, plan: Dataset) -> None:
    """Its beams make no images of fields."""
    for beam in plan.BeamSequence:
        beam.TreatmentDeliveryType = "SETUP"
    with pytest.raises(ConfigError) as raised:
        composite.fields(taken([1, 2]))
    assert str(raised.value) == (
        "nothing says how many fields make the session complete (its plan has no beam that treats). Say it (in "
        "QATrack+: Images of a complete set)."
    )


def test_a_plan_that_is_gone_from_the_archive_does_not_say_it(taken: Taken, tmp_path: Path, plan: Dataset) -> None:
    """As for last year's record; the reason is said with it."""
    images = taken([1, 2])
    (tmp_path / "archive" / f"{plan.SOPInstanceUID}.dcm").unlink()
    with pytest.raises(ConfigError) as raised:
        composite.fields(images)
    assert str(raised.value) == (
        "nothing says how many fields make the session complete (its plan cannot be had: archive sent 0 of 1 objects "
        "and called it complete. Call again to fetch the rest; if they never come, its log says why). Say it (in "
        "QATrack+: Images of a complete set)."
    )


def test_an_analysis_of_one_field_gets_the_last_image_of_it(taken: Taken) -> None:
    """And says that it is of this one."""
    images = taken([2, 2])
    assert composite.only_field(images).uids == images.uids[1:]


@pytest.mark.parametrize(
    ("beams", "angles", "said"),
    [
        (
            [1, 2],
            [0, 0],
            "the session has images of 2 fields, and this analysis takes one. Make a plan of one field.",
        ),
        (
            [2, 2],
            [0, 90],
            "the session has images of its field at 2 angles of gantry, collimator or couch, and this analysis takes "
            "one. Take each angle in a session of its own.",
        ),
        (
            [None, None],
            [0, 0],
            "the session has 2 images that do not say which field they are of, and this analysis takes one. Repeat a "
            "measurement in a session of its own.",
        ),
    ],
)
def test_an_analysis_of_one_field_takes_no_guess(
    beams: list[Optional[int]], angles: list[float], said: str, taken: Taken
) -> None:
    """Of two fields, of two angles, or of two images that may be of two."""
    with pytest.raises(Ambiguous) as raised:
        composite.only_field(taken(beams, angles=angles))
    assert str(raised.value) == said
