"""The plain text of structured reports (DICOM SR): basic text, enhanced, comprehensive and what is built on them."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableSequence, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional, Union

from .. import part10
from ..errors import BadArchive, ConfigError, NotFound
from ..shelf.disk import write_text
from .layout import files_below
from .rubbish import RUBBISH

_REPORTS = "1.2.840.10008.5.1.4.1.1.88."
_DEEPEST = 64  # levels; a report that is nested deeper is an attack
_LINE_ENDS = re.compile("\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")
# Whatever moves the cursor, or turns the direction of what follows.
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
# Items that say who the subject is: accession number, subject's UID, name, ID, birth date, sex, age, mother (TID 1007).
_OF_THE_PATIENT = frozenset(("121022", "121028", "121029", "121030", "121031", "121032", "121033", "121036"))
_SAID = {"INFERRED FROM": "inferred from ", "SELECTED FROM": "selected from "}


@dataclass(frozen=True)
class Report:
    """A file that was looked at: the text of its report, or the sentence that says why there is none."""

    path: Path
    uid: str = ""
    text: str = ""
    failure: str = ""

    @property
    def is_other(self) -> bool:
        """Whether the file is something else than a report."""
        return not self.text and not self.failure


@dataclass
class Texts:
    """What became of the files."""

    written: dict[Path, Path] = field(default_factory=dict)
    """The text file of each report."""
    others: int = 0
    """Files that are no structured reports."""
    failed: dict[Path, str] = field(default_factory=dict)
    """The sentence that says why there is no text of a file."""


def report_text(path: Union[str, Path], *, with_patient: bool = False) -> str:
    """The text of one report: its title, what it is, and its content tree, indented.

    ``with_patient`` adds a header with the patient, and shows the items of the tree that say who the subject is. The
    prose of a report may name the patient all the same.

    Raises
    ------
    BadArchive
        Where the file is no report, or cannot be read.
    """
    report = _read(Path(path), with_patient)
    if report.failure or report.is_other:
        raise BadArchive(report.failure or f"{report.path.name} is not a structured report. Name a file of that kind.")
    return report.text


def reports(paths: Sequence[Union[str, Path]], *, with_patient: bool = False) -> Iterator[Report]:
    """Every file of these, and of the folders among them, read one after the other."""
    named = [Path(path) for path in paths]
    for path in named:
        if not path.exists():
            raise ConfigError(f"{path} is not there. Name files, or folders of files.")
    for path in named:
        for file in filter(Path.is_file, files_below(path)) if path.is_dir() else (path,):
            yield _read(file, with_patient)


def write_reports(
    paths: Sequence[Union[str, Path]],
    to: Union[str, Path],
    *,
    with_patient: bool = False,
    on_progress: Optional[Callable[[int, int], None]] = None,
) -> Texts:
    """Write the text of every report among some files and folders into one folder, as ``<SOP Instance UID>.txt``.

    Parameters
    ----------
    paths
        Files, or folders with all below them but what lies in folders whose names begin with a dot; what is no report
        is counted and left alone.
    to
        The folder of the texts, made where it is absent; no other text there is overwritten.
    with_patient
        As for ``report_text``.
    on_progress
        Called with the number of reports written and of files read.

    Raises
    ------
    ConfigError
        Where a path is not there.
    NotFound
        Where none of the files is a report.
    """
    texts = Texts()
    for number, report in enumerate(reports(paths, with_patient=with_patient), 1):
        if report.is_other:
            texts.others += 1
        else:
            _write(report, Path(to), texts)
        if on_progress:
            on_progress(len(texts.written), number)
    if not texts.written and not texts.failed:
        raise NotFound("none of the files is a structured report. Name files of modality SR.")
    return texts


def _write(report: Report, folder: Path, texts: Texts) -> None:
    target = folder / f"{part10.file_stem(report.uid)}.txt"
    if report.failure:
        texts.failed[report.path] = report.failure
    elif target.exists() and target.read_bytes() != report.text.encode("utf-8"):
        texts.failed[report.path] = f"{target} is there already with another text. Remove it, or name another folder."
    else:
        if not target.exists():
            write_text(target, report.text)
        texts.written[report.path] = target


def _read(path: Path, with_patient: bool) -> Report:
    """A file's report; pydicom would take what is cut short for the whole, so it is walked to its end before."""
    from pydicom.errors import BytesLengthException

    try:
        with path.open("rb") as file:
            if file.read(132)[128:] != b"DICM":
                return Report(path)
            with part10.opened(file, path.name) as part:
                found = part10.walk(part.dataset, part.transfer_syntax, path.name)
        if not found.get("sop_class", "").startswith(_REPORTS):
            return Report(path)
        text = "\n".join(_document(part10.read(path), with_patient)) + "\n"
        return Report(path, found.get("sop_instance", ""), text)
    except PermissionError:
        return Report(path, failure=f"{path.name} may not be read by this user. Change its rights.")
    except BadArchive as error:
        return Report(path, failure=error.message)
    except _TooDeep:
        return Report(path, failure=f"{path.name} is nested deeper than {_DEEPEST} levels. Leave it out.")
    except (BytesLengthException, *RUBBISH):
        return Report(path, failure=f"{path.name} has content that cannot be read. Fetch or export it again.")


class _TooDeep(Exception):
    """A content tree that is an attack."""


def _document(document: Any, with_patient: bool) -> Iterator[str]:
    title = _meaning(document, "ConceptNameCodeSequence") or "Report"
    yield from (title, "=" * len(title))
    kind = str(document.SOPClassUID.name).replace(" Storage", "")
    when = " ".join(filter(None, (_date(_value(document, "ContentDate")), _time(_value(document, "ContentTime")))))
    flags = (_value(document, "CompletionFlag"), _value(document, "VerificationFlag"))
    yield ", ".join(filter(None, (kind, when, *flags)))
    if with_patient:
        yield from _patient(document)
    yield from _below(document, 0, with_patient)


def _patient(document: Any) -> Iterator[str]:
    for label, text in (
        ("Patient", _value(document, "PatientName")),
        ("Patient ID", _value(document, "PatientID")),
        ("Born", _date(_value(document, "PatientBirthDate"))),
        ("Sex", _value(document, "PatientSex")),
        ("Accession number", _value(document, "AccessionNumber")),
    ):
        if text:
            yield f"{label}: {text}"


def _below(item: Any, depth: int, with_patient: bool) -> Iterator[str]:
    if depth > _DEEPEST:
        raise _TooDeep
    for child in item.get("ContentSequence") or ():
        yield from _item(child, depth, with_patient)
        yield from _below(child, depth + 1, with_patient)


def _item(item: Any, depth: int, with_patient: bool) -> Iterator[str]:
    """The lines of one item: a heading of its own at the top of the tree, else ``name: value``, further in."""
    indent = "  " * depth
    name, value_type = _meaning(item, "ConceptNameCodeSequence"), _value(item, "ValueType")
    said = indent + _SAID.get(_value(item, "RelationshipType"), "")
    if value_type == "CONTAINER":
        name = name or "Section"
        yield from ("", name, "-" * len(name)) if not depth else (f"{said}{name}",)
        return
    hidden = not with_patient and _code(item, "ConceptNameCodeSequence") in _OF_THE_PATIENT
    lines = ["(not shown)"] if hidden else _lines(item, value_type)
    if len(lines) == 1:
        yield f"{said}{name}: {lines[0]}" if name else f"{said}{lines[0]}"
        return
    if name:
        yield f"{said}{name}:"
    yield from (f"{indent}  {line}".rstrip() for line in lines)


def _lines(item: Any, value_type: str) -> list[str]:
    if value_type == "TEXT":
        return [_clean(line) for line in _LINE_ENDS.split(str(item.get("TextValue") or "").strip())]
    if "ReferencedContentItemIdentifier" in item:
        return ["item " + ".".join(str(number) for number in _several(item.ReferencedContentItemIdentifier))]
    shown = _SHOWN.get(value_type)
    return [(shown(item) or "(no value)") if shown else f"({value_type or 'no value type'})"]


def _number(item: Any) -> str:
    for measured in item.get("MeasuredValueSequence") or ():
        unit = _meaning(measured, "MeasurementUnitsCodeSequence")
        unitless = _code(measured, "MeasurementUnitsCodeSequence") == "1"
        number = ", ".join(str(value) for value in _several(measured.get("NumericValue")))
        return _clean(number if unitless or not unit else f"{number} {unit}")
    return _meaning(item, "NumericValueQualifierCodeSequence")


def _reference(item: Any) -> str:
    """What another object is, by its kind and UID."""
    for reference in item.get("ReferencedSOPSequence") or ():
        kind = str(reference.ReferencedSOPClassUID.name).replace(" Storage", "")
        frames = ", ".join(str(number) for number in _several(reference.get("ReferencedFrameNumber")))
        return _clean(f"{kind} {reference.ReferencedSOPInstanceUID}" + (f", frame {frames}" if frames else ""))
    return ""


def _drawing(item: Any) -> str:
    """A shape and how many numbers it is made of: coordinates say nothing to a reader."""
    return f"{_value(item, 'GraphicType')} of {len(_several(item.get('GraphicData')))} coordinates"


_SHOWN: dict[str, Callable[[Any], str]] = {
    "CODE": lambda item: _meaning(item, "ConceptCodeSequence"),
    "NUM": _number,
    "DATE": lambda item: _date(_value(item, "Date")),
    "TIME": lambda item: _time(_value(item, "Time")),
    "DATETIME": lambda item: _moment(_value(item, "DateTime")),
    "PNAME": lambda item: _value(item, "PersonName"),
    "UIDREF": lambda item: _value(item, "UID"),
    "COMPOSITE": _reference,
    "IMAGE": _reference,
    "WAVEFORM": _reference,
    "SCOORD": _drawing,
    "SCOORD3D": _drawing,
    "TCOORD": lambda item: _value(item, "TemporalRangeType"),
}


def _meaning(item: Any, keyword: str) -> str:
    """What a code means in words, else the code itself."""
    for code in item.get(keyword) or ():
        return _value(code, "CodeMeaning") or _code(item, keyword)
    return ""


def _code(item: Any, keyword: str) -> str:
    for code in item.get(keyword) or ():
        return _value(code, "CodeValue") or _value(code, "LongCodeValue") or _value(code, "URNCodeValue")
    return ""


def _several(value: Any) -> list[Any]:
    """The values of an element that may have none, one or more."""
    if isinstance(value, MutableSequence):
        return list(value)
    return [] if value is None or value == "" else [value]


def _value(item: Any, keyword: str) -> str:
    return _clean("\\".join(str(value) for value in _several(item.get(keyword))))


def _clean(text: str) -> str:
    return _CONTROL.sub(" ", _LINE_ENDS.sub(" ", text)).strip()


def _date(text: str) -> str:
    return re.sub(r"\A(\d{4})(\d\d)(\d\d)\Z", r"\1-\2-\3", text)


def _time(text: str) -> str:
    return re.sub(r"\A(\d\d)(\d\d)(\d\d)?.*\Z", lambda found: ":".join(filter(None, found.groups())), text)


def _moment(text: str) -> str:
    found = re.match(r"(\d{8})(\d{4,6})(?:\.\d+)?([+-]\d{4})?\Z", text)
    return f"{_date(found[1])} {_time(found[2])}{found[3] or ''}" if found else _date(text)
