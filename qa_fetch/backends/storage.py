"""The objects and encodings that are asked for and accepted."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.uid import UID

from .. import part10

VERIFICATION = "1.2.840.10008.1.1"
PLAIN = (part10.EXPLICIT_LITTLE, part10.IMPLICIT_LITTLE)  # what objects can be turned into, and questions are put in
UNCOMPRESSED = (part10.EXPLICIT_LITTLE, part10.IMPLICIT_LITTLE, part10.DEFLATED, part10.EXPLICIT_BIG)
_COMPRESSED = (
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless, first-order prediction
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS Lossy
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.201",  # High-Throughput JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.50",  # JPEG Baseline
    "1.2.840.10008.1.2.4.51",  # JPEG Extended
    "1.2.840.10008.1.2.5",  # RLE Lossless
)
# An older pydicom does not know the newest of them, and warns of every one that it does not know.
COMPRESSED = tuple(uid for uid in _COMPRESSED if UID(uid).is_transfer_syntax)
TRANSFER_SYNTAXES = UNCOMPRESSED + COMPRESSED

# What a radiotherapy archive holds; a C-GET must name the classes it is ready to receive, 128 at most.
RADIOTHERAPY = (
    "1.2.840.10008.5.1.4.1.1.481.1",  # RT Image
    "1.2.840.10008.5.1.4.1.1.481.2",  # RT Dose
    "1.2.840.10008.5.1.4.1.1.481.3",  # RT Structure Set
    "1.2.840.10008.5.1.4.1.1.481.4",  # RT Beams Treatment Record
    "1.2.840.10008.5.1.4.1.1.481.5",  # RT Plan
    "1.2.840.10008.5.1.4.1.1.481.6",  # RT Brachy Treatment Record
    "1.2.840.10008.5.1.4.1.1.481.7",  # RT Treatment Summary Record
    "1.2.840.10008.5.1.4.1.1.481.8",  # RT Ion Plan
    "1.2.840.10008.5.1.4.1.1.481.9",  # RT Ion Beams Treatment Record
    "1.2.840.10008.5.1.4.1.1.2",  # CT Image
    "1.2.840.10008.5.1.4.1.1.4",  # MR Image
    "1.2.840.10008.5.1.4.1.1.128",  # PET Image
    "1.2.840.10008.5.1.4.1.1.66.1",  # Spatial Registration
    "1.2.840.10008.5.1.4.1.1.66.3",  # Deformable Spatial Registration
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray for presentation
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
    "1.2.840.10008.5.1.4.1.1.88.67",  # X-Ray Radiation Dose SR
    "1.2.840.10008.5.1.4.1.1.104.1",  # Encapsulated PDF
    "1.2.840.10008.5.1.4.1.1.66",  # Raw Data
)


_STORAGE = ("1.2.840.10008.5.1.4.1.1.", "1.2.840.10008.5.1.4.34.")
_DICOM = "1.2.840.10008."


def is_storage(sop_class: str) -> bool:
    """Whether objects of this class can be stored: DICOM's own storage classes, and whatever vendors call theirs."""
    return sop_class.startswith(_STORAGE) or bool(sop_class and not sop_class.startswith(_DICOM))


_ROOM = 120  # of the 128 contexts of an association


def storage_contexts(sop_classes: Iterable[str]) -> list[tuple[str, tuple[str, ...]]]:
    """SOP classes and transfer syntaxes with which a C-GET can bring objects as they are stored.

    An archive accepts one syntax a context and turns objects into that: one context for each syntax, where there is
    room for so many, lets every object come untouched.
    """
    classes = list(sop_classes)
    if len(classes) * len(TRANSFER_SYNTAXES) <= _ROOM:
        return [(sop_class, (syntax,)) for sop_class in classes for syntax in TRANSFER_SYNTAXES]
    return [(sop_class, syntaxes) for sop_class in classes for syntaxes in (UNCOMPRESSED, COMPRESSED)]


def fitting(transfer_syntax: str) -> tuple[str, ...]:
    """The encodings in which an object that is stored like this can be sent, the untouched one first."""
    return (transfer_syntax, *(PLAIN if transfer_syntax in UNCOMPRESSED else ()))


def outgoing_contexts(kinds: Iterable[tuple[str, str]]) -> list[tuple[str, tuple[str, ...]]]:
    """A context for each sort of object as it is stored, and a second one where it can be turned into another."""
    contexts: dict[tuple[str, tuple[str, ...]], None] = {}
    for sop_class, syntax in kinds:
        contexts[sop_class, (syntax,)] = None
        if syntax in UNCOMPRESSED:
            contexts[sop_class, tuple(plain for plain in PLAIN if plain != syntax)] = None
    return list(contexts)
