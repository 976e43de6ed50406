"""Whether a node runs, where it can be reached, and what it holds."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Optional, Union

from ..backends.encryption import calling_context
from ..backends.storage import PLAIN, VERIFICATION
from ..backends.wire import Association, Context, Element, Kind, Lost, Proposal, Rejected
from ..errors import ConfigError
from ..locks import FileLock
from . import index
from .options import NodeOptions
from .server import NOTE

_PATIENCE = 5.0  # seconds
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # where a node that listens everywhere is called


@dataclass(frozen=True)
class Status:
    """What was found.

    Parameters
    ----------
    works
        Whether it runs and answers.
    says
        What was tried, and what came of it.
    data
        Its folder.
    dicom, web
        Where it listens and where its pages are, while it runs.
    objects, bytes, last
        How many objects it holds, how much they take, and when the last one came.
    """

    works: bool
    says: str
    data: Path
    dicom: str = ""
    web: str = ""
    objects: int = 0
    bytes: int = 0
    last: Optional[datetime] = None


def status(options: NodeOptions) -> Status:
    """Look at a node: its health page where it serves pages, else a C-ECHO, and its index."""
    objects, size, last = _content(options)
    if not _runs(options.data):
        return Status(False, "it is not running", options.data, objects=objects, bytes=size, last=last)
    note = _note(options.data)
    if note is None:
        return Status(False, "it is starting or stopping", options.data, objects=objects, bytes=size, last=last)
    web = f"http://{_shown(note['web_host'])}:{note['web_port']}/" if note["web_port"] else ""
    dicom = f"{note['ae_title']} at {note['host']}:{note['port']}"
    works, says = _health(note) if web else _echo(options, note)
    return Status(works, says, options.data, dicom, web, objects, size, last)


def _runs(data: Path) -> bool:
    if not (data / "node.lock").exists():
        return False
    with FileLock(data / "node.lock") as lock:
        return not lock.try_acquire()


def _note(data: Path) -> Optional[dict[str, Any]]:
    try:
        found: dict[str, Any] = json.loads((data / NOTE).read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):  # just before or after its life
        return None
    return found


def _content(options: NodeOptions) -> tuple[int, int, Optional[datetime]]:
    """What the index says; a node that was never started has none, and gets none by being looked at."""
    if not options.database.url and not (options.data / "index.sqlite3").is_file():
        return 0, 0, None
    index.configure(options)
    from django.db import Error as DatabaseError
    from django.db.models import Count, Max, Sum

    from .models import Instance

    try:
        found = Instance.objects.aggregate(objects=Count("pk"), size=Sum("size"), last=Max("stored"))
    except DatabaseError as error:
        raise ConfigError(
            f"the node's database cannot be used ({type(error).__name__}). "
            "Check that it runs and the [database] table, or run: qa-fetch node database check."
        ) from error
    finally:
        index.close_this_thread()
    return found["objects"], found["size"] or 0, found["last"]


def _health(note: dict[str, Any]) -> tuple[bool, str]:
    connection = http.client.HTTPConnection(
        _ANY.get(note["web_host"], note["web_host"]), note["web_port"], timeout=_PATIENCE
    )
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/health", headers={"Host": "localhost"})
            answer = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            return False, f"its health page does not answer ({type(error).__name__})"
    if answer.get("ok") is not True:
        return False, f"its index does not answer ({answer.get('index')})"
    return True, "it runs, and its index answers"


def _echo(options: NodeOptions, note: dict[str, Any]) -> tuple[bool, str]:
    """A C-ECHO; a node that does not know us says so, and thereby that it is there."""
    host, title = _ANY.get(note["host"], note["host"]), note["ae_title"]
    try:
        connection = socket.create_connection((host, note["port"]), _PATIENCE)
        if options.tls.certificate_file is not None:
            if options.tls.ca_file is None:  # its own certificate cannot be checked, and nothing is said unchecked
                connection.close()
                return True, "it runs, and listens; without ca_file in [tls] it cannot be asked more"
            connection = calling_context(options.tls, "[tls]").wrap_socket(connection, server_hostname=host)
        proposal = Proposal.of(title, title, [Context(VERIFICATION, PLAIN)])
        association = Association.request(connection, proposal, _PATIENCE)
        try:
            return _echoed(association)
        finally:
            association.release()
    except Rejected:
        return True, "it runs, and turns us away, since we are not on its white list"
    except (OSError, Lost) as error:
        return False, f"it does not answer a C-ECHO ({type(error).__name__})"


def _echoed(association: Association) -> tuple[bool, str]:
    context = next(iter(association.contexts), None)
    if context is None:
        return True, "it runs, and does not offer C-ECHO"
    elements: dict[Element, Union[int, str]] = {
        Element.AffectedSOPClassUID: VERIFICATION,
        Element.CommandField: Kind.C_ECHO,
        Element.MessageID: association.next_number(),
    }
    association.send(context, elements)
    answered = association.receive().command.number(Element.Status) == 0x0000
    return answered, "it runs, and answers C-ECHO" if answered else "it answers a C-ECHO with a failure"


def _shown(host: str) -> str:
    plain = _ANY.get(host, host)
    return f"[{plain}]" if ":" in plain else plain
