"""DCMTK's dcmqrscp on loopback."""

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
        """Write dcmqrscp.cfg; its tables may not be empty of their BEGIN and END."""
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
