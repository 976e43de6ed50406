"""A client of QATrack+'s REST API, as far as performing a test list from outside needs it.

What QATrack+ says is believed only as far as it fits: of an address in an answer only the path below ``/api/`` is used,
and of a refusal only the last line, since the lines before it are a traceback.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, NoReturn, Optional
from urllib.parse import urlencode, urlsplit

from ..backends.http.client import Client, Upload
from ..budget import Budget
from ..config import ArchiveConfig, Config
from ..errors import Ambiguous, BadArchive, ConfigError, NotFound, QAFetchError, Refused

_PAGE = 100
_MOST_PAGES = 50
_LONGEST_PROBLEM = 400
_BELOW_API = re.compile(r"/api/((?:qa|qc|units)/[a-z]+/[0-9]{1,12}/)\Z")
_PATH = re.compile(r"/[A-Za-z0-9_/.-]{0,200}\Z")
_OF_A_TEST = re.compile(r"Error with ([A-Za-z_][A-Za-z0-9_]*) test: ")
_NO_VALUE = re.compile(r"Wrong value type \(number/string\) for tests: ([A-Za-z0-9_, ]+)")
_OUR_ERROR = re.compile(r"\Aqa_fetch\.errors\.[A-Za-z]+: ")
_ANY_STATUS = range(100, 1000)
AGAIN = "Push again later: what was recorded meanwhile is not recorded twice."


class Test(NamedTuple):
    """A test of a list, as far as a value for it has to be right."""

    slug: str
    type: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Assignment:
    """A test list on a unit, with its tests; ``url`` is what QATrack+ calls it.

    ``a_moment`` is any moment as QATrack+ writes it: it shows in which time zone a time without one is read there.
    """

    url: str
    tests: tuple[Test, ...]
    a_moment: Optional[datetime] = None


@dataclass(frozen=True)
class Recorded:
    """A new record: its page, and what it holds of each test."""

    page: str
    tests: Mapping[str, Any] = field(default_factory=dict, repr=False)


class NoValue(Refused):
    """QATrack+ calculated nothing for some tests (``slugs``), which it takes only as skipped."""

    slugs: tuple[str, ...] = ()


class QATrack:
    """QATrack+'s REST API with the account of the configured token."""

    def __init__(self, config: Config) -> None:
        server = config.qatrack()
        if server["token_env"] is None and server["token_file"] is None:
            raise ConfigError("QATrack+: there is no token. Set token_env or token_file in [qatrack].")
        nobody = {"user": None, "password_env": None, "password_file": None}
        self.server = ArchiveConfig(server.name, server.kind, {**server.options, **nobody})
        self._client = Client(self.server, scheme="Token")
        self._client.warn()

    def recorded(self, user_key: str) -> Optional[str]:
        """The page of the record that has this user_key; None where there is none."""
        for found in self._all("search for the record", "qa/testlistinstances/", {"user_key": user_key}, 1):
            if found.get("user_key") == user_key:
                return self._page_of(found)
        return None

    def assignment(self, unit: int, test_list: str, frequency: Optional[str] = None) -> Assignment:
        """The active assignment of a test list, by its slug or name, to a unit."""
        for key in ("slug", "name"):
            found = list(self._assigned(unit, key, test_list, frequency))
            if len(found) == 1:
                return found[0]
            if found:
                raise Ambiguous(
                    f"test list {test_list!r} is assigned to unit {unit} with {len(found)} frequencies. "
                    "Name one of them as frequency of this list.",
                    candidates=[one.url for one in found],
                )
        often = f" with the frequency {frequency!r}" if frequency is not None else ""
        raise NotFound(
            f"QATrack+ has no active assignment of test list {test_list!r} to unit {unit}{often}. "
            "Assign it there, or correct unit and test_list of this list."
        )

    def _assigned(self, unit: int, key: str, test_list: str, frequency: Optional[str]) -> Iterator[Assignment]:
        what = "search for the test list"
        asked = {"unit__number": str(unit), f"test_list__{key}": test_list}
        for row in self._all(what, "qa/unittestcollections/", asked):
            if row.get("active") is not True:
                continue
            # Whatever was filtered there: a record on the wrong unit must not come to be.
            if self._read(what, row.get("unit")).get("number") != unit:
                continue
            found = self._read(what, row.get("tests_object"))
            if found.get(key) == test_list and (frequency is None or frequency in self._frequency(row)):
                yield Assignment(_text(row.get("url")), tuple(self._tests(found)), _moment(found.get("created")))

    def _frequency(self, row: Mapping[str, Any]) -> tuple[Any, Any]:
        if row.get("frequency") is None:
            return None, None
        found = self._read("search for the frequency", row["frequency"])
        return found.get("slug"), found.get("name")

    def _tests(self, test_list: Mapping[str, Any]) -> Iterator[Test]:
        what = "list of tests"
        lists = [test_list, *(self._read(what, url) for url in _several(test_list.get("test_lists")))]
        urls = dict.fromkeys(url for one in lists for url in _several(one.get("tests")))
        for url in urls:
            found = self._read(what, url)
            choices = tuple(word.strip() for word in str(found.get("choices") or "").split(",") if word.strip())
            yield Test(_text(found.get("slug")), _text(found.get("type")), choices)

    def perform(self, body: Mapping[str, Any]) -> Optional[Recorded]:
        """Record a test list instance; None where its ``user_key`` has been taken.

        Raises
        ------
        NoValue
            Composites of the list have no result and are not marked as skipped.
        Refused
            QATrack+ does not take it; the message ends with what it or the failed test says.
        """
        status, said = self._ask("push", "POST", "qa/testlistinstances/", body)
        if status in (200, 201) and isinstance(said, Mapping):
            tests = said.get("tests")
            return Recorded(self._page_of(said), tests if isinstance(tests, Mapping) else {})
        if status == 400 and isinstance(said, Mapping):
            if "user_key" in said and "already exists" in _all_text(said["user_key"]):
                return None
            _refuse(said)
        self._complain("push", status, "")

    def _page_of(self, record: Mapping[str, Any]) -> str:
        """The page for people, below our own url: behind a proxy QATrack+ may not know its own name."""
        path = urlsplit(str(record.get("site_url") or "")).path
        if not _PATH.match(path):
            return str(self.server["url"])
        parts = urlsplit(self.server["url"])
        return f"{parts.scheme}://{parts.netloc}{path}"

    def _all(self, what: str, path: str, asked: Mapping[str, str], page: int = _PAGE) -> Iterator[Mapping[str, Any]]:
        """The rows of all pages of an answer."""
        offset = 0
        for _ in range(_MOST_PAGES):
            query = urlencode({**asked, "limit": page, "offset": offset})
            found = self._get(what, f"{path}?{query}")
            rows = found.get("results")
            if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
                raise _odd(what)
            yield from rows
            offset += len(rows)
            if not rows or not found.get("next"):
                return

    def _read(self, what: str, url: Any) -> Mapping[str, Any]:
        """What lies at an address that QATrack+ gave: its path is used, and never its host."""
        below = _BELOW_API.search(urlsplit(_text(url)).path)
        if below is None:
            raise _odd(what)
        return self._get(what, below[1])

    def _get(self, what: str, path: str) -> Mapping[str, Any]:
        status, said = self._ask(what, "GET", path)
        if status != 200:
            self._complain(what, status, "")
        if not isinstance(said, Mapping):
            raise _odd(what)
        return said

    def _ask(self, what: str, method: str, path: str, body: Optional[Mapping[str, Any]] = None) -> tuple[int, Any]:
        """Status and JSON of an answer; a redirect and what is not JSON become errors, without a word of theirs."""
        upload = None
        if body is not None:
            text = memoryview(json.dumps(body, allow_nan=False).encode())
            upload = Upload(lambda: [text], len(text), "application/json")
        budget = Budget(2 * self.server["timeout"])  # timeout is for one piece of an answer, this for all of them
        with self._client.request(what, method, f"/api/{path}", budget, upload=upload, fine=_ANY_STATUS) as answer:
            status = answer.status
            if answer.content_type == "application/json" and not 300 <= status < 400:
                return status, answer.json()
            if 200 <= status < 300:
                raise BadArchive(
                    f"QATrack+ answered the {what} with {answer.content_type} where JSON is expected. "
                    "Check url in [qatrack]: it is the address of QATrack+'s first page."
                )
            self._complain(what, status, str(answer.headers.get("Location") or ""))

    def _complain(self, what: str, status: int, location: str) -> NoReturn:
        if "/accounts/login" in location:
            raise Refused(
                f"QATrack+ answers the {what} with its login page (HTTP {status}). "
                "Set url in [qatrack] to its first page, or have its administrator put api into LOGIN_EXEMPT_URLS.",
                status=status,
            )
        happened, todo = _MEANINGS.get(status) or _MEANINGS.get(status // 100) or _MEANINGS[4]
        text = f"{happened} (HTTP {status}). {todo}".format(what=what)
        raise Refused(text, status=status, retriable=status >= 500 or status == 429)


_ADDRESS = "Set url in [qatrack] to the address of QATrack+'s first page."
_MEANINGS: dict[int, tuple[str, str]] = {
    3: ("QATrack+ sends the {what} on to another address, which is not followed", _ADDRESS),
    4: ("QATrack+ refused the {what}", "Its log says why."),
    5: ("QATrack+ failed inside at the {what}", f"Its log says why. {AGAIN}"),
    401: (
        "QATrack+ does not accept the token",
        "Have its administrator make one under Auth Token, and name its place in [qatrack].",
    ),
    403: (
        "QATrack+ does not allow this account the {what}",
        "Give the token's user the permission to add test list instances.",
    ),
    404: ("QATrack+ has nothing under the address of the {what}", _ADDRESS),
    413: ("the server before QATrack+ does not take as much at once", "Raise its limit of uploads."),
    429: ("QATrack+ was asked too often", "Push again in a minute."),
    502: ("the server before QATrack+ got no answer from it", AGAIN),
    503: ("QATrack+ is not ready, or too busy", AGAIN),
    504: ("the server before QATrack+ waited too long for it", AGAIN),
}


def _refuse(said: Mapping[str, Any]) -> NoReturn:
    """Raise what the body of a 400 says, as one sentence."""
    for text in map(_all_text, said.values()):
        failed = _OF_A_TEST.search(text)
        if failed is not None:
            raise Refused(f"{failed[1]} failed: {_last_line(text[failed.end() :])}", status=400)
        empty = _NO_VALUE.search(text)
        if empty is not None:
            slugs = tuple(slug.strip() for slug in empty[1].split(",") if slug.strip())
            raise NoValue(f"QATrack+ calculated nothing for {', '.join(slugs)}.", status=400, slugs=slugs)
    field, value = next(iter(said.items()), ("", ""))
    where = "" if field in ("", "non_field_errors", "detail") else f"{_clean(str(field))}: "
    raise Refused(f"QATrack+ does not take it: {where}{_sentence(_all_text(value))}", status=400)


def _last_line(text: str) -> str:
    """The last line of a traceback, which is the one for people."""
    lines = [line for line in text.splitlines() if line.strip()]
    return _sentence(_OUR_ERROR.sub("", lines[-1]) if lines else "")


def _sentence(text: str) -> str:
    line = _clean(text) or "nothing is said"
    return line if line.endswith(".") else f"{line}."


def _clean(text: str) -> str:
    plain = re.sub("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+", " ", text).strip()
    return plain if len(plain) <= _LONGEST_PROBLEM else plain[: _LONGEST_PROBLEM - 3] + "..."


def _all_text(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= 1000 else ""


def _moment(value: Any) -> Optional[datetime]:
    try:
        found = datetime.fromisoformat(_text(value).replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _odd(what: str) -> QAFetchError:
    return BadArchive(
        f"QATrack+ answered the {what} with something that its REST API does not say, so nothing is done with it. "
        "Check url in [qatrack], and that QATrack+ is 3.1 or newer."
    )
