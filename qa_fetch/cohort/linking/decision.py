"""What was decided about a patient, and the answer to why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

from .. import codes
from ..codes import Code
from ..notes import Notes
from .graph import Chain, Graph, why


@dataclass(frozen=True)
class Decision:
    """What was decided about a patient, and everything that led to it.

    ``chosen`` is set where the patient proceeds; ``candidates`` are what a person may choose from where it goes to
    quarantine; ``removed`` says of each object that a rule has taken out why.
    """

    patient: str
    notes: Notes
    graph: Graph = field(repr=False)
    chosen: Optional[Chain] = None
    candidates: tuple[Chain, ...] = ()
    removed: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def code(self) -> Code:
        """The code that decided."""
        return self.notes.excluded_by or self.notes.codes[-1]

    @property
    def status(self) -> str:
        """``SUCCESS``, ``REVIEW`` or ``EXECLUDE``."""
        return self.notes.status

    @property
    def quarantine(self) -> bool:
        """Whether a person should choose."""
        return self.code in (codes.I_EXEC_007, codes.II_EXEC_003)

    def why(self, named: str) -> str:
        """Why an object counts or not, in one sentence; it is named by its UID, or as ``dose 1.2.3``."""
        uid = (named.split() or [""])[-1]
        node = self.graph.nodes.get(uid)
        if node is not None and self.chosen is not None and uid in self.chosen.uids:
            said = dict.fromkeys(
                evidence.sentence for edge in self.chosen.links if uid in (edge.source, edge.target)
                for evidence in edge.evidence
            )  # fmt: skip
            return f"the {node} is chosen: {' and '.join(said) or 'nothing else is needed'}."
        if node is not None and uid in self.removed:
            return f"the {node} does not count: {self.removed[uid]}."
        if node is not None and self.code == codes.I_EXEC_007:
            return f"the {node} does not count yet. {self.code.sentence}"
        return why(self.graph, uid)
