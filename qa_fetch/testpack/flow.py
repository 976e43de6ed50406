"""Whether every way through a procedure sets a name."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any, Optional

States = frozenset[bool]  # with which of "set" and "not set" a place can be reached; none where it cannot

_NOWHERE: States = frozenset()
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def ways(tree: ast.Module, names: Sequence[str]) -> States:
    """How the end of a procedure is reached: with one of the names set, without, both, or not at all."""
    if _beyond_us(tree, names):
        return frozenset({True})
    return _Flow(frozenset(names)).block(tree.body, frozenset({False}))


def _beyond_us(tree: ast.Module, names: Sequence[str]) -> bool:
    """Whether it sets names in a way that its text does not show."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Global) and set(node.names) & set(names):
            return True
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in ("exec", "globals", "locals", "vars"):
                return True
    return False


class _Flow:
    """One walk through the statements; what leaves a block early is kept until the block that it leaves ends."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names
        self.broken: list[States] = []  # for each loop around us: the states at its break statements
        self.again: list[States] = []  # and at its continue statements
        self.seen: list[States] = []  # for each try around us: the states between its statements

    def block(self, body: Sequence[ast.stmt], states: States) -> States:
        """The states behind a block; what stands behind a raise or a break is not reached."""
        self.see(states)
        for statement in body:
            if states:
                states = self.statement(statement, states)
                self.see(states)
        return states

    def see(self, states: States) -> None:
        self.seen = [before | states for before in self.seen]

    def statement(self, node: ast.stmt, states: States) -> States:
        if isinstance(node, (ast.Raise, ast.Break, ast.Continue)):
            if isinstance(node, ast.Break):
                self.broken[-1] |= states
            elif isinstance(node, ast.Continue):
                self.again[-1] |= states
            return _NOWHERE
        if isinstance(node, ast.Delete):
            gone = any(isinstance(target, ast.Name) and target.id in self.names for target in node.targets)
            return frozenset({False}) if gone else states
        behind = self.compound(node, states)
        return self.after([node], states) if behind is None else behind

    def compound(self, node: ast.stmt, states: States) -> Optional[States]:
        """The states behind a statement that holds others; None for any other statement."""
        if isinstance(node, ast.If):
            return self.choice(node, states)
        if isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            return self.loop(node, states)
        if isinstance(node, (ast.With, ast.AsyncWith)):
            return self.within(node, states)
        if isinstance(node, ast.Try) or type(node).__name__ == "TryStar":
            return self.attempt(node, states)
        return self.match(node, states) if type(node).__name__ == "Match" else None

    def after(self, nodes: Sequence[ast.AST], states: States) -> States:
        """The states behind an expression or a simple statement, which may set one of the names."""
        return frozenset({True}) if states and any(map(self.sets, nodes)) else states

    def sets(self, node: ast.AST) -> bool:
        if isinstance(node, ast.AnnAssign) and node.value is None:
            return False
        return any(name in self.names for name in _set_by(node))

    def choice(self, node: ast.If, states: States) -> States:
        states, fixed = self.after([node.test], states), _truth(node.test)
        if fixed is not None:
            return self.block(node.body if fixed else node.orelse, states)
        return self.block(node.body, states) | self.block(node.orelse, states)

    def loop(self, node: Any, states: States) -> States:
        counted = not isinstance(node, ast.While)
        states = self.after([node.iter if counted else node.test], states)
        inside = self.after([node.target], states) if counted else states
        self.broken.append(_NOWHERE)
        self.again.append(_NOWHERE)
        turned = self.block(node.body, inside) | self.again[-1]
        turned |= self.block(node.body, turned) | self.again[-1]  # once more, for what a second turn finds
        broken, _ = self.broken.pop(), self.again.pop()
        endless = not counted and _truth(node.test) is True
        return broken if endless else self.block(node.orelse, states | turned) | broken

    def within(self, node: Any, states: States) -> States:
        self.seen.append(_NOWHERE)
        done = self.block(node.body, self.after(node.items, states))
        cut_short = self.seen.pop()
        # contextlib.suppress goes on behind the block, wherever in it the error came.
        return done | cut_short if any("suppress" in ast.dump(item.context_expr) for item in node.items) else done

    def attempt(self, node: Any, states: States) -> States:
        self.seen.append(_NOWHERE)
        done = self.block(node.body, states)
        caught = self.seen.pop()
        states = self.block(node.orelse, done)
        for handler in node.handlers:
            states |= self.block(handler.body, caught)
        return self.block(node.finalbody, states)

    def match(self, node: Any, states: States) -> States:
        states = self.after([node.subject], states)
        last = node.cases[-1]
        takes_all = last.guard is None and getattr(last.pattern, "pattern", 0) is None
        behind = _NOWHERE if takes_all else states
        for case in node.cases:
            behind |= self.block(case.body, self.after([case.pattern], states))
        return behind


def _truth(test: ast.expr) -> Optional[bool]:
    return bool(test.value) if isinstance(test, ast.Constant) else None


def _set_by(node: ast.AST) -> Iterator[str]:
    """Every name that a node without statements of its own sets in the scope that it stands in."""
    if isinstance(node, _DEFINITIONS):
        yield node.name
        return
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        for alias in node.names:
            yield alias.asname or alias.name.split(".")[0]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        # Only a walrus leaves a comprehension; its loop variables do not.
        yield from (inner.target.id for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr))
        return
    for name in (getattr(node, "name", None), getattr(node, "rest", None)):
        if isinstance(name, str) and type(node).__name__.startswith("Match"):
            yield name
    for child in ast.iter_child_nodes(node):
        yield from _set_by(child)
