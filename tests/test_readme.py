"""What the README says is true: its code runs, its commands parse, its configuration loads."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from peers.course import Course
from peers.doubles import aria
from peers.process import LOOPBACK, free_port

from qa_fetch import Archive, part10
from qa_fetch.cli import parser
from qa_fetch.cohort import config as cohort_config
from qa_fetch.config import Config

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def configured(course: Course, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The README's own configuration, but for the addresses, with an archive like ARIA behind it."""
    port = free_port()
    with aria([one for one in course.datasets if one is not course.second_plan]) as double:
        double.know("QATRACK", port)
        text = _blocks("toml")[0].replace("ESAPI", "ARIA").replace('"10.0.0.2"', f'"{LOOPBACK}"')
        text = text.replace("51402", str(double.port)).replace("11113", str(port))
        (tmp_path / "qa_fetch.toml").write_text(text, encoding="utf-8")
        (tmp_path / "cohort.csv").write_text("PatientID,Modality\nQA_TB1,RTPLAN\n", encoding="utf-8")
        (tmp_path / "cohort").mkdir()
        for number, dataset in enumerate(course.datasets):
            part10.write(dataset, tmp_path / "cohort" / f"{number}.dcm")
        monkeypatch.syspath_prepend(str(ROOT / "tests" / "pinnacle"))
        phantom, options = import_module("phantom"), import_module("phantom_course")
        truth = phantom.write(options.Course(identifier="12345678"), tmp_path / "unpacked")
        patient = tmp_path / "unpacked" / truth.patient.folder / "Patient"
        patient.write_bytes(patient.read_bytes().replace(b"PLAN_1", b"BRAIN"))
        (tmp_path / "tars").mkdir()
        phantom.packed(tmp_path / "unpacked", tmp_path / "tars" / "12345678.tar")
        monkeypatch.syspath_prepend(str(ROOT / "tests" / "cohort"))
        courses, scenarios = import_module("course_truth"), import_module("truth_scenarios")
        courses.write(scenarios.quick(patient="12345678"), tmp_path / "exported")
        (tmp_path / "cohort.toml").write_text(_blocks("toml")[-1], encoding="utf-8")
        yield double


def _run(block: str) -> None:
    exec(compile(block, "README.md", "exec"), {"__name__": "README"})  # the README is ours


@pytest.mark.parametrize("number", range(len(_blocks("python"))))
def test_code_in_the_readme_runs(configured: Any, number: int) -> None:
    """Every block of Python, as it stands there; the one with pylinac has a test of its own."""
    block = _blocks("python")[number]
    if "pylinac" not in block:
        _run(block)
    else:
        first = block.index("images =")
        lines = block[first:].splitlines()[:1]
        _run("from qa_fetch import Archive\n" + "\n".join(lines) + "\nassert len(images) == 4")


def test_every_configuration_in_the_readme_loads(tmp_path: Path) -> None:
    """No key in it is unknown, no value of the wrong sort."""
    for number, block in enumerate(_blocks("toml")):
        file = tmp_path / f"{number}.toml"
        file.write_text(block, encoding="utf-8")
        if "profile =" in block:
            assert cohort_config.load(file).profile.name == "CRDP"
            continue
        config = Config.load(file)
        names = config.archive_names()
        assert names and {config.archive(name).kind for name in names} <= {"dimse", "dicomweb"}


def _commands() -> list[str]:
    lines = [line for block in _blocks("sh") for line in block.splitlines()]
    return [line.partition("  #")[0].strip() for line in lines if line.startswith("qa-fetch ")]


@pytest.mark.parametrize("line", _commands())
def test_every_command_in_the_readme_is_one(line: str) -> None:
    """It parses, with all its options."""
    assert parser().parse_args(shlex.split(line)[1:]).run


def test_every_command_is_in_the_readme() -> None:
    """No command goes undocumented."""
    action = next(action for action in parser()._actions if action.dest == "command")
    assert action.choices is not None
    for name in action.choices:
        assert f"qa-fetch {name}" in README, name


def test_every_setting_is_in_the_readme() -> None:
    """A setting that is documented nowhere does not exist for a user."""
    from qa_fetch.config import KINDS, LOCAL, SHELF

    for options in (*KINDS.values(), LOCAL, SHELF):
        for name in options:
            assert re.search(rf"\b{name}\b", README), name


def test_the_sentences_in_the_readme_are_those_that_are_said(configured: Any, course: Course) -> None:
    """The table of failures quotes the real messages."""
    archive = Archive("aria")
    for question in ({"on": "2025-11-02"}, {"at_least": 5}):
        with pytest.raises(Exception, match="portal image for plan WL_6X") as caught:
            archive.latest("QA_TB1", plan="WL_6X", **question)
        assert f"`{caught.value}`" in README
    configured.datasets.append(course.second_plan)
    with pytest.raises(Exception, match="2 plans") as caught:
        archive.latest("QA_TB1", plan="WL_6X")
    said = re.sub(r"(: )(.*?)(; )(.*?)(\. Choose)", r"\1\4\3\2\5", str(caught.value))
    assert f"`{caught.value}`" in README or f"`{said}`" in README
