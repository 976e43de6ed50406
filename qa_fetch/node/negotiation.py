"""What the node offers when an association is opened."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Count
from pynetdicom._globals import ALL_TRANSFER_SYNTAXES
from pynetdicom.presentation import AllStoragePresentationContexts, PresentationContext, build_context

from .. import part10
from .models import Instance
from .options import NodeOptions

_VERIFICATION = "1.2.840.10008.1.1"
# SOP class to (service, root).
QUERY_RETRIEVE = {
    "1.2.840.10008.5.1.4.1.2.1.1": ("find", "patient"),
    "1.2.840.10008.5.1.4.1.2.1.2": ("move", "patient"),
    "1.2.840.10008.5.1.4.1.2.1.3": ("get", "patient"),
    "1.2.840.10008.5.1.4.1.2.2.1": ("find", "study"),
    "1.2.840.10008.5.1.4.1.2.2.2": ("move", "study"),
    "1.2.840.10008.5.1.4.1.2.2.3": ("get", "study"),
}
_PLAIN = [part10.EXPLICIT_LITTLE, part10.IMPLICIT_LITTLE]


def offered(options: NodeOptions) -> list[PresentationContext]:
    """The presentation contexts for the services and roots that are switched on."""
    contexts = [build_context(_VERIFICATION, _PLAIN)] if "echo" in options.services else []
    contexts += [
        build_context(uid, _PLAIN)
        for uid, (service, root) in QUERY_RETRIEVE.items()
        if service in options.services and root in options.roots
    ]
    if not {"store", "get"} & set(options.services):
        return contexts
    syntaxes: list[Any] = list(dict.fromkeys([*_PLAIN, *ALL_TRANSFER_SYNTAXES]))
    for known in AllStoragePresentationContexts:
        context = build_context(str(known.abstract_syntax), syntaxes)
        if "get" in options.services:
            # The roles that a caller may take: the SCP's in a C-GET, since objects are then stored to it.
            context.scu_role, context.scp_role = "store" in options.services, True
        contexts.append(context)
    return contexts


def prefer_the_callers_order(event: Any) -> None:
    """Accept, for each SOP class, the transfer syntax that suits what will be sent (a handler of EVT_REQUESTED).

    pynetdicom prefers the acceptor's own order, so that a compressed object could be neither taken nor given as it is.
    A caller that stores knows what it has: its order counts. A caller that will be sent objects gets the syntax in
    which most of them are stored.
    """
    proposed: dict[str, list[str]] = {}
    for context in event.assoc.requestor.requested_contexts:
        proposed.setdefault(context.abstract_syntax, []).extend(context.transfer_syntax)
    receiving = {uid for uid, role in event.assoc.requestor.role_selection.items() if role.scp_role}
    stored = _stored_as(receiving) if receiving else {}
    event.assoc.acceptor.supported_contexts = [
        _reordered(offer, [*stored.get(str(offer.abstract_syntax), []), *proposed[offer.abstract_syntax]])
        for offer in event.assoc.acceptor.supported_contexts
        if offer.abstract_syntax in proposed
    ]


def _reordered(offer: PresentationContext, order: list[str]) -> PresentationContext:
    syntaxes: list[Any] = [uid for uid in dict.fromkeys(order) if uid in offer.transfer_syntax]
    # The offer belongs to every association of the node, so it is copied.
    context = build_context(str(offer.abstract_syntax), syntaxes or list(offer.transfer_syntax))
    context.scu_role, context.scp_role = offer.scu_role, offer.scp_role
    return context


def _stored_as(sop_classes: Iterable[str]) -> dict[str, list[str]]:
    """For each SOP class the transfer syntaxes of its objects, the most frequent first."""
    found: dict[str, list[str]] = {}
    rows = Instance.objects.filter(SOPClassUID__in=[str(uid) for uid in sop_classes])
    counted = rows.values_list("SOPClassUID", "TransferSyntaxUID").annotate(number=Count("pk")).order_by("-number")
    for sop_class, syntax, _ in counted:
        found.setdefault(sop_class, []).append(syntax)
    return found
