"""What is wrong with a test pack, ours or any other: what QATrack+ would reject, or accept and not do."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import Union

from ..config.options import shown
from ..errors import ConfigError
from . import fields as known
from .finding import Finding, error, warning
from .names import cyclic
from .procedures import Procedure, check_procedure
from .structure import Contents, Object, contents


def check(pack: Union[str, Path]) -> list[Finding]:
    """Everything that is wrong with a ``.tpk``, given as a path or as its text.

    Nothing of the pack is run. A finding of the severity "error" stops the import, or something that cannot work is
    imported; a "warning" works, and not as one would wish.
    """
    found: list[Finding] = []
    read = contents(_text(pack), found.append)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # an odd escape in somebody's procedure still runs
        warnings.simplefilter("ignore", DeprecationWarning)
        found += [*_empty(read), *_in_tests(read), *_in_lists(read)]
    return sorted(found, key=lambda finding: finding.severity)


def _text(pack: Union[str, Path]) -> str:
    if isinstance(pack, str) and pack.lstrip()[:1] in ("{", "["):
        return pack
    try:
        return Path(pack).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{pack} is not a test pack: it is not UTF-8 text. Name a .tpk file.") from None
    except OSError as problem:
        raise ConfigError(f"{pack} cannot be read: {problem.strerror}. Correct the path.") from None


def _empty(read: Contents) -> list[Finding]:
    """Lists and cycles that QATrack+ imports and nobody can perform."""
    cycled = {link.parent for link in read.links if link.model == known.CYCLE_MEMBERSHIP}
    lists = [made for slug, made in read.of(known.TEST_LIST).items() if not _tests_of(read, slug)]
    cycles = [made for slug, made in read.of(known.CYCLE).items() if slug not in cycled]
    return [
        *(error(made.place, f"it has no tests. Add a {known.MEMBERSHIP} for each of its tests.") for made in lists),
        *(
            error(made.place, f"it has no lists. Add a {known.CYCLE_MEMBERSHIP} for each of its lists.")
            for made in cycles
        ),
    ]


def _in_tests(read: Contents) -> list[Finding]:
    """What is wrong with a test wherever it is used."""
    found = []
    for test in read.of(known.TEST).values():
        kind, slug = test.fields.get("type", "simple"), test.fields.get("slug", "")
        if kind not in known.TYPES:
            says = f"QATrack+ imports the unknown type {shown(kind)} and cannot show the test."
            found.append(error(f"{test.place} / type", f"{says} Take one of {', '.join(known.TYPES)}."))
        problem = known.slug_problem(slug) if isinstance(slug, str) else None
        if problem:
            found.append(error(f"{test.place} / slug", f"{shown(slug)} {problem}."))
        for name in known.missing_for_type(test.fields):
            found.append(error(f"{test.place} / {name}", f"a test of the type {kind} needs it. Write one."))
        found += _formatting(test)
    return found


def _formatting(test: Object) -> list[Finding]:
    """QATrack+ formats numbers alone, and says nothing where it cannot."""
    given, limits = test.fields.get("formatting"), known.FIELDS[known.TEST]["formatting"]
    if test.fields.get("type") not in known.NUMERICAL_TYPES or not given or known.value_problem(limits, given):
        return []
    problem = known.formatting_problem(given)
    says = f"{shown(given)} {problem}. Write it like %.2f or {{:.2f}}."
    return [warning(f"{test.place} / formatting", says)] if problem else []


def _in_lists(read: Contents) -> list[Finding]:
    """What is wrong with the tests of a list together, those of its sublists included, and with each procedure."""
    found: list[Finding] = []
    tests, listed = read.of(known.TEST), set()
    told: set[tuple[str, ...]] = set()
    below = {link.child for link in read.links if link.model == known.SUBLIST}
    for slug in read.of(known.TEST_LIST):
        if slug in below:
            continue  # its procedures may use the tests of the list above it, with which they are looked at
        names = _tests_of(read, slug)
        listed.update(names)
        group = [_procedure(slug, tests[name]) for name in names]
        found += _shared_slugs(slug, group)
        for types in (known.COMPOSITE_TYPES, tuple(set(known.TYPES) - set(known.CALCULATED_TYPES))):
            found += _circles(slug, [procedure for procedure in group if procedure.kind in types])
        for procedure in group:
            for finding in _in_procedure(procedure, group):
                # A test that is in several lists is told of once, for the first of them.
                once = (procedure.given, finding.place[len(slug) :], finding.says)
                found += [finding] if once not in told else []
                told.add(once)
    for name in (name for name in tests if name not in listed):
        found += _in_procedure(_procedure("", tests[name]), [])
    return found


def _in_procedure(procedure: Procedure, group: list[Procedure]) -> list[Finding]:
    try:
        return list(check_procedure(procedure, group))
    except RecursionError:
        return [warning(procedure.place, "it is nested too deeply to be looked into. Make several lines of it.")]


def _tests_of(read: Contents, slug: str) -> list[str]:
    lists = [slug, *(link.child for link in read.links if link.model == known.SUBLIST and link.parent == slug)]
    links = [link for link in read.links if link.model == known.MEMBERSHIP and link.parent in lists]
    return list(dict.fromkeys(link.child for link in links))


def _procedure(list_slug: str, test: Object) -> Procedure:
    text = test.fields.get("calculation_procedure")
    slug = str(test.fields.get("slug", ""))
    place = f"{list_slug} / {slug}" if list_slug else slug
    return Procedure(place, slug, str(test.fields.get("type", "simple")), text if isinstance(text, str) else "")


def _shared_slugs(place: str, group: list[Procedure]) -> list[Finding]:
    counted = Counter(procedure.slug for procedure in group)
    says = "tests of this list have it, of which QATrack+ computes one. Rename the others."
    return [error(f"{place} / {slug}", f"{number} {says}") for slug, number in counted.items() if number > 1]


def _circles(place: str, group: list[Procedure]) -> list[Finding]:
    slugs = {procedure.slug for procedure in group}
    needs = {procedure.slug: (procedure.tokens & slugs) - {procedure.slug} for procedure in group}
    circle = sorted(cyclic(needs))
    if not circle:
        return []
    says = f"{', '.join(circle)} wait for each other, so QATrack+ computes none of them nor what needs them."
    return [
        error(place, f"{says} Take out one name; also a variable or an argument that is called like a test counts.")
    ]
