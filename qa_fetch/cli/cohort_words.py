"""How the commands of a cohort speak: numbers and sentences, and names only where somebody asked for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from ..errors import Incomplete
from .output import complain, on_one_line, say_facts, say_json, say_table

if TYPE_CHECKING:
    from ..bulk import Report
    from ..cohort import Cohort
    from ..cohort.cohort import Standing
    from ..cohort.config import Settings
    from ..cohort.locking import Locked
    from ..cohort.notes import Notes
    from ..cohort.refreshing import Refreshed

_MOST = 100  # lines that a terminal shows
_KEEP = "names patients. Keep it as you keep their records."


class Standings(NamedTuple):
    """How many patients stand where, and what that means."""

    what: str
    code: str
    patients: int
    sentence: str


def counted(found: Iterable[Standing]) -> list[Standings]:
    """Who proceeds, who has to be looked at and who is excluded, by the codes in their order."""
    from ..cohort.codes import CODES, EXECLUDE, REVIEW, SUCCESS

    counts: Counter[tuple[str, str]] = Counter()
    for one in found:
        counts[one.status, one.code if one.status in (REVIEW, EXECLUDE) else ""] += 1
    says = {SUCCESS: "proceed", REVIEW: "review", EXECLUDE: "excluded", "": "not verified yet"}
    order = [SUCCESS, REVIEW, EXECLUDE, ""]
    places = list(CODES)
    return [
        Standings(says[status], code, counts[status, code], CODES[code].sentence if code else "")
        for status, code in sorted(counts, key=lambda key: (order.index(key[0]), places.index(key[1]) if key[1] else 0))
    ]


def say_step(
    done: Report, settings: Settings, found: Optional[Sequence[Standing]], *, names: bool, as_json: bool
) -> int:
    """What came of a step.

    Parameters
    ----------
    done, settings
        The step, and the cohort that it was of.
    found
        Where the patients stand now; None where the step does not say.
    names
        Whether patients are named.
    as_json
        For machines.
    """
    table = None if found is None else counted(found)
    wrong = Counter(row.error for row in done.failures())
    page = done.ledger.parent / "report.html"
    if as_json:
        numbers = {key: getattr(done, key) for key in ("total", "done", "already", "failed", "waiting")}
        result: dict[str, Any] = {**numbers, "stopped": done.stopped, "report": page}
        result["failures"] = [{"why": why, "patients": count} for why, count in wrong.most_common()]
        if table is not None:
            result["standings"] = [line._asdict() for line in table]
        if names:
            result["items"] = [row._asdict() for row in done.rows()]
            result["patients"] = [one._asdict() for one in found or ()]
        say_json(result)
        return done.exit_code
    if names:
        _say_names(done, found)
    elif wrong:
        say_table(("patients", "why it failed"), [(count, why) for why, count in wrong.most_common(_MOST)])
    if table:
        say_table(
            ("patients", "what", "code", "what it means"),
            [(line.patients, line.what, line.code, line.sentence) for line in table],
        )
    facts: dict[str, object] = {"done": f"{done.done} ({done.already} of them before)", "failed": done.failed}
    facts["not done"] = done.waiting
    if found is not None:
        facts["ready"] = sum(one.ready for one in found)
    if settings.unused:
        facts["keys that no step reads"] = ", ".join(settings.unused)
    say_facts({**facts, "report": page})
    print(f"{on_one_line(page.parent)} {_KEEP}")
    if done.stopped:
        complain(Incomplete(f"{done.stopped.rstrip('.')}. Run the same command again to go on."))
    return done.exit_code


def _say_names(done: Report, found: Optional[Sequence[Standing]]) -> None:
    failed = [(row.key, row.error) for row in done.failures()]
    if failed:
        say_table(("patient", "why it failed"), failed[:_MOST])
    if found:
        rows = [(one.patient, one.status or "not verified yet", one.code, "yes" * one.ready) for one in found]
        say_table(("patient", "status", "code", "ready"), rows)


def say_candidates(settings: Settings, *, names: bool, as_json: bool) -> int:
    """What there is to choose from; the tables beside it say more, and name patients.

    Parameters
    ----------
    settings
        Of the cohort.
    names, as_json
        Whether patients are named; for machines.
    """
    from ..cohort.quarantine import listed

    found = listed(settings)
    facts: dict[str, object] = {
        "patients": len({one.patient for one in found}),
        "candidates": len(found),
        "chosen": sum(one.chosen for one in found),
        "tables": settings.thequarantine,
    }
    if as_json:
        each = [{**asdict(one), "uids": sorted(one.uids), "facts": dict(one.facts)} for one in found] if names else None
        say_json(facts if each is None else {**facts, "items": each})
        return 0
    if names and found:
        columns = ("patient", "index", "study date", "study", "plans", "prescription [Gy]", "notes", "chosen")
        rows = [
            (one.patient, one.index, *(one.facts.get(name, "") for name in columns[2:6]))
            + (f"{one.status} {one.code}", "yes" * one.chosen)
            for one in found
        ]
        say_table(columns, rows)
    say_facts(facts)
    if found and not names:
        print("Add --names to see them here; the tables have all that differs.")
    return 0


def say_choice(settings: Settings, notes: Notes, index: int, *, as_json: bool) -> int:
    """Which candidate a patient goes on with.

    Parameters
    ----------
    settings, notes
        Of the cohort, and of the patient.
    index
        Of the candidate.
    as_json
        For machines.
    """
    from ..cohort.folders import PatientFolder

    folder = PatientFolder.of(settings, notes.patient).root
    facts = {"patient": notes.patient, "candidate": index, "status": notes.status, "folder": folder}
    say_json(facts) if as_json else say_facts(facts)
    return 0


def say_patient(cohort: Cohort, patient: str, *, as_json: bool) -> int:
    """What became of a patient, by its notes.

    Parameters
    ----------
    cohort, patient
        Who.
    as_json
        For machines.
    """
    from ..cohort.codes import CODES
    from ..cohort.notes import Notes

    (one,) = cohort.patients([patient])
    sentence = CODES[one.code].sentence if one.code else "Nothing was decided yet. Run: qa-fetch cohort verify."
    if as_json:
        say_json({**one._asdict(), "sentence": sentence})
        return 0
    say_facts({"status": one.status or "not verified yet", "code": one.code, "what it means": sentence})
    notes = Notes.read(cohort.settings.patientnotesdir, patient) if one.status else None
    if notes is not None:
        sections = ("verification_notes", "retrieval_notes", "loading_notes")
        for line in (line for section in sections for line in notes.lines(section)):
            print(on_one_line(line))
    return 0


def say_lock(found: Locked, *, as_json: bool) -> int:
    """Whether a locked cohort is what it was."""
    if as_json:
        say_json({**asdict(found), "intact": found.intact})
        return found.exit_code
    for sentence in found.sentences():
        print(on_one_line(sentence))
    say_facts({"patients": found.patients, "files": found.files, "report": found.report})
    return found.exit_code


def say_refreshed(found: Refreshed, *, names: bool, as_json: bool) -> int:
    """What has changed in the archive.

    Parameters
    ----------
    found
        Who is new, changed or gone.
    names, as_json
        Whether patients are named; for machines.
    """
    kinds = {"new": found.new, "changed": found.changed, "gone": found.gone}
    if as_json:
        facts = {"unchanged": found.unchanged, "locked": found.locked, "complete": found.complete, "why": found.why}
        say_json({**{kind: list(who) if names else len(who) for kind, who in kinds.items()}, **facts})
        return found.exit_code
    if names and any(kinds.values()):
        say_table(("patient", "what"), [(patient, kind) for kind, who in kinds.items() for patient in who])
    for sentence in found.sentences():
        print(on_one_line(sentence))
    if found.report is not None:
        say_facts({"report": found.report.ledger.parent / "report.html"})
    return found.exit_code
