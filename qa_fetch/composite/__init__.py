"""What a composite test of QATrack+ needs: results that its page can show, a report attached once, plans compared."""

from __future__ import annotations

from .attaching import attach
from .cleaning import cleaned
from .connecting import connections
from .fields import fields, only_field
from .plans import plan_changes, plan_facts
from .records import comment, patient, previous
from .results import Results, results

__all__ = [
    "Results",
    "attach",
    "cleaned",
    "comment",
    "connections",
    "fields",
    "only_field",
    "patient",
    "plan_changes",
    "plan_facts",
    "previous",
    "results",
]
