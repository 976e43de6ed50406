"""How the node calls its peers: encrypted where the white list says so."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from typing import Optional

from ..backends.encryption import calling_context
from ..backends.wire import Association, Context, Proposal
from .options import NodeOptions, Peer

CONNECTING = 10.0  # seconds for a peer to accept a connection, and again for it to accept an association


class Caller:
    """Opens associations to peers on behalf of one node."""

    def __init__(self, options: NodeOptions) -> None:
        self._ours = options.ae_title
        self._tls: Optional[ssl.SSLContext] = None
        if any(peer.tls for peer in options.peers.values()):
            self._tls = calling_context(options.tls, "[tls]")

    def connect(self, peer: Peer) -> socket.socket:
        """A connection to a peer; OSError, which ssl.SSLError is too, where there is none to be had."""
        connection = socket.create_connection((peer.host, peer.port or 0), CONNECTING)
        if not peer.tls or self._tls is None:
            return connection
        try:
            return self._tls.wrap_socket(connection, server_hostname=peer.host)
        except ValueError as error:  # a host name that no certificate can have
            connection.close()
            raise OSError(str(error)) from None
        except OSError:
            connection.close()
            raise

    def request(
        self, connection: socket.socket, title: str, contexts: Iterable[Context], receiving: Iterable[str] = ()
    ) -> Association:
        """An association over a connection; raises Rejected or Lost, and closes the connection then.

        Parameters
        ----------
        connection
            As ``connect`` gives it.
        title
            What the peer is called.
        contexts
            What the association is for.
        receiving
            The SOP classes for which we are the SCP.
        """
        return Association.request(connection, Proposal.of(title, self._ours, contexts, receiving), CONNECTING)
