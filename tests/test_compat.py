"""Users of pynetdicom_wrapper change one import and keep their code: same constructor, methods, results, exceptions."""

from __future__ import annotations

import ast
import re
import sys
import types
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Optional

import pytest
from peers import course as courses
from peers.course import PATIENT, Course
from peers.doubles import ScriptedArchive, aria
from peers.process import LOOPBACK, free_port

from qa_fetch import Archive, part10
from qa_fetch.backends.pool import POOL
from qa_fetch.compat import AEConfig, PynetdicomWrapper

PORTAL = "ORIGINAL\\PRIMARY\\PORTAL"
DOSE = "ORIGINAL\\PRIMARY\\PORTAL\\ACQUIRED_DOSE"

# The README's example, with its two slips mended (tempDir, and the class imported from the module) and one new import.
EXAMPLE = r"""
from pathlib import Path
from tempfile import TemporaryDirectory
from pylinac import WinstonLutz
from qa_fetch.compat import PynetdicomWrapper

temp_dir = TemporaryDirectory()
outputpath = Path(temp_dir.name)

pndw = PynetdicomWrapper('QA_TB_WL', 'WL_10MV')
latest_date_time = pndw.get_series(outputpath, 'ORIGINAL\\PRIMARY\\PORTAL')

wl = WinstonLutz(outputpath)
wl.analyze(bb_size_mm=5)
wl.publish_pdf('mywl.pdf')
"""


@pytest.fixture
def port() -> int:
    """Where we receive."""
    return free_port()


def _configure(double: ScriptedArchive, port: int, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """The default archive, in a file that QA_FETCH_CONFIG names."""
    path = folder / "site.toml"
    path.write_text(
        f'default = "aria"\n[local]\nae_title = "QATRACK"\nport = {port}\nhost = "{LOOPBACK}"\n'
        f'[archives.aria]\nkind = "dimse"\nae_title = "ARIA"\nhost = "{LOOPBACK}"\nport = {double.port}\n'
    )
    monkeypatch.setenv("QA_FETCH_CONFIG", str(path))


@pytest.fixture
def double(course: Course, port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ScriptedArchive]:
    """ARIA with the course, but one plan for each label, as the default archive."""
    held = [one for one in course.datasets if one is not course.second_plan]
    with aria(held, destinations={"QATRACK": (LOOPBACK, port)}) as running:
        _configure(running, port, monkeypatch, tmp_path)
        yield running


def _came(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _named(uids: Any) -> set[str]:
    return {f"{uid}.dcm" for uid in uids}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The directory that the caller made."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def _example_course(rows: int = 16) -> tuple[Any, Any]:
    plan = courses.plan("WL_10MV", patient="QA_TB_WL")
    return plan, courses.session(plan, courses.datetime(2025, 11, 3, 17, 5), rows=rows)


def test_the_readmes_example_runs_with_only_its_import_changed(
    port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Up to the analysis, for which the corners without pylinac have a stand-in."""
    seen: list[set[str]] = []

    class WinstonLutz:
        def __init__(self, folder: Path) -> None:
            seen.append(_came(folder))

        def analyze(self, bb_size_mm: float) -> None:
            pass

        def publish_pdf(self, name: str) -> None:
            pass

    stand_in = types.ModuleType("pylinac")
    stand_in.WinstonLutz = WinstonLutz  # type: ignore[attr-defined]  # that is all the example imports
    monkeypatch.setitem(sys.modules, "pylinac", stand_in)
    plan, session = _example_course()
    with aria([plan, *session.images], destinations={"QATRACK": (LOOPBACK, port)}) as running:
        _configure(running, port, monkeypatch, tmp_path)
        names: dict[str, Any] = {}
        exec(EXAMPLE, names)
        names["temp_dir"].cleanup()
    assert seen == [_named(session.uids)]
    assert names["latest_date_time"] == "20251103170500"


@pytest.mark.analysis
@pytest.mark.filterwarnings("ignore:`RegionProperties:FutureWarning:pylinac")
def test_the_readmes_example_analyses_generated_images(
    port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The same with pylinac itself, on images of its own generator."""
    pytest.importorskip("pylinac", reason="needs the extra [analysis]: pip install qa_fetch[analysis]")
    from pylinac.core.image_generator import AS1200Image, GaussianFilterLayer, PerfectFieldLayer
    from pylinac.core.image_generator.utils import generate_winstonlutz

    monkeypatch.setenv("MPLBACKEND", "Agg")
    plan, session = _example_course()
    made = tmp_path / "made"
    made.mkdir()
    generate_winstonlutz(
        AS1200Image(sid=1500),
        field_layer=PerfectFieldLayer,
        dir_out=str(made),
        field_size_mm=(30, 30),
        final_layers=[GaussianFilterLayer(sigma_mm=0.5)],
        bb_size_mm=5,
        offset_mm_left=1,
        image_axes=((0, 0, 0), (90, 0, 0), (180, 0, 0), (270, 0, 0)),
    )
    drawn = [part10.read(path) for path in sorted(made.iterdir())]
    for image, source in zip(session.images, drawn):
        for keyword in (
            "Rows Columns PixelData ImagePlanePixelSpacing RTImageSID RadiationMachineSAD GantryAngle RTImagePosition "
            "BeamLimitingDeviceAngle PatientSupportAngle XRayImageReceptorTranslation BitsStored HighBit"
        ).split():
            if keyword in source:
                image[keyword] = source[keyword]
    with aria([plan, *session.images], destinations={"QATRACK": (LOOPBACK, port)}) as running:
        _configure(running, port, monkeypatch, tmp_path)
        names: dict[str, Any] = {}
        exec(EXAMPLE, names)
        names["temp_dir"].cleanup()
    assert names["wl"].results_data().num_total_images == 4
    shift = names["wl"].bb_shift_vector
    assert [abs(shift.x), shift.y, shift.z] == pytest.approx([1, 0, 0], abs=0.1)
    assert (tmp_path / "mywl.pdf").stat().st_size > 1000


def test_the_example_is_the_seeds_own_but_for_its_slips() -> None:
    """It names nothing that it does not import or make."""
    tree = ast.parse(EXAMPLE)
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    assert used <= stored | imported
    seed = Path(__file__).resolve().parents[2] / "shared" / "seeds" / "pynetdicom-wrapper.txt"
    if seed.is_file():  # it lies beside the repository where the project is built, and nowhere else
        text = seed.read_text(encoding="utf-8").replace("tempDir.", "temp_dir.")
        text = text.replace("from pynetdicom_wrapper", "from qa_fetch.compat")
        ours = EXAMPLE.replace("\\\\", "\\").strip()
        assert ours in re.sub("\r", "", text)


def test_the_constructor_looks_the_plan_up(double: ScriptedArchive, course: Course) -> None:
    """As the seed did, when it is given both."""
    wrapper = PynetdicomWrapper(PATIENT, "WL_6X")
    assert (wrapper.pat_id, wrapper.plan_name) == (PATIENT, "WL_6X")
    assert (wrapper.plan_uid, wrapper.study_uid) == (course.wl.SOPInstanceUID, course.wl.StudyInstanceUID)
    empty = PynetdicomWrapper()
    assert (empty.pat_id, empty.plan_name, empty.plan_uid, empty.study_uid) == ("", "", "", "")


@pytest.mark.parametrize("ignore", [True, False])
def test_kv_images_come_only_when_they_are_wanted(
    double: ScriptedArchive, course: Course, out: Path, ignore: bool
) -> None:
    """The files have the names, and the result the value, that the seed gave them."""
    came = PynetdicomWrapper(PATIENT, "WL_6X").get_series(out, PORTAL, ignore_kV=ignore)
    kv = [] if ignore else [str(image.SOPInstanceUID) for image in course.mixed_kv]
    assert _came(out) == _named([*course.newest.uids, *kv])
    assert came == "20251103170500"


def test_a_day_and_an_image_type_choose_other_images(double: ScriptedArchive, course: Course, out: Path) -> None:
    """seriesdate is a date object; portal dose is a type of its own."""
    wrapper = PynetdicomWrapper(PATIENT, "WL_6X")
    assert wrapper.get_series(out, PORTAL, seriesdate=date(2025, 10, 27)) == "20251027170500"
    assert _came(out) == _named(course.sessions[1].uids)
    doses = out / "doses"
    doses.mkdir()
    assert PynetdicomWrapper(PATIENT, "PDIP_10X").get_series(doses, DOSE) == "20251103181000"
    assert _came(doses) == _named(course.doses[0].uids)


def test_an_answer_kept_for_archive_is_not_given_to_the_wrapper(
    double: ScriptedArchive, course: Course, out: Path
) -> None:
    """Both ask for one ImageType and day, and mean different images: kV ones have that type too."""
    day = {"on": date(2025, 11, 3), "session": "series"}
    both = Archive().latest(PATIENT, plan=str(course.wl.SOPInstanceUID), kind=PORTAL, **day)
    assert both.series == (course.kv[0].series.uid,)  # the newest of that type are kV images
    PynetdicomWrapper(PATIENT, "WL_6X").get_series(out, PORTAL, seriesdate=date(2025, 11, 3))
    assert _came(out) == _named(course.newest.uids)
    assert Archive().latest(PATIENT, plan=str(course.wl.SOPInstanceUID), kind=PORTAL, **day).uids == both.uids


def test_addresses_can_be_set_by_hand(
    double: ScriptedArchive, course: Course, out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The README's other way: an empty instance, both ends set, then get_plan_uids."""
    (tmp_path / "elsewhere.toml").write_text('[archives.x]\nkind = "dimse"\nae_title = "X"\nhost = "h"\nport = 104\n')
    monkeypatch.setenv("QA_FETCH_CONFIG", str(tmp_path / "elsewhere.toml"))
    wrapper = PynetdicomWrapper()
    assert str(wrapper.remote_conf) == "X (h:104)"
    assert str(wrapper.local_conf) == "QA_FETCH (0.0.0.0:11113)"
    wrapper.local_conf = AEConfig(aet="QATRACK", ip=LOOPBACK, port=double.destinations["QATRACK"][1])
    wrapper.remote_conf = AEConfig(aet="ARIA", ip=LOOPBACK, port=double.port)
    wrapper.get_plan_uids(PATIENT, "WL_6X")
    assert wrapper.get_series(out, PORTAL) == "20251103170500"
    assert _came(out) == _named(course.newest.uids)
    assert set(double.callers) == {"QATRACK"}
    assert double.moved_to == ["QATRACK"] * len(double.moved_to) != []


def _raised(error: type[Exception], call: Any) -> str:
    """The message of exactly this exception, as a traceback's last line would show it."""
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    return str(caught.value)


def test_no_plan_of_that_name_is_a_value_error(double: ScriptedArchive) -> None:
    """With the names there are."""
    assert _raised(ValueError, lambda: PynetdicomWrapper(PATIENT, "NOPE")) == (
        "aria has no plan called NOPE for this patient; it has PDIP_10X, WL_6X. Check the label."
    )


def test_two_plans_of_that_name_are_a_value_error(double: ScriptedArchive, course: Course) -> None:
    """With the candidates."""
    assert course.second_plan is not None
    double.datasets.append(course.second_plan)
    message = _raised(ValueError, lambda: PynetdicomWrapper(PATIENT, "WL_6X"))
    assert re.fullmatch(
        r"aria has 2 plans called WL_6X: WL_6X \(.*\); WL_6X \(.*\)\. "
        r'Choose with approved=True, pick="newest", or plan=<its UID>\.',
        message,
    )


def test_a_wildcard_for_a_patient_is_a_value_error(double: ScriptedArchive) -> None:
    """The seed would have taken whoever came first."""
    assert _raised(ValueError, lambda: PynetdicomWrapper("QA*", "WL_6X")) == (
        "the patient ID has a wildcard in it, which could mean several patients. Give one exact ID."
    )


def test_no_images_are_a_runtime_error(double: ScriptedArchive, out: Path) -> None:
    """With the day on which there are some."""
    wrapper = PynetdicomWrapper(PATIENT, "WL_6X")
    assert _raised(RuntimeError, lambda: wrapper.get_series(out, PORTAL, seriesdate=date(2025, 11, 2))) == (
        "aria has no RT image of type ORIGINAL\\PRIMARY\\PORTAL for plan WL_6X on 2 November 2025; "
        "the latest is of 3 November 2025 17:05. Ask for that date, or for no date."
    )
    assert _came(out) == set()


@pytest.mark.parametrize("lies", [{"sends_only": 2}, {"move_status": 0xA701}])
def test_images_that_do_not_all_come_are_a_connection_error(
    double: ScriptedArchive, out: Path, lies: dict[str, Optional[int]], course: Course
) -> None:
    """The seed's RuntimeError means that there is nothing, so it must not stand for half a set."""
    wrapper = PynetdicomWrapper(PATIENT, "WL_6X")
    double.lies.level_image_unsupported = "sends_only" in lies  # so that asking again brings the same two
    for name, value in lies.items():
        setattr(double.lies, name, value)
    message = _raised(ConnectionError, lambda: wrapper.get_series(out, PORTAL))
    assert message.startswith("aria ")
    assert _came(out) == set()


def test_no_connection_is_a_connection_error(double: ScriptedArchive, out: Path) -> None:
    """When the plan is looked up, and when the images are."""
    wrapper = PynetdicomWrapper(PATIENT, "WL_6X")
    double.lies.callers = ("SOMEBODY",)
    POOL.clear()  # an association that is open already would go on working
    sentence = (
        "aria does not know the calling AE title QATRACK. "
        "Enter QATRACK with this host's address as a known client there."
    )
    assert _raised(ConnectionError, lambda: PynetdicomWrapper(PATIENT, "PDIP_10X")) == sentence
    assert _raised(ConnectionError, lambda: wrapper.get_series(out, PORTAL)) == sentence


def test_get_series_without_a_plan_is_a_type_error(double: ScriptedArchive, out: Path) -> None:
    """The seed's own sentence."""
    assert _raised(TypeError, lambda: PynetdicomWrapper().get_series(out, PORTAL)) == (
        "Missing uid, call PynetdicomWrapper.get_plan_uids() first."
    )


def test_a_folder_is_as_good_a_default_archive(
    course_files: Path, course: Course, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are no AE titles then, and nothing to set by hand."""
    monkeypatch.setenv("QA_FETCH_DEFAULT", f"folder:{course_files}")
    wrapper = PynetdicomWrapper()
    assert (wrapper.local_conf, wrapper.remote_conf) == (None, None)
    wrapper.get_plan_uids(PATIENT, str(course.wl.SOPInstanceUID))
    assert wrapper.get_series(out, PORTAL) == f"{course.newest.acquired + timedelta(0):%Y%m%d%H%M%S}"
