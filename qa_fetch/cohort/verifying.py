"""The step ``verify``: the rules over all cached summaries, and each patient's notes anew where something changed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Optional, Union

from ..bulk import Done, Item, Report
from ..bulk.progress import OnProgress
from ..errors import BadArchive
from ..shelf.disk import make_folder
from . import choices, codes, marks
from .built import Built
from .columns import find, given
from .config import Settings
from .folders import PatientFolder
from .linking import Decision, decide
from .linking.graph import Chain
from .listing import patients_of
from .notes import Notes, notes_path
from .steps import run_step

_FEW = 64  # patients for whom other processes take longer to start than the work does
_IDENTITY = (
    "CT_SeriesIdentifier", "RTSTRUCT_SOPInstanceUID", "RTDOSE_SOPInstanceUID", "RTPLAN_SOPInstanceUID",
)  # fmt: skip
_LATER = ("retrieval_notes", "loading_notes")


def verify(
    settings: Settings,
    patients: Optional[Sequence[Union[str, int]]] = None,
    *,
    workers: Optional[int] = None,
    on_progress: Optional[OnProgress] = None,
    cancelled: Optional[threading.Event] = None,
) -> Report:
    """Decide about every patient by the rules, and write the notes; done again where rule, summary or choice changed.

    What later steps have noted stays where the same objects are chosen as before, and is dropped where they are not.

    Parameters
    ----------
    settings
        Of the cohort.
    patients
        Their IDs; all of the ids file and of the folder of summaries where None are given.
    workers, on_progress, cancelled
        As for ``qa_fetch.bulk.run``.
    """
    found = patients_of(settings, patients)
    make_folder(settings.patientnotesdir)
    return run_step(
        "verify",
        settings,
        list(_items(settings, found)),
        partial(_verify, settings),
        where="processes" if len(found) > _FEW else "threads",
        workers=workers,
        intact=partial(_intact, settings),
        on_progress=on_progress,
        cancelled=cancelled,
    )


def _items(settings: Settings, patients: Sequence[str]) -> Iterator[Item]:
    rules = marks.rules(settings)
    for patient in patients:
        choice = choices.of(settings, patient)
        payload = {"patient": patient, "rules": rules, "summary": _state(settings, patient)}
        yield Item(patient, {**payload, "choice": None if choice is None else sorted(choice.uids)})


def _state(settings: Settings, patient: str) -> list[Any]:
    """What tells a summary from another one without reading it."""
    found = find(settings.imagesummaries, patient)
    if found is None:
        return []
    known = found[1].stat()
    return [found[0], known.st_size, known.st_mtime_ns]


def _intact(settings: Settings, payload: Any, detail: Any) -> bool:
    """Whether the notes are still there."""
    return notes_path(settings.patientnotesdir, payload["patient"]).is_file()


def _verify(settings: Settings, payload: Any) -> Done:
    """Decide about one patient; who has a broken summary does not go on by what an earlier one said."""
    try:
        decision = decide(payload["patient"], settings)
    except BadArchive as error:
        broken = Notes(payload["patient"], settings.version)
        broken.give(codes.I_EXEC_002, error.message)
        broken.write(settings.patientnotesdir)
        raise
    notes = renewed(settings, decision, noted(settings, decision.patient))
    notes.write(settings.patientnotesdir)
    return Done(detail={"status": notes.status, "code": str(notes.deciding)})


def noted(settings: Settings, patient: str) -> Optional[Notes]:
    """The notes until now; None also where they are broken, since they are written anew."""
    try:
        return Notes.read(settings.patientnotesdir, patient)
    except BadArchive:
        return None


def renewed(settings: Settings, decision: Decision, before: Optional[Notes]) -> Notes:
    """The notes of a decision, with what later steps noted of the same objects before.

    Parameters
    ----------
    settings
        Of the cohort.
    decision
        What was decided now.
    before
        The notes until now; None where there are none.
    """
    notes = decision.notes
    if before is None or decision.chosen is None or not _same(settings, before, decision):
        return notes
    for section in _LATER:
        for line in before.lines(section):
            notes.say(section, line)
    notes.codes += [code for code in before.codes if code.section in _LATER]
    earlier = before.to_dict()
    notes.put("list_of_values", {**earlier["list_of_values"], **notes.to_dict()["list_of_values"]})
    notes.ready = before.ready
    return notes


def _same(settings: Settings, before: Notes, decision: Decision) -> bool:
    """Whether the objects are those that were chosen before, and from the same slices."""
    assert decision.chosen is not None
    then, now = before.to_dict(), decision.notes.to_dict()
    known, values = then.get("list_of_values"), now["list_of_values"]
    if not isinstance(known, dict) or any(known.get(key) != values.get(key) for key in _IDENTITY):
        return False
    counted = f"number_of_{decision.chosen.images.modality}_instances"
    summary = then.get("verified_images_summary")
    if not isinstance(summary, dict) or summary.get(counted) != now["verified_images_summary"][counted]:
        return False
    return _slices_are_there(settings, decision.patient, decision.chosen)


def _slices_are_there(settings: Settings, patient: str, chosen: Chain) -> bool:
    """Whether what was built, if anything was, is of slices that the summary still has."""
    try:
        built = Built.read(PatientFolder.of(settings, patient))
    except BadArchive:
        return False
    return built is None or set(built.instances) <= {given(row["SOPInstanceUID"]) for row in chosen.images.rows}
