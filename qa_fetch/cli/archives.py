"""Commands that ask an archive something: ``echo`` and ``find``; and the options that name an archive."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, Callable, Optional
from urllib.parse import quote

from ..archive import Archive
from ..config import Config
from ..errors import ConfigError
from .output import command, for_machines, say_json, say_table


def add_archive(made: argparse.ArgumentParser, *, optional: bool = False, budget: Optional[float] = None) -> None:
    """The archive's name and the options that say who we are."""
    made.add_argument(
        "archive",
        metavar="ARCHIVE",
        nargs="?" if optional else None,
        help="a name from qa_fetch.toml or an address such as dimse://AET@host:port"
        + (" (default: the configured default)" if optional else ""),
    )
    made.add_argument("--ae-title", metavar="AET", help="our own AE title")
    made.add_argument("--listen", metavar="PORT", type=int, help="the port on which we receive C-MOVEs")
    made.add_argument(
        "--budget",
        metavar="SECONDS",
        type=float,
        default=budget,
        help="the time that all of it may take" + (f" (default: {budget:g})" if budget is not None else ""),
    )
    made.add_argument("--config", metavar="FILE", help="a configuration file instead of the one that is found")
    made.add_argument(
        "--node", metavar="DIR", help="a node's folder: ARCHIVE may be a peer of its white list, and we call as it does"
    )


def archive_of(given: argparse.Namespace, on_progress: Optional[Callable[[int, int], None]] = None) -> Archive:
    """The archive that the options describe."""
    return named(given.archive, given, on_progress)


def named(
    where: Optional[str], given: argparse.Namespace, on_progress: Optional[Callable[[int, int], None]] = None
) -> Archive:
    """The archive of a name or an address, with what the options say of us."""
    fields: dict[str, Any] = {}
    if given.node is not None:
        where, fields = as_the_node(where, given.node, given.config)
    own = {"local_ae_title": given.ae_title, "local_port": given.listen}
    fields.update((name, value) for name, value in own.items() if value is not None)
    return Archive(where, budget=given.budget, config=given.config, on_progress=on_progress, **fields)


def as_the_node(
    where: Optional[str], folder: str, config: Optional[str] = None
) -> tuple[Optional[str], dict[str, Any]]:
    """Where an archive is that may be a peer of a node, and the settings with which the node calls it."""
    from ..node.settings import load

    options = load(folder)
    fields: dict[str, Any] = {"local_ae_title": options.ae_title}
    peer = options.peers.get(where or "")
    if peer is None:
        return where, fields if Config.load(config).archive(where).kind == "dimse" else {}
    if peer.port is None:
        raise ConfigError(f"{where} has no host and port in the white list of {folder}. Add them.")
    if peer.tls:
        tls = options.tls
        files = {"certificate_file": tls.certificate_file, "key_file": tls.key_file, "ca_file": tls.ca_file}
        fields.update(tls=True, **{name: file for name, file in files.items() if file is not None})
    host = f"[{peer.host}]" if ":" in peer.host else peer.host
    return f"dimse://{quote(where or '', safe='')}@{host}:{peer.port}", fields


def add_echo(commands: Any) -> None:
    """``qa-fetch echo``."""
    made = command(
        commands,
        "echo",
        echo,
        summary="test the connection to an archive step by step, and say what to do where it fails",
        example="  qa-fetch echo aria --patient QA_TB1",
    )
    add_archive(made, optional=True)
    made.add_argument("--patient", metavar="ID", default="", help="also see whether this patient's plans are visible")
    for_machines(made)


def echo(given: argparse.Namespace) -> int:
    """Print each step with what it found; 1 when one failed."""
    archive = archive_of(given)
    steps = archive.echo(given.patient)
    if given.json:
        say_json({"archive": archive.name, "steps": [vars(step) for step in steps]})
    else:
        marks = {True: "ok", False: "FAILED", None: "?"}
        say_table(("step", "", archive.name), [(step.name, marks[step.works], step.says) for step in steps])
    return 1 if any(step.works is False for step in steps) else 0


def add_find(commands: Any) -> None:
    """``qa-fetch find``."""
    made = command(
        commands,
        "find",
        find,
        summary="ask an archive what it has, with DICOM keywords",
        example="  qa-fetch find aria IMAGE PatientID=QA_TB1 Modality=RTPLAN RTPlanLabel=",
    )
    add_archive(made)
    made.add_argument("level", metavar="LEVEL", help="PATIENT, STUDY, SERIES or IMAGE")
    made.add_argument(
        "keys", metavar="KEY=VALUE", nargs="*", help="what to match; an empty value asks for the attribute to be shown"
    )
    for_machines(made)


def find(given: argparse.Namespace) -> int:
    """Print one row per entity that fits."""
    keys = dict(map(key, given.keys))
    rows = archive_of(given).find(given.level, keys)
    if given.json:
        say_json([plain_row(row) for row in rows])
    else:
        say_rows(rows)
    return 0


def say_rows(rows: Sequence[Any]) -> None:
    """A table of answers, with a column for each attribute that one of them has."""
    columns = list(dict.fromkeys(element.keyword for row in rows for element in row if element.keyword not in _HIDDEN))
    say_table(columns, [[_shown(row.get(column)) for column in columns] for row in rows])
    print(f"{len(rows)} found")


_HIDDEN = ("SpecificCharacterSet", "QueryRetrieveLevel", "RetrieveAETitle", "InstanceAvailability", "PixelData", "")


def key(text: str) -> tuple[str, Any]:
    """A keyword and its value, or its values."""
    keyword, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"{text!r} is not a key. Write it as KEYWORD=VALUE, for example PatientID=QA_TB1.")
    return keyword, value.split("\\") if "\\" in value else value


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, tuple)) or type(value).__name__ in ("MultiValue", "Sequence"):
        return "; ".join(_shown(part) for part in value)
    if hasattr(value, "keys") and hasattr(value, "to_json_dict"):
        return ", ".join(f"{element.keyword}={_shown(element.value)}" for element in value)
    return str(value)


def plain_row(row: Any) -> dict[str, Any]:
    """An answer for machines."""
    return {element.keyword: _json(element.value) for element in row if element.keyword not in _HIDDEN}


def _json(value: Any) -> Any:
    if hasattr(value, "to_json_dict"):
        return plain_row(value)
    if isinstance(value, (list, tuple)) or type(value).__name__ in ("MultiValue", "Sequence"):
        return [_json(part) for part in value]
    return value if isinstance(value, (int, float)) or value is None else str(value)
