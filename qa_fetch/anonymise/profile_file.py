"""A profile as a TOML file describes it, checked: every mistake in it has one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional, Union

from ..config.options import one_of, shown
from ..config.sources import from_file
from ..errors import ConfigError
from .dictionary import vr_of
from .table import FULL_DATES, MODIFIED_DATES, OPTION_CODES, Action, keywords, repeating_rows, rows

# By creator, then by group << 16 | last byte of the element, or None for every element of that creator.
Creators = Mapping[str, Mapping[Optional[int], tuple[Action, bytes]]]

SHIPPED = ("basic", "research-rt")

_SHIPPED = Path(__file__).parent / "profiles"
_KEYS = ("extends", "options", "dates", "attributes", "private", "pixels")
_DATES = ("remove", "shift", "keep")
_DATE_OPTIONS = {FULL_DATES: "keep", MODIFIED_DATES: "shift"}
_ACTIONS = {"keep": Action.KEEP, "blank": Action.EMPTY, "remove": Action.REMOVE, "clean": Action.CLEAN}
_PLAIN_TAG = re.compile(r"\(?([0-9A-Fa-f]{4}),([0-9A-Fa-f]{4})\)?")
_PRIVATE_TAG = re.compile(r"([0-9A-Fa-f]{4}),xx([0-9A-Fa-f]{2})")
_CHARACTER_SET = 0x00080005
_STRUCTURE = frozenset((0x0000, 0x0002, 0x0004, 0x7FE0, 0xFFFE))  # groups: commands, file meta, DICOMDIR, pixels, items
_PRIVATE_ACTIONS = {"keep": Action.CLEAN, "blank": Action.EMPTY, "remove": Action.REMOVE}

# What the code of the patient stands in, whatever else is done.
_CODED = ("PatientName", "PatientID")
# Who the patient is, in so many words: no profile lets these through, cleaned or not.
_IDENTITY = frozenset(
    "OtherPatientIDs OtherPatientIDsSequence OtherPatientNames PatientBirthName PatientMotherBirthName PatientAddress "
    "PatientTelephoneNumbers PatientTelecomInformation MedicalRecordLocator InsurancePlanIdentification "
    "AccessionNumber AdmissionID PersonNamesToUseSequence NameToUse ReferencedPatientPhotoSequence ResponsiblePerson "
    "PatientBirthDateInAlternativeCalendar".split()
)
_BIRTH_DATE = "PatientBirthDate"  # may stay moved, never as it is

# What a value must look like where it is more than words.
_FORMS = {
    "AE": r"[ -~]{1,16}",
    "AS": r"[0-9]{3}[DWMY]",
    "CS": r"[A-Z0-9_ ]{1,16}",
    "DA": r"[0-9]{8}",
    "DS": r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?",
    "DT": r"[0-9]{4,14}(\.[0-9]{1,6})?([-+][0-9]{4})?",
    "IS": r"[-+]?[0-9]{1,11}",
    "LO": r".{1,64}",
    "LT": r".{1,10240}",
    "PN": r".{1,64}",
    "SH": r".{1,16}",
    "ST": r".{1,1024}",
    "TM": r"[0-9]{2,6}(\.[0-9]{1,6})?",
    "UC": r".+",
    "UR": r"[!-~]+",
    "UT": r".+",
}
_EXPECTED_PRIVATE = 'expected keep, blank, remove or a VR such as {vr = "DS"}.'
_VRS = (*_FORMS, *"AT FD FL OB OD OF OL OV OW SL SQ SS SV UI UL UN US UV".split())


@dataclass(frozen=True)
class Settings:
    """What a profile's file says, together with the files that it extends; the options without those about dates."""

    options: frozenset[str] = frozenset()
    dates: str = "remove"
    attributes: Mapping[int, Action] = field(default_factory=dict)
    repeating: Mapping[str, Action] = field(default_factory=dict)
    replacements: Mapping[int, str] = field(default_factory=dict)
    creators: Creators = field(default_factory=dict)
    pixels: Mapping[str, Any] = field(default_factory=dict)


def named_profile(source: Union[str, Path], folder: Optional[Path] = None) -> Path:
    """Where the profile of this name or path lies; a relative path starts at ``folder``."""
    shipped = _SHIPPED / f"{source}.toml"
    if str(source) in SHIPPED:
        return shipped
    path = Path(source) if folder is None else folder / source
    if path.suffix.lower() != ".toml" and not path.is_file():
        raise ConfigError(
            f"no profile is called {str(source)!r}; expected {', '.join(SHIPPED)} or the path of a TOML file."
        )
    return path


def settings_of(path: Path, above: tuple[Path, ...] = ()) -> Settings:
    """What the file at this path says, over what the one says that it extends."""
    if path.resolve() in above:
        raise ConfigError(f"file {above[-1]}: extends comes back to {path.name}. Take that line out of one of them.")
    file = _File(f"file {path}", from_file(path))
    extended = file.extended()
    below = Settings()
    if extended is not None:
        below = settings_of(named_profile(extended, path.parent), (*above, path.resolve()))
    return file.over(below)


def private_tag(text: str) -> Optional[int]:
    """``0019,xx0C`` as the group and the last byte of the element in one number; None where it is not written so."""
    found = _PRIVATE_TAG.fullmatch(text)
    if found is None or not int(found[1], 16) & 1:
        return None
    return int(found[1], 16) << 16 | int(found[2], 16)


class _File:
    """One file's values, and what is wrong with them."""

    def __init__(self, origin: str, values: Mapping[str, Any]) -> None:
        self._origin, self._values = origin, values
        for key in values:
            if key not in _KEYS:
                raise self._wrong(f"{key} is not a setting of a profile; {one_of(_KEYS, key)}")
        for key in ("attributes", "private", "pixels"):
            if not isinstance(values.get(key, {}), Mapping):
                raise self._wrong(f"{key} is {shown(values[key])}; expected a table [{key}].")

    def _wrong(self, sentence: str) -> ConfigError:
        return ConfigError(f"{self._origin}: {sentence}")

    def extended(self) -> Optional[str]:
        """The profile that this one starts from, by its name or path."""
        found = self._values.get("extends")
        if found is not None and not (isinstance(found, str) and found.strip()):
            raise self._wrong(f"extends is {shown(found)}; expected {', '.join(SHIPPED)} or the path of a TOML file.")
        return found

    def over(self, below: Settings) -> Settings:
        """This file's settings, and the other ones where it says nothing."""
        options, dates = self._options(below)
        attributes, repeating = dict(below.attributes), dict(below.repeating)
        replacements, creators = dict(below.replacements), dict(below.creators)
        for key, value in self._values.get("attributes", {}).items():
            if key.strip("()") in repeating_rows():
                repeating[key.strip("()")] = self._action(key, value)
                continue
            tag = self._tag(key)
            replacements.pop(tag, None)
            attributes[tag] = self._rule(key, tag, value, replacements)
        for creator, elements in self._values.get("private", {}).items():
            said = dict(self._private(creator, elements))
            before = {} if None in said else creators.get(creator.strip(), {})
            creators[creator.strip()] = {**before, **said}
        pixels = {**below.pixels, **self._values.get("pixels", {})}
        return Settings(options, dates, attributes, repeating, replacements, creators, pixels)

    def _options(self, below: Settings) -> tuple[frozenset[str], str]:
        """The options, and what is done with dates, which may be said in either of two ways."""
        named = self._values.get("options", [*below.options])
        if not isinstance(named, list) or not all(isinstance(option, str) for option in named):
            raise self._wrong(f'options is {shown(named)}; expected a list such as ["clean-descriptors"].')
        for option in named:
            if option not in OPTION_CODES:
                raise self._wrong(f"{shown(option)} is not an option; {one_of(OPTION_CODES, option)}")
        about_dates = [option for option in _DATE_OPTIONS if option in named]
        if len(about_dates) > 1:
            raise self._wrong(f"{about_dates[0]} and {about_dates[1]} exclude each other; keep one of them.")
        told = _DATE_OPTIONS[about_dates[0]] if about_dates else None
        dates = self._values.get("dates", told or below.dates)
        if dates not in _DATES:
            raise self._wrong(f"dates is {shown(dates)}; {one_of(_DATES, dates)}")
        if told not in (None, dates):
            raise self._wrong(f"dates is {shown(dates)} and the options name {about_dates[0]}; say it once.")
        return frozenset(named) - set(_DATE_OPTIONS), dates

    def _tag(self, key: str) -> int:
        """The attribute that a keyword or ``gggg,eeee`` names."""
        found = _PLAIN_TAG.fullmatch(key)
        if found is None:
            tag = keywords().get(key) or _tag_of(key)
            if tag is None:
                raise self._wrong(
                    f"{shown(key)} is not the keyword of an attribute; "
                    'expected one such as StudyDescription, or its tag such as "0008,1030".'
                )
            return tag
        group, tag = int(found[1], 16), int(found[1] + found[2], 16)
        if group & 1:
            raise self._wrong(
                f'{shown(key)} is private; write it below [private."CREATOR"], by the name of its creator.'
            )
        if group >> 8 in (0x50, 0x60):
            raise self._wrong(f"{shown(key)} is one of a repeating group; {one_of(repeating_rows())}")
        return tag

    def _rule(self, key: str, tag: int, value: Any, replacements: dict[int, str]) -> Action:
        """The action of a line below [attributes]; a value to be put in its place is noted."""
        row = rows().get(tag)
        keyword, vr = (row.keyword, row.vr) if row else (key, vr_of(tag).decode("ascii"))
        if vr == "UI":
            raise self._wrong(
                f"{key} is a UID, and others refer to it; it cannot have a rule of its own. "
                f"All UIDs are mapped, or kept with the option retain-uids."
            )
        if tag == _CHARACTER_SET or tag >> 16 in _STRUCTURE:
            raise self._wrong(f"{key} is needed to read the object; it cannot have a rule of its own.")
        if isinstance(value, str) and value.startswith("replace:"):
            value = {"replace": value[len("replace:") :]}
        if isinstance(value, Mapping) and set(value) == {"replace"}:
            replacements[tag] = self._value(key, vr, value["replace"])
            return Action.REPLACE
        action = self._action(key, value)
        self._check_identity(key, keyword, action)
        return action

    def _action(self, key: str, value: Any) -> Action:
        action = _ACTIONS.get(value) if isinstance(value, str) else None
        if action is None:
            raise self._wrong(f'{key} is {shown(value)}; expected keep, blank, remove, clean or "replace:VALUE".')
        return action

    def _value(self, key: str, vr: str, value: Any) -> str:
        """A value that fits the attribute's VR."""
        form = _FORMS.get(vr)
        if form is None:
            raise self._wrong(f"{key} is of VR {vr} and takes no text; expected keep, blank, remove or clean.")
        if not isinstance(value, str) or not value.isprintable() or "\\" in value or not re.fullmatch(form, value):
            raise self._wrong(f"{shown(value)} is no value for {key}; expected one of VR {vr}.")
        return value

    def _check_identity(self, key: str, keyword: str, action: Action) -> None:
        """Refuse what would let an identity through, or would not be done."""
        if keyword in _CODED:
            raise self._wrong(
                f"{key} cannot be made {action.value}: the patient's code stands in it. "
                f'Take the line out, or use "replace:VALUE".'
            )
        stays = action is Action.KEEP or (action is Action.CLEAN and keyword != _BIRTH_DATE)
        if stays and (keyword in _IDENTITY or keyword == _BIRTH_DATE):
            raise self._wrong(f'{key} cannot stay: it says who the patient is. Use blank, remove or "replace:VALUE".')

    def _private(self, creator: str, elements: Any) -> Iterator[tuple[Optional[int], tuple[Action, bytes]]]:
        """The rules for one creator's elements; a single word is meant for all of them."""
        place = f'private."{creator}"'
        if isinstance(elements, str) and elements in _PRIVATE_ACTIONS:
            yield None, (_PRIVATE_ACTIONS[elements], b"")
            return
        if not isinstance(elements, Mapping):
            raise self._wrong(f"{place} is {shown(elements)}; {_EXPECTED_PRIVATE}")
        for text, value in elements.items():
            tag = private_tag(text)
            if tag is None:
                raise self._wrong(f'{place} names {shown(text)}; expected a tag of an odd group such as "0019,xx0C".')
            if isinstance(value, str) and value in _PRIVATE_ACTIONS:
                yield tag, (_PRIVATE_ACTIONS[value], b"")
            elif isinstance(value, Mapping) and list(value) == ["vr"] and value["vr"] in _VRS:
                yield tag, (Action.CLEAN, value["vr"].encode("ascii"))
            else:
                raise self._wrong(f'{place}."{text}" is {shown(value)}; {_EXPECTED_PRIVATE}')


def _tag_of(keyword: str) -> Optional[int]:
    """The tag of a keyword that the tables do not have; pydicom is only asked, and only loaded, for these."""
    from pydicom.datadict import tag_for_keyword

    found = tag_for_keyword(keyword)
    return None if found is None else int(found)
