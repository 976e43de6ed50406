"""Test packs built from folders: what comes out, and one sentence for each mistake in what goes in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qa_fetch.errors import ConfigError
from qa_fetch.testpack import build, check, current, write

PACK = """
[pack]
name = "Winston-Lutz"
description = "Winston-Lutz per energy"
contact = "qa_fetch"
id = "2f6c1c1e-7d4c-4c52-9a35-0a3f4a8f4f10"
datetime = "2026-11-21 12:00:00+00:00"
version = "3.1.1.4"

[variants]
energy = ["6X", "10X"]

[[categories]]
name = "qa_fetch: mechanical"
slug = "qa-fetch-mechanical"
description = "Mechanical tests"

[[lists]]
name = "Winston-Lutz @energy@"
slug = "winston-lutz-@energy@"
description = "Irradiate the ball with @energy@."
tests = ["go", "patientid", "rtplanname", "wl", "wl_max_2d"]

[[tests]]
slug = "go"
name = "Images taken"
type = "boolean"
category = "qa_fetch: mechanical"
skip_without_comment = true

[[tests]]
slug = "patientid"
name = "Patient"
type = "string"
category = "qa_fetch: mechanical"

[[tests]]
slug = "rtplanname"
name = "Winston-Lutz @energy@: plan"
type = "string"
category = "qa_fetch: mechanical"

[[tests]]
slug = "wl"
name = "Winston-Lutz @energy@"
type = "scomposite"
category = "qa_fetch: mechanical"
hidden = true

[[tests]]
slug = "wl_max_2d"
name = "Winston-Lutz @energy@: largest distance, 2D [mm]"
display_name = "Largest distance CAX to BB [mm]"
type = "composite"
category = "qa_fetch: mechanical"
formatting = "%.2f"
"""
WL = """
from qa_fetch import Archive, composite


def analyse(images):
    from pylinac import WinstonLutz

    analysis = WinstonLutz(str(images.folder))
    analysis.analyze(bb_size_mm=5)
    return analysis


wl = None
if go and not UTILS.get_skip("wl"):
    images = Archive.for_unit(UTILS).latest(
        patientid, plan=rtplanname, kind="portal", approved=True, at_least=4, before=META["work_started"]
    )
    wl = composite.results(analyse, images, UTILS)
"""
PROCEDURES = {
    "wl.py": WL,
    "wl_max_2d.py": 'wl_max_2d = wl["max_2d_cax_to_bb_mm"] if wl else None\n',
    "rtplanname.py": 'rtplanname = "WL_@energy@"',
}


def folder_of(at: Path, toml: str = PACK, **files: str) -> Path:
    """The folder of a pack; ``wl=...`` replaces wl.py, "" leaves it out."""
    folder = at / "wl"
    folder.mkdir()
    (folder / "pack.toml").write_text(toml, "utf-8")
    named = {**PROCEDURES, **{f"{slug}.py": text for slug, text in files.items()}}
    for name, text in named.items():
        if text:
            (folder / name).write_text(text, "utf-8")
    return folder


def objects(text: str, slug: str, model: str) -> list[dict[str, Any]]:
    """The fields of all objects of a model that a list brings along."""
    entries = map(json.loads, json.loads(text)["objects"]["testlists"])
    entry = next(entry for entry in entries if entry["key"] == [slug])
    return [made["fields"] for made in [entry["object"], *entry["dependencies"]] if made["model"] == model]


def test_each_variant_becomes_a_list_with_all_that_it_needs(tmp_path: Path) -> None:
    """Tests without the placeholder are shared; categories, tests and memberships come with each list."""
    text = build(folder_of(tmp_path))
    assert json.loads(text)["meta"] == {
        "version": "3.1.1.4",
        "datetime": "2026-11-21 12:00:00+00:00",
        "description": "Winston-Lutz per energy",
        "contact": "qa_fetch",
        "name": "Winston-Lutz",
        "id": "2f6c1c1e-7d4c-4c52-9a35-0a3f4a8f4f10",
    }
    for energy in ("6X", "10X"):
        slug = f"winston-lutz-{energy.lower()}"
        assert objects(text, slug, "qa.testlist") == [
            {
                "name": f"Winston-Lutz {energy}",
                "slug": slug,
                "description": f"Irradiate the ball with {energy}.",
                "javascript": "",
                "warning_message": "",
            }
        ]
        names = [
            *("Images taken", "Patient", f"Winston-Lutz {energy}: plan", f"Winston-Lutz {energy}"),
            f"Winston-Lutz {energy}: largest distance, 2D [mm]",
        ]
        assert [made["name"] for made in objects(text, slug, "qa.test")] == names
        assert objects(text, slug, "qa.testlistmembership") == [
            {"test_list": [slug], "test": [name], "order": order} for order, name in enumerate(names)
        ]
        assert [made["name"] for made in objects(text, slug, "qa.category")] == ["qa_fetch: mechanical"]
        assert objects(text, slug, "qa.test")[2]["calculation_procedure"] == f'rtplanname = "WL_{energy}"\n'
    assert objects(text, "winston-lutz-6x", "qa.test")[4] == {
        "name": "Winston-Lutz 6X: largest distance, 2D [mm]",
        "display_name": "Largest distance CAX to BB [mm]",
        "slug": "wl_max_2d",
        "description": "",
        "procedure": None,
        "category": ["qa_fetch: mechanical"],
        "chart_visibility": True,
        "type": "composite",
        "flag_when": None,
        "hidden": False,
        "skip_without_comment": False,
        "require_comment": False,
        "display_image": False,
        "choices": None,
        "constant_value": None,
        "wrap_low": None,
        "wrap_high": None,
        "calculation_procedure": 'wl_max_2d = wl["max_2d_cax_to_bb_mm"] if wl else None\n',
        "formatting": "%.2f",
    }


def test_a_sublist_comes_along_with_its_tests_and_its_place(tmp_path: Path) -> None:
    """So that the list above it can be imported alone."""
    more = """
[[lists]]
name = "Monthly @energy@"
slug = "monthly-@energy@"
tests = ["film"]
sublists = ["winston-lutz-@energy@"]

[[tests]]
slug = "film"
name = "Film exposed"
type = "boolean"
category = "qa_fetch: mechanical"
"""
    text = build(folder_of(tmp_path, PACK + more))
    sublist = {"parent": ["monthly-6x"], "child": ["winston-lutz-6x"], "outline": False, "order": 1}
    assert objects(text, "monthly-6x", "qa.sublist") == [sublist]
    assert [made["slug"] for made in objects(text, "monthly-6x", "qa.testlist")] == ["monthly-6x", "winston-lutz-6x"]
    assert len(objects(text, "monthly-6x", "qa.testlistmembership")) == 6
    assert check(text) == []


def test_a_built_pack_has_no_finding_and_is_the_same_every_time(tmp_path: Path) -> None:
    """Whatever editor saved its sources; and a changed source makes it stale."""
    folder = folder_of(tmp_path)
    assert not current(folder)
    file = write(folder)
    assert file == tmp_path / "wl.tpk"
    assert check(file) == []
    assert file.read_bytes() == build(folder).encode("ascii")
    (folder / "wl.py").write_bytes(b"\xef\xbb\xbf" + WL.replace("\n", "\r\n").encode("utf-8"))
    assert current(folder)
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))  # as git does on Windows
    assert current(folder)
    (folder / "wl.py").write_text("wl = None\n", "utf-8")
    assert not current(folder)


GO = 'slug = "go"\nname = "Images taken"\ntype = "boolean"\ncategory = "qa_fetch: mechanical"\n'
TYPES = "boolean, simple, wraparound, multchoice, constant, date, datetime, string, composite, scomposite, upload"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "[pack]",
            "[pakc]",
            "the file has the unknown key 'pakc'; expected pack, variants, categories, lists, tests.",
        ),
        ('contact = "qa_fetch"\n', "", "[pack] has no contact; write it as a text in quotes."),
        ("2f6c1c1e", "f6c", "the id 'f6c-7d4c-4c52-9a35-0a3f4a8f4f10' in [pack] is not a UUID; make one and keep it."),
        (
            "2026-11-21 12:00:00+00:00",
            "today",
            "the datetime 'today' in [pack] is not a time; write it as 2026-11-21 12:00:00+00:00.",
        ),
        ('["6X", "10X"]', '"6X"', 'energy in [variants] is not a name with its different texts; write ["6X", "10X"].'),
        (
            "energy =",
            "enrgy =",
            "the name of the list winston-lutz-@energy@ holds @energy@, which [variants] does not list; list its "
            "values.",
        ),
        ("-@energy@", "", "two lists have the slug winston-lutz; placeholders of a name belong into the slug too."),
        (
            "lutz-@energy@",
            "lutz @energy@",
            "the slug of the list winston-lutz 6x holds more than letters, digits, - and _; it becomes part of an"
            " address.",
        ),
        (
            'name = "Patient"',
            'name = "Images taken"',
            "two tests have the name 'Images taken'; QATrack+ tells them apart by it, so give one another.",
        ),
        (
            'name = "Patient"',
            'name = "Patient"\ndescription = "for @energy@"',
            "the description of the test patientid holds @energy@, which its name does not; write it there too.",
        ),
        (
            '"go", "pat',
            '"go", "go2", "pat',
            "the list winston-lutz-6x names 'go2', and no test has this slug; correct it or add the test.",
        ),
        ('"go", "pat', '"go", "go", "pat', "the list winston-lutz-6x names a test twice; QATrack+ takes it once."),
        ('"go", "pat', '"pat', "no list has the test go; put it into one or delete it."),
        ('type = "boolean"', 'type = "bool"', f"the test go has the unknown type 'bool'; expected {TYPES}."),
        (
            'type = "boolean"',
            'type = "constant"',
            "the test go has no constant_value, which a test of the type constant needs; write one.",
        ),
        ('type = "boolean"\n', "", "the test go has no type; write one."),
        (
            GO,
            GO.replace("qa_fetch: m", "M"),
            "the test go is of the category 'Mechanical', which no [[categories]] has; add it.",
        ),
        (
            'slug = "go"',
            'slug = "g-o"',
            "the list winston-lutz-6x names 'go', and no test has this slug; correct it or add the test.",
        ),
        (
            'slug = "patientid"',
            'slug = "go"',
            "two tests have the slug go; a slug is the name of one test and one file.",
        ),
        ('"%.2f"', '"{:0.2f} mm!"', "formatting of the test wl_max_2d has 11 characters; QATrack+ takes at most 10."),
        ("hidden = true", 'hidden = "yes"', "hidden of the test wl is not true or false."),
        (
            "hidden = true",
            "hiden = true",
            "the test wl has the unknown key 'hiden'; expected name, display_name, slug, description, procedure, "
            "category, chart_visibility, type, flag_when, hidden, skip_without_comment, require_comment, "
            "display_image, choices, constant_value, wrap_low, wrap_high, formatting.",
        ),
        ('slug = "wl"', 'slug = "wl2"', "the test wl2 is calculated (scomposite) and has no procedure; write wl2.py."),
        (
            'slug = "rtplanname"',
            'slug = "plan"',
            "no test has the slug rtplanname, for which there is rtplanname.py; add the test or delete it.",
        ),
        (
            "[[lists]]",
            '[[categories]]\nname = "Dose"\nslug = "dose"\n\n[[lists]]',
            "no test is of the category 'Dose'; delete it.",
        ),
    ],
)
def test_a_mistake_in_pack_toml_is_one_sentence_with_its_place(tmp_path: Path, old: str, new: str, says: str) -> None:
    """Nothing is left out or guessed, so that a pack holds what its author meant."""
    assert old in PACK
    folder = folder_of(tmp_path, PACK.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        build(folder)
    assert str(caught.value) == f"{folder / 'pack.toml'}: {says}"


@pytest.mark.parametrize(
    ("slug", "says"),
    [
        ("class", "the slug 'class' is a word of Python, so no procedure can use it; take another."),
        ("result", "the slug 'result' is where QATrack+ looks for the result of every procedure; take another."),
        ("META", "the slug 'META' is a name that QATrack+ itself gives to procedures; take another."),
        ("2d", "the slug '2d' is no name that a procedure could use; take letters, digits and _, with a letter first."),
    ],
)
def test_a_slug_must_be_a_name_that_procedures_can_use(tmp_path: Path, slug: str, says: str) -> None:
    """QATrack+ imports any."""
    folder = folder_of(tmp_path, PACK.replace('slug = "go"', f'slug = "{slug}"').replace('"go",', f'"{slug}",'))
    with pytest.raises(ConfigError) as caught:
        build(folder)
    assert str(caught.value) == f"{folder / 'pack.toml'}: {says}"


def test_a_shared_procedure_cannot_hold_a_placeholder(tmp_path: Path) -> None:
    """The test is made once, so nobody could say which value is meant."""
    folder = folder_of(tmp_path, patientid='patientid = "QA_@energy@"\n')
    with pytest.raises(ConfigError) as caught:
        build(folder)
    says = "the procedure of the test patientid holds @energy@, which its name does not; write it there too."
    assert str(caught.value) == f"{folder / 'pack.toml'}: {says}"


def test_a_folder_without_a_pack_says_so(tmp_path: Path) -> None:
    """Most often it is the folder above."""
    with pytest.raises(ConfigError) as caught:
        build(tmp_path)
    assert str(caught.value) == f"{tmp_path} has no pack.toml, so it is no test pack. Name the folder of one."
