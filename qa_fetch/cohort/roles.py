"""What a region is to a treatment: a target, an organ, a help, or the outside of the body; and which tells most."""

from __future__ import annotations

from typing import Final

TARGETS: Final = ("PTV", "CTV", "GTV", "ITV")  # the most telling first
OUTSIDE: Final = "EXTERNAL"
_ASIDE: Final = frozenset(("SUPPORT", "BOLUS", "FIXATION", "MARKER", "REGISTRATION", "ISOCENTER", "DOSE_REGION"))
_BODIES: Final = ("BODY", "EXTERNAL", "SKIN", "OUTLINE", "PATIENT")


def role(kind: object, name: str) -> str:
    """PTV, ORGAN, EXTERNAL ...; where the planning system does not say, the name of a target or of the body does."""
    said = kind.strip().upper() if isinstance(kind, str) else ""
    if said:
        return said
    begins = name.strip().upper()
    named = next((target for target in TARGETS if begins.startswith(target)), "")
    return named or (OUTSIDE if begins in _BODIES else "")


def rank(of: str) -> int:
    """The place of a role: targets first, then organs, what is not the patient's own, and the outside of the body."""
    return TARGETS.index(of) if of in TARGETS else len(TARGETS) + (of in _ASIDE) + 2 * (of == OUTSIDE)
