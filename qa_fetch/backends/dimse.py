"""Any DICOM archive over C-FIND, C-GET, C-MOVE and C-STORE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Callable, Optional

from ..budget import Budget
from ..config import ArchiveConfig
from ..errors import Refused
from ..matching import Value, matches, query
from ..shelf import Claim, Reference
from . import Local, Sent, Step
from .connections import Connections
from .diagnosis import steps
from .levels import UNIQUE, above, check_level, chosen, completed, only, require_anchor
from .link import Link, Purpose
from .relaying import OnSent, Relayed, refusal
from .retrieval import Retrieval
from .sending import Sending
from .storage import VERIFICATION

_MODELS = {
    "study": {
        "find": "1.2.840.10008.5.1.4.1.2.2.1",
        "move": "1.2.840.10008.5.1.4.1.2.2.2",
        "get": "1.2.840.10008.5.1.4.1.2.2.3",
    },
    "patient": {
        "find": "1.2.840.10008.5.1.4.1.2.1.1",
        "move": "1.2.840.10008.5.1.4.1.2.1.2",
        "get": "1.2.840.10008.5.1.4.1.2.1.3",
    },
}
# How archives say "not this question": identifier does not match, unable to process, too large to answer.
_CANNOT = (0xA900, 0xC000, 0xC001, 0xC002, 0xA700)


def _unknown() -> dict[str, Optional[bool]]:
    return dict.fromkeys(UNIQUE)


# What this process has found out about archives whose ``relational`` is "auto": per address, per level.
_learned: dict[tuple[str, int, str], dict[str, Optional[bool]]] = {}


class DimseBackend:
    """An archive that speaks DICOM's own services."""

    def __init__(self, archive: ArchiveConfig, local: Local) -> None:
        self.name = archive.name
        self._archive = archive
        self._local = local
        self._models = _MODELS[archive["root"]]
        self._relational: dict[str, Optional[bool]]
        self._connections = Connections(archive, local)
        services = [self._models["find"], VERIFICATION]
        services += [self._models[way] for way in ("move", "get") if archive["retrieve"] in ("auto", way)]
        self._asking = Purpose(tuple(services))
        configured = archive["relational"]
        if configured == "auto":
            self._relational = _learned.setdefault((archive["host"], archive["port"], archive["ae_title"]), _unknown())
        else:
            self._relational = dict.fromkeys(UNIQUE, configured)

    @property
    def relational(self) -> bool:
        """Whether image queries may leave out study and series; assumed until the archive proves otherwise."""
        return self._relational["IMAGE"] is not False

    # --- asking

    def find(self, level: str, keys: Mapping[str, Value], returned: Sequence[str], budget: Budget) -> list[Any]:
        """Entities of a level that fit the keys; walks down the levels where the archive needs that."""
        level = check_level(level)
        if level == "PATIENT" and self._archive["root"] == "study":
            return self._patients(keys, returned, budget)
        uppers = [upper for upper in above(level) if upper != "PATIENT" or self._archive["root"] == "patient"]
        if all(_single(keys.get(UNIQUE[upper])) for upper in uppers):
            return chosen(self._ask(level, keys, returned, budget) or (), level, keys)
        if self._relational[level] is not False:
            found = self._across(level, keys, returned, budget)
            if found or (found is not None and self._relational[level]):
                self._relational[level] = True
                return found
        rows = self._walk(level, keys, returned, budget)
        if rows:
            self._relational[level] = False  # it refused or ignored the question, or found nothing where something is
        return rows

    def _across(
        self, level: str, keys: Mapping[str, Value], returned: Sequence[str], budget: Budget
    ) -> Optional[list[Any]]:
        """The relational way: one question for all of a patient; None where the archive cannot answer it.

        Some archives ignore the patient when study and series are left out and begin to list all that they have: the
        first row of a stranger shows it.
        """
        patient = {"PatientID": keys["PatientID"]} if _single(keys.get("PatientID")) else {}
        stranger = None
        if self._relational[level] is None and patient:
            theirs = query(level, patient)

            def stranger(row: Any) -> bool:
                return matches(theirs, row) is False

        try:
            rows = self._ask(level, keys, returned, budget, stranger)
        except Refused as error:
            if self._relational[level] is True or error.status is None or error.status not in _CANNOT:
                raise
            return None
        return chosen(rows, level, keys) if rows is not None else None

    def _patients(self, keys: Mapping[str, Value], returned: Sequence[str], budget: Budget) -> list[Any]:
        """Study Root has no patient level: its studies name their patients."""
        rows = self._ask("STUDY", keys, [*returned, "PatientID"], budget)
        return chosen(rows or (), "PATIENT", keys)

    def _ask(
        self,
        level: str,
        keys: Mapping[str, Value],
        returned: Sequence[str],
        budget: Budget,
        give_up: Optional[Callable[[Any], bool]] = None,
    ) -> Optional[list[Any]]:
        """One C-FIND. What archives match wrongly or not at all is asked for, and matched on our side."""
        ours = [
            keyword
            for keyword, value in keys.items()
            if keyword == "ImageType" or isinstance(value, Mapping) or (isinstance(value, str) and not value.isascii())
        ]
        sent = {keyword: value for keyword, value in keys.items() if keyword not in ours}
        identifier = query(level, sent, [*ours, *returned, UNIQUE[level]])
        return self._connections.run(
            self._asking, budget, lambda link: link.find(identifier, self._models["find"], budget, give_up)
        )

    def _walk(self, level: str, keys: Mapping[str, Value], returned: Sequence[str], budget: Budget) -> list[Any]:
        """The hierarchical way: each level on its own, below each entity found above."""
        require_anchor(self.name, keys)
        parents: list[Any] = [query(level, {})]
        del parents[0].QueryRetrieveLevel
        for step in (*above(level), level):
            if step == "PATIENT":
                continue
            found = []
            for parent in parents:
                found += self._below(step, parent, keys, returned, budget)
            parents = found
        return chosen(parents, level, keys)

    def _below(
        self, level: str, parent: Any, keys: Mapping[str, Value], returned: Sequence[str], budget: Budget
    ) -> list[Any]:
        own = {keyword: keys[keyword] for keyword in only(level, keys)}
        chain: dict[str, Value] = {
            UNIQUE[upper]: str(parent.get(UNIQUE[upper])) for upper in above(level) if parent.get(UNIQUE[upper])
        }
        if level == "STUDY":  # the patient's attributes belong to the top level of Study Root
            chain = {keyword: keys[keyword] for keyword in only("PATIENT", keys)}
        elif self._archive["root"] == "study":
            chain.pop("PatientID", None)
        asked = only(level, returned) + (only("PATIENT", returned) if level == "STUDY" else [])
        rows = chosen(self._ask(level, {**chain, **own}, asked, budget) or (), level, own)
        return [completed(row, parent) for row in rows]

    # --- fetching, sending, testing, closing

    def retrieve(self, references: Sequence[Reference], claim: Claim, budget: Budget) -> None:
        """Bring objects into the claim by C-GET where it is offered, else by C-MOVE; then try series by series."""
        Retrieval(self._archive, self._local, self._connections, self._models, self._asking).run(claim, budget)

    def store(self, files: Sequence[Path], budget: Budget) -> list[Sent]:
        """Send files; each is accounted for."""
        return Sending(self._archive, self._local, self._connections).run(files, budget)

    @property
    def commits(self) -> bool:
        """Whether the archive can be asked for commitment; pynetdicom takes reports only with a server of its own."""
        return self._local.transport != "pynetdicom"

    def commit(self, files: Sequence[Path], budget: Budget) -> list[Sent]:
        """Have the archive vouch for files that it was sent; what it says of each."""
        return Sending(self._archive, self._local, self._connections).commit(files, budget)

    @property
    def relays(self) -> bool:
        """Whether the archive can be asked to send objects to another one."""
        return True

    def relay(
        self, level: str, keys: Mapping[str, Value], destination: str, budget: Budget, on_sent: OnSent
    ) -> Relayed:
        """Have everything of a level that has these unique keys sent to an AE title; what the archive says of it."""
        model = self._models["move"]
        if self._archive["root"] == "study":  # where some archives take PatientID for all that is asked
            keys = {keyword: value for keyword, value in keys.items() if keyword != UNIQUE["PATIENT"]}
        purpose = self._asking if model in self._asking.services else Purpose((model, VERIFICATION))
        return self._connections.run(
            purpose, budget, lambda link: link.relay(query(level, keys), model, destination, budget, on_sent)
        )

    def why_unsent(self, relayed: Relayed, destination: str) -> str:
        """A sentence for the status of a ``relay`` that did not end well."""
        return refusal(relayed, archive=self.name, destination=destination, ours=self._local.ae_title)

    def echo(self, budget: Budget, patient: str = "") -> Iterator[Step]:
        """Try the connection step by step."""
        yield from steps(self, self._archive, self._local, budget, patient)

    def open(self, budget: Budget) -> Link:
        """The association for questions, opened when it is first needed."""
        return self._connections.open(self._asking, budget)

    @property
    def models(self) -> Mapping[str, str]:
        """The SOP classes of find, move and get for the configured root."""
        return self._models

    def close(self) -> None:
        """Give back the associations; they stay open for the next call for a while."""
        self._connections.close()


def _single(value: Value) -> bool:
    """Whether a key names one entity and not several or any."""
    return isinstance(value, str) and bool(value) and not set(value) & set("*?\\")
