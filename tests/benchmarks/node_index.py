"""Worker: fills the index of a node with objects that need no files, since queries read none."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from qa_fetch import part10
from qa_fetch.node import NodeOptions, index

from .jobs import serve


def fill(folder: str, template: str, instances: int) -> int:
    """Describe as many objects as are asked for: ten to a series, ten series to a study, one study to a patient."""
    options = NodeOptions(Path(folder))
    options.data.mkdir(parents=True)
    index.start(options)
    from django.db import transaction

    from qa_fetch.node import headers
    from qa_fetch.node.indexing import Described, Indexer

    indexer = Indexer()
    data = Path(template).read_bytes()
    now = datetime.now(timezone.utc)
    for start in range(0, instances, 1000):
        with transaction.atomic():
            for number in range(start, min(start + 1000, instances)):
                made = numbered(data, number)
                identity = part10.check(made, part10.EXPLICIT_LITTLE)
                header = headers.build(made, part10.EXPLICIT_LITTLE)
                indexer.add(Described(identity, header, part10.EXPLICIT_LITTLE, len(made), f"{number:064x}", now))
    index.close_this_thread()
    return instances


def numbered(template: bytes, number: int) -> bytes:
    """The template as the object of this number: its UIDs and its PatientID hold zeros of the same length."""
    patient, series = number // 100, number // 10
    made = template.replace(b"BENCHI_000000", b"BENCHI_%06d" % patient)
    for place, value in ((b".1.1000000", patient), (b".2.1000000", series), (b".3.1000000", number)):
        made = made.replace(place, place[:3] + b"%d" % (1000000 + value))
    return made


if __name__ == "__main__":
    serve({"fill": fill})
