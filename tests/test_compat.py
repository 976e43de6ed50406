"""pynetdicom_wrapper's users keep their code: the seed's class, its return values and its exceptions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from peers.course import PATIENT, Course
from peers.doubles import ScriptedArchive, aria
from peers.process import LOOPBACK, free_port

from qa_fetch.compat import AEConfig, PynetdicomWrapper

PORTAL = "ORIGINAL\\PRIMARY\\PORTAL"


@pytest.fixture
def configured(course: Course, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ScriptedArchive]:
    """An archive like ARIA with one plan per label, as the default of a configuration file."""
    port = free_port()
    single = [one for one in course.datasets if one is not course.second_plan]
    with aria(single, destinations={"QATRACK": (LOOPBACK, port)}) as double:
        file = tmp_path / "site.toml"
        file.write_text(
            f"""
            [local]
            ae_title = "QATRACK"
            port = {port}
            [archives.aria]
            kind = "dimse"
            ae_title = "ARIA"
            host = "{LOOPBACK}"
            port = {double.port}
            """
        )
        monkeypatch.setenv("QA_FETCH_CONFIG", str(file))
        yield double


def test_the_seeds_own_example_runs_with_only_its_import_changed(configured: ScriptedArchive, course: Course) -> None:
    """Its two slips are mended: the import, and the name of the folder."""
    temp_dir = TemporaryDirectory()
    outputpath = Path(temp_dir.name)

    pndw = PynetdicomWrapper(PATIENT, "WL_6X")
    latest_date_time = pndw.get_series(outputpath, "ORIGINAL\\PRIMARY\\PORTAL")

    first = course.newest.images[0]
    assert latest_date_time == first.AcquisitionDate + first.AcquisitionTime
    assert sorted(path.stem for path in outputpath.iterdir()) == sorted(course.newest.uids)
    assert (pndw.plan_uid, pndw.study_uid) == (course.wl.SOPInstanceUID, course.wl.StudyInstanceUID)
    temp_dir.cleanup()


def test_kilovoltage_images_come_when_they_are_not_ignored(
    configured: ScriptedArchive, course: Course, tmp_path: Path
) -> None:
    """ignore_kV=False brings the whole series, as the seed moved it."""
    PynetdicomWrapper(PATIENT, "WL_6X").get_series(tmp_path, PORTAL, ignore_kV=False)
    expected = {*course.newest.uids, *(str(image.SOPInstanceUID) for image in course.mixed_kv)}
    assert {path.stem for path in tmp_path.glob("*.dcm")} == expected


def test_a_date_selects_an_older_series(configured: ScriptedArchive, course: Course, tmp_path: Path) -> None:
    """seriesdate is the day of acquisition."""
    said = PynetdicomWrapper(PATIENT, "WL_6X").get_series(tmp_path, PORTAL, seriesdate=date(2025, 10, 20))
    assert said.startswith("20251020")
    assert {path.stem for path in tmp_path.glob("*.dcm")} == set(course.sessions[0].uids)


def test_portal_dose_is_fetched_by_its_image_type(configured: ScriptedArchive, course: Course, tmp_path: Path) -> None:
    """The ImageType is matched whole: a portal image is no portal dose image."""
    PynetdicomWrapper(PATIENT, "PDIP_10X").get_series(tmp_path, PORTAL + "\\ACQUIRED_DOSE")
    assert {path.stem for path in tmp_path.glob("*.dcm")} == set(course.doses[0].uids)


def test_addresses_can_still_be_set_by_hand(configured: ScriptedArchive, course: Course, tmp_path: Path) -> None:
    """As in the seed: make the object empty, change both ends, then look up the plan."""
    pndw = PynetdicomWrapper()
    port = free_port()
    configured.know("QATRACK", port)
    pndw.local_conf = AEConfig(aet="QATRACK", ip=LOOPBACK, port=port)
    pndw.remote_conf = AEConfig(aet="ARIA", ip=LOOPBACK, port=configured.port)
    pndw.get_plan_uids(PATIENT, "WL_6X")
    pndw.get_series(tmp_path, PORTAL)
    assert {path.stem for path in tmp_path.glob("*.dcm")} == set(course.newest.uids)
    assert str(pndw.remote_conf) == f"ARIA ({LOOPBACK}:{configured.port})"


def test_no_plan_and_several_plans_are_value_errors(configured: ScriptedArchive, course: Course) -> None:
    """The seed's exceptions, with sentences that say more."""
    with pytest.raises(ValueError) as caught:
        PynetdicomWrapper(PATIENT, "NOPE")
    assert str(caught.value) == (
        "aria has no plan called NOPE for this patient; it has PDIP_10X, WL_6X. Check the label."
    )
    assert course.second_plan is not None
    configured.datasets.append(course.second_plan)
    with pytest.raises(ValueError, match=r"^aria has 2 plans called WL_6X: .* or plan=<its UID>\.$"):
        PynetdicomWrapper(PATIENT, "WL_6X")


def test_no_images_are_a_runtime_error(configured: ScriptedArchive, tmp_path: Path) -> None:
    """As in the seed."""
    with pytest.raises(RuntimeError) as caught:
        PynetdicomWrapper(PATIENT, "WL_6X").get_series(tmp_path, PORTAL, seriesdate=date(2025, 1, 1))
    assert str(caught.value) == (
        "aria has no RT image of type ORIGINAL\\PRIMARY\\PORTAL for plan WL_6X on 1 January 2025; "
        "the latest is of 3 November 2025 17:05. Ask for that date, or for no date."
    )


def test_an_archive_that_refuses_us_is_a_connection_error(configured: ScriptedArchive) -> None:
    """As in the seed."""
    configured.lies.callers = ("SOMEBODY",)
    with pytest.raises(ConnectionError) as caught:
        PynetdicomWrapper(PATIENT, "WL_6X")
    assert str(caught.value) == (
        "aria does not know the calling AE title QATRACK. "
        "Enter QATRACK with this host's address as a known client there."
    )


def test_images_before_the_plan_is_looked_up_are_a_type_error(configured: ScriptedArchive, tmp_path: Path) -> None:
    """As in the seed."""
    with pytest.raises(TypeError) as caught:
        PynetdicomWrapper().get_series(tmp_path, PORTAL)
    assert str(caught.value) == "Missing uid, call PynetdicomWrapper.get_plan_uids() first."
