"""The step ``build``: what was chosen of each patient, fetched and made into volumes and masks."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Optional, Union

from .. import part10
from ..bulk import Done, Item, Report
from ..bulk.progress import OnProgress
from ..errors import BadArchive, Incomplete, QAFetchError
from ..shelf.disk import is_full, make_folder
from . import access, codes, loading, marks, placing, prescription, volumes
from .built import Built, BuiltDose, BuiltPlan
from .codes import Code
from .columns import given
from .config import Settings
from .folders import PatientFolder
from .grids import Volume, resampled
from .linking import Chain, Decision, decide
from .linking.graph import Node
from .linking.selection import values_of
from .listing import patients_of
from .masking import masked
from .notes import Notes, codes_in, stem
from .retrieving import Excluded, Retrieval, came_garbled
from .steps import run_step

_NOTES = "retrieval_notes"


def build(
    settings: Settings,
    patients: Optional[Sequence[Union[str, int]]] = None,
    *,
    workers: Optional[int] = None,
    where: str = "processes",
    on_progress: Optional[OnProgress] = None,
    cancelled: Optional[threading.Event] = None,
) -> Report:
    """Build every patient who proceeds; again where another rule, another choice or a lost file asks for it.

    Parameters
    ----------
    settings
        Of the cohort.
    patients
        Their IDs; all that the cohort knows where None are given.
    workers, where, on_progress, cancelled
        As for ``qa_fetch.bulk.run``.
    """
    make_folder(settings.datadirectory)
    make_folder(settings.patientnotesdir)
    return run_step(
        "build",
        settings,
        _items(settings, patients_of(settings, patients)),
        partial(_build, settings),
        where=where,
        workers=workers,
        intact=partial(_intact, settings),
        on_progress=on_progress,
        cancelled=cancelled,
    )


def build_patient(settings: Settings, patient: str, decision: Decision) -> Notes:
    """Build one patient, unless that is done already, and write the notes.

    Parameters
    ----------
    settings
        Of the cohort; the folders of data and of notes may be others than the cohort's.
    patient
        The ID.
    decision
        What was decided; its notes are the beginning of the patient's.

    Raises
    ------
    QAFetchError
        The archive did not give what was chosen, or it could not be kept; the notes have the code.
    """
    notes, chain = decision.notes, decision.chosen
    if chain is not None:
        folder = PatientFolder.of(settings, patient)
        try:
            if not _retold(folder, mark_of(settings, chain), notes):
                _Building(settings, folder, chain, notes).run()
        except Excluded:
            notes.write(settings.patientnotesdir)
            return notes
        except QAFetchError:
            notes.write(settings.patientnotesdir)
            raise
        notes.put("list_of_values", {**values_of(patient, chain), **_folders(folder, chain)})
        loading.check(settings, patient, notes)
    notes.write(settings.patientnotesdir)
    return notes


def mark_of(settings: Settings, chain: Chain) -> str:
    """The mark of everything that a build depends on."""
    return marks.chosen(settings, chain) + "-on-images" * settings.dose_on_images


def is_intact(folder: PatientFolder, built: Optional[Built], mark: str) -> bool:
    """Whether a build is the one of this mark, with all its files in their sizes."""
    if built is None or built.rules != mark:
        return False
    try:
        return all((folder.root / name).stat().st_size == size for name, size in built.made)
    except OSError:
        return False


# The step


def _items(settings: Settings, patients: Sequence[str]) -> Iterator[Item]:
    """Those who proceed; the notes of others are brought up to date, so that nobody takes them for ready.

    Another rule that leads to the same is no reason to do anything.
    """
    window = [settings.suspicious_max_dose_lower_bound, settings.suspicious_max_dose_upper_bound]
    for patient in patients:
        try:
            decision = decide(patient, settings)
            if decision.chosen is None:
                _keep_out(settings, decision)
                continue
            mark, told = mark_of(settings, decision.chosen), json.dumps(decision.notes.to_dict())
        except QAFetchError:
            mark = told = ""  # the summary is no good, which the item itself will say
        known = hashlib.sha256(told.encode()).hexdigest()[:32]
        yield Item(patient, {"patient": patient, "chosen": mark, "decided": known, "window": window})


def _keep_out(settings: Settings, decision: Decision) -> None:
    placing.settle(PatientFolder.of(settings, decision.patient).root)
    before = _notes(settings, decision.patient)
    if before is None or before.ready or before.codes != decision.notes.codes:
        decision.notes.write(settings.patientnotesdir)


def _notes(settings: Settings, patient: str) -> Optional[Notes]:
    try:
        return Notes.read(settings.patientnotesdir, patient)
    except BadArchive:
        return None  # they are written anew


def _build(settings: Settings, payload: Any) -> Done:
    """Build one patient of the step."""
    patient = payload["patient"]
    notes = build_patient(settings, patient, decide(patient, settings))
    built = Built.read(PatientFolder.of(settings, patient)) if notes.ready else None
    size = sum(size for name, size in built.made if name.endswith(".dcm")) if built is not None else 0
    return Done(size, {"status": notes.status, "code": str(notes.excluded_by or notes.codes[-1])})


def _intact(settings: Settings, payload: Any, detail: Any) -> bool:
    """Whether the notes still tell of the build, and what it made is there; some data cannot be built at all."""
    patient, notes = payload["patient"], _notes(settings, payload["patient"])
    retrieved = [code for code in notes.codes if code.section == _NOTES] if notes is not None else []
    if not retrieved:
        return False
    if retrieved[-1].outcome == codes.EXECLUDE:
        return bool(str(retrieved[-1]) == detail.get("code"))
    folder = PatientFolder.of(settings, patient)
    try:
        return is_intact(folder, Built.read(folder), payload["chosen"])
    except BadArchive:
        return False


def _retold(folder: PatientFolder, mark: str, notes: Notes) -> bool:
    """Whether the patient is built already; then the notes get what was noted then."""
    placing.settle(folder.root)
    built = Built.read(folder)
    if built is None or not is_intact(folder, built, mark):
        return False
    for line in built.notes:
        notes.say(_NOTES, line)
    notes.codes += codes_in(built.notes)
    return True


def _folders(folder: PatientFolder, chain: Chain) -> dict[str, str]:
    """The folders under PDCP's names, each with a stroke at its end, since its scripts put names behind them."""
    found = {"thedir": folder.root, "ct_directory": folder.images}
    if chain.doses:
        found.update(rtdoses_directory=folder.doses, rtdoses_directory_nifti=folder.doses_nifti)
    found.update(
        rtstruct_directory=folder.structures, masks_directory=folder.masks, nifti_directory=folder.images_nifti
    )
    return {key: f"{path}/" for key, path in found.items()}


class _Building:
    """One patient between the archive and the folder."""

    def __init__(self, settings: Settings, folder: PatientFolder, chain: Chain, notes: Notes) -> None:
        self.settings, self.place, self.chain, self.notes = settings, folder, chain, notes

    def run(self) -> None:
        """Fetch, make and put in place; what came is kept on the shelf for another run where something did not."""
        before = Built.read(self.place)
        if before is not None and before.patient != self.place.patient:
            raise Incomplete(
                "the data folder has another patient under this name, since letters' case counts for nothing on its "
                "disk, so that one was left as it is. Use a disk where it counts, and build into a folder there.",
                retriable=False,
            )
        with _disk_in_words(self.settings):
            self.folder = placing.begin(self.place)
        try:
            archive = access.archive_of(self.settings)
            self.retrieval = Retrieval(archive, self.notes)
            try:
                built = self._made()
            except Excluded:
                self.retrieval.forget()
                raise
            with _disk_in_words(self.settings):
                built.write(self.folder)
                placing.put(self.place, before)
            self.retrieval.forget()
        finally:
            placing.settle(self.place.root)  # a full disk needs the room

    def _made(self) -> Built:
        chain, folder = self.chain, self.folder
        with _disk_in_words(self.settings, self.notes, codes.XI_EXEC_02):
            images, instances = self.retrieval.images(chain.images, folder.images)
        with _disk_in_words(self.settings, self.notes, codes.XII_EXEC_001):
            nifti = folder.images_nifti / f"{stem(folder.patient)}_{part10.file_stem(chain.images.uid)}.nii.gz"
            grid = self._volume(images, nifti).grid
        with _disk_in_words(self.settings, self.notes, codes.XIII_EXEC_001):
            sets = self._structures()
        with _disk_in_words(self.settings, self.notes, codes.XIV_EXEC_001):
            structures = masked(list(zip(chain.structures, sets)), grid, folder, self.notes)
        plans: tuple[BuiltPlan, ...] = ()
        doses: tuple[BuiltDose, ...] = ()
        if self.settings.profile.plan:
            with _disk_in_words(self.settings, self.notes, codes.XV_EXEC_002):
                plans = self._plans()
        if self.settings.profile.dose:
            with _disk_in_words(self.settings, self.notes, codes.XVI_EXEC_002):
                doses = self._doses(grid)
        return Built(
            patient=folder.patient,
            rules=mark_of(self.settings, chain),
            modality=folder.modality,
            series=chain.images.uid,
            study=given(chain.images.first["StudyInstanceUID"]),
            frame_of_reference=grid.frame_of_reference or "",
            images=tuple(map(self._name, images)),
            instances=tuple(instances),
            nifti=self._name(nifti),
            structures=structures,
            plans=plans,
            doses=doses,
            made=tuple((self._name(path), path.stat().st_size) for path in _files(folder.root)),
            notes=self.notes.lines(_NOTES),
        )

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder.root).as_posix()

    def _say(self, text: str) -> None:
        self.notes.say(_NOTES, text)

    def _excluded(self, code: Code, error: QAFetchError) -> Excluded:
        self.notes.give(code, error.message)
        return Excluded()

    def _volume(self, images: Sequence[Path], nifti: Path) -> Volume:
        self._say("XII: CTnifti generation")
        try:
            volume = volumes.images(images)
        except QAFetchError as error:
            raise self._excluded(codes.XII_EXEC_001, error) from None
        nifti.parent.mkdir()
        volumes.nifti(volume, nifti)
        self.notes.give(codes.XII_SUCC_001)
        return volume

    def _structures(self) -> list[Path]:
        self._say("XIII: RTSTRUCTS retrieval")
        sets, into = self.chain.structures, self.folder.structures
        files = self.retrieval.objects(sets, into, "{sop}_rtstruct.dcm", lambda error: codes.XIII_EXEC_001)
        self.notes.give(codes.XIII_SUCC_001)
        return files

    def _plans(self) -> tuple[BuiltPlan, ...]:
        self._say("XV: RTPLAN retrieval.")
        plans, code_of = self.chain.plans, came_garbled(codes.XV_EXEC_002, codes.XV_EXEC_001)
        files = self.retrieval.objects(plans, self.folder.plans, "{sop}.dcm", code_of)
        found = tuple(map(self._plan, plans, files))
        self.notes.give(codes.XV_SUCC_001, count=len(found))
        return found

    def _plan(self, node: Node, file: Path) -> BuiltPlan:
        try:
            data = part10.read(file)
            says = prescription.read(data)
            label, approval = (str(data.get(keyword) or "") for keyword in ("RTPlanLabel", "ApprovalStatus"))
        except BadArchive as error:
            raise self._excluded(codes.XV_EXEC_002, error) from None
        for reason in says.reasons:
            self._say(f"XV: RTPLAN retrieval: {reason}")
        return BuiltPlan(node.uid, self._name(file), label, approval, says.dose, says.fractions, says.reasons)

    def _doses(self, grid: volumes.Grid) -> tuple[BuiltDose, ...]:
        self._say("XVI: RTDOSE retrieval.")
        doses, code_of = self.chain.doses, came_garbled(codes.XVI_EXEC_002, codes.XVI_EXEC_001)
        files = self.retrieval.objects(doses, self.folder.doses, "{sop}.dcm", code_of)
        self.folder.doses_nifti.mkdir()
        found = tuple(self._dose(node, file, grid) for node, file in zip(doses, files))
        self.notes.give(codes.XVI_SUCC_001, count=len(found))
        return found

    def _dose(self, node: Node, file: Path, grid: volumes.Grid) -> BuiltDose:
        try:
            volume = volumes.dose(file)
        except QAFetchError as error:
            raise self._excluded(codes.XVI_EXEC_002, error) from None
        if len({volume.grid.frame_of_reference, grid.frame_of_reference} - {None}) > 1:
            self._say("XVI: RTDOSE retrieval: It lies in another frame of reference than that of the images.")
        nifti = self.folder.doses_nifti / f"{part10.file_stem(node.uid)}.nii.gz"
        volumes.nifti(volume, nifti)
        if self.settings.dose_on_images:
            self.folder.doses_on_images.mkdir(exist_ok=True)
            volumes.nifti(resampled(volume, grid), self.folder.doses_on_images / nifti.name)
        plans = {plan.uid for plan in self.chain.plans}
        named = [edge.target for edge in self.chain.links if edge.source == node.uid and edge.target in plans]
        plan = named[0] if len(named) == 1 else None
        return BuiltDose(node.uid, self._name(file), self._name(nifti), plan, float(volume.values.max()))


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


@contextlib.contextmanager
def _disk_in_words(settings: Settings, notes: Optional[Notes] = None, code: Optional[Code] = None) -> Iterator[None]:
    """Turn what the operating system says into a sentence, and into the code of the step where it is given."""
    try:
        yield
    except OSError as error:
        what = "is full" if is_full(error) else f"cannot be written to ({error.strerror})"
        found = Incomplete(
            f"the data folder {settings.datadirectory} {what}, so nothing of this patient was put there. "
            "Free space there, or give another folder, and run the build again; what is done stays done.",
            retriable=False,
        )
        if notes is not None and code is not None:
            notes.give(code, found.message)
        raise found from error
