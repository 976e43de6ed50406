"""From archives to records: patients, plans with their trials, image sets, of every form that is sound."""

from __future__ import annotations

from array import array

import pytest
from pinnacle_archive import FILES, MACHINES, PATIENT, TRIAL, P, archive, whole

from qa_fetch.pinnacle import reading, sources
from qa_fetch.pinnacle.records import Grid, Jaws, Leaf, MonitorUnitInfo, PlanEntry, Point, Prescription, WedgeSetting


@pytest.mark.parametrize("inside", [P, "", "a b"])
def test_a_patient_is_read_with_its_plans_and_image_sets(tmp_path, inside):
    """Wherever its folder lies, also at the root of the archive."""
    patient = whole(archive(tmp_path, inside=inside))[0]
    assert (patient.folder, patient.number, patient.medical_record_number) == (inside, "10000", "00123")
    assert (patient.last_name, patient.first_name, patient.middle_name) == ("M\xfcller", "A", None)
    assert (patient.birth_date, patient.sex, patient.physician) == ("19500203", "F", "DR, MD")
    (images,) = patient.image_sets
    assert (images.number, images.modality, images.study_id, images.images) == (0, "CT", "77", 2)
    folder = f"{inside}/Plan_0" if inside else "Plan_0"
    assert patient.plans == (
        PlanEntry(0, folder, "BRAIN", "Pinnacle 9.10", 0, "2020-01-01 10:00:00", True, "a {comment};"),
    )
    assert patient.damages == ()


def test_a_plan_is_read_with_everything_in_its_folder(tmp_path):
    """Trials, prescriptions, beams, control points, points, regions and machines."""
    _, plan, _, names = whole(archive(tmp_path))
    assert (plan.version, plan.patient_position, names, plan.damages) == (9.1, "HFS", ["Trial_1", "Trial_2"], ())
    assert plan.points == (
        Point("iso", (-1.2, 1.9, 2.0), "red", "MARKER"),
        Point("no place", None, None, None),
    )
    assert [(roi.name, [list(curve.points) for curve in roi.curves]) for roi in plan.rois] == [("Brain", [[1, 2, 3]])]
    trial = plan.trials[1]
    assert (trial.index, trial.whole) == (1, True)
    assert trial.grid == Grid((93, 110, 89), (0.3, 0.4, 0.5), (-14.9044, -17.5729, -10.7747))
    assert trial.prescriptions == (Prescription("Brain", 250.0, 99.0, 12, "iso", "Per Fraction", 280.0),)


def test_a_beam_is_read_with_every_control_point(tmp_path):
    """Names, machine, monitor units, dose and tray; gantry, jaws, leaves, wedge and blocks of each control point."""
    (beam,) = whole(archive(tmp_path))[1].trials[0].beams
    assert (beam.name, beam.field_id, beam.isocentre, beam.prescription) == ("AP", "02", "iso", "Brain")
    assert (beam.prescription_point, beam.machine, beam.machine_version) == (None, "Clinac", "2020-01-01 10:00:00")
    assert (beam.modality, beam.energy, beam.beam_type, beam.applicator) == ("Photons", "6X", "Dynamic Arc", None)
    assert (beam.dose, beam.weight, beam.monitor_units_valid) == (f"{P}/Plan_0/plan.Trial.binary.008", 50.0, True)
    assert beam.monitor_units == MonitorUnitInfo(126.27, 1.10137, 1.02155, 1.0, 100.0, 7.1833)
    assert (beam.dose_rate, beam.use_mlc, beam.source_surface_distance, beam.bolus) == (600.0, True, 92.8, None)
    assert (beam.tray, beam.tray_factor, beam.gantry_clockwise, beam.whole) == ("T1", 0.952, True, True)
    first, second = beam.control_points
    assert [(point.gantry, point.weight) for point in (first, second)] == [(181.0, 0.0), (-8.0, 1.0)]
    assert [point.wedge for point in (first, second)] == [None, WedgeSetting("EDW", "WedgeTopToBottom", "30")]
    assert (first.couch, first.collimator, first.jaws, first.dose_rate) == (355.0, 0.0, Jaws(10, 9, 11, 6), 0.0)
    assert (first.leaves, first.leaf_rows) == (array("d", [1, 2, 3, 4.5]), (19.5, -9.75))
    assert (first.block_contours, first.block_outside) == ((array("d", [0, 0, 1, 0, 0, 1]),), "Block")


def test_a_machine_is_read_with_its_leaves_energies_and_wedges(tmp_path):
    """Leaf centres are turned where the machine says so."""
    (machine,) = whole(archive(tmp_path))[1].machines
    assert (machine.name, machine.version, machine.model) == ("Clinac", "2020-01-01 10:00:00", "Varian")
    assert (machine.source_axis_distance, machine.leaves_along_left_right) == (100.0, True)
    assert (machine.leaves, machine.manufacturer) == ((Leaf(19.5, 1.0), Leaf(9.75, 0.5)), "Vendor")
    assert [
        (each.name, each.value, each.modality, each.dose_per_mu_at_calibration, each.default_tray_factor)
        for each in machine.energies
    ] == [("6X", 6.0, "Photons", 0.8074, 0.95), ("9E", 9.0, "Electrons", None, None)]
    (wedge,) = machine.wedges
    assert (wedge.name, wedge.angle, wedge.dynamic, wedge.material) == ("EDW", 0.0, True, "Iron")
    assert wedge.codes == (("TopToBottom", "EDW-OUT"),)


def test_an_image_set_is_read_with_its_geometry_and_where_its_pixels_lie(tmp_path):
    """Empty texts are none; the byte order is honoured."""
    images = whole(archive(tmp_path))[2]
    assert (images.dimension, images.byte_order, images.bytes_per_pixel) == ((512, 256, 2), "big", 2)
    assert (images.pixel, images.start) == ((0.097656, 0.097656, 0.25), (-25.0, -74.902321, -8.75))
    assert (images.start_dicom, images.patient_position, images.version) == ((-25.0, -24.9), "HFS", "9.10")
    assert (images.series_number, images.scanned, images.damages) == (3, None, ())
    assert (images.pixels, images.dicom) == (f"{P}/ImageSet_0.img", (f"{P}/ImageSet_0.DICOM/CT_1.dcm",))
    assert [(each.position, each.number, each.instance_uid, each.frame_uid) for each in images.slices] == [
        (-8.0, 1, "1.2.1", None),
        (-7.75, 2, "1.2.2", None),
    ]


def test_every_patient_of_an_archive_is_found(tmp_path):
    """Each in its own folder, none in the others' way."""
    for number in (1, 2, 10):
        folder = tmp_path / f"Mount_0/Patient_{number}"
        (folder / "Plan_0").mkdir(parents=True)
        (folder / "Patient").write_text(PATIENT.replace("00123", str(number)), encoding="latin-1")
        (folder / "Plan_0/plan.Trial").write_text(TRIAL % f"of {number}", encoding="latin-1")
    with sources.opened(tmp_path) as source:
        found = {patient.medical_record_number: patient for patient in reading.patients(source)}
        assert sorted(found) == ["1", "10", "2"]
        assert [reading.trial_names(source, found[each].plans[0]) for each in ("1", "2")] == [["of 1"], ["of 2"]]
        assert all(patient.folder.endswith(f"_{number}") for number, patient in found.items())


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('/* Trial ={\n Name = "no";\n} */\n' + TRIAL % "a", ["a"]),
        ("TrialList ={\n" + TRIAL % "a" + TRIAL % "b" + "};\n", ["a", "b"]),
        ((TRIAL % "a").replace('  Name = "a";\n', ""), [None]),
        ((TRIAL % "").replace("\n", "\r\n") + (TRIAL % "b").replace("\n", "\r\n"), [None, "b"]),
        (TRIAL % "J\xfcrg" + "\n/* \xff\xfe */", ["J\xfcrg"]),
        (TRIAL % 'a \\"b\\"', ['a "b"']),
        ("Trial ={\n  Name =\n", [None]),
    ],
)
def test_trial_names_are_those_of_the_whole_reading(tmp_path, text, names):
    """The quick way and the long one agree; where the text is unusual, the long one is gone."""
    assert whole(archive(tmp_path, {"Plan_0/plan.Trial": text}))[3] == names


@pytest.mark.parametrize(
    "machines",
    [
        MACHINES.replace("#0 ={", "Machine ={"),
        "MachineList ={\n" + MACHINES + "};\n",
        MACHINES[len("#0 ={\n") : -len("};\n")],
        MACHINES + MACHINES.replace("#0", "#1").replace('Name = "Clinac"', 'Name = "Other"'),
    ],
)
def test_machines_are_found_however_the_file_opens(tmp_path, machines):
    """In numbered blocks, in a list, at the top, several."""
    plan = whole(archive(tmp_path, {"Plan_0/plan.Pinnacle.Machines": machines}))[1]
    assert [machine.name for machine in plan.machines][0] == "Clinac"
    assert plan.machines[0].energies[0].dose_per_mu_at_calibration == 0.8074


@pytest.mark.parametrize("place", ["Plan_0/.auto.plan.Pinnacle.Machines", "Physics/Machine.0/Pinnacle.Machine"])
def test_a_machine_that_a_beam_names_is_also_found_elsewhere_in_the_archive(tmp_path, place):
    """Only one of the same name and version; machines of other versions are left."""
    text = MACHINES[len("#0 ={\n") : -len("};\n")]
    changes = {"Plan_0/plan.Pinnacle.Machines": MACHINES.replace("2020", "1999"), place: text}
    plan = whole(archive(tmp_path, changes))[1]
    assert [machine.version[:4] for machine in plan.machines] == ["1999", "2020"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("CPManagerObject ={\n", "ControlPointList ={\n};\nIgnored ={\n"),
        ("        CPManagerObject ={\n", ""),
    ],
)
def test_control_points_are_found_with_or_without_their_object(tmp_path, old, new):
    """Some versions have no CPManagerObject."""
    text = FILES["Plan_0/plan.Trial"].replace(old, new)
    if not new:
        text = text.replace("GantryIsCCW = 0;\n        };\n", "GantryIsCW = 0;\n")
    beam = whole(archive(tmp_path, {"Plan_0/plan.Trial": text}))[1].trials[0].beams[0]
    assert len(beam.control_points) == (0 if new else 2)
    assert beam.gantry_clockwise is (None if new else False)


@pytest.mark.parametrize(
    ("position", "orientation", "found"),
    [
        ("On back (supine)", "Head First Into Scanner", "HFS"),
        ("On front (prone)", "Head First Into Scanner", "HFP"),
        ("On back (supine)", "Feet First Into Scanner", "FFS"),
        ("On front (prone)", "Feet First Into Scanner", "FFP"),
        ("On left side (decubitus left)", "Head First Into Scanner", "HFDL"),
        ("On right side (decubitus right)", "Feet First Into Scanner", "FFDR"),
        ("Sitting", "Head First Into Scanner", None),
        ("On back (supine)", "", None),
    ],
)
def test_a_patients_position_is_read_or_left_out(tmp_path, position, orientation, found):
    """The four usual ones, DICOM's terms for the sides, none where it is not said."""
    setup = f'Position = "{position}";\nOrientation = "{orientation}";\n'
    plan = whole(archive(tmp_path, {"Plan_0/plan.PatientSetup": setup}))[1]
    assert plan.patient_position == found
    assert [damage.problem for damage in plan.damages] == ["it does not say how the patient lies"] * (found is None)


@pytest.mark.parametrize(
    ("told", "name", "version"),
    [
        ("Clinac: 2020-01-01 10:00:00", "Clinac", "2020-01-01 10:00:00"),
        ("Room 1: Clinac: 2020-01-01 10:00:00", "Room 1: Clinac", "2020-01-01 10:00:00"),
        ("Clinac", "Clinac", None),
        ("", None, None),
    ],
)
def test_a_beam_names_its_machine_with_or_without_a_version(tmp_path, told, name, version):
    """The version is a time, whose colons have no blank behind them."""
    text = FILES["Plan_0/plan.Trial"].replace("Clinac: 2020-01-01 10:00:00", told)
    beam = whole(archive(tmp_path, {"Plan_0/plan.Trial": text}))[1].trials[0].beams[0]
    assert (beam.machine, beam.machine_version) == (name, version)
