"""A Winston-Lutz test from nothing: a node, a course made on the spot, the three lines, and what they find."""

from __future__ import annotations

from .show import DemoResult, demo

__all__ = ["DemoResult", "demo"]
