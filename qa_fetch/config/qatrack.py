"""The tables for QATrack+: ``[units.N]``, ``[qatrack]`` and ``[qatrack.lists.NAME]``.

As with archives, the first layer that defines a unit, a list or the server's settings wins whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import time
from typing import Any, Callable, Optional

from ..errors import ConfigError
from .addresses import parse_address
from .layer import DEFAULT, ArchiveConfig, Layer, Setting, same
from .options import FILE, SECONDS, URL, Option, masked, one_of, shown
from .sources import FILE_NAME
from .values import as_above_zero, as_names, as_path, as_tests, as_text, as_time_of_day, as_unit, as_url

_VARIABLE = "the name of an environment variable"
_NAME = "a name without : / or \\, of at most 64 characters"
UNIT = {
    "archive": Option("the name of an archive", as_text, None),
    "patient": Option("a PatientID, in quotes", as_text, None),
}
SERVER = {
    "url": Option(URL, as_url),
    "token_env": Option(_VARIABLE, as_text, None),
    "token_file": Option(FILE, as_path, None),
    "ca_file": Option(FILE, as_path, None),
    "certificate_file": Option(FILE, as_path, None),
    "key_file": Option(FILE, as_path, None),
    "timeout": Option(SECONDS, as_above_zero, 60.0),  # a push waits for every composite of the list
}
LIST = {
    "unit": Option("QATrack+'s number of the unit", as_unit),
    "test_list": Option("the slug or the name of a test list", as_text),
    "tests": Option("a table of slugs and values, such as { go = 1 }", as_tests, {}),
    "skip": Option("a list of slugs", as_names, ()),
    "kind": Option('a kind of image, "plan" or "none"', as_text, "portal"),
    "archive": Option("the name of an archive", as_text, None),
    "frequency": Option("the slug or the name of a frequency", as_text, None),
    "at": Option('a time of day such as "07:30"', as_time_of_day, None),
}


@dataclass(frozen=True)
class Unit:
    """What is set for one unit of QATrack+: its archive, and the PatientID of its QA patient."""

    number: int
    archive: Optional[str] = None
    patient: Optional[str] = field(default=None, repr=False)


@dataclass(frozen=True)
class TestList:
    """One test list on one unit: what a person would enter, and what is fetched for it.

    Parameters
    ----------
    name
        What the configuration calls it.
    unit, test_list
        QATrack+'s number of the unit, and the slug or the name of the test list on it.
    tests
        What a person would enter, by slug.
    skip
        Slugs of tests that are sent as skipped.
    kind, archive
        What ``prefetch`` fetches (``"plan"`` is the plan itself, ``"none"`` nothing), and from where; without an
        archive from the unit's own.
    frequency
        Which assignment is meant where the unit has the list with several frequencies.
    at
        The time of day that stands as the beginning of the work; without it, now.
    """

    name: str
    unit: int
    test_list: str
    tests: Mapping[str, Any] = field(default_factory=dict, repr=False)
    skip: tuple[str, ...] = ()
    kind: str = "portal"
    archive: Optional[str] = None
    frequency: Optional[str] = None
    at: Optional[time] = None


def check(layer: Layer) -> None:
    """Refuse units without a number, and what no setting of ``[qatrack]`` is called."""
    for key, value in layer.table("units").items():
        _number(layer, key)
        if not isinstance(value, Mapping):
            raise ConfigError(f"{layer.origin}: units.{key} is {shown(value)}; expected a table [units.{key}].")
    for key, value in layer.table("qatrack").items():
        if key not in (*SERVER, "lists"):
            raise ConfigError(f"{layer.origin}: qatrack.{key} is not a setting; {one_of([*SERVER, 'lists'], key)}")
        if key == "lists" and not isinstance(value, Mapping):
            raise ConfigError(f"{layer.origin}: qatrack.lists is {shown(value)}; expected tables [qatrack.lists.NAME].")
    _check_list_names(layer)


def _number(layer: Layer, key: Any) -> int:
    """The number of a unit, as TOML's text or as Django's settings may have it."""
    text = str(key) if isinstance(key, int) and not isinstance(key, bool) else key
    if isinstance(text, str) and re.fullmatch(r"0|[1-9][0-9]{0,8}", text):
        return int(text)
    raise ConfigError(f"{layer.origin}: {shown(key)} cannot be a unit; expected QATrack+'s number of it: [units.1].")


def _check_list_names(layer: Layer) -> None:
    seen: dict[str, str] = {}
    for name, value in _lists(layer).items():
        fine = isinstance(name, str) and name.strip() and name.isprintable() and len(name) <= 64
        if not fine or any(mark in name for mark in ":/\\"):
            raise ConfigError(f"{layer.origin}: {shown(name)} cannot name a list; expected {_NAME}.")
        if not isinstance(value, Mapping):
            raise ConfigError(
                f"{layer.origin}: qatrack.lists.{name} is {shown(value)}; expected a table [qatrack.lists.{name}]."
            )
        other = seen.setdefault(same(name), name)
        if other != name:
            raise ConfigError(
                f"{layer.origin}: qatrack.lists.{name} and qatrack.lists.{other} have the same name; "
                "expected names that differ in more than capitals, - and _."
            )


def _lists(layer: Layer) -> Mapping[str, Any]:
    found: Mapping[str, Any] = layer.table("qatrack").get("lists", {})
    return found


def _server(layer: Layer) -> dict[str, Any]:
    return {key: value for key, value in layer.table("qatrack").items() if key != "lists"}


class Tables:
    """The tables of all layers, looked through in order."""

    def __init__(self, layers: Iterable[Layer], archives: Callable[[], list[str]]) -> None:
        self._layers = list(layers)
        self._archives = archives

    def unit(self, number: int) -> Unit:
        """What is set for a unit; nothing where no layer has it."""
        for layer in self._layers:
            for key, fields in layer.table("units").items():
                if _number(layer, key) == number:
                    found = self._checked(f"units.{number}", fields, layer, UNIT, "unit")
                    return Unit(number, **_values(found))
        return Unit(number)

    def units(self) -> list[int]:
        """The units that any layer defines."""
        return list(dict.fromkeys(_number(layer, key) for layer in self._layers for key in layer.table("units")))

    def server(self) -> ArchiveConfig:
        """Where QATrack+ is and how to log in, in the shape that clients of web services take."""
        for layer in self._layers:
            if _server(layer):
                found = self._checked("qatrack", _server(layer), layer, SERVER, "qatrack table")
                origins = {key: setting.origin for key, setting in found.items()}
                return ArchiveConfig("QATrack+", "qatrack", _values(found), origins)
        raise ConfigError(f"QATrack+ is not configured. Add [qatrack] with its url to {FILE_NAME}.")

    def list_names(self) -> list[str]:
        """The lists that any layer defines, each spelled as in the layer that wins."""
        names: dict[str, str] = {}
        for layer in self._layers:
            for name in _lists(layer):
                names.setdefault(same(name), name)
        return list(names.values())

    def test_list(self, name: str) -> TestList:
        """One list by its name; capitals do not matter."""
        for layer in self._layers:
            own = next((own for own in _lists(layer) if same(own) == same(name)), None)
            if own is not None:
                return TestList(own, **_values(self._list(own, layer)))
        known = self.list_names()
        raise ConfigError(
            f"no list is called {shown(name)}. "
            + (f"Configured are: {', '.join(known)}." if known else f"Add [qatrack.lists.NAME] to {FILE_NAME}.")
        )

    def _list(self, name: str, layer: Layer) -> dict[str, Setting]:
        place = f"qatrack.lists.{name}"
        found = self._checked(place, _lists(layer)[name], layer, LIST, "list")
        both = sorted(set(found["skip"].value) & set(found["tests"].value))
        if both:
            raise ConfigError(
                f"{layer.origin}: {place} has a value for {both[0]} and skips it. Leave it out of tests or skip."
            )
        return found

    def settings(self) -> Iterator[Setting]:
        """Every value with its origin, secrets masked; nothing where no layer has one of the tables."""
        for number in self.units():
            layer = next(one for one in self._layers if number in [_number(one, key) for key in one.table("units")])
            fields = next(value for key, value in layer.table("units").items() if _number(layer, key) == number)
            yield from _masked(self._checked(f"units.{number}", fields, layer, UNIT, "unit"))
        if any(map(_server, self._layers)):
            layer = next(one for one in self._layers if _server(one))
            yield from _masked(self._checked("qatrack", _server(layer), layer, SERVER, "qatrack table"))
        for name in self.list_names():
            layer = next(one for one in self._layers if name in _lists(one))
            yield from _masked(self._list(name, layer))

    def _checked(
        self, place: str, fields: Mapping[str, Any], layer: Layer, options: Mapping[str, Option], what: str
    ) -> dict[str, Setting]:
        """Every option of a table, converted; ConfigError for the first that is wrong."""
        for key in fields:
            if key not in options:
                raise ConfigError(f"{layer.origin}: {place}.{key} is not a setting of a {what}; {one_of(options, key)}")
        found = {}
        for key, option in options.items():
            where = f"{place}.{key}"
            if key in fields:
                found[key] = Setting(where, layer.converted(option, fields[key], where), layer.origin)
            elif option.default is ...:
                raise ConfigError(f"{layer.origin}: {where} is missing; expected {option.expected}.")
            else:
                found[key] = Setting(where, option.default, DEFAULT)
        if "archive" in found and found["archive"].value is not None:
            self._check_archive(found["archive"])
        return found

    def _check_archive(self, setting: Setting) -> None:
        name, known = str(setting.value), self._archives()
        place = f"{setting.origin}: {setting.key}"
        if ":" in name:
            try:
                parse_address(name)
            except ConfigError as error:
                raise ConfigError(f"{place}: {error}") from None
        elif not known:
            raise ConfigError(
                f"{place} is {shown(name)}; no archive is configured. Add [archives.{name}] to {FILE_NAME}."
            )
        elif same(name) not in map(same, known):
            raise ConfigError(f"{place} is {shown(name)}; {one_of(known, name)}")


def _values(found: Mapping[str, Setting]) -> dict[str, Any]:
    return {key: setting.value for key, setting in found.items()}


def _masked(found: Mapping[str, Setting]) -> Iterator[Setting]:
    for key, setting in found.items():
        yield Setting(setting.key, masked(key, setting.value), setting.origin)
