"""What was chosen is fetched: all of it and nothing else, and each failure has its code and is raised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cohort_stage import Stage, staged
from truth_scenarios import quick

from qa_fetch import part10
from qa_fetch.cohort import columns, contours, masking, sparse, volumes
from qa_fetch.cohort.codes import Code
from qa_fetch.cohort.grids import Grid
from qa_fetch.cohort.masks import Mask
from qa_fetch.errors import BadArchive, ConfigError, ConnectionFailed, Incomplete, QAFetchError


def one(folder: Path) -> Stage:
    """A cohort of one patient with few slices."""
    return staged(folder, [quick(slices=14)], slices_drop_below=10)


def failed(stage: Stage, error: type[QAFetchError]) -> tuple[str, Code]:
    """How the build fails, and the last code; the notes have the sentence too, and nothing else is left."""
    with pytest.raises(error) as caught:
        stage.build()
    notes = stage.notes()
    assert f"{notes.codes[-1].step}: {caught.value}" in notes.lines("retrieval_notes")
    assert not notes.ready
    assert not stage.settings.datadirectory.is_dir() or not list(stage.settings.datadirectory.iterdir())
    return str(caught.value), notes.codes[-1]


def test_an_image_that_is_lost_is_no_series(tmp_path: Path) -> None:
    """A part of a series is never built as the whole."""
    stage = one(tmp_path)
    next(stage.archive.rglob("CT/*.dcm")).unlink()
    said, code = failed(stage, Incomplete)
    assert (said, code.name) == (
        "archive has 13 images of the series and the summary 14: 1 of these did not come, 0 are new. "
        "Run qa-fetch cohort summarise again for this patient; if images are lost, bring them back first.",
        "XI_EXEC_002",
    )


def test_an_image_that_is_new_asks_for_another_summary(tmp_path: Path) -> None:
    """The choice was made without it."""
    stage = one(tmp_path)
    table = columns.path_of(stage.settings.imagesummaries, stage.patient, "SUCCESS")
    rows = columns.read(table)
    rows.remove(next(row for row in rows if row["Modality"] == "CT" and row["InstanceNumber"] == "14"))
    columns.write(stage.settings.imagesummaries, stage.patient, "SUCCESS", rows)
    said, code = failed(stage, Incomplete)
    assert said.startswith("archive has 14 images of the series and the summary 13: 0 of these did not come, 1 are new")
    assert code.name == "XI_EXEC_002"


@pytest.mark.parametrize(("modality", "name"), [("CT", "XI_EXEC_002"), ("RTPLAN", "XV_EXEC_002")])
def test_an_object_of_another_patient_is_not_used(modality: str, name: str, tmp_path: Path) -> None:
    """Archives keep copies of other names under the same UIDs."""
    stage = one(tmp_path)
    path = next(stage.archive.rglob(f"{modality}/*.dcm"))
    data = part10.read(path)
    data.PatientID = "somebody"
    part10.write(data, path)
    said, code = failed(stage, BadArchive)
    assert (said, code.name) == (
        "archive sent an object of another patient than the summary says, so none is used. "
        "Summarise the patient again; if it stays so, report it to the archive's administrator.",
        name,
    )


def test_images_that_do_not_say_how_they_lie_are_counted(tmp_path: Path) -> None:
    """A place without a direction is none either; the patient is excluded, and nothing has failed."""
    stage = one(tmp_path)
    for path in stage.archive.rglob("CT/*.dcm"):
        data = part10.read(path)
        del data.ImageOrientationPatient
        part10.write(data, path)
    notes = stage.build()
    assert (notes.codes[-1].name, notes.ready) == ("XI_EXEC_001", False)
    said = (
        "CT retrieval: 14 of 14 images do not say where they lie, as images of several frames do not, which are not "
        "built. Leave this patient out."
    )
    assert any(line.endswith(said) for line in notes.lines("retrieval_notes"))


def test_a_dose_in_another_frame_of_reference_is_told(tmp_path: Path) -> None:
    """It is linked by UID all the same."""
    stage = one(tmp_path)
    path = next(stage.archive.rglob("RTDOSE/*.dcm"))
    data = part10.read(path)
    data.FrameOfReferenceUID = "1.2.3.4"
    part10.write(data, path)
    said = "XVI: RTDOSE retrieval: It lies in another frame of reference than that of the images."
    assert said in stage.build().lines("retrieval_notes")


def test_an_archive_that_is_away_fails_at_the_images(tmp_path: Path) -> None:
    """Nothing listens there."""
    stage = one(tmp_path)
    away = replace(stage.settings, archive=None, ipport="http://127.0.0.1:9", TIMEOUT=5.0)
    _, code = failed(replace(stage, settings=away), ConnectionFailed)
    assert code.name == "XI_EXEC_02"


def test_what_came_stays_on_the_shelf_until_all_is_there(tmp_path: Path) -> None:
    """Then the patient's folder has the same files under names of its own."""
    stage = one(tmp_path)
    dose = next(stage.archive.rglob("RTDOSE/*.dcm"))
    aside = dose.rename(tmp_path / "dose.dcm")
    _, code = failed(stage, QAFetchError)
    shelf = stage.settings.work / "shelf"
    kept = {path.stat().st_ino for path in shelf.rglob("objects/*/*.dcm")}
    assert (code.name, len(kept)) == ("XVI_EXEC_001", 16)
    aside.rename(dose)
    stage.build()
    built = stage.built()
    assert {(stage.folder().root / name).stat().st_ino for name in built.images} < kept
    assert not list(shelf.rglob("*.dcm"))


def test_a_place_that_holds_no_archive_is_a_mistake_of_the_settings(tmp_path: Path) -> None:
    """It has no code, for it has nothing to do with the patient."""
    stage = one(tmp_path)
    wrong = replace(stage, settings=replace(stage.settings, archive="folder:/nowhere"))
    with pytest.raises(ConfigError):
        wrong.build()
    assert not any(code.step == "XII" for code in stage.notes().codes)


# Masks


def _regions(*names: str) -> list[Any]:
    blank = contours.Region(0, "", None, None, None, None, (), None, ())
    return [replace(blank, number=number, name=name) for number, name in enumerate(names, 1)]


def test_masks_of_one_set_never_share_a_file() -> None:
    """Whatever is called alike, or would be on a disk."""
    found = masking.file_names(
        "1/2", _regions("PTV", "ptv", "PTV", "a/b", "a_b", "../x", "  ", "肺", "PTV~2", "x" * 300)
    )
    names = [name[len("patient_1_2~") + 17 : -len(".nii.gz")] for name in found]
    assert names == ["PTV", "ptv~2", "PTV~3", "a_b", "a_b~5", ".._x", "ROI_7", "ROI_8", "PTV_2", "x" * 80]
    assert len({name.casefold() for name in found}) == len(found)
    assert all("/" not in name for name in found)


@pytest.mark.parametrize("box", [(0, 5, 0, 4, 0, 6), (1, 3, 1, 2, 2, 5), (4, 5, 3, 4, 5, 6), (0, 1, 0, 1, 0, 1)])
def test_a_mask_is_written_as_any_volume(box: tuple[int, ...], tmp_path: Path) -> None:
    """Byte for byte what the slower way gives when it is unpacked."""
    import gzip

    import numpy as np

    grid = Grid((5, 4, 6), np.array([1.0, 2, 3]), np.array([[0, 0, 2.5], [0, -1.5, 0], [-1.25, 0, 0]]), None)
    slices = (slice(*box[:2]), slice(*box[2:4]), slice(*box[4:]))
    shape = tuple(each.stop - each.start for each in slices)
    fraction = np.random.default_rng(1).random(shape).astype(np.float32)
    mask = Mask(grid, slices, fraction, 1.0, ())
    sparse.nifti(mask, tmp_path / "a.nii.gz", sparse.head(grid))
    volumes.nifti(mask.volume(), tmp_path / "b.nii.gz")
    ours, plain = (gzip.decompress((tmp_path / name).read_bytes()) for name in ("a.nii.gz", "b.nii.gz"))
    assert ours == plain
