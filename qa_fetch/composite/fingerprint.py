"""What an analysis written in a procedure depends on besides its images: its code, its settings, its libraries."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from importlib import metadata
from types import CodeType, FunctionType
from typing import Any, Optional

from ..errors import ConfigError
from .cleaning import cleaned

_LIBRARIES = ("pylinac", "pymedphys", "numpy")


def fingerprint(analysis: Any) -> Optional[str]:
    """A text that changes when the function or what it uses does; None for what is no function."""
    if not isinstance(analysis, FunctionType):
        return None
    seen: set[int] = set()
    parts = json.dumps([_of_function(analysis, seen), _versions()])
    return hashlib.sha256(parts.encode()).hexdigest()


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    """The libraries that analyse, as they are installed; they are looked up once a process."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = ""
    return found


def _of_function(function: FunctionType, seen: set[int]) -> list[Any]:
    """The code of a function, its defaults, and the values that it takes from around it."""
    if id(function) in seen:  # it calls itself
        return []
    seen.add(id(function))
    code = function.__code__
    around: dict[str, Any] = {name: function.__globals__[name] for name in _names(code) if name in function.__globals__}
    cells = function.__closure__ or ()
    around.update(zip(code.co_freevars, (cell.cell_contents for cell in cells)))
    values = {name: _of_value(value, seen) for name, value in sorted(around.items())}
    return [_of_code(code), _of_value(function.__defaults__, seen), _of_value(function.__kwdefaults__, seen), values]


def _of_code(code: CodeType) -> list[Any]:
    constants = [_of_code(part) if isinstance(part, CodeType) else repr(part) for part in code.co_consts]
    return [code.co_code.hex(), list(code.co_names), list(code.co_varnames), constants]


def _names(code: CodeType) -> set[str]:
    inner = [_names(part) for part in code.co_consts if isinstance(part, CodeType)]
    return set(code.co_names).union(*inner)


def _of_value(value: Any, seen: set[int]) -> Any:
    """A value that an analysis uses; modules and other objects stand for themselves by their type."""
    if isinstance(value, FunctionType):
        return _of_function(value, seen)
    try:
        return _as_number(cleaned(value))
    except ConfigError:
        return type(value).__name__


def _as_number(value: Any) -> Any:
    """A page posts 5 where the REST API has 5.0; it is the same setting."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _as_number(part) for key, part in value.items()}
    return [_as_number(part) for part in value] if isinstance(value, list) else value
