"""Why a DICOM archive cannot be used, found out in the order in which things can be wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from ..budget import Budget
from ..config import ArchiveConfig
from ..errors import NotFound, QAFetchError, Refused
from ..matching import Value, query
from . import Local, Step, receiver, standing
from .link import Link, Sentences, reach, resolve

# A UID that names nothing: a C-MOVE for it shows whether the destination is known, and moves no image.
_NOTHING = "2.25.1"


class Diagnosed(Protocol):
    """What has to be known of a DICOM backend to test its connection."""

    @property
    def models(self) -> Mapping[str, str]:
        """The SOP classes of find, move and get."""
        ...

    def open(self, budget: Budget) -> Link:
        """The association, opened when it is first needed."""
        ...

    def find(self, level: str, keys: Mapping[str, Value], returned: Sequence[str], budget: Budget) -> list[Any]:
        """What the archive has."""
        ...


def steps(backend: Diagnosed, archive: ArchiveConfig, local: Local, budget: Budget, patient: str) -> Iterator[Step]:
    """Name, port, association, echo, query, and the way back; stops at the first that fails."""
    host, port = archive["host"], archive["port"]
    try:
        yield Step("name", True, f"{host} resolves to {resolve(host, port)}")
    except QAFetchError as error:
        yield Step("name", False, error.message)
        return
    try:
        reach(host, port, budget.at_most(archive["timeout"])).close()
        yield Step("port", True, f"something listens on {host} port {port}")
    except QAFetchError as error:
        yield Step("port", False, error.message)
        return
    try:
        link = backend.open(budget)
        yield Step("association", True, f"{archive['ae_title']} accepts {local.ae_title} as a client")
    except QAFetchError as error:
        yield Step("association", False, error.message)
        return
    try:
        if link.accepts("1.2.840.10008.1.1"):
            link.echo(budget)
            yield Step("echo", True, "it answers C-ECHO")
        else:
            yield Step("echo", None, "it does not offer C-ECHO, which it should")
        if not link.accepts(backend.models["find"]):
            other = "patient" if archive["root"] == "study" else "study"
            yield Step("query", False, f'{archive.name} refuses {archive["root"]} root queries. Set root = "{other}".')
            return
        yield Step("query", True, f"it offers {archive['root']} root queries")
    except QAFetchError as error:
        yield Step("echo", False, error.message)
        return
    if archive["retrieve"] in ("auto", "get") and link.accepts(backend.models["get"]):
        yield Step("retrieve", True, "it offers C-GET: images come back over the same connection")
    elif link.accepts(backend.models["move"]):
        yield _way_back(backend, archive, local, budget)
    else:
        yield Step("retrieve", False, f"{archive.name} offers neither C-GET nor C-MOVE to {local.ae_title}.")
        return
    if patient:
        yield _plans_of(backend, patient, budget)


def _way_back(backend: Diagnosed, archive: ArchiveConfig, local: Local, budget: Budget) -> Step:
    """Whether the archive knows us as a destination, found out without moving anything."""
    who = f"{local.ae_title} at port {local.port}"
    if standing.standing_at(local):
        kind = "the always-on receiver is running"
    else:
        problem = receiver.try_port(local, budget)
        if problem:
            return Step("retrieve", False, problem)
        kind = "the port is free for a temporary receiver"
    link = backend.open(budget)
    try:
        identifier = query("STUDY", {"StudyInstanceUID": _NOTHING})
        code, _ = link.move(identifier, backend.models["move"], local.ae_title, budget, lambda: False)
        if code == 0xA801:
            raise Sentences(archive, local).refusal("C-MOVE", code)
        if code != 0x0000:
            says = f"it answers a C-MOVE of nothing with 0x{code:04X}, which does not show whether it knows {who}"
            return Step("retrieve", None, f"{says}; {kind}")
    except Refused as error:
        return Step("retrieve", False, error.message)
    except QAFetchError as error:
        return Step("retrieve", None, error.message)
    return Step("retrieve", True, f"it takes C-MOVE requests to {who}, and {kind}")


def _plans_of(backend: Diagnosed, patient: str, budget: Budget) -> Step:
    """Whether a patient's plans can be seen: the last thing that access rights can spoil."""
    try:
        rows = backend.find("IMAGE", {"PatientID": patient, "Modality": "RTPLAN"}, ["RTPlanLabel"], budget)
        if not rows:
            raise NotFound("it shows no plan of that patient. Check the ID, and what this AE title may see.")
    except QAFetchError as error:
        return Step("patient", False, error.message)
    return Step("patient", True, f"plans of that patient: {len(rows)}")
