"""Patients as one file each: ``.npz`` for Python (never a pickle, which runs what is in it) and ``.mat`` for MATLAB."""

from __future__ import annotations

import functools
import hashlib
import os
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Callable, Final, Optional, Union

import numpy as np
from numpy.typing import NDArray

from ..bulk import Done, Item, Report
from ..bulk.progress import OnProgress
from ..errors import BadArchive, ConfigError, Incomplete
from ..shelf.disk import flush_folder, make_folder
from . import listing
from . import matlab as mat
from .config import Settings
from .folders import PatientFolder
from .loading import Loaded, LoadedRoi, built_patients, excluded_by, load
from .notes import stem
from .steps import run_step

_COMMENT: Final = b"qa_fetch cohort 1"  # of the archive that an .npz is
_LARGE: Final = 1 << 30  # bytes from which an entry says its size in 64 bits


def npz(loaded: Loaded, path: Union[str, Path]) -> None:
    """Write a patient as ``.npz``: ``numpy.load(path, allow_pickle=False)`` reads it.

    The entries are the keys of ``Loaded.as_dict``, with ``mask0``, ``mask1`` ... for ``roi_masks``, and besides
    ``roi_numbers``, ``roi_structures`` and ``roi_volumes_cc`` in the same order, and ``affine``, which leads from
    (column, row, slice, 1) to DICOM's x, y, z in mm. The same patient gives the same bytes.

    Raises
    ------
    Incomplete
        It cannot be written there.
    ConfigError
        There is a file that was not written by qa-fetch.
    """
    arrays: dict[str, Callable[[], Any]] = {
        name: functools.partial(np.asarray, value) for name, value in _facts(loaded)
    }
    arrays["roi_names"] = lambda: np.array(loaded.roi_names, dtype=np.str_)
    arrays["roi_structures"] = lambda: np.array([roi.structures for roi in loaded.rois], dtype=np.str_)
    for at, roi in enumerate(loaded.rois):
        arrays[f"mask{at}"] = functools.partial(_mask, loaded, roi)
    _write(Path(path), _is_our_npz, functools.partial(_fill_npz, arrays))


def matlab(loaded: Loaded, path: Union[str, Path]) -> None:
    """Write a patient as ``.mat``, version 5: the keys of ``Loaded.as_dict``, and those that ``npz`` adds.

    ``roi_masks`` is a structure of logical arrays ``mask0`` ..., ``roi_names`` a row of cells. All arrays are
    ``(slice, row, column)``, also as MATLAB counts. The same patient gives the same bytes.

    Raises
    ------
    Incomplete
        It cannot be written there.
    ConfigError
        There is a file that was not written by qa-fetch, or an array is too large for such a file.
    """
    variables: dict[str, mat.Value] = dict(_facts(loaded))
    variables["roi_names"] = loaded.roi_names
    variables["roi_structures"] = [roi.structures for roi in loaded.rois]
    shape = loaded.images.grid.shape
    variables["roi_masks"] = {
        f"mask{at}": mat.Later(shape, np.bool_, functools.partial(loaded.whole, roi))
        for at, roi in enumerate(loaded.rois)
    }
    _write(Path(path), _is_our_mat, lambda file: mat.write(file, variables))


def export(
    settings: Settings,
    patients: Optional[Sequence[Union[str, int]]] = None,
    *,
    npz: Optional[bool] = None,
    matlab: Optional[bool] = None,
    workers: Optional[int] = None,
    where: str = "processes",
    on_progress: Optional[OnProgress] = None,
    cancelled: Optional[threading.Event] = None,
) -> Report:
    """Write patients into the folders ``picklefiles`` (as ``.npz``) and ``matlabfiles`` (as ``.mat``) of the cohort.

    Parameters
    ----------
    settings
        Of the cohort.
    patients
        Their IDs; all that are built and not excluded where None are given.
    npz, matlab
        Which of them; None for those whose folder is set.
    workers, where, on_progress, cancelled
        As for ``qa_fetch.bulk.run``.

    Raises
    ------
    ConfigError
        No folder is set for what is wanted.
    """
    folders = {
        ".npz": _folder("picklefiles", settings.picklefiles, npz),
        ".mat": _folder("matlabfiles", settings.matlabfiles, matlab),
    }
    wanted = {ending: str(folder) for ending, folder in folders.items() if folder is not None}
    if not wanted:
        raise ConfigError("nothing is to be exported. Set picklefiles or matlabfiles in the configuration.")
    if patients is None:
        chosen = [patient for patient in built_patients(settings) if excluded_by(settings, patient) is None]
    else:
        chosen = listing.patients_of(settings, patients)
    return run_step(
        "export",
        settings,
        [Item(patient, _payload(settings, patient, wanted)) for patient in chosen],
        functools.partial(_one, settings),
        where=where,
        workers=workers,
        intact=_intact,
        on_progress=on_progress,
        cancelled=cancelled,
    )


# One patient


def _folder(key: str, folder: Optional[Path], wanted: Optional[bool]) -> Optional[Path]:
    if wanted and folder is None:
        raise ConfigError(f"{key} is not set, so there is no folder to export to. Set it in the configuration.")
    return None if wanted is False else folder


def _payload(settings: Settings, patient: str, wanted: Mapping[str, str]) -> dict[str, Any]:
    """What an export depends on: with another build or another verdict it is made again."""
    try:
        built = PatientFolder.of(settings, patient).built.read_bytes()
    except OSError:
        built = b""
    return {
        "patient": patient,
        "files": {ending: str(Path(folder) / f"{stem(patient)}{ending}") for ending, folder in wanted.items()},
        "built": hashlib.sha256(built).hexdigest(),
        "excluded": str(excluded_by(settings, patient) or ""),
    }


def _one(settings: Settings, payload: dict[str, Any]) -> Done:
    """Export one patient."""
    loaded = load(settings, payload["patient"])
    if loaded.warnings:
        raise BadArchive(loaded.warnings[0])
    sizes = {}
    for ending, name in payload["files"].items():
        (npz if ending == ".npz" else matlab)(loaded, Path(name))
        sizes[ending] = Path(name).stat().st_size
    return Done(bytes=sum(sizes.values()), detail={"sizes": sizes})


def _intact(payload: Any, detail: Any) -> bool:
    """Whether the files of an export are still there."""
    sizes = detail.get("sizes", {})
    return all(
        Path(name).is_file() and Path(name).stat().st_size == sizes.get(ending)
        for ending, name in payload["files"].items()
    )


# What is in a file


def _facts(loaded: Loaded) -> Iterator[tuple[str, Any]]:
    """Everything but names and masks."""
    yield "ct_image", loaded.images.values
    if loaded.dose is not None:
        yield "dose_data", loaded.dose.values
    yield "PixelSpacing", loaded.images.grid.spacing[::-1].copy()
    yield "StudyDate", loaded.StudyDate
    yield "StructureSetDate", str(loaded.StructureSetDate)
    yield "version", loaded.version
    yield "roi_numbers", np.array([roi.number for roi in loaded.rois], dtype=np.int64)
    volumes = [np.nan if roi.volume_cc is None else roi.volume_cc for roi in loaded.rois]
    yield "roi_volumes_cc", np.array(volumes, dtype=np.float64)
    yield "affine", loaded.images.grid.affine


def _mask(loaded: Loaded, roi: LoadedRoi) -> NDArray[np.uint8]:
    return loaded.whole(roi).view(np.uint8)


def _fill_npz(arrays: Mapping[str, Callable[[], Any]], file: BinaryIO) -> None:
    """An ``.npz`` array by array, without the time at which it was made."""
    write_array: Any = np.lib.format.write_array  # some versions of numpy say its types, others do not
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.comment = _COMMENT
        for name, make in arrays.items():
            array = np.asarray(make())
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            with archive.open(entry, "w", force_zip64=array.nbytes > _LARGE) as inside:
                write_array(inside, array, allow_pickle=False)


# Files


def _is_our_npz(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.comment == _COMMENT
    except zipfile.BadZipFile:
        return False


def _is_our_mat(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(mat.TEXT)) == mat.TEXT


def _write(path: Path, is_ours: Callable[[Path], bool], fill: Callable[[BinaryIO], None]) -> None:
    """Write a file as a whole or not at all, never over one of somebody else.

    Parameters
    ----------
    path
        Where to.
    is_ours
        Whether a file was written by qa-fetch.
    fill
        Writes what is in it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        make_folder(path.parent)
        if path.exists() and not (path.is_file() and is_ours(path)):
            raise ConfigError(
                f"A file in {path.parent} has the name of an export and was not written by qa-fetch. "
                "Move it away, then export again."
            )
        try:
            with temporary.open("wb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        flush_folder(path.parent)
    except OSError as error:
        raise Incomplete(
            f"The export cannot be written to {path.parent} ({error.strerror}). "
            "Free space there or give another folder.",
            retriable=False,
        ) from error
