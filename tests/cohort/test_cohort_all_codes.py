"""Every scenario through all steps, from DICOM files to what is loaded: together they give every code there is."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from course_truth import write
from truth_codes import CODES
from truth_codes import config as pdcp
from truth_scenarios import SCENARIOS, Scenario

from qa_fetch.cohort import config, loading
from qa_fetch.cohort.building import build
from qa_fetch.cohort.folders import PatientFolder
from qa_fetch.cohort.linking import Decision, decide
from qa_fetch.cohort.notes import Notes
from qa_fetch.cohort.summaries import ids, summarise
from qa_fetch.cohort.verifying import verify

SLICES, FEWEST = 14, 10  # enough for all; the limits that PDCP has are met by the first, and by the tests of the rules
LIMITS: dict[str, tuple[int, dict[str, int]]] = {
    "nothing stops this patient": (52, {}),
    "49 slices": (FEWEST - 1, {"slices_drop_below": FEWEST}),
    "381 slices": (SLICES, {"slices_drop_below": FEWEST, "slices_review_above": SLICES - 1}),
    "501 slices": (
        SLICES,
        {"slices_drop_below": FEWEST, "slices_review_above": FEWEST, "slices_drop_above": SLICES - 1},
    ),
}
# What the archive has not given may be there tomorrow, so the step has failed and is done again.
FAILING = ("XI_EXEC_002", "XI_EXEC_02", "XIII_EXEC_001", "XV_EXEC_001", "XV_EXEC_002", "XVI_EXEC_001")


def short(scenario: Scenario) -> Scenario:
    """The same with fewer slices, and limits in proportion."""
    slices, limits = LIMITS.get(scenario.name, (SLICES, {"slices_drop_below": FEWEST}))
    courses = tuple(replace(course, slices=slices) for course in scenario.courses)
    return replace(scenario, courses=courses, settings={**scenario.settings, **limits})


@dataclass(frozen=True)
class Gone:
    """How far a patient went.

    Parameters
    ----------
    settings, folder
        Of the cohort, and where all of it lies.
    decision
        What was decided.
    failed
        Whether the step build failed.
    """

    settings: config.Settings
    folder: Path
    decision: Decision
    failed: bool

    def notes(self) -> Notes:
        """The patient's."""
        found = Notes.read(self.settings.patientnotesdir, self.decision.patient)
        assert found is not None
        return found


class Cohorts:
    """A cohort for each scenario; what several have in common is done once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._summarised: dict[str, Path] = {}
        self._gone: dict[str, Gone] = {}

    def of(self, scenario: Scenario) -> Gone:
        """A scenario as far as it goes."""
        key = repr((scenario.courses, scenario.settings, scenario.mishaps))
        if key not in self._gone:
            later = [mishap for mishap in scenario.mishaps if mishap.after == "build"]
            self._gone[key] = self._damaged(scenario) if later else self._built(scenario)
        return self._gone[key]

    def _place(self) -> Path:
        return self._folder / str(len(list(self._folder.iterdir())))

    def _settings(self, scenario: Scenario, folder: Path) -> config.Settings:
        keys: dict[str, Any] = {**pdcp(folder, archive=f"folder:{folder / 'archive'}"), **scenario.settings}
        del keys["ipport"]
        required = keys.pop("required_modalities_for_patient")
        # A cohort of CRDP that does not require a CT is one that only the code can make.
        return replace(config.settings(keys, as_json=True), required_modalities_for_patient=tuple(required))

    def _with_summaries(self, scenario: Scenario) -> tuple[config.Settings, Path]:
        """A new cohort; summaries of the same courses are copied."""
        folder = self._place()
        for course in scenario.courses:
            write(course, folder / "archive")
        settings, key = self._settings(scenario, folder), repr((scenario.courses, scenario.settings))
        if key in self._summarised:
            for name in ("imagesummaries", "ids"):
                shutil.copytree(self._summarised[key] / name, folder / name)
        else:
            ids(settings)
            assert summarise(settings).complete
            self._summarised[key] = folder / "kept"
            for name in ("imagesummaries", "ids"):
                shutil.copytree(folder / name, folder / "kept" / name)
        return settings, folder

    def _built(self, scenario: Scenario) -> Gone:
        settings, folder = self._with_summaries(scenario)
        patient = scenario.courses[0].patient
        for mishap in scenario.mishaps:
            if mishap.after == "summarise":
                mishap.happen(settings.imagesummaries, patient)
        assert verify(settings, [patient]).complete
        decision = decide(patient, settings)
        for mishap in scenario.mishaps:
            if mishap.after == "verify":
                mishap.happen(folder / "archive", patient)
        return Gone(settings, folder, decision, bool(build(settings, [patient], where="threads", workers=1).failed))

    def _damaged(self, scenario: Scenario) -> Gone:
        """What was built, damaged and then checked."""
        whole, folder = self.of(replace(scenario, mishaps=())), self._place()
        for name in ("data", "patientnotesdir"):
            shutil.copytree(whole.folder / name, folder / name)
        gone = Gone(self._settings(scenario, folder), folder, whole.decision, whole.failed)
        patient = gone.decision.patient
        for mishap in scenario.mishaps:
            mishap.happen(PatientFolder.of(gone.settings, patient).root, patient)
        notes = gone.notes()
        loading.check(gone.settings, patient, notes)
        notes.write(gone.settings.patientnotesdir)
        return gone


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Cohorts:
    """For all tests of this module."""
    return Cohorts(tmp_path_factory.mktemp("scenarios"))


@pytest.mark.parametrize("scenario", [short(each) for each in SCENARIOS], ids=lambda scenario: scenario.name)
def test_a_patient_ends_with_the_codes_of_the_scenario(scenario: Scenario, cohorts: Cohorts) -> None:
    """All of them in their order, and nothing is half left behind; who is not excluded is ready."""
    gone, course = cohorts.of(scenario), scenario.courses[0]
    notes, decision = gone.notes(), gone.decision
    assert tuple(code.name for code in notes.codes) == scenario.codes
    excluded = scenario.status() == "EXECLUDE"
    assert (notes.status, notes.ready) == (scenario.status(), not excluded)
    assert str(notes.to_dict().get("code", "")).partition(":")[0] == (scenario.code() if excluded else "")
    assert len(decision.candidates) == scenario.quarantine
    if decision.chosen is not None:
        assert {plan.uid for plan in decision.chosen.plans} == {course.uid("RTPLAN", at) for at in scenario.chosen}
        assert {dose.uid for dose in decision.chosen.doses} == {course.uid("RTDOSE", at) for at in scenario.chosen}
    assert gone.failed == (scenario.code() in FAILING)
    data = gone.settings.datadirectory
    assert [path.name for path in data.iterdir()] == [course.patient] * ("XVI_SUCC_001" in scenario.codes)
    assert course.patient not in " ".join(notes.lines("loading_notes"))


def test_together_the_scenarios_give_every_code(cohorts: Cohorts) -> None:
    """As the steps have really written them, and no other."""
    given = {code.name for scenario in map(short, SCENARIOS) for code in cohorts.of(scenario).notes().codes}
    assert given == CODES
