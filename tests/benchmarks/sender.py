"""Worker: a stream of small objects over one association, so fast that the receiver is what is measured."""

from __future__ import annotations

import time
from datetime import datetime

from peers import course
from peers.wire import Association
from pydicom.dataset import Dataset

from qa_fetch import part10

from .jobs import serve
from .workloads import enlarged

_PREFIX = "1.2.826.0.1.3680043.10.999."
_DIGITS = 12


def name(number: int) -> str:
    """The UID of an object of the stream; all are equally long."""
    return f"{_PREFIX}{10**_DIGITS + number}"


def stream(port: int, title: str, count: int, rows: int, seconds: float) -> dict[str, float]:
    """Send as many copies of a small image under UIDs of their own, until they are sent or the time is over."""
    image = enlarged(course.ct_slice(course.new_series("STREAM", "series"), datetime(2025, 1, 1), 1, rows=2), rows, "s")
    image.SOPInstanceUID = name(0)
    association = Association.request(("127.0.0.1", port), title, "SENDER", [str(image.SOPClassUID)])
    context = association.context_for(str(image.SOPClassUID))
    assert context is not None
    command = Dataset()
    command.AffectedSOPClassUID, command.AffectedSOPInstanceUID = image.SOPClassUID, name(0)
    command.CommandField, command.MessageID, command.Priority, command.CommandDataSetType = 1, 1, 0, 1
    request = part10.encode(command, part10.IMPLICIT_LITTLE)
    template = part10.encode(image, association.contexts[context].accepted)
    begun, sent, first = time.monotonic(), 0, name(0).encode()
    while sent < count and time.monotonic() - begun < seconds:
        uid = name(sent).encode()
        association.send_bytes(context, request.replace(first, uid), template.replace(first, uid))
        status = int(association.read().command.Status)
        if status:
            raise RuntimeError(f"object {sent} was refused with 0x{status:04X}")
        sent += 1
    taken = time.monotonic() - begun
    association.release()
    return {"sent": sent, "seconds": taken}


if __name__ == "__main__":
    serve({"stream": stream})
