"""Worker: an archive that behaves like ARIA, with a plan and many sessions of images, in a process of its own."""

from __future__ import annotations

import zlib
from datetime import datetime, time, timedelta
from typing import Any, Optional

from peers import course
from peers.doubles import ScriptedArchive, aria

from .jobs import serve
from .workloads import enlarged

PLAN = "WL_6X"
_DAYS_BETWEEN = 2


class _Aria:
    """The double of this process."""

    def __init__(self) -> None:
        self._double: Optional[ScriptedArchive] = None

    def open(self, sessions: int, rows: int, destinations: dict[str, int]) -> dict[str, Any]:
        """Serve as many sessions of a plan; the newest, of yesterday, has ten images of size, the others two."""
        plan = course.plan(PLAN)
        last = datetime.combine(datetime.now().date() - timedelta(days=1), time(17, 5))
        newest = course.session(plan, last, images=10, rows=2)
        for number, image in enumerate(newest.images):
            enlarged(image, rows, f"newest{number}")
        older = [course.session(plan, last - timedelta(days=_DAYS_BETWEEN * n), images=2) for n in range(1, sessions)]
        images = [image for one in [*older, newest] for image in one.images]
        known = {title: ("127.0.0.1", port) for title, port in destinations.items()}
        self._double = aria([plan, *images], destinations=known, callers=tuple(known))
        self._double.__enter__()
        uids = {zlib.crc32(image.PixelData): str(image.SOPInstanceUID) for image in newest.images}
        return {"port": self._double.port, "title": self._double.ae_title, "pixels": rows * rows * 2, "uids": uids}

    def asked(self) -> int:
        """How many requests came since the last time."""
        assert self._double is not None
        count = len(self._double.requests)
        self._double.requests.clear()
        return count


if __name__ == "__main__":
    _aria = _Aria()
    serve({"open": _aria.open, "asked": _aria.asked})
