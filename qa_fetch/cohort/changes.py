"""What changed in an Orthanc since it was last looked at, by its own list of changes.

The list is not the whole truth. Orthanc takes what is deleted out of it without a word, an administrator may clear it,
and behind the same address there may be another database than before, or an older copy of it. So the last entry that
was seen must still be there, and the number of objects must be that of before plus those that came; where this is not
so, nothing is concluded from the list, and ``Touched.why`` says why.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Optional

from ..archive import Archive
from ..backends.http.client import Client
from ..budget import Budget
from ..errors import BadArchive, Refused
from ..shelf.disk import write_text

_FORMAT = 1
_LARGEST = 1 << 24  # bytes
_PAGE = 1000
_NEW = ("NewInstance", "NewSeries", "NewStudy", "NewPatient")
_PLACES = {"Patient": "patients", "Study": "studies", "Series": "series", "Instance": "instances"}
_ENTRY = ("Seq", "ChangeType", "ResourceType", "ID", "Date")

FIRST = "this archive had not been looked at before"
_OTHER = "there is another database behind its address, or an older copy"
_CLEARED = "its list of changes does not go back to where it was last read"
_DELETED = "objects were deleted, of which it does not tell"


@dataclass(frozen=True)
class Mark:
    """How far an Orthanc was looked at: its last change, what that was, and how many objects it had."""

    last: int
    entry: Optional[dict[str, Any]]
    instances: int
    server: str


@dataclass(frozen=True)
class Touched:
    """The identifiers of patients to whom something came, and of those to whom anything else was done.

    Where ``why`` says something, these are not all.
    """

    changed: frozenset[str] = frozenset()
    other: frozenset[str] = frozenset()
    why: str = ""


@dataclass
class Marks:
    """The marks of all archives that a cohort has had, in a file."""

    path: Path
    _found: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            with self.path.open("rb") as file:
                found = json.loads(file.read(_LARGEST))
            if found["format"] == _FORMAT:
                self._found = dict(found["archives"])
        except (OSError, KeyError, RecursionError, TypeError, ValueError):
            self._found = {}  # then everything is compared

    def of(self, url: str) -> Optional[Mark]:
        """The mark of an archive, if there is one."""
        try:
            mark = Mark(**self._found[url])
        except (KeyError, TypeError):
            return None
        return mark if isinstance(mark.last, int) and isinstance(mark.instances, int) else None

    def put(self, url: str, mark: Mark) -> None:
        """Write the mark of an archive."""
        self._found[url] = asdict(mark)
        write_text(self.path, json.dumps({"format": _FORMAT, "archives": self._found}, indent=1) + "\n")


class Changes:
    """The list of changes of one Orthanc."""

    def __init__(self, archive: Archive) -> None:
        self.name = archive.name
        self.url: str = archive.config["url"]
        self._client = Client(archive.config)
        self._seconds: float = archive.config["budget"]

    def mark(self) -> Mark:
        """Where the list ends now."""
        system, page = self._ask("/system"), self._page("last")
        counted = self._ask("/statistics")
        count = counted.get("CountInstances") if isinstance(counted, dict) else None
        server = system.get("DatabaseServerIdentifier") if isinstance(system, dict) else None
        if not isinstance(count, int):
            raise self._strange()
        entries = page["Changes"]
        return Mark(page["Last"], _entry(entries[-1]) if entries else None, count, str(server or ""))

    def since(self, before: Optional[Mark], now: Mark) -> Touched:
        """Whom the changes between two marks touch."""
        if before is None:
            return Touched(why=FIRST)
        if now.last < before.last or (before.server and now.server and before.server != now.server):
            return Touched(why=_OTHER)
        if before.entry is None:
            return Touched(why=_CLEARED)
        there = self._page(f"since={before.last - 1}&limit=1")["Changes"]
        if not there or there[0].get("Seq") != before.last:
            return Touched(why=_CLEARED)  # also where what it was about has been deleted
        if _entry(there[0]) != before.entry:
            return Touched(why=_OTHER)
        came, resources = 0, dict[bool, dict[str, str]]()
        for entry in self._entries(before.last, now.last):
            came += entry["ChangeType"] == "NewInstance"
            resources.setdefault(entry["ChangeType"] in _NEW, {})[entry["ID"]] = entry["ResourceType"]
        changed = frozenset(self._patients(resources.get(True, {})))
        other = frozenset(self._patients(resources.get(False, {}))) - changed
        why = "" if now.instances == before.instances + came else _DELETED
        return Touched(changed, other, why)

    def instances(self, patient: str, modalities: Sequence[str]) -> Optional[frozenset[str]]:
        """The identifiers of all objects of these modalities of a patient; None where there is no such patient."""
        try:
            found = self._ask(f"/patients/{_safe(patient)}/series")
        except Refused as error:
            if error.status != 404:
                raise
            return None
        if not isinstance(found, list):
            raise self._strange()
        names: set[str] = set()
        for series in found:
            if series.get("MainDicomTags", {}).get("Modality") in modalities:
                names.update(series.get("Instances", ()))
        return frozenset(names)

    def _entries(self, after: int, until: int) -> Iterator[dict[str, Any]]:
        """The entries about patients and what is below them; the others are about the server's own work."""
        while after < until:
            page = self._page(f"since={after}&limit={_PAGE}")
            numbers = [entry["Seq"] for entry in page["Changes"]]
            for entry in page["Changes"]:
                if entry["Seq"] <= until and entry.get("ResourceType") in _PLACES:
                    yield entry
            if page["Done"] or not numbers or numbers[-1] <= after:
                return
            after = numbers[-1]

    def _patients(self, resources: dict[str, str]) -> set[str]:
        """Whose these resources are; those that are gone again are nobody's."""
        found = {identifier for identifier, kind in resources.items() if kind == "Patient"}
        below = sorted(identifier for identifier, kind in resources.items() if kind != "Patient")
        for at in range(0, len(below), _PAGE):
            some = below[at : at + _PAGE]
            try:
                said = self._ask("/tools/bulk-content", {"Resources": some, "Level": "Patient", "Metadata": False})
            except Refused as error:
                if error.status not in (404, 405):
                    raise
                said = [self._owner(one, resources[one]) for one in some]  # before Orthanc 1.9.4
            if not isinstance(said, list):
                raise self._strange()
            found.update(str(one["ID"]) for one in said if isinstance(one, dict) and "ID" in one)
        return found

    def _owner(self, identifier: str, kind: str) -> Any:
        try:
            return self._ask(f"/{_PLACES[kind]}/{_safe(identifier)}/patient")
        except Refused as error:
            if error.status != 404:
                raise
            return None

    def _page(self, which: str) -> dict[str, Any]:
        found = self._ask(f"/changes?{which}")
        try:
            wrong = not isinstance(found["Last"], int) or not isinstance(found["Done"], bool)
            wrong = wrong or not all(isinstance(entry["Seq"], int) for entry in found["Changes"])
            wrong = wrong or not all(isinstance(entry["ChangeType"], str) for entry in found["Changes"])
        except (KeyError, TypeError):
            raise self._strange() from None
        if wrong:
            raise self._strange()
        return dict(found)

    def _ask(self, path: str, body: Any = None) -> Any:
        return self._client.ask("query", "GET" if body is None else "POST", path, Budget(self._seconds), body)

    def _strange(self) -> BadArchive:
        return BadArchive(
            f"{self.name} answered with something that no Orthanc says. "
            "Check that ipport is the root of an Orthanc's REST interface."
        )


def _entry(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: entry.get(key) for key in _ENTRY}


def _safe(identifier: Any) -> str:
    """An identifier as it may stand in an address: Orthanc's are hexadecimal digits and hyphens."""
    text = str(identifier)
    if not text or set(text) - set("0123456789abcdef-"):
        raise BadArchive("an identifier is none that Orthanc gives. Run: qa-fetch cohort ids.")
    return text
