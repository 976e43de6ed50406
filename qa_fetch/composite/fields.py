"""Which images of a session an analysis takes, where it takes one of each field, and whether all are there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Optional

from .. import part10
from ..archive import Images, Plan
from ..archive.readable import readable
from ..errors import Ambiguous, BadArchive, ConfigError, Incomplete, NotFound, Refused
from ..shelf import Folder

_SHOWN = 8  # names of fields in a sentence
_ANGLES = ("GantryAngle", "BeamLimitingDeviceAngle", "PatientSupportAngle")
_SAME = 1.0  # degrees within which a machine comes back to where it stood


class Fields(Images):
    """Some of the images of a session; their files lie among the others', so there is no ``folder`` of them alone."""

    def __init__(self, images: Images, places: Sequence[int]) -> None:
        files = tuple(images.files[place] for place in places)
        uids = tuple(images.uids[place] for place in places)
        super().__init__(
            Folder(images.folder, files, uids),
            lambda: [images._headers[place] for place in places],
            archive=images.archive,
            plan=images.plan,
            from_shelf=images.from_shelf,
            says=images.says,
        )
        del self.folder

    def __getattr__(self, name: str) -> NoReturn:
        """Called for what is not there."""
        if name != "folder":
            raise AttributeError(name)
        raise ConfigError(
            "a field was given again, so the folder of this session holds more than the last image of each field. "
            "Give the analysis the files: [str(file) for file in images.files]."
        )


def fields(images: Images, at_least: int = 0, *, angles: bool = True) -> Images:
    """One image of each field of the plan; of a field that was given again, the last one.

    Parameters
    ----------
    images
        A session.
    at_least
        Of how many fields there have to be images. With 0 the plan says it: of every beam that treats, and others
        do not count.
    angles
        Whether a field that was imaged at several angles of gantry, collimator or couch is one for each of them, as
        the analysis of an isocentre wants it. False where all angles of a field are in one image, as for an arc.

    Raises
    ------
    Incomplete, Ambiguous, ConfigError
        A field has no image yet; several images might be of one field; the plan that has to say it cannot be had, or
        knows nothing of the angles.
    """
    planned = {} if at_least else _planned(images.plan)
    wanted = at_least or len(planned)
    last = _last_of_each(images, angles)
    missing: list[str] = []
    if last is None:
        if len(images) > wanted:
            raise Ambiguous(
                f"the session has {len(images)} images of {_fields(wanted)}, and they do not say which is of which, so "
                "one that was given again cannot be told. Repeat a measurement in a session of its own, or say how "
                "many fields there are (in QATrack+: Images of a complete set).",
                candidates=images.uids,
            )
        places, found = list(range(len(images))), len(images)
    else:
        beams = {one.beam for one in last}
        numbered = "" not in beams
        places = sorted(place for one, place in last.items() if not (planned and numbered) or one.beam in planned)
        missing = [name for beam, name in planned.items() if beam not in beams] if numbered else []
        found = len(planned) - len(missing) if planned and numbered else len(places)
    if found < wanted:
        raise Incomplete(
            f"the session has images of {found} of {_fields(wanted)}{_without(missing)}. Wait for the rest and "
            "ask with a later before (in QATrack+: Work Started), or say how many fields are enough (in QATrack+: "
            "Images of a complete set).",
            missing=missing,
        )
    if planned and len(places) > wanted:  # how many angles there will be is in no plan
        raise ConfigError(
            f"nothing says how many images make the session complete (it has {len(places)} at different angles, and "
            f"its plan has {_fields(wanted)}). Say it (in QATrack+: Images of a complete set), or repeat a measurement "
            "in a session of its own."
        )
    return images if len(places) == len(images) else Fields(images, places)


def only_field(images: Images) -> Images:
    """The image of the only field of the plan; of a field that was given again, the last one."""
    last = _last_of_each(images, angles=True)
    beams = {one.beam for one in last or ()}
    if len(images) > 1 and (last is None or "" in beams):
        raise Ambiguous(
            f"the session has {len(images)} images that do not say which field they are of, and this analysis takes "
            "one. Repeat a measurement in a session of its own.",
            candidates=images.uids,
        )
    if len(beams) > 1:
        raise Ambiguous(
            f"the session has images of {len(beams)} fields, and this analysis takes one. Make a plan of one field.",
            candidates=images.uids,
        )
    if last is not None and len(last) > 1:
        raise Ambiguous(
            f"the session has images of its field at {len(last)} angles of gantry, collimator or couch, and this "
            "analysis takes one. Take each angle in a session of its own.",
            candidates=images.uids,
        )
    return images if len(images) == 1 else Fields(images, [len(images) - 1])


class _Given(NamedTuple):
    """What an image is of: a beam, and how the machine stood."""

    beam: str
    stood: tuple[Optional[float], ...]

    def is_again(self, other: _Given) -> bool:
        """Whether this is the same field once more."""
        return self.beam == other.beam and all(map(_alike, self.stood, other.stood))


def _last_of_each(images: Images, angles: bool) -> Optional[dict[_Given, int]]:
    """Where the last image of each field is; None where an image does not say which it is of."""
    seen = [_given(file, _ANGLES if angles else ()) for file in images.files]
    numbered = {one.beam != "" for one in seen}
    if numbered != {True} and (numbered != {False} or not angles):
        return None
    last: dict[_Given, int] = {}
    for place, one in enumerate(seen):
        last[next((known for known in last if known.is_again(one)), one)] = place
    doubtful = numbered == {False} and any(None in one.stood for one in seen)
    return None if doubtful and len(last) < len(seen) else last


def _given(file: Path, angles: Sequence[str]) -> _Given:
    header = readable(part10.read(file, headers_only=True, keywords=["ReferencedBeamNumber", *angles]))
    beam = header.get("ReferencedBeamNumber")
    return _Given("" if beam is None else str(beam), tuple(_angle(header.get(keyword)) for keyword in angles))


def _angle(value: Any) -> Optional[float]:
    try:
        return float(value)
    except (TypeError, ValueError):  # it is not there, or not one number
        return None


def _alike(one: Optional[float], other: Optional[float]) -> bool:
    if one is None or other is None:
        return one is other
    return abs((one - other + 180) % 360 - 180) < _SAME


def _planned(plan: Optional[Plan]) -> dict[str, str]:
    """The names of the beams of a plan that treat, by their number."""
    reason = "no plan was asked for"
    if plan is not None:
        try:
            beams = plan.dataset.get("BeamSequence") or []
        except (BadArchive, Incomplete, NotFound, Refused) as error:
            reason = f"its plan cannot be had: {error.message.rstrip('.')}"
        else:
            treating = [beam for beam in beams if beam.get("TreatmentDeliveryType") != "SETUP"]
            if treating:
                return {str(beam.get("BeamNumber")): str(beam.get("BeamName") or "") for beam in treating}
            reason = "its plan has no beam that treats"
    raise ConfigError(
        f"nothing says how many fields make the session complete ({reason}). "
        "Say it (in QATrack+: Images of a complete set)."
    )


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"


def _without(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f", without {', '.join(names[:_SHOWN])}{more}"
