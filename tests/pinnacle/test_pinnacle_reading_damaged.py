"""From damaged archives to records: what is there is read, what is not is named."""

from __future__ import annotations

import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pinnacle_archive import FILES, INFO, PATIENT, TRIAL, P, archive, whole

from qa_fetch.pinnacle.records import Damage


@pytest.mark.parametrize(
    ("said", "date", "doubtful"),
    [
        ("8/20/2002", "20020820", False),
        ("2002-8-3", "20020803", False),
        ("2002-08-20 10:00:00", "20020820", False),
        ("20020820", "20020820", False),
        ("5/5/1950", "19500505", False),
        ("03/04/1950", None, True),
        ("20/08/2002", None, True),
        ("2002-13-01", None, True),
        ("unknown", None, True),
        ("", None, False),
    ],
)
def test_a_birth_date_is_read_or_left_out(tmp_path, said, date, doubtful):
    """Where day and month could be either, none is chosen."""
    patient = whole(archive(tmp_path, {"Patient": PATIENT.replace("1950-02-03", said)}))[0]
    problem = "its birth date can be read in two ways or in none, so it is left out"
    assert patient.birth_date == date
    assert [damage.problem for damage in patient.damages] == [problem] * doubtful


def test_plans_and_image_sets_that_the_patient_does_not_list_are_found(tmp_path):
    """A cut Patient file does not hide what is in the archive."""
    changes = {"Patient": PATIENT[: PATIENT.index("ImageSetList")] + "PlanList ={\n", "Plan_3/plan.Trial": TRIAL % "x"}
    patient, plan, images, _ = whole(archive(tmp_path, changes))
    assert [(entry.number, entry.name) for entry in patient.plans] == [(0, None), (3, None)]
    assert [damage.problem for damage in patient.damages] == [
        "it ends inside 1 open blocks (line 10), so it is read only up to there",
        "image set 0 has files but is not in it",
        "plan 0 has a folder but is not in it",
        "plan 3 has a folder but is not in it",
    ]
    assert (len(plan.trials), plan.version, images.dimension) == (2, 9.1, (512, 256, 2))


def test_what_the_patient_lists_twice_or_without_a_number_is_named(tmp_path):
    """The first one counts."""
    listed = PATIENT[PATIENT.index("  Plan ={") : PATIENT.index("\n\n/*") - 2]
    text = PATIENT.replace(listed, listed + listed + listed.replace("PlanID = 0", "PlanID = x"))
    patient = whole(archive(tmp_path, {"Patient": text}))[0]
    assert len(patient.plans) == 1
    assert [damage.problem for damage in patient.damages] == [
        "plan 0 is in it twice; the first one counts",
        "a plan in it has no PlanID, so it is passed over",
    ]


@pytest.mark.parametrize(
    "missing", ["plan.Trial", "plan.roi", "plan.Points", "plan.PatientSetup", "plan.Pinnacle.Machines"]
)
@pytest.mark.parametrize(("left", "problem"), [(None, "it is missing"), (" \n", "it is empty")])
def test_a_missing_file_of_a_plan_is_named_and_the_others_are_read(tmp_path, missing, left, problem):
    """Nothing is raised, and nothing else is lost."""
    _, plan, _, names = whole(archive(tmp_path, {f"Plan_0/{missing}": left}))
    assert plan.damages == (Damage(f"Plan_0/{missing}", problem),)
    assert len(names) == (0 if missing == "plan.Trial" else 2)
    assert len(plan.rois) == (0 if missing == "plan.roi" else 1)
    assert len(plan.points) == (0 if missing == "plan.Points" else 2)
    assert len(plan.machines) == (0 if missing == "plan.Pinnacle.Machines" else 1)
    assert plan.patient_position == (None if missing == "plan.PatientSetup" else "HFS")


def test_a_plan_without_a_folder_is_named(tmp_path):
    """The Patient file lists it all the same."""
    _, plan, _, names = whole(archive(tmp_path, {name: None for name in FILES if name.startswith("Plan_0/")}))
    assert plan.damages == (Damage("Plan_0", "the archive has no files of this plan"),)
    assert (plan.trials, plan.version, names) == ((), 9.1, [])


def test_a_trial_file_that_is_cut_keeps_the_trials_before(tmp_path):
    """The cut one and its beam say that they are not whole."""
    text = FILES["Plan_0/plan.Trial"]
    cut = text[: text.rindex("Weight = 50")]
    plan = whole(archive(tmp_path, {"Plan_0/plan.Trial": cut}))[1]
    assert [(trial.name, trial.whole, trial.beams[0].whole) for trial in plan.trials] == [
        ("Trial_1", True, True),
        ("Trial_2", False, False),
    ]
    line = cut.count("\n") + 1
    assert [damage.problem for damage in plan.damages] == [
        f"it ends inside 3 open blocks (line {line}), so it is read only up to there",
        "trial 1 is not whole",
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("NumberOfControlPoints = 2", "NumberOfControlPoints = 3"),
        ("NumberOfPoints = 2", "NumberOfPoints = 3"),
    ],
)
def test_a_beam_that_lacks_control_points_or_leaves_says_so(tmp_path, old, new):
    """It tells how many it has; the other trial is whole."""
    plan = whole(archive(tmp_path, {"Plan_0/plan.Trial": FILES["Plan_0/plan.Trial"].replace(old, new, 1)}))[1]
    assert [trial.beams[0].whole for trial in plan.trials] == [False, True]
    assert [damage.problem for damage in plan.damages] == [
        "beam 0 of trial 0 has not as many control points or leaves as it says"
    ]


@pytest.mark.parametrize(
    ("old", "new", "grid"),
    [
        ("  DoseGrid .Origin .X = -14.9044;\n", "", None),
        ("Dimension .X = 93", "Dimension .X = 0", None),
        ("Dimension .X = 93", "Dimension .X = 9.5", None),
        ("VoxelSize .X = 0.3", "VoxelSize .X = -0.3", None),
        ("VolRotDelta .X = 0", "VolRotDelta .X = 1", "rotated"),
    ],
)
def test_a_grid_that_is_none_is_left_out(tmp_path, old, new, grid):
    """Each of its numbers is needed; one that is turned says so."""
    text = FILES["Plan_0/plan.Trial"].replace(old, new)
    found = whole(archive(tmp_path, {"Plan_0/plan.Trial": text}))[1].trials[0].grid
    assert (None if found is None else "rotated" if found.rotated else "straight") == grid


def test_versions_that_count_coordinates_differently_are_named(tmp_path):
    """The patient's file counts; somebody has to look."""
    setup = FILES["Plan_0/plan.PatientSetup"] + 'ObjectVersion ={\n  WriteVersion = "Pinnacle v7.4f";\n};\n'
    plan = whole(archive(tmp_path, {"Plan_0/plan.PatientSetup": setup}))[1]
    assert plan.version == 9.1
    assert [damage.problem for damage in plan.damages] == [
        "its files name versions 9.1 and 7.4 of Pinnacle, which count coordinates differently"
    ]


def test_an_image_set_without_header_or_slices_is_named(tmp_path):
    """What is there is read."""
    changes = {"ImageSet_0.header": None, "ImageSet_0.ImageInfo": INFO.replace("TablePosition = -8.;", "")}
    images = whole(archive(tmp_path, {**changes, "ImageSet_0.img": None}))[2]
    assert (images.dimension, images.pixels, [each.number for each in images.slices]) == (None, None, [2])
    assert [(damage.path, damage.problem) for damage in images.damages] == [
        ("ImageSet_0.header", "it is missing"),
        ("ImageSet_0.ImageInfo", "image 0 has no TablePosition, so it is passed over"),
    ]


def test_a_file_that_is_refused_is_named_with_the_reason(tmp_path):
    """A link in place of the trial is not followed."""
    path = archive(tmp_path, {"Plan_0/plan.Trial": None})
    with tarfile.open(path, "a") as tar:
        info = tarfile.TarInfo(f"{P}/Plan_0/plan.Trial")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    assert whole(path)[1].damages == (Damage("Plan_0/plan.Trial", "it is not read, because it is a link or a device"),)


def test_damages_hold_no_identifiers(tmp_path):
    """Neither a name nor a number of the patient, nor the folder that the archive keeps it in."""
    broken = {name: FILES[name][: len(FILES[name]) // 2] for name in FILES if not name.startswith("ImageSet_0.D")}
    patient, plan, images, _ = whole(archive(tmp_path, broken, inside="M\xfcller_00123"))
    told = repr([*patient.damages, *plan.damages, *images.damages])
    assert "ller" not in told and "00123" not in told and "BRAIN" not in told


@given(st.sampled_from(sorted(FILES)), st.integers(0, 10_000), st.binary(max_size=6), st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_damage_to_any_file_gives_records(tmp_path_factory, name, at, new, cut):
    """Bytes are changed or the end is cut: something is read, nothing is raised."""
    text = FILES[name]
    at %= len(text)
    rest = "" if cut else text[at + len(new) :]
    whole(archive(tmp_path_factory.getbasetemp(), {name: text[:at] + new.decode("latin-1") + rest}))
