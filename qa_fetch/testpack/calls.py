"""Habits that a procedure must not have: fetching at every key stroke, addresses in the code, files without end."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from .finding import Finding, error, warning
from .installed import Method, Names, called_by, lacks, refusal

_SCHEME = re.compile(r"(dimses?|orthanc\+https?|dicomweb\+https?)://\S")
_FOLDER = re.compile(r"(folder|pinnacle):\S")
_IP = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|(?=$|:))){4}(?::\d+)?")
# What each call takes to give the same answer next year, and what it would take without.
_PINS = {
    "Archive.latest": (("before", "on"), "today's images"),
    "Archive.images": (("before", "on"), "today's images"),
    "Archive.plan": (("as_of",), "today's plan"),
}
_OVER_THE_NETWORK = (
    *("latest", "images", "plan", "plans", "fetch", "patient", "find", "send", "move", "echo"),
    *("get_series", "get_plan_uids"),
)
_AN_ADDRESS = ("host", "port", "url", "ae_title")
_BROAD = ("Exception", "BaseException")


def check_calls(tree: ast.Module, place: str, *, again: bool) -> Iterator[Finding]:
    """What a procedure calls, and how; ``again`` when QATrack+ runs it at every change of the page."""
    names = Names(tree)
    for statement, name in names.missing:
        says = f"{name} does not exist in the installed qa_fetch."
        yield error(_at(place, statement), f"{says} Correct the name, or install the version that has it.")
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    walk = _Walk(tree, names, parents, place, again)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield from walk.attribute(node)
        elif isinstance(node, ast.Call):
            yield from walk.call(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from walk.text(node)
        elif isinstance(node, ast.Try):
            yield from walk.attempt(node)


def _at(place: str, node: Any) -> str:
    return f"{place}, line {node.lineno}"


class _Walk:
    """One procedure with what its names stand for and what stands around each node."""

    def __init__(
        self, tree: ast.Module, names: Names, parents: dict[ast.AST, ast.AST], place: str, again: bool
    ) -> None:
        self.tree, self.names, self.parents, self.place, self.again = tree, names, parents, place, again

    def attribute(self, node: ast.Attribute) -> Iterator[Finding]:
        """A name that the package does not have."""
        owner = lacks(self.names.meaning(node.value), node.attr)
        if owner:
            yield error(_at(self.place, node), f"{owner} has no {node.attr}. Correct the name; see the README.")

    def call(self, node: ast.Call) -> Iterator[Finding]:
        """Parameters, and what happens when the page is changed or opened again."""
        called = self.names.meaning(node.func)
        where = _at(self.place, node)
        problem = refusal(called, node) if called is not None else None
        if problem:
            yield error(where, f"{called_by(called)} cannot be called like this: {problem}. Correct the call.")
        if self.fetches(called):
            yield from self.fetch(node, called, where)
        if self.again and _is_write_file(node):
            says = "every change of the page makes another attachment, and none is ever deleted."
            yield warning(where, f"{says} Use composite.attach(name, content, UTILS).")
        if called_by(called) == "Archive" and any(word.arg in _AN_ADDRESS for word in node.keywords):
            yield _address(where)
        if _associates(node):
            says = "it opens a DICOM connection of its own, with its address in the pack and nothing kept."
            yield warning(where, f"{says} Use qa_fetch.Archive, whose address stands in qa_fetch.toml.")

    def fetches(self, called: Any) -> bool:
        """Whether a call goes to an archive."""
        if isinstance(called, Method):
            return called.of.__name__ in ("Archive", "PynetdicomWrapper") and called.name in _OVER_THE_NETWORK
        return getattr(called, "__module__", "") == "qa_fetch.composite.connecting"

    def fetch(self, node: ast.Call, called: Any, where: str) -> Iterator[Finding]:
        if not self.again:
            return
        name = called_by(called)
        if not self.gated(node, set()):
            says = f"{name} is not inside an if, so every change of the page asks the archive again."
            yield warning(where, f"{says} Put it below a boolean test: if go:")
        pins, taken = _PINS.get(name, ((), ""))
        if pins and not _is_pinned(node, pins):
            says = f"{name} is not pinned in time, so editing last year's record would take {taken}."
            yield warning(where, f'{says} Give {pins[0]}=META["work_started"].')

    def gated(self, node: ast.AST, seen: set[str]) -> bool:
        """Whether something decides if a node is reached."""
        while node in self.parents:
            above = self.parents[node]
            if isinstance(above, (ast.If, ast.IfExp, ast.While)) and node is not above.test:
                return True
            if isinstance(above, ast.BoolOp) and node is not above.values[0]:
                return True
            if isinstance(above, (ast.ExceptHandler, ast.comprehension)) or type(above).__name__ == "match_case":
                return True
            if _left_before(above, node):
                return True
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                return self.called_gated(node.name, seen)
            if isinstance(node, ast.Lambda):
                return True  # who calls it, and when, is beyond us
            node = above
        return False

    def called_gated(self, name: str, seen: set[str]) -> bool:
        """Whether every use of a function is gated; one that is not used does no harm."""
        if name in seen:
            return True
        uses = [node for node in ast.walk(self.tree) if isinstance(node, ast.Name) and node.id == name]
        return all(self.gated(use, seen | {name}) for use in uses if isinstance(use.ctx, ast.Load))

    def text(self, node: ast.Constant) -> Iterator[Finding]:
        """An address where one is used, not where one is compared or documented."""
        above = self.parents.get(node)
        used = isinstance(above, (ast.Call, ast.keyword, ast.Assign, ast.AnnAssign, ast.Dict, ast.List, ast.Tuple))
        value = str(node.value)
        folder = isinstance(above, ast.Call) and called_by(self.names.meaning(above.func)) == "Archive"
        if used and (_SCHEME.match(value) or _IP.fullmatch(value) or (folder and _FOLDER.match(value))):
            yield _address(_at(self.place, node))

    def attempt(self, node: ast.Try) -> Iterator[Finding]:
        """A broad except around a fetch hides the sentence that says what to do."""
        calls = [part for body in node.body for part in ast.walk(body) if isinstance(part, ast.Call)]
        if not any(self.fetches(self.names.meaning(call.func)) for call in calls):
            return
        for handler in node.handlers:
            if _is_broad(handler) and not any(isinstance(part, ast.Raise) for part in ast.walk(handler)):
                says = "this except takes every error of the fetch, so nobody sees why there are no images."
                yield warning(_at(self.place, handler), f"{says} Leave it out, or name the error: except NotFound:")


def _address(where: str) -> Finding:
    says = "an address stands in the procedure, so a change of the archive means a change of every pack."
    return warning(where, f"{says} Write it into qa_fetch.toml and use its name here.")


def _is_pinned(node: ast.Call, pins: tuple[str, ...]) -> bool:
    given = [word for word in node.keywords if word.arg in (*pins, None)]
    return any(not (isinstance(word.value, ast.Constant) and word.value.value is None) for word in given)


def _is_write_file(node: ast.Call) -> bool:
    function = node.func
    return isinstance(function, ast.Attribute) and function.attr == "write_file" and _is_name(function.value, "UTILS")


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _associates(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and node.func.attr == "associate"


def _left_before(above: ast.AST, node: ast.AST) -> bool:
    """Whether an ``if`` earlier in the same block leaves it: ``if not go: return``."""
    for name in ("body", "orelse", "finalbody"):
        block = getattr(above, name, None)
        if isinstance(block, list) and node in block:
            before = block[: block.index(node)]
            return any(isinstance(one, ast.If) and isinstance(one.body[-1], _LEAVES) for one in before)
    return False


_LEAVES = (ast.Raise, ast.Return, ast.Continue, ast.Break)


def _is_broad(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in _BROAD) for kind in kinds)
