r"""Debian's Orthanc on loopback.

What it does with questions (1.10.1, measured with pynetdicom and with findscu, getscu and movescu):

- Relational at every level, with and without the unique keys above; any attribute is returned, and matched from the
  objects where need be. Exceptions: ``ImageType=ORIGINAL\PRIMARY\PORTAL`` finds nothing, a UID inside a sequence is
  ignored. SeriesDate and SeriesTime at SERIES level are those of the object that was stored first.
- A C-MOVE with an unknown UID in its list leaves it out and says 0x0000; a C-GET sends nothing and says 0xC000.
- C-MOVE that matches nothing, to an unknown destination, or to one that does not listen: all 0xC000.
- A wrong called AE title is rejected (1, 1, 7). When ``strict``, an unknown caller is associated, may echo, and is
  aborted at its first C-FIND or C-MOVE, without a status.
- It takes seconds to say goodbye, so that it is killed after half a second; its storage is temporary.
"""

from __future__ import annotations

import json
import urllib.request
from typing import Any, Optional

from .process import LOOPBACK, Destinations, ServerProcess, program


class Orthanc(ServerProcess):
    """A real Orthanc with temporary storage; ``strict`` makes it answer only callers that it knows.

    Its destinations can be added while it runs (``know``), and it has an HTTP interface too (``url``).
    """

    ae_title = "ORTHANC"
    _ports = 2

    def __init__(
        self,
        destinations: Optional[Destinations] = None,
        *,
        strict: bool = False,
        options: Optional[dict[str, Any]] = None,
    ) -> None:
        super().__init__(destinations)
        self.http_port = 0
        self._program = program("Orthanc", "orthanc")
        self._strict = strict
        self._options = options or {}

    @property
    def url(self) -> str:
        """The root of its REST interface."""
        return f"http://{LOOPBACK}:{self.http_port}"

    def command(self, ports: list[int]) -> list[str]:
        """Write orthanc.json; no plugins, nothing outside the temporary folder."""
        self.http_port = ports[1]
        settings = {
            "Name": "qa_fetch test peer",
            "StorageDirectory": "storage",
            "IndexDirectory": "storage",
            "Plugins": [],
            "DicomAet": self.ae_title,
            "DicomCheckCalledAet": True,
            "DicomPort": ports[0],
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "OrthancExplorerEnabled": False,
            "WebDavEnabled": False,
            "DicomAlwaysAllowEcho": True,
            "DicomAlwaysAllowStore": not self._strict,
            "DicomAlwaysAllowFind": not self._strict,
            "DicomAlwaysAllowGet": not self._strict,
            "DicomAlwaysAllowMove": not self._strict,
            "DicomModalities": {title: [title, host, port] for title, (host, port) in self.destinations.items()},
            "OverwriteInstances": True,
            "StableAge": 1,
            "ConcurrentJobs": 4,
            "JobsHistorySize": 10,
            **self._options,
        }
        config = self.folder / "orthanc.json"
        config.write_text(json.dumps(settings, indent=2), "utf-8")
        return [self._program, str(config)]

    def know(self, ae_title: str, port: int, host: str = LOOPBACK) -> None:
        """Add or change a C-MOVE destination (and, when strict, a permitted caller)."""
        self.destinations[ae_title] = (host, port)
        self.rest("PUT", f"/modalities/{ae_title}", [ae_title, host, port])

    def rest(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the REST interface, JSON in and out."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
            text = answer.read()
        return json.loads(text) if text else None
