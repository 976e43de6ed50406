"""Which images of a session an analysis takes, where it takes one of each field."""

from __future__ import annotations

from ..archive import Images
from ..errors import Ambiguous


def fields(images: Images) -> list[str]:
    """The file of each field of the plan; of a field that was given again, the last image.

    Images that do not say which beam they are of each count as a field.
    """
    newest: dict[object, str] = {}
    for file, image in zip(images.files, images):
        newest[image.get("ReferencedBeamNumber") or str(file)] = str(file)
    return list(newest.values())


def only_field(images: Images) -> str:
    """The file of the only field of the plan; of a field that was given again, the last image."""
    files = fields(images)
    if len(files) != 1:
        raise Ambiguous(
            f"the session has images of {len(files)} fields, and this analysis takes one. Make a plan of one field.",
            candidates=images.uids,
        )
    return files[0]
