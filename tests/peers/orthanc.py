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

And with HTTP (REST, and the DICOMweb plugin 1.7):

- It closes an idle connection after one second, and says so. WADO-RS answers are neither chunked nor of a known length:
  only the closing boundary tells a whole answer from a broken one.
- ``RequestedTags`` of ``/tools/find`` are ignored (Orthanc 1.11 answers them); its digest of the four UIDs names an
  instance, so that none has to be looked up.
- QIDO-RS calls all text ISO_IR 100, although JSON is Unicode.
- STOW-RS answers 400 when one object of several is refused, without naming it in FailedSOPSequence.
"""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any, Optional

from .process import LOOPBACK, Destinations, Missing, ServerProcess, program

_PLUGIN = "libOrthancDicomWeb.so"
_PLUGINS = ("/usr/share/orthanc/plugins", "/usr/local/share/orthanc/plugins")


def dicomweb_plugin() -> str:
    """The path of the DICOMweb plugin; Missing when there is none."""
    found = [Path(folder, _PLUGIN) for folder in _PLUGINS if Path(folder, _PLUGIN).exists()]
    if not found:
        raise Missing("Orthanc's DICOMweb plugin", "orthanc-dicomweb")
    return str(found[0])


class Orthanc(ServerProcess):
    """A real Orthanc with temporary storage; ``strict`` makes it answer only callers that it knows.

    ``dicomweb`` loads its DICOMweb plugin; ``users`` are those who have to log in, with their passwords.

    Its destinations can be added while it runs (``know``), and it has an HTTP interface too (``url``).
    """

    ae_title = "ORTHANC"
    _ports = 2

    def __init__(
        self,
        destinations: Optional[Destinations] = None,
        *,
        strict: bool = False,
        dicomweb: bool = False,
        users: Optional[dict[str, str]] = None,
        options: Optional[dict[str, Any]] = None,
    ) -> None:
        super().__init__(destinations)
        self.http_port = 0
        self._program = program("Orthanc", "orthanc")
        self._strict = strict
        self._plugins = [dicomweb_plugin()] if dicomweb else []
        self._users = users or {}
        self._options = options or {}

    @property
    def url(self) -> str:
        """The root of its REST interface."""
        return f"http://{LOOPBACK}:{self.http_port}"

    @property
    def rest_address(self) -> str:
        """The archive behind its REST interface, as it is written where a name is asked for."""
        return f"orthanc+http://{LOOPBACK}:{self.http_port}"

    @property
    def web_address(self) -> str:
        """The same behind DICOMweb."""
        return f"dicomweb+http://{LOOPBACK}:{self.http_port}/dicom-web"

    def command(self, ports: list[int]) -> list[str]:
        """Write orthanc.json; no plugins but DICOMweb, nothing outside the temporary folder."""
        self.http_port = ports[1]
        settings = {
            "Name": "qa_fetch test peer",
            "StorageDirectory": "storage",
            "IndexDirectory": "storage",
            "Plugins": self._plugins,
            "DicomAet": self.ae_title,
            "DicomCheckCalledAet": True,
            "DicomPort": ports[0],
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": bool(self._users),
            "RegisteredUsers": self._users,
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
