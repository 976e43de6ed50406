"""A folder for a new node: commented settings, a white list, and room for its objects and its log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Optional

from ..errors import ConfigError
from .options import SERVICES, every_setting
from .settings import FILE_NAME

WHITE_LIST_NAME = "white_list.toml"
DATA, LOGS = "data", "logs"

# What every setting is for. The values and what they must be come from the options themselves.
SAYS = {
    "node.data": "The folder of its objects and its index.",
    "node.ae_title": "What it is called.",
    "node.host": "The address of this machine on which it listens; 0.0.0.0 is all of them.",
    "node.port": "The port on which it listens; 0 takes any free one.",
    "node.strangers": "What those may ask for who are not on the white list; nothing: they cannot even connect.",
    "node.services": "What it offers at all.",
    "node.roots": "The query models that it answers.",
    "node.relational": "Whether a query may leave out the unique keys of the levels above its own.",
    "node.check_called": "Whether a caller has to know what the node is called.",
    "node.grace": "Seconds for associations to finish when the node stops.",
    "node.extra": "Further attributes for the index, by keyword or as ggggeeee (after a change run: node "
    "database clean, node data index).",
    "node.log": "The log: one line of JSON for each operation, without patient identifiers.",
    "node.shelf": "The shelf of this machine's qa-fetch: the node then also receives what its fetches move here.",
    "bounds.associations": "How many associations may be open at once.",
    "bounds.per_caller": "How many of them from one address.",
    "bounds.idle": "Seconds without a byte after which an association is ended.",
    "bounds.negotiation": "Seconds from the connection to the request for an association.",
    "bounds.object_megabytes": "The largest object that it takes.",
    "bounds.pdu_kilobytes": "The largest piece (PDU) in which a peer may send; what is larger ends its association.",
    "tls.certificate_file": "Its certificate (PEM); with it every association is encrypted.",
    "tls.key_file": "The key that belongs to it, without a passphrase.",
    "tls.ca_file": "Whose certificates it trusts; with it, who calls has to show one of them.",
    "database.url": "PostgreSQL instead of SQLite in the data folder.",
    "database.password_env": "The environment variable that holds its password.",
    "database.password_file": "Or the file that holds it.",
    "web.host": "Where the pages and DICOMweb are served; other machines reach them only on another address.",
    "web.port": "The port of the pages; without one there are none.",
    "web.names": "Further names by which browsers call this machine.",
    "web.dicomweb": "Whether DICOMweb is served (QIDO-RS, WADO-RS, and STOW-RS unless read_only).",
    "web.read_only": "Whether nothing can be stored through the web.",
    "web.sign_in": "Whether who looks has to sign in; false is possible on 127.0.0.1 only, and the default there.",
}
# What a new node is set to; the other settings are there with their defaults, as comments.
_SET: dict[str, Any] = {
    "node.data": DATA,
    "node.ae_title": "QA_NODE",
    "node.host": "0.0.0.0",
    "node.port": 11112,
    "node.strangers": (),
    "node.log": f"{LOGS}/node.log",
    "web.host": "127.0.0.1",
    "web.port": 8042,
}
# What to write where a setting has no default.
_EXAMPLES: dict[str, Any] = {
    "node.shelf": "/var/cache/qa_fetch/shelf",
    "tls.certificate_file": "node.pem",
    "tls.key_file": "node.key",
    "tls.ca_file": "authority.pem",
    "database.url": "postgresql://qa_node@localhost:5432/qa_node",
    "database.password_env": "QA_NODE_PASSWORD",
    "database.password_file": "password.txt",
    "web.sign_in": True,
}
_TABLES = {
    "node": "The node. Relative paths start at this folder; a path of Windows goes in single quotes.",
    "bounds": "How much it bears.",
    "tls": "Encrypted associations.",
    "database": "Where the index lies.",
    "web": "Pages and DICOMweb.",
}
_LISTED = f"""\
# Who may call this node, and where it sends to: a table for each AE title.
# host, port   where the node reaches it (C-MOVE, storage commitment); without them nothing is sent to it
# source       the address or network its calls come from, such as "10.0.0.0/24"; without it, its host
# services     what it may ask for, out of {", ".join(SERVICES)}; without it, everything
# tls          whether what is sent to it is encrypted
# anonymise    the file of a key (qa-fetch anonymise makes one): it gets every object anonymised by it. It cannot query,
#              and asks for objects only where its services say "move" or "get"; strangers must not "find" or "get"
# anonymise_profile   how: basic (without it), research-rt, or the TOML file of a profile
#
# [LINAC1]
# host = "10.0.0.5"
# port = 104
# services = ["echo", "store"]
#
# [TRIAL17]
# host = "10.0.0.9"
# port = 104
# anonymise = "trial17.key"
# anonymise_profile = "research-rt"
"""


def init(
    folder: Path,
    values: Optional[Mapping[str, Any]] = None,
    peers: Optional[Mapping[str, Mapping[str, Any]]] = None,
) -> list[Path]:
    """Make a folder for a node; what was made. Nothing that is there is overwritten.

    Parameters
    ----------
    folder
        Where.
    values
        Settings that differ from those of every new node, such as ``{"node.port": 104}``.
    peers
        The tables of the white list.
    """
    files = {
        folder / FILE_NAME: node_toml({**_SET, **(values or {})}),
        folder / WHITE_LIST_NAME: white_list_toml(peers or {}),
    }
    taken = next((path for path in files if path.exists()), None)
    if taken is not None:
        raise ConfigError(f"{taken} is there already, and nothing is overwritten. Choose another folder.")
    try:
        for name in (folder, folder / DATA, folder / LOGS):
            name.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path, text in files.items():
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be made ({error.strerror}). Check that this user may write there, or choose another one."
        ) from error
    return [*files, folder / DATA, folder / LOGS]


def node_toml(values: Mapping[str, Any]) -> str:
    """The file of settings: each with what it is for, what it must be, and its value or, as a comment, its default."""
    return "\n".join(_lines(values))


def _lines(values: Mapping[str, Any]) -> Iterator[str]:
    table = ""
    for title, name, option in every_setting():
        if title != table:
            yield from ([""] if table else []) + [f"# {_TABLES[title]}", f"[{title}]"]
            table = title
            if title == "node":
                yield "# Who may call, and where objects are sent to."
                yield f'white_list = "{WHITE_LIST_NAME}"'
        key = f"{title}.{name}"
        expected = option.expected.partition(" (in TOML")[0]
        yield f"# {SAYS[key]} {expected[0].upper()}{expected[1:]}."
        if key in values:
            yield f"{name} = {_toml(values[key])}"
        else:
            without = option.default in (..., None, "")
            yield f"# {name} = {_toml(_EXAMPLES[key] if without else option.default)}"
    yield ""


def white_list_toml(peers: Mapping[str, Mapping[str, Any]]) -> str:
    """The white list: how to write one, and these peers."""
    tables = [
        "\n".join(["", f"[{_toml(title)}]", *(f"{name} = {_toml(value)}" for name, value in peer.items()), ""])
        for title, peer in peers.items()
    ]
    return _LISTED + "".join(tables)


def _toml(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    return json.dumps(str(value), ensure_ascii=False)
