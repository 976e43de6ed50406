"""Commands about who may look at a node's pages: ``user`` and ``token``."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .node_data import add_node_option, opened
from .output import command, for_machines, moment, say_json, say_table


def add_user(commands: Any) -> None:
    """``qa-fetch node user``."""
    made = command(
        commands,
        "user",
        user,
        summary="who may sign in to a node's pages: add, remove, list",
        example="  qa-fetch node user add anna --write --node store/",
    )
    _add_common(made, "the account")
    made.add_argument(
        "--password-file", metavar="FILE", type=Path, help="its password, for scripts; else it is asked for"
    )


def add_token(commands: Any) -> None:
    """``qa-fetch node token``."""
    made = command(
        commands,
        "token",
        token,
        summary="which programs may use a node's DICOMweb: add, remove, list",
        example="  qa-fetch node token add viewer --node store/",
    )
    _add_common(made, "what the token is called")


def _add_common(made: argparse.ArgumentParser, name: str) -> None:
    """What accounts and tokens have in common."""
    made.add_argument("action", choices=("add", "remove", "list"), help="what to do")
    made.add_argument("name", metavar="NAME", nargs="?", help=name)
    made.add_argument("--write", action="store_true", help="it may also store and annotate")
    add_node_option(made)
    for_machines(made)


def user(given: argparse.Namespace) -> int:
    """Add, remove or list accounts."""
    if given.action == "list":
        return _list(given, "user")
    name = _name(given)
    password = _password(given) if given.action == "add" else ""
    with opened(given):
        from ..node import accounts

        if given.action == "add":
            accounts.add(name, password, given.write)
        else:
            _check_kind(name, "user")
            accounts.remove(name)
    return _say(given, name)


def token(given: argparse.Namespace) -> int:
    """Add, remove or list tokens; a new one is printed this once."""
    if given.action == "list":
        return _list(given, "token")
    name = _name(given)
    with opened(given):
        from ..node import accounts

        if given.action == "remove":
            _check_kind(name, "token")
            accounts.remove(name)
            return _say(given, name)
        made = accounts.add_token(name, given.write)
    if given.json:
        say_json({"name": name, "token": made})
    else:
        print(made)
        print("It is shown this once. Send it as: Authorization: Bearer TOKEN", file=sys.stderr)
    return 0


def _check_kind(name: str, kind: str) -> None:
    """Refuse to remove a token as a user, or the other way round."""
    from ..node import accounts

    other = next((one for one in accounts.list() if one.name == name and one.kind != kind), None)
    if other is not None:
        raise ConfigError(f"{name!r} is a {other.kind}. Run: qa-fetch node {other.kind} remove {name}")


def _say(given: argparse.Namespace, name: str) -> int:
    if given.json:
        say_json({"name": name, "done": given.action})
    else:
        print(f"{name} {'added' if given.action == 'add' else 'removed'}")
    return 0


def _list(given: argparse.Namespace, kind: str) -> int:
    with opened(given):
        from ..node import accounts

        found = [one for one in accounts.list() if one.kind == kind]
    if given.json:
        say_json([vars(one) for one in found])
    else:
        rows = [(one.name, "yes" if one.may_write else "", moment(one.created), moment(one.last_seen)) for one in found]
        say_table(("name", "may write", "created", "last seen"), rows)
    return 0


def _name(given: argparse.Namespace) -> str:
    if given.name is None:
        raise ConfigError(f"say whom: qa-fetch node {given.node_command} {given.action} NAME.")
    return str(given.name)


def _password(given: argparse.Namespace) -> str:
    if given.password_file is not None:
        try:
            return str(given.password_file.read_text("utf-8-sig")).strip("\r\n")
        except UnicodeDecodeError:
            raise ConfigError(f"{given.password_file} is not UTF-8 text. Save it as that.") from None
    if not sys.stdin.isatty():
        raise ConfigError("there is no terminal to ask for the password. Give it with --password-file FILE.")
    password = getpass.getpass("password: ")
    if getpass.getpass("once more: ") != password:
        raise ConfigError("the two passwords differ. Try again.")
    return password
