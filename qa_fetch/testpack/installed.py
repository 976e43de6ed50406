"""What the installed package offers: the names, methods and parameters that a procedure may use."""

from __future__ import annotations

import ast
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any, Optional

PACKAGE = "qa_fetch"
# The modules that a procedure has a use for; others are known to exist and not looked into.
_LOOKED_INTO = ("archive", "composite", "errors", "compat", "kinds")
_RETURNED = ("Archive", "Images", "Plan")


@dataclass(frozen=True)
class Instance:
    """Something of a class of the package."""

    of: type

    def has(self, name: str) -> bool:
        """Whether it has a public attribute, whether of the class or given in ``__init__``."""
        made = getattr(self.of.__init__, "__code__", None)  # type: ignore[misc]
        given = (*getattr(self.of, "__dataclass_fields__", ()), *(made.co_names if made else ()))
        return hasattr(self.of, name) or name in given


@dataclass(frozen=True)
class Method:
    """A method of such a thing."""

    of: type
    name: str


class Names:
    """Which names of a procedure stand for something of the package, as far as its text tells."""

    def __init__(self, tree: ast.Module) -> None:
        self.known: dict[str, Any] = {}
        self.missing: list[tuple[ast.stmt, str]] = []
        self.arguments = set(_arguments(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and not node.level:
                self._from(node)
            elif isinstance(node, ast.Import):
                self._import(node)
        self._assigned(tree)

    def _from(self, node: ast.ImportFrom) -> None:
        home, _, below = (node.module or "").partition(".")
        if home != PACKAGE:
            return
        module = _module(below)
        for alias in node.names:
            if alias.name == "*" or module is None:
                continue
            found = getattr(module, alias.name, None) if not below else vars(module).get(alias.name)
            if found is None and not below and alias.name in _submodules():
                found = _module(alias.name) or False
            if found is None:
                self.missing.append((node, f"{node.module}.{alias.name}"))
            elif found is not False:
                self.known[alias.asname or alias.name] = found
        if below and module is None and below.split(".")[0] not in _submodules():
            self.missing.append((node, str(node.module)))

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            home, _, below = alias.name.partition(".")
            if home != PACKAGE:
                continue
            if below and below.split(".")[0] not in _submodules():
                self.missing.append((node, alias.name))
            elif not alias.asname or not below:
                self.known[alias.asname or home] = import_module(PACKAGE)
            elif _module(below):
                self.known[alias.asname] = _module(below)

    def _assigned(self, tree: ast.Module) -> None:
        """Names for what the package returned, where nothing else is ever assigned to them."""
        values: dict[str, list[Optional[ast.expr]]] = {}
        for node in ast.walk(tree):
            for name, value in _assignments(node):
                values.setdefault(name, []).append(value)
        for _ in range(3):  # an archive, what it returned, and one name more
            for name, given in values.items():
                real = [value for value in given if not (isinstance(value, ast.Constant) and value.value is None)]
                found = {self.meaning(value) if value is not None else None for value in real}
                if len(found) == 1 and isinstance(next(iter(found)), Instance):
                    self.known.setdefault(name, found.pop())
        for name, given in values.items():
            if name in self.known and not isinstance(self.known[name], Instance) and given:
                del self.known[name]  # imported, and something else later

    def meaning(self, node: ast.expr) -> Any:
        """What an expression stands for: a module, class, function, Instance or Method; None when nobody knows."""
        if isinstance(node, ast.Name):
            return None if node in self.arguments else self.known.get(node.id)
        if isinstance(node, ast.Attribute):
            owner = self.meaning(node.value)
            return attribute(owner, node.attr)
        if isinstance(node, ast.Call):
            return _returned(self.meaning(node.func))
        return None


def _arguments(tree: ast.Module) -> Iterator[ast.Name]:
    """Each use of a function's own argument, which means something else than the same name outside."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            own = {argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)}
            yield from (part for part in ast.walk(node) if isinstance(part, ast.Name) and part.id in own)


def _assignments(node: ast.AST) -> Iterator[tuple[str, Optional[ast.expr]]]:
    """Each name that a node gives a value, with the value where it is a plain assignment."""
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            if isinstance(target, ast.Name):
                yield target.id, node.value
            else:
                yield from ((part.id, None) for part in ast.walk(target) if isinstance(part, ast.Name))
    elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension, ast.AugAssign)):
        yield from ((part.id, None) for part in ast.walk(node.target) if isinstance(part, ast.Name))
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        yield from ((part.id, None) for part in ast.walk(node.optional_vars) if isinstance(part, ast.Name))
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name, None


def attribute(owner: Any, name: str) -> Any:
    """What an attribute of something of the package stands for."""
    if isinstance(owner, Instance):
        return Method(owner.of, name) if isinstance(vars(owner.of).get(name), FunctionType) else None
    if isinstance(owner, ModuleType) or isinstance(owner, type):
        return getattr(owner, name, None)
    return None


def lacks(owner: Any, name: str) -> Optional[str]:
    """What has no such attribute, in words; None where it has it or nobody knows."""
    if name.startswith("_"):
        return None
    if isinstance(owner, Instance):
        return None if owner.has(name) else owner.of.__name__
    if isinstance(owner, ModuleType):
        there = hasattr(owner, name) or (owner.__name__ == PACKAGE and name in _submodules())
        return None if there else owner.__name__
    if isinstance(owner, type):
        return None if hasattr(owner, name) else owner.__name__
    return None


def refusal(called: Any, node: ast.Call) -> Optional[str]:
    """Why a call cannot work, from the signature of what is called; None where it can, or nobody knows."""
    if any(isinstance(argument, ast.Starred) for argument in node.args) or any(
        word.arg is None for word in node.keywords
    ):
        return None
    function, own = called, 0
    if isinstance(called, Method):
        function, own = vars(called.of)[called.name], 1
    if not callable(function):
        return None
    try:
        inspect.signature(function).bind(*[None] * (len(node.args) + own), **{str(w.arg): None for w in node.keywords})
    except TypeError as problem:
        return str(problem)
    except ValueError:  # a built-in without a signature
        return None
    return None


def called_by(name: Any) -> str:
    """How a message names what is called."""
    if isinstance(name, Method):
        return f"{name.of.__name__}.{name.name}"
    return str(getattr(name, "__qualname__", name))


def _returned(called: Any) -> Any:
    if isinstance(called, type):
        return Instance(called)
    function = vars(called.of)[called.name] if isinstance(called, Method) else called
    annotation = getattr(function, "__annotations__", {}).get("return")
    if annotation in _RETURNED:
        return Instance(getattr(import_module(f"{PACKAGE}.archive"), annotation))
    return None


def _module(below: str) -> Optional[ModuleType]:
    """A module of the package by its name below it, if it is one to look into: importing some would start them."""
    if not below:
        return import_module(PACKAGE)
    return import_module(f"{PACKAGE}.{below}") if below in _LOOKED_INTO else None


def _submodules() -> set[str]:
    return {module.name for module in pkgutil.iter_modules(import_module(PACKAGE).__path__)}
