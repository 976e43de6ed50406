"""The lists of ``[qatrack.lists]``: performed from outside, and their images brought before somebody opens the page."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from datetime import time as time_of_day
from pathlib import Path
from typing import Any, Callable, Optional, Union

from ..archive import Archive
from ..archive.when import When, moment
from ..config import Config, TestList, Unit
from ..config.layer import same
from ..errors import ConfigError, ConnectionFailed, QAFetchError, Refused
from .entries import entries, without_result
from .rest import AGAIN, NoValue, QATrack

# Seconds: nobody waits in front of a page, and a large set must get through.
_PATIENCE = 600.0
# Beside the kinds of images: the plan itself, and lists that fetch nothing.
PLAN, NOTHING = "plan", "none"
_THERE = "already there"
_LAST_MINUTE = time_of_day(23, 59)

ConfigFile = Union[str, Path, None]


@dataclass(frozen=True)
class Pushed:
    """What became of a list: ``pushed``, ``already there``, ``would be pushed`` or ``failed``, and what is wrong."""

    name: str
    unit: int
    outcome: str
    url: str = ""
    problem: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Prefetched:
    """What was brought for one list, and whether it lay on the shelf (None: nobody knows); or the ``problem``."""

    name: str
    unit: int
    objects: int = 0
    from_shelf: Optional[bool] = None
    problem: str = ""
    seconds: float = 0.0


def push(
    names: Sequence[str] = (),
    *,
    on: Optional[When] = None,
    dry_run: bool = False,
    config: ConfigFile = None,
    on_list: Optional[Callable[[Pushed], None]] = None,
) -> list[Pushed]:
    """Have QATrack+ perform lists of the configuration; a list that has been pushed for the day is left as it is.

    Parameters
    ----------
    names
        Which lists; all of them where none is named.
    on
        The day for which they are performed; without it, today.
    dry_run
        Look everything up and check it, and record nothing.
    config
        A configuration file to read instead of the one that is found.
    on_list
        Called with the outcome of each list as soon as it is known.
    """
    loaded = Config.load(config)
    lists = _chosen(loaded, names)
    now = datetime.now().replace(microsecond=0)
    day = now.date() if on is None else moment(on, "on").date()
    if day > now.date():
        raise ConfigError(f"on={day} is still to come. Give a day that has begun.")
    server = QATrack(loaded)
    outcome = []
    for one in lists:
        began = time.monotonic()
        try:
            what, url, problem = _pushed(server, one, loaded.unit(one.unit), _times(one, day, now), dry_run)
        except QAFetchError as error:
            what, url, problem = "failed", "", error.message
        took = time.monotonic() - began
        outcome.append(Pushed(one.name, one.unit, what, url, problem, took))
        if on_list is not None:
            on_list(outcome[-1])
    return outcome


def _pushed(
    server: QATrack, wanted: TestList, unit: Unit, times: tuple[datetime, datetime], dry_run: bool
) -> tuple[str, str, str]:
    """What became of a list, its page, and what is wrong with the record."""
    key = user_key(wanted, times[0].date())
    there = server.recorded(key)
    if there is not None:
        return _THERE, there, ""
    assignment = server.assignment(wanted.unit, wanted.test_list, wanted.frequency)
    check_time_zone(assignment.a_moment)
    body: dict[str, Any] = {
        "unit_test_collection": assignment.url,
        "work_started": f"{times[0]:%Y-%m-%d %H:%M:%S}",
        "work_completed": f"{times[1]:%Y-%m-%d %H:%M:%S}",
        "user_key": key,
        "tests": entries(wanted, assignment.tests, unit.patient),
    }
    if dry_run:
        return "would be pushed", "", ""
    try:
        made = server.perform(body)
    except NoValue as error:
        raise Refused(
            f"QATrack+ calculated nothing for {', '.join(error.slugs)}, so nothing is recorded. {_give(wanted)}",
            status=400,
        ) from None
    except ConnectionFailed as error:
        raise ConnectionFailed(f"{error.message} {AGAIN}", retriable=error.retriable) from None
    except Refused as error:
        # Two pushes at the same moment: the database refuses the second one only when it is written.
        there = server.recorded(key) if error.status == 500 else None
        if there is None:
            raise
        return _THERE, there, ""
    if made is None:
        return _THERE, server.recorded(key) or "", ""
    empty = without_result(wanted, assignment.tests, made.tests)
    problem = f"it is recorded, but QATrack+ calculated nothing for {', '.join(empty)}. {_give(wanted)}"
    return "pushed", made.page, problem if empty else ""


def _give(wanted: TestList) -> str:
    return f"Give what they need in tests of [qatrack.lists.{wanted.name}], or name them in its skip."


def check_time_zone(a_moment: Optional[datetime]) -> None:
    """Refuse to push into another time zone: the API takes times without one, and reads them in QATrack+'s own."""
    if a_moment is None:
        return
    here = a_moment.astimezone()
    if a_moment.utcoffset() != here.utcoffset():
        raise ConfigError(
            f"QATrack+ has {a_moment:%H:%M} on its clock when this machine has {here:%H:%M}, so times would be wrong. "
            "Set this machine to the time zone of QATrack+ (its TIME_ZONE; TZ in the environment)."
        )


def user_key(wanted: TestList, day: date) -> str:
    """What makes the push of a list unique for a day; it names no patient."""
    return f"qa_fetch:{same(wanted.name)}:{wanted.unit}:{day.isoformat()}"


def _times(wanted: TestList, day: date, now: datetime) -> tuple[datetime, datetime]:
    """When the work began and ended: never later than now, and without ``at`` at the end of a day that is over."""
    if day == now.date():
        began = now if wanted.at is None else min(now, datetime.combine(day, wanted.at))
        return began, now
    began = datetime.combine(day, wanted.at or _LAST_MINUTE)
    return began, began


def prefetch(
    names: Sequence[str] = (),
    *,
    config: ConfigFile = None,
    on_list: Optional[Callable[[Prefetched], None]] = None,
) -> list[Prefetched]:
    """Bring the newest images of lists of the configuration onto the shelf, so that their pages open at once.

    Parameters
    ----------
    names
        Which lists; all of them where none is named.
    config
        A configuration file to read instead of the one that is found.
    on_list
        Called with the outcome of each list as soon as it is known.
    """
    loaded = Config.load(config)
    outcome = []
    for one in _chosen(loaded, names):
        if one.kind == NOTHING and not names:
            continue
        began = time.monotonic()
        objects, from_shelf, problem = 0, None, ""
        try:
            objects, from_shelf = _brought(loaded, one, config)
        except QAFetchError as error:
            problem = error.message
        except OSError as error:
            problem = f"{error.filename or 'the shelf'}: {error.strerror or error}. Check the path and its rights."
        took = time.monotonic() - began
        outcome.append(Prefetched(one.name, one.unit, objects, from_shelf, problem, took))
        if on_list is not None:
            on_list(outcome[-1])
    return outcome


def _brought(loaded: Config, wanted: TestList, config: ConfigFile) -> tuple[int, Optional[bool]]:
    """How many objects a list needs, now on the shelf, and whether all of them were there before."""
    if wanted.kind == NOTHING:
        raise ConfigError(f'list {wanted.name} fetches nothing, since its kind is "{NOTHING}". Leave it out.')
    unit = loaded.unit(wanted.unit)
    patient = str(wanted.tests.get("patientid") or unit.patient or "")
    if not patient:
        raise ConfigError(
            f"no patient is known for list {wanted.name}. "
            f"Give patientid in its tests, or patient in [units.{wanted.unit}]."
        )
    archive = Archive(wanted.archive or unit.archive, budget=_PATIENCE, config=config)
    label = str(wanted.tests.get("rtplanname") or "") or None
    if wanted.kind == PLAN:
        archive.plan(patient, label, approved=True)
        return 1, None
    images = archive.latest(patient, plan=label, kind=wanted.kind, approved=True if label else None)
    return len(images.uids), images.from_shelf


def _chosen(loaded: Config, names: Iterable[str]) -> list[TestList]:
    """The lists by their names, each once; all where none is named."""
    wanted = list(names) or loaded.test_list_names()
    if not wanted:
        raise ConfigError("no list is configured. Add [qatrack.lists.NAME] with unit and test_list to qa_fetch.toml.")
    found = [loaded.test_list(name) for name in wanted]
    return list({one.name: one for one in found}.values())
