"""What a ``Patient`` file says: who it is, and which plans and image sets there are."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from typing import Optional

from .records import Damage, ImageSetEntry, Patient, PlanEntry
from .text import Block

_ISO = re.compile(r"(\d{4})[-/. ](\d{1,2})[-/. ](\d{1,2})(?:[ T].*)?|(\d{4})(\d{2})(\d{2})")
_MOST_NUMBER = 1_000_000
_SLASHES = re.compile(r"(\d{1,2})[/. -](\d{1,2})[/. -](\d{4})(?: .*)?")
_SEXES = {"m": "M", "male": "M", "f": "F", "female": "F", "o": "O", "other": "O"}


def patient(content: Block, folder: str, inside: Iterable[str], damages: Iterable[Damage]) -> Patient:
    """The patient of a file.

    Parameters
    ----------
    content
        The file's content.
    folder
        Where it lies in the archive.
    inside
        The paths of everything below that folder.
    damages
        What is known to be wrong with the file.
    """
    problems = list(damages)
    numbers = {"Plan": set[int](), "ImageSet": set[int]()}
    for path in inside:
        found = re.match(r"(Plan|ImageSet)_(\d{1,6})[./]", path)
        if found:
            numbers[found[1]].add(int(found[2]))
    born = content.text("DateOfBirth")
    birth_date = date(born)
    if born is not None and birth_date is None:
        problems.append(
            Damage("Patient", "its birth date can be read in two ways or in none, so it is left out", loses=False)
        )
    physician = content.text("RadiationOncologist") or content.text("PrimaryPhysician")
    return Patient(
        folder=folder,
        number=content.text("PatientID"),
        path=content.text("PatientPath"),
        medical_record_number=content.text("MedicalRecordNumber"),
        last_name=content.text("LastName"),
        first_name=content.text("FirstName"),
        middle_name=content.text("MiddleName"),
        birth_date=birth_date,
        sex=_SEXES.get((content.text("Gender") or "").lower()),
        physician=physician,
        image_sets=tuple(_image_sets(content, numbers["ImageSet"], problems)),
        plans=tuple(_plans(content, folder, numbers["Plan"], problems)),
        damages=tuple(problems),
    )


def date(text: Optional[str]) -> Optional[str]:
    """A date as YYYYMMDD: of ``2002-08-20``, ``20020820`` or ``8/20/2002``; None where day and month are in doubt."""
    if text is None:
        return None
    iso = _ISO.fullmatch(text)
    slashes = None if iso else _SLASHES.fullmatch(text)
    if iso:
        year, month, day = (int(part) for part in iso.groups() if part is not None)
    elif slashes:
        month, day, year = (int(part) for part in slashes.groups())
        if day <= 12 and day != month:
            return None
    else:
        return None
    try:
        return datetime.date(year, month, day).strftime("%Y%m%d").zfill(8)
    except ValueError:
        return None


def _plans(content: Block, folder: str, there: set[int], problems: list[Damage]) -> list[PlanEntry]:
    """The plans that are listed, and those that are not but have a folder."""
    found: list[PlanEntry] = []
    for block in content.members("PlanList"):
        number = block.whole_number("PlanID")
        if number is None or not 0 <= number < _MOST_NUMBER:
            problems.append(Damage("Patient", "a plan in it has no PlanID, so it is passed over"))
            continue
        if any(number == entry.number for entry in found):
            problems.append(Damage("Patient", f"plan {number} is in it twice; the first one counts"))
            continue
        version = block.block("ObjectVersion")
        found.append(
            PlanEntry(
                number=number,
                folder=_below(folder, f"Plan_{number}"),
                name=block.text("PlanName"),
                version=block.text("PinnacleVersionDescription"),
                image_set=block.whole_number("PrimaryCTImageSetID"),
                written=version.text("WriteTimeStamp") if version is not None else None,
                locked=block.flag("PlanIsLocked"),
                comment=block.text("Comment"),
            )
        )
    for number in sorted(there - {entry.number for entry in found}):
        problems.append(Damage("Patient", f"plan {number} has a folder but is not in it", loses=False))
        found.append(PlanEntry(number, _below(folder, f"Plan_{number}"), None, None, None, None, None, None))
    return found


def _image_sets(content: Block, there: set[int], problems: list[Damage]) -> list[ImageSetEntry]:
    """The image sets that are listed, and those that are not but have files."""
    found: list[ImageSetEntry] = []
    for block in content.members("ImageSetList"):
        number = block.whole_number("ImageSetID")
        if number is None or not 0 <= number < _MOST_NUMBER:
            problems.append(Damage("Patient", "an image set in it has no ImageSetID, so it is passed over"))
            continue
        if any(number == entry.number for entry in found):
            problems.append(Damage("Patient", f"image set {number} is in it twice; the first one counts"))
            continue
        found.append(
            ImageSetEntry(
                number=number,
                modality=block.text("Modality"),
                study_id=block.text("StudyID"),
                images=block.whole_number("NumberOfImages"),
                description=block.text("SeriesDescription"),
                scanned=block.text("ScanTimeFromScanner"),
                series_uid=block.text("SeriesUID"),
            )
        )
    for number in sorted(there - {entry.number for entry in found}):
        problems.append(Damage("Patient", f"image set {number} has files but is not in it", loses=False))
        found.append(ImageSetEntry(number, None, None, None, None, None, None))
    return found


def _below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
