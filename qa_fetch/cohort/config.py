"""What a cohort is made of: PDCP's JSON as it is, in both spellings of its keys, or the same keys as TOML."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

from ..config.options import FILE, FOLDER, SECONDS, Option, shown
from ..config.secret import read_secret
from ..config.sources import from_file
from ..config.values import as_above_zero, as_flag, as_number, as_path, as_text, as_url, one_word_of
from ..errors import ConfigError

_LARGEST = 1 << 20  # bytes
_LAYOUT = {
    "imagesummaries": "imagesummaries",
    "patientnotesdir": "patientnotes",
    "datadirectory": "data",
    "thequarantine": "quarantine",
    "link_to_ids": "ids/ids.csv",
    "work": "work",
}  # below ``folder``, as step 2 of PDCP's manual has it
_ON_DISK = ("folder", "pinnacle")  # addresses of archives that are paths
_MANUAL = {
    "datadictionary": "datadirectory",
    "quarantine": "thequarantine",
    "links_to_ids": "link_to_ids",
    "connections": "CONNECTIONS",
    "timeout": "TIMEOUT",
}  # the manual's spelling, or ours, to that of PDCP's code


class Profile(NamedTuple):
    """Which objects belong together: images and structures always, dose and plan where it says so."""

    name: str
    images: str
    dose: bool
    plan: bool

    @property
    def modalities(self) -> tuple[str, ...]:
        """What a patient must have."""
        return (self.images, "RTSTRUCT", *(["RTDOSE"] * self.dose), *(["RTPLAN"] * self.plan))


PROFILES = {
    "CRDP": Profile("CRDP", "CT", True, True),
    "CRD": Profile("CRD", "CT", True, False),
    "CR": Profile("CR", "CT", False, False),
    "MR": Profile("MR", "MR", False, False),
    "PET": Profile("PET", "PT", False, False),
}


@dataclass(frozen=True)
class Settings:
    """All that a cohort's steps need to know; the fields are called as PDCP's keys are.

    ``unused`` names the keys of a JSON file that no step reads, so that the user can be told.
    """

    version: str
    profile: Profile
    required_modalities_for_patient: tuple[str, ...]
    required_modalities_for_patient_plus_rtplan: tuple[str, ...]
    study_desc_should_not_contain: tuple[str, ...]
    study_desc_may_contain: tuple[str, ...]
    possibilities: tuple[str, ...]
    imagesummaries: Path
    patientnotesdir: Path
    datadirectory: Path
    thequarantine: Path
    link_to_ids: Path
    work: Path
    matlabfiles: Optional[Path]
    picklefiles: Optional[Path]
    ipport: Optional[str]
    archive: Optional[str]
    username: Optional[str]
    password: Optional[str] = field(repr=False)
    password_env: Optional[str]
    password_file: Optional[Path]
    CONNECTIONS: int
    TIMEOUT: float
    suspicious_max_dose_lower_bound: float
    suspicious_max_dose_upper_bound: float
    slices_drop_below: int
    slices_review_above: int
    slices_drop_above: int
    approval: str
    boosts: str
    boost_words: tuple[str, ...]
    course_days: int
    dose_on_images: bool = False
    unused: tuple[str, ...] = ()

    def secret(self) -> Optional[str]:
        """The password of ``username``; None where no place of one is set."""
        if self.password is not None:
            return self.password
        return read_secret("the cohort", "password", env=self.password_env, file=self.password_file)


def _as_words(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError
    return tuple(dict.fromkeys(as_text(word).lower() for word in value))  # an empty word would be in every text


def _as_modalities(value: Any) -> tuple[str, ...]:
    found = tuple("PT" if word == "pet" else word.upper() for word in _as_words(value))  # DICOM calls it PT
    if not all(word.isascii() and word.isalnum() for word in found):
        raise ValueError
    return found


def _as_maybe(value: Any) -> Optional[str]:
    return None if value is None or value == "" else as_text(value)


def _as_secret(value: Any) -> Optional[str]:
    if not isinstance(value, str):
        raise ValueError
    return value or None


def _as_version(value: Any) -> str:
    return as_text(str(value)) if value not in ("", None) else ""


def _as_count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError
    count = int(value)
    if not 0 <= count <= 1_000_000:
        raise ValueError
    return count


def _as_connections(value: Any) -> int:
    count = _as_count(value)
    if not 1 <= count <= 256:
        raise ValueError
    return count


def _as_profile(value: Any) -> Profile:
    return PROFILES[as_text(value).upper()]


def _as_images(value: Any) -> str:
    found = as_text(value).upper().replace("PET", "PT")
    if found not in ("CT", "MR", "PT"):
        raise ValueError
    return found


_WORDS = Option("a list of words, each with at least one letter", _as_words, ())
_MODALITIES = Option('a list of modalities, such as ["CT", "RTSTRUCT"]', _as_modalities, None)
_COUNT = "a whole number from 0 up"
_GRAY = "a number of Gy from 0 up"
_TEXT = "a text"
_APPROVAL = ("respect", "require", "ignore")
_BOOSTS = ("join", "quarantine")
_PHASES = ("boost", "bst", "phase", "ph1", "ph2", "ph3", "cone down")  # what plans that are treated beside others say
_KEYS: dict[str, Option] = {
    "version": Option(_TEXT, _as_version, ""),
    "profile": Option(f"one of {', '.join(PROFILES)}", _as_profile, None),
    "images": Option('"CT", "MR" or "PT"', _as_images, None),
    "folder": Option(FOLDER, as_path, None),
    "required_modalities_for_patient": _MODALITIES,
    "required_modalities_for_patient_plus_rtplan": _MODALITIES,
    "study_desc_should_not_contain": _WORDS,
    "study_desc_may_contain": _WORDS,
    "possibilities": _WORDS,
    **{key: Option(FOLDER, as_path, None) for key in ("imagesummaries", "patientnotesdir", "datadirectory")},
    "thequarantine": Option(FOLDER, as_path, None),
    "link_to_ids": Option(FILE, as_path, None),
    "work": Option(FOLDER, as_path, None),
    "matlabfiles": Option(FOLDER, as_path, None),
    "picklefiles": Option(FOLDER, as_path, None),
    "ipport": Option("an http or https address without user and password", as_url, None),
    "archive": Option("the name or the address of an archive", as_text, None),
    "username": Option(_TEXT, _as_maybe, None),
    "password": Option(_TEXT, _as_secret, None),
    "password_env": Option("the name of an environment variable", as_text, None),
    "password_file": Option(FILE, as_path, None),
    "CONNECTIONS": Option("a whole number from 1 to 256", _as_connections, 4),
    "TIMEOUT": Option(SECONDS, as_above_zero, 60.0),
    "suspicious_max_dose_lower_bound": Option(_GRAY, as_number, 38.0),
    "suspicious_max_dose_upper_bound": Option(_GRAY, as_number, 120.0),
    "slices_drop_below": Option(_COUNT, _as_count, 50),
    "slices_review_above": Option(_COUNT, _as_count, 380),
    "slices_drop_above": Option(_COUNT, _as_count, 500),
    "approval": Option(f"one of {', '.join(_APPROVAL)}", one_word_of(*_APPROVAL), "respect"),
    "boosts": Option(f"one of {', '.join(_BOOSTS)}", one_word_of(*_BOOSTS), "join"),
    "boost_words": Option("a list of words, each with at least one letter", _as_words, _PHASES),
    "course_days": Option("a whole number of days from 0 up", _as_count, 90),
    "dose_on_images": Option("true or false", as_flag, False),
}


def load(path: Union[str, Path]) -> Settings:
    """The settings in a file: TOML by its ending, else PDCP's JSON; relative paths begin at the file's own folder.

    Raises
    ------
    ConfigError
        The file cannot be read, or keys are missing or wrong: ``.mistakes`` and the text name all of them.
    """
    path = Path(path)
    if path.suffix.lower() == ".toml":
        return settings(from_file(path), origin=str(path), folder=path.parent)
    mistakes: list[str] = []
    given = _json(path, mistakes)
    return settings(given, origin=str(path), folder=path.parent, as_json=True, mistakes=mistakes)


def settings(
    given: Mapping[str, Any],
    *,
    origin: str = "the cohort",
    folder: Optional[Path] = None,
    as_json: bool = False,
    mistakes: Optional[list[str]] = None,
) -> Settings:
    """The settings that these keys make.

    Parameters
    ----------
    given
        PDCP's keys in either spelling, and ours.
    origin, folder
        Where they stand, for messages, and what relative paths are relative to.
    as_json
        Whether they may hold what only PDCP's JSON may: a password in plain text, and keys that nobody reads.
    mistakes
        What has been found wrong so far.
    """
    wrong = [] if mistakes is None else mistakes
    named, unused = _named(given, as_json, wrong)
    values: dict[str, Any] = {}
    for key, option in _KEYS.items():
        try:
            values[key] = option.convert(named[key]) if key in named else option.default
        except (ValueError, TypeError, KeyError, OverflowError):
            wrong.append(f"{key} is {shown(named[key], key)} and must be {option.expected}")
            values[key] = option.default
    if values["password"] is not None and not as_json:
        wrong.append("password has no place in a TOML file; name where it lies with password_env or password_file")
    _place(values, folder, named, wrong)
    _profile(values, wrong)
    _limits(values, wrong)
    if wrong:
        said = "; ".join(wrong)
        raise ConfigError(f"{origin} is not a cohort: {said}. Correct it and run again.", mistakes=tuple(wrong))
    return Settings(**values, unused=unused)


def _named(given: Mapping[str, Any], as_json: bool, wrong: list[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The values under the names that PDCP's code has for them, and the keys that nobody reads."""
    found: dict[str, Any] = {}
    unused: list[str] = []
    for key, value in given.items():
        name = _MANUAL.get(key, key)
        if name in _KEYS:
            if name in found and found[name] != value:
                wrong.append(f"{name} is there twice, also as {key if key != name else _other(name)}")
            found[name] = value
            continue
        near = difflib.get_close_matches(key, [*_KEYS, *_MANUAL], n=1, cutoff=0.8)
        if near or not as_json:
            wrong.append(f"{shown(key)} is not one of its keys" + (f" (did you mean {near[0]}?)" if near else ""))
        else:
            unused.append(key)
    return found, tuple(unused)


def _other(name: str) -> str:
    return next((other for other, known in _MANUAL.items() if known == name), name)


def _place(values: dict[str, Any], folder: Optional[Path], named: Mapping[str, Any], wrong: list[str]) -> None:
    """Where things lie, and where the patients are."""
    root = values.pop("folder")
    for key in (*_LAYOUT, "matlabfiles", "picklefiles", "password_file"):
        if values[key] is None and key in _LAYOUT:
            if root is None and key == "work":  # PDCP's JSON has no such key
                data = values["datadirectory"]
                values[key] = data and data.parent / "cohort_work"
                continue
            if root is None:
                if key not in named:
                    wrong.append(f"{key} is missing (or give folder, which holds all of them)")
                continue
            values[key] = root / _LAYOUT[key]
        if values[key] is not None and folder is not None:
            values[key] = folder / values[key]
    kind, colon, place = (values["archive"] or "").partition(":")
    if folder is not None and colon and kind in _ON_DISK:
        values["archive"] = f"{kind}:{folder / place}"
    if values["ipport"] is not None and values["archive"] is not None:
        wrong.append("both ipport and archive are there; keep one of them")
    if values["ipport"] is None and values["archive"] is None and not {"ipport", "archive"} & named.keys():
        wrong.append("ipport is missing (or give archive)")


def _profile(values: dict[str, Any], wrong: list[str]) -> None:
    """What must be there, from the profile, or the profile from what must be there, as PDCP's users chose a class."""
    required: Optional[tuple[str, ...]] = values["required_modalities_for_patient"]
    profile: Optional[Profile] = values["profile"]
    images: Optional[str] = values.pop("images")
    if profile is None:
        profile = _profile_of(required)
    if images is not None:
        profile = profile._replace(images=images)
    values["profile"] = profile
    if required is None:
        required = values["required_modalities_for_patient"] = profile.modalities
    lacking = [modality for modality in profile.modalities if modality not in required]
    if lacking:
        wrong.append(f"required_modalities_for_patient lacks {', '.join(lacking)}, which profile {profile.name} needs")
    more = values["required_modalities_for_patient_plus_rtplan"]
    if more is None:
        more = ("CT", "RTSTRUCT", "RTDOSE", "RTPLAN", "PT")
    values["required_modalities_for_patient_plus_rtplan"] = tuple(dict.fromkeys([*more, *required]))


def _profile_of(required: Optional[tuple[str, ...]]) -> Profile:
    found = set(required or ("CT", "RTDOSE", "RTPLAN"))
    images = next((images for images in ("CT", "MR", "PT") if images in found), "CT")
    name = "CRDP" if "RTPLAN" in found else "CRD" if "RTDOSE" in found else "CR"
    return PROFILES[name]._replace(images=images)


def _limits(values: Mapping[str, Any], wrong: list[str]) -> None:
    below, review, above = (values[f"slices_{which}"] for which in ("drop_below", "review_above", "drop_above"))
    if not below <= review <= above:
        wrong.append(
            f"slices_drop_below {below}, slices_review_above {review} and slices_drop_above {above} must not descend"
        )
    low, high = (values[f"suspicious_max_dose_{which}_bound"] for which in ("lower", "upper"))
    if low >= high:
        wrong.append(f"suspicious_max_dose_lower_bound {low:g} must be below suspicious_max_dose_upper_bound {high:g}")


def _json(path: Path, wrong: list[str]) -> dict[str, Any]:
    """The keys of a JSON file; what is there twice with two values is named."""
    try:
        with path.open("rb") as file:
            written = file.read(_LARGEST + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"{path} cannot be read ({reason}). Check the path and its permissions.") from None

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found and found[key] != value:
                wrong.append(f"{shown(key)} is there twice")
            found[key] = value
        return found

    try:
        if len(written) > _LARGEST:
            raise ValueError
        bom = written.startswith(b"\xef\xbb\xbf")
        text = written.decode("utf-8-sig" if bom else json.detect_encoding(written))
        found = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError):
        found = None  # also what is nested too deeply, or no text
    if not isinstance(found, dict):
        raise ConfigError(
            f"{path} is not a configuration of PDCP, since it is not a JSON object. "
            "Check its braces, quotes and commas, or call it .toml where it is TOML."
        )
    return found
