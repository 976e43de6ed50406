"""The page of a patient: what became of it and why, its doses, what belongs together, and what does not count."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cohort_pages_content as content
import cohort_rows as rows
import numpy as np
import pictures_phantom as phantom
import pytest

from qa_fetch.cohort import columns, pages
from qa_fetch.cohort.config import Settings
from qa_fetch.cohort.dosimetry_records import PlanDose
from qa_fetch.cohort.folders import PatientFolder
from qa_fetch.cohort.notes import stem
from qa_fetch.cohort.pages.plot import legible
from qa_fetch.cohort.pictures import overlays
from qa_fetch.cohort.pictures.palette import colours

_VOID = {"meta", "img", "br", "line", "path", "hr"}
_HOSTILE = "=cmd|'/c calc'!A0</title><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202egnp.\x07\ud800"


class _Parsed(HTMLParser):
    """Tags, attributes and text of a page; every tag that is opened has to be closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.said: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.said).split())


def _page(settings: Settings, patient: str) -> str:
    folder = pages.report(settings).parent
    return (folder / "patients" / f"{patient}.html").read_text(encoding="utf-8")


def _said(settings: Settings, patient: str) -> str:
    return _Parsed(_page(settings, patient)).text


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return content.cohort_in(tmp_path)


def test_a_usable_patient_has_everything_on_one_page_that_needs_nothing_else(settings: Settings) -> None:
    """Pictures are inside, nothing is asked for, and nothing can run."""
    content.pictures(content.usable(settings, "7"))
    written = _page(settings, "7")
    found = _Parsed(written)
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in written
    assert {"script", "link", "iframe", "form", "object"}.isdisjoint(found.tags)
    assert [value[:22] for name, value in found.attributes if name == "src"] == ["data:image/png;base64,"] * 3
    assert [value for name, value in found.attributes if name == "href"] == ["../index.html"]
    assert "url(" not in written and "@import" not in written
    for sentence in (
        "Patient 7 Doe 7 · 22\xa0Dec\xa02014 breast left Usable.",
        "Prescription 60 Gy in 30",
        "60 Gy prescribed",
        "PTV_60 PTV 212.40 60.40 58.92 62.25 62.74",
        "12 % of it lie outside of the dose grid.",
        "Heart Dmean < 5 Gy 6.40 Gy fail",
        "8 values of 8 agree.",
        "Heart 51.20 %",
        "by UID The dose names the plan by its UID",
        "This page names patients. Keep it as you keep their records.",
    ):
        assert " ".join(sentence.split()) in found.text


def test_curves_have_the_colours_of_the_pictures_and_stand_out_from_both_grounds(settings: Settings) -> None:
    """Yellow is darkened on white; of two lungs of one colour the second takes another; targets are thick."""
    content.usable(settings, "1")
    curves = re.findall(
        r'<g class="ink( target)?" style="--light:(#[0-9a-f]{6});--dark:(#[0-9a-f]{6})"><title>(\w+)</title>'
        r'<path(?: stroke-dasharray="([0-9 ]+)")? d="M62\.0 42\.0L',
        _page(settings, "1"),
    )
    found = {name: (light, dark) for _, light, dark, name, _ in curves}
    assert set(found) == {name for name, *_ in content.REGIONS}
    assert {name for target, _, _, name, _ in curves if target} == {"PTV_60", "CTV_60", "GTV"}
    in_pictures = colours([(255, 0, 0), (255, 128, 255), (255, 255, 0)], [False] * 3)
    assert [found[name][1] for name in ("PTV_60", "CTV_60", "GTV")] == [f"#{bytes(each).hex()}" for each in in_pictures]
    assert found["GTV"] == ("#999900", "#ffff00")
    assert found["Lung_L"] != found["Lung_R"]


def test_where_colours_run_out_dashes_tell_curves_apart(settings: Settings) -> None:
    """Thirty regions of one colour make thirty different lines."""
    alike = [(f"{number}", *content.REGIONS[3][1:]) for number in range(30)]
    folder = content.usable(settings, "1", rois=tuple(content.region(at, *each) for at, each in enumerate(alike, 1)))
    content.built("1", regions=alike).write(folder)
    lines = re.findall(r"--light:(#\w+);[^>]*><title>\d+</title><path([^>]*) d=", _page(settings, "1"))
    assert len(lines) == 30 and len(set(lines)) == 30


def test_a_region_has_one_colour_in_curves_and_pictures_in_whatever_order_it_was_drawn(settings: Settings) -> None:
    """Of regions that are alike targets keep theirs, also when they stand last; and their curves are on top."""
    alike = [
        ("Heart", "ORGAN", (200, 30, 40), 600.0, 30.0, 4.0),
        ("BODY", "", (0, 255, 0), 9000.0, 20.0, 4.0),
        ("Bolus", "BOLUS", (250, 0, 10), 10.0, 55.0, 4.0),
        ("Lung", "ORGAN", (210, 20, 40), 900.0, 50.0, 4.0),
        ("CTV", "CTV", (255, 10, 0), 90.0, 61.0, 0.4),
        ("PTV", "PTV", (255, 0, 0), 200.0, 60.0, 0.9),
    ]
    of = phantom.grid()
    drawn = [
        phantom.ball(of, phantom.MIDDLE + [3 * at - 9, 0, 0], 4, number=at, name=name, kind=kind, colour=colour)
        for at, (name, kind, colour, *_) in enumerate(alike, 1)
    ]
    made = content.built("1", regions=alike)
    sets = (replace(made.structures[0], uid=drawn[0].structures),)
    loaded = replace(phantom.loaded(of, drawn, dose=np.full(of.shape, 60.0)), built=replace(made, structures=sets))
    outlines = {outline.name: outline.colour for scene in overlays.scenes(loaded) for outline in scene.outlines}
    assert len(outlines) == 6 and outlines["PTV"] == (255, 45, 45) and len(set(outlines.values())) == 6
    folder = content.usable(settings, "1", rois=tuple(content.region(at, *each) for at, each in enumerate(alike, 1)))
    made.write(folder)
    page = _page(settings, "1")
    curves = re.findall(r"--dark:(#\w+)\"><title>(\w+)</title>", page)
    assert dict((name, colour) for colour, name in curves) == {
        name: "#" + "".join(f"{round(part):02x}" for part in legible(colour, (26, 33, 38)))
        for name, colour in outlines.items()
    }
    assert [name for _, name in curves] == ["BODY", "Bolus", "Heart", "Lung", "CTV", "PTV"]
    said = _Parsed(page).text
    assert said.index("PTV PTV 200.00") < said.index("CTV CTV 90.00") < said.index("Lung ORGAN 900.00")


def test_a_value_that_just_misses_its_limit_does_not_look_as_if_it_met_it(settings: Settings) -> None:
    """And what is not known counts neither way."""
    row = {"roi": "PTV", "metric": "D95%", "op": ">=", "limit": 95.0, "unit": "%Rx", "reason": "", "cautions": ""}
    rows = ({**row, "value": 94.9996, "result": "fail"}, {**row, "value": None, "result": "unknown"})
    content.usable(settings, "1", constraints=rows)
    said = _said(settings, "1")
    assert "PTV D95% ≥ 95 %Rx 94.9996 %Rx fail" in said and "Constraints 1 not met, 1 unknown" in said


def test_tiny_regions_have_a_third_digit_and_targets_without_a_kind_are_known_by_name(settings: Settings) -> None:
    """A lens of 0.034 cc is not 0.03 cc, and planning systems that name no kind have targets too."""
    lens, target = ("Lens", "ORGAN", None, 0.0342, 5.0, 0.1), ("PTV 60", "", None, 100.0, 60.0, 0.9)
    folder = content.usable(settings, "1", rois=(content.region(1, *lens), content.region(2, *target)))
    content.built("1", regions=(lens, target)).write(folder)
    page = _page(settings, "1")
    said = _Parsed(page).text
    assert said.index("PTV 60 100.00") < said.index("Lens ORGAN 0.034 5.00")
    assert 'class="ink target"' in page
    index = _Parsed((settings.work / "report" / "index.html").read_text(encoding="utf-8")).text
    assert re.search(r"lowest D95 of targets \(%\) 1 usable 4 2 60\.0 \S+ 97\.5 ", index)


def test_a_metric_with_a_caution_says_so(settings: Settings) -> None:
    """The sentence itself stands once, beside the region."""
    row = {"roi": "Heart", "metric": "V5Gy", "value": 51.2, "unit": "%", "reason": None, "cautions": "It is clipped."}
    content.usable(settings, "1", metrics=(row,))
    assert "Heart 51.20 % take care" in _said(settings, "1")


def test_each_excluded_patient_says_why_and_of_every_object_why_not(settings: Settings) -> None:
    """The code, what led to it, and a sentence for each object."""
    content.everything(settings, usable_ones=1)
    said = _said(settings, "rejected")
    assert "Excluded. No images, structures, plan and dose belong together." in said
    assert f"The plan {rows.PLAN} does not count: its approval status is REJECTED" in said
    assert "What does not count, and why: 4" in said
    alone = f"The CT series {rows.CT} is named by the structure set {rows.SETS}. Alone that is not enough."
    before_notes = said[: said.index("All notes")]
    assert before_notes.count("its approval status is REJECTED") == 2  # of the plan and of its dose, once each
    assert said.index("approval status is REJECTED") < said.index(alone)  # what decides stands first
    assert "Discard" not in before_notes
    said = _said(settings, "unreachable")
    assert "Failed. The images could not be fetched." in said
    assert "pacs does not answer at 10.0.0.2:104." in said
    assert "Next: qa-fetch cohort build CONFIG" in said


def test_a_patient_in_quarantine_shows_what_there_is_to_choose_from(settings: Settings) -> None:
    """Each choice with its objects and the command that takes it."""
    content.everything(settings, usable_ones=1)
    said = _said(settings, "two studies")
    assert "Waits for a choice. Several studies fit and nothing says which is meant." in said
    assert "Choice 0 CT series planning 4 slices, breast left" in said
    assert "Choice 1 CT series rescan" in said
    assert "qa-fetch cohort quarantine choose 'two studies' 1 CONFIG" in said


def test_an_object_that_does_not_count_is_told_of_a_usable_patient_too(settings: Settings) -> None:
    """The dose of a beam lies beside that of its plan."""
    content.usable(settings, "3")
    beam = rows.dose("1.2.100.8", patient="3", DoseSummationType="BEAM")
    content.summary(settings, "3", beam)
    said = _said(settings, "3")
    assert "What does not count, and why: 1" in said
    assert "The dose 1.2.100.8 does not count: it is of BEAM, and not of PLAN." in said


def test_several_plans_and_fractions_of_2_gy_have_their_tables(settings: Settings) -> None:
    """What each plan gives is folded away; a prescription that is not known says why."""
    part = PlanDose(rows.PLAN, "BOOST", rows.SETS, 1, 10.0, 9.0, 11.0, 9.5, 10.9)
    iso = {"structures": rows.SETS, "number": 6, "roi": "Heart", "alpha_beta": 3.0, "mean": 3.9, "d95": 0.1, "d2": 9.0}
    folder = content.usable(
        settings, "1", plans=(part,), eqd2=({**iso, "min": 0.0, "max": 11.0},), prescription_gy=None
    )
    made = content.built("1")
    plan = replace(made.plans[0], prescription_gy=None, fractions=None, reasons=("The plan names no dose.",))
    replace(made, plans=(plan,)).write(folder)
    said = _said(settings, "1")
    assert "In fractions of 2 Gy (EQD2) region α/β (Gy) mean (Gy) D95% (Gy) D2% (Gy) max (Gy) Heart 3 3.90 0.10" in said
    assert (
        "What each plan gives region plan mean (Gy) D95% (Gy) D2% (Gy) max (Gy) PTV_60 BOOST 10.00 9.50 10.90" in said
    )
    assert "BREAST_60 approved – – The plan names no dose." in said
    assert "Prescription not known" in said and "prescribed" not in said


def test_without_doses_and_pictures_a_page_says_which_commands_make_them(settings: Settings) -> None:
    """The volumes of the masks and of the planning system are there all the same."""
    folder = content.usable(settings, "1")
    (folder.dosimetry / "dosimetry.json").unlink()
    said = _said(settings, "1")
    assert "There are no pictures yet. Run: qa-fetch cohort slices CONFIG" in said
    assert "There are no dose-volume histograms yet. Run: qa-fetch cohort dvh CONFIG" in said
    assert "PTV_60 PTV 212.40 213.25" in said


def test_rules_that_have_changed_since_are_told(settings: Settings) -> None:
    """The notes say what was done, and the page what the rules would do now."""
    content.usable(settings, "1")
    said = _said(replace(settings, study_desc_should_not_contain=("breast",)), "1")
    assert "Usable. Rules have changed By the rules as they are now: Every study has a word" in said
    assert "Rules have changed" not in _said(settings, "1")


def test_what_was_built_before_a_patient_was_excluded_is_not_shown(settings: Settings) -> None:
    """The folder of an earlier run is no result of this one."""
    content.usable(settings, "1")
    changed = replace(settings, study_desc_should_not_contain=("breast",))
    content.noted(changed, "1")
    said = _said(changed, "1")
    assert "Excluded. Every study has a word in its description that the cohort bans." in said
    assert "Dose and volume" not in said and "Three planes" not in said


def test_a_file_that_cannot_be_read_is_told_and_keeps_nobody_elses_page_away(settings: Settings) -> None:
    """One broken file of one patient, of every sort."""
    for patient in ("1", "2", "3", "4"):
        content.usable(settings, patient)
    (settings.patientnotesdir / "1.json").write_text("[")
    PatientFolder.of(settings, "2").built.write_text("{}")
    (PatientFolder.of(settings, "3").dosimetry / "dosimetry.json").write_text("{}")
    columns.path_of(settings.imagesummaries, "4", "SUCCESS").write_text("a,b\n")
    for patient, what in (("1", "notes in"), ("2", "built.json"), ("3", "dosimetry.json"), ("4", "a summary in")):
        said = _said(settings, patient)
        assert f"Could not be read {what}" in said
    index = (settings.work / "report" / "index.html").read_text(encoding="utf-8")
    assert "To be mended" in index and index.count("3 of 4 patients are usable") == 1


def test_hostile_words_are_shown_and_do_nothing(settings: Settings) -> None:
    """Names, descriptions, labels, notes, units and colours as somebody would write them who means harm."""
    patient = "6<script>alert(2)</script>"
    tags = {"PatientName": _HOSTILE, "StudyDescription": _HOSTILE, "SeriesDescription": _HOSTILE}
    content.summary(settings, patient)
    found = [*rows.images(4, patient=patient, **tags), rows.structures(patient=patient, **tags)]
    found += [rows.plan(patient=patient, RTPlanLabel=_HOSTILE, **tags), rows.dose(patient=patient, **tags)]
    columns.write(settings.imagesummaries, patient, "SUCCESS", found)
    settings.link_to_ids.parent.mkdir(parents=True)
    settings.link_to_ids.write_text(f"ids,orthanc_ids\n{patient},1\n")
    notes = content.noted(settings, patient, ready=True)
    notes.say("loading_notes", _HOSTILE)
    notes.write(settings.patientnotesdir)
    folder = PatientFolder.of(settings, patient)
    folder.root.mkdir(parents=True)
    built = content.built(patient)
    label = replace(built.plans[0], label=_HOSTILE, reasons=(_HOSTILE,))
    replace(built, plans=(label,)).write(folder)
    region = content.region(1, *content.REGIONS[0])
    harm = replace(region, name=_HOSTILE, kind=_HOSTILE, colour=("red;}", 1, 2), cautions=(_HOSTILE,))
    harm = replace(harm, tps=(replace(region.tps[0], what=_HOSTILE, unit=_HOSTILE, said=_HOSTILE, agrees=False),))
    row = {"roi": _HOSTILE, "metric": _HOSTILE, "op": _HOSTILE, "limit": _HOSTILE, "unit": _HOSTILE, "value": 1e308}
    other = {**row, "result": _HOSTILE, "reason": _HOSTILE, "cautions": [_HOSTILE]}
    content.dosimetry(patient, rois=(harm,), constraints=(other,), metrics=(other,), notes=(_HOSTILE,)).write(folder)
    index = pages.report(settings)
    written = [index, *(index.parent / "patients").iterdir()]
    assert len(written) == 2
    for path in written:
        text = path.read_text(encoding="utf-8")
        parsed = _Parsed(text)
        assert {"script"}.isdisjoint(parsed.tags)
        assert not any(name.startswith("on") for name, _ in parsed.attributes)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text.replace("\xa0", ""))
        assert "red;}" not in text
        assert {value for name, value in parsed.attributes if name == "src"} == set()
    assert "<script>alert(1)</script>" in _Parsed(written[1].read_text(encoding="utf-8")).text


def test_pages_of_patients_who_have_gone_go_too_and_ids_never_leave_the_folder(settings: Settings) -> None:
    """Exactly one page for each patient, whatever its ID looks like."""
    settings.link_to_ids.parent.mkdir(parents=True)
    settings.link_to_ids.write_text("ids,orthanc_ids\n1,a\n1_2,b\n../../evil,c\n12,d\n2,e\n")
    folder = pages.report(settings).parent / "patients"
    assert len(list(folder.iterdir())) == 5
    text = (folder.parent / "index.html").read_text(encoding="utf-8")
    links = [value for name, value in _Parsed(text).attributes if name == "href"]
    evil = stem("../../evil")
    assert set(links) == {f"patients/{name}.html" for name in (evil, "1", "2", "12", "1_2")}
    assert "/" not in evil and ".." not in evil
    settings.link_to_ids.write_text("ids,orthanc_ids\n1,a\n")
    pages.report(settings)
    assert [path.name for path in folder.iterdir()] == ["1.html"]


def test_notes_are_folded_away_each_code_with_its_sentence(settings: Settings) -> None:
    """All three sections."""
    content.usable(settings, "1")
    written = _page(settings, "1")
    assert written.count("<details class=notes><summary>All notes: ") == 1
    said = _Parsed(written).text
    assert "XXIV_SUCC_001 The dose is there. Nothing is to be done." in said
    assert "Choosing" in said and "Fetching and building" in said and "Reading back" in said
