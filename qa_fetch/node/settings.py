"""A node's folder: where its settings and its white list are read from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Union

from ..config.options import FILE, Option, converted, shown
from ..config.sources import from_file
from ..config.values import as_path
from ..errors import ConfigError
from .options import NodeOptions, Peer, from_tables

FILE_NAME = "node.toml"
WHITE_LIST = Option(FILE, as_path)
_HOLDS = ("objects", "index.sqlite3", "node.lock")  # one of them is in every folder that a node has used


def load(where: Union[str, Path]) -> NodeOptions:
    """The options of the node in a folder, or of a file of settings; relative paths start where the file lies.

    A folder without settings that a node has kept its objects in is that node with every default.
    """
    given = Path(where)
    path = given / FILE_NAME if given.is_dir() else given
    if not path.is_file():
        if given.is_dir() and any((given / name).exists() for name in _HOLDS):
            return NodeOptions(given.absolute())
        raise ConfigError(
            f"there is no node in {given} (no {FILE_NAME}). "
            f"Make one with: qa-fetch node init {given}, or name its folder."
        )
    origin, folder = f"file {path}", path.absolute().parent
    return from_tables(_with_white_list(from_file(path), origin, folder), origin, folder)


def _with_white_list(values: Mapping[str, Any], origin: str, folder: Path) -> dict[str, Any]:
    """The tables of the file, the peers of the white list that it names among them."""
    node, own = values.get("node"), values.get("peers", {})
    if not isinstance(node, Mapping) or "white_list" not in node or not isinstance(own, Mapping):
        return dict(values)
    path = converted(WHITE_LIST, node["white_list"], "node.white_list", origin, folder)
    listed = _white_list(path)
    twice = next((title for title in listed if title in own), None)
    if twice is not None:
        raise ConfigError(f"file {path}: {twice} is also a table [peers.{twice}] of {origin}. Keep one of them.")
    rest = {name: value for name, value in node.items() if name != "white_list"}
    return {**values, "node": rest, "peers": {**own, **listed}}


def _white_list(path: Path) -> dict[str, Any]:
    """The tables of a white list, one for each AE title; a slip in one names this file."""
    listed, origin = from_file(path), f"file {path}"
    for title, table in listed.items():
        if not isinstance(table, Mapping):
            raise ConfigError(f"{origin}: {title} is {shown(table, title)}; expected a table [{title}].")
        Peer.of(table, title, origin, path.parent)
    return listed
