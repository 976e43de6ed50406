"""What QATrack+'s import does with a pack: everything that makes it fail, or drop something without a word."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

from ..config.options import shown
from . import fields as known
from .finding import Finding, error, warning

SECTIONS: Mapping[str, str] = {"tests": known.TEST, "testlists": known.TEST_LIST, "testlistcycles": known.CYCLE}
_KEY_OF = {known.CATEGORY: "name", known.TEST: "name", known.TEST_LIST: "slug", known.CYCLE: "slug"}
_NOUN = {known.CATEGORY: "category", known.TEST: "test", known.TEST_LIST: "list", known.CYCLE: "cycle"}
_PLURAL = {known.CATEGORY: "categories", known.TEST: "tests", known.TEST_LIST: "lists", known.CYCLE: "cycles"}
_LINKS: Mapping[str, tuple[tuple[str, str], tuple[str, str]]] = {
    known.MEMBERSHIP: (("test_list", known.TEST_LIST), ("test", known.TEST)),
    known.SUBLIST: (("parent", known.TEST_LIST), ("child", known.TEST_LIST)),
    known.CYCLE_MEMBERSHIP: (("cycle", known.CYCLE), ("test_list", known.TEST_LIST)),
}
_FAILS = "so the import fails"


class Object(NamedTuple):
    """One object of a pack: which entry it came with, what it is, its fields."""

    entry: str
    model: str
    fields: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The name by which QATrack+ tells it apart."""
        return str(self.fields.get(_KEY_OF.get(self.model, ""), ""))

    @property
    def place(self) -> str:
        """The entry and the object's own slug."""
        own = str(self.fields.get("slug") or self.key)
        return own if self.model in (known.TEST_LIST, known.CYCLE) or not self.entry else f"{self.entry} / {own}"


@dataclass(frozen=True)
class Link:
    """A membership with both of its ends found: the test of a list, or the list below another."""

    model: str
    parent: str
    child: str


class Contents:
    """All objects of a pack, as far as they can be read."""

    def __init__(self) -> None:
        self.objects: list[Object] = []
        self.links: list[Link] = []

    def of(self, model: str) -> dict[str, Object]:
        """The objects of a model by the name that QATrack+ tells them apart by; the first of each counts."""
        found: dict[str, Object] = {}
        for made in self.objects:
            if made.model == model:
                found.setdefault(made.key, made)
        return found


def contents(text: str, tell: Callable[[Finding], None]) -> Contents:
    """Read a pack and tell everything that is wrong with it before any procedure runs."""
    read = Contents()
    pack = _json(text)
    if not isinstance(pack, dict):
        tell(error("the file", "it is not a test pack, which is one JSON object. Export or build it again."))
        return read
    _check_meta(pack, tell)
    for name, text in _entries(pack, tell):
        _read_entry(read, name, text, tell)
    told: list[tuple[str, Mapping[str, Any]]] = []
    for made in read.objects:
        if (made.model, made.fields) not in told:  # a test comes along with each list that has it
            told.append((made.model, made.fields))
            _check_fields(made, tell)
    for model in _KEY_OF:
        _check_doubles(read, model, tell)
    _check_categories(read, tell)
    _check_links(read, tell)
    return read


def _json(text: str) -> Any:
    """What a browser's JSON.parse makes of it: it knows no NaN, which Python takes."""

    def refuse(name: str) -> Any:
        raise ValueError(name)

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return None


def _check_meta(pack: Mapping[str, Any], tell: Callable[[Finding], None]) -> None:
    meta = pack.get("meta")
    version = meta.get("version") if isinstance(meta, dict) else None
    if not isinstance(version, str) or not version:
        tell(error("meta / version", "it is missing, and the import page shows nothing without it. Write QATrack+'s."))


def _entries(pack: Mapping[str, Any], tell: Callable[[Finding], None]) -> Iterator[tuple[str, str]]:
    objects = pack.get("objects")
    objects = objects if isinstance(objects, dict) else {}
    if all(objects.get(section) == [] for section in SECTIONS):
        tell(error("objects", "it holds no test, no list and no cycle, so nothing is imported. Export the pack again."))
    for section in SECTIONS:
        entries = objects.get(section)
        if not isinstance(entries, list):
            tell(error(f"objects / {section}", f"it is missing, {_FAILS}. Write an empty list there."))
            continue
        for number, entry in enumerate(entries, start=1):
            if isinstance(entry, str):
                yield section, entry
            else:
                tell(
                    error(f"{section}, number {number}", f"it is not a string of JSON, {_FAILS}. Write it as a string.")
                )


def _read_entry(read: Contents, section: str, text: str, tell: Callable[[Finding], None]) -> None:
    entry = _json(text)
    place = f"one of objects / {section}"
    entry = entry if isinstance(entry, dict) else {}
    made = entry.get("object")
    if made is None or not _is_object(made):
        tell(error(place, f'it has no "object" with "model" and "fields", {_FAILS}. Export or build the pack again.'))
        return
    key, others = entry.get("key"), entry.get("dependencies")
    own = Object("", made["model"], made["fields"])
    place = own.key or place
    if own.model != SECTIONS[section]:
        tell(error(place, f"it is a {own.model} among the {section}, which gets lost. Move it where it belongs."))
    if not isinstance(key, list) or not isinstance(others, list) or not all(map(_is_object, others)):
        tell(error(place, f'its "key" or its "dependencies" are missing or no lists, {_FAILS}. Build the pack again.'))
        others = []
    name = own.key if own.model == known.TEST_LIST else ""
    read.objects.append(own._replace(entry=name))
    read.objects += [Object(name, other["model"], other["fields"]) for other in others]


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("model"), str) and isinstance(value.get("fields"), dict)


def _check_fields(made: Object, tell: Callable[[Finding], None]) -> None:
    """Nulls, sorts and lengths: nothing of it is validated by the import, some of it by the database."""
    if made.model not in known.FIELDS:
        if made.model not in _LINKS:
            tell(warning(made.entry, f"it holds an object of the unknown model {shown(made.model)}, which gets lost."))
        return
    table = known.FIELDS[made.model]
    needed = _KEY_OF[made.model]
    if not made.key:
        tell(error(made.place, f"a {_NOUN[made.model]} has no {needed}, {_FAILS}. Write one."))
    for name, value in made.fields.items():
        at = table.get(name)
        says = None
        if at is None:
            says = _stray(made, name, value)
        elif name != "category":
            says = _wrong(at, value)
        if says:
            tell(error(f"{made.place} / {name}", says))


def _wrong(at: known.Field, value: Any) -> Optional[str]:
    if value is None:
        return None if at.null else f"it is null, which QATrack+'s database does not take, {_FAILS}. Leave it out."
    says = known.value_problem(at, value)
    if says and at.limit is not None and isinstance(value, str):
        return f"it {says}, and most databases refuse the import. Shorten it."
    return f"it {says}, {_FAILS}. Correct it." if says else None


def _stray(made: Object, name: str, value: Any) -> Optional[str]:
    """What is wrong with a field that packs do not hold; those of tests and lists are left out without harm."""
    if made.model == known.CATEGORY and name not in ("tree_id", "lft", "rght", "level") and value is not None:
        return f"a category has no such field, {_FAILS}. Leave it out."
    if name == "autoreviewruleset" and value is not None:
        return f"a rule set for reviews is another one in every database, {_FAILS}. Leave it out."
    return None


def _check_doubles(read: Contents, model: str, tell: Callable[[Finding], None]) -> None:
    """The same object may come with several lists; of two different ones with one name, the second is dropped."""
    first = read.of(model)
    told = set()
    for made in read.objects:
        if made.model != model or made.key in told or made.fields == first[made.key].fields:
            continue
        told.add(made.key)
        says = f"two different {_PLURAL[model]} have the {_KEY_OF[model]} {shown(made.key)}, of which one gets lost."
        tell(error(made.place, f"{says} Rename one."))


def _check_categories(read: Contents, tell: Callable[[Finding], None]) -> None:
    categories = read.of(known.CATEGORY)
    slugs: dict[Any, str] = {}
    for name, made in categories.items():
        slug = str(made.fields.get("slug", ""))
        if slugs.setdefault(slug, name) != name:
            tell(error(f"{made.place} / slug", f"two categories have it, {_FAILS}. Give one of them another."))
    for test in read.of(known.TEST).values():
        category = _natural(test.fields.get("category"))
        place = f"{test.place} / category"
        if category is None:
            tell(error(place, f'it is not written as ["name of the category"], {_FAILS}. Correct it.'))
        elif category not in categories:
            says = f"the pack does not hold the category {shown(category)}, {_FAILS} even where the database has it."
            tell(error(place, f"{says} Add it to the dependencies."))


def _natural(value: Any) -> Optional[str]:
    return value[0] if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str) else None


def _check_links(read: Contents, tell: Callable[[Finding], None]) -> None:
    """Memberships: both ends in the pack, an order, and each pair once."""
    there = {model: read.of(model) for model in _KEY_OF}
    together = {(made.entry, made.model, made.key) for made in read.objects}
    orders: dict[Link, Any] = {}
    for made in read.objects:
        if made.model not in _LINKS:
            continue
        ends = [_end(made, name, model, there[model], tell) for name, model in _LINKS[made.model]]
        order = made.fields.get("order")
        if not isinstance(order, int) or isinstance(order, bool):
            tell(error(made.entry, f"a {made.model} has no order, {_FAILS}. Give each a number."))
        if ends[0] is None or ends[1] is None:
            continue
        if made.entry and (made.entry, known.TEST, ends[1]) not in together and made.model == known.MEMBERSHIP:
            says = f"the test {shown(ends[1])} comes with another list, so this one cannot be imported alone."
            tell(warning(made.entry, f"{says} Add the test to its dependencies."))
        link = Link(made.model, ends[0], ends[1])
        if orders.setdefault(link, order) != order:
            says = f"{shown(link.child)} is twice in {shown(link.parent)}, in different places, {_FAILS}."
            tell(error(made.entry, f"{says} Take one of them out."))
        elif link not in read.links:
            read.links.append(link)


def _end(
    made: Object, name: str, model: str, there: Mapping[str, Object], tell: Callable[[Finding], None]
) -> Optional[str]:
    """One end of a membership, if the pack holds it."""
    end = _natural(made.fields.get(name))
    if end is not None and end in there:
        return end
    known_by = f"the {_NOUN[model]} {shown(end)}" if end is not None else f"no {_NOUN[model]}"
    says = f"a {made.model} names {known_by}, which the pack does not hold, {_FAILS}."
    tell(error(made.entry, f"{says} Correct the {_KEY_OF[model]} or add the {_NOUN[model]}."))
    return None
