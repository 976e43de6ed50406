"""The folder of a test pack as it is written by hand: ``pack.toml`` and the procedures beside it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ..config.options import shown
from ..config.sources import from_file
from ..errors import ConfigError
from . import fields as known

FILE_NAME = "pack.toml"

META = ("version", "datetime", "description", "contact", "name", "id")  # in the order of QATrack+'s own packs
_TABLES = ("categories", "lists", "tests")
_KEYS: Mapping[str, tuple[str, ...]] = {
    "categories": tuple(known.FIELDS[known.CATEGORY]),
    "lists": (*known.FIELDS[known.TEST_LIST], "tests", "sublists"),
    "tests": tuple(name for name in known.FIELDS[known.TEST] if name != "calculation_procedure"),
}
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "categories": ("name", "slug"),
    "lists": ("name", "slug", "tests"),
    "tests": ("slug", "name", "type", "category"),
}
_MODEL = {"categories": known.CATEGORY, "lists": known.TEST_LIST, "tests": known.TEST}


@dataclass
class Source:
    """What a folder says, each value known to be of the right sort; placeholders are not filled in yet."""

    folder: Path
    meta: dict[str, str] = field(default_factory=dict)
    variants: dict[str, list[str]] = field(default_factory=dict)
    categories: list[dict[str, Any]] = field(default_factory=list)
    lists: list[dict[str, Any]] = field(default_factory=list)
    tests: list[dict[str, Any]] = field(default_factory=list)

    def wrong(self, says: str) -> ConfigError:
        """A mistake in ``pack.toml``."""
        return ConfigError(f"{self.folder / FILE_NAME}: {says}")


def read(folder: Path) -> Source:
    """Everything of a folder; ConfigError with the place for the first mistake."""
    if not (folder / FILE_NAME).is_file():
        raise ConfigError(f"{folder} has no {FILE_NAME}, so it is no test pack. Name the folder of one.")
    source = Source(folder)
    values = from_file(folder / FILE_NAME)
    _only(source, "the file", values, ("pack", "variants", *_TABLES))
    source.meta = _meta(source, values.get("pack"))
    source.variants = _variants(source, values.get("variants", {}))
    source.categories, source.lists, source.tests = (_rows(source, values, table) for table in _TABLES)
    _with_procedures(source)
    return source


def _only(source: Source, place: str, given: Mapping[str, Any], keys: Iterable[str]) -> None:
    for key in given:
        if key not in keys:
            raise source.wrong(f"{place} has the unknown key {shown(key)}; expected {', '.join(keys)}.")


def _meta(source: Source, given: Any) -> dict[str, str]:
    if not isinstance(given, dict):
        raise source.wrong("the table [pack] is missing; it says name, description, contact, id, datetime and version.")
    _only(source, "[pack]", given, META)
    for key in META:
        if not isinstance(given.get(key), str) or not given[key].strip():
            raise source.wrong(f"[pack] has no {key}; write it as a text in quotes.")
    try:
        uuid.UUID(given["id"])
    except ValueError:
        raise source.wrong(f"the id {shown(given['id'])} in [pack] is not a UUID; make one and keep it.") from None
    try:
        datetime.fromisoformat(given["datetime"])
    except ValueError:
        raise source.wrong(
            f"the datetime {shown(given['datetime'])} in [pack] is not a time; write it as 2026-11-21 12:00:00+00:00."
        ) from None
    return {key: given[key] for key in META}


def _variants(source: Source, given: Any) -> dict[str, list[str]]:
    if not isinstance(given, dict):
        raise source.wrong('[variants] is not a table; write energy = ["6X", "10X"] below it.')
    for name, values in given.items():
        good = isinstance(values, list) and values and all(isinstance(value, str) and value for value in values)
        if not good or len(set(values)) < len(values) or not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name):
            raise source.wrong(f'{name} in [variants] is not a name with its different texts; write ["6X", "10X"].')
    return given


def _rows(source: Source, values: Mapping[str, Any], table: str) -> list[dict[str, Any]]:
    """The rows of ``[[tests]]`` and the like, each field of the sort that QATrack+ takes."""
    rows = values.get(table)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise source.wrong(f"there is no [[{table}]]; a pack has at least one.")
    for number, row in enumerate(rows, start=1):
        place = place_of(table, row, number)
        _only(source, place, row, _KEYS[table])
        for key in _REQUIRED[table]:
            if row.get(key) in (None, "", []):
                raise source.wrong(f"{place} has no {key}; write one.")
        for key, value in row.items():
            says = _wrong_value(table, key, value)
            if says:
                raise source.wrong(f"{key} of {place} {says}.")
    return rows


def place_of(table: str, row: Mapping[str, Any], number: int = 0) -> str:
    """How a message names a row: by its slug, else by its place in the file."""
    noun = {"categories": "category", "lists": "list", "tests": "test"}[table]
    slug = row.get("slug")
    return f"the {noun} {slug}" if isinstance(slug, str) and slug else f"{noun} number {number}"


def _wrong_value(table: str, key: str, value: Any) -> str:
    if key in ("tests", "sublists"):
        good = isinstance(value, list) and all(isinstance(part, str) for part in value)
        return "" if good else 'is not a list of slugs, as in ["go", "wl"]'
    return known.value_problem(known.FIELDS[_MODEL[table]][key], value) or ""


def _with_procedures(source: Source) -> None:
    """Give each test the text of the file that has its slug for a name."""
    files = {path.stem: path for path in sorted(source.folder.glob("*.py"))}
    seen: set[str] = set()
    for row in source.tests:
        slug = row["slug"]
        if slug in seen:
            raise source.wrong(f"two tests have the slug {slug}; a slug is the name of one test and one file.")
        seen.add(slug)
        if row["type"] not in known.TYPES:
            raise source.wrong(
                f"the test {slug} has the unknown type {shown(row['type'])}; expected {', '.join(known.TYPES)}."
            )
        row["calculation_procedure"] = _text(files[slug]) if slug in files else ""
        if not row["calculation_procedure"].strip() and row["type"] in known.CALCULATED_TYPES:
            raise source.wrong(f"the test {slug} is calculated ({row['type']}) and has no procedure; write {slug}.py.")
    for name, path in files.items():
        if name not in seen:
            raise source.wrong(
                f"no test has the slug {name}, for which there is {path.name}; add the test or delete it."
            )


def _text(path: Path) -> str:
    """A procedure as QATrack+ shows it: one line break at its end, none from Windows."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: it is not UTF-8 text; save it as UTF-8.") from None
    return text.strip("\n") + "\n" if text.strip() else ""
