"""QATrack+'s REST API as a push sees it: what it refuses, what it takes silently, and how it words it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Callable, Optional

from peers.http_double import Asked, HttpDouble, Reply

TOKEN = "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b"
_CALCULATED = ("composite", "scomposite", "upload")
_FORMATS = ("%d %b %Y %H:%M", "%d %b %Y %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f")


class Fails(Exception):
    """What a procedure raises: the whole text of its traceback, as QATrack+ cuts it."""


@dataclass(eq=False)
class HeldTest:
    slug: str
    type: str
    choices: Optional[str] = None
    procedure: Optional[Callable[[Mapping[str, Any]], Any]] = None


@dataclass(eq=False)
class HeldList:
    slug: str
    name: str
    tests: list[HeldTest]
    below: list[HeldList] = field(default_factory=list)

    def all_tests(self) -> list[HeldTest]:
        return [*self.tests, *(test for one in self.below for test in one.tests)]


@dataclass
class Assigned:
    unit: int
    test_list: HeldList
    frequency: Optional[str] = None
    active: bool = True


class QATrackDouble:
    """The state of a small QATrack+; ``double.url`` is its address while the context lasts."""

    def __init__(self, assigned: list[Assigned]) -> None:
        self.assigned = assigned
        self.records: list[dict[str, Any]] = []
        self.posts: list[dict[str, Any]] = []
        self.may_add = True
        self.filters = True
        self.created: Optional[str] = None
        self.page = 100
        self.on_post: Optional[Callable[[QATrackDouble], Optional[Reply]]] = None  # before the API sees it
        self.after_post: Optional[Callable[[QATrackDouble], Optional[Reply]]] = None  # when it is recorded
        self.http = HttpDouble(self._answer)

    def __enter__(self) -> QATrackDouble:
        self.http.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.http.__exit__(*error)

    @property
    def lists(self) -> list[HeldList]:
        return list(dict.fromkeys(held for one in self.assigned for held in (one.test_list, *one.test_list.below)))

    @property
    def tests(self) -> list[HeldTest]:
        return [test for held in self.lists for test in held.tests]

    @property
    def url(self) -> str:
        return self.http.url

    def _answer(self, asked: Asked) -> Reply:
        if asked.headers.get("Authorization") != f"Token {TOKEN}":
            return _json(401, {"detail": "Invalid token."})
        path = asked.path.removeprefix("/api")
        one = re.fullmatch(r"/(qa|units)/([a-z]+)/(\d+)/", path)
        if asked.method == "POST" and path == "/qa/testlistinstances/":
            return self._post(asked)
        if one:
            return self._one(one[2], int(one[3]))
        if path == "/qa/unittestcollections/":
            return self._page(
                asked, [self._row(n, one) for n, one in enumerate(self.assigned, 1) if self._fits(asked, one)]
            )
        if path == "/qa/testlistinstances/":
            key = dict(asked.keys).get("user_key")
            found = [record for record in self.records if not self.filters or key in (None, record["user_key"])]
            return self._page(asked, found)
        return Reply(404, b"<html>Page not found</html>", "text/html; charset=utf-8")

    def _fits(self, asked: Asked, one: Assigned) -> bool:
        keys = dict(asked.keys) if self.filters else {}
        return (
            keys.get("unit__number", str(one.unit)) == str(one.unit)
            and keys.get("test_list__slug", one.test_list.slug) == one.test_list.slug
            and keys.get("test_list__name", one.test_list.name) == one.test_list.name
        )

    def _page(self, asked: Asked, rows: list[dict[str, Any]]) -> Reply:
        keys = dict(asked.keys)
        first, limit = int(keys.get("offset", 0)), min(int(keys.get("limit", 10)), self.page)
        more = f"{self.url}{asked.path}?limit={limit}&offset={first + limit}" if first + limit < len(rows) else None
        body = {"count": len(rows), "next": more, "previous": None, "results": rows[first : first + limit]}
        return _json(200, body)

    def _row(self, number: int, one: Assigned) -> dict[str, Any]:
        frequency = None if one.frequency is None else f"{self.url}/api/qa/frequencies/{number}/"
        return {
            "url": f"{self.url}/api/qa/unittestcollections/{number}/",
            "unit": f"{self.url}/api/units/units/{one.unit + 50}/",
            "tests_object": f"{self.url}/api/qa/testlists/{self.lists.index(one.test_list) + 1}/",
            "frequency": frequency,
            "active": one.active,
            "name": one.test_list.name,
        }

    def _one(self, what: str, number: int) -> Reply:
        if what == "units":
            return _json(200, {"number": number - 50, "name": "TB"})
        if what == "frequencies":
            name = str(self.assigned[number - 1].frequency)
            return _json(200, {"slug": name.lower(), "name": name})
        if what == "testlists":
            held = self.lists[number - 1]
            tests = [f"{self.url}/api/qa/tests/{self.tests.index(test) + 1}/" for test in held.tests]
            below = [f"{self.url}/api/qa/testlists/{self.lists.index(one) + 1}/" for one in held.below]
            return _json(
                200,
                {"slug": held.slug, "name": held.name, "tests": tests, "test_lists": below, "created": self.created},
            )
        test = self.tests[number - 1]
        return _json(200, {"slug": test.slug, "type": test.type, "choices": test.choices, "name": test.slug})

    def _post(self, asked: Asked) -> Reply:
        if not self.may_add:
            return _json(403, {"detail": "You do not have permission to perform this action."})
        reply = self.on_post(self) if self.on_post is not None else None
        if reply is not None:
            return reply
        body = json.loads(asked.body)
        self.posts.append(body)
        collection = re.search(r"/api/qa/unittestcollections/(\d+)/\Z", str(body.get("unit_test_collection")))
        fields = {
            name: ["Datetime has wrong format. Use one of these formats instead: ..."]
            for name in ("work_started", "work_completed")
            if _moment(body.get(name)) is None
        }
        if collection is None:
            fields["unit_test_collection"] = ["Invalid hyperlink - No URL match."]
        if any(record["user_key"] == body.get("user_key") for record in self.records):
            fields["user_key"] = ["test list instance with this user key already exists."]
        if fields or collection is None:
            return _json(400, fields)
        tests = self.assigned[int(collection[1]) - 1].test_list.all_tests()
        said = _validated(tests, body["tests"]) or _order(body)
        if said:
            return _json(400, {"non_field_errors": [said]})
        self.record(body["user_key"], body["tests"])
        reply = self.after_post(self) if self.after_post is not None else None
        return reply or _json(201, {**self.records[-1], "tests": _as_told(tests, body["tests"])})

    def record(self, user_key: str, tests: Optional[Mapping[str, Any]] = None) -> None:
        """Hold a record, as if somebody else had made it."""
        number = len(self.records) + 1
        page = f"http://localhost/qa/session/details/{number}/"  # behind a proxy it does not know its own name
        self.records.append({"user_key": user_key, "site_url": page, "tests": dict(tests or {})})


def _as_told(tests: list[HeldTest], held: Mapping[str, Any]) -> dict[str, Any]:
    """The tests of a record as the answer to its push has them."""
    texts = [test.slug for test in tests if test.type in ("string", "scomposite", "multchoice")]
    return {
        slug: {
            "value": None if slug in texts else data.get("value"),
            "string_value": data.get("value") if slug in texts else "",
            "skipped": data.get("skipped", False),
        }
        for slug, data in held.items()
    }


def _moment(text: Any) -> Optional[datetime]:
    for one in _FORMATS:
        try:
            return datetime.strptime(str(text), one)
        except ValueError:
            continue
    return None


def _order(body: Mapping[str, Any]) -> str:
    began, ended = _moment(body["work_started"]), _moment(body["work_completed"])
    assert began is not None and ended is not None
    return "work_completed date must be after work_started" if ended < began else ""


def _validated(tests: list[HeldTest], given: dict[str, Any]) -> str:
    """What QATrack+ says against the tests, after it calculated what is to be calculated (into ``given``)."""
    for test in tests:
        if test.type == "upload" and "filename" not in given.get(test.slug, {}):
            return f"{test.slug} is missing the filename field"
    entered = {slug: data.get("value") for slug, data in given.items()}
    for test in tests:
        if test.type in ("composite", "scomposite") and test.procedure is not None:
            try:
                value = test.procedure(entered)
            except Fails as error:
                return f"Error with {test.slug} test: Invalid Test Procedure: {error}"
            provided = given.setdefault(test.slug, {}).get("value")
            if provided not in (None, "", value):
                return (
                    f"The following tests are calculated automatically and should not have values provided: {test.slug}"
                )
            given[test.slug]["value"] = entered[test.slug] = value
    missing = [test.slug for test in tests if test.slug not in given and test.type not in (*_CALCULATED, "constant")]
    numbers = ("composite", "simple", "wraparound")
    wrong = [
        test.slug
        for test in tests
        if test.type in numbers
        and not given.get(test.slug, {}).get("skipped")
        and test.slug not in missing
        and not isinstance(given.get(test.slug, {}).get("value"), (int, float))
    ]
    said = [f"Missing data for tests: {', '.join(missing)}"] if missing else []
    if wrong:
        said.append(
            f"Wrong value type (number/string) for tests: {', '.join(wrong)}\n"
            "If these are composite tests with missing dependencies, they should be marked as skipped in your request "
            f"(e.g. {{'tests': {{'{wrong[0]}': {{'skipped': True}}}}}})"
        )
    return "\n".join(said)


def _json(status: int, body: Any) -> Reply:
    return Reply(status, json.dumps(body).encode(), "application/json")


TESTS = '{ go = true, patientid = "QA_TB1", rtplanname = "WL_6X", temp = 21.5, film = "EBT3" }'


def _wl(entered: Any) -> Optional[str]:
    return f"images of {entered['patientid']}" if entered["go"] else None


def _max(entered: Any) -> Optional[float]:
    return 0.5 if entered["wl"] else None


def winston_lutz(wl: Callable[[Any], Any] = _wl) -> HeldList:
    below = HeldList("room", "Room", [HeldTest("temp", "simple"), HeldTest("pi", "constant")])
    tests = [
        HeldTest("go", "boolean"),
        HeldTest("patientid", "string"),
        HeldTest("rtplanname", "string"),
        HeldTest("film", "multchoice", "EBT3, EBT4"),
        HeldTest("wl", "scomposite", procedure=wl),
        HeldTest("wl_max_2d", "composite", procedure=_max),
    ]
    return HeldList("winston-lutz-6x", "Winston-Lutz 6X", tests, [below])


def configured(
    url: str, *, lists: Optional[dict[str, str]] = None, before: str = "", timeout: float = 30, **fields: str
) -> None:
    """Write ``qa_fetch.toml`` into the working directory; ``fields`` change those that every list has."""
    own = {"unit": "1", "test_list": '"winston-lutz-6x"', "tests": TESTS, **fields}
    text = f'{before}[qatrack]\nurl = "{url}"\ntoken_env = "QATRACK_TOKEN"\ntimeout = {timeout}\n'
    for name, changed in (lists or {"wl_tb1": ""}).items():
        rows = "\n".join(f"{key} = {value}" for key, value in own.items() if f"{key} =" not in changed)
        text += f"[qatrack.lists.{name}]\n{rows}\n{changed}\n"
    Path("qa_fetch.toml").write_text(text)
