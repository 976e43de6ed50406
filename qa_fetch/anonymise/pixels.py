"""What is done with the pixels of an object: passed on, passed on with regions blanked, or held back with a reason."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Optional

from ..config.sources import from_file
from ..errors import ConfigError
from ..part10 import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    Buffer,
    Element,
    clean_uid,
    elements,
    inflated,
)
from .blanking import NATIVE, Region, obstacle

_TABLE = Path(__file__).with_name("devices.toml")
_STANDARD_CLASSES = "1.2.840.10008."
_VIDEO_SYNTAXES = tuple(f"1.2.840.10008.1.2.4.{number}" for number in range(100, 109))  # MPEG2 to HEVC
_FIRST_PIXELS = 0x7FE00008  # FloatPixelData; DoubleFloatPixelData and PixelData follow
_PIXEL_DATA = 0x7FE00010
_LONGEST_TEXT = 1 << 16
_DIRECTORY_GROUP, _DIRECTORY = 0x0004, "1.2.840.10008.1.3.10"


@dataclass(frozen=True)
class Header:
    """What decides about an object's pixels, as its top level has it; "" or 0 where that is missing or garbled."""

    transfer_syntax: str = EXPLICIT_LITTLE
    SOPClassUID: str = ""
    ImageType: tuple[str, ...] = ()
    Modality: str = ""
    ConversionType: str = ""
    Manufacturer: str = ""
    ManufacturerModelName: str = ""
    BurnedInAnnotation: str = ""
    RecognizableVisualFeatures: str = ""
    PhotometricInterpretation: str = ""
    SamplesPerPixel: int = 0
    PlanarConfiguration: int = 0
    NumberOfFrames: int = 1
    Rows: int = 0
    Columns: int = 0
    BitsAllocated: int = 0
    BitsStored: int = 0
    HighBit: int = 0
    PixelRepresentation: int = 0
    pixels: int = 0  # the tag of its pixels

    @property
    def native(self) -> bool:
        """Whether its pixels lie there as they are, neither compressed nor elsewhere."""
        return self.transfer_syntax in NATIVE

    @property
    def has_integer_pixels(self) -> bool:
        """Whether it has PixelData, not only floating-point pixels or none."""
        return self.pixels == _PIXEL_DATA


_TEXTS = {
    0x00080008: "ImageType",
    0x00080016: "SOPClassUID",
    0x00080060: "Modality",
    0x00080064: "ConversionType",
    0x00080070: "Manufacturer",
    0x00081090: "ManufacturerModelName",
    0x00280004: "PhotometricInterpretation",
    0x00280301: "BurnedInAnnotation",
    0x00280302: "RecognizableVisualFeatures",
}
_NUMBERS = {
    0x00280002: "SamplesPerPixel",
    0x00280006: "PlanarConfiguration",
    0x00280008: "NumberOfFrames",
    0x00280010: "Rows",
    0x00280011: "Columns",
    0x00280100: "BitsAllocated",
    0x00280101: "BitsStored",
    0x00280102: "HighBit",
    0x00280103: "PixelRepresentation",
}
_WANTED = {**_TEXTS, **_NUMBERS}
_NUMBER_OF_FRAMES = 0x00280008  # the only one that is text


def header(data: Buffer, transfer_syntax: str, top: Optional[Iterable[Element]] = None) -> Header:
    """What decides, read from the top level of an encoded data set up to its pixels; nothing of it is believed.

    Parameters
    ----------
    data, transfer_syntax
        The data set.
    top
        The elements of its top level, where somebody has them already.
    """
    if transfer_syntax == DEFLATED:
        data = inflated(data)
    view = memoryview(data)
    order = ">" if transfer_syntax == EXPLICIT_BIG else "<"
    found: dict[str, Any] = {"transfer_syntax": transfer_syntax}
    for element in elements(view, transfer_syntax) if top is None else top:
        tag = element.tag
        if tag >= _FIRST_PIXELS:
            found["pixels"] = tag if tag <= _PIXEL_DATA else 0
            break
        if tag in _WANTED:
            text = tag in _TEXTS
            found[_WANTED[tag]] = _text(view, element) if text else _number(view, element, order)
        elif tag >> 16 == _DIRECTORY_GROUP:
            found["SOPClassUID"] = _DIRECTORY  # a DICOMDIR says its class in its file header only
    found["SOPClassUID"] = clean_uid(found.get("SOPClassUID", ""))
    found["ImageType"] = tuple(part.strip() for part in found.get("ImageType", "").split("\\"))
    return Header(**found)


def _text(view: memoryview, element: Element) -> str:
    """A text in upper case; only what can be told apart in ASCII matters here."""
    value = bytes(view[element.value : min(element.end, element.value + _LONGEST_TEXT)])
    return value.decode("latin-1").strip("\0 \t\r\n").upper()


def _number(view: memoryview, element: Element, order: str) -> int:
    """A count; 0 where it is none."""
    value = bytes(view[element.value : min(element.end, element.value + 16)])
    if element.tag == _NUMBER_OF_FRAMES:
        text = value.strip(b"\0 \t\r\n") or b"1"
        return int(text) if text.isdigit() and element.end - element.value <= 16 else 0
    if element.vr == b"UL" and len(value) >= 4:
        return int(struct.unpack_from(order + "L", value)[0])
    return int(struct.unpack_from(order + "H", value)[0]) if len(value) >= 2 else 0


@dataclass(frozen=True)
class Verdict:
    """Whether an object is passed on, else why not, and which regions of it are blanked first."""

    keep: bool
    reason: str = ""
    regions: tuple[Region, ...] = ()


class _Group(NamedTuple):
    """Objects that are treated alike, and what is said of them when they are held back."""

    name: str
    says: str
    images: bool  # a device rule says where their text is
    needs_a_no: bool
    instead: str

    def reason(self) -> str:
        if self.instead:
            return f"{self.says}. {self.instead}."
        rule = ", or write a rule for its device (pixels.devices)," if self.images else ""
        way = f'pixels.classes.{self.name} = "keep"'
        return f"{self.says}. Look at it, and say {way}{rule} in a profile to pass such objects on."


class _Shipped(NamedTuple):
    """What ``devices.toml`` says."""

    groups: Mapping[str, _Group]
    classes: Mapping[str, str]  # SOP class to group
    keywords: Mapping[str, str]  # keyword to SOP class
    screens: tuple[str, ...]
    captured: frozenset[str]
    imagers: frozenset[str]
    greyscale: frozenset[str]
    devices: tuple[Device, ...]


@lru_cache(maxsize=1)
def _shipped() -> _Shipped:
    table = from_file(_TABLE)
    groups, classes, keywords = {}, {}, {}
    for name, group in table["groups"].items():
        needs_a_no = group.get("needs_a_no", False)
        groups[name] = _Group(name, group["says"], group.get("images", False), needs_a_no, group.get("instead", ""))
        keywords.update(group.get("classes", {}))
        classes.update(dict.fromkeys(group.get("classes", {}).values(), name))
    return _Shipped(
        groups,
        classes,
        keywords,
        screens=tuple(table["screens"]),
        captured=frozenset(table["captured"]),
        imagers=frozenset(table["imagers"]),
        greyscale=frozenset(table["greyscale"]),
        devices=tuple(Device.of(rule, number) for number, rule in enumerate(table["devices"], 1)),
    )


_DEVICE_KEYS = frozenset(("manufacturer", "model", "modality", "rows", "columns", "regions"))


@dataclass(frozen=True)
class Device:
    """Where devices that fit its patterns write text into their images."""

    manufacturer: str
    model: str
    modality: str
    rows: Optional[int]
    columns: Optional[int]
    regions: tuple[Region, ...]

    @classmethod
    def of(cls, rule: Any, number: int) -> Device:
        """A rule from a table; ``number`` is for the message only."""
        what = f"pixels.devices, rule {number}"
        if not isinstance(rule, Mapping):
            raise ConfigError(f"{what}: it is not a table. Write it as [[pixels.devices]].")
        for key in sorted(set(rule) - _DEVICE_KEYS):
            raise ConfigError(f"{what}: {key!r} is not a setting. Use one of {', '.join(sorted(_DEVICE_KEYS))}.")
        texts = [rule.get(key, "*" if key == "modality" else "") for key in ("manufacturer", "model", "modality")]
        if not all(isinstance(text, str) and text.strip() for text in texts):
            raise ConfigError(f"{what}: it does not name its device. Give manufacturer and model as text, * for any.")
        rows, columns = rule.get("rows"), rule.get("columns")
        if not all(size is None or _counts(size) for size in (rows, columns)):
            raise ConfigError(f"{what}: rows and columns are the size of an image. Give whole numbers above 0.")
        manufacturer, model, modality = (text.strip().upper() for text in texts)
        return cls(manufacturer, model, modality, rows, columns, _regions(rule.get("regions"), what))

    def fits(self, header: Header) -> bool:
        """Whether the rule is for this object."""
        return (
            header.has_integer_pixels
            and fnmatchcase(header.Manufacturer, self.manufacturer)
            and fnmatchcase(header.ManufacturerModelName, self.model)
            and fnmatchcase(header.Modality, self.modality)
            and self.rows in (None, header.Rows)
            and self.columns in (None, header.Columns)
        )


def _counts(value: Any, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _regions(regions: Any, what: str) -> tuple[Region, ...]:
    if not isinstance(regions, list):
        raise ConfigError(f"{what}: it has no regions. Give regions = [[x, y, width, height], ...], [] for no text.")
    for region in regions:
        right = isinstance(region, list) and len(region) == 4
        if not right or not all(_counts(value, least) for value, least in zip(region, (0, 0, 1, 1))):
            raise ConfigError(f"{what}: {region!r} is not a region. Give [x, y, width, height] in whole pixels.")
    return tuple(Region(*region) for region in regions)


_ACTIONS = {"keep": True, "drop": False, "quarantine": False}


@dataclass(frozen=True)
class PixelPolicy:
    """Which objects are passed on: the shipped table, and what a site's profile says instead."""

    keeps: Mapping[str, bool]  # by SOP class or group, only what the site says
    devices: tuple[Device, ...] = ()

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> PixelPolicy:
        """The policy of a profile's ``[pixels]`` table."""
        for key in sorted(set(table) - {"classes", "devices"}):
            raise ConfigError(f"pixels: {key!r} is not a setting. Use [pixels.classes] and [[pixels.devices]].")
        classes, devices = table.get("classes", {}), table.get("devices", [])
        if not isinstance(classes, Mapping):
            raise ConfigError('pixels.classes: it is not a table. Write lines such as ultrasound = "keep" below it.')
        if not isinstance(devices, list):
            raise ConfigError("pixels.devices: it is not a list of rules. Write each as [[pixels.devices]].")
        keeps = {}
        for name, action in classes.items():
            if not isinstance(action, str) or action not in _ACTIONS:
                raise ConfigError(f"pixels.classes.{name}: {action!r} is not an action. Use keep, drop or quarantine.")
            keeps[_subject(name)] = _ACTIONS[action]
        return cls(keeps, tuple(Device.of(rule, number) for number, rule in enumerate(devices, 1)))

    def decide(self, header: Header) -> Verdict:
        """Whether an object is passed on, and with which regions blanked."""
        device = next((rule for rule in self.devices + _shipped().devices if rule.fits(header)), None)
        for reason, images in self._against(header):
            if device is None or not images:
                return Verdict(False, reason)
        if device is None or not device.regions:
            return Verdict(True)
        hindrance = obstacle(header, device.regions)
        return Verdict(False, hindrance) if hindrance else Verdict(True, regions=device.regions)

    def _against(self, header: Header) -> Iterator[tuple[str, bool]]:
        """Every reason to hold an object back, and whether a device rule answers it."""
        said, own = self.keeps.get(header.SOPClassUID), _shipped().classes.get(header.SOPClassUID)
        if said is False and own is None:
            yield "the profile holds objects of this SOP class back. Change its pixels.classes to pass them on.", True
        for name in _groups_of(header):
            group = _shipped().groups[name]
            keep = self.keeps.get(name, False)
            if said is not None and name in (own, "private-classes"):
                keep = said
            if not keep:
                yield group.reason(), group.images
            elif group.needs_a_no and header.BurnedInAnnotation != "NO":
                yield (
                    f"{group.says}, and this one does not say BurnedInAnnotation NO. Look at it, and write a rule for "
                    "its device (pixels.devices) in a profile to pass such objects on.",
                    True,
                )


def _groups_of(header: Header) -> Iterator[str]:
    """The groups that an object is of, first by its class and then by what it says of itself."""
    shipped, sop_class = _shipped(), header.SOPClassUID
    group = shipped.classes.get(sop_class, "")
    imager = header.Modality in shipped.imagers
    if not sop_class:
        yield "no-class"
    elif not sop_class.startswith(_STANDARD_CLASSES):
        yield "private-classes"
    elif group and not (imager and group == "secondary-captures"):
        yield group
    if header.transfer_syntax.startswith(_VIDEO_SYNTAXES) and group != "video":
        yield "video"
    if header.BurnedInAnnotation not in ("", "NO"):
        yield "burned-in"
    types = [part.replace(" ", "").replace("_", "") for part in header.ImageType]
    if any(word in part for word in shipped.screens for part in types):
        yield "screens"
    if header.ConversionType in shipped.captured and not imager and group != "secondary-captures":
        yield "captured"
    photometric = header.PhotometricInterpretation
    if sop_class in shipped.greyscale and photometric and not photometric.startswith("MONOCHROME"):
        yield "colour"
    if header.RecognizableVisualFeatures not in ("", "NO"):
        yield "visual-features"


def _subject(name: str) -> str:
    """The SOP class or the group that a site means by a name."""
    shipped = _shipped()
    if name in shipped.groups:
        return name
    if name in shipped.keywords:
        return shipped.keywords[name]
    if name.replace(".", "").isdigit() and name.isascii():
        return name
    from pydicom._uid_dict import UID_dictionary  # only a keyword that is not in our own table is worth its time

    for uid, entry in UID_dictionary.items():
        if entry[4] == name and entry[1] == "SOP Class":
            return str(uid)
    raise ConfigError(
        f"pixels.classes.{name}: it is no SOP class and no group. Use a keyword such as CTImageStorage, a UID, "
        f"or one of {', '.join(shipped.groups)}."
    )
