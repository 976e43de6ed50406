"""The house rules: what an import costs, which room may import which, and what library code never does."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import qa_fetch

ROOT = Path(qa_fetch.__file__).resolve().parent
FILES = sorted(ROOT.rglob("*.py"))

FLOORS = {
    "errors": 0,
    "amounts": 0,
    "page": 0,
    "budget": 0,
    "config": 1,
    "kinds": 1,
    "matching": 1,
    "part10": 1,
    "sheet": 1,
    "locks": 1,
    "shelf": 2,
    "pinnacle": 2,
    "backends": 3,
    "bulk": 3,
    "anonymise": 4,
    "archive": 4,
    "composite": 5,
    "testpack": 6,
    "batch": 6,
    "migrate": 6,
    "cohort": 6,
    "node": 6,
    "demo": 7,
    "receive": 6,
    "qatrack": 8,
    "compat": 8,
    "cli": 9,
}
# Foreign packages and the only rooms that may import them.
KEPT_TO = {
    "pynetdicom": {"backends", "node"},
    "django": {"node", "qatrack"},
    "rich": {"cli"},
    "nibabel": {"cohort"},
    "matplotlib": {"cohort", "demo"},
    "pymedphys": {"pinnacle"},
    "distributed": {"bulk"},
    "pylinac": {"demo"},
    "yaml": {"node"},
    "waitress": {"node"},
    "psycopg": {"node"},
}


def room_of(file: Path) -> str:
    """The top-level module or package that a file belongs to; "" for the package's own ``__init__``."""
    first = file.relative_to(ROOT).parts[0]
    return "" if first in ("__init__.py", "__main__.py") else first.removesuffix(".py")


def modules_imported(file: Path, text: str | None = None) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything that a file imports, wherever in the file it does so."""
    package = ("qa_fetch", *file.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8") if text is None else text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{source}.{alias.name}"


def faults_in(file: Path, text: str | None = None) -> list[str]:
    """Every import of a file that breaks the rule of the floors, or that belongs into other rooms."""
    own, found = room_of(file), []
    for line, name in modules_imported(file, text):
        first, *rest = name.split(".")
        where = f"{file.relative_to(ROOT)}:{line}"
        if first in KEPT_TO and own not in KEPT_TO[first]:
            found.append(f"{where} imports {first}, which belongs into {' and '.join(sorted(KEPT_TO[first]))}")
        if first != "qa_fetch" or not own:
            continue
        room = qa_fetch._HOMES.get(rest[0], rest[0]) if rest else "archive"
        if room in FLOORS and room != own and FLOORS[room] >= FLOORS.get(own, 0):
            found.append(f"{where} imports {room} (floor {FLOORS[room]}) on floor {FLOORS.get(own)}")
    return found


def in_fresh_python(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, cwd=ROOT.parent
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# What an import costs


def test_importing_the_package_loads_nothing_heavy():
    """A host pays for what it uses, when it uses it."""
    heavy = ("pynetdicom", "pydicom", "django", "numpy", "pylinac", "rich", "matplotlib")
    assert in_fresh_python(f"import sys, qa_fetch; print([name for name in {heavy} if name in sys.modules])") == "[]\n"


def test_asking_for_an_error_loads_nothing_heavy_either():
    """``except qa_fetch.Ambiguous`` in a host must not drag DICOM in."""
    code = "import sys, qa_fetch; qa_fetch.Ambiguous; print({'pydicom', 'qa_fetch.archive'} & set(sys.modules))"
    assert in_fresh_python(code) == "set()\n"


def test_the_public_names_are_few_and_each_is_something():
    """At most twelve, no doubles, and every one resolves."""
    names = qa_fetch.__all__
    assert len(set(names)) == len(names) <= 12
    assert {"Archive", "Images", "Plan", "QAFetchError"} <= set(names)
    assert [name for name in names if not isinstance(getattr(qa_fetch, name), type)] == []
    assert set(names) <= set(dir(qa_fetch))


def test_every_error_of_the_tree_is_public():
    """A host can catch each by its name."""
    from qa_fetch import errors

    tree = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert tree <= set(qa_fetch.__all__)


def test_a_name_that_does_not_exist_is_an_attribute_error():
    """hasattr and star imports rely on it."""
    with pytest.raises(AttributeError) as caught:
        qa_fetch.Nothing  # noqa: B018
    assert str(caught.value) == "module 'qa_fetch' has no attribute 'Nothing'"


def test_star_import_gives_exactly_the_public_names():
    """Nothing leaks from the package's own namespace."""
    found = in_fresh_python("from qa_fetch import *; print(*sorted(name for name in dir() if name[0] != '_'))")
    assert found.split() == sorted(qa_fetch.__all__)


# Floors


def test_every_room_has_a_floor():
    """A new room must be placed before it is built."""
    rooms = {room_of(file) for file in FILES} - {""}
    assert rooms - set(FLOORS) == set()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_room_imports_only_from_floors_below_its_own(file):
    """And foreign packages only where they have their room; the package's own ``__init__`` imports by name."""
    assert faults_in(file) == []


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("locks.py", "from .shelf import Shelf", "locks.py:1 imports shelf (floor 2) on floor 1"),
        ("locks.py", "from . import kinds", "locks.py:1 imports kinds (floor 1) on floor 1"),
        ("locks.py", "import qa_fetch.part10", "locks.py:1 imports part10 (floor 1) on floor 1"),
        ("backends/x.py", "from qa_fetch import Archive", "backends/x.py:1 imports archive (floor 4) on floor 3"),
        ("backends/x.py", "def f():\n  from ..node.web import x", "backends/x.py:2 imports node (floor 6) on floor 3"),
        ("backends/a/b.py", "from ...cli import x", "backends/a/b.py:1 imports cli (floor 9) on floor 3"),
        ("bulk.py", "import pynetdicom.ae", "bulk.py:1 imports pynetdicom, which belongs into backends and node"),
        ("cohort/x.py", "from rich.table import Table", "cohort/x.py:1 imports rich, which belongs into cli"),
        ("backends/x.py", "from .levels import a\nfrom ..shelf.store import b\nfrom .. import errors", None),
        ("node/x.py", "import pynetdicom, django.db", None),
        ("cli/x.py", "from .. import __version__\nfrom ..node import x\nfrom rich import y", None),
    ],
)  # fmt: skip
def test_the_rule_of_the_floors_sees_every_way_to_import(file, text, fault):
    """The test above is worth something only if it finds what it looks for."""
    assert faults_in(ROOT / file, text) == ([fault] if fault else [])


# What library code never does


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name))


def is_broad(handler: ast.ExceptHandler) -> bool:
    """Whether a handler catches everything and does not raise it again."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {kind.id for kind in kinds if isinstance(kind, ast.Name)}
    last = handler.body[-1]
    raised_again = isinstance(last, ast.Raise) and last.exc is None
    return (handler.type is None or bool(names & {"Exception", "BaseException"})) and not raised_again


def manners(file: Path, text: str | None = None) -> list[str]:
    """What a file does that library code does not."""
    tree = ast.parse(file.read_text(encoding="utf-8") if text is None else text)
    in_cli = room_of(file) == "cli"
    found = [
        f"line {call.lineno}: {call.func.id}("
        for call in calls(tree)
        if call.func.id in ("eval", "exec") or (call.func.id == "print" and not in_cli)
    ]
    found += [
        f"line {node.lineno}: broad except"
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and is_broad(node) and not in_cli
    ]
    found += [
        f"line {node.lineno}: suppress({ast.unparse(node.args[0])})"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and re.search(r"\bsuppress$", ast.unparse(node.func))
        and node.args
        and ast.unparse(node.args[0]) in ("Exception", "BaseException")
    ]
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_library_code_does_not_print_swallow_or_evaluate(file):
    """print and a last-resort except belong to the command line; eval and exec belong nowhere."""
    assert manners(file) == []


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("locks.py", "print(1)", "line 1: print("),
        ("cli/x.py", "print(1)", None),
        ("cli/x.py", "eval('1')", "line 1: eval("),
        ("locks.py", "try:\n  pass\nexcept:\n  pass", "line 3: broad except"),
        ("locks.py", "try:\n  pass\nexcept (OSError, Exception):\n  pass", "line 3: broad except"),
        ("locks.py", "try:\n  pass\nexcept BaseException:\n  x = 1\n  raise", None),
        ("locks.py", "try:\n  pass\nexcept OSError:\n  pass", None),
        ("locks.py", "with contextlib.suppress(Exception):\n  pass", "line 1: suppress(Exception)"),
        ("locks.py", "self.print(1)", None),
    ],
)
def test_the_rules_of_manners_see_what_they_look_for(file, text, fault):
    """The test above is worth something only if it finds what it looks for."""
    assert manners(ROOT / file, text) == ([fault] if fault else [])


def test_no_module_is_a_drawer_for_everything():
    """A name that says nothing collects everything."""
    drawers = {"utils", "util", "helpers", "helper", "common", "misc"}
    named = {part.removesuffix(".py") for file in FILES for part in file.relative_to(ROOT).parts}
    assert named & drawers == set()


def test_no_file_has_more_than_400_lines():
    """A file that grows past it has more than one purpose."""
    lengths = {file.relative_to(ROOT).as_posix(): len(file.read_text(encoding="utf-8").splitlines()) for file in FILES}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_every_module_says_what_it_is_for():
    """The first line of every file is a docstring; an empty ``__init__`` may stay empty."""
    texts = {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in FILES}
    silent = [name for name, text in texts.items() if text.strip() and not ast.get_docstring(ast.parse(text))]
    assert [name for name in silent if "migrations/" not in name] == []
