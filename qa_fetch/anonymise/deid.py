"""A De-ID service, which knows the codes of a project's patients.

Patients' IDs and the token go to the configured address over TLS and nowhere else, and stand in no message.
"""

from __future__ import annotations

import difflib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, Optional
from urllib.parse import urlsplit

from ..backends.http.client import Answer, Client, Upload
from ..backends.http.connection import Clock, Connection
from ..budget import Budget
from ..config import ArchiveConfig
from ..config.options import FILE, SECONDS, URL, Option, shown
from ..config.secret import read_secret
from ..config.values import as_above_zero, as_path, as_text, as_url
from ..errors import BadArchive, ConfigError, ConnectionFailed, QAFetchError, Refused
from .keyfolder import MOST_DAYS, OF_ANOTHER, fault_of

AT_A_TIME = 500
_NAME = "the De-ID service"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_LARGEST = 1 << 20  # bytes of an answer: 500 patients need a tenth of it
_LARGEST_CONFIG = 1 << 20
_PIECES = 4  # how many times the timeout of one piece a whole answer may take
_ANY_STATUS = range(100, 1000)
_KEYS: dict[str, Option] = {
    "deid_URL": Option(URL, as_url),
    "deid_token": Option("a text", as_text, None),
    "deid_token_env": Option("the name of an environment variable", as_text, None),
    "deid_token_file": Option(FILE, as_path, None),
    "ca_file": Option(FILE, as_path, None),
    "certificate_file": Option(FILE, as_path, None),
    "key_file": Option(FILE, as_path, None),
    "timeout": Option(SECONDS, as_above_zero, 30.0),
}


@dataclass(frozen=True)
class DeidService:
    """A De-ID service; ``pauses`` are the seconds before each further try where it fails or does not answer."""

    url: str
    token: str = field(repr=False)
    ca_file: Optional[Path] = None
    certificate_file: Optional[Path] = None
    key_file: Optional[Path] = None
    timeout: float = 30.0
    pauses: Sequence[float] = (1.0, 4.0, 15.0)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme.lower() != "https" and parts.hostname not in _LOOPBACK:
            raise ConfigError(
                "deid_URL begins with http, so that anybody on the way could read patients' IDs and the token. "
                "Use https."
            )

    @classmethod
    def load(cls, path: Path) -> DeidService:
        """The service of PACSMAN's JSON file; ConfigError where something is missing or wrong in it."""
        values = _config(path)
        given = {key: values[key] for key in ("ca_file", "certificate_file", "key_file", "timeout")}
        return cls(str(values["deid_URL"]), _token(path, values), **given)

    def codes(self, project: str, patient_ids: Sequence[str]) -> dict[str, str]:
        """The code of every patient, in the order asked."""
        found = dict(self._asked("", project, patient_ids))
        owners: dict[str, str] = {}
        for patient, code in found.items():
            fault = fault_of(code, patient) or (OF_ANOTHER if code in found else "")
            if fault:
                told = fault.partition(".")[0]
                raise BadArchive(f"{_NAME} gave a code that is not used: {told}. Report it to its administrator.")
            if owners.setdefault(code.casefold(), patient) != patient:
                raise BadArchive(
                    f"{_NAME} gave one code to two patients, so none is used. Report it to its administrator."
                )
        return found

    def shifts(self, project: str, patient_ids: Sequence[str]) -> dict[str, int]:
        """The day shift of every patient, in the order asked."""
        found = dict(self._asked("_shift", project, patient_ids))
        for days in found.values():
            if not isinstance(days, int) or isinstance(days, bool) or not 0 < abs(days) <= MOST_DAYS:
                raise BadArchive(
                    f"{_NAME} gave a day shift that is 0 or no whole number of days within a century, so none is used. "
                    "Report it to its administrator."
                )
        return found

    def _asked(self, end: str, project: str, patient_ids: Sequence[str]) -> Iterator[tuple[str, Any]]:
        """What the service says of every patient; each is answered, and nobody else."""
        client = _Client(self)
        path = (urlsplit(self.url).path or "/") + end
        try:
            for first in range(0, len(patient_ids), AT_A_TIME):
                asked = patient_ids[first : first + AT_A_TIME]
                body = {"project": project, "PatientIDList": [{"PatientID": one} for one in asked]}
                answer = self._patiently(client, path, json.dumps(body).encode("ascii"))
                if answer.keys() - set(asked):
                    raise BadArchive(
                        f"{_NAME} answered with patients that were not asked for, so nothing is used. "
                        "Report it to its administrator."
                    )
                lacking = len(set(asked) - answer.keys())
                if lacking:
                    raise BadArchive(
                        f"{_NAME} left out {lacking} of the {len(asked)} patients that were asked for, "
                        f"so nothing is used. Check that they belong to the project, then run again."
                    )
                yield from ((one, answer[one]) for one in asked)
        finally:
            client.pool.sweep(all_of_them=True)

    def _patiently(self, client: _Client, path: str, body: bytes) -> dict[str, Any]:
        """An answer, asked for again where the service failed, was late or broke off; the same question is harmless."""
        for pause in self.pauses:
            try:
                return client.answer_to(path, body)
            except (ConnectionFailed, Refused) as error:
                if not error.retriable or getattr(error, "status", None) == 429:
                    raise
            time.sleep(pause)
        return client.answer_to(path, body)


class _Client(Client):
    """Requests to a De-ID service, whose token may stand in its own configuration file."""

    def __init__(self, service: DeidService) -> None:
        parts = urlsplit(service.url)
        options = {
            "url": f"{parts.scheme}://{parts.netloc}",
            **{key: getattr(service, key) for key in ("ca_file", "certificate_file", "key_file", "timeout")},
            **dict.fromkeys(("user", "password_env", "password_file", "token_env", "token_file")),
        }
        super().__init__(ArchiveConfig(_NAME, "deid", options))
        self._token = service.token

    def answer_to(self, path: str, body: bytes) -> dict[str, Any]:
        """The answer to a POST, which is an object of JSON."""
        upload = Upload(lambda: [memoryview(body)], len(body), "application/json")
        budget = Budget(_PIECES * self.archive["timeout"])
        with self.request("question", "POST", path, budget, upload=upload, fine=_ANY_STATUS) as answer:
            if answer.status not in (200, 201):
                raise _refusal(answer.status)
            return _object(answer)

    def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], upload: Optional[Upload], clock: Clock
    ) -> tuple[Connection, HTTPResponse]:
        return super()._exchange(method, path, {**headers, "Authorization": f"token {self._token}"}, upload, clock)


def _refusal(status: int) -> QAFetchError:
    """What a status other than success means here; what the answer says beside it may name patients."""
    if 300 <= status < 400:
        # Followed nowhere: the token goes where the configuration says.
        told = "sends the question to another address, which is not followed. Set deid_URL to where it lives now"
    elif status in (401, 403):
        told = "does not accept the token. Check deid_token, or ask its administrator for a new one"
    elif status in (404, 405):
        told = "has nothing under this address. Check deid_URL"
    elif status == 429:
        told = "was asked too often. Run again in a few minutes"
    elif 400 <= status < 500:
        told = "refused the question. Check the project and that its patients are known there"
    elif status >= 500:
        told = "failed. Its log says why; run again later"
    else:
        told = "answered with a status that is no success. Check deid_URL"
    happened, _, todo = told.partition(". ")
    text = f"{_NAME} {happened} (HTTP {status}). {todo}."
    return Refused(text, retriable=status == 429 or status >= 500, status=status)


def _object(answer: Answer) -> dict[str, Any]:
    answer.check_plain()
    text = answer.body.read(_LARGEST, _too_large)
    try:
        found = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadArchive(
            f"{_NAME} answered with something that is not an object of JSON, so it is not used. "
            "Check deid_URL, or report it to its administrator."
        )
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _too_large() -> QAFetchError:
    return BadArchive(
        f"{_NAME} answered with more than {_LARGEST >> 20} MB, so it is not used. Report it to its administrator."
    )


def _config(path: Path) -> dict[str, Any]:
    """The values of a configuration file; ConfigError that names every mistake, and no value."""
    try:
        with path.open("rb") as file:
            written = file.read(_LARGEST_CONFIG)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"{path} cannot be read ({reason}). Check the path and its permissions.") from None
    try:
        given = json.loads(written.decode("utf-8-sig"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise ConfigError(f"{path.name} is not a JSON object with every key once. Check its braces, quotes and commas.")
    values, mistakes = {key: option.default for key, option in _KEYS.items()}, []
    for key, value in given.items():
        if key not in _KEYS:
            near = difflib.get_close_matches(key.casefold(), {known.casefold(): known for known in _KEYS}, n=1)
            meant = next((known for known in _KEYS if near and known.casefold() == near[0]), "")
            mistakes.append(f"{shown(key)} is not one of its keys" + (f" (did you mean {meant}?)" if meant else ""))
            continue
        try:
            values[key] = _KEYS[key].convert(value)
        except (ValueError, TypeError, OverflowError):
            mistakes.append(f"{key} must be {_KEYS[key].expected}")
    if "deid_URL" not in given:
        mistakes.append("deid_URL is missing")
    if mistakes:
        raise ConfigError(f"{path.name} is wrong: {'; '.join(mistakes)}. Correct it and run again.")
    if isinstance(given["deid_URL"], str):
        values["deid_URL"] = given["deid_URL"].strip()  # with the slash at its end that some servers insist on
    files = {key: path.parent / value for key, value in values.items() if isinstance(value, Path)}
    return {**values, **files}


def _token(path: Path, values: Mapping[str, Any]) -> str:
    token, env, file = (values[key] for key in ("deid_token", "deid_token_env", "deid_token_file"))
    if token is not None and (env is not None or file is not None):
        raise ConfigError(f"{path.name}: deid_token is set and the place of one too. Keep one of them.")
    if token is None:
        token = read_secret(path.name, "deid_token", env=env, file=file)
    if token is None:
        raise ConfigError(f"{path.name}: there is no token. Set deid_token, deid_token_env or deid_token_file.")
    found = str(token)
    if not found.isascii() or not found.isprintable():
        raise ConfigError(f"{path.name}: the token holds characters that HTTP cannot send. Correct it.")
    return found
