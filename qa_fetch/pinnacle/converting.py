"""One patient of an archive on its way to DICOM: what fails is left out and named, the rest goes on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Callable, Optional

from ..errors import BadArchive, NotFound, QAFetchError
from . import dose, images, monitor_units, passing, reading, rtplan, structures
from .checking import Checks
from .choosing import Chosen, ChosenPlan
from .making import Encoded, ImageSeries, Left, Notes, Work
from .records import Damage, ImageSet, Plan, Trial
from .releasing import OutputFailed, save
from .report import Contents, Written
from .sources import Source
from .uids import Uids

# Files that list what a patient or a plan has: what of them cannot be read is missing in the output.
_LISTS = frozenset(("Patient", "plan.Trial", "plan.roi", "plan.Points"))


class Conversion:
    """What is made of a patient, object by object, in a folder.

    Parameters
    ----------
    source
        The archive.
    chosen
        The patient, and what is asked for of it.
    folder
        Where the objects are written.
    mu
        How monitor units are found.
    told
        Called after each object.
    """

    def __init__(self, source: Source, chosen: Chosen, folder: Path, mu: str, told: Callable[[], None]) -> None:
        self.written: list[Written] = []
        self.plans: list[Contents] = []
        self._source, self._chosen, self._folder, self._mu, self._told = source, chosen, folder, mu, told
        self._notes = Notes()
        self._damages: dict[Damage, None] = dict.fromkeys(chosen.patient.damages)
        self._checks = Checks()
        self._image_sets: dict[int, ImageSet] = {}
        self._images: dict[str, Written] = {}  # by SOP Instance UID
        self._unwritten: set[int] = set()  # image sets whose images could not be made
        self._clashing: dict[int, str] = {}  # image sets whose images have the UIDs of others, and what to say then

    @property
    def skipped(self) -> tuple[Left, ...]:
        """What is not written, and why, each once."""
        cut = [] if self._source.stop is None else [Left("what follows in the archive", self._source.stop)]
        lists = (each for each in self._damages if each.loses and PurePosixPath(each.path).name in _LISTS)
        unread = [Left(f"a part of {each.path}", each.problem) for each in lists]
        return tuple(dict.fromkeys([*cut, *self._notes.skipped, *unread]))

    @property
    def warnings(self) -> tuple[Left, ...]:
        """What somebody should know, each once."""
        return tuple(dict.fromkeys(self._notes.warnings))

    @property
    def damages(self) -> tuple[Damage, ...]:
        """What of the archive's files could not be read."""
        return tuple(self._damages)

    def all(self) -> None:
        """Convert everything that is asked for."""
        if self._chosen.twin:
            reason = "another folder of the archive is the same patient, and objects of both have the same UIDs"
            self._notes.warn("all objects of the patient", f"{reason}; keep one of the two")
        for number in self._numbers():
            self._isolated(f"image set {number}", self._series, number)
        for each in self._chosen.plans:
            self._isolated(f"plan {each.entry.number}", self._plan, each)
        if self._chosen.whole:
            self._isolated("DICOM objects kept in the archive", self._others)

    def _isolated(self, what: str, make: Callable[..., None], *arguments: Any) -> None:
        """Make something; when it cannot be made, that is noted and the rest goes on."""
        try:
            make(*arguments)
        except OutputFailed:
            raise
        except QAFetchError as error:
            self._notes.skip(what, str(error))

    # Images

    def _numbers(self) -> list[int]:
        """The image sets that are wanted: all, or those of the chosen plans."""
        used = [each.entry.image_set for each in self._chosen.plans]
        listed = [entry.number for entry in self._chosen.patient.image_sets] if self._chosen.whole else []
        return list(dict.fromkeys([*listed, *(number for number in used if number is not None)]))

    def _series(self, number: int) -> None:
        """Write the images of an image set: all that are there, or none when one is not what it must be."""
        series, made = images.series(self._work(number, None))
        begun = len(self.written)
        try:
            for encoded in made:
                if self._is_there(number, encoded):
                    continue
                left = self._checks.image(series, encoded)
                if left is not None:
                    raise BadArchive(f"{left.what}: {left.reason}")
                self._keep(encoded, image_set=number)
        except QAFetchError:
            self._unwritten.add(number)
            for each in self.written[begun:]:
                each.path.unlink()
            del self.written[begun:]
            raise
        self._images.update((each.sop_instance, each) for each in self.written[begun:])

    def _is_there(self, number: int, encoded: Encoded) -> bool:
        """Whether an image is written already, as another image set's; BadArchive where that one has other content."""
        twin = self._images.get(encoded.sop_instance)
        if twin is None:
            return False
        if twin.path.read_bytes() == encoded.data:
            return True
        self._clashing[number] = (
            f"images of image set {number} have the UIDs of those of image set {twin.image_set}, but not their "
            "content; find out in the planning system which are right"
        )
        raise BadArchive(self._clashing[number])

    def _others(self) -> None:
        """Write what else of DICOM the archive keeps."""
        for encoded in passing.others(self._work(None, None)):
            left = self._checks.other(encoded)
            if left is None:
                self._keep(encoded)
            else:
                self._notes.skipped.append(left)

    # Plans

    def _plan(self, chosen: ChosenPlan) -> None:
        """Write a plan's structure set, and the plan and the dose of each trial."""
        entry = chosen.entry
        if not any(name.startswith(f"{entry.folder}/") for name in self._source.names()):
            raise NotFound("the archive has no files of it; look for them in another archive")
        plan = reading.plan(self._source, self._chosen.patient, entry)
        self._damages.update(dict.fromkeys(plan.damages))
        trials = [trial for trial in plan.trials if chosen.trial in (None, trial.index)]
        self.plans.append(
            Contents(
                entry.number,
                entry.name,
                entry.version,
                entry.written,
                {trial.index: trial.name for trial in trials},
            )
        )
        try:
            work, series = self._placed(plan)
        except QAFetchError as error:
            self._leave(plan, trials, str(error))
            return
        structure_uid = self._structures(work, series)
        if not trials:
            self._notes.skip(f"RTPLAN and RTDOSE of plan {entry.number}", "no trial of it can be read")
        for trial in trials:
            what = f"RTPLAN and RTDOSE of plan {entry.number}, trial {trial.index}"
            self._isolated(what, self._trial, work, series, trial, structure_uid)

    def _placed(self, plan: Plan) -> tuple[Work, ImageSeries]:
        """A plan with the images that it was made on."""
        if plan.entry.image_set is None:
            raise NotFound("the archive does not say on which images it was made; export it from the planning system")
        if plan.entry.image_set in self._clashing:
            raise BadArchive(self._clashing[plan.entry.image_set])
        work = self._work(plan.entry.image_set, plan)
        series, _ = images.series(work)
        if plan.entry.image_set in self._unwritten:
            series = images.unseen(work, series)
        if series.doubt is not None:
            raise BadArchive(series.doubt)
        return work, series

    def _leave(self, plan: Plan, trials: Sequence[Trial], reason: str) -> None:
        """Nothing of a plan can be written."""
        of = f"plan {plan.entry.number}"
        self._notes.skip(f"RTSTRUCT of {of}", reason)
        for trial in trials:
            for modality in ("RTPLAN", "RTDOSE"):
                self._notes.skip(f"{modality} of {of}, trial {trial.index}", reason)
        if not trials:
            self._notes.skip(f"RTPLAN and RTDOSE of {of}", reason)

    def _structures(self, work: Work, series: ImageSeries) -> Optional[str]:
        """Write a plan's structure set; its UID where that is in the output."""
        assert work.plan is not None
        what = f"RTSTRUCT of plan {work.plan.entry.number}"
        made = self._attempt(what, lambda: structures.structure_set(work, series))
        if made is None:
            return None
        checked = self._checks.objects(series, [made])
        self._notes.skipped.extend(checked.left)
        self._keep_all(checked.passed, work.plan)
        return made.sop_instance if checked.passed else None

    def _trial(self, work: Work, series: ImageSeries, trial: Trial, structure_uid: Optional[str]) -> None:
        """Write the plan and the dose of a trial; where one of them cannot be, the other does not refer to it."""
        assert work.plan is not None
        number = work.plan.entry.number
        of = f"plan {number}, trial {trial.index}"
        units = monitor_units.of_trial(work, trial, self._mu)
        plan_uid = Uids(work.patient).uid("instance RTPLAN", number, trial.index, trial.name)

        def plan_with(dose_uid: Optional[str]) -> Optional[Encoded]:
            make = partial(rtplan.plan, work, series, trial, units, plan_uid, structure_uid, dose_uid)
            return self._attempt(f"RTPLAN of {of}", make)

        def dose_with(plan_uid: Optional[str]) -> Optional[Encoded]:
            return self._attempt(f"RTDOSE of {of}", partial(dose.dose, work, series, trial, units, plan_uid))

        given = dose_with(plan_uid)
        planned = plan_with(given.sop_instance if given is not None else None)
        if planned is None and given is not None:
            given = dose_with(None)
        checked = self._checks.objects(series, [made for made in (planned, given) if made is not None])
        alone = []  # what was held back only because of the other, without the reference to it
        for held in checked.held:
            if held.because is None:
                self._notes.skipped.append(held.left)
            else:
                alone.append(plan_with(None) if held.encoded is planned else dose_with(None))
        again = self._checks.objects(series, [made for made in alone if made is not None])
        self._notes.skipped.extend(again.left)
        self._keep_all((*checked.passed, *again.passed), work.plan, trial)

    # What all share

    def _work(self, number: Optional[int], plan: Optional[Plan]) -> Work:
        """A plan, or none, with an image set."""
        return Work(self._source, self._chosen.patient, self._image_set(number), plan, self._notes)

    def _image_set(self, number: Optional[int]) -> Optional[ImageSet]:
        if number is None:
            return None
        if number not in self._image_sets:
            self._image_sets[number] = reading.image_set(self._source, self._chosen.patient, number)
            self._damages.update(dict.fromkeys(self._image_sets[number].damages))
        return self._image_sets[number]

    def _attempt(self, what: str, make: Callable[[], Optional[Encoded]]) -> Optional[Encoded]:
        """An object; None and a note where it cannot be made."""
        try:
            return make()
        except QAFetchError as error:
            self._notes.skip(what, str(error))
            return None

    def _keep_all(self, objects: Sequence[Encoded], plan: Plan, trial: Optional[Trial] = None) -> None:
        names: dict[str, Any] = {"plan": plan.entry.number, "plan_name": plan.entry.name}
        if trial is not None:
            names.update(trial=trial.index, trial_name=trial.name)
        for encoded in objects:
            self._keep(encoded, **names)

    def _keep(self, encoded: Encoded, **where: Any) -> None:
        path = save(self._folder, encoded)
        self.written.append(Written(path, encoded.modality, encoded.sop_class, encoded.sop_instance, **where))
        self._told()
