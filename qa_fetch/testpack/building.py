"""A pack's folder made into the ``.tpk`` that QATrack+ imports."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Optional, Union

from . import fields as known
from .source import read
from .variants import Expanded, expand

Pathlike = Union[str, Path]


def build(folder: Pathlike) -> str:
    """The text of the ``.tpk`` of a folder; the same folder gives the same text, to the byte.

    Raises
    ------
    ConfigError
        With the file, the place and what is expected there.
    """
    source = read(Path(folder))
    made = expand(source)
    entries = [json.dumps(_entry(made, row)) for row in made.lists]
    pack = {"meta": source.meta, "objects": {"tests": [], "testlists": entries, "testlistcycles": []}}
    return json.dumps(pack, indent=2) + "\n"


def write(folder: Pathlike, to: Optional[Pathlike] = None) -> Path:
    """Build a folder into a file, by default the one beside it that has its name."""
    file = file_of(folder, to)
    file.write_bytes(build(folder).encode("ascii"))
    return file


def current(folder: Pathlike, tpk: Optional[Pathlike] = None) -> bool:
    """Whether a built pack is what its folder would give now."""
    file = file_of(folder, tpk)
    # Read as text: git may have given it the line ends of Windows.
    return file.is_file() and file.read_text(encoding="utf-8", errors="replace") == build(folder)


def file_of(folder: Pathlike, named: Optional[Pathlike] = None) -> Path:
    """Where a folder's pack belongs: beside it, unless a file is named."""
    if named is not None:
        return Path(named)
    whole = Path(folder).absolute()
    return whole.with_name(f"{whole.name}.tpk")


def _entry(made: Expanded, row: Mapping[str, Any]) -> dict[str, Any]:
    """One test list with everything that it needs, so that it can be imported alone."""
    below = [made.list_of(slug) for slug in row["sublists"]]
    tests = _each_once(test for part in (row, *below) for test in part["tests"])
    categories = _each_once(made.tests[name]["category"] for name in tests)
    dependencies = [
        *(_object(known.CATEGORY, made.categories[name]) for name in categories),
        *(_object(known.TEST, {**made.tests[name], "category": [made.tests[name]["category"]]}) for name in tests),
        *(membership for part in (row, *below) for membership in _memberships(part)),
        *(_object(known.TEST_LIST, part) for part in below),
        *(_sublist(row, part, len(row["tests"]) + place) for place, part in enumerate(below)),
    ]
    return {"key": [row["slug"]], "object": _object(known.TEST_LIST, row), "dependencies": dependencies}


def _each_once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _object(model: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every field that the model has: one that is absent could be null in some version of QATrack+."""
    return {"model": model, "fields": {name: given.get(name, at.default) for name, at in known.FIELDS[model].items()}}


def _memberships(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"model": known.MEMBERSHIP, "fields": {"test_list": [row["slug"]], "test": [name], "order": order}}
        for order, name in enumerate(row["tests"])
    ]


def _sublist(parent: Mapping[str, Any], child: Mapping[str, Any], order: int) -> dict[str, Any]:
    fields = {"parent": [parent["slug"]], "child": [child["slug"]], "outline": False, "order": order}
    return {"model": known.SUBLIST, "fields": fields}
