"""What "portal", "kv" or "cbct" means: rules on image attributes, decided on our own side.

A rule answers True, False, or None when the attributes at hand cannot tell; then the object itself is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Optional, Union

from .errors import ConfigError

Rule = Callable[[Any, bool], Optional[bool]]

# Beams below this are diagnostic; the lowest megavoltage beams in use are 1 MV (Elekta's and TomoTherapy's imagers).
_KILOVOLTAGE_BELOW = 500.0


@dataclass(frozen=True)
class Kind:
    """One sort of object: its modality, what its rule looks at, and the rule."""

    name: str
    modality: str
    attributes: tuple[str, ...]
    rule: Rule
    says: str

    def fits(self, dataset: Any, *, whole: bool) -> Optional[bool]:
        """Whether a data set is of this kind.

        Parameters
        ----------
        dataset
            A header, or an archive's answer to a query.
        whole
            True for an object's own header, where a missing attribute is a fact; False for an answer, where it is
            only an attribute that the archive did not return, and the verdict may be None.
        """
        modality = _word(dataset.get("Modality"))
        if modality and modality != self.modality:
            return False
        verdict = self.rule(dataset, whole)
        return bool(verdict) if whole else verdict


def _word(value: Any) -> str:
    """A code string without the padding that some peers leave around it."""
    return str(value or "").strip(" \0").upper()


def _image_type(dataset: Any) -> Optional[list[str]]:
    value = dataset.get("ImageType")
    if not value:
        return None
    words = [_word(part) for part in (value.split("\\") if isinstance(value, str) else value)]
    return words if any(words) else None


def _is_dose(image_type: list[str]) -> bool:
    return any("DOSE" in part for part in image_type[2:])


def _kilovoltage(dataset: Any) -> Optional[bool]:
    """kV images of a session carry the dosimeter unit MINUTE, MV images MU; some carry only the tube voltage."""
    unit = _word(dataset.get("PrimaryDosimeterUnit"))
    if unit in ("MU", "MINUTE"):
        return unit == "MINUTE"
    voltages = [_voltage(item) for item in dataset.get("ExposureSequence") or []] + [_voltage(dataset)]
    known = [voltage for voltage in voltages if voltage]  # some imagers write 0 for "not known"
    return known[0] < _KILOVOLTAGE_BELOW if known else None


def _voltage(dataset: Any) -> Optional[float]:
    try:
        return float(dataset.get("KVP") or 0)
    except (TypeError, ValueError):
        return None  # not a number, so not known


def _portal(dataset: Any, whole: bool) -> Optional[bool]:
    image_type = _image_type(dataset)
    if image_type is None:
        return None
    if len(image_type) < 3 or image_type[2] != "PORTAL" or _is_dose(image_type):
        return False
    kilovoltage = _kilovoltage(dataset)
    if kilovoltage is not None:
        return not kilovoltage
    # Unit and KVP are optional in the RT Image IOD (pylinac and some imagers write neither), and no kV imager is
    # known that leaves out both: such an image is a portal image.
    return True if whole else None


def _portal_dose(dataset: Any, whole: bool) -> Optional[bool]:
    image_type = _image_type(dataset)
    return None if image_type is None else "ACQUIRED_DOSE" in image_type[2:]


def _predicted_dose(dataset: Any, whole: bool) -> Optional[bool]:
    image_type = _image_type(dataset)
    return None if image_type is None else "PREDICTED_DOSE" in image_type[2:]


def _acquired_image(dataset: Any) -> Optional[bool]:
    image_type = _image_type(dataset)
    if image_type is None:
        return None
    return len(image_type) > 2 and image_type[2] in ("PORTAL", "RADIOGRAPH", "SIMULATOR") and not _is_dose(image_type)


def _mv(dataset: Any, whole: bool) -> Optional[bool]:
    return _portal(dataset, whole) or _both(_acquired_image(dataset), _negated(_kilovoltage(dataset)))


def _kv(dataset: Any, whole: bool) -> Optional[bool]:
    return _both(_acquired_image(dataset), _kilovoltage(dataset))


def _drr(dataset: Any, whole: bool) -> Optional[bool]:
    image_type = _image_type(dataset)
    return None if image_type is None else "DRR" in image_type[2:]


_CONE_BEAM = ("ManufacturerModelName", "SeriesDescription", "ProtocolName", "ImageType")
_CONE_BEAM_MODELS = re.compile(r"(?<![A-Z])(ON-BOARD IMAGER|OBI|XVI|HYPERSIGHT)(?![A-Z])")  # not in MOBILETT
_CONE_BEAM_WORDS = re.compile(r"CBCT|CONE[ -]?BEAM")


def _cbct(dataset: Any, whole: bool) -> Optional[bool]:
    """No attribute of the CT IOD says "cone beam": the device's model, or the words of its protocol, do."""
    model = _word(dataset.get("ManufacturerModelName"))
    described = [_word(dataset.get(keyword)) for keyword in (*_CONE_BEAM, "ImageComments", "StationName")]
    if _CONE_BEAM_MODELS.search(model) or any(map(_CONE_BEAM_WORDS.search, described)):
        return True
    return False if model or whole else None


def _ct(dataset: Any, whole: bool) -> Optional[bool]:
    return _negated(_cbct(dataset, whole))


def _any(dataset: Any, whole: bool) -> Optional[bool]:
    return True if _word(dataset.get("Modality")) else None


def _negated(verdict: Optional[bool]) -> Optional[bool]:
    return None if verdict is None else not verdict


def _both(first: Optional[bool], second: Optional[bool]) -> Optional[bool]:
    if first is False or second is False:
        return False
    return None if first is None or second is None else True


_ENERGY = ("ImageType", "PrimaryDosimeterUnit")

_KINDS = {
    kind.name: kind
    for kind in (
        Kind("portal", "RTIMAGE", _ENERGY, _portal, "portal image"),
        Kind("portal_dose", "RTIMAGE", ("ImageType",), _portal_dose, "acquired portal dose image"),
        Kind("predicted_dose", "RTIMAGE", ("ImageType",), _predicted_dose, "predicted portal dose image"),
        Kind("mv", "RTIMAGE", _ENERGY, _mv, "MV image"),
        Kind("kv", "RTIMAGE", _ENERGY, _kv, "kV image"),
        Kind("drr", "RTIMAGE", ("ImageType",), _drr, "DRR"),
        Kind("rtimage", "RTIMAGE", (), _any, "RT image"),
        Kind("cbct", "CT", _CONE_BEAM, _cbct, "cone-beam CT image"),
        Kind("ct", "CT", _CONE_BEAM, _ct, "CT image"),
        Kind("mr", "MR", (), _any, "MR image"),
        Kind("pet", "PT", (), _any, "PET image"),
        Kind("plan", "RTPLAN", (), _any, "plan"),
        Kind("dose", "RTDOSE", (), _any, "dose"),
        Kind("structures", "RTSTRUCT", (), _any, "structure set"),
        Kind("record", "RTRECORD", (), _any, "treatment record"),
        Kind("registration", "REG", (), _any, "registration"),
    )
}


def kind(name: Union[str, Kind]) -> Kind:
    r"""The kind of this name; a DICOM ImageType such as ``ORIGINAL\PRIMARY\PORTAL`` stands for exactly that type."""
    if isinstance(name, Kind):
        return name
    if "\\" in name:
        return _exact_image_type(name)
    try:
        return _KINDS[re.sub(r"[\s-]+", "_", name.strip().lower())]
    except KeyError:
        raise ConfigError(
            f"{name!r} is not a kind of object. Use one of {', '.join(_KINDS)}, "
            "or an ImageType such as ORIGINAL\\PRIMARY\\PORTAL."
        ) from None


def names() -> tuple[str, ...]:
    """The names that ``kind=`` takes."""
    return tuple(_KINDS)


def _exact_image_type(text: str) -> Kind:
    wanted = [_word(part) for part in text.split("\\")]

    def rule(dataset: Any, whole: bool) -> Optional[bool]:
        image_type = _image_type(dataset)
        return None if image_type is None else image_type == wanted

    return Kind(text, "RTIMAGE", ("ImageType",), rule, f"RT image of type {text}")
