"""The receiver on pynetdicom: slower, and what there is when a peer disagrees with our own."""

from __future__ import annotations

import socketserver
import threading
import time

from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.presentation import AllStoragePresentationContexts, build_context

from ..budget import Budget
from ..errors import ConfigError
from ..shelf import Route
from . import Local
from .reactor import Sockets
from .storage import TRANSFER_SYNTAXES, VERIFICATION
from .storing import store_event


class PynetdicomReceiver:
    """A running C-STORE server whose objects go to a route; answers C-ECHO too."""

    def __init__(self, local: Local, route: Route) -> None:
        if local.certificate_file is not None:
            raise ConfigError(
                "pynetdicom's transport does not receive over TLS here. "
                'Leave out transport, or set it to "own"; or leave out certificate_file of [local].'
            )
        entity = ApplicationEntity(ae_title=local.ae_title)
        entity.supported_contexts = [
            build_context(str(context.abstract_syntax), list(TRANSFER_SYNTAXES))
            for context in AllStoragePresentationContexts
        ]
        entity.add_supported_context(VERIFICATION)
        entity.maximum_pdu_size = 0
        entity.maximum_associations = 64
        self._sockets = Sockets()
        self._server = entity.make_server(
            (local.host, local.port),
            evt_handlers=[*self._sockets.handlers, (evt.EVT_C_STORE, lambda event: store_event(event, route))],
        )
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="qa_fetch receiver", daemon=True
        )
        self._thread.start()

    def close(self, grace: float = 0.5) -> None:
        """Stop listening, give the peer a moment to release in good order, and end what is still connected."""
        # Not the server's own shutdown(): it expects to have been made by AE.start_server, whose polling costs 0.5 s.
        socketserver.BaseServer.shutdown(self._server)
        self._thread.join()
        self._server.server_close()
        patience = Budget(grace)
        while self._server.active_associations and not patience.spent:
            time.sleep(0.005)
        self._sockets.hang_up()
        patience.renew()
        while self._server.active_associations and not patience.spent:
            time.sleep(0.005)
        for association in self._server.active_associations:
            association.abort()
        self._sockets.close()
