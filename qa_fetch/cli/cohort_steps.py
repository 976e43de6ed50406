"""What the commands of a cohort do; each wraps the method of the same name."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional

from ..errors import ConfigError
from . import cohort_words as words
from .output import on_one_line, progress, say_facts, say_json
from .progress import bar

if TYPE_CHECKING:
    from ..bulk import Report
    from ..cohort import Cohort

Given = argparse.Namespace


def ids(given: Given) -> int:
    """The patients of the archive."""
    cohort = _cohort(given)
    with bar("asking the archive for its patients") as on_progress:
        found = cohort.ids(on_progress=on_progress)
    facts: dict[str, object] = {"patients": len(found), "list": cohort.settings.link_to_ids}
    if given.json:
        say_json({**facts, **({"ids": [one.patient for one in found]} if given.names else {})})
        return 0
    for one in found if given.names else ():
        print(on_one_line(one.patient))
    say_facts(facts)
    return 0


def summarise(given: Given) -> int:
    """A table of each patient."""
    return _step(given, lambda cohort, how: cohort.summarise(again=given.again, **how), standings=False)


def verify(given: Given) -> int:
    """Who goes on."""
    return _step(given, lambda cohort, how: cohort.verify(**how))


def build(given: Given) -> int:
    """Images, structures, plans and doses."""
    return _step(given, lambda cohort, how: cohort.build(**how))


def dvh(given: Given) -> int:
    """Histograms, metrics, constraints."""
    asked = {
        "metrics": given.metric,
        "constraints": given.constraints,
        "alpha_beta": given.alpha_beta,
        "prescription": given.prescription,
    }
    return _step(given, lambda cohort, how: cohort.dvh(**asked, **how))


def slices(given: Given) -> int:
    """Pictures."""
    axes = tuple(given.axes.replace(",", "").lower())
    if not axes or not set(axes) <= set("xyz"):
        raise ConfigError(f"{given.axes!r} are no axes. Write them as z, or as xyz.")
    return _step(given, lambda cohort, how: cohort.slices(axes=tuple(dict.fromkeys(axes)), **how))


def export(given: Given) -> int:
    """Files for numpy and MATLAB."""
    which = {"npz": given.npz, "matlab": given.matlab} if given.npz or given.matlab else {}
    return _step(given, lambda cohort, how: cohort.export(**which, **how))


def quarantine(given: Given) -> int:
    """Build candidates, list them, or choose one."""
    *asked, given.config = given.words
    given.config = Path(given.config)
    if not asked:
        code = _step(given, lambda cohort, how: cohort.quarantine(**how))
        if not given.json:
            print(f"What there is to choose from: qa-fetch cohort quarantine list {on_one_line(given.config)}")
        return code
    if asked == ["list"]:
        return words.say_candidates(_cohort(given).settings, names=given.names, as_json=given.json)
    if asked[0] != "choose" or len(asked) != 3 or not (asked[2].isascii() and asked[2].isdigit()):
        raise ConfigError(
            "say what to do: qa-fetch cohort quarantine CONFIG, quarantine list CONFIG, or "
            "quarantine choose PATIENT INDEX CONFIG, with the index of the list."
        )
    cohort = _cohort(given)
    notes = cohort.choose(asked[1], int(asked[2]))
    return words.say_choice(cohort.settings, notes, int(asked[2]), as_json=given.json)


def why(given: Given) -> int:
    """One sentence on an object; without one, on the patient."""
    cohort = _cohort(given)
    if given.uid is None:
        return words.say_patient(cohort, given.patient, as_json=given.json)
    said = cohort.why(given.patient, given.uid)
    if given.json:
        say_json({"patient": given.patient, "uid": given.uid, "why": said})
    else:
        print(on_one_line(said))
    return 0


def report(given: Given) -> int:
    """Pages."""
    page = _cohort(given).report()
    if given.json:
        say_json({"report": page})
        return 0
    say_facts({"report": page})
    print("These pages name patients. Keep them as you keep their records.")
    return 0


def lock(given: Given) -> int:
    """A manifest, or what differs from it."""
    cohort = _cohort(given)
    if given.check and given.again:
        raise ConfigError("--check only looks, and --again locks anew. Leave one of them out.")
    with progress("reading the files of the patients") as on_progress:
        if not given.check:
            manifest = cohort.lock(again=given.again, on_progress=on_progress)
            say: dict[str, object] = {"manifest": manifest}
            say_json(say) if given.json else say_facts(say)
            return 0
        found = cohort.check_lock(on_progress=on_progress)
    return words.say_lock(found, as_json=given.json)


def refresh(given: Given) -> int:
    """What has changed in the archive."""
    _check_workers(given)
    cohort = _cohort(given)
    with bar("asking the archive what has changed") as on_progress:
        found = cohort.refresh(unlock=given.unlock, workers=given.workers, on_progress=on_progress)
    return words.say_refreshed(found, names=given.names, as_json=given.json)


# What all have


def _cohort(given: Given) -> Cohort:
    from ..cohort import Cohort

    return Cohort(given.config)


def _step(given: Given, run: Callable[[Cohort, dict[str, Any]], Report], *, standings: bool = True) -> int:
    """Do a step with a bar, and say what came of it and where the patients stand."""
    _check_workers(given)
    cohort, patients = _cohort(given), _patients(given.patients)
    with bar("looking at the list of patients") as on_progress:
        done = run(cohort, {"patients": patients, "workers": given.workers, "on_progress": on_progress})
    found = cohort.patients(patients) if standings else None
    return words.say_step(done, cohort.settings, found, names=given.names, as_json=given.json)


def _check_workers(given: Given) -> None:
    if given.workers is not None and given.workers < 1:
        raise ConfigError(f"there cannot be {given.workers} workers. Give at least 1.")


def _patients(which: Optional[str]) -> Optional[list[str]]:
    """The patients of ``--patients``: what looks like a file is one."""
    if which is None:
        return None
    from ..cohort.listing import listed_in

    path = Path(which)
    if path.is_file() and (path.suffix or path.parent != Path()):
        found = listed_in(path)
    elif path.suffix.lower() in (".csv", ".txt") or path.parent != Path():
        raise ConfigError(f"{which} is not a file. Correct the path, or give IDs with commas between.")
    else:
        found = [one.strip() for one in which.split(",") if one.strip()]
    if not found:
        raise ConfigError("--patients names nobody. Give a file with one ID a line, or IDs with commas between.")
    return found
