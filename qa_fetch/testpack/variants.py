"""Placeholders filled in: each list and test whose name holds ``@energy@`` is made once per value."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..config.options import shown
from . import fields as known
from .source import Source, place_of

_PLACEHOLDER = re.compile("@([A-Za-z][A-Za-z0-9_]*)@")
_LIST_SLUG = re.compile("[-a-z0-9_]+")


@dataclass
class Expanded:
    """Everything that a pack holds, by the names that QATrack+ tells it apart by; ``tests`` of a list are names."""

    categories: dict[str, dict[str, Any]] = field(default_factory=dict)
    tests: dict[str, dict[str, Any]] = field(default_factory=dict)
    lists: list[dict[str, Any]] = field(default_factory=list)

    def list_of(self, slug: str) -> dict[str, Any]:
        """The list with a slug that is known to be there."""
        return next(row for row in self.lists if row["slug"] == slug)


def expand(source: Source) -> Expanded:
    """The pack with every variant of its categories, tests and lists."""
    made = Expanded()
    definitions = {row["slug"]: row for row in source.tests}
    for row in source.categories:
        for values in _bindings(source, "categories", row):
            _add(source, made.categories, _filled(source, "categories", row, values))
    for row in source.lists:
        for values in _bindings(source, "lists", row):
            _add_list(source, made, row, values, definitions)
    _check_slugs(source, made)
    _check_sublists(source, made)
    _check_use(source, made)
    return made


def _bindings(source: Source, table: str, row: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Each combination of the values of the placeholders in a row's name; one empty one where there is none."""
    names = list(dict.fromkeys(_PLACEHOLDER.findall(row["name"])))
    for name in names:
        if name not in source.variants:
            raise source.wrong(
                f"the name of {place_of(table, row)} holds @{name}@, which [variants] does not list; list its values."
            )
    for values in itertools.product(*(source.variants[name] for name in names)):
        yield dict(zip(names, values))


def _filled(source: Source, table: str, row: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """A row with its placeholders replaced; one that its name does not hold would mean nothing."""
    values = {name: values[name] for name in _PLACEHOLDER.findall(row["name"])}

    def replace(key: str, text: str) -> str:
        for name in _PLACEHOLDER.findall(text):
            if name not in values:
                what = "procedure" if key == "calculation_procedure" else key
                raise source.wrong(
                    f"the {what} of {place_of(table, row)} holds @{name}@, which its name does not; write it there too."
                )
        return _PLACEHOLDER.sub(lambda match: values[match.group(1)], text)

    made = {key: replace(key, value) if isinstance(value, str) else value for key, value in row.items()}
    for key, at in known.FIELDS[_MODEL[table]].items():
        says = known.value_problem(at, made[key]) if made.get(key) is not None else None
        if says:
            raise source.wrong(f"{key} of {place_of(table, made)} {says}.")
    return made


_MODEL = {"categories": known.CATEGORY, "lists": known.TEST_LIST, "tests": known.TEST}


def _add(source: Source, to: dict[str, dict[str, Any]], row: dict[str, Any], what: str = "categories") -> None:
    """One more row, which may be there already only if it is the same in every field."""
    if to.setdefault(row["name"], row) != row:
        raise source.wrong(
            f"two {what} have the name {shown(row['name'])}; QATrack+ tells them apart by it, so give one another."
        )


def _add_list(
    source: Source,
    made: Expanded,
    row: Mapping[str, Any],
    values: Mapping[str, str],
    definitions: Mapping[str, dict[str, Any]],
) -> None:
    whole = _filled(source, "lists", row, values)
    whole["slug"] = whole["slug"].lower()
    place = place_of("lists", whole)
    if not _LIST_SLUG.fullmatch(whole["slug"]):
        raise source.wrong(
            f"the slug of {place} holds more than letters, digits, - and _; it becomes part of an address."
        )
    if any(other["slug"] == whole["slug"] for other in made.lists):
        raise source.wrong(f"two lists have the slug {whole['slug']}; placeholders of a name belong into the slug too.")
    tests = []
    for slug in row["tests"]:
        if slug not in definitions:
            raise source.wrong(f"{place} names {shown(slug)}, and no test has this slug; correct it or add the test.")
        for name in _PLACEHOLDER.findall(definitions[slug]["name"]):
            if name not in values:
                raise source.wrong(
                    f"{place} has the test {slug}, whose name holds @{name}@; put it into the name of the list too."
                )
        test = _filled(source, "tests", definitions[slug], values)
        _add(source, made.tests, test, "tests")
        tests.append(test["name"])
    if len(set(tests)) < len(tests):
        raise source.wrong(f"{place} names a test twice; QATrack+ takes it once.")
    whole["tests"] = tests
    whole["sublists"] = [_sub(slug, values).lower() for slug in row.get("sublists", [])]
    made.lists.append(whole)


def _sub(slug: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values.get(match.group(1), match.group(0)), slug)


def _check_slugs(source: Source, made: Expanded) -> None:
    """Slugs that procedures can use, categories that exist, and what each type needs."""
    by_slug: dict[str, str] = {}
    for row in made.categories.values():
        if by_slug.setdefault(row["slug"], row["name"]) != row["name"]:
            raise source.wrong(f"two categories have the slug {row['slug']}; give one of them another.")
    for row in made.tests.values():
        place = place_of("tests", row)
        says = known.slug_problem(row["slug"])
        if says:
            raise source.wrong(f"the slug {shown(row['slug'])} {says}.")
        if row["category"] not in made.categories:
            raise source.wrong(
                f"{place} is of the category {shown(row['category'])}, which no [[categories]] has; add it."
            )
        for name in known.missing_for_type(row):
            raise source.wrong(f"{place} has no {name}, which a test of the type {row['type']} needs; write one.")


def _check_sublists(source: Source, made: Expanded) -> None:
    slugs = {row["slug"]: row for row in made.lists}
    for row in made.lists:
        place = place_of("lists", row)
        for slug in row["sublists"]:
            if slug not in slugs:
                raise source.wrong(f"{place} has the sublist {shown(slug)}, and no list has this slug; correct it.")
            if slugs[slug]["sublists"] or slug == row["slug"]:
                raise source.wrong(
                    f"{place} has the sublist {slug}, which has sublists itself; QATrack+ takes one level."
                )
        names = [name for part in (row, *(slugs[slug] for slug in row["sublists"])) for name in part["tests"]]
        used = [made.tests[name]["slug"] for name in names]
        double = next((slug for slug in used if used.count(slug) > 1), None)
        if double:
            raise source.wrong(f"{place} has two tests with the slug {double}, sublists included; rename one of them.")


def _check_use(source: Source, made: Expanded) -> None:
    """What no list has would vanish from the pack without a word."""
    listed = {slug for row in source.lists for slug in row["tests"]}
    for row in source.tests:
        if row["slug"] not in listed:
            raise source.wrong(f"no list has the test {row['slug']}; put it into one or delete it.")
    used = {row["category"] for row in made.tests.values()}
    for name in made.categories:
        if name not in used:
            raise source.wrong(f"no test is of the category {shown(name)}; delete it.")
