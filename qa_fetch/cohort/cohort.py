"""The class ``Cohort``: every step of a cohort as a method, and its patients."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Union

from ..errors import BadArchive
from . import config, extras
from .config import Settings

if TYPE_CHECKING:
    from ..bulk import Report
    from .loading import Loaded
    from .locking import Locked
    from .notes import Notes
    from .refreshing import Refreshed
    from .summaries import Listed

Patient = Union[str, int]
Patients = Optional[Sequence[Patient]]


class Standing(NamedTuple):
    """Where a patient stands: ``SUCCESS``, ``REVIEW`` or ``EXECLUDE``, and the code that decided.

    Both are empty where nothing was verified yet; ``ready`` says whether everything of the patient was built.
    """

    patient: str
    status: str
    code: str
    ready: bool = False


class Cohort:
    """Patients whose images, structures, plans and doses belong together, and the steps that make them.

    Each step is the function of the same name in this package, takes its options (``patients``, ``workers``,
    ``on_progress``, ``cancelled``, ...), and goes on where an earlier run stopped.

    Parameters
    ----------
    settings
        A TOML file, PDCP's ``codesconfig.json`` as it is, or settings that were read before.

    Raises
    ------
    ConfigError
        The file cannot be read, or keys are missing or wrong.
    """

    def __init__(self, settings: Union[str, Path, Settings]) -> None:
        self.settings = settings if isinstance(settings, Settings) else config.load(settings)

    def ids(self, **how: Any) -> list[Listed]:
        """Ask the archive for its patients, and write ``link_to_ids``."""
        from .summaries import ids

        return ids(self.settings, **how)

    def summarise(self, patients: Patients = None, **how: Any) -> Report:
        """Write PDCP's table of every patient who has none, or whose last one failed."""
        from .summaries import summarise

        return summarise(self.settings, _texts(patients), **how)

    def verify(self, patients: Patients = None, **how: Any) -> Report:
        """Decide about every patient by the rules, from the summaries alone."""
        from .verifying import verify

        return verify(self.settings, patients, **how)

    def build(self, patients: Patients = None, **how: Any) -> Report:
        """Fetch what was chosen, and make volumes and masks of it."""
        extras.check("build")
        from .building import build

        return build(self.settings, patients, **how)

    def dvh(self, patients: Patients = None, **how: Any) -> Report:
        """Work out what the doses do to the regions."""
        extras.check("dvh")
        from .dosimetry import dvh

        return dvh(self.settings, _texts(patients), **how)

    def slices(self, patients: Patients = None, **how: Any) -> Report:
        """Draw the central slices of every region, and three planes through the target."""
        extras.check("slices")
        from .pictures.slices import slices

        return slices(self.settings, _texts(patients), **how)

    def export(self, patients: Patients = None, **how: Any) -> Report:
        """Write each patient as one file for numpy or MATLAB, where the settings have a folder for it."""
        extras.check("export")
        from .exporting import export

        return export(self.settings, _texts(patients), **how)

    def quarantine(self, patients: Patients = None, **how: Any) -> Report:
        """Build every candidate of those for whom a person has to choose."""
        extras.check("quarantine")
        from .quarantine import quarantine

        return quarantine(self.settings, patients, **how)

    def choose(self, patient: Patient, index: int) -> Notes:
        """Let a patient go on with one of its candidates in quarantine."""
        from .quarantine import choose

        return choose(self.settings, patient, index)

    def report(self) -> Path:
        """Write a page for the cohort and one for each patient; gives the first."""
        from .pages import report

        return report(self.settings)

    def lock(self, **how: Any) -> Path:
        """Write down what the cohort consists of; gives the manifest."""
        from .locking import lock

        return lock(self.settings, **how)

    def check_lock(self, **how: Any) -> Locked:
        """Read a locked cohort again, and say what is not as it was."""
        from .locking import verify

        return verify(self.settings, **how)

    def refresh(self, **how: Any) -> Refreshed:
        """See what has changed in the archive, and summarise those patients anew."""
        from .refreshing import refresh

        return refresh(self.settings, **how)

    def patient(self, patient: Patient) -> Loaded:
        """A patient as arrays; its ``as_dict()`` is what PDCP's loader gives."""
        extras.check("patient")
        from .loading import load

        return load(self.settings, str(patient))

    def why(self, patient: Patient, uid: str) -> str:
        """Why an object of a patient counts or not, in one sentence.

        Parameters
        ----------
        patient
            The ID.
        uid
            Of the object, or of its series; ``dose 1.2.3`` is understood too.
        """
        from .linking import decide

        return decide(patient, self.settings).why(uid)

    def patients(self, patients: Patients = None) -> list[Standing]:
        """Every patient of the cohort, or some of them, and where each stands by its notes."""
        from .listing import patients_of

        return [standing(self.settings, patient) for patient in patients_of(self.settings, patients)]


def standing(settings: Settings, patient: str) -> Standing:
    """Where a patient stands; nowhere yet where its notes are broken, since ``verify`` writes them anew.

    Parameters
    ----------
    settings
        Of the cohort.
    patient
        The ID.
    """
    from .notes import Notes

    try:
        notes = Notes.read(settings.patientnotesdir, patient)
    except BadArchive:
        notes = None
    code = None if notes is None else notes.deciding
    if notes is None or code is None:
        return Standing(patient, "", "")
    return Standing(patient, notes.status, code.name, notes.to_dict()["patientimagingfilesready"])


def _texts(patients: Patients) -> Optional[list[str]]:
    from .listing import named

    return None if patients is None else named(patients)
