"""Which images of a session an analysis takes, where it takes one of each field, and whether all are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn, Optional

from .. import part10
from ..archive import Images, Plan
from ..errors import Ambiguous, BadArchive, ConfigError, Incomplete, NotFound, Refused
from ..shelf import Folder

_SHOWN = 8  # names of fields in a sentence


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


def fields(images: Images, at_least: int = 0) -> Images:
    """One image of each field of the plan; of a field that was given again, the last one.

    Parameters
    ----------
    images
        A session.
    at_least
        Of how many fields there have to be images. With 0 the plan says it: of every beam that treats, and others
        do not count.

    Raises
    ------
    Incomplete, Ambiguous, ConfigError
        A field has no image yet; several images might be of one field; the plan that has to say it cannot be had.
    """
    planned = {} if at_least else _planned(images.plan)
    wanted = at_least or len(planned)
    last = _last_of_each(images)
    if last is None:
        if len(images) > wanted:
            raise Ambiguous(
                f"the session has {len(images)} images of {_fields(wanted)}, and they do not say which is of which, so "
                "one that was given again cannot be told. Repeat a measurement in a session of its own, or say how "
                "many fields there are (in QATrack+: Images of a complete set).",
                candidates=images.uids,
            )
        places, missing = list(range(len(images))), []
    else:
        places = sorted(place for beam, place in last.items() if not planned or beam in planned)
        missing = [name for beam, name in planned.items() if beam not in last]
    if len(places) < wanted:
        raise Incomplete(
            f"the session has images of {len(places)} of {_fields(wanted)}{_without(missing)}. Wait for the rest and "
            "ask with a later before (in QATrack+: Work Started), or say how many fields are enough (in QATrack+: "
            "Images of a complete set).",
            missing=missing,
        )
    return images if len(places) == len(images) else Fields(images, places)


def only_field(images: Images) -> Images:
    """The image of the only field of the plan; of a field that was given again, the last one."""
    last = _last_of_each(images)
    if last is None and len(images) > 1:
        raise Ambiguous(
            f"the session has {len(images)} images that do not say which field they are of, and this analysis takes "
            "one. Repeat a measurement in a session of its own.",
            candidates=images.uids,
        )
    if last is not None and len(last) > 1:
        raise Ambiguous(
            f"the session has images of {len(last)} fields, and this analysis takes one. Make a plan of one field.",
            candidates=images.uids,
        )
    return images if len(images) == 1 else Fields(images, [len(images) - 1])


def _last_of_each(images: Images) -> Optional[dict[str, int]]:
    """Where the last image of each beam is; None where an image does not say which it is of."""
    headers = [part10.read(file, headers_only=True, keywords=["ReferencedBeamNumber"]) for file in images.files]
    beams = [str(header.get("ReferencedBeamNumber") or "") for header in headers]
    return None if "" in beams else {beam: place for place, beam in enumerate(beams)}


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
