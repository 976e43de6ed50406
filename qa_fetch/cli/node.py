"""Commands that make and run a node: ``init``, ``serve``, ``import-sphere`` and ``status``."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from . import node_accounts, node_data
from .output import amount, command, for_machines, moment, say_facts, say_json

if TYPE_CHECKING:
    from ..node import Node, NodeOptions, Peer

_EXAMPLES = """\
examples:
  qa-fetch node init store/                 a folder with commented settings
  qa-fetch node serve store/                run it; Ctrl-C or SIGTERM ends it
  qa-fetch node serve --data store/         the same from flags alone, for this machine only
  qa-fetch node status store/               whether it runs, and what it holds
"""


def add_node(commands: Any) -> None:
    """``qa-fetch node`` and all that is below it."""
    made: argparse.ArgumentParser = commands.add_parser(
        "node",
        help="a small archive of our own: make it, run it, look after it",
        description="A small archive of our own: make it, run it, look after it.",
        epilog=_EXAMPLES.replace("examples:", "example:", 1),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    below = made.add_subparsers(
        title="commands", metavar="COMMAND", dest="node_command", required=True, help="what to do with it"
    )
    add_init(below)
    add_serve(below)
    add_import_sphere(below)
    add_status(below)
    node_data.add_statistics(below)
    node_data.add_data(below)
    node_data.add_database(below)
    node_accounts.add_user(below)
    node_accounts.add_token(below)


def add_init(commands: Any) -> None:
    """``qa-fetch node init``."""
    made = command(
        commands,
        "init",
        init,
        summary="make a folder for a node: commented settings, a white list, room for objects and log",
        example="  qa-fetch node init store/",
    )
    made.add_argument("folder", metavar="DIR", type=Path, help="a new folder, or one without a node.toml")


def init(given: argparse.Namespace) -> int:
    """Make it and say what to do next."""
    from ..node.scaffold import init as make

    make(given.folder)
    _say_next(given.folder)
    return 0


def _say_next(folder: Path) -> None:
    print(f"1. Write who may call it into {folder / 'white_list.toml'}; nobody else may.")
    print(f"2. Look through {folder / 'node.toml'}: AE title, port, pages.")
    print(f"3. Run it: qa-fetch node serve {folder}")


def add_serve(commands: Any) -> None:
    """``qa-fetch node serve``."""
    made = command(
        commands,
        "serve",
        serve,
        summary="run a node, DICOM and pages, until Ctrl-C or SIGTERM",
        example="  qa-fetch node serve store/\n"
        "  qa-fetch node serve --data store/ --port 11112 --web-port 8042 --peer LINAC1=10.0.0.5:104",
    )
    made.add_argument("folder", metavar="DIR", nargs="?", help="the node's folder (default: this one, if it is one)")
    made.add_argument("--data", metavar="DIR", type=Path, help="the folder of its objects; without DIR, all it needs")
    made.add_argument("--ae-title", metavar="T", help="what it is called (default: QA_NODE)")
    made.add_argument("--host", metavar="H", help="where it listens (default: 127.0.0.1, this machine only)")
    made.add_argument("--port", metavar="N", type=int, help="its port (default: 11112; 0 takes any free one)")
    made.add_argument("--web-port", metavar="N", type=int, help="the port of its pages (default: no pages)")
    made.add_argument(
        "--peer", metavar="AET=HOST:PORT", action="append", default=[], help="whom it knows; may be given several times"
    )


def serve(given: argparse.Namespace) -> int:
    """Run it in this process."""
    from ..node import serve as run

    run(_options(given), _say_ready)
    return 0


def _options(given: argparse.Namespace) -> NodeOptions:
    from ..node import NodeOptions
    from ..node.settings import FILE_NAME, load

    here = Path.cwd() / FILE_NAME
    flags = {"data": given.data, "ae_title": given.ae_title, "host": given.host, "port": given.port}
    flags = {name: value for name, value in flags.items() if value is not None}
    peers = dict(map(_peer, given.peer))
    if given.folder is not None or (given.data is None and here.is_file()):
        options = load(given.folder if given.folder is not None else here)
        for title in options.peers.keys() & peers.keys():  # only where it is has another answer now
            peers[title] = replace(options.peers[title], host=peers[title].host, port=peers[title].port)
        options = replace(options, **flags, peers={**options.peers, **peers})
    elif given.data is not None:
        from ..node.options import is_loopback

        # On an address that others reach, only the peers are let in: nobody opens an archive to a network by accident.
        closed = {} if given.host is None or is_loopback(given.host) else {"strangers": ()}
        options = NodeOptions(**flags, **closed, peers=peers)
    else:
        raise ConfigError(
            "say which node: qa-fetch node serve DIR for a folder that qa-fetch node init made, or --data DIR."
        )
    if given.web_port is not None:
        options = replace(options, web=replace(options.web, port=given.web_port))
    return options


def _peer(text: str) -> tuple[str, Peer]:
    from ..node import Peer

    title, equals, place = text.partition("=")
    host, colon, port = place.rpartition(":")
    if not (title and equals and host and colon and port.isdecimal()):
        raise ConfigError(f"{text!r} is not a peer. Write it as AET=HOST:PORT, for example LINAC1=10.0.0.5:104.")
    return title, Peer(host, int(port))


def _say_ready(node: Node) -> None:
    options = node.options
    encrypted = " with TLS" if options.tls.certificate_file is not None else ""
    print(f"{options.ae_title} listens on {options.host}:{node.port}{encrypted}; Ctrl-C ends it", flush=True)
    if options.web.port is not None:
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(options.web.host, options.web.host)
        print(f"its pages are at http://{host}:{node.web_port}/", flush=True)


def add_import_sphere(commands: Any) -> None:
    """``qa-fetch node import-sphere``."""
    made = command(
        commands,
        "import-sphere",
        import_sphere,
        summary="make a node's folder of the settings of a SPHERE PACS",
        example="  qa-fetch node import-sphere sphere/ --to store/",
    )
    made.add_argument("sphere", metavar="SPHERE_DIR", type=Path, help="the folder that sphere-admin made")
    made.add_argument("--to", metavar="DIR", type=Path, required=True, help="a new folder")
    for_machines(made)


def import_sphere(given: argparse.Namespace) -> int:
    """Import and say what was taken over, and what was not."""
    from ..node.sphere import import_sphere as run

    found = run(given.sphere, given.to)
    if given.json:
        say_json(asdict(found))
        return 0
    for theirs, ours in found.taken.items():
        print(f"taken over: {theirs} as {ours}")
    for title in found.peers:
        print(f"taken over: {title} of the white list")
    for name in found.left:
        print(f"not taken over: {name}")
    print("Its objects stay where they are; send them with: qa-fetch send")
    _say_next(given.to)
    return 0


def add_status(commands: Any) -> None:
    """``qa-fetch node status``."""
    made = command(
        commands,
        "status",
        status,
        summary="whether a node runs, where, and what it holds; the exit code is 1 when it does not answer",
        example="  qa-fetch node status store/",
    )
    node_data.add_folder(made)
    for_machines(made)


def status(given: argparse.Namespace) -> int:
    """Print what was found."""
    from ..node.status import status as look

    found = look(node_data.options_of(given))
    if given.json:
        say_json(asdict(found))
    else:
        facts: dict[str, object] = {"state": found.says, "folder": found.data}
        facts.update({"DICOM": found.dicom} if found.dicom else {})
        facts.update({"pages": found.web} if found.web else {})
        facts["objects"] = f"{found.objects}, {amount(found.bytes)}"
        facts.update({"last arrival": moment(found.last)} if found.last is not None else {})
        say_facts(facts)
    return 0 if found.works else 1
