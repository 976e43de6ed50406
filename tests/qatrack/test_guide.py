"""What testpacks/README.md says is true: its procedures run, its settings load, its commands and packs are there."""

from __future__ import annotations

import re
import shlex
from datetime import timedelta
from pathlib import Path

import pytest
from pack_site import TESTPACKS, YESTERDAY, ZONE, store
from pack_trials import TRIALS
from qatrack_engine import Engine
from qatrack_pack import load
from qatrack_page import Page

from qa_fetch import composite
from qa_fetch.cli import parser
from qa_fetch.config import Config

GUIDE = (TESTPACKS / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language, those within a numbered list too."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", GUIDE, re.DOTALL | re.MULTILINE)
    return [re.sub(f"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


@pytest.mark.analysis
@pytest.mark.filterwarnings("ignore:`RegionProperties:FutureWarning:pylinac")
@pytest.mark.parametrize("procedure", blocks("python"), ids=["three lines", "as the packs do it"])
def test_a_procedure_of_the_guide_finds_the_shift(procedure: str, config: Path, tmp_path: Path) -> None:
    """Pasted into a list in place of the pack's own; nothing is red before "go" is answered."""
    trial = next(trial for trial in TRIALS if trial.pack == "winston_lutz")
    made = trial.make(YESTERDAY)
    store(made.datasets, tmp_path)
    test_list = load(TESTPACKS / "winston_lutz.tpk")[trial.test_list]
    next(test for test in test_list.tests() if test.slug == "wl").calculation_procedure = procedure
    page = Page(Engine(test_list, tmp_path / "attachments", timezone=ZONE), YESTERDAY + timedelta(hours=1))
    page.enter("patientid", made.patient)
    page.enter("rtplanname", str(made.datasets[0].SOPInstanceUID))  # the other procedure's trial has one of that label
    assert (page.shows("wl"), page.error("wl")) == ("", None)
    page.enter("go", 1)
    assert page.error("wl") is None
    assert page.value("wl_max_2d") == made.expected["wl_max_2d"]
    assert len(page.attachments("wl")) == 1


@pytest.mark.parametrize("block", blocks("toml"), ids=["set up", "push"])
def test_the_settings_of_the_guide_load(block: str, tmp_path: Path) -> None:
    """Every table of them, checked."""
    file = tmp_path / "qa_fetch.toml"
    file.write_text(block, encoding="utf-8")
    config = Config.load(file)
    assert config.archive("aria").kind == "dimse"
    assert dict.fromkeys(setting.key for setting in config.settings())
    assert "units" not in block or config.unit(1).patient == "QA_TB1"
    assert "qatrack" not in block or config.test_list("wl_tb1").test_list == "winston-lutz-6x"


def test_the_commands_of_the_guide_are_commands() -> None:
    """They parse, with all their options."""
    said = re.findall(r"`(qa-fetch [^`]+)`", GUIDE)
    assert len(said) > 5
    for line in said:
        words = shlex.split(line.replace("FILE ...", "a.tpk"))[1:]
        assert parser().parse_args(words if words != ["receive"] else ["receive", "--port", "11113"]).run


def test_every_pack_picture_and_function_of_the_guide_is_there() -> None:
    """And every pack that there is, is in the guide."""
    named = set(re.findall(r"`(\w+)\.tpk`", GUIDE))
    assert (
        named
        == {file.stem for file in TESTPACKS.glob("*.tpk")}
        == {path.parent.name for path in TESTPACKS.glob("*/pack.toml")}
    )
    for picture in re.findall(r"\]\((pictures/[^)]+)\)", GUIDE):
        assert (TESTPACKS / picture).read_bytes().startswith(b"\x89PNG")
    for name in composite.__all__:
        assert re.search(rf"\b{name}\b", GUIDE) or name in ("Results", "cleaned"), name
