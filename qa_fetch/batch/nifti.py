"""The image series of a data folder as NIfTI files, by the program dcm2niix."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional, Union

from .. import part10
from ..errors import BadArchive, ConfigError, NotFound, QAFetchError
from ..shelf.disk import make_folder
from .layout import series_of

_VOLUME = ".nii.gz"
_LONGEST = 1800.0  # seconds for one series: thousands of frames take under a minute
# What the program means by its exit codes; 8 says that some of a series was converted, which is not the series.
_CODES = {
    2: "it holds no image that dcm2niix can convert",
    4: "a file of it is damaged",
    7: "the results could not be written",
    8: "only part of it can be converted",
}
_NOT_VOLUMES = ("RTIMAGE", "RTDOSE", "SEG")  # they have pixels, but not those of a patient in a scanner


@dataclass
class Converted:
    """What became of each series, by its path below the data folder."""

    files: dict[str, list[Path]] = field(default_factory=dict)
    """The files that were made of it."""
    present: list[str] = field(default_factory=list)
    """Converted by an earlier run, and left as it is."""
    left_out: list[str] = field(default_factory=list)
    """No images of a scanner: plans, structure sets, doses, portal images, reports."""
    failed: dict[str, str] = field(default_factory=dict)
    """The sentence that says what happened."""


def convert_to_nifti(
    data: Union[str, Path],
    to: Union[str, Path],
    *,
    seconds: float = _LONGEST,
    on_progress: Optional[Callable[[int, int], None]] = None,
) -> Converted:
    """Convert each image series of a data folder to ``sub-*/ses-*/<series>.nii.gz`` with its ``.json``.

    The program runs with ``-ba y``, which keeps the patient's name, ID and dates out of the JSON; the descriptions of
    study and series stay in it, and the names of the folders stay as they are. Where it makes several volumes of a
    series (echoes, phases, real and imaginary parts), each has the program's own ending behind the name. A series that
    was converted is not converted again, and nothing is overwritten.

    Parameters
    ----------
    data
        A folder as a batch leaves it: ``sub-*/ses-*/NNNNN-Description/*.dcm``.
    to
        The folder of the results, made where it is absent.
    seconds
        How long the program may take for one series.
    on_progress
        Called with the number of series done and of all.

    Raises
    ------
    ConfigError
        Where dcm2niix is not installed, or a folder is not as above.
    NotFound
        Where the data folder has no series.
    """
    source, target = Path(data), Path(to)
    program = find_program()
    if not source.is_dir():
        raise ConfigError(f"{source} is not a folder. Name the folder that holds the sub-* folders.")
    if source.resolve() in (target.resolve(), *target.resolve().parents):
        raise ConfigError(f"{target} lies within {source}, which is read. Name a folder outside of it.")
    series = series_of(source)
    if not series:
        raise NotFound(f"{source} has no series (sub-*/ses-*/*/). Name the folder that holds the sub-* folders.")
    converted, places = Converted(), _places(series, source, target)
    for done, (folder, place) in enumerate(places.items(), 1):
        name = folder.relative_to(source).as_posix()
        if not _has_volumes(folder):
            converted.left_out.append(name)
        elif _is_made(place, places):
            converted.present.append(name)
        else:
            try:
                converted.files[name] = _convert(program, folder, place, name, seconds)
            except QAFetchError as error:
                converted.failed[name] = error.message
        if on_progress:
            on_progress(done, len(series))
    return converted


def find_program() -> str:
    """Where dcm2niix is: on PATH, beside the Python that runs, or in the package of that name."""
    package = importlib.util.find_spec("dcm2niix")
    within = (package.submodule_search_locations or ()) if package else ()
    for folder in (None, str(Path(sys.executable).parent), *within):
        found = shutil.which("dcm2niix", path=folder)
        if found is not None:
            return str(Path(found).absolute())
    raise ConfigError("nifti needs the program dcm2niix, which is not installed here. Run: pip install dcm2niix")


def _places(series: list[Path], source: Path, target: Path) -> dict[Path, Path]:
    """Each series with the path of its results, less their endings; no two with the same."""
    places: dict[Path, Path] = {}
    taken: set[str] = set()
    for folder in series:
        parts = [_plain(part) for part in folder.relative_to(source).parts]
        place, again = target.joinpath(*parts), 1
        while str(place).casefold() in taken:
            again += 1
            place = target.joinpath(*parts[:-1], f"{parts[-1]}-{again}")
        taken.add(str(place).casefold())
        places[folder] = place
    return places


def _plain(name: str) -> str:
    """A name of letters, digits, ``-`` and ``_``, of which BIDS makes its names."""
    return re.sub("[^0-9A-Za-z_-]+", "-", name)


def _has_volumes(folder: Path) -> bool:
    """Whether the first object of a series is an image of a scanner; of what cannot be read the program may say so."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and _is_dicom(path):
            try:
                header: Any = part10.read(path, headers_only=True, keywords=("Modality", "Rows"))
                return "Modality" not in header or ("Rows" in header and header.Modality not in _NOT_VOLUMES)
            except (BadArchive, OSError):  # pydicom says OSError of a sequence that is cut short
                return True
    return False


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _is_made(place: Path, places: dict[Path, Path]) -> bool:
    """Whether a volume of an earlier run is there, under the name itself or with what the program puts behind it."""
    longer = tuple(one.name for one in places.values() if one.name != place.name and one.name.startswith(place.name))
    return any(
        path.name.endswith(_VOLUME) and not (longer and path.name.startswith(longer))
        for path in place.parent.glob(f"{place.name}*")
    )


def _convert(program: str, folder: Path, place: Path, name: str, seconds: float) -> list[Path]:
    """Run the program into a folder of its own beside the results, and move them there when it has succeeded."""
    make_folder(place.parent)
    work = Path(tempfile.mkdtemp(prefix=".dcm2niix-", dir=place.parent))
    try:
        # A fixed name: a "%" in the name of a series would be a field of the program's own language.
        options = ["-ba", "y", "-b", "y", "-z", "y", "-d", "0", "-f", "series", "-o", str(work.absolute())]
        code = _run([program, *options, str(folder.absolute())], name, seconds)
        made = {path: place.with_name(place.name + path.name[len("series") :]) for path in work.iterdir()}
        if code or not any(path.name.endswith(_VOLUME) for path in made):
            raise QAFetchError(_failure(name, code))
        for target in made.values():
            if target.name.endswith(_VOLUME) and target.exists():
                raise QAFetchError(
                    f"{target} is there already and is not of {name}, which was not converted. Name another folder."
                )
        for path in sorted(made, key=lambda path: path.name.endswith(_VOLUME)):  # a volume says that all is there
            path.replace(made[path])
        return sorted(made.values())
    finally:
        shutil.rmtree(work)


def _run(command: list[str], name: str, seconds: float) -> int:
    """The exit code of the program, which is stopped with what it has started when it takes too long."""
    try:
        # What it prints names files and descriptions, which may be the patient's.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise ConfigError(
            f"dcm2niix cannot be run from {command[0]} ({error.strerror}). Run: pip install --force-reinstall dcm2niix"
        ) from error
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise QAFetchError(
            f"dcm2niix did not finish {name} within {seconds:g} s and was stopped. Convert that series by hand."
        ) from None
    finally:
        if process.poll() is None:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the program; the one of PyPI is a Python script that has started the program proper."""
    if os.name == "nt":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _failure(name: str, code: int) -> str:
    if code < 0:
        return f"dcm2niix crashed over {name} (signal {-code}). Leave that series out, or export it again."
    why = _CODES.get(code, f"exit code {code}" if code else "it made no volume of it")
    return f"dcm2niix could not convert {name}: {why}. Run it on that folder to see its own words."
