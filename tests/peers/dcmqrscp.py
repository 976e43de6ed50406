r"""DCMTK's dcmqrscp on loopback.

What it does with questions (3.6.7, measured with pynetdicom and with findscu, getscu and movescu):

- The unique keys of the levels above must be present. Absent: C-FIND 0xC000 (not 0xA900), C-MOVE and C-GET 0x0000 with
  no sub-operations. Present but empty, it answers for **everything it holds, of every patient**: under Study Root a
  PatientID is matched at STUDY level only, a Modality at SERIES level only. The rows carry the true values.
- PATIENT level under Study Root: 0xC000.
- Matched and returned are only: at STUDY level the patient's and study's own keys (no counts, no ModalitiesInStudy); at
  SERIES level SeriesInstanceUID, Modality, SeriesNumber (no SeriesDate); at IMAGE level SOPInstanceUID and
  InstanceNumber (no SOPClassUID, no label, no ImageType). All others are ignored and absent from the answer, not empty.
- Lists of UIDs work at every level, in C-FIND, C-MOVE and C-GET. An unknown UID in a list is left out: 0x0000.
- C-GET is offered. C-MOVE: destination not in HostTable 0xA801, destination that does not listen 0xA702.
- Any caller is accepted (ANY), a wrong called AE title is rejected (1, 1, 7).
- More than 500 studies per storage area are not allowed; a study beyond the quota deletes the oldest.
"""

from __future__ import annotations

from typing import Optional

from .process import LOOPBACK, Destinations, ServerProcess, program


class Dcmqrscp(ServerProcess):
    """A real dcmqrscp with one storage area; C-GET is on unless ``get`` is False."""

    ae_title = "DCMQRSCP"

    def __init__(
        self, destinations: Optional[Destinations] = None, *, get: bool = True, options: tuple[str, ...] = ()
    ) -> None:
        super().__init__(destinations)
        self._program = program("dcmqrscp", "dcmtk")
        self._get = get
        self._options = options

    def command(self, ports: list[int]) -> list[str]:
        """Write dcmqrscp.cfg; its three tables must all be there, even when they are empty."""
        storage = self.folder / "storage"
        storage.mkdir(exist_ok=True)
        hosts = [
            f"host{number} = ({title}, {host}, {port})"
            for number, (title, (host, port)) in enumerate(self.destinations.items())
        ]
        lines = [
            f"NetworkTCPPort = {ports[0]}",
            "MaxPDUSize = 16384",
            "MaxAssociations = 32",
            "HostTable BEGIN",
            *hosts,
            "HostTable END",
            "VendorTable BEGIN",
            "VendorTable END",
            "AETable BEGIN",
            f"{self.ae_title} {storage} RW (500, 1024mb) ANY",
            "AETable END",
        ]
        config = self.folder / "dcmqrscp.cfg"
        config.write_text("\n".join(lines) + "\n", "utf-8")
        get = () if self._get else ("--disable-get",)
        return [self._program, "--config", str(config), *get, *self._options, str(ports[0])]

    def know(self, ae_title: str, port: int, host: str = LOOPBACK) -> None:
        """Add or change a C-MOVE destination; dcmqrscp reads its tables once, so it starts again with its storage."""
        self.destinations[ae_title] = (host, port)
        self.stop()
        if not self._run([self.port]):
            raise RuntimeError(f"dcmqrscp did not start again:\n{self.log[-2000:]}")
