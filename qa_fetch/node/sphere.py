"""A PACS made with SPHERE as a node: its settings.yml, tags.yml and white_list/*.yml, read once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional
from urllib.parse import quote

from ..config.options import AE_TITLE, Option, converted
from ..config.values import as_ae_title
from ..errors import ConfigError
from .options import SERVICES, Peer, every_setting, from_tables
from .scaffold import init

_OPTIONS = {f"{table}.{name}": option for table, name, option in every_setting()}
# Settings of SPHERE that mean the same here.
_SAME = {
    "AET": "node.ae_title",
    "port": "node.port",
    "ae_params.required_call_aet": "node.check_called",
    "ae_params.max_assoc": "bounds.associations",
    "ae_params.max_assoc_idle_second": "bounds.idle",
    "ae_params.acse_timeout": "bounds.negotiation",
}
_PASSWORD = "QA_NODE_PASSWORD"


@dataclass(frozen=True)
class Imported:
    """What became of SPHERE's settings.

    Parameters
    ----------
    taken
        The settings that were taken over, with what they are called here.
    left
        Those that were not, by name.
    peers
        The AE titles of the white list.
    files
        What was made.
    """

    taken: Mapping[str, str]
    left: tuple[str, ...]
    peers: tuple[str, ...]
    files: tuple[Path, ...]


def import_sphere(sphere: Path, to: Path) -> Imported:
    """Make a node's folder of the one that ``sphere-admin`` made; its objects and its database are left alone."""
    settings = next((path for path in (sphere / "app/settings.yml", sphere / "settings.yml") if path.is_file()), None)
    if settings is None:
        raise ConfigError(f"{sphere} has no app/settings.yml or settings.yml. Name the folder that sphere-admin made.")
    found = _Found(settings)
    found.read_settings()
    found.read_tags(settings.with_name("tags.yml"))
    found.read_white_lists()
    tables: dict[str, Any] = {"node": {"data": "data"}, "peers": found.peers}
    for key, value in found.values.items():
        table, _, name = key.partition(".")
        tables.setdefault(table, {})[name] = value
    from_tables(tables, f"file {settings}")
    files = init(to, found.values, found.peers)
    return Imported(found.taken, tuple(found.left), tuple(found.peers), tuple(files))


class _Found:
    """What is found in SPHERE's files, bit by bit."""

    def __init__(self, settings: Path) -> None:
        self.values: dict[str, Any] = {}
        self.peers: dict[str, dict[str, Any]] = {}
        self.taken: dict[str, str] = {}
        self.left: list[str] = []
        self._settings = settings
        self._given = dict(_leaves(_table(_yaml(settings))))

    def read_settings(self) -> None:
        """What stands in settings.yml."""
        for name, ours in _SAME.items():
            self._take(name, ours)
        self.left += [
            f"scp_services: {name}" for name in _listed(self._given.get("scp_services")) if not _service(name)
        ]
        self._take("scp_services", "node.services", lambda value: list(filter(None, map(_service, _listed(value)))))
        if self._given.pop("api.start", False) is True:
            self.taken["api.start"] = "web.port"
            self._take("api.ip", "web.host")
            self._take("api.port", "web.port")
            self._take("api.dicomweb.start", "web.dicomweb")
            self._take("api.allowed_hosts", "web.names", _names)
        self._take_database()
        self.left += [name for name in self._given if name != "path_white_list"]

    def _take(self, name: str, ours: str, convert: Optional[Callable[[Any], Any]] = None) -> None:
        """Take a setting over, if it is there and makes sense here."""
        if name not in self._given:
            return
        value = self._given.pop(name)
        try:
            self.values[ours] = converted(_OPTIONS[ours], convert(value) if convert else value, ours, "", None)
            self.taken[name] = ours
        except ConfigError:
            self.left.append(name)

    def _take_database(self) -> None:
        engine = self._given.pop("db.engine", "")
        if engine != "postgresql":
            self.left += ["db.engine"] if engine not in ("", "sqlite") else []
            return
        self.taken["db.engine"] = "database.url"
        parts = {name: self._given.pop(f"db.params.{name}", None) for name in ("ip", "port", "database", "login")}
        user = f"{quote(str(parts['login']), safe='')}@" if parts["login"] else ""
        place = f"{parts['ip'] or 'localhost'}:{parts['port'] or 5432}"
        self.values["database.url"] = f"postgresql://{user}{place}/{quote(str(parts['database'] or 'pacs'), safe='')}"
        if self._given.get("db.params.password"):  # stays in the list of what is left: it belongs into no file
            self.values["database.password_env"] = _PASSWORD

    def read_tags(self, path: Path) -> None:
        """The attributes of tags.yml, which the index holds too."""
        if not path.is_file():
            return
        tags: dict[str, None] = {}
        for level, listed in _table(_yaml(path)).items():
            for tag in listed if isinstance(listed, list) else []:
                text = str(tag).strip()
                if re.fullmatch("[0-9A-Fa-f]{8}", text):
                    tags[text] = None
                else:
                    self.left.append(f"tags.yml: {level} {text}")
        if tags:
            self.values["node.extra"] = tuple(tags)
            self.taken["tags.yml"] = "node.extra"

    def read_white_lists(self) -> None:
        """The peers of every file of the white list."""
        named = self._given.get("path_white_list")
        folders = [self._settings.with_name("white_list")]
        if isinstance(named, str):
            folders += [folder / named for folder in (self._settings.parent, self._settings.parent.parent)]
        folder = next((folder for folder in folders if folder.is_dir()), None)
        for path in sorted(folder.glob("*.y*ml")) if folder is not None else []:
            for title, entry in _table(_yaml(path)).items():
                try:
                    title = converted(Option(AE_TITLE, as_ae_title), str(title), "", "", None)
                    given = _table(entry)
                    peer = {"host": given.get("ip"), "port": given.get("port")}
                    Peer.of(peer, str(title), f"file {path}", None)
                    self.peers[str(title)] = peer
                    self.left += [f"{path.name}: {title}.{name}" for name in given if name not in ("ip", "port")]
                except ConfigError:
                    self.left.append(f"{path.name}: {title}")


def _listed(value: Any) -> list[str]:
    return [str(name) for name in value] if isinstance(value, list) else []


def _service(name: str) -> str:
    """What a service such as c-echo is called here; nothing for one that does not exist here, such as n-get."""
    plain = name.lower().replace("c-", "", 1)
    return plain if plain in SERVICES else ""


def _names(value: Any) -> list[str]:
    return [name for name in _listed(value) if name != "*"]


def _leaves(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _yaml(path: Path) -> Any:
    try:
        import yaml  # type: ignore[import-untyped,unused-ignore]  # it ships no type hints
    except ImportError:
        raise ConfigError(
            "SPHERE's settings are YAML, which needs PyYAML. Install it with: pip install 'qa_fetch[node]'."
        ) from None
    try:
        return yaml.safe_load(path.read_text("utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = getattr(error, "problem_mark", None)
        where = f" (line {place.line + 1})" if place is not None else ""
        raise ConfigError(f"file {path}: it is not valid YAML{where}. Correct it, or take it away.") from None
    except OSError as error:
        raise ConfigError(f"file {path}: it cannot be read; {error.strerror}.") from None
