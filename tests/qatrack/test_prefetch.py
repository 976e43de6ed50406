"""The images of configured lists, brought before somebody opens the page."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pytest
from peers.course import PATIENT, Course

from qa_fetch import Archive
from qa_fetch.cli.qatrack import add_qatrack
from qa_fetch.errors import ConfigError, QAFetchError
from qa_fetch.qatrack.lists import Prefetched, prefetch


@pytest.fixture
def lists(course_files: Path, tmp_path: Path) -> None:
    """Two units on one archive: unit 1 with its patient, unit 2 without."""
    (tmp_path / "qa_fetch.toml").write_text(
        f"""
        [archives]
        aria = 'folder:{course_files}'
        empty = 'folder:{tmp_path / "empty"}'
        [units.1]
        archive = "aria"
        patient = "{PATIENT}"
        [units.2]
        archive = "empty"
        [qatrack.lists.wl]
        unit = 1
        test_list = "winston-lutz-6x"
        tests = {{ rtplanname = "WL_6X" }}
        [qatrack.lists.nobody]
        unit = 2
        test_list = "winston-lutz-6x"
        [qatrack.lists.cbct]
        unit = 2
        test_list = "catphan"
        tests = {{ patientid = "{PATIENT}" }}
        kind = "cbct"
        archive = "aria"
        [qatrack.lists.plan]
        unit = 1
        test_list = "plan-check"
        tests = {{ rtplanname = "WL_6X" }}
        kind = "plan"
        [qatrack.lists.connection]
        unit = 1
        test_list = "connection"
        kind = "none"
        """
    )
    (tmp_path / "empty").mkdir()


@pytest.mark.usefixtures("lists")
def test_the_images_of_every_list_are_on_the_shelf_whatever_fails_beside_them(course: Course) -> None:
    """The patient comes from the list or from its unit, the archive too; a list that fetches nothing is left out."""
    told: list[Prefetched] = []
    done = prefetch(on_list=told.append)
    assert told == done
    assert [(one.name, one.unit, one.objects, one.from_shelf, one.problem) for one in done] == [
        ("wl", 1, len(course.newest.images), False, ""),
        ("nobody", 2, 0, None, "no patient is known for list nobody. "
                               "Give patientid in its tests, or patient in [units.2]."),
        ("cbct", 2, len(course.cbct), False, ""),
        ("plan", 1, 1, None, ""),
    ]  # fmt: skip
    assert [one.from_shelf for one in prefetch(["CBCT", "wl", "wl"])] == [True, True]
    images = Archive("aria").latest(PATIENT, plan="WL_6X", kind="portal", approved=True)
    assert (images.from_shelf, len(images.files)) == (True, len(course.newest.images))


@pytest.mark.usefixtures("lists")
def test_images_that_are_not_there_yet_are_a_failure_with_its_sentence(tmp_path: Path) -> None:
    """As the page would say it, only earlier."""
    file = tmp_path / "qa_fetch.toml"
    file.write_text(file.read_text().replace('rtplanname = "WL_6X"', 'rtplanname = "PF_6X"', 1))
    (done,) = prefetch(["wl"])
    with pytest.raises(QAFetchError) as caught:
        Archive("aria").latest(PATIENT, plan="PF_6X", kind="portal", approved=True)
    assert (done.objects, done.from_shelf, done.problem) == (0, None, str(caught.value))


@pytest.mark.usefixtures("lists")
def test_a_list_that_fetches_nothing_says_so_when_it_is_named() -> None:
    """And a name that no list has stops before anything is fetched."""
    assert [one.problem for one in prefetch(["connection"])] == [
        'list connection fetches nothing, since its kind is "none". Leave it out.'
    ]
    with pytest.raises(ConfigError) as caught:
        prefetch(["wl", "vmat"])
    assert str(caught.value) == "no list is called 'vmat'. Configured are: wl, nobody, cbct, plan, connection."


@pytest.mark.usefixtures("lists")
def test_the_command_ends_with_1_when_a_list_failed(capsys: pytest.CaptureFixture[str], course: Course) -> None:
    """So that a timer can tell somebody."""

    def run(*arguments: str) -> tuple[int, str]:
        top = argparse.ArgumentParser()
        add_qatrack(top.add_subparsers())
        given = top.parse_args(["qatrack", "prefetch", *arguments])
        return given.run(given), capsys.readouterr().out

    code, out = run("wl", "cbct")
    assert code == 0
    assert f"{len(course.newest.images)} objects in " in out
    code, out = run()
    assert code == 1
    took = re.compile(r"\d+\.\d s")
    assert [re.split(r"\s{2,}", took.sub("N s", line.strip())) for line in out.strip().splitlines()[2:]] == [
        ["wl", "1", "were there", f"{len(course.newest.images)} objects in N s"],
        ["nobody", "2", "failed", "no patient is known for list nobody. "
                                  "Give patientid in its tests, or patient in [units.2]."],
        ["cbct", "2", "were there", f"{len(course.cbct)} objects in N s"],
        ["plan", "1", "there now", "1 objects in N s"],
    ]  # fmt: skip
    code, out = run("--json", "plan")
    (told,) = json.loads(out)
    assert (code, told["name"], told["objects"], told["problem"]) == (0, "plan", 1, "")
