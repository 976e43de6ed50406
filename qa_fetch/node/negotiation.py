"""What the node agrees to when an association is opened."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Callable, Optional

from django.db import Error as DatabaseError
from django.db.models import Count

from .. import part10
from ..backends.acceptor import check_called
from ..backends.commitment import SERVICE as COMMITMENT
from ..backends.storage import PLAIN, VERIFICATION, is_storage
from ..backends.wire import Context, Proposal, Rejected
from .models import Instance
from .options import NodeOptions
from .white_list import WhiteList

LOG = logging.getLogger("qa_fetch.node")

# SOP class to (service, root).
QUERY_RETRIEVE = {
    "1.2.840.10008.5.1.4.1.2.1.1": ("find", "patient"),
    "1.2.840.10008.5.1.4.1.2.1.2": ("move", "patient"),
    "1.2.840.10008.5.1.4.1.2.1.3": ("get", "patient"),
    "1.2.840.10008.5.1.4.1.2.2.1": ("find", "study"),
    "1.2.840.10008.5.1.4.1.2.2.2": ("move", "study"),
    "1.2.840.10008.5.1.4.1.2.2.3": ("get", "study"),
}
_DICOM = part10.IMPLICIT_LITTLE  # the UIDs of all other transfer syntaxes of DICOM begin with it
_PACKED = ("1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")  # deflated JPIP, whose data sets cannot be walked
_UNKNOWN_CALLER = Rejected(1, 1, 3)


class Offer:
    """The services, roots and callers that a node's options switch on."""

    def __init__(self, options: NodeOptions, white_list: WhiteList) -> None:
        self._options = options
        self._white_list = white_list

    def choose(self, proposal: Proposal, address: str) -> dict[int, Context]:
        """The contexts of a proposal that are accepted, each with the transfer syntax that suits what will be sent.

        A caller that stores knows what it has: its order counts. A caller that will be sent objects gets the syntax in
        which most of them are stored.
        """
        services = self._white_list.services_for(proposal.calling, address)
        if not services:
            raise _UNKNOWN_CALLER
        if self._options.check_called:
            check_called(proposal, self._options.ae_title)
        proposal.roles = _granted(proposal.roles, services)
        proposed = {context.abstract for context in proposal.contexts.values()}
        receiving = {uid for uid, (_, scp) in proposal.roles.items() if scp and uid in proposed}
        stored = _stored_as(receiving) if receiving else {}
        chosen = {}
        for number, context in proposal.contexts.items():
            speaks = self._speaks(context.abstract, services)
            if speaks is not None:
                preferred = (*stored.get(context.abstract, ()), *context.syntaxes)
                fitting = (uid for uid in preferred if uid in context.syntaxes and speaks(uid))
                chosen[number] = Context(context.abstract, tuple(fitting)[:1])
        return chosen

    def _speaks(self, sop_class: str, services: frozenset[str]) -> Optional[Callable[[str], bool]]:
        """Which transfer syntaxes this node takes for a SOP class; None when it does not offer the class."""
        if is_storage(sop_class):
            return _is_stored if "store" in services or "get" in services else None
        if sop_class == VERIFICATION:
            return PLAIN.__contains__ if "echo" in services else None
        if sop_class == COMMITMENT:
            return PLAIN.__contains__ if "commit" in services else None
        service, root = QUERY_RETRIEVE.get(sop_class, ("", ""))
        return PLAIN.__contains__ if service in services and root in self._options.roots else None


def _granted(roles: dict[str, tuple[bool, bool]], services: frozenset[str]) -> dict[str, tuple[bool, bool]]:
    """A caller may be the SCP of storage classes in a C-GET, since objects are then stored to it.

    It may also be the SCP of storage commitment, which calls back to say what it has.
    """
    granted = {}
    if "get" in services:
        granted = {uid: (scu and "store" in services, scp) for uid, (scu, scp) in roles.items() if is_storage(uid)}
    if "commit" in services and COMMITMENT in roles:
        granted[COMMITMENT] = roles[COMMITMENT]
    return granted


def _is_stored(syntax: str) -> bool:
    return (syntax == _DICOM or syntax.startswith(_DICOM + ".")) and syntax not in _PACKED


def _stored_as(sop_classes: Iterable[str]) -> dict[str, list[str]]:
    """For each SOP class the transfer syntaxes of its objects, the most frequent first."""
    found: dict[str, list[str]] = {}
    rows = Instance.objects.filter(SOPClassUID__in=list(sop_classes))
    counted = rows.values_list("SOPClassUID", "TransferSyntaxUID").annotate(number=Count("pk")).order_by("-number")
    try:
        for sop_class, syntax, _ in counted:
            found.setdefault(sop_class, []).append(syntax)
    except DatabaseError as error:
        LOG.error("it cannot be looked up how objects are stored: %s", type(error).__name__)
    return found
