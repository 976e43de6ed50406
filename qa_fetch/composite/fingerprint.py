"""What an analysis written in a procedure depends on besides its images: its code, its settings, its libraries."""

from __future__ import annotations

import dis
import hashlib
import json
import platform
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache, cached_property, partial
from importlib import metadata
from importlib.util import find_spec, resolve_name
from inspect import getattr_static
from pathlib import Path
from types import CellType, CodeType, FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any, Optional

from ..errors import ConfigError
from .cleaning import cleaned

_LIBRARIES = ("pylinac", "pymedphys", "numpy")


class _UnknownError(Exception):
    """An analysis uses something of which nobody can tell whether it is the same another time."""


def fingerprint(analysis: Any) -> Optional[str]:
    """A text that changes when the function or what it uses does.

    None for what is no function, and for a function that uses an object which cannot be compared.
    """
    if not isinstance(analysis, FunctionType):
        return None
    try:
        parts = json.dumps([_of_function(analysis, set()), {name: _version(name) for name in _LIBRARIES}])
    except (_UnknownError, RecursionError):  # of a list that holds itself nobody finds the end
        return None
    return hashlib.sha256(parts.encode()).hexdigest()


def _version(package: str) -> Optional[str]:
    """Which one of a library is installed; None for a module of the site's own, which has no version."""
    if not package:
        return None
    if _is_standard(package):
        return platform.python_version()
    version = _installed(package)  # else its distribution has another name, or there is none
    version = version or getattr_static(sys.modules.get(package), "__version__", None)
    return version if isinstance(version, str) else None


@cache
def _installed(package: str) -> Optional[str]:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@cache
def _is_standard(package: str) -> bool:
    """Whether a module comes with Python."""
    try:
        spec = find_spec(package)
    except ValueError:  # it was not imported from anywhere: a script, or made by hand
        return False
    if spec is None or spec.origin is None:
        return False
    parents = Path(spec.origin).parents
    return spec.origin in ("built-in", "frozen") or (
        Path(sysconfig.get_path("stdlib")) in parents
        and not {"site-packages", "dist-packages"} & {parent.name for parent in parents}
    )


def _of_function(function: FunctionType, seen: set[object]) -> list[Any]:
    """The code of a function, its defaults, and the values that it takes from around it."""
    if id(function) in seen:  # it calls itself
        return []
    seen.add(id(function))
    code = function.__code__
    names = _names(code)
    around: dict[str, Any] = {name: function.__globals__[name] for name in names if name in function.__globals__}
    around.update(zip(code.co_freevars, map(_content, function.__closure__ or ())))
    values = {name: _of_value(value, seen, names) for name, value in sorted(around.items())}
    wanted = sorted(set(_imports(code, function.__globals__.get("__package__"))))
    imported = [[name, _of_import(name, taken, seen, names)] for name, taken in wanted]
    settings = [_of_value(part, seen, names) for part in (function.__defaults__, function.__kwdefaults__)]
    return [_of_code(code), settings, values, imported]


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing was put into it yet
        raise _UnknownError from None


def _of_code(code: CodeType) -> list[Any]:
    constants = [_of_code(part) if isinstance(part, CodeType) else repr(part) for part in code.co_consts]
    return [code.co_code.hex(), list(code.co_names), list(code.co_varnames), constants]


def _names(code: CodeType) -> set[str]:
    inner = [_names(part) for part in code.co_consts if isinstance(part, CodeType)]
    return set(code.co_names).union(*inner)


def _imports(code: CodeType, package: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The modules that a function imports itself, as procedures do so that a page that only shows need not wait.

    With each, the names that are taken out of it.
    """
    steps = [step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG"]
    for level, taken, step in zip(steps, steps[1:], steps[2:]):  # the dots and the names are loaded right before
        if step.opname == "IMPORT_NAME":
            yield _absolute("." * level.argval + step.argval, package), tuple(taken.argval or ())
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _imports(part, package)


def _absolute(name: str, package: Any) -> str:
    try:
        return resolve_name(name, package)
    except ImportError:  # it is relative to nothing
        raise _UnknownError from None


def _of_import(name: str, taken: tuple[str, ...], seen: set[object], names: set[str]) -> Any:
    version = _version(name.partition(".")[0])
    if version is not None:
        return version
    module = sys.modules.get(name)
    if not isinstance(module, ModuleType) or not vars(module).keys() >= set(taken):
        raise _UnknownError  # nobody knows yet what it will be
    return _of_module(module, seen, names)


def _of_value(value: Any, seen: set[object], names: set[str]) -> Any:
    """A value that an analysis uses; of a module of the site's own, what has a name that the analysis mentions."""
    if isinstance(value, ModuleType):
        return _of_module(value, seen, names)
    if isinstance(value, partial):
        return [_of_value(part, seen, names) for part in (value.func, value.args, value.keywords)]
    named = _in_library(value)
    if named is not None:
        return named
    if isinstance(value, FunctionType):
        return _of_function(value, seen)
    if isinstance(value, type):
        return _of_class(value, seen)
    try:
        return _as_number(cleaned(value))
    except (ConfigError, AttributeError):  # the latter where a field of a dataclass has no value yet
        raise _UnknownError from None


def _in_library(value: Any) -> Optional[list[str]]:
    """The name and version of a function or class that a library has under that name."""
    if getattr_static(value, "__qualname__", None) is None:  # looked up without running code of the object's own
        return None
    module, name = value.__module__, value.__qualname__
    if not isinstance(module, str) or not isinstance(name, str):
        return None
    version = _version(module.partition(".")[0])
    # A class that is defined in a procedure says that it is of builtins, so it has to be found there too.
    return [module, name, version] if version and getattr_static(sys.modules.get(module), name, None) is value else None


def _of_module(module: ModuleType, seen: set[object], names: set[str]) -> list[Any]:
    version = _version(module.__name__.partition(".")[0])
    if version is not None:
        return [module.__name__, version]
    visit = (id(module), *sorted(names))
    if visit in seen:
        return []
    seen.add(visit)
    # What is loaded counts, and not the file, which may have changed since.
    used = {name: value for name, value in sorted(vars(module).items()) if name in names}
    if not used:
        raise _UnknownError
    return [module.__name__, {name: _of_value(value, seen, names) for name, value in used.items()}]


def _of_class(kind: type, seen: set[object]) -> list[Any]:
    """A class of the site's own: its bases, its functions and its values."""
    if id(kind) in seen:
        return []
    seen.add(id(kind))
    parts = {name: _of_member(part, seen) for name, part in sorted(vars(kind).items()) if _counts(name, part)}
    return [kind.__module__, kind.__qualname__, [_of_value(base, seen, set()) for base in kind.__bases__], parts]


def _counts(name: str, part: Any) -> bool:
    """Whether a member of a class does something; the others with two underscores describe it."""
    if isinstance(part, (GetSetDescriptorType, MemberDescriptorType)):
        return False
    return isinstance(part, FunctionType) or not (name.startswith("__") and name.endswith("__"))


def _of_member(part: Any, seen: set[object]) -> Any:
    if isinstance(part, property):
        return [_of_value(one, seen, set()) for one in (part.fget, part.fset, part.fdel)]
    if isinstance(part, cached_property):
        return _of_value(part.func, seen, set())
    if isinstance(part, (staticmethod, classmethod)):
        return _of_value(part.__func__, seen, set())
    return _of_value(part, seen, set())


def _as_number(value: Any) -> Any:
    """A page posts 5 where the REST API has 5.0; it is the same setting."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _as_number(part) for key, part in value.items()}
    return [_as_number(part) for part in value] if isinstance(value, list) else value
