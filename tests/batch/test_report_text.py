"""``qa-fetch report-text``: what a structured report says, for people."""

from __future__ import annotations

import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from commands import Ran, failed
from peers import course as courses
from peers.process import Missing, program, skip_or_fail
from pydicom.dataset import Dataset

from qa_fetch import part10
from qa_fetch.batch.report_text import report_text, write_reports
from qa_fetch.errors import BadArchive, ConfigError, NotFound

BASIC_TEXT, ENHANCED, COMPREHENSIVE = (f"1.2.840.10008.5.1.4.1.1.88.{number}" for number in (11, 22, 33))
CT = "1.2.840.10008.5.1.4.1.1.2"
UID = courses.uid("report")


def code(meaning: str, value: str = "1", scheme: str = "99QA") -> Dataset:
    """A coded concept."""
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, scheme, meaning
    return made


def item(value_type: str, name: Any = "", *, relationship: str = "CONTAINS", **attributes: Any) -> Dataset:
    """An item of a content tree."""
    made = Dataset()
    made.RelationshipType = relationship
    made.ValueType = value_type
    if name:
        made.ConceptNameCodeSequence = [code(name) if isinstance(name, str) else name]
    if value_type == "CONTAINER":
        made.ContinuityOfContent = "SEPARATE"
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def number(name: str, value: str, unit: Dataset, **attributes: Any) -> Dataset:
    """A measurement."""
    measured = Dataset()
    measured.NumericValue = value
    measured.MeasurementUnitsCodeSequence = [unit]
    return item("NUM", name, MeasuredValueSequence=[measured], **attributes)


def report(*content: Dataset, kind: str = COMPREHENSIVE, title: str = "CT Abdomen Report") -> Dataset:
    """A structured report of a patient."""
    series = courses.new_series("SR1", "report")
    dataset = courses._base(kind, UID, series, "SR", datetime(2025, 11, 3))
    dataset.AccessionNumber = "ACC7"
    dataset.InstanceNumber = 1
    dataset.ContentDate, dataset.ContentTime = "20251103", "101530.25"
    dataset.CompletionFlag, dataset.VerificationFlag = "COMPLETE", "UNVERIFIED"
    dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
    dataset.ConceptNameCodeSequence = [code(title)]
    dataset.PerformedProcedureCodeSequence = []
    dataset.ReferencedPerformedProcedureStepSequence = []
    dataset.ContentSequence = list(content)
    return dataset


def written(folder: Path, dataset: Dataset, name: str = "report.dcm") -> Path:
    """A report as a file."""
    folder.mkdir(exist_ok=True)
    part10.write(dataset, folder / name)
    return folder / name


def comprehensive() -> Dataset:
    """One of each thing that a comprehensive report may hold."""
    image = Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = CT, "1.2.3.4"
    image.ReferencedFrameNumber = [3, 4]
    shown = item("IMAGE", relationship="SELECTED FROM", ReferencedSOPSequence=[image])
    shape = item("SCOORD", "Outline", relationship="INFERRED FROM", GraphicType="POLYLINE", GraphicData=[1, 1, 2, 2])
    shape.ContentSequence = [shown]
    by_reference = Dataset()
    by_reference.RelationshipType = "INFERRED FROM"
    by_reference.ReferencedContentItemIdentifier = [1, 3, 1]
    mass = item("CODE", "Finding", ConceptCodeSequence=[code("Mass")])
    mass.ContentSequence = [
        number("Diameter", "3.40", code("mm", "mm", "UCUM"), relationship="HAS PROPERTIES"),
        number("Count", "2", code("no units", "1", "UCUM"), relationship="HAS PROPERTIES"),
        shape,
    ]
    findings = item(
        "CONTAINER", "Findings", ContentSequence=[mass, item("TEXT", "Comment", TextValue="Line 1\r\nLine 2")]
    )
    conclusion = item("TEXT", "Impression", TextValue="Stable.")
    conclusion.ContentSequence = [by_reference]
    inner = item("CONTAINER", "Details", ContentSequence=[item("UIDREF", "Series", UID="1.2.3")])
    return report(
        item("PNAME", "Observer", relationship="HAS OBS CONTEXT", PersonName="Physicist^A"),
        item("PNAME", code("Subject Name", "121029", "DCM"), relationship="HAS OBS CONTEXT", PersonName="Doe^Jane"),
        findings,
        item(
            "CONTAINER",
            "Conclusions",
            ContentSequence=[
                conclusion,
                item("DATE", "Next", Date="20260105"),
                item("TIME", "At", Time="0830"),
                item("DATETIME", "Read", DateTime="20251103101500.5+0100"),
                inner,
            ],
        ),
    )


TEXT = """\
CT Abdomen Report
=================
Comprehensive SR, 2025-11-03 10:15:30, COMPLETE, UNVERIFIED
Observer: Physicist^A
Subject Name: (not shown)

Findings
--------
  Finding: Mass
    Diameter: 3.40 mm
    Count: 2
    inferred from Outline: POLYLINE of 4 coordinates
      selected from CT Image 1.2.3.4, frame 3, 4
  Comment:
    Line 1
    Line 2

Conclusions
-----------
  Impression: Stable.
    inferred from item 1.3.1
  Next: 2026-01-05
  At: 08:30
  Read: 2025-11-03 10:15:00+0100
  Details
    Series: 1.2.3
"""


def test_a_comprehensive_report_reads_as_its_tree_does(tmp_path):
    """Headings, codes' meanings, numbers with units, dates, references."""
    assert report_text(written(tmp_path, comprehensive())) == TEXT


def test_dcmtk_takes_the_report_of_these_tests_for_one(tmp_path):
    """dsrdump reads it without complaint, so the tests show what real reports are like."""
    try:
        command = [program("dsrdump", "dcmtk"), "--verbose", str(written(tmp_path, comprehensive()))]
    except Missing as missing:
        skip_or_fail(missing)
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Diameter" in done.stdout


@pytest.mark.parametrize(("kind", "name"), [(BASIC_TEXT, "Basic Text SR"), (ENHANCED, "Enhanced SR")])
def test_other_kinds_of_reports_are_named(tmp_path, kind, name):
    """With their sections as well."""
    path = written(
        tmp_path, report(item("CONTAINER", "History", ContentSequence=[item("TEXT", TextValue="None.")]), kind=kind)
    )
    assert report_text(path) == (
        f"CT Abdomen Report\n=================\n{name}, 2025-11-03 10:15:30, COMPLETE, UNVERIFIED\n"
        "\nHistory\n-------\n  None.\n"
    )


def test_who_the_patient_is_appears_only_when_asked_for(tmp_path):
    """In the header, and in the items that say it."""
    path = written(tmp_path, comprehensive())
    shown = report_text(path, with_patient=True)
    assert shown.splitlines()[3:8] == [
        "Patient: SR1^Müller",
        "Patient ID: SR1",
        "Born: 1970-01-01",
        "Sex: O",
        "Accession number: ACC7",
    ]
    assert "Subject Name: Doe^Jane" in shown
    hidden = report_text(path)
    assert not [word for word in ("Müller", "SR1", "1970", "ACC7", "Doe") if word in hidden]


@pytest.mark.filterwarnings(
    "ignore:Found unknown escape sequence:UserWarning"
)  # pydicom's; commands keep it to themselves
def test_control_characters_do_not_reach_the_terminal(tmp_path):
    """Neither escape sequences nor what turns the direction of the text."""
    hostile = "a\x1b[2Jb\tc\x00d\u202ee\u2028f"
    path = written(tmp_path, report(item("TEXT", "Na\x1bme", TextValue=hostile), title="T\x07"))
    text = report_text(path)
    assert text.splitlines() == [
        "T",
        "=",
        "Comprehensive SR, 2025-11-03 10:15:30, COMPLETE, UNVERIFIED",
        "Na me:",
        "  a [2Jb c d e",
        "  f",
    ]


def test_items_without_their_values_say_so(tmp_path):
    """A missing value is no empty line, and an unknown kind of item is named."""
    qualifier = item("NUM", "Dose", MeasuredValueSequence=[], NumericValueQualifierCodeSequence=[code("Not a number")])
    path = written(tmp_path, report(item("CODE", "Finding"), qualifier, item("TABLE", "Results"), item("IMAGE")))
    assert report_text(path).splitlines()[3:] == [
        "Finding: (no value)",
        "Dose: Not a number",
        "Results: (TABLE)",
        "(no value)",
    ]


def nested(levels: int) -> bytes:
    """A content tree as deep as that."""
    within = part10.encode(item("TEXT", "x", TextValue="y"), part10.EXPLICIT_LITTLE)
    tree = b""
    for _ in range(levels):
        framed = b"\xfe\xff\x00\xe0" + (len(within) + len(tree)).to_bytes(4, "little") + within + tree
        tree = b"\x40\x00\x30\xa7SQ\0\0" + len(framed).to_bytes(4, "little") + framed
    return tree


def test_a_tree_of_thousands_of_levels_gives_one_sentence(tmp_path):
    """Sixty are read."""
    dataset = report()
    del dataset.ContentSequence
    path = written(tmp_path, dataset)
    plain = path.read_bytes()
    path.write_bytes(plain + nested(60))
    assert len(report_text(path).splitlines()) == 63
    path.write_bytes(plain + nested(3000))
    with pytest.raises(BadArchive) as caught:
        report_text(path)
    assert str(caught.value) == "report.dcm is nested deeper than 64 levels. Leave it out."


def test_a_damaged_report_gives_one_sentence(tmp_path):
    """Cut short: pydicom would show what there is as if it were all."""
    path = written(tmp_path, comprehensive())
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BadArchive) as caught:
        report_text(path)
    assert str(caught.value).startswith("report.dcm is cut short: ")


def test_a_file_that_is_no_report_is_refused(tmp_path):
    """A plan has no text."""
    with pytest.raises(BadArchive) as caught:
        report_text(written(tmp_path, courses.plan("A"), "plan.dcm"))
    assert str(caught.value) == "plan.dcm is not a structured report. Name a file of that kind."


def test_the_texts_of_a_folder_go_into_another_one(tmp_path, capsys):
    """Under the UIDs of the reports; other files are counted, and a second run changes nothing."""
    written(tmp_path / "in", comprehensive())
    written(tmp_path / "in", courses.plan("A"), "plan.dcm")
    (tmp_path / "in" / "a.csv").write_text("info")
    for _ in range(2):
        ran = Ran(capsys, ("report-text", tmp_path / "in", "--to", tmp_path / "texts"))
        assert (ran.out, ran.err, ran.code) == (
            f"1 texts in {tmp_path / 'texts'}, 2 files left out: not reports\n",
            "",
            0,
        )
        assert (tmp_path / "texts" / f"{UID}.txt").read_text("utf-8") == TEXT


def test_another_text_of_that_name_is_kept(tmp_path):
    """One with the patient, for example."""
    path = written(tmp_path, comprehensive())
    write_reports([path], tmp_path / "texts")
    texts = write_reports([path], tmp_path / "texts", with_patient=True)
    target = tmp_path / "texts" / f"{UID}.txt"
    assert texts.failed == {path: f"{target} is there already with another text. Remove it, or name another folder."}
    assert target.read_text("utf-8") == TEXT


def test_a_uid_from_the_file_never_chooses_the_place_of_the_text(tmp_path):
    """A path in it becomes a digest."""
    dataset = comprehensive()
    path = written(tmp_path, dataset)
    evil = b"../" * 10
    path.write_bytes(path.read_bytes().replace(UID.encode()[:30], evil))
    texts = write_reports([path], tmp_path / "texts")
    assert [place.parent for place in texts.written.values()] == [tmp_path / "texts"]
    assert next(iter(texts.written.values())).name.startswith("x-")


def test_several_reports_are_printed_one_after_the_other(tmp_path, capsys):
    """What cannot be read is named on standard error, and the exit code says so."""
    path = written(tmp_path / "in", comprehensive(), "a.dcm")
    (tmp_path / "in" / "b.dcm").write_bytes(path.read_bytes()[:-9])
    written(tmp_path / "in", comprehensive(), "c.dcm")
    ran = Ran(capsys, ("report-text", tmp_path / "in"))
    assert ran.out == f"{TEXT}\n{TEXT}"
    assert ran.err == "qa-fetch: b.dcm is cut short: it ends in the middle of an element. Fetch or export it again.\n"
    assert ran.code == 1


def test_a_folder_without_reports_and_a_path_that_is_absent(tmp_path, capsys):
    """One sentence each, printing or writing."""
    (tmp_path / "in").mkdir()
    failed(
        Ran(capsys, ("report-text", tmp_path / "in")),
        1,
        "none of the files is a structured report. Name files of modality SR.",
    )
    with pytest.raises(NotFound) as caught:
        write_reports([tmp_path / "in"], tmp_path / "texts")
    assert str(caught.value) == "none of the files is a structured report. Name files of modality SR."
    with pytest.raises(ConfigError) as wrong:
        write_reports([tmp_path / "no"], tmp_path / "texts")
    assert str(wrong.value) == f"{tmp_path / 'no'} is not there. Name files, or folders of files."
