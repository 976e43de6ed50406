"""One request to an archive behind HTTP, and its answer."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http.client import HTTPException, HTTPResponse, RemoteDisconnected
from typing import Any, Callable, Optional
from urllib.parse import urlsplit

from ...budget import Budget
from ...config import ArchiveConfig
from ...errors import BadArchive, ConnectionFailed, QAFetchError, Refused
from ...errors.http import http_refusal
from .body import Body
from .coding import GZIP, PLAIN, Unzipped
from .connection import Clock, Connection, Pool, pool, sentences
from .login import authorization

log = logging.getLogger("qa_fetch.http")

LARGEST_JSON = 64 << 20
_LONGEST_NUMBER = 40
# How a kept connection says that the archive closed it before it saw the request.
_STALE = (RemoteDisconnected, ConnectionResetError, BrokenPipeError, ConnectionAbortedError)
_warned: set[str] = set()
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

Source = Callable[[], Iterable[memoryview]]


class Upload:
    """A request's body, which can be read again when it has to be sent again."""

    def __init__(self, source: Source, length: int, content_type: str) -> None:
        self.source = source
        self.length = length
        self.content_type = content_type


class Answer:
    """What an archive answered: its status and headers, and the body as it comes."""

    def __init__(self, response: HTTPResponse, archive: ArchiveConfig, clock: Clock, asked: str = PLAIN) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = Body(response, archive, clock)
        self._archive = archive
        self._coding = str(self.headers.get("Content-Encoding") or PLAIN).strip().lower()
        if self._coding == asked == GZIP:
            self.body, self._coding = Unzipped(self.body, archive.name), PLAIN

    @property
    def content_type(self) -> str:
        """The media type, in small letters and without its parameters."""
        return str(self.headers.get("Content-Type") or "nothing").partition(";")[0].strip().lower()[:60]

    def check_plain(self) -> None:
        """Refuse a body that is compressed although that was not asked for."""
        if self._coding != PLAIN:
            raise BadArchive(
                f"{self._archive.name} compressed its answer although it was asked not to, so it is not used. "
                "Switch compression off in the server or proxy before it."
            )

    def json(self) -> Any:
        """The whole body as JSON; it is limited in size and depth."""
        if self.content_type not in ("application/dicom+json", "application/json"):
            raise BadArchive(
                f"{self._archive.name} answered with {self.content_type} where JSON is expected. "
                "Check url: it must be the root of the archive's services."
            )
        self.check_plain()
        text = self.body.read(LARGEST_JSON, self._too_large)
        try:
            return json.loads(text, parse_int=_int, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise BadArchive(
                f"{self._archive.name} answered with something that is not JSON, so it is not used. "
                "Report it to its administrator."
            ) from None

    def _too_large(self) -> QAFetchError:
        return BadArchive(
            f"{self._archive.name} answered with more than {LARGEST_JSON >> 20} MB of JSON, so it is not used. "
            "Narrow the question."
        )


class Client:
    """Requests to one archive; ``scheme`` is the word that the server wants before a token."""

    def __init__(self, archive: ArchiveConfig, *, scheme: str = "Bearer") -> None:
        self.archive = archive
        self.name = archive.name
        self._scheme = scheme
        self._root = urlsplit(archive["url"]).path.rstrip("/")
        self._pool: Optional[Pool] = None

    @property
    def pool(self) -> Pool:
        """The kept connections."""
        self._pool = self._pool or pool(self.archive)
        return self._pool

    def warn(self) -> None:
        """Say once per process that a password is not protected on its way."""
        if self.unprotected and self.archive["url"] not in _warned:
            _warned.add(self.archive["url"])
            log.warning(self.warning)

    @property
    def warning(self) -> str:
        """The sentence about a password that anybody on the way can read."""
        return (
            f"the password or token of {self.name} crosses the network unencrypted, since url begins with http. "
            "Use https."
        )

    @property
    def says_who(self) -> bool:
        """Whether requests say who asks."""
        return any(self.archive[key] for key in ("user", "token_env", "token_file"))

    @property
    def unprotected(self) -> bool:
        """Whether a password or token goes over a network in plain text."""
        return self.says_who and not self.pool.secure and self.pool.host.lower() not in _LOOPBACK

    @contextlib.contextmanager
    def request(
        self,
        service: str,
        method: str,
        path: str,
        budget: Budget,
        *,
        accept: str = "application/json",
        upload: Optional[Upload] = None,
        fine: Sequence[int] = (200,),
        coding: str = PLAIN,
    ) -> Iterator[Answer]:
        """One request; the answer is read inside the ``with`` block.

        Parameters
        ----------
        service
            What the request is, for the sentence when it is refused.
        path
            Below the archive's root, percent-encoded, with its query.
        fine
            Statuses that are no refusal.
        coding
            How the body may come; it is unpacked as it is read.
        """
        clock = Clock(budget, self.archive["timeout"])
        headers = {"Accept": accept, "Accept-Encoding": coding, "User-Agent": "qa_fetch"}
        headers.update(authorization(self.archive, self._scheme))
        if upload is not None:
            headers.update({"Content-Type": upload.content_type, "Content-Length": str(upload.length)})
        with sentences(self.archive, clock):
            connection, response = self._exchange(method, self._root + path, headers, upload, clock)
        answer = Answer(response, self.archive, clock, coding)
        reusable = False
        try:
            if answer.status not in fine:
                reusable = answer.body.drain()
                raise self._refusal(service, answer)
            yield answer
            reusable = answer.body.drain()
        finally:
            response.close()
            if reusable and not response.will_close:
                self.pool.give_back(connection, str(answer.headers.get("Keep-Alive") or ""))
            else:
                connection.close()

    def ask(self, service: str, method: str, path: str, budget: Budget, body: Any = None, **how: Any) -> Any:
        """One request with JSON in and out."""
        upload = None
        if body is not None:
            text = memoryview(body if isinstance(body, bytes) else json.dumps(body).encode())
            upload = Upload(lambda: [text], len(text), "application/json")
        with self.request(service, method, path, budget, upload=upload, **how) as answer:
            return None if answer.status == 204 else answer.json()

    def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], upload: Optional[Upload], clock: Clock
    ) -> tuple[Connection, HTTPResponse]:
        """Send a request and read the head of its answer; once more where a kept connection had been closed."""
        connection = self.pool.take(clock)
        try:
            return connection, _ask(connection, method, path, headers, upload)
        except _STALE:
            was_kept = connection.kept
            connection.close()
            if not was_kept:
                raise
        except BaseException:  # an interrupt too: nobody else has the connection yet
            connection.close()
            raise
        connection = self.pool.take(clock, new=True)
        try:
            return connection, _ask(connection, method, path, headers, upload)
        except BaseException:  # an interrupt too: nobody else has the connection yet
            connection.close()
            raise

    def _refusal(self, service: str, answer: Answer) -> Refused:
        if 300 <= answer.status < 400:
            # Followed nowhere: credentials and patients' data go where the configuration says, and nowhere else.
            place = urlsplit(str(answer.headers.get("Location") or ""))
            where = f"{place.scheme}://{place.netloc.rpartition('@')[2]}" if place.netloc else "another path"
            return Refused(
                f"{self.name} sends the {service} on to {where[:80]} (HTTP {answer.status}), which is not followed. "
                "Set url to where the archive lives.",
                status=answer.status,
            )
        return http_refusal(service, answer.status, archive=self.name)


def _ask(
    connection: Connection, method: str, path: str, headers: Mapping[str, str], upload: Optional[Upload]
) -> HTTPResponse:
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    if upload is None and method in ("POST", "PUT"):
        connection.putheader("Content-Length", "0")
    connection.endheaders()
    if upload is not None:
        try:
            for piece in upload.source():
                connection.sock.settimeout(connection.clock.next())
                connection.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            if connection.kept:
                raise
            # The archive has seen enough: its answer, if it gave one, says why.
            with contextlib.suppress(OSError, HTTPException):
                return connection.getresponse()
            raise
    connection.hurry()
    return connection.getresponse()


def _int(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise ValueError
    return int(digits)


def _refuse(name: str) -> Any:
    raise ValueError(name)


def no_objects(name: str, content_type: str) -> ConnectionFailed:
    """The sentence for an answer that should hold objects and holds something else."""
    return ConnectionFailed(
        f"{name} answered with {content_type} where DICOM objects are expected. "
        "Check url: it must be the root of the archive's services.",
        retriable=False,
    )
