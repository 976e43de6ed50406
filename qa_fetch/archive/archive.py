"""``Archive``: who and where from the configuration, what from the caller, everything else decided here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Optional, Union

from .. import kinds
from ..backends import Committing, Sent, Step, first_failure, open_backend
from ..budget import Budget
from ..config import Config
from ..errors import ConfigError, Incomplete
from ..kinds import Kind
from ..matching import Value
from ..shelf import Reference, Shelf, discard
from . import when
from .as_of import plan_as_of
from .asked import RETURNED, by_level, by_uid, everything, files_of, only, patient_id, require_whole
from .fetching import Fetcher, Progress
from .images import Images, Plan
from .moving import Moved, Mover, as_destination
from .plans import PlanName, check_pick
from .question import Question, ask_until_complete
from .readable import readable
from .sessions import check_grouping
from .told import Told, telling
from .when import When


class Archive:
    """An archive of images and plans, with everything about DICOM hidden.

    Parameters
    ----------
    where
        A name from the configuration, or an address such as ``dimse://AET@host:port`` or ``folder:PATH``. Without
        it, the default archive of the configuration.
    budget
        Seconds that one call may take in all; 25 unless configured otherwise, which fits into a web server's limit.
    config
        A configuration file to read instead of the one that is found.
    on_progress
        Called with how many objects of a transfer have arrived and how many are wanted.
    shelf
        A folder to keep fetched objects in, instead of the configured one.
    **fields
        Single settings of the archive that win over the configuration, such as ``port=104``.

    Examples
    --------
    >>> images = Archive().latest("QA_TB1", plan="WL_6X", kind="portal")      # doctest: +SKIP
    >>> plan = Archive("aria").plan("12345678", label="PROST_VMAT")           # doctest: +SKIP
    """

    def __init__(
        self,
        where: Optional[str] = None,
        *,
        budget: Optional[float] = None,
        config: Union[str, Path, None] = None,
        on_progress: Optional[Progress] = None,
        shelf: Union[str, Path, None] = None,
        **fields: Any,
    ) -> None:
        loaded = Config.load(config)
        self._given: dict[str, Any] = {"where": where, "budget": budget, "config": config, "shelf": shelf, **fields}
        self.config = loaded.archive(where, budget=budget, **fields)
        self.name = self.config.name
        self._seconds: float = self.config.options.get("budget") or loaded.top("budget").value
        self._loaded = loaded
        address = [self.config.options.get(key) for key in ("ae_title", "host", "port", "path", "url")]
        # A relative path means another folder in another working directory, and so another archive.
        address = [part.absolute() if isinstance(part, Path) else part for part in address]
        self._identity = [self.config.kind, *map(str, address)]
        self._root: Path = Path(shelf).expanduser() if shelf is not None else loaded.shelf("path").value
        self._shelf = self._shelf_of(self._identity)
        self._settle_minutes: float = loaded.shelf("settle_minutes").value
        self._on_progress = on_progress
        self._unit: Optional[int] = None
        self._user = ""

    @classmethod
    def for_unit(cls, UTILS: Any, *, config: Union[str, Path, None] = None, **fields: Any) -> Archive:
        """The archive of the unit that a QATrack+ page is about.

        Parameters
        ----------
        UTILS
            What QATrack+ gives to a procedure under this name.
        config
            A configuration file to read instead of the one that is found.
        **fields
            As for ``Archive``.

        Notes
        -----
        ``[units.<number>]`` of the configuration names the archive of a unit; others have the default archive.
        """
        number = int(UTILS.unit.number)
        archive = cls(Config.load(config).unit(number).archive, config=config, **fields)
        archive._unit, archive._user = number, str(UTILS.user)
        return archive

    def again(self, **changes: Any) -> Archive:
        """The same archive with another ``shelf``, ``budget`` or other parameter."""
        return Archive(**{**self._given, **changes})

    def __reduce__(self) -> Any:
        """In another process the archive is opened there, with the configuration that is found there."""
        return partial(Archive, **self._given), ()

    def _shelf_of(self, identity: list[str]) -> Shelf:
        return Shelf(self._root, self.name, repr(identity))

    @contextlib.contextmanager
    def _session(self, call: str, patient: str = "", *, as_of: Optional[datetime] = None) -> Iterator[Fetcher]:
        """A connection for one call: calls from several threads never share one."""
        shelf = self._shelf if as_of is None else self._shelf_of([*self._identity, as_of.isoformat()])
        with telling(Told(call, self.name, unit=self._unit, patient=patient, user=self._user)) as told:
            backend = open_backend(self.config, self._loaded)
            try:
                plan_file = partial(self._plan_file, as_of=as_of)
                yield Fetcher(backend, shelf, self.name, self._on_progress, plan_file, told)
            finally:
                backend.close()

    def _plan_file(self, plan: Plan, as_of: Optional[datetime]) -> Path:
        with self._session("plan", plan.reference.patient, as_of=as_of) as fetcher:
            return fetcher.plan_file(plan, Budget(self._seconds))

    # --- images

    def latest(
        self,
        patient: str,
        *,
        plan: PlanName = None,
        kind: Union[str, Kind] = "portal",
        on: Optional[When] = None,
        before: Optional[When] = None,
        after: Optional[When] = None,
        at_least: int = 1,
        session: str = "series",
        pick: Optional[str] = None,
        approved: Optional[bool] = None,
        wait: bool = False,
    ) -> Images:
        """The newest session of images of a patient and plan.

        Parameters
        ----------
        patient
            The PatientID.
        plan
            An RTPlanLabel, a plan's SOP Instance UID or a ``Plan``; only images that reference it count.
        kind
            What sort of image: see ``qa_fetch.kinds``.
        on, before, after
            When the session began: on a day; strictly before, or at or after, a moment (a date means its midnight).
            With ``before`` or ``on`` the answer stays the same when it is asked again later.
        at_least
            How many images make the session complete; fewer are an error, never a result.
        session
            ``"series"``: the images of one series, taken in one sitting. ``"day"``: all series of one day together.
        pick, approved
            Which plan is meant when several have the label: see ``plan``.
        wait
            Ask again until ``at_least`` images are there and no more are coming, or the budget ends.

        Raises
        ------
        NotFound, Ambiguous, Incomplete
            Nothing fits; several plans fit; fewer images than ``at_least``, or not all of them arrived.
        """
        question = self._question(patient, plan, kind, (on, before, after), session, pick, approved, at_least)
        budget = Budget(self._seconds)
        with self._session("latest", patient) as fetcher:
            if wait:
                return ask_until_complete(question, fetcher, budget)
            return question.newest(fetcher, budget)

    def images(
        self,
        patient: str,
        *,
        plan: PlanName = None,
        kind: Union[str, Kind] = "portal",
        on: Optional[When] = None,
        before: Optional[When] = None,
        after: Optional[When] = None,
        session: str = "series",
        pick: Optional[str] = None,
        approved: Optional[bool] = None,
    ) -> Iterator[Images]:
        """All sessions that fit, newest first, each fetched when it is its turn; parameters as in ``latest``.

        Each session has a time budget of its own.
        """
        question = self._question(patient, plan, kind, (on, before, after), session, pick, approved, 1)
        with self._session("images", patient) as fetcher:
            yield from question.all(fetcher, self._seconds)

    def _question(
        self,
        patient: str,
        plan: PlanName,
        kind: Union[str, Kind],
        when: tuple[Optional[When], Optional[When], Optional[When]],
        session: str,
        pick: Optional[str],
        approved: Optional[bool],
        at_least: int,
    ) -> Question:
        check_grouping(session)
        check_pick(pick)
        if at_least < 1:
            raise ConfigError(
                f"at_least={at_least} makes no sense. Give the number of images that a session must have."
            )
        return Question(
            archive=self.name,
            patient=patient_id(patient),
            plan=plan,
            kind=kinds.kind(kind),
            when=when,
            grouping=session,
            pick=pick,
            approved=approved,
            at_least=at_least,
            one_plan_per_series=bool(self.config.options.get("one_plan_per_series")),
            settle_minutes=self._settle_minutes,
        )

    # --- plans

    def plans(self, patient: str, label: Optional[str] = None) -> list[Plan]:
        """The plans of a patient, newest first; none of them is fetched before its file is asked for."""
        budget = Budget(self._seconds)
        with self._session("plans", patient) as fetcher:
            found = fetcher.plans(patient_id(patient), budget, label=label)
        return sorted(found, key=lambda plan: (str(plan.date or ""), plan.time), reverse=True)

    def plan(
        self,
        patient: str,
        label: Optional[str] = None,
        *,
        pick: Optional[str] = None,
        approved: Optional[bool] = None,
        as_of: Optional[When] = None,
    ) -> Plan:
        """One plan of a patient, fetched.

        Parameters
        ----------
        patient
            The PatientID.
        label
            Its RTPlanLabel or SOP Instance UID; may be left out where the patient has one plan. A plan of Pinnacle may
            be named without its trial, where it has one.
        pick
            ``"newest"`` chooses by RTPlanDate and RTPlanTime when several have the label.
        approved
            True takes only plans whose ApprovalStatus is APPROVED.
        as_of
            When the check began that the plan is for. The plan is then fetched anew, whatever is on the shelf, since
            archives let a plan change under its UID; asked again with the same moment, it is the same copy.
        """
        budget = Budget(self._seconds)
        moment = None if as_of is None else when.moment(as_of, "as_of")
        with self._session("plan", patient, as_of=moment) as fetcher:
            asked: dict[str, Any] = {"patient": patient_id(patient), "label": label, "pick": pick, "approved": approved}
            find = partial(fetcher.plan, budget=budget, **asked)
            plan = find() if moment is None else plan_as_of(fetcher, moment, find, **asked)
            fetcher.plan_file(plan, budget)
            return plan

    # --- by UID, and whole patients

    def fetch(
        self,
        *,
        study: Union[str, Sequence[str], None] = None,
        series: Union[str, Sequence[str], None] = None,
        instance: Union[str, Sequence[str], None] = None,
    ) -> Images:
        """Everything of the studies, series and instances of these UIDs."""
        asked = by_level({"STUDY": study, "SERIES": series, "IMAGE": instance})
        if not asked:
            raise ConfigError("fetch needs a UID. Give study=, series= or instance=.")
        budget = Budget(self._seconds)
        references: dict[str, Reference] = {}
        with self._session("fetch") as fetcher:
            for level, uid in asked:
                found = by_uid(fetcher.backend, fetcher.shelf, level, uid, budget, self.name)
                references.update({reference.instance: reference for reference in found})
            images = fetcher.bring(
                list(references.values()), budget, says="object fetched by UID", whole_series=instance is None
            )
            if study:
                require_whole(fetcher, list(references.values()), budget)
            return images

    def patient(self, patient: str) -> Images:
        """Everything that the archive has of a patient; raises Incomplete unless all of it can be had.

        Patients of Pinnacle are converted when they are first asked for, and kept on the shelf.
        """
        with self._session("patient", patient) as fetcher:
            return everything(fetcher, patient_id(patient), Budget(self._seconds))

    def forget(self, images: Images) -> None:
        """Take a set off the shelf, once it has been copied to where it belongs."""
        discard(self._shelf, images.folder, images.uids)

    # --- the rest

    def find(self, level: str, keys: Optional[Mapping[str, Value]] = None, **more: Value) -> list[Any]:
        """What the archive has at a level (PATIENT, STUDY, SERIES, IMAGE), as pydicom Datasets.

        Keys are DICOM keywords; an empty value asks for the attribute to be returned. Rows that provably do not fit
        are left out, whatever the archive matched.
        """
        asked = {**(keys or {}), **more}
        returned = [*RETURNED.get(level.upper(), ()), *(key for key, value in asked.items() if value in ("", None))]
        given = {key: value for key, value in asked.items() if value not in ("", None)}
        with self._session("find") as fetcher:
            rows = fetcher.backend.find(level, given, returned, Budget(self._seconds))
        return [only(readable(row), {*returned, *given, "SpecificCharacterSet"}) for row in rows]

    def send(self, paths: Union[str, Path, Sequence[Union[str, Path]]], *, commit: bool = False) -> list[Sent]:
        """Send files, or folders of files; raises Incomplete unless the archive has every one of them.

        With ``commit`` the archive is also asked to vouch for them (DICOM storage commitment), so that they may be
        deleted here.
        """
        files = files_of(paths)
        with self._session("send") as fetcher:
            backend = fetcher.backend
            if commit and not (isinstance(backend, Committing) and backend.commits):
                raise ConfigError(f"{self.name} ({self.config.kind}) offers no storage commitment. Leave it out.")
            seconds = max(self._seconds, len(files) * 2.0)
            outcome = self._all_of(backend.store(files, Budget(seconds)), "sent to")
            if commit and isinstance(backend, Committing):
                self._all_of(backend.commit(files, Budget(seconds)), "committed to by")
        return outcome

    def _all_of(self, outcome: list[Sent], what: str) -> list[Sent]:
        failed = [sent for sent in outcome if sent.problem]
        if failed:
            raise Incomplete(
                f"{len(failed)} of {len(outcome)} files were not {what} {self.name}; the first: {failed[0].problem}.",
                missing=[str(sent.path) for sent in failed],
                outcome=outcome,
            )
        return outcome

    def move(
        self,
        to: str,
        *,
        patient: Union[str, Sequence[str], None] = None,
        study: Union[str, Sequence[str], None] = None,
        series: Union[str, Sequence[str], None] = None,
        instance: Union[str, Sequence[str], None] = None,
        missing_only: Optional[Archive] = None,
    ) -> list[Moved]:
        """Have this archive send objects to another one; raises Incomplete unless all of them arrived.

        Parameters
        ----------
        to
            The AE title by which this archive knows the other one.
        patient, study, series, instance
            The PatientIDs and UIDs of what to send; each has a time budget of its own.
        missing_only
            The other archive. What it has is not sent, and what was sent is looked for there.
        """
        asked = by_level({"PATIENT": patient, "STUDY": study, "SERIES": series, "IMAGE": instance})
        if not asked:
            raise ConfigError("move needs something to send. Give patient=, study=, series= or instance=.")
        with contextlib.ExitStack() as stack:
            backend = stack.enter_context(self._session("move")).backend
            other = stack.enter_context(missing_only._session("find")).backend if missing_only else None
            return Mover(backend, as_destination(to), other, self._seconds, self._on_progress).all(asked)

    def echo(self, patient: str = "") -> list[Step]:
        """Try the connection step by step; with a patient, also whether that patient can be seen."""
        with self._session("echo", patient) as fetcher:
            steps = list(fetcher.backend.echo(Budget(self._seconds), patient))
            fetcher.telling.failed(first_failure(steps))
            return steps

    def __repr__(self) -> str:
        return f"<Archive {self.name} ({self.config.kind})>"
