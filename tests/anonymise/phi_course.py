"""The corpus: a synthetic RT course of two people, identifying strings everywhere, and the list of those strings."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import phi_others
import phi_rt
from phi_objects import (
    CAPTURE,
    DEPARTMENT,
    DOCUMENT,
    FIRST_DAY,
    INSTITUTION,
    MACHINE,
    SERIAL,
    STAFF,
    STATION,
    Author,
    Person,
)
from pydicom.dataset import Dataset

from qa_fetch import part10

RLE = "1.2.840.10008.1.2.5"
SYNTAXES = (part10.IMPLICIT_LITTLE, part10.EXPLICIT_LITTLE, part10.EXPLICIT_BIG, part10.DEFLATED)

_STAFF_TEXTS = ("checked by Dr. Eisenbart", "KOWALSKA, ANNA", "fridolin_feuerstein ok")
_SITE_TEXTS = (f"done at {INSTITUTION}", f"{DEPARTMENT.upper()}, desk 2")

MUELLER = Person(
    id="4711-0815",
    name="Müller^Jörg",
    birth=date(1956, 4, 17),
    age="069Y",
    charset=("ISO_IR 100",),
    accession="ACC90210X",
    root="47110815",
    texts=(
        "Jörg Müller",
        "MÜLLER, JÖRG",
        "müller_jörg",
        "Müller^Jörg",
        "PID4711-0815",
        "plan for 47110815",
        "x 4711_0815 x",
        "geb. 17.04.1956",
        "DOB 1956-04-17",
        "DOB:19560417",
        "req ACC90210X",
        "CBCT 20251006",
        "sim 06.10.2025",
        *_STAFF_TEXTS,
        *_SITE_TEXTS,
    ),
)
YAMADA = Person(
    id="YMD 000 931",
    name="Yamada^Tarou=山田^太郎=やまだ^たろう",
    birth=date(1931, 2, 3),
    age="094Y",
    charset=("", "ISO 2022 IR 87"),
    accession="ACC77341Y",
    root="931931000",
    texts=(
        "Tarou Yamada",
        "YAMADA TAROU",
        "yamada, tarou",
        "山田 太郎",
        "やまだ たろう",
        "ymd000931",
        "YMD-000-931",
        "born 03.02.1931",
        "1931-02-03",
        "for ACC77341Y",
        *_STAFF_TEXTS,
        *_SITE_TEXTS,
    ),
)
PEOPLE = (MUELLER, YAMADA)


@dataclass(frozen=True)
class Needle:
    """A string that identifies; it is looked for in any case and in the encodings that DICOM has."""

    text: str
    whose: str  # patient, staff, site, device, date

    def patterns(self) -> frozenset[bytes]:
        """Its bytes, in each encoding that has its letters, with ASCII in small letters."""
        spelt = {self.text, self.text.lower(), self.text.upper(), self.text.title()}
        found = set()
        for text in spelt:
            for encoding in ("latin-1", "utf-8", "utf-16-le", "utf-16-be", "shift_jis", "euc_jp", "gb18030"):
                try:
                    found.add(text.encode(encoding).lower())
                except UnicodeEncodeError:
                    continue
            found |= {_without_escapes(text).lower()} if any(ord(letter) > 0x3000 for letter in text) else set()
        return frozenset(found)


def _without_escapes(text: str) -> bytes:
    """Japanese letters as they stand between the escapes of ISO 2022."""
    return text.encode("iso2022_jp").replace(b"\x1b$B", b"").replace(b"\x1b(B", b"")


def _needles() -> Iterator[Needle]:
    patient = ("müller", "jörg", "yamada", "tarou", "山田", "太郎", "やまだ", "たろう", "ACC90210X", "ACC77341Y")
    patient += ("Rue du Bugnon", "314 55 33", "HOSP-ISSUER", "S4711")
    patient += tuple(separator.join(("4711", "0815")) for separator in ("", "-", " ", "_", ".", "^"))
    patient += tuple(separator.join(("YMD", "000", "931")) for separator in ("", "-", " ", "_"))
    patient += ("931931000",)  # the root of UIDs that hold the ID
    for person in PEOPLE:
        patient += tuple(person.birth.strftime(shape) for shape in ("%Y%m%d", "%Y-%m-%d", "%d.%m.%Y"))
    yield from (Needle(text, "patient") for text in patient)
    for name in STAFF:
        yield from (Needle(part, "staff") for part in name.split("^"))
    yield from (Needle(text, "site") for text in (INSTITUTION, "Inselspital", DEPARTMENT, "Bahnhofstrasse", "LEAKAET"))
    yield from (Needle(text, "device") for text in (MACHINE, STATION, SERIAL))
    for day in range(-3, 60):
        when = FIRST_DAY + timedelta(days=day)
        yield from (Needle(when.strftime(shape), "date") for shape in ("%Y%m%d", "%Y-%m-%d", "%d.%m.%Y"))


NEEDLES = tuple(_needles())
_PATTERNS = tuple((needle, tuple(needle.patterns())) for needle in NEEDLES)


def found_in(data: bytes, *whose: str) -> set[str]:
    """Which of the strings of these sorts raw bytes hold; deflated data sets are to be unpacked by the caller."""
    small = data.lower()
    return {
        needle.text
        for needle, patterns in _PATTERNS
        if needle.whose in whose and any(pattern in small for pattern in patterns)
    }


@dataclass(frozen=True)
class Planted:
    """One file of the corpus."""

    path: Path
    dataset: Dataset
    person: Person
    syntax: str

    @property
    def is_held(self) -> bool:
        """Whether it must not be passed on: what identifies is in its pixels or its document."""
        return self.dataset.SOPClassUID in (CAPTURE, DOCUMENT)

    def read(self) -> Dataset:
        """What the file holds, read by pydicom."""
        return part10.read(self.path)


def course(person: Person) -> list[Dataset]:
    """All objects of one person."""
    author = Author(person)
    slices = phi_rt.slices(author)
    structures = phi_rt.structures(author, slices)
    plan = phi_rt.plan(author, structures)
    phi_rt.dose(author, plan)
    images = phi_rt.portal_images(author, plan)
    phi_rt.record(author, plan)
    phi_others.report(author, plan, images)
    phi_others.document(author, slices)
    phi_others.capture(author)
    phi_others.registration(author, slices, images)
    phi_others.enhanced(author, slices)
    phi_others.selection(author, images)
    phi_others.state(author, slices)
    return author.made


def write(folder: Path) -> list[Planted]:
    """Write everything: Müller in explicit and Yamada in implicit VR, other courses of theirs in other syntaxes."""
    planted = []
    for syntax, person, root in (
        (part10.EXPLICIT_LITTLE, MUELLER, ""),
        (part10.IMPLICIT_LITTLE, YAMADA, ""),
        (part10.EXPLICIT_BIG, YAMADA, ".7"),
        (part10.DEFLATED, MUELLER, ".8"),
    ):
        person = Person(**{**vars(person), "root": person.root + root})
        for made in course(person):
            planted.append(write_one(made, person, syntax, folder))
    compressed = phi_rt.compressed(Author(Person(**{**vars(MUELLER), "root": MUELLER.root + ".9"})))
    planted.append(write_one(compressed, MUELLER, RLE, folder))
    home = planted[0].path.parent
    (home / f"notes about {MUELLER.name}.txt").write_text(f"{MUELLER.name} {MUELLER.id}\n", "utf-8")
    (home / "report.pdf").write_bytes(b"%PDF-1.4 " + MUELLER.name.encode())
    return planted


def write_one(dataset: Dataset, person: Person, syntax: str, folder: Path) -> Planted:
    """Write one object as a file whose path, preamble and file meta identify the person too."""
    name = person.name.split("=")[0].replace("^", "_")
    home = folder / f"sub-{person.id}" / f"ses-{dataset.SeriesDate}091500 {name}" / f"{dataset.Modality} {person.id}"
    home.mkdir(parents=True, exist_ok=True)
    path = home / f"{name}-{dataset.SOPInstanceUID}.dcm"
    path.write_bytes(encoded(dataset, person, syntax))
    return Planted(path, dataset, person, syntax)


def encoded(dataset: Dataset, person: Person, syntax: str) -> bytes:
    """A Part-10 file by hand."""
    preamble = f"{person.name} {person.id} {INSTITUTION}".encode("utf-8", "replace")[:128].ljust(128, b"\0")
    body = part10.encode(dataset, syntax)
    meta = b"".join(
        _element(number, vr, value)
        for number, vr, value in (
            (0x01, b"OB", b"\x00\x01"),
            (0x02, b"UI", str(dataset.SOPClassUID).encode()),
            (0x03, b"UI", str(dataset.SOPInstanceUID).encode()),
            (0x10, b"UI", syntax.encode()),
            (0x12, b"UI", b"1.2.3.4"),
            (0x13, b"SH", b"LEAKAET_IMPL"),
            (0x16, b"AE", b"LEAKAET_SOURCE"),
            (0x17, b"AE", b"LEAKAET_SENDER"),
            (0x18, b"AE", b"LEAKAET_TAKER"),
            (0x100, b"UI", f"1.2.826.{person.root}".encode()),
            (0x102, b"OB", person.name.encode("utf-8")),
        )
    )
    return preamble + b"DICM" + _element(0, b"UL", struct.pack("<L", len(meta))) + meta + body


def _element(number: int, vr: bytes, value: bytes) -> bytes:
    value += (b"\0" if vr in (b"UI", b"OB") else b" ") * (len(value) % 2)
    if vr == b"OB":
        return struct.pack("<HH2sHL", 2, number, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", 2, number, vr, len(value)) + value


def unpacked(data: bytes) -> bytes:
    """A file's bytes, with its data set unpacked behind it where it is deflated."""
    if part10.DEFLATED.encode() not in data[:1000]:
        return data
    whole = part10.split(data, "a file")
    return data + zlib.decompressobj(-zlib.MAX_WBITS).decompress(bytes(whole.dataset))
