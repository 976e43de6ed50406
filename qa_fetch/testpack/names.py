"""What QATrack+ and Python each see in a procedure: tokens, names, and the order that follows from them."""

from __future__ import annotations

import builtins
import io
import symtable
import tokenize
from collections.abc import Iterator, Mapping

# A frame of QATrack+ 3.1 cannot see into an f-string; from Python 3.12 on, the tokenizer can.
_FSTRING = {getattr(tokenize, name, None): step for name, step in (("FSTRING_START", 1), ("FSTRING_END", -1))}


def tokens(procedure: str) -> set[str]:
    """The words from which QATrack+ on every Python takes what a procedure depends on; raises as ``tokenize`` does."""
    found, before, depth = set(), "", 0
    for token in tokenize.generate_tokens(io.StringIO(procedure).readline):
        depth += _FSTRING.get(token.type, 0)
        if token.type == tokenize.NAME and before != "." and not depth:
            found.add(token.string)
        before = token.string
    return found


def unknown_names(procedure: str) -> set[str]:
    """The names that a procedure takes from outside: neither made by itself nor built into Python."""
    top = symtable.symtable(procedure, "procedure", "exec")
    made = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    used = set()
    for table in _tables(top):
        for symbol in table.get_symbols():
            outer = symbol.is_global() or table is top
            if outer and symbol.is_assigned():
                made.add(symbol.get_name())
            elif outer and symbol.is_referenced():
                used.add(symbol.get_name())
    return used - made - set(dir(builtins))


def _tables(top: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield top
    for child in top.get_children():
        yield from _tables(child)


def cyclic(needs: Mapping[str, set[str]]) -> set[str]:
    """The tests that wait for each other in a circle; not those that merely wait for one of them."""
    return {slug for slug in needs if slug in _reached(needs, slug)}


def _reached(needs: Mapping[str, set[str]], start: str) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        for slug in needs.get(waiting.pop(), set()) - reached:
            reached.add(slug)
            waiting.append(slug)
    return reached
