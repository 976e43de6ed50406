"""Who the patients of a cohort are: those of its ids file, and those that have a summary."""

from __future__ import annotations

import csv
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Optional, Union

from ..errors import ConfigError, NotFound
from .columns import OUTCOMES, given, read
from .config import Settings
from .folders import PatientFolder
from .notes import notes_path, stem


def patients_of(settings: Settings, patients: Optional[Sequence[Union[str, int]]] = None) -> list[str]:
    """The patients that a step goes over, each once: those that are named, else all that the cohort knows.

    Parameters
    ----------
    settings
        Of the cohort.
    patients
        Their IDs; all of the ids file and of the folder of summaries where None are given.

    Raises
    ------
    NotFound
        One of ``patients`` is neither in the ids file nor summarised.
    ConfigError
        Nobody is known, or the files of two patients would be one.
    """
    listed = listed_in(settings.link_to_ids)
    chosen = [] if patients is None else named(patients)
    check_apart(settings, [*listed, *chosen])
    stems = {stem(patient) for patient in listed}
    found = list(dict.fromkeys([*listed, *_summarised(settings.imagesummaries, stems)]))
    if patients is not None:
        _check_known(settings, chosen, found)
        return chosen
    if not found:
        raise ConfigError(
            "the cohort has no patients yet. Run qa-fetch cohort ids and qa-fetch cohort summarise first, "
            "or name them with --patients."
        )
    return found


def _check_known(settings: Settings, chosen: Sequence[str], known: Sequence[str]) -> None:
    """See that a slip in an ID does not become a patient who is excluded.

    Parameters
    ----------
    settings
        Of the cohort.
    chosen
        Who is named.
    known
        Who is in the list or summarised; others are known who have notes, or were built.
    """
    unknown = [
        patient
        for patient in chosen
        if patient not in known
        and not notes_path(settings.patientnotesdir, patient).is_file()
        and not PatientFolder.of(settings, patient).built.is_file()
    ]
    if unknown:
        raise NotFound(
            f"{len(unknown)} of {len(chosen)} patients are neither in the list of patients nor summarised. "
            "Check their IDs, or run: qa-fetch cohort ids."
        )


def named(patients: Union[str, int, Iterable[Union[str, int]]]) -> list[str]:
    """Patients who are named, each once; one ID alone is one patient, and not a list of its letters."""
    return list(dict.fromkeys(map(str, [patients] if isinstance(patients, (str, int)) else patients)))


def check_apart(settings: Settings, patients: Iterable[str]) -> None:
    """See that the disk tells the files of all patients apart: some disks do not tell capitals from small letters.

    Parameters
    ----------
    settings
        Of the cohort.
    patients
        All whose files are to lie there.

    Raises
    ------
    ConfigError
        It does not.
    """
    names = [stem(patient) for patient in dict.fromkeys(patients)]
    shared = sum(count for count in Counter(name.lower() for name in names).values() if count > 1)
    places = (settings.imagesummaries, settings.patientnotesdir, settings.datadirectory, settings.thequarantine)
    for place in places if shared else ():
        if folds_case(place):
            raise ConfigError(
                f"{shared} patients have IDs that differ in capitals only, which the disk of {place} does not tell "
                "apart: their files would be mixed. Give the cohort folders on another disk."
            )


def folds_case(folder: Path) -> bool:
    """Whether a disk takes capitals for small letters; it is tried where the folder is, or where it would be made."""
    there = next((place for place in (folder, *folder.resolve().parents) if place.is_dir()), folder)
    try:
        with tempfile.NamedTemporaryFile(prefix=".qa_fetch_case_", dir=there) as probe:
            return Path(probe.name).with_name(Path(probe.name).name.upper()).exists()
    except OSError:
        return False  # nothing can be written there, so nothing can be mixed


def listed_in(path: Path) -> list[str]:
    """The IDs in a file: PDCP's ``ids,orthanc_ids``, or one ID a line; none where there is no file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise ConfigError(f"the list of patients {path} cannot be read ({reason}). Correct it and run again.") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and "ids" in next(csv.reader(lines[:1]), []):
        from .summaries import idsfile

        return list(dict.fromkeys(one.patient for one in idsfile.read(path)))
    return list(dict.fromkeys(lines))


def _summarised(folder: Path, known: set[str]) -> Iterator[str]:
    """The patients of the files in a folder, by their exact names; those in ``known``, by their stems, left out."""
    found: dict[str, list[str]] = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        for outcome in OUTCOMES:
            name, ending = path.name, f"_{outcome}.csv"
            if name.endswith(ending) and len(name) > len(ending) and not name.startswith("."):
                found.setdefault(name[: -len(ending)], []).append(outcome)
    for name, outcomes in sorted(found.items()):
        if name in known:
            continue
        if stem(name) == name:
            yield name
        elif "SUCCESS" in outcomes:  # an ID that is no name of a file stands in the rows only
            rows = read(folder / f"{name}_SUCCESS.csv")
            patient = next((given(row["PatId"]) or given(row["PatientID"]) for row in rows), "")
            if stem(patient) == name:
                yield patient
