"""Who may ask the node for what, decided by AE title and address."""

from __future__ import annotations

import ipaddress
import logging
import socket
from typing import Optional

from .options import NodeOptions, Peer

LOG = logging.getLogger("qa_fetch.node")


class WhiteList:
    """The peers of a node as those who call it."""

    def __init__(self, options: NodeOptions) -> None:
        self._peers = {title.strip(): peer for title, peer in options.peers.items()}
        self._offered = frozenset(options.services)
        self._strangers = frozenset(options.strangers) & self._offered

    def services_for(self, title: str, address: str) -> frozenset[str]:
        """What a caller may ask for; nothing for who is not admitted at all."""
        peer = self._peers.get(title.strip())
        if peer is None:
            return self._strangers
        if not _comes_from(peer, address):
            LOG.warning("a peer called from another address than the one it is known by")
            return frozenset()
        return frozenset(peer.services) & self._offered

    def peer(self, title: str) -> Optional[Peer]:
        """Who is known by an AE title."""
        return self._peers.get(title.strip())


def _comes_from(peer: Peer, address: str) -> bool:
    if not peer.source and not peer.host:
        return True
    caller = _plain(address)
    if peer.source:
        return caller in ipaddress.ip_network(peer.source)
    return caller in _addresses_of(peer.host)


def _addresses_of(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        return [_plain(str(found[4][0])) for found in socket.getaddrinfo(host, None)]
    except OSError as error:
        LOG.warning("the host name of a peer is not known (%s)", type(error).__name__)
        return []


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address without its zone, and an IPv4 address that came through an IPv6 socket as what it is."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
