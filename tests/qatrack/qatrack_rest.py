"""QATrack+'s REST API, as far as it performs a list: POST /api/qa/testlistinstances/."""

from __future__ import annotations

import json
from datetime import datetime
from numbers import Number
from typing import Any, Optional, Union

from qatrack_engine import Engine
from qatrack_pack import CALCULATED_TYPES, DATE_TYPES, NUMERICAL_TYPES, STRING_TYPES, QaTest
from qatrack_records import Instance, Result
from qatrack_text import MOMENT_FORMATS, AnswerEncoder, ServerError, parsed_date, parsed_moment

Tests = dict[str, dict[str, Any]]


class ApiRefused(Exception):
    """The API answered with HTTP 400."""


class RestApi:
    """Performs lists from outside, without a page: no default values, no skips for the procedures, no JSON."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def perform(
        self,
        tests: Tests,
        work_started: Union[str, datetime],
        user_key: Optional[str] = None,
        work_completed: Union[str, datetime, None] = None,
        in_progress: bool = False,
    ) -> Instance:
        """Perform the list and return what was saved.

        Parameters
        ----------
        tests
            ``{slug: {"value": ..., "skipped": ..., "comment": ...}}``; composites need not be there.
        work_started, work_completed
            In one of QATrack+'s formats, taken as the site's local time even with a Z at the end.
        user_key
            A second list with the same key is refused.
        in_progress
            Whether the list is to be completed by a person.
        """
        started = self._moment("work_started", work_started)
        completed = self.engine.now() if work_completed is None else self._moment("work_completed", work_completed)
        known = [one.user_key for one in self.engine.records.instances]
        if user_key is not None and user_key in known:
            raise ApiRefused("user_key: test list instance with this user key already exists.")
        wrong = [f'"{slug}"' for slug, data in tests.items() if not isinstance(data, dict)]
        if wrong:
            raise ApiRefused(f"{', '.join(wrong)} field(s) have errors. Test data must be a dictionary ")
        posted: Tests = json.loads(json.dumps(tests))
        instance = Instance(self.engine, self.engine.unit, started, completed, in_progress, user_key)
        data = json.loads(json.dumps(posted))
        attached = self._compute(data, instance)
        self._check(data, posted, instance)
        for slug, test in self.engine.tests.items():
            instance.results[slug] = _result(test, instance, data[slug], attached.get(slug, []))
        if not self.engine.records.add(instance):
            raise ApiRefused("user_key: test list instance with this user key already exists.")
        return instance

    def _moment(self, name: str, moment: Union[str, datetime]) -> datetime:
        if isinstance(moment, datetime):
            moment = moment.astimezone(self.engine.timezone).strftime(MOMENT_FORMATS[3])
        found = parsed_moment(moment)
        if found is None:
            raise ApiRefused(f"{name}: Datetime has wrong format.")
        return found.replace(tzinfo=self.engine.timezone)

    def _compute(self, data: Tests, instance: Instance) -> dict[str, list[int]]:
        """Supply constants and composites; return the ids of what was attached."""
        composites = False
        for slug, test in self.engine.tests.items():
            if test.type == "constant":
                constant = data.setdefault(slug, {})
                if constant.get("value") not in ("", None, test.constant_value):
                    raise ApiRefused(f"Incorrect constant value passed for {slug}")
                constant["value"] = test.constant_value
            elif test.type == "upload":
                raise NotImplementedError("this stand-in takes no uploads")
            elif test.type in CALCULATED_TYPES:
                composites = True
                data.setdefault(slug, {}).setdefault("value", "")
        if not composites:
            return {}
        meta = {
            "test_list_name": self.engine.test_list.name,
            "unit_number": self.engine.unit.number,
            "cycle_day": 0,  # a page says 1
            "work_completed": instance.work_completed,
            "work_started": instance.work_started,
            "username": self.engine.user.username,
        }
        values = {slug: test.get("value") for slug, test in data.items()}
        comments = {slug: test.get("comment") for slug, test in data.items()}
        answer = self.engine.calculate(values, meta, {}, comments)
        attached = {}
        for slug, result in answer["results"].items():
            if result["error"]:
                raise ApiRefused(f"Error with {slug} test: {result['error']}")
            said = (data[slug].get("comment"), result["comment"])
            data[slug].update(value=result["value"], comment="\n".join(comment for comment in said if comment))
            attached[slug] = [one["attachment_id"] for one in result["user_attached"]]
        return attached

    def _check(self, data: Tests, posted: Tests, instance: Instance) -> None:
        missing, types, automatic = [], [], []
        for slug, test in self.engine.tests.items():
            if slug not in data:
                missing.append(slug)
                continue
            value, given = data[slug].get("value"), posted.get(slug, {}).get("value")
            if test.type in (*CALCULATED_TYPES, "constant") and given not in (None, "") and given != value:
                automatic.append(slug)
            elif not data[slug].get("skipped") and not _is_of_type(test.type, value):
                types.append(slug)
        said = []
        if missing:
            said.append(f"Missing data for tests: {', '.join(missing)}")
        if types:
            said.append(f"Wrong value type (number/string) for tests: {', '.join(types)}")
            said.append(
                "If these are composite tests with missing dependencies, they should be marked as skipped in your "
                f"request (e.g. {{'tests': {{'{types[0]}': {{'skipped': True}}}}}})"
            )
        if automatic:
            said.append(
                "The following tests are calculated automatically and should not have values provided: "
                + ", ".join(automatic)
            )
        if instance.work_completed < instance.work_started:
            said.append("work_completed date must be after work_started")
        if said:
            raise ApiRefused("\n".join(said))


def _is_of_type(kind: str, value: Any) -> bool:
    if kind in NUMERICAL_TYPES:
        return isinstance(value, Number)
    if kind in STRING_TYPES + DATE_TYPES and not isinstance(value, str):
        try:
            json.dumps(value, cls=AnswerEncoder)
        except (TypeError, ValueError):
            return False
    return True


def _result(test: QaTest, instance: Instance, data: dict[str, Any], attached: list[int]) -> Result:
    """Return what the database keeps: str() of whatever a string test has, and no JSON."""
    value = data.get("value")
    skipped, comment = bool(data.get("skipped", False)), data.get("comment") or ""
    result = Result(test, instance, skipped=skipped, comment=comment, attachments=attached, string_value="")
    if test.type in STRING_TYPES:
        result.string_value = value if value is None else str(value)
    elif test.type == "date":
        result.date_value = parsed_date(value)
    elif test.type == "datetime":
        moment = parsed_moment(value)
        result.datetime_value = moment and moment.replace(tzinfo=instance.engine.timezone)
    elif value is not None:
        try:
            result.value = float(value)
        except (TypeError, ValueError) as error:
            raise ServerError(f"{test.slug}: {error}") from error
    return result
