"""Every scenario from a folder of DICOM files to the end of the choice: the codes of steps I and II."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from course_truth import save
from truth_codes import config as pdcp
from truth_scenarios import SCENARIOS, Scenario

from qa_fetch.cohort import config
from qa_fetch.cohort.linking import decide
from qa_fetch.cohort.summaries import summarise


class Summaries:
    """Cohorts that are summarised, each once: most scenarios begin with the same course."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, config.Settings] = {}

    def of(self, scenario: Scenario) -> config.Settings:
        """The settings of a scenario, with its summaries."""
        key = repr((scenario.courses, scenario.settings))
        if key not in self._made:
            folder = self._folder / str(len(self._made))
            for made in scenario.make():
                save(made.datasets, folder / "archive")
            keys = {**pdcp(folder, archive=f"folder:{folder / 'archive'}"), **scenario.settings}
            del keys["ipport"]
            required = keys.pop("required_modalities_for_patient")
            # A cohort of CRDP that does not require a CT is one that only the code can make.
            settings = replace(config.settings(keys, as_json=True), required_modalities_for_patient=tuple(required))
            assert summarise(settings).complete
            self._made[key] = settings
        return self._made[key]


@pytest.fixture(scope="module")
def summaries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Summaries]:
    """For all scenarios of this module."""
    yield Summaries(tmp_path_factory.mktemp("scenarios"))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_choice_gives_the_codes_of_the_scenario(scenario: Scenario, summaries: Summaries, tmp_path: Path) -> None:
    """Also after what happens to a summary."""
    settings, patient = summaries.of(scenario), scenario.courses[0].patient
    mishaps = [mishap for mishap in scenario.mishaps if mishap.after == "summarise"]
    if mishaps:
        shutil.copytree(settings.imagesummaries, tmp_path / "imagesummaries")
        settings = replace(settings, imagesummaries=tmp_path / "imagesummaries")
    for mishap in mishaps:
        mishap.happen(settings.imagesummaries, patient)
    decision = decide(patient, settings)
    given = [code.name for code in decision.notes.codes]
    assert given == [code for code in scenario.codes if code.split("_")[0] in ("I", "II")]
    assert len(decision.candidates) == scenario.quarantine
    if decision.chosen is not None:
        course = scenario.courses[0]
        assert {plan.uid for plan in decision.chosen.plans} == {course.uid("RTPLAN", at) for at in scenario.chosen}
        assert {dose.uid for dose in decision.chosen.doses} == {course.uid("RTDOSE", at) for at in scenario.chosen}
