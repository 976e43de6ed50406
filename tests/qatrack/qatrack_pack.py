"""Test lists, and the import of test packs as QATrack+ does it: what it refuses, and what it takes unseen."""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Optional, Union

COMPOSITE_TYPES = ("composite", "scomposite")
CALCULATED_TYPES = (*COMPOSITE_TYPES, "upload")
NUMERICAL_TYPES = ("composite", "constant", "simple", "wraparound")
STRING_TYPES = ("string", "scomposite", "multchoice")
DATE_TYPES = ("date", "datetime")
WITHOUT_SKIP_BOX = ("composite", "scomposite", "constant")


class ImportRefused(Exception):
    """QATrack+ would say "Sorry, but an error occurred when trying to import your TestPack" and add nothing."""


@dataclass
class QaTest:
    """One test of a list, with QATrack+'s names for its fields."""

    id: int
    name: str
    slug: str
    type: str
    category: str
    display_name: str = ""
    description: Optional[str] = None
    calculation_procedure: Optional[str] = None
    formatting: str = ""
    choices: Optional[str] = None
    constant_value: Optional[float] = None
    wrap_low: Optional[float] = None
    wrap_high: Optional[float] = None
    hidden: bool = False
    skip_without_comment: bool = False
    require_comment: bool = False


@dataclass
class TestList:
    """One test list with its tests and sublists."""

    __test__: ClassVar[bool] = False  # not for pytest

    id: int
    name: str
    slug: str
    description: Optional[str] = None
    members: list[tuple[int, Union[QaTest, TestList]]] = field(default_factory=list)

    def tests(self) -> list[QaTest]:
        """Return the tests in the order of the page, those of sublists included."""
        found: list[QaTest] = []
        for _, member in sorted(self.members, key=lambda pair: pair[0]):
            found += [member] if isinstance(member, QaTest) else member.tests()
        return found


@dataclass
class Database:
    """What is in QATrack+ already; an import adds to it, wholly or not at all."""

    categories: dict[str, str] = field(default_factory=dict)  # name: slug
    tests: dict[str, QaTest] = field(default_factory=dict)  # by name
    lists: dict[str, TestList] = field(default_factory=dict)  # by slug


@dataclass(frozen=True)
class _Column:
    """What the database demands of one field."""

    kind: str = "text"
    default: Any = ""
    null: bool = False
    longest: Optional[int] = None

    def read(self, name: str, fields: dict[str, Any]) -> Any:
        """Return the value to be stored, or raise ValueError or TypeError as Django or the database would."""
        value = fields.get(name, self.default)
        if value is None:
            if self.null:
                return None
            raise ValueError(f"NOT NULL constraint failed: {name}")
        if self.kind == "flag":
            if value not in (True, False, "t", "True", "1", "f", "False", "0"):
                raise ValueError(f"{name}: {value!r} must be either True or False")
            return value in (True, "t", "True", "1")
        if self.kind != "text":
            return float(value) if self.kind == "number" else int(value)
        if self.longest and len(str(value)) > self.longest:
            raise ValueError(f"{name}: value too long for type character varying({self.longest})")
        return str(value)


_OPTIONAL = _Column(default=None, null=True)
_NUMBER, _FLAG, _WHOLE = _Column("number", None, null=True), _Column("flag", False), _Column("whole", None)
_NAME = _Column(longest=255)
_TEST = {
    "name": _NAME,
    "display_name": _NAME,
    "slug": _Column(longest=128),
    "description": _OPTIONAL,
    "procedure": _Column(default=None, null=True, longest=512),
    "chart_visibility": _Column("flag", True),
    "type": _Column(default="simple", longest=10),
    "flag_when": _Column("flag", None, null=True),
    "hidden": _FLAG,
    "skip_without_comment": _FLAG,
    "require_comment": _FLAG,
    "display_image": _FLAG,
    "choices": _Column(default=None, null=True, longest=2048),
    "constant_value": _NUMBER,
    "wrap_low": _NUMBER,
    "wrap_high": _NUMBER,
    "calculation_procedure": _OPTIONAL,
    "formatting": _Column(longest=10),
}
_LIST = {
    "name": _NAME,
    "slug": _NAME,
    "description": _OPTIONAL,
    "javascript": _OPTIONAL,
    "warning_message": _Column(default="Do not treat", longest=255),
}
_CATEGORY = {"name": _NAME, "slug": _NAME, "description": _Column()}


def load(pack: Union[str, Path], database: Optional[Database] = None) -> dict[str, TestList]:
    """Import a test pack and return its lists by the slugs they got.

    Parameters
    ----------
    pack
        The path of a ``.tpk`` or, as a ``str``, its text.
    database
        What is there already; empty unless given. Names and slugs that it has get a number.
    """
    database = Database() if database is None else database
    attempt = copy.deepcopy(database)
    try:
        text = pack.read_text(encoding="utf-8") if isinstance(pack, Path) else pack
        added = _add(json.loads(text), attempt)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ImportRefused(f"{type(error).__name__}: {error}") from error
    vars(database).update(vars(attempt))
    return {slug: database.lists[slug] for slug in added}


def _add(pack: Any, database: Database) -> Iterable[str]:
    if not isinstance(pack["meta"]["version"], str):
        raise TypeError("the import page reads meta.version before anything else")
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for part in ("tests", "testlists", "testlistcycles"):
        for entry in pack["objects"][part]:
            data = json.loads(entry)
            for item in (data["object"], *data["dependencies"]):
                found[item["model"]].append(item["fields"])
    if found["qa.testlistcycle"]:
        raise NotImplementedError("this stand-in imports no test list cycles")
    test_names = _free_names(found["qa.test"], "name", database.tests)
    list_slugs = _free_names(found["qa.testlist"], "slug", database.lists)
    in_pack = _add_categories(found["qa.category"], database)
    for fields in _first_of_each(found["qa.test"], "name"):
        _add_test(fields, test_names[fields["name"]], in_pack, database)
    for fields in _first_of_each(found["qa.testlist"], "slug"):
        values = {name: column.read(name, fields) for name, column in _LIST.items()}
        slug = list_slugs[fields["slug"]]
        _unique(slug, database.lists)
        database.lists[slug] = TestList(len(database.lists) + 1, values["name"], slug, values["description"])
    lists = {old: database.lists[new] for old, new in list_slugs.items()}
    tests = {old: database.tests[new] for old, new in test_names.items()}
    _add_members(found["qa.sublist"], ("parent", lists), ("child", lists))
    _add_members(found["qa.testlistmembership"], ("test_list", lists), ("test", tests))
    return list_slugs.values()


def _free_names(objects: list[dict[str, Any]], key: str, taken: dict[str, Any]) -> dict[str, str]:
    """Return what each name of the pack becomes, so that it differs from those in the database."""
    names = {}
    for fields in objects:
        name, number = fields[key], 0
        while name in taken:
            number += 1
            name = f"{fields[key]}-{number}"
        names[fields[key]] = name
    return names


def _first_of_each(objects: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """Return each object once; a test of several lists is in the pack several times."""
    found: dict[str, dict[str, Any]] = {}
    for fields in objects:
        found.setdefault(fields[key], fields)
    return list(found.values())


def _unique(value: str, taken: Iterable[str]) -> None:
    if value in taken:
        raise ValueError(f"UNIQUE constraint failed: {value}")


def _add_categories(objects: list[dict[str, Any]], database: Database) -> set[str]:
    """Add the categories that are new, and return all those the pack brings: its tests can have no others."""
    for fields in objects:
        if fields["name"] in database.categories:
            continue
        unknown = set(fields) - {*_CATEGORY, "id", "parent", "parent_id", "lft", "rght", "tree_id", "level"}
        if unknown:
            raise TypeError(f"Category() got an unexpected keyword argument {min(unknown)!r}")
        if fields.get("parent") is not None:
            raise ValueError('"Category.parent" must be a "Category" instance')
        values = {name: column.read(name, fields) for name, column in _CATEGORY.items()}
        _unique(values["slug"], database.categories.values())
        database.categories[values["name"]] = values["slug"]
    return {fields["name"] for fields in objects}


def _add_test(fields: dict[str, Any], name: str, in_pack: set[str], database: Database) -> None:
    (category,) = tuple(fields["category"])
    if category not in in_pack:
        raise KeyError(category)
    if fields.get("autoreviewruleset") is not None:
        raise ValueError('"Test.autoreviewruleset" must be a "AutoReviewRuleSet" instance')
    values = {column: rule.read(column, {**fields, "name": name}) for column, rule in _TEST.items()}
    _unique(name, database.tests)
    known = {column: value for column, value in values.items() if column in QaTest.__dataclass_fields__}
    database.tests[name] = QaTest(id=len(database.tests) + 1, category=category, **known)


def _add_members(
    objects: list[dict[str, Any]], whole: tuple[str, dict[str, TestList]], part: tuple[str, dict[str, Any]]
) -> None:
    """Put tests or sublists into lists; both must be in the pack."""
    seen: list[dict[str, Any]] = []
    pairs = set()
    for fields in objects:
        (slug,), (name,) = tuple(fields[whole[0]]), tuple(fields[part[0]])
        target, member = whole[1][slug], part[1][name]
        if fields in seen:
            continue
        seen.append(fields)
        order = _WHOLE.read("order", fields)
        if (slug, name) in pairs:
            raise ValueError(f"UNIQUE constraint failed: {slug}, {name}")
        pairs.add((slug, name))
        target.members.append((order, member))
