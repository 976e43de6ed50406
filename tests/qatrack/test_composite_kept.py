"""Which results are kept for another run of a page: the same images of the same archive, and the same settings."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from peers.course import PATIENT, default_course
from qatrack_double import Utils

from qa_fetch import Archive, Images, composite, part10


@pytest.fixture
def images(course_files: Path) -> Images:
    return Archive(f"folder:{course_files}").latest(PATIENT, plan="WL_6X", approved=True)


def run(images: Images, source: str, **settings: Any) -> Any:
    """What a procedure that defines ``analyse`` gets as ``value``, as QATrack+ runs it."""
    page: dict[str, Any] = {"made": vars(images).setdefault("made", []), **settings}
    exec(compile(source, "__QAT+COMP_wl", "exec"), page)
    return composite.results(page["analyse"], images)["value"]


COUNTED = """
def analyse(images):
    vars(images)["made"].append(1)
    return {{"value": {value}}}
"""


def test_the_same_objects_of_two_archives_are_not_the_same_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them may hold coerced or repaired copies under the same UIDs."""
    course = default_course()
    for name in ("one", "two"):
        course.write(tmp_path / name)
    for path in (tmp_path / "two").rglob("*.dcm"):
        dataset = part10.read(path)
        if dataset.Modality == "RTIMAGE":
            dataset.RTImageDescription = "another"
            part10.write(dataset, path)
    config = tmp_path / "qa_fetch.toml"
    config.write_text(
        "".join(
            f"[archives.{name}]\nkind = 'folder'\npath = '{tmp_path / name}'\n[units.{number}]\narchive = '{name}'\n"
            for number, name in enumerate(("one", "two"), 1)
        ),
        encoding="utf-8",
    )
    monkeypatch.setenv("QA_FETCH_CONFIG", str(config))

    def analyse(images: Images) -> dict[str, str]:
        return {"value": str(images.datasets[0].get("RTImageDescription", "as taken"))}

    found = []
    for number in (1, 2, 1):
        page = Utils(number)
        images = Archive.for_unit(page).latest(PATIENT, plan="WL_6X", approved=True)
        result = composite.results(analyse, images, page)
        found.append((result["value"], result["images"]["archive"]))
    assert found == [("as taken", "one"), ("another", "two"), ("as taken", "one")]


def test_an_object_that_changed_under_its_uid_is_analysed_again(course_files: Path, images: Images) -> None:
    """As where it was fetched once more after the shelf was emptied."""
    source = COUNTED.format(value="images.files[0].stat().st_size")
    before = run(images, source)
    path = images.files[0]
    dataset = part10.read(path)
    dataset.RTImageDescription = "changed"
    part10.write(dataset, path)
    assert run(images, source) > before


class Five:
    size = 5


class Eight:
    size = 8


def measure(size: int) -> int:
    return size


@pytest.mark.parametrize(
    ("value", "first", "second"),
    [
        ("setting.size", Five, Eight),
        ("setting().size", Five, Eight),
        ("setting.size", SimpleNamespace(size=5), SimpleNamespace(size=8)),
        ("setting.size", Five(), Eight()),
    ],
    ids=["class", "object of a class", "namespace", "object"],
)
def test_a_setting_that_changed_is_never_answered_with_the_old_result(
    value: str, first: Any, second: Any, images: Images
) -> None:
    """Whatever sort of object it is."""
    source = COUNTED.format(value=value)
    assert [run(images, source, setting=setting) for setting in (first, second, first)] == [5, 8, 5]


def test_a_partial_function_is_its_function_and_arguments(images: Images) -> None:
    """So the same one made anew is the same setting."""
    source = "from functools import partial\nsetting = partial(measure, size=BB)\n" + COUNTED.format(value="setting()")
    assert [run(images, source, measure=measure, BB=bb) for bb in (5, 8, 5)] == [5, 8, 5]
    assert len(vars(images)["made"]) == 2


def test_a_class_of_the_procedure_is_what_it_says(images: Images) -> None:
    """Also one that is defined anew at each run, which says that it is Python's own."""
    source = "class Phantom:\n    size = BB\n" + COUNTED.format(value="Phantom.size")
    assert [run(images, source, BB=bb) for bb in (5, 8, 5)] == [5, 8, 5]
    assert len(vars(images)["made"]) == 2


def test_an_object_that_cannot_be_compared_is_analysed_with_each_time(images: Images) -> None:
    """A result that is late is better than one of another setting."""
    source, setting = COUNTED.format(value="setting.size"), SimpleNamespace(size=5)
    assert [run(images, source, setting=setting) for _ in range(2)] == [5, 5]
    assert len(vars(images)["made"]) == 2


class Answering:
    """Raises whatever it is asked for."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


@dataclass
class Unset:
    size: int = field(init=False)


def around_itself() -> list[Any]:
    made: list[Any] = [5]
    made.append(made)
    return made


@pytest.mark.parametrize(
    "setting", [Answering(), Unset(), around_itself(), ModuleType("")], ids=lambda one: type(one).__name__
)
def test_a_setting_that_cannot_be_read_is_no_failure(setting: Any, images: Images) -> None:
    """Only the result is not kept."""
    source = COUNTED.format(value="1 if setting is not None else 0")
    assert [run(images, source, setting=setting) for _ in range(2)] == [1, 1]
    assert len(vars(images)["made"]) == 2


def test_a_variable_around_the_function_may_have_no_value_yet(images: Images) -> None:
    """As the other branch of the procedure gives it one."""
    source = "def outer():\n    def analyse(images):\n        vars(images)['made'].append(1)\n"
    source += "        return {'value': 5 if images else later}\n    if made is None:\n        later = 1\n"
    source += "    return analyse\nanalyse = outer()\n"
    assert [run(images, source) for _ in range(2)] == [5, 5]
    assert len(vars(images)["made"]) == 2


def test_what_libraries_have_is_known_by_their_version(images: Images) -> None:
    """A function of Python's, a class of pydicom's, a module within a function."""
    source = "from math import floor\nfrom pydicom.dataset import Dataset\nimport json\n" + COUNTED.format(
        value="floor(len(json.dumps([Dataset.__name__])))"
    ).replace("    vars", "    import statistics, pydicom.uid\n    vars")
    assert run(images, source) == run(images, source)
    assert len(vars(images)["made"]) == 1


@pytest.fixture
def sitewl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module of the site's own."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = tmp_path / "sitewl.py"
    path.write_text("LIMIT = 5\n\ndef run(images):\n    return LIMIT\n", encoding="utf-8")
    importlib.import_module("sitewl")
    yield path
    del sys.modules["sitewl"]


@pytest.mark.parametrize(
    "source",
    [
        "import sitewl\n" + COUNTED.format(value="sitewl.run(images)"),
        "from sitewl import run\n" + COUNTED.format(value="run(images)"),
        COUNTED.format(value="sitewl.run(images)").replace("    vars", "    import sitewl\n    vars"),
    ],
    ids=["module", "function", "within the function"],
)
def test_a_module_of_the_site_counts_as_it_is_loaded(source: str, sitewl: Path, images: Images) -> None:
    """A file that changed counts once it was loaded: until then the old code still runs."""
    found = [run(images, source)]
    sitewl.write_text("LIMIT = 22\n\ndef run(images):\n    return LIMIT\n", encoding="utf-8")
    found.append(run(images, source))
    importlib.reload(sys.modules["sitewl"])
    found += [run(images, source) for _ in range(2)]
    assert found == [5, 5, 22, 22]
    assert len(vars(images)["made"]) == 2


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of the site's own, one module of which is called like one of Python's."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    folder = tmp_path / "clinic"
    folder.mkdir()
    for name, text in {
        "__init__": "LIMIT = 5\n",
        "statistics": "def worst(images):\n    return 5\n",
        "wl": (
            "def named(images):\n    from .statistics import worst\n    return worst(images)\n\n"
            "def module(images):\n    from . import LIMIT, statistics\n    return statistics.worst(images)\n"
        ),
    }.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    importlib.import_module("clinic.wl")
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "clinic"]:
        del sys.modules[name]


@pytest.mark.parametrize("function", ["named", "module"])
def test_a_module_that_a_sites_function_imports_by_dots_is_the_sites(
    function: str, clinic: Path, images: Images
) -> None:
    """And nobody knows it before it is loaded, so the first result is not kept."""
    source = "from clinic import wl\n" + COUNTED.format(value=f"wl.{function}(images)")
    found = [run(images, source) for _ in range(3)]
    assert len(vars(images)["made"]) == 2
    (clinic / "statistics.py").write_text("def worst(images):\n    return 2 * 11\n", encoding="utf-8")
    importlib.reload(sys.modules["clinic.statistics"])
    found += [run(images, source) for _ in range(2)]
    assert found == [5, 5, 5, 22, 22]
    assert len(vars(images)["made"]) == 3


def test_an_import_by_dots_of_no_package_fails_as_python_says(images: Images) -> None:
    """And not with a sentence of ours."""
    source = COUNTED.format(value="LIMIT").replace("    vars", "    from . import LIMIT\n    vars")
    with pytest.raises(ImportError, match="attempted relative import"):
        run(images, source, __name__="procedure", __package__="")
