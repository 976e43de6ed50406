"""The page of a cohort: the funnel adds up, who needs somebody comes first, the unusual before the usual."""

from __future__ import annotations

import random
import re
from datetime import datetime
from pathlib import Path
from typing import Any, Optional

import cohort_pages_content as content
import pytest

from qa_fetch.cohort import columns, pages
from qa_fetch.cohort.codes import CODES, EXECLUDE, Code
from qa_fetch.cohort.config import Settings
from qa_fetch.cohort.folders import PatientFolder
from qa_fetch.cohort.pages import outliers as unusual
from qa_fetch.cohort.pages.cohort import Line, page
from qa_fetch.cohort.pages.funnel import counted, funnel
from qa_fetch.cohort.pages.outliers import Figures, Outlier
from qa_fetch.cohort.pages.plot import contrast, legible
from qa_fetch.cohort.pages.subject import CHOOSE, EXCLUDED, FAILED, OPEN, STATES, USABLE, state_of
from qa_fetch.errors import ConfigError


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return content.cohort_in(tmp_path)


def _index(settings: Settings) -> str:
    return pages.report(settings).read_text(encoding="utf-8")


def _text(html: str) -> str:
    return " ".join(re.sub("<[^>]*>", " ", html[html.index("<body>") :]).split())


def _line(patient: str, **changes: Any) -> Line:
    values: dict[str, Any] = {
        "patient": patient, "state": USABLE, "code": None, "look": False, "slices": 4, "rois": 8, "rx": 60.0,
        "highest": 63.0, "coverage": 97.0, "thumbnail": Path("none"), "choices": 0, "command": "", "outdated": False,
        "troubles": (),
    }  # fmt: skip
    return Line(**{**values, **changes})


# The funnel


def test_whatever_becomes_of_patients_the_numbers_add_up() -> None:
    """Each box has those of the one before without those beside it, and the last one has the usable patients."""
    excluding: list[Optional[Code]] = [code for code in CODES.values() if code.outcome == EXECLUDE]
    dice = random.Random(9)
    for _ in range(50):
        codes = dice.choices([*excluding, None, None, None], k=dice.randrange(200))
        outcomes = [(code, state_of(code, ready=dice.random() < 0.7)) for code in codes]
        stages = counted(outcomes)
        assert stages[0].entering == len(outcomes)
        assert [stage.entering for stage in stages[1:]] == [stage.kept for stage in stages[:-1]]
        for stage in stages:
            assert stage.entering - sum(number for _, number in stage.lost) - stage.waiting == stage.kept
        assert stages[-1].kept == sum(state == USABLE for _, state in outcomes)
        assert sum(stage.waiting for stage in stages) == sum(state == OPEN for _, state in outcomes)
        lost = {code.name: number for stage in stages for code, number in stage.lost}
        assert lost == {code.name: codes.count(code) for code in codes if code is not None}


def test_every_excluding_code_has_its_place_in_the_order_of_the_steps() -> None:
    """Each is drawn once with its number and its sentence."""
    outcomes = [(code, EXCLUDED) for code in CODES.values() if code.outcome == EXECLUDE]
    drawn = "".join(funnel(counted(outcomes)))
    assert re.findall("<code>([A-Z0-9_]+)</code>", drawn) == [code.name for code, _ in outcomes]
    assert drawn.count("<li><b>1</b><span>") == len(outcomes)
    assert drawn.endswith('<div class="kept last"><b>0</b> usable</div>\n</li></ol>\n')


def test_the_funnel_of_a_cohort_says_what_its_notes_say(settings: Settings) -> None:
    """Of the boxes and of what stands beside them."""
    content.everything(settings)
    text = _index(settings)
    assert re.findall(r'<div class="kept(?: last)?"><b>(\d+)</b>', text) == ["19", "16", "15", "13", "12"]
    assert re.findall('<div class="lost"><h3>([^<]*)', text) == [
        "First check: 3 patients left out",
        "What belongs together: 1 patient left out",
        "Fetching and building: 1 patient left out, 1 not built yet",
        "Reading back: 1 patient left out",
    ]


# Who needs somebody


def test_the_verdict_counts_everybody_once(settings: Settings) -> None:
    """One sentence, then those who need somebody with the commands that help them."""
    content.everything(settings)
    said = _text(_index(settings))
    assert (
        "12 of 19 patients are usable; 1 waits for a choice, 2 have failed, 1 is not built yet and 3 are excluded."
        in said
    )
    choice = "Waiting for a choice: 1 Several sets of objects fit, and only a person can tell which is meant."
    assert choice in said and "two studies Several studies fit and nothing says which is meant." in said
    excluded = re.search(r"<b><bdi>two studies</bdi>.*?</tr>", _index(settings).split("<h2>All patients")[1])
    assert excluded is not None and '<td class="says" colspan="5">Several studies fit' in excluded[0]
    failed = said[said.index("Failed: 2") : said.index("Not built yet: 1")]
    assert "qa-fetch cohort summarise CONFIG qa-fetch cohort build CONFIG" in failed
    assert "no summary" in failed and "unreachable" in failed
    assert said.endswith("This page names patients. Keep it as you keep their records.")


def test_a_cohort_in_which_all_is_well_says_so_and_little_else(settings: Settings) -> None:
    """No heading without something below it."""
    content.usable(settings, "1")
    content.usable(settings, "2")
    text = _index(settings)
    assert "All 2 patients are usable." in text
    for absent in ("Waiting", "Failed", "Not built", "Unusual", "Contact sheet", "To be mended"):
        assert f"<h2>{absent}" not in text


def test_a_patient_to_be_looked_at_is_usable_and_marked(settings: Settings) -> None:
    """A code that asks for a review excludes nobody."""
    content.usable(settings, "1")
    content.noted(settings, "1", "XXII_REV_003", ready=True)
    text = _index(settings)
    assert "The one patient is usable." in text
    assert '<span class="mark open">to be looked at</span>' in text
    assert "Usable, to be looked at 1" in _text(text)


def test_patients_are_in_the_order_of_their_numbers_and_nobody_is_taken_for_another(settings: Settings) -> None:
    """1, 2, 12 and 1_2 are four patients; notes without an ID that can be read from their name are counted."""
    for patient in ("12", "2", "1_2", "1"):
        content.usable(settings, patient)
    (settings.patientnotesdir / "somebody~0123456789abcdef.json").write_text("{}")
    text = _index(settings)
    assert re.findall(r'href="patients/([^"]*)\.html"', text) == ["1", "1_2", "2", "12"]
    assert "1 file in the folder of notes is of nobody in the list of ids." in text


def test_without_any_patient_there_is_no_report(settings: Settings) -> None:
    """Nothing is written."""
    with pytest.raises(ConfigError, match=r"^the cohort has no patients yet\. "):
        pages.report(settings)


def test_a_summary_without_notes_shows_what_the_rules_say(settings: Settings) -> None:
    """The funnel works from summaries alone, before any other step has run."""
    content.summary(settings, "1")
    columns.write(settings.imagesummaries, "2", "ERROR")
    text = _text(_index(settings))
    assert "0 of 2 patients are usable; 1 has failed and 1 is not built yet." in text
    assert "First check: 1 patient left out" in text


def test_the_rules_are_told_and_secrets_are_not(tmp_path: Path) -> None:
    """What is needed to understand the numbers, not how to sign in."""
    keys = {"username": "jane", "password_env": "SECRET_PLACE", "study_desc_should_not_contain": ["lung <b>"]}
    settings = content.cohort_in(tmp_path, **keys)
    content.usable(settings, "1")
    text = _index(settings)
    assert "lung &lt;b&gt;" in text and "38 to 120 Gy" in text
    assert "jane" not in text and "SECRET_PLACE" not in text


@pytest.mark.parametrize(
    ("code", "ready", "state"),
    [
        ("I_EXEC_001", False, FAILED),
        ("I_EXEC_003", False, EXCLUDED),
        ("I_EXEC_007", False, CHOOSE),
        ("II_EXEC_003", False, CHOOSE),
        ("XI_EXEC_001", False, EXCLUDED),
        ("XI_EXEC_02", False, FAILED),
        ("XVI_EXEC_001", False, FAILED),
        ("XXIV_EXEC_003", False, EXCLUDED),
        (None, False, OPEN),
        (None, True, USABLE),
    ],
)
def test_each_code_leads_to_one_state(code: Optional[str], ready: bool, state: str) -> None:
    """What the archive did not give can be asked for again; what the data are cannot."""
    assert state_of(CODES[code] if code else None, ready) == state
    assert state in STATES


# Outliers


def test_what_is_far_from_the_others_is_found_and_said() -> None:
    """Every measure, with its sentence; the most unusual patient comes first."""
    usual = [Figures(f"{number}", 100 + number % 3, 62 + number % 5 / 10) for number in range(20)]
    targets = [Figures(f"{number}", targets=(("PTV", 97 + number % 4 / 2),)) for number in range(20)]
    volumes = [Figures(f"{number}", volumes=(("Heart", 600 + number),)) for number in range(20)]
    odd = [
        Figures("few slices", 60.0),
        Figures("hot", highest_gy=71.26),
        Figures("cold", targets=(("PTV ", 81.3),)),
        Figures("small", volumes=((" HEART", 60.0),)),
    ]
    found = unusual.of_all([*usual, *targets, *volumes, *odd])
    assert {patient: [each.sentence for each in several] for patient, several in found.items()} == {
        "few slices": ["The images have 60 slices; the median of 21 patients is 101."],
        "hot": ["The highest dose is 71.3 Gy; the median of 21 patients is 62.2 Gy."],
        "cold": ["PTV has a D95 of 81.3 % of the prescription; the median of 21 targets is 97.5 %."],
        "small": ["HEART has 60.0 cc; the median of 21 ROIs of this name is 609.0 cc."],
    }
    weights = [several[0].weight for several in found.values()]
    assert weights == sorted(weights, reverse=True)


def test_few_patients_and_small_differences_are_not_judged() -> None:
    """Seven values say nothing of the eighth that is not there, and equal values make no other one unusual."""
    assert unusual.of_all([Figures(f"{number}", highest_gy=60.0 + 50 * (number == 6)) for number in range(7)]) == {}
    assert unusual.of_all([Figures(f"{number}", 100 + 5.0 * (number == 9)) for number in range(10)]) == {}
    assert set(unusual.of_all([Figures(f"{number}", 100 + 50.0 * (number == 9)) for number in range(10)])) == {"9"}


def test_scores_are_those_of_median_and_median_deviation() -> None:
    """Worked out by hand: the median is 3, the deviations are 2, 1, 0, 1 and 97."""
    middle, scores = unusual.scored([1, 2, 3, 4, 100], 0.1)
    assert middle == 3
    assert scores == pytest.approx([-1.349, -0.6745, 0, 0.6745, 65.43], abs=0.01)


def test_unusual_patients_come_first_with_their_pictures(settings: Settings) -> None:
    """Also one that only disagrees with the planning system; whoever is unusual is not in the contact sheet again."""
    content.everything(settings)
    text = _index(settings)
    block = text[text.index("<h2>Unusual: 1</h2>") : text.index("<h2>Contact sheet</h2>")]
    assert re.findall("<b><bdi>([^<]*)</bdi></b>", block) == ["12"]
    assert "The highest dose is 50.2 Gy; the median of 12 patients is 62.9 Gy." in block
    assert "Heart: mean is 5.12 Gy here and 6.14 Gy in the planning system." in block
    assert "<li>and 1 more on the page of the patient</li>" in block
    sheet = text[text.index("<h2>Contact sheet</h2>") : text.index("<h2>All patients")]
    assert re.findall("<b><bdi>([^<]*)</bdi></b>", sheet) == [str(number) for number in range(1, 12)]
    assert block.count("data:image/png;base64,") == 1 and sheet.count("data:image/png;base64,") == 11


# Size


def test_thousands_of_patients_make_a_page_that_a_browser_takes(tmp_path: Path, settings: Settings) -> None:
    """At most 60 pictures of each sort and 5,000 rows, piece by piece."""
    thumbnail = tmp_path / "thumbnail.png"
    thumbnail.write_bytes(content.png() + bytes(60_000))
    lines = [_line(f"{number}", thumbnail=thumbnail) for number in range(6_000)]
    odd = {f"{number}": [Outlier(5.0, "It is odd.")] * 9 for number in range(0, 6_000, 20)}
    pieces = list(page(lines, odd, settings, unknown=0, made=datetime(2026, 11, 22)))
    text = "".join(pieces)
    assert text.count("data:image/png") == 120
    assert text.count("<tr>") == 5_000 + 1 + 9 + 1
    assert "The first 60 of 300; the table below marks all." in text
    assert "The first 5,000 of 6,000; the folder patients has a page of each." in text
    assert len(text) < 13_000_000
    assert max(map(len, pieces)) < 100_000


def test_a_file_that_is_no_picture_is_none(settings: Settings) -> None:
    """Neither a page of somebody else nor something endless is put into a page."""
    folder: PatientFolder = content.usable(settings, "1")
    content.pictures(folder)
    (folder.pictures / "thumbnail.png").write_bytes(b"<svg onload=alert(1)>")
    (folder.pictures / "axial.png").write_bytes(content.png() + bytes(7_000_000))
    text = _index(settings)
    assert "data:image" not in text and "no picture" in text
    assert (settings.work / "report/patients/1.html").read_text(encoding="utf-8").count("data:image") == 2


@pytest.mark.parametrize("ground", [(255.0, 255.0, 255.0), (26.0, 33.0, 38.0)])
def test_every_colour_stands_out_from_its_ground(ground: tuple[float, float, float]) -> None:
    """Three to one, as WCAG asks of drawings, and unchanged where it does so already."""
    steps = (0.0, 60.0, 128.0, 200.0, 255.0)
    for colour in [(red, green, blue) for red in steps for green in steps for blue in steps]:
        shown = legible(colour, ground)
        assert contrast(shown, ground) >= 3
        assert contrast(colour, ground) < 3 or shown == colour
