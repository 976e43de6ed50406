"""Commands about this machine: ``demo``, ``config``, ``receive`` and ``shelf``."""

from __future__ import annotations

import argparse
import signal
import threading
import time
from pathlib import Path
from typing import Any

from .. import shelf as shelves
from ..config import Config
from ..errors import ConfigError
from .output import amount, command, for_machines, say_json, say_table


def add_demo(commands: Any) -> None:
    """``qa-fetch demo``."""
    made = command(
        commands,
        "demo",
        demo,
        summary="make a Winston-Lutz course, store it in the embedded node, fetch and analyse it with the three lines",
        example="  qa-fetch demo --to demo/",
    )
    made.add_argument("--to", metavar="DIR", default="demo", help="where the PDF and the picture go (default: demo)")
    for_machines(made)


def demo(given: argparse.Namespace) -> int:
    """Run the demo and print what it found."""
    from .demo import run

    return run(Path(given.to), as_json=given.json)


def add_config(commands: Any) -> None:
    """``qa-fetch config``."""
    made = command(
        commands,
        "config",
        config,
        summary="print every setting and where its value comes from",
        example="  qa-fetch config",
    )
    made.add_argument("--config", metavar="FILE", help="a configuration file instead of the one that is found")
    for_machines(made)


def config(given: argparse.Namespace) -> int:
    """Print the settings of all layers."""
    settings = list(Config.load(given.config).settings())
    if given.json:
        say_json([vars(setting) for setting in settings])
    else:
        shown = [(setting.key, "" if setting.value is None else setting.value, setting.origin) for setting in settings]
        say_table(("setting", "value", "from"), shown)
    return 0


def add_receive(commands: Any) -> None:
    """``qa-fetch receive``."""
    made = command(
        commands,
        "receive",
        receive,
        summary="stay on and receive what archives send to this machine by C-MOVE, for every process on it",
        example="  qa-fetch receive --port 11113",
    )
    made.add_argument("--port", metavar="N", type=int, help="instead of the configured [local] port")
    made.add_argument("--ae-title", metavar="AET", help="instead of the configured [local] ae_title")
    made.add_argument("--to", metavar="DIR", help="keep objects here that no program asked for; else they are refused")
    made.add_argument("--config", metavar="FILE", help="a configuration file instead of the one that is found")


def receive(given: argparse.Namespace) -> int:
    """Receive until Ctrl-C or SIGTERM."""
    from ..receive import receive as run

    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Not end.set() itself: a second signal could interrupt the first inside the event's lock.
        signal.signal(number, lambda *_: threading.Thread(target=end.set).start())
    received, refused = run(
        port=given.port,
        ae_title=given.ae_title,
        to=given.to,
        until=end,
        ready=lambda title, port: print(f"receiving as {title} on port {port}; Ctrl-C ends it", flush=True),
        config=given.config,
    )
    print(f"{received} received, {refused} refused")
    return 0


def add_shelf(commands: Any) -> None:
    """``qa-fetch shelf``."""
    made = command(
        commands,
        "shelf",
        shelf,
        summary="look after the objects that were fetched: list, prune, verify",
        example="  qa-fetch shelf prune --older-than 90 --dry-run",
    )
    made.add_argument("action", choices=("list", "prune", "verify"), help="show the sets, make room, or read all again")
    made.add_argument("--older-than", metavar="DAYS", type=float, help="prune what has not been used for so long")
    made.add_argument("--max-size", metavar="GB", type=float, help="prune the longest unused until it fits")
    made.add_argument("--dry-run", action="store_true", help="only say what prune would remove")
    made.add_argument("--config", metavar="FILE", help="a configuration file instead of the one that is found")
    for_machines(made)


def shelf(given: argparse.Namespace) -> int:
    """List, prune or verify what lies on the shelf."""
    root: Path = Config.load(given.config).shelf("path").value
    return {"list": _list, "prune": _prune, "verify": _verify}[given.action](root, given)


def _list(root: Path, given: argparse.Namespace) -> int:
    found = list(shelves.entries(root))
    if given.json:
        say_json([vars(entry) for entry in found])
        return 0
    rows = [
        (
            entry.archive,
            entry.about,
            entry.files,
            amount(entry.size),
            _day(entry.last_used),
            entry.folder.relative_to(root),
        )
        for entry in found
    ]
    say_table(("archive", "what", "files", "size", "last used", "folder"), rows)
    print(f"{len(found)} sets, {amount(sum(entry.size for entry in found))} in {root}")
    return 0


def _prune(root: Path, given: argparse.Namespace) -> int:
    if given.older_than is None and given.max_size is None:
        raise ConfigError("prune removes nothing unless told what. Give --older-than DAYS or --max-size GB.")
    most = int(given.max_size * 1e9) if given.max_size is not None else None
    report = shelves.prune(root, older_than_days=given.older_than, max_bytes=most, dry_run=given.dry_run)
    if given.json:
        say_json({"removed": report.removed, "freed": report.freed, "dry_run": given.dry_run})
    else:
        verb = "would be removed" if given.dry_run else "removed"
        if given.dry_run:
            for path in report.removed:
                if path.parent.name == "sets":  # the objects in them are only counted
                    print(path)
        print(f"{len(report.removed)} sets and objects {verb}, {amount(report.freed)}")
    return 0


def _verify(root: Path, given: argparse.Namespace) -> int:
    report = shelves.verify(root)
    if given.json:
        say_json({"checked": report.checked, "damaged": report.damaged})
    else:
        for path in report.damaged:
            print(f"differs from what was fetched: {path}")
        print(f"{report.checked} files checked, {len(report.damaged)} damaged")
        if report.damaged:
            print("A damaged set is fetched again when it is next asked for.")
    return 1 if report.damaged else 0


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))
