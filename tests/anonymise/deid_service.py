"""A De-ID service on loopback, as PACSMAN's successor knows it, which can be told to go wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Callable, Optional

from peers.http_double import Asked, HttpDouble, Reply

TOKEN = "0a1b2c-s3cret"
URL_PATH = "/api/deid"

Codes = Callable[[str], Any]


class Deid(HttpDouble):
    """Gives P-something to whoever shows the token; ``replies`` come first, ``changed`` may alter its right answers."""

    def __init__(self, pair: Optional[tuple[Path, Path]]) -> None:
        super().__init__(self._script, pair)
        self.replies: list[Reply] = []
        self.changed: Callable[[dict[str, Any]], Any] = lambda answer: answer
        self.numbers: dict[str, int] = {}

    @property
    def address(self) -> str:
        """What ``deid_URL`` says."""
        return self.url + URL_PATH

    @property
    def bodies(self) -> list[Mapping[str, Any]]:
        """What was asked, as JSON."""
        return [json.loads(asked.body) for asked in self.asked]

    def _script(self, asked: Asked) -> Reply:
        if self.replies:
            return self.replies.pop(0)
        if asked.headers.get("Authorization") != f"token {TOKEN}":
            return Reply(401)
        if asked.method != "POST" or asked.path not in (URL_PATH, f"{URL_PATH}_shift"):
            return Reply(404)
        patients = [one["PatientID"] for one in json.loads(asked.body)["PatientIDList"]]
        numbers = {one: self.numbers.setdefault(one, len(self.numbers) + 1) for one in patients}
        shifts = asked.path.endswith("_shift")
        answer = {one: -7 * number if shifts else f"GPCR-{number:05d}" for one, number in numbers.items()}
        return Reply(200, json.dumps(self.changed(answer)).encode(), "text/html")  # its framework's default

    def config(self, folder: Path, ca_file: Optional[Path], **more: Any) -> Path:
        """A configuration file for it."""
        path = folder / "deid.json"
        given = {
            "deid_URL": self.address,
            "deid_token": TOKEN,
            **({"ca_file": str(ca_file)} if ca_file else {}),
            **more,
        }
        path.write_text(json.dumps({key: value for key, value in given.items() if value is not None}), "utf-8")
        return path


def endless() -> Iterator[bytes]:
    """More than anybody should read."""
    while True:
        yield b" " * 65_536
