"""What a procedure assigns, and what it hides in strings."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Sequence

from .names import unknown_names

_OF_NAMES = ("globals", "locals", "vars")
_OF_NUMBERS = ("math", "numpy", "np")


def values_of(tree: ast.AST, names: Sequence[str]) -> Iterator[ast.expr]:
    """Every expression that is assigned to one of the names, outside functions, the branches of a choice one by one."""
    for node in _outside_functions(tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id in names for target in targets):
                yield from _branches(node.value)


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            yield child
            yield from _outside_functions(child)


def _branches(value: ast.expr) -> Iterator[ast.expr]:
    if isinstance(value, ast.IfExp):
        yield from _branches(value.body)
        yield from _branches(value.orelse)
    elif isinstance(value, ast.BoolOp):
        # What stands before an "and" is the value only where it is empty.
        for part in value.values if isinstance(value.op, ast.Or) else value.values[-1:]:
            yield from _branches(part)
    else:
        yield value


def texts(tree: ast.AST, names: Sequence[str]) -> list[ast.expr]:
    """The texts among what is assigned, where something else is assigned too."""
    values = [value for value in values_of(tree, names) if not _is_none(value)]
    found = [value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)]
    return list(found) if len(found) < len(values) else []


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def is_no_number(value: ast.expr) -> bool:
    """Whether a value is NaN or infinite as it is written: ``float("nan")``, ``-math.inf``, ``numpy.nan``."""
    if isinstance(value, ast.UnaryOp):
        return is_no_number(value.operand)
    if isinstance(value, ast.Call) and _is_call_of(value, ("float",)):
        return any(_is_not_finite(text) for word in value.args for text in _text(word))
    if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name):
        return value.value.id in _OF_NUMBERS and value.attr.lower() in ("nan", "inf")
    return False


def _is_not_finite(text: str) -> bool:
    try:
        return not math.isfinite(float(text))
    except ValueError:
        return False


def is_dictionary(tree: ast.Module, value: ast.expr) -> bool:
    """Whether a value is certainly a plain dictionary, also by the name of one."""
    if isinstance(value, (ast.Dict, ast.DictComp)):
        return True
    if isinstance(value, ast.Call):
        as_one = any(word.arg == "as_dict" and _is_true(word.value) for word in value.keywords)
        return as_one or _is_call_of(value, ("dict",))
    if isinstance(value, ast.Name):
        # One step only: a name that is assigned from itself would lead in a circle.
        assigned = [part for part in values_of(tree, (value.id,)) if not _is_none(part)]
        whole = [not isinstance(part, ast.Name) and is_dictionary(tree, part) for part in assigned]
        return bool(whole) and all(whole)
    return False


def _is_true(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is True


def in_strings(tree: ast.AST) -> set[str]:
    """Names that a procedure gets hold of by a text: ``eval("wl")``, ``globals()["wl"]``, ``globals().get("wl")``."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and _is_call_of(node.value, _OF_NAMES):
            found |= _text(node.slice)
        elif isinstance(node, ast.Call) and node.args:
            if isinstance(node.func, ast.Attribute) and _is_call_of(node.func.value, _OF_NAMES):
                found |= _text(node.args[0])
            elif _is_call_of(node, ("eval", "exec")):
                found |= _names_in(_text(node.args[0]))
    return found


def _is_call_of(node: ast.expr, names: Sequence[str]) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def _text(node: ast.expr) -> set[str]:
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()


def _names_in(codes: set[str]) -> set[str]:
    found: set[str] = set()
    for code in codes:
        try:
            found |= unknown_names(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return found
