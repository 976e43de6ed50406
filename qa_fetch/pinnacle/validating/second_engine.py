"""pymedphys as the second engine: its command in a process of its own, for one plan and one trial at a time.

It ends with 0 whatever happened, so that only what it wrote counts; and it never gets the archive itself, because it
follows links out of it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from ... import part10
from ...errors import BadArchive, ConfigError
from ..choosing import trial_names
from ..records import Patient
from ..report import Converted
from ..sources import Source
from .found import DOSE, IMAGES, KINDS, PLAN, STRUCTURES, Found, Key
from .unpacking import unpack

_LONGEST = 200  # letters of what the engine says
_NOTHING = "NONE"  # a modality that it does not know, so that it writes no more than the image series asked for

_HINTS = {  # what it stops with -> why
    "'tostring'": " (it needs numpy below 2.3 for this)",
    "'read_file'": " (it needs pydicom below 3 for this)",
}


class Pymedphys:
    """The converter of pymedphys.

    Parameters
    ----------
    folder
        An empty folder for what it needs and writes.
    limit
        Seconds for one call.
    """

    knows = True  # its deficits are known: see known

    def __init__(self, folder: Path, limit: float) -> None:
        if importlib.util.find_spec("pymedphys") is None or importlib.util.find_spec("yaml") is None:
            raise ConfigError(
                "the second engine pymedphys is not installed, or not with all it needs. Run, with Python 3.10 to "
                '3.12: pip install "qa_fetch[pinnacle]"; or compare with the planning system\'s own export: '
                "--reference DIR"
            )
        self.name = f"pymedphys {importlib.metadata.version('pymedphys')}"
        self._folder, self._limit = folder, limit
        self._count = 0

    def found(self, source: Source, patient: Patient, converted: Converted, ours: Found) -> Found:
        """Convert everything of a patient that we have converted."""
        files = unpack(source, patient, self._new())
        found = Found()
        names = Counter(entry.name for entry in patient.plans)
        sets = {entry.number: entry.image_set for entry in patient.plans}
        for plan in converted.plans:
            keys = [Key(STRUCTURES, plan.number)]
            image_set = sets.get(plan.number)
            if image_set is not None and Key(IMAGES, image_set) not in (*found.paths, *found.missing):
                keys.append(Key(IMAGES, image_set))
            entry = next(each for each in patient.plans if each.number == plan.number)
            trials = Counter(trial_names(source, entry))
            for trial, name in plan.trials.items():
                keys += [Key(PLAN, plan.number, trial), Key(DOSE, plan.number, trial)]
                reason = _not_to_be_chosen("plan", plan.name, names) or _not_to_be_chosen("trial", name, trials)
                if reason is not None:
                    found.missing.update(dict.fromkeys(keys, reason))
                else:
                    self._convert(files, [f"--plan={plan.name}", f"--trial={name}"], keys, found)
                keys = []
        for key in ours.paths:
            if key.kind == IMAGES and key not in found.paths and key not in found.missing:
                self._convert(files, [f"--image={_series(ours.paths[key][0])}"], [key], found, (_NOTHING,))
        return found

    def _convert(
        self, files: Path, asked: list[str], keys: list[Key], found: Found, modalities: Sequence[str] = ()
    ) -> None:
        """One call for all; what is missing then is asked for alone, since a crash ends all that would follow."""
        wanted = {key: _modality(key) for key in keys}
        made, said = self._call(files, asked, modalities or tuple(wanted.values()))
        for key, modality in wanted.items():
            paths = made.get(key.kind)
            if not paths and len(wanted) > 1:
                again, said = self._call(files, asked, (modality,))
                paths = again.get(key.kind)
            if paths:
                found.paths[key] = paths
            else:
                hint = next((hint for sign, hint in _HINTS.items() if sign in said), "")
                found.missing[key] = f"{self.name} wrote none: {said}{hint}"

    def _call(self, files: Path, asked: list[str], modalities: Sequence[str]) -> tuple[dict[str, list[Path]], str]:
        """What a call wrote, by kind, and the last that it said."""
        to, empty = self._new(), self._new()
        chosen = [part for modality in modalities for part in ("-m", modality)]
        command = [sys.executable, "-m", "pymedphys", "pinnacle", "export", "-o", str(to), *chosen, *asked, str(files)]
        try:
            done = subprocess.run(
                command,
                cwd=empty,  # "-m" looks for modules in the working directory: never where an archive's files are
                env={**os.environ, "TMPDIR": str(empty), "PYTHONWARNINGS": "ignore"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._limit,
                check=False,
            )
            said = _last(done.stderr if done.returncode else done.stdout)
        except subprocess.TimeoutExpired:
            return {}, f"it took longer than {self._limit:.0f} s"
        except OSError as error:
            return {}, f"it cannot be started ({error.strerror})"
        except ValueError:
            return {}, "the name of the plan or the trial cannot be given to it"
        made: dict[str, list[Path]] = {}
        for path in sorted(to.iterdir()):
            try:
                modality = str(part10.read(path, keywords=["Modality"]).get("Modality", ""))
            except BadArchive:
                said = "a file of it cannot be read as DICOM"
                continue
            made.setdefault(KINDS.get(modality, IMAGES), []).append(path)
        return made, said

    def _new(self) -> Path:
        self._count += 1
        made = self._folder / str(self._count)
        made.mkdir()
        return made


def _modality(key: Key) -> str:
    return next((modality for modality, kind in KINDS.items() if kind == key.kind), "CT")


def _not_to_be_chosen(what: str, name: Optional[str], names: Counter[Optional[str]]) -> Optional[str]:
    if not name:
        return f"pymedphys chooses by name, and this {what} has none"
    return f"pymedphys chooses by name, and several {what}s have this one" if names[name] > 1 else None


def _series(path: Path) -> str:
    return str(part10.read(path, keywords=["SeriesInstanceUID"]).SeriesInstanceUID)


def _last(output: bytes) -> str:
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    wrong = [line for line in lines if " - ERROR - " in line or " - WARNING - " in line]
    return (wrong or lines or ["it says nothing"])[-1].rpartition(" - ")[2][:_LONGEST]
