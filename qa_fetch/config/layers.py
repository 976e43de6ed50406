"""The layers of settings, looked through in order, and what comes out of them checked and complete."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Optional, Union

from ..errors import ConfigError
from .addresses import inline_name, parse_address
from .layer import ARGUMENTS, DEFAULT, ArchiveConfig, Layer, Setting, same
from .options import KINDS, LOCAL, SHARED, SHELF, TOP, Option, masked, one_of, plugin_kinds, shown
from .qatrack import Tables, TestList, Unit
from .qatrack import check as check_qatrack
from .sources import FILE_NAME, default_shelf, find_file, from_django, from_environment, from_file

_TABLES = {"local": LOCAL, "shelf": SHELF}


_ARGUMENTS = Layer(ARGUMENTS, {})


class Config:
    """All layers, looked through in order."""

    def __init__(self, layers: list[Layer]) -> None:
        for layer in layers:
            _check_names(layer)
        self._layers = layers
        self._qatrack = Tables(layers, self.archive_names)

    @classmethod
    def load(cls, file: Optional[Union[str, Path]] = None) -> Config:
        """Read the environment, the configuration file and Django's settings as they are now."""
        layers = [Layer("environment", from_environment(os.environ))]
        found = Path(file) if file is not None else find_file()
        if found is not None:
            layers.append(Layer(f"file {found}", from_file(found), found.absolute().parent))
        layers.append(Layer("Django settings QA_FETCH", from_django()))
        return cls(layers)

    def top(self, key: str) -> Setting:
        """One of the settings outside every table, such as ``default`` or ``budget``."""
        return self._lookup("", key, TOP[key])

    def local(self, key: str) -> Setting:
        """Who we are: ``ae_title``, ``port``, ``host``."""
        return self._lookup("local", key, LOCAL[key])

    def shelf(self, key: str) -> Setting:
        """Where fetched objects are kept."""
        setting = self._lookup("shelf", key, SHELF[key])
        return Setting(setting.key, default_shelf(), DEFAULT) if setting.value is None else setting

    def archive_names(self) -> list[str]:
        """The archives that any layer defines, each spelled as in the layer that wins."""
        names: dict[str, str] = {}
        for layer in self._layers:
            for name in layer.table("archives"):
                names.setdefault(same(name), name)
        return list(names.values())

    def archive(self, name: Optional[str] = None, **overrides: Any) -> ArchiveConfig:
        """An archive by its name or inline address; the default one without either.

        Parameters
        ----------
        name
            A name from the configuration (capitals do not matter), an address such as ``dimse://AET@host:port`` or
            ``folder:PATH``, or None.
        **overrides
            Single fields that win over the layer that defines the archive; None stands for "not given".
        """
        given = {key: value for key, value in overrides.items() if value is not None}
        if name is None and "kind" in given:
            return _Definition("archive", given, {}, _ARGUMENTS).checked()
        if name is None:
            name = self._default_name()
        if ":" in name:
            return _Definition(inline_name(name), given, parse_address(name), _ARGUMENTS).checked()
        for layer in self._layers:
            own = layer.archive(name)
            if own is not None:
                return _Definition(own, given, _fields(layer, own), layer).checked()
        known = self.archive_names()
        raise ConfigError(
            f"no archive is called {name!r}. "
            + (f"Configured are: {', '.join(known)}." if known else f"Add [archives.{name}] to {FILE_NAME}.")
        )

    def unit(self, number: int) -> Unit:
        """What is set for one of QATrack+'s units, by its number there; nothing where no layer has it."""
        return self._qatrack.unit(number)

    def qatrack(self) -> ArchiveConfig:
        """Where QATrack+ is and how to log in; ConfigError where no layer says it."""
        return self._qatrack.server()

    def test_list_names(self) -> list[str]:
        """The lists of ``[qatrack.lists]`` that any layer defines."""
        return self._qatrack.list_names()

    def test_list(self, name: str) -> TestList:
        """One of the lists of ``[qatrack.lists]``."""
        return self._qatrack.test_list(name)

    def _default_name(self) -> str:
        default = self.top("default")
        known = self.archive_names()
        if default.value is not None:
            name = str(default.value)
            if known and ":" not in name and same(name) not in map(same, known):
                raise ConfigError(f"{default.origin}: default is {shown(name)}; {one_of(known, name)}")
            return name
        if len(known) == 1:
            return known[0]
        if known:
            raise ConfigError(
                f"no default archive is set and several are configured ({', '.join(known)}). "
                f'Name one, or add default = "{known[0]}" at the top of {FILE_NAME}.'
            )
        raise ConfigError(
            f"no archive is configured. Write {FILE_NAME} (the README has one to copy), "
            "or name one inline such as dimse://AET@host:port."
        )

    def settings(self) -> Iterator[Setting]:
        """Every value with its origin, secrets masked: what ``qa-fetch config`` prints."""
        yield from (self.top(key) for key in TOP)
        yield from (self.local(key) for key in LOCAL)
        yield from (self.shelf(key) for key in SHELF)
        for name in self.archive_names():
            archive = self.archive(name)
            yield Setting(f"archives.{name}.kind", archive.kind, archive.origins["kind"])
            for key, value in archive.options.items():
                yield Setting(f"archives.{name}.{key}", masked(key, value), archive.origins[key])
        yield from self._qatrack.settings()

    def _lookup(self, table: str, key: str, option: Option) -> Setting:
        place = f"{table}.{key}" if table else key
        for layer in self._layers:
            if key in layer.table(table):
                return Setting(place, layer.converted(option, layer.table(table)[key], place), layer.origin)
        return Setting(place, option.default, DEFAULT)


class _Definition:
    """What the arguments and one layer say about an archive."""

    def __init__(self, name: str, given: Mapping[str, Any], fields: Mapping[str, Any], layer: Layer) -> None:
        self.name, self.layer = name, layer
        self._sources = {key: (value, layer) for key, value in fields.items()}
        self._sources.update((key, (value, _ARGUMENTS)) for key, value in given.items())

    def checked(self) -> ArchiveConfig:
        """Every option of the archive's kind, converted; ConfigError for the first that is wrong."""
        kind, source = self._sources.pop("kind", (None, self.layer))
        options = KINDS.get(kind) if isinstance(kind, str) else None
        if options is None:
            kinds = [*KINDS, *plugin_kinds()]
            if kind not in kinds:
                place = self._place("kind", source)
                raise ConfigError(f"{source.origin}: {place} is {shown(kind)}; {one_of(kinds, kind)}")
            options = {**{key: Option("", _as_it_is) for key in self._sources}, **SHARED}
        for key, (_, layer) in self._sources.items():
            if key not in options:
                raise ConfigError(
                    f"{layer.origin}: {self._place(key, layer)} is not a setting of a {kind} archive; "
                    f"{one_of(options, key)}"
                )
        found = {key: self._value(key, option) for key, option in options.items()}
        origins = {"kind": source.origin, **{key: origin for key, (_, origin) in found.items()}}
        return ArchiveConfig(self.name, str(kind), {key: value for key, (value, _) in found.items()}, origins)

    def _value(self, key: str, option: Option) -> tuple[Any, str]:
        if key in self._sources:
            value, layer = self._sources[key]
            return layer.converted(option, value, self._place(key, layer)), layer.origin
        if option.default is ...:
            place = self._place(key, self.layer)
            raise ConfigError(f"{self.layer.origin}: {place} is missing; expected {option.expected}.")
        return option.default, DEFAULT

    def _place(self, key: str, layer: Layer) -> str:
        return key if layer is _ARGUMENTS else f"archives.{self.name}.{key}"


def _fields(layer: Layer, name: str) -> Mapping[str, Any]:
    """An archive's fields, from its table or from the address that stands in its place."""
    table: Union[str, Mapping[str, Any]] = layer.table("archives")[name]
    if not isinstance(table, str):
        return table
    try:
        return parse_address(table)
    except ConfigError as error:
        raise ConfigError(f"{layer.origin}: archives.{name}: {error}") from None


def _as_it_is(value: Any) -> Any:
    return value


def _check_names(layer: Layer) -> None:
    """Refuse what no setting is called, so that a typing slip never silently means its default."""
    tables = [*_TABLES, "archives", "units", "qatrack"]
    allowed = [*TOP, *tables]
    for key, value in layer.values.items():
        if key not in allowed:
            raise ConfigError(f"{layer.origin}: {key} is not a setting; {one_of(allowed, key)}")
        if key in tables and not isinstance(value, Mapping):
            raise ConfigError(f"{layer.origin}: {key} is {shown(value)}; expected a table [{key}].")
    for table, options in _TABLES.items():
        for key in layer.table(table):
            if key not in options:
                raise ConfigError(f"{layer.origin}: {table}.{key} is not a setting; {one_of(options, key)}")
    _check_archive_names(layer)
    check_qatrack(layer)


def _check_archive_names(layer: Layer) -> None:
    seen: dict[str, str] = {}
    origin = layer.origin
    for name, value in layer.table("archives").items():
        if not isinstance(name, str) or not name.strip() or any(mark in name for mark in ":/\\"):
            raise ConfigError(f"{origin}: {shown(name)} cannot name an archive; expected a name without : / or \\.")
        if not isinstance(value, (Mapping, str)):
            raise ConfigError(f"{origin}: archives.{name} is {shown(value)}; expected a table [archives.{name}].")
        other = seen.setdefault(same(name), name)
        if other != name:
            raise ConfigError(
                f"{origin}: archives.{name} and archives.{other} have the same name; "
                "expected names that differ in more than capitals, - and _."
            )
