"""Why an archive behind HTTP cannot be used, found out in the order in which things can be wrong."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, Callable

from ...budget import Budget
from ...errors import NotFound, QAFetchError
from .. import Backend, Step
from .client import Client
from .connection import Clock, sentences


def steps(
    backend: Backend, client: Client, budget: Budget, patient: str, try_query: Callable[[], str]
) -> Iterator[Step]:
    """Name, port, TLS, login and query; stops at the first that fails."""
    tried: list[tuple[str, Callable[[], str]]] = [
        ("name", lambda: _resolve(client, budget)),
        ("port", lambda: _reach(client, budget)),
    ]
    if client.pool.secure:
        tried.append(("tls", lambda: _secure(client, budget)))
    tried.append(("query", try_query))
    if patient:
        tried.append(("patient", lambda: _plans_of(backend, patient, budget)))
    for name, attempt in tried:
        try:
            says = attempt()
        except QAFetchError as error:
            yield Step("login" if getattr(error, "status", None) in (401, 403) else name, False, error.message)
            return
        if name == "query" and client.unprotected:
            yield Step("login", None, client.warning)
        elif name == "query":
            yield Step("login", True, "it accepts who we are" if client.says_who else "it asks nobody to log in")
        yield Step(name, True, says)


def _resolve(client: Client, budget: Budget) -> str:
    with sentences(client.archive, Clock(budget, client.archive["timeout"])):
        found: Any = socket.getaddrinfo(client.pool.host, client.pool.port, type=socket.SOCK_STREAM)
        return f"{client.pool.host} resolves to {found[0][4][0]}"


def _reach(client: Client, budget: Budget) -> str:
    clock = Clock(budget, client.archive["timeout"])
    host, port = client.pool.host, client.pool.port
    with sentences(client.archive, clock), socket.create_connection((host, port), timeout=clock.next()):
        return f"something listens on {host} port {port}"


def _secure(client: Client, budget: Budget) -> str:
    clock = Clock(budget, client.archive["timeout"])
    connection = client.pool.take(clock, new=True)
    try:
        with sentences(client.archive, clock):
            connection.connect()
            return "its certificate is valid"
    finally:
        connection.close()


def _plans_of(backend: Backend, patient: str, budget: Budget) -> str:
    rows = backend.find("IMAGE", {"PatientID": patient, "Modality": "RTPLAN"}, ["RTPlanLabel"], budget)
    if not rows:
        raise NotFound("it shows no plan of that patient. Check the ID, and what this account may see.")
    return f"plans of that patient: {len(rows)}"
