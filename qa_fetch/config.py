"""Where an archive's address comes from, and from which layer.

Arguments, then ``QA_FETCH_*`` environment variables, then ``qa_fetch.toml``, then Django's settings. The first layer
that defines an archive wins whole; arguments then override single fields.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Callable, Optional, Union
from urllib.parse import unquote, urlsplit

from .errors import ConfigError

FILE_NAME = "qa_fetch.toml"
DEFAULT = "built-in default"


@dataclass(frozen=True)
class Option:
    """One setting: what it must be, and what stands in when it is absent (``...``: it must be given)."""

    expected: str
    convert: Callable[[Any], Any]
    default: Any = ...


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value.strip()


def _ae_title(value: Any) -> str:
    title = _text(value)
    if len(title) > 16 or not title.isascii() or not title.isprintable() or "\\" in title:
        raise ValueError
    return title


def _port(value: Any) -> int:
    number = _whole(value)
    if not 1 <= number <= 65535:
        raise ValueError
    return number


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError
    return int(value)


def _seconds(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError
    number = float(value)
    if not 0 < number < 1e7:
        raise ValueError
    return number


def _flag(value: Any) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if isinstance(value, bool):
        return value
    return words[str(value).lower()]


def _choice(*allowed: Any) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if value in allowed:
            return value
        if isinstance(value, str) and value.lower() in ("true", "false") and (value.lower() == "true") in allowed:
            return value.lower() == "true"
        raise ValueError

    return convert


def _path(value: Any) -> Path:
    return Path(_text(str(value))).expanduser()


AE_TITLE = "an AE title of 1 to 16 ASCII characters"
PORT = "a whole number from 1 to 65535"
SECONDS = "a number of seconds above 0"

_SHARED = {"budget": Option(SECONDS, _seconds, None)}
KINDS: dict[str, dict[str, Option]] = {
    "dimse": {
        "ae_title": Option(AE_TITLE, _ae_title),
        "host": Option("a host name or IP address", _text),
        "port": Option(PORT, _port),
        "retrieve": Option('"auto", "get" or "move"', _choice("auto", "get", "move"), "auto"),
        "root": Option('"study" or "patient"', _choice("study", "patient"), "study"),
        "relational": Option('"auto", true or false', _choice("auto", True, False), "auto"),
        "one_plan_per_series": Option("true or false", _flag, False),
        "timeout": Option(SECONDS, _seconds, 15.0),
        "local_ae_title": Option(AE_TITLE, _ae_title, None),
        "local_port": Option(PORT, _port, None),
        **_SHARED,
    },
    "folder": {"path": Option("a folder", _path), **_SHARED},
}
LOCAL: dict[str, Option] = {
    "ae_title": Option(AE_TITLE, _ae_title, "QA_FETCH"),
    "port": Option(PORT, _port, 11113),
    "host": Option("an address of this machine to listen on", _text, "0.0.0.0"),  # nosec: peers must reach it
}
SHELF: dict[str, Option] = {
    "path": Option("a folder", _path, None),
    "settle_minutes": Option("a number of minutes from 0 up", lambda value: _seconds(float(value) + 1e-9), 10.0),
}
_TOP: dict[str, Option] = {
    "default": Option("the name of an archive", _text, None),
    "budget": Option(SECONDS, _seconds, 25.0),
}


@dataclass(frozen=True)
class Setting:
    """A value and the layer it came from."""

    key: str
    value: Any
    origin: str


@dataclass(frozen=True)
class ArchiveConfig:
    """One archive's settings, checked and complete."""

    name: str
    kind: str
    options: Mapping[str, Any]
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __getitem__(self, option: str) -> Any:
        return self.options[option]


@dataclass(frozen=True)
class Layer:
    """Settings as one source wrote them, not yet checked."""

    origin: str
    values: Mapping[str, Any]


class Config:
    """All layers, looked through in order."""

    def __init__(self, layers: list[Layer]) -> None:
        self._layers = layers

    @classmethod
    def load(cls, file: Optional[Union[str, Path]] = None) -> Config:
        """Read the environment, the configuration file and Django's settings as they are now."""
        layers = [Layer("environment", _from_environment(os.environ))]
        found = Path(file) if file is not None else find_file()
        if found is not None:
            layers.append(Layer(f"file {found}", _read_toml(found)))
        django = _from_django()
        if django:
            layers.append(Layer("Django settings QA_FETCH", django))
        for layer in layers:
            _check_tables(layer)
        return cls(layers)

    def top(self, key: str) -> Setting:
        """One of the settings outside every table, such as ``default`` or ``budget``."""
        return self._lookup(key, _TOP[key], key, lambda layer: layer.values)

    def local(self, key: str) -> Setting:
        """Who we are: ``ae_title``, ``port``, ``host``."""
        return self._lookup(f"local.{key}", LOCAL[key], key, lambda layer: layer.values.get("local", {}))

    def shelf(self, key: str) -> Setting:
        """Where fetched objects are kept."""
        setting = self._lookup(f"shelf.{key}", SHELF[key], key, lambda layer: layer.values.get("shelf", {}))
        return Setting(setting.key, default_shelf(), DEFAULT) if setting.value is None else setting

    def archive_names(self) -> list[str]:
        """The archives that any layer defines."""
        names: dict[str, None] = {}
        for layer in self._layers:
            names.update(dict.fromkeys(layer.values.get("archives", {})))
        return list(names)

    def archive(self, name: Optional[str] = None, **overrides: Any) -> ArchiveConfig:
        """An archive by its name or inline address; the default one without either.

        Parameters
        ----------
        name
            A name from the configuration, an address such as ``dimse://AET@host:port`` or ``folder:PATH``, or None.
        **overrides
            Single fields that win over the layer that defines the archive.
        """
        given = {key: value for key, value in overrides.items() if value is not None}
        if name is None and "kind" in given:
            return _checked("archive", given, {}, "arguments")
        if name is None:
            name = self._default_name()
        if ":" in name:
            return _checked(inline_name(name), {**parse_address(name), **given}, {}, "arguments")
        for layer in self._layers:
            table = layer.values.get("archives", {}).get(name)
            if table is not None:
                values = {**parse_address(table), **given} if isinstance(table, str) else {**table, **given}
                return _checked(name, values, {key: "arguments" for key in given}, layer.origin)
        known = self.archive_names()
        raise ConfigError(
            f"no archive is called {name!r}. "
            + (f"Configured are: {', '.join(known)}." if known else f"Add [archives.{name}] to {FILE_NAME}.")
        )

    def _default_name(self) -> str:
        default = self.top("default").value
        if default is not None:
            return str(default)
        known = self.archive_names()
        if len(known) == 1:
            return known[0]
        if known:
            raise ConfigError(
                f'no default archive is set and several are configured ({", ".join(known)}). '
                f'Name one, or add default = "{known[0]}" at the top of {FILE_NAME}.'
            )
        raise ConfigError(
            f"no archive is configured. Write {FILE_NAME} (the README has one to copy), "
            "or name one inline such as dimse://AET@host:port."
        )

    def settings(self) -> Iterator[Setting]:
        """Every value with its origin, secrets masked: what ``qa-fetch config`` prints."""
        yield from (self.top(key) for key in _TOP)
        yield from (self.local(key) for key in LOCAL)
        yield from (self.shelf(key) for key in SHELF)
        for name in self.archive_names():
            archive = self.archive(name)
            yield Setting(f"archives.{name}.kind", archive.kind, archive.origins["kind"])
            for key, value in archive.options.items():
                masked = "(hidden)" if "password" in key or "token" in key else value
                yield Setting(f"archives.{name}.{key}", masked, archive.origins[key])

    def _lookup(
        self, name: str, option: Option, key: str, table: Callable[[Layer], Mapping[str, Any]]
    ) -> Setting:
        for layer in self._layers:
            if key in table(layer):
                return Setting(name, _converted(option, table(layer)[key], name, layer.origin), layer.origin)
        return Setting(name, option.default, DEFAULT)


def find_file() -> Optional[Path]:
    """The configuration file: ``QA_FETCH_CONFIG``, else from the working directory upwards, else the user's own."""
    named = os.environ.get("QA_FETCH_CONFIG")
    if named:
        if not Path(named).is_file():
            raise ConfigError(f"QA_FETCH_CONFIG names {named}, which is not a file. Correct it or unset it.")
        return Path(named)
    here = Path.cwd()
    candidates = [folder / FILE_NAME for folder in (here, *here.parents)] + [user_config_folder() / FILE_NAME]
    return next((path for path in candidates if path.is_file()), None)


def user_config_folder() -> Path:
    """Where a user's own configuration lies on this system."""
    if os.name == "nt":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming") / "qa_fetch"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "qa_fetch"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "qa_fetch"


def default_shelf() -> Path:
    """Where fetched objects are kept unless the configuration says otherwise."""
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "qa_fetch" / "shelf"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "qa_fetch"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qa_fetch"


def parse_address(address: str) -> dict[str, Any]:
    """The fields of an inline address: ``dimse://AET@host:port`` or ``folder:PATH``."""
    scheme, _, rest = address.partition(":")
    if scheme == "folder":
        return {"kind": "folder", "path": rest}
    if scheme == "dimse":
        try:
            parts = urlsplit(address)
            port = parts.port
        except ValueError:
            port = None
        if port is None or not parts.username or not parts.hostname or parts.path or parts.query:
            raise ConfigError(f"{address!r} is not an archive's address. Write it as dimse://AE_TITLE@host:port.")
        return {"kind": "dimse", "ae_title": unquote(parts.username), "host": parts.hostname, "port": port}
    raise ConfigError(
        f"{scheme!r} is not a sort of archive that can be written inline. Use dimse://AET@host:port or folder:PATH."
    )


def inline_name(address: str) -> str:
    """What to call an archive in messages that has an address instead of a name."""
    fields = parse_address(address)
    return str(fields["ae_title"]) if fields["kind"] == "dimse" else str(Path(str(fields["path"])).name or "folder")


def _checked(name: str, values: Mapping[str, Any], origins: Mapping[str, str], origin: str) -> ArchiveConfig:
    place = f"archives.{name}"
    kind = values.get("kind")
    options = KINDS.get(kind) if isinstance(kind, str) else None
    if options is None:
        if isinstance(kind, str) and kind in plugin_kinds():
            plain = {key: value for key, value in values.items() if key != "kind"}
            return ArchiveConfig(name, kind, {"budget": None, **plain}, dict.fromkeys([*plain, "kind", "budget"], origin))
        raise ConfigError(
            f"{origin}: {place}.kind is {_shown(kind)}; expected one of {', '.join([*KINDS, *plugin_kinds()])}."
        )
    unknown = [key for key in values if key != "kind" and key not in options]
    if unknown:
        raise ConfigError(
            f"{origin}: {place}.{unknown[0]} is not a setting of a {kind} archive; expected one of {', '.join(options)}."
        )
    checked: dict[str, Any] = {}
    found = {"kind": origins.get("kind", origin)}
    for key, option in options.items():
        if key in values:
            found[key] = origins.get(key, origin)
            checked[key] = _converted(option, values[key], f"{place}.{key}", found[key])
        elif option.default is ...:
            raise ConfigError(f"{origin}: {place}.{key} is missing; expected {option.expected}.")
        else:
            found[key], checked[key] = DEFAULT, option.default
    return ArchiveConfig(name, str(kind), checked, found)


def _converted(option: Option, value: Any, place: str, origin: str) -> Any:
    try:
        return option.convert(value)
    except (ValueError, TypeError, KeyError):
        raise ConfigError(f"{origin}: {place} is {_shown(value)}; expected {option.expected}.") from None


def _shown(value: Any) -> str:
    return "missing" if value is None else repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."


def _check_tables(layer: Layer) -> None:
    """Refuse what no setting is called, so that a typing slip never silently means its default."""
    allowed = [*_TOP, "local", "shelf", "archives"]
    for key, value in layer.values.items():
        if key not in allowed:
            raise ConfigError(f"{layer.origin}: {key} is not a setting; expected one of {', '.join(allowed)}.")
        if key in ("local", "shelf", "archives") and not isinstance(value, Mapping):
            raise ConfigError(f"{layer.origin}: {key} is {_shown(value)}; expected a table [{key}].")
    for table, options in (("local", LOCAL), ("shelf", SHELF)):
        for key in layer.values.get(table, {}):
            if key not in options:
                raise ConfigError(
                    f"{layer.origin}: {table}.{key} is not a setting; expected one of {', '.join(options)}."
                )
    for name, value in layer.values.get("archives", {}).items():
        if not isinstance(value, (Mapping, str)):
            raise ConfigError(f"{layer.origin}: archives.{name} is {_shown(value)}; expected a table [archives.{name}].")
        if not name or ":" in name or "/" in name or "\\" in name:
            raise ConfigError(f"{layer.origin}: {_shown(name)} cannot name an archive; expected a name without : / or \\.")


def _read_toml(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ConfigError(f"file {path}: it is not UTF-8 text; expected a TOML file saved as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"file {path}: it is not valid TOML; {str(error)[:1].lower()}{str(error)[1:]}.") from None
    except OSError as error:
        raise ConfigError(f"file {path}: it cannot be read; {error.strerror}.") from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """``QA_FETCH_DEFAULT``, ``_BUDGET``, ``_AE_TITLE``, ``_PORT``, ``_HOST``, ``_SHELF`` and ``_ARCHIVE_<NAME>``."""
    values: dict[str, Any] = {}
    for variable, (table, key) in _VARIABLES.items():
        if environ.get(variable):
            (values.setdefault(table, {}) if table else values)[key] = environ[variable]
    for variable, value in environ.items():
        if variable.startswith("QA_FETCH_ARCHIVE_") and value:
            values.setdefault("archives", {})[variable[len("QA_FETCH_ARCHIVE_") :].lower()] = value
    return values


_VARIABLES = {
    "QA_FETCH_DEFAULT": ("", "default"),
    "QA_FETCH_BUDGET": ("", "budget"),
    "QA_FETCH_AE_TITLE": ("local", "ae_title"),
    "QA_FETCH_PORT": ("local", "port"),
    "QA_FETCH_HOST": ("local", "host"),
    "QA_FETCH_SHELF": ("shelf", "path"),
}


def _from_django() -> dict[str, Any]:
    """``QA_FETCH`` in the settings of a Django that is already running; Django is never imported from here."""
    module = sys.modules.get("django.conf")
    settings = getattr(module, "settings", None)
    if settings is None or not settings.configured:
        return {}
    return dict(getattr(settings, "QA_FETCH", None) or {})


def plugin_kinds() -> list[str]:
    """Further sorts of archive that installed packages offer (entry points ``qa_fetch.backends``)."""
    found = metadata.entry_points()
    if hasattr(found, "select"):
        return sorted(point.name for point in found.select(group="qa_fetch.backends"))
    return sorted(point.name for point in found.get("qa_fetch.backends", ()))
