"""The web server: waitress, in threads of the node's process."""

from __future__ import annotations

import logging
import threading
from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from waitress import wasyncore
from waitress.server import create_server

from ...errors import ConfigError
from ..options import Web, is_loopback
from .access import needs_sign_in

_THREADS = 8
_LARGEST_BODY = 1 << 34  # STOW streams to the disk, where each object has the node's own limit
_SMALL_BODY = 1 << 20  # where nothing can be stored
_STOPPING = 5.0  # seconds


class WebServer:
    """Serves a node's pages from the moment it is made until it is closed."""

    def __init__(self, web: Web) -> None:
        if not is_loopback(web.host) and not needs_sign_in(web):
            raise ConfigError(
                f"[web] serves patient data on {web.host} to everybody who reaches it. "
                "Leave out sign_in = false, or set host to 127.0.0.1."
            )
        # Waitress and Django log what clients send, such as names in addresses; what matters is in the node's own log.
        for name in ("waitress", "django.request", "django.security"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            self._server: Any = create_server(
                WSGIHandler(),
                host=web.host,
                port=web.port,
                threads=_THREADS,
                ident="qa_fetch",
                max_request_body_size=_SMALL_BODY if web.read_only else _LARGEST_BODY,
                clear_untrusted_proxy_headers=True,
            )
        except OSError as error:
            raise ConfigError(
                f"the node cannot serve its pages on {web.host}:{web.port} ({error.strerror}). "
                "Choose another port in [web], or 0 for any free one."
            ) from error
        if not hasattr(self._server, "trigger"):
            self._server.close()
            raise ConfigError(f"[web] host {web.host} stands for several addresses. Name one of them.")
        self.port = int(self._server.effective_port)
        self._thread = threading.Thread(target=self._server.run, name="qa_fetch web", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving; what is still being read is broken off."""
        # Only the server's own thread may touch its connections, and it ends with the last of them.
        self._server.trigger.pull_trigger(lambda: wasyncore.close_all(self._server._map))
        self._thread.join(_STOPPING)
        self._server.task_dispatcher.shutdown()
