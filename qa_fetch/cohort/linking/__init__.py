"""What belongs together, and why: the links between a patient's objects, and the choice that PDCP's rules make."""

from __future__ import annotations

from .graph import Chain, Edge, Evidence, Graph, Node, chains, link, why
from .selection import Decision, decide, select

__all__ = ["Chain", "Decision", "Edge", "Evidence", "Graph", "Node", "chains", "decide", "link", "select", "why"]
