"""Marks of what a step's work depends on: another mark means that the step is done again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import Any

from .columns import given
from .config import Settings
from .linking.graph import Chain

_EDITION = 1  # another one where our own reading of the same rules changes
_NO_RULES = frozenset(
    "imagesummaries patientnotesdir datadirectory thequarantine link_to_ids work matlabfiles picklefiles ipport "
    "archive username password password_env password_file CONNECTIONS TIMEOUT unused".split()
)  # where things lie, how they come, and who may ask for them


def rules_of(settings: Settings) -> dict[str, Any]:
    """The rules of a cohort: its settings without places, connections and secrets, as JSON has them."""
    named = sorted(field.name for field in fields(settings) if field.name not in _NO_RULES)
    found = {name: getattr(settings, name) for name in named}
    found["profile"] = dict(settings.profile._asdict())
    return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


def rules(settings: Settings) -> str:
    """The mark of a cohort's rules; the same where only places, connections or passwords are others."""
    return _mark({"edition": _EDITION, **rules_of(settings)})


def chosen(settings: Settings, chain: Chain) -> str:
    """The mark of what was chosen of a patient, whatever rules led to it: what a build depends on.

    Parameters
    ----------
    settings
        Of the cohort; only its profile counts here.
    chain
        The objects that belong together.
    """
    objects = {
        "images": [chain.images.uid, sorted({given(row["SOPInstanceUID"]) for row in chain.images.rows})],
        "structures": [node.uid for node in chain.structures],
        "plans": [node.uid for node in chain.plans],
        "doses": [node.uid for node in chain.doses],
    }
    return _mark({"edition": _EDITION, "profile": list(settings.profile), **objects})


def _mark(value: Any) -> str:
    written = json.dumps(value, sort_keys=True, ensure_ascii=True).encode("ascii")
    return hashlib.sha256(written).hexdigest()[:32]
