"""Any DICOM archive over C-FIND, C-GET, C-MOVE and C-STORE."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Callable, Optional

from pynetdicom.presentation import build_context

from .. import part10
from ..budget import Budget
from ..config import ArchiveConfig
from ..errors import BadArchive, ConfigError, ConnectionFailed, QAFetchError, Refused
from ..matching import Value, matches, query
from ..shelf import Claim, Reference
from . import Local, Sent, Step, receiver
from .diagnosis import steps
from .levels import UNIQUE, above, check_level, chosen, completed, group_by_series, only
from .link import PENDING, Link, connect, refusal
from .storage import RADIOTHERAPY, UNCOMPRESSED, receiving

VERIFICATION = "1.2.840.10008.1.1"
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
_UIDS_PER_REQUEST = 100
_NO_DESTINATION = 0xA801
_LATE_ARRIVALS = 3.0  # seconds that objects may come after the archive called the transfer complete
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
        self._link: Optional[Link] = None
        self._claim: Optional[Claim] = None
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
        return self._open(budget).find(identifier, self._models["find"], budget, give_up)

    def _walk(self, level: str, keys: Mapping[str, Value], returned: Sequence[str], budget: Budget) -> list[Any]:
        """The hierarchical way: each level on its own, below each entity found above."""
        if not only("PATIENT", keys) and not only("STUDY", keys):
            raise ConfigError(
                f"{self.name} looks for nothing below its studies unless it is told where. "
                "Give PatientID or StudyInstanceUID as well."
            )
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

    # --- fetching

    def retrieve(self, references: Sequence[Reference], claim: Claim, budget: Budget) -> None:
        """Bring objects into the claim by C-GET where it is offered, else by C-MOVE; then try series by series."""
        self._claim = claim
        problem: Optional[QAFetchError] = None
        try:
            for way in self._ways(budget):
                try:
                    for level in ("IMAGE", "SERIES"):
                        problem = self._by_level(way, level, claim, budget) or problem
                        if not claim.missing or budget.spent:
                            return
                except ConnectionFailed as error:
                    if not claim.missing:
                        return
                    problem = error
                    if budget.spent:
                        break
        finally:
            self._claim = None
        if problem is not None:
            raise problem

    def _by_level(self, way: Callable[..., Any], level: str, claim: Claim, budget: Budget) -> Optional[QAFetchError]:
        """Ask as long as that brings anything; the archive's refusal, if it refused."""
        before = None
        while claim.missing and before != len(claim.missing) and not budget.spent:
            before = len(claim.missing)
            try:
                with way(claim, budget) as transfer:
                    self._transfer_all(transfer, level, claim, budget)
            except Refused as error:
                if error.status in (None, _NO_DESTINATION):  # another way would be refused for the same reason
                    raise
                return error
            if claim.failure is not None:
                raise claim.failure
        return None

    def _ways(self, budget: Budget) -> Iterator[Callable[..., Any]]:
        if self._archive["retrieve"] == "get" or (
            self._archive["retrieve"] == "auto" and self._open(budget).accepts(self._models["get"])
        ):
            yield self._by_get
        if self._archive["retrieve"] in ("auto", "move"):
            yield self._by_move

    def _transfer_all(self, transfer: _Transfer, level: str, claim: Claim, budget: Budget) -> None:
        size = _UIDS_PER_REQUEST if level == "IMAGE" else None
        for group in group_by_series(claim.missing):
            for start in range(0, len(group), size or len(group)):
                if level == "SERIES":
                    claim.welcome(group[start].series)
                code = transfer(self._identifier(level, group[start : start + (size or len(group))]))
                if claim.failure is not None or budget.spent:
                    return
                if code not in (0x0000, 0xB000, *PENDING):
                    raise self._refusal(transfer.service, code)

    def _identifier(self, level: str, group: Sequence[Reference]) -> Any:
        first = group[0]
        keys: dict[str, Value] = {"StudyInstanceUID": first.study, "SeriesInstanceUID": first.series}
        if self._archive["root"] == "patient":
            keys["PatientID"] = first.patient
        if level == "IMAGE":
            keys["SOPInstanceUID"] = [reference.instance for reference in group]
        return query(level, keys)

    @contextlib.contextmanager
    def _by_get(self, claim: Claim, budget: Budget) -> Iterator[_Transfer]:
        classes = {reference.sop_class for reference in claim.missing if reference.sop_class}
        if not classes <= set(RADIOTHERAPY):
            self.close()
        link = self._open(budget, sorted(classes))

        def ask(identifier: Any) -> int:
            code, _ = link.get(identifier, self._models["get"], budget, lambda: claim.failure is not None)
            return code

        yield _Transfer("C-GET", ask)

    @contextlib.contextmanager
    def _by_move(self, claim: Claim, budget: Budget) -> Iterator[_Transfer]:
        link = self._open(budget)
        if receiver.standing_at(self._local):
            with receiver.want(self._local, claim) as asked:
                yield self._mover(link, claim, budget, asked.collect)
        else:
            with receiver.temporary(self._local, claim, budget):
                yield self._mover(link, claim, budget, lambda: 0)

    def _mover(self, link: Link, claim: Claim, budget: Budget, collect: Callable[[], int]) -> _Transfer:
        def stop() -> bool:
            collect()
            return claim.failure is not None

        def ask(identifier: Any) -> int:
            before = len(claim.missing)
            code, sent = link.move(identifier, self._models["move"], self._local.ae_title, budget, stop)
            patience = Budget(budget.at_most(_LATE_ARRIVALS))
            while not stop() and before - len(claim.missing) < min(sent, before) and not patience.spent:
                time.sleep(0.01)
            return code

        return _Transfer("C-MOVE", ask)

    # --- sending, testing, closing

    def store(self, files: Sequence[Path], budget: Budget) -> list[Sent]:
        """Send files over one association; each is accounted for."""
        kinds: dict[tuple[str, str], None] = {}
        readable: dict[Path, str] = {}
        for path in files:
            try:
                meta = part10.read(path, headers_only=True, keywords=["SOPInstanceUID"]).file_meta
                kinds[(str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID))] = None
                readable[path] = ""
            except (BadArchive, AttributeError):
                readable[path] = f"{path.name} is not a readable DICOM file"
        contexts = [
            build_context(sop_class, [syntax] if syntax not in UNCOMPRESSED else _first(syntax, UNCOMPRESSED))
            for sop_class, syntax in kinds
        ]
        outcome = []
        link = connect(self._archive, self._local, contexts[:128], budget) if contexts else None
        try:
            for path, problem in readable.items():
                if not problem and link is not None:
                    problem = self._store_one(link, path, budget)
                outcome.append(Sent(path, problem))
        finally:
            if link is not None:
                link.release()
        return outcome

    def _store_one(self, link: Link, path: Path, budget: Budget) -> str:
        try:
            code = link.store(path, budget)
        except ValueError:
            return f"{self.name} does not accept objects of this class in this transfer syntax"
        except ConnectionFailed as error:
            return error.message
        return "" if code == 0x0000 or code & 0xF000 == 0xB000 else self._refusal("C-STORE", code).message

    def _refusal(self, service: str, status: int) -> Refused:
        return refusal(self._archive, self._local, service, status)

    def echo(self, budget: Budget, patient: str = "") -> Iterator[Step]:
        """Try the connection step by step."""
        yield from steps(self, self._archive, self._local, budget, patient)

    def open(self, budget: Budget) -> Link:
        """The association of this call, opened when it is first needed."""
        return self._open(budget)

    @property
    def models(self) -> Mapping[str, str]:
        """The SOP classes of find, move and get for the configured root."""
        return self._models

    def _open(self, budget: Budget, sop_classes: Sequence[str] = ()) -> Link:
        if self._link is not None and self._link.alive:
            return self._link
        self.close()  # what a connection that was lost leaves open
        contexts = [build_context(self._models["find"]), build_context(VERIFICATION)]
        roles: list[Any] = []
        if self._archive["retrieve"] in ("auto", "move"):
            contexts.append(build_context(self._models["move"]))
        if self._archive["retrieve"] in ("auto", "get"):
            contexts.append(build_context(self._models["get"]))
            storage, roles = receiving(dict.fromkeys([*sop_classes, *RADIOTHERAPY]))
            contexts += storage[: 128 - len(contexts)]
        self._link = connect(self._archive, self._local, contexts, budget, roles=roles, on_store=self._on_store)
        return self._link

    def _on_store(self, event: Any) -> int:
        claim = self._claim
        return 0x0124 if claim is None else receiver.status_of(claim.take, event)

    def close(self) -> None:
        """Release the association."""
        if self._link is not None:
            self._link.release()
            self._link = None


class _Transfer:
    """One way of asking for objects: call it with an identifier, it returns the final status."""

    def __init__(self, service: str, ask: Callable[[Any], int]) -> None:
        self.service = service
        self._ask = ask

    def __call__(self, identifier: Any) -> int:
        return self._ask(identifier)


def _single(value: Value) -> bool:
    """Whether a key names one entity and not several or any."""
    return isinstance(value, str) and bool(value) and not set(value) & set("*?\\")


def _first(chosen_syntax: str, syntaxes: Sequence[str]) -> list[str]:
    return [chosen_syntax, *(syntax for syntax in syntaxes if syntax != chosen_syntax)]
