"""The node that this process runs, as views need it; Django gives them no other way to it than its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from ..options import NodeOptions
from ..search import Searcher

if TYPE_CHECKING:
    from ..objects import ObjectStore


def options() -> NodeOptions:
    """What it was told."""
    found: NodeOptions = settings.QA_FETCH_NODE
    return found


def objects() -> ObjectStore:
    """Its objects; the DICOM services use the same ones, so that there is one writer."""
    found: ObjectStore = settings.QA_FETCH_OBJECTS
    return found


def searcher() -> Searcher:
    """What answers queries."""
    return Searcher(options().ae_title, objects().path, objects().extra)
