"""What is wrong with a calculation procedure, found without running it."""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Optional

from . import fields as known
from .calls import check_calls
from .finding import Finding, error, warning
from .flow import ways
from .names import tokens, unknown_names
from .values import in_strings, is_dictionary, is_no_number, texts, values_of


@dataclass
class Procedure:
    """A test's procedure and where it stands."""

    place: str
    slug: str
    kind: str
    given: str

    @property
    def text(self) -> str:
        """With the line ends that Python counts."""
        return self.given.replace("\r\n", "\n").replace("\r", "\n")

    @cached_property
    def tokens(self) -> set[str]:
        """What QATrack+ takes for the names in it; none where it cannot be read."""
        return set() if self.broken else tokens(self.text)

    @cached_property
    def broken(self) -> str:
        """Why QATrack+ cannot split it into words, which breaks the page rather than the test."""
        try:
            tokens(self.text)
        except (tokenize.TokenError, SyntaxError) as problem:
            return str(problem.args[0] if problem.args else problem)
        except ValueError:
            return "it holds characters that no file can hold"
        return ""

    @cached_property
    def tree(self) -> Optional[ast.Module]:
        """None where Python does not take it."""
        return None if self.broken or self.fault else ast.parse(self.text)

    @cached_property
    def fault(self) -> str:
        """Python's own word for what is wrong with it."""
        try:
            compile(self.text, "procedure", "exec", dont_inherit=True)
        except SyntaxError as problem:
            return f"{problem.msg} (line {problem.lineno})"
        except (ValueError, RecursionError, MemoryError):
            return "Python cannot read it"
        return ""

    @property
    def composite(self) -> bool:
        """Whether it runs again at every change of the page."""
        return self.kind in known.COMPOSITE_TYPES


def check_procedure(procedure: Procedure, group: Sequence[Procedure] = ()) -> Iterator[Finding]:
    """Everything about one procedure among those of its list; without a list, nothing about names."""
    if not procedure.text.strip():
        yield from _absent(procedure)
    elif procedure.broken:
        says = f"QATrack+ cannot split it into words ({procedure.broken}), which breaks the whole page."
        yield error(procedure.place, f"{says} Look for an open bracket, quote or indent.")
    elif procedure.tree is None:
        yield error(procedure.place, f"it is no valid Python: {procedure.fault}. Correct it.")
    else:
        yield from _sets_its_slug(procedure, procedure.tree)
        if group:
            yield from _names(procedure, procedure.tree, {other.slug for other in group})
            yield from _order(procedure, procedure.tree, group)
            yield from _waiting(procedure, procedure.tree, group)
        yield from _kept_as_text(procedure, procedure.tree)
        yield from _no_numbers(procedure, procedure.tree)
        yield from check_calls(procedure.tree, procedure.place, again=procedure.composite)


def _absent(procedure: Procedure) -> Iterator[Finding]:
    if procedure.kind in known.CALCULATED_TYPES:
        says = f"a test of the type {procedure.kind} has no procedure, so it shows an error or breaks the whole page."
        yield error(procedure.place, f"{says} Write at least: {procedure.slug} = None")


def _sets_its_slug(procedure: Procedure, tree: ast.Module) -> Iterator[Finding]:
    ends = ways(tree, (procedure.slug, "result"))
    if ends == frozenset({False}):
        says = f"it sets neither {procedure.slug} nor result, so it has no result but an error."
        yield error(procedure.place, f"{says} Assign the result to {procedure.slug}.")
    elif False in ends:
        says = f"on some way through it sets neither {procedure.slug} nor result, which is an error on the page."
        yield error(procedure.place, f"{says} Begin with: {procedure.slug} = None")


def _names(procedure: Procedure, tree: ast.Module, slugs: set[str]) -> Iterator[Finding]:
    if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(tree)):
        return
    unknown = unknown_names(procedure.text)
    upload = procedure.kind == "upload"
    given = known.CONTEXT | (known.UPLOAD_CONTEXT if upload else slugs) | {"__user_attached__", "__comment__"}
    for name in sorted(unknown - given):
        if name in slugs:
            says = f"it uses {name}, but QATrack+ gives no other tests to the procedure of an upload."
            yield error(procedure.place, f"{says} Compute with it in a composite test.")
        else:
            says = f"it uses {name}, which is neither a test of this list nor anything that QATrack+ provides."
            yield error(procedure.place, f"{says} Import it, or correct the name.")


def _order(procedure: Procedure, tree: ast.Module, procedures: Sequence[Procedure]) -> Iterator[Finding]:
    """A test that is named only where QATrack+ does not look may be computed later than the one that needs it."""
    if not procedure.composite:
        return
    others = {other.slug for other in procedures if other.composite} - {procedure.slug}
    for slug in sorted(((unknown_names(procedure.text) | in_strings(tree)) & others) - procedure.tokens):
        says = f"it uses {slug} only inside a string, where QATrack+ does not see it and computes it too late."
        yield error(procedure.place, f"{says} Take it out of the string: value = {slug}")


def _kept_as_text(procedure: Procedure, tree: ast.Module) -> Iterator[Finding]:
    if procedure.kind != "scomposite":
        return
    for value in values_of(tree, (procedure.slug, "result")):
        if is_dictionary(tree, value):
            says = "the result is a plain dictionary, which QATrack+'s REST API stores as str(...), not as JSON."
            where = f"{procedure.place}, line {value.lineno}"
            yield warning(where, f"{says} Give composite.Results(...) of it.")


def _no_numbers(procedure: Procedure, tree: ast.Module) -> Iterator[Finding]:
    """NaN and infinity are no JSON, and QATrack+ recognises only some of them."""
    for value in values_of(tree, (procedure.slug, "result")):
        if is_no_number(value):
            says = "the result is NaN or infinite, which is an error or loses the results of the whole page."
            yield warning(f"{procedure.place}, line {value.lineno}", f"{says} Give None where there is no number.")


def _waiting(procedure: Procedure, tree: ast.Module, group: Sequence[Procedure]) -> Iterator[Finding]:
    """A text that stands for "not yet" breaks the tests that look into the result."""
    if not procedure.composite:
        return
    others = [other for other in group if other.composite and other.slug != procedure.slug]
    readers = [other.slug for other in others if other.tree is not None and _looks_into(other.tree, procedure.slug)]
    for value in texts(tree, (procedure.slug, "result")) if readers else ():
        says = f"a text is the result here, into which {readers[0]} looks as into a dictionary."
        yield warning(f"{procedure.place}, line {value.lineno}", f"{says} Give None while there is nothing yet.")


def _looks_into(tree: ast.Module, slug: str) -> bool:
    """Whether a procedure takes something by its name out of another test's result."""
    return any(
        isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id == slug
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
        for node in ast.walk(tree)
    )
