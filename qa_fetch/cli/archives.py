"""Commands that ask an archive something: ``echo`` and ``find``; and the options that name an archive."""

from __future__ import annotations

import argparse
from typing import Any, Callable, Optional

from ..archive import Archive
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


def archive_of(given: argparse.Namespace, on_progress: Optional[Callable[[int, int], None]] = None) -> Archive:
    """The archive that the options describe."""
    fields: dict[str, Any] = {"local_ae_title": given.ae_title, "local_port": given.listen}
    return Archive(
        given.archive,
        budget=given.budget,
        config=given.config,
        on_progress=on_progress,
        **{name: value for name, value in fields.items() if value is not None},
    )


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
    keys = dict(_key(text) for text in given.keys)
    rows = archive_of(given).find(given.level, keys)
    if given.json:
        say_json([_plain(row) for row in rows])
        return 0
    columns = list(dict.fromkeys(element.keyword for row in rows for element in row if element.keyword not in _HIDDEN))
    say_table(columns, [[_shown(row.get(column)) for column in columns] for row in rows])
    print(f"{len(rows)} found")
    return 0


_HIDDEN = ("SpecificCharacterSet", "QueryRetrieveLevel", "RetrieveAETitle", "InstanceAvailability", "PixelData", "")


def _key(text: str) -> tuple[str, Any]:
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


def _plain(row: Any) -> dict[str, Any]:
    return {element.keyword: _json(element.value) for element in row if element.keyword not in _HIDDEN}


def _json(value: Any) -> Any:
    if hasattr(value, "to_json_dict"):
        return _plain(value)
    if isinstance(value, (list, tuple)) or type(value).__name__ in ("MultiValue", "Sequence"):
        return [_json(part) for part in value]
    return value if isinstance(value, (int, float)) or value is None else str(value)
