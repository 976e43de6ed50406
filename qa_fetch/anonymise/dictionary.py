"""What pydicom's dictionary knows of an attribute, by its tag as one number."""

from __future__ import annotations

from functools import lru_cache

# What text is made of; CS is text too, but of words that mean something.
TEXT = frozenset((b"AE", b"CS", b"LO", b"LT", b"PN", b"SH", b"ST", b"UC", b"UR", b"UT"))
NUMBERS = frozenset(
    (b"AT", b"DS", b"FD", b"FL", b"IS", b"OD", b"OF", b"OL", b"OV", b"SL", b"SS", b"SV", b"UL", b"US", b"UV")
)
TIMES = frozenset((b"DA", b"DT", b"TM"))
_VRS = TEXT | NUMBERS | TIMES | {b"AS", b"OB", b"OW", b"SQ", b"UI", b"UN"}
# What is never anything else, whatever VR a file gives it.
_TELLING = TIMES | {b"AS", b"PN", b"UI"}
# UIDs that name kinds of things (classes, transfer syntaxes, coding schemes), not one of them: nobody's, so they stay.
OF_KINDS = frozenset(
    (
        0x00020002,  # MediaStorageSOPClassUID
        0x00020010,  # TransferSyntaxUID
        0x00020012,  # ImplementationClassUID
        0x00041510,  # ReferencedSOPClassUIDInFile
        0x00041512,  # ReferencedTransferSyntaxUIDInFile
        0x0004151A,  # ReferencedRelatedGeneralSOPClassUIDInFile
        0x00080016,  # SOPClassUID
        0x0008001A,  # RelatedGeneralSOPClassUID
        0x0008001B,  # OriginalSpecializedSOPClassUID
        0x00080062,  # SOPClassesInStudy
        0x0008010C,  # CodingSchemeUID
        0x00080117,  # ContextUID
        0x00080118,  # MappingResourceUID
        0x0008040E,  # StoredInstanceTransferSyntaxUID
        0x00081150,  # ReferencedSOPClassUID
        0x0008115A,  # SOPClassesSupported
        0x00083002,  # AvailableTransferSyntaxUID
        0x00340003,  # FlowTransferSyntaxUID
        0x04000010,  # MACCalculationTransferSyntaxUID
        0x04000510,  # EncryptedContentTransferSyntaxUID
        0x30100052,  # PertinentSOPClassesInStudy
        0x30100053,  # PertinentSOPClassesInSeries
    )
)


@lru_cache(maxsize=1 << 14)
def vr_of(tag: int) -> bytes:
    """The VR of a public attribute, the first where several are possible; UN for what is not known, or private."""
    from pydicom.datadict import dictionary_VR

    if tag & 0xFFFF == 0:
        return b"UL"
    if tag >> 16 & 1:
        return b"LO" if 0x10 <= tag & 0xFFFF <= 0xFF else b"UN"
    try:
        return dictionary_VR(tag).split()[0].encode("ascii")
    except KeyError:
        return b"UN"


@lru_cache(maxsize=1 << 14)
def meant(tag: int, vr: bytes) -> bytes:
    """The VR by which an element is treated: the file's, unless that would hide a date, an age, a name or text."""
    known = vr_of(tag)
    if vr == known or vr in TIMES:
        return vr
    if known == b"SQ":
        return known if vr == b"UN" else b"UN"  # items as a text or a number are none that could be followed
    if vr == b"UN" or vr not in _VRS or known in _TELLING or (known in TEXT and vr in (b"OB", b"OW")):
        return known
    return vr


@lru_cache(maxsize=1 << 14)
def name_of(tag: int) -> str:
    """An attribute's keyword, or its tag where it has none."""
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
