"""What leaves for a peer that may not know who it is of: anonymised in flight, once all of it has been learnt."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

from ..errors import ConfigError, Incomplete, QAFetchError

if TYPE_CHECKING:
    from ..anonymise import Anonymiser, Rewritten
    from ..part10 import Buffer
    from .options import NodeOptions, Peer
    from .search import Stored

_AT_ONCE = 500  # as many parameters as every database takes
_REMEMBERED = 200_000  # digests, of about 100 bytes each
LOG = logging.getLogger("qa_fetch.node")


def anonymiser_for(peer: Peer) -> Optional[Anonymiser]:
    """How objects are anonymised for a peer; None where it gets them as they are, ConfigError without a key."""
    if peer.anonymise is None:
        return None
    from ..anonymise import Anonymiser
    from ..anonymise.keyed import Key

    Key.load(peer.anonymise, create=False)  # a slip in the path would otherwise begin another pseudonym for everybody
    return Anonymiser(peer.anonymise, peer.anonymise_profile)


def check_peer(title: str, peer: Peer, options: NodeOptions) -> None:
    """Refuse an entry that would tell a peer whose the objects are that it gets anonymised."""
    where, key = f"the node's options: peers.{title}", peer.anonymise
    if key is None:
        if peer.anonymise_profile != "basic":
            raise ConfigError(f"{where} has anonymise_profile but no anonymise. Add the file of a key.")
        return
    if "find" in peer.services:
        raise ConfigError(
            f"{where} gets its objects anonymised, but may query who they are of. Leave find out of its services."
        )
    told = [name for name in ("find", "get") if name in options.strangers and name in options.services]
    if told:
        raise ConfigError(
            f"{where} gets its objects anonymised, but could ask for the originals under another AE title, since "
            f"strangers may {' and '.join(told)}. Leave that out of node.strangers."
        )
    if options.data.resolve() in key.resolve().parents:
        raise ConfigError(f"{where}: the key {key} lies in the node's data folder. Move it to a place outside of it.")


class Anonymising:
    """The peers of a node that get nothing but anonymised objects."""

    def __init__(self, options: NodeOptions) -> None:
        self._peers: dict[str, _Shared] = {}
        for title, peer in options.peers.items():
            anonymiser = anonymiser_for(peer)
            if anonymiser is not None:
                self._peers[title.strip()] = _Shared(anonymiser)

    def flight(self, title: str) -> Optional[Flight]:
        """The way of some objects to a peer; None where they go as they are."""
        shared = self._peers.get(title.strip())
        return None if shared is None else Flight(shared)


class _Shared:
    """An anonymiser of which several associations make use, one after the other.

    ``learnt`` are the digests of stored objects from which nothing more can be learnt while the node runs.
    """

    def __init__(self, anonymiser: Anonymiser) -> None:
        self.anonymiser = anonymiser
        self.lock = threading.Lock()
        self.learnt: set[str] = set()


class Flight:
    """Objects of one retrieval on their way."""

    def __init__(self, shared: _Shared) -> None:
        self._shared = shared
        self._anonymiser = shared.anonymiser
        self._lock = shared.lock
        self._is_ready = False

    def learnt(self, rows: Sequence[Stored], path: Callable[[str], Path]) -> Iterator[None]:
        """Learn who is in all that the node holds of these patients, and keep who becomes whom, before one is sent.

        One object at each step; those that were learnt for an earlier retrieval are passed over.
        """
        from django.db import DatabaseError

        from ..anonymise.passing import Unread, learnt

        try:
            found = _related([row.SOPInstanceUID for row in rows])
        except DatabaseError as error:
            why = type(error).__name__
            LOG.error("what else the node holds of the patients cannot be looked up (%s), so nothing is sent", why)
            return
        fresh = {digest: path(uid) for digest, uid in found.items() if digest not in self._shared.learnt}
        steps = learnt(self._anonymiser, fresh.values())
        done: set[str] = set()  # without what is damaged: it may be restored under the same digest
        for digest in fresh:
            try:
                with self._lock:
                    if next(steps):
                        done.add(digest)
            except Unread as error:
                LOG.error("an object of the patients cannot be read (%s), so nothing is sent", error.reason)
                return
            yield
        try:
            with self._lock:
                next(steps, None)
        except (QAFetchError, OSError) as error:
            LOG.error("who becomes whom cannot be kept, so nothing is sent: %s", error)
            return
        if len(self._shared.learnt) > _REMEMBERED:
            self._shared.learnt.clear()
        self._shared.learnt.update(done)
        self._is_ready = True

    def rewritten(self, data: Buffer, transfer_syntax: str) -> Rewritten:
        """What an object becomes; Held where it is not passed on."""
        if not self._is_ready:
            raise Incomplete("an object is not sent before who becomes whom is kept. Ask for it again.")
        with self._lock:
            return self._anonymiser.encoded(data, transfer_syntax)

    def uid(self, uid: str) -> str:
        """How an object is called for the peer."""
        keeps = "retain-uids" in self._anonymiser.profile.options
        return uid if keeps else self._anonymiser.key.uid(uid)


def _related(uids: Sequence[str]) -> dict[str, str]:
    """The digest and UID of each of these objects, and of everything else in the studies of their patients."""
    from .models import Instance, Study

    found: dict[str, str] = {}
    studies: set[str] = set()
    patients: set[str] = set()
    for some in _in_parts(uids):
        found.update(Instance.objects.filter(SOPInstanceUID__in=some).values_list("digest", "SOPInstanceUID"))
        asked = Study.objects.filter(series__instances__SOPInstanceUID__in=some).distinct()
        for study, patient in asked.values_list("StudyInstanceUID", "patient__PatientID"):
            studies.add(study)
            patients.add(patient)
    for some in _in_parts(sorted(patients - {""})):
        studies.update(Study.objects.filter(patient__PatientID__in=some).values_list("StudyInstanceUID", flat=True))
    for some in _in_parts(sorted(studies - {""})):
        held = Instance.objects.filter(series__study__StudyInstanceUID__in=some)
        found.update(held.values_list("digest", "SOPInstanceUID"))
    return found


def _in_parts(values: Sequence[str]) -> Iterator[Sequence[str]]:
    return (values[at : at + _AT_ONCE] for at in range(0, len(values), _AT_ONCE))
