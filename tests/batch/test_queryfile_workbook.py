"""Query files that are Excel workbooks."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import pytest

from qa_fetch.batch import queryfile
from qa_fetch.errors import ConfigError

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
# By a cell's s: general, 14 (a date), dd.mm.yyyy, hh:mm, eight digits, text, with a colour and a text beside it
STYLES = (
    f'{HEAD}<styleSheet xmlns="{MAIN}"><numFmts><numFmt numFmtId="164" formatCode="dd\\.mm\\.yyyy"/>'
    '<numFmt numFmtId="165" formatCode="00000000"/><numFmt numFmtId="166" formatCode="[Red]0&quot; days&quot;"/>'
    '</numFmts><cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/>'
    '<xf numFmtId="164"/><xf numFmtId="20"/><xf numFmtId="165"/><xf numFmtId="49"/><xf numFmtId="166"/></cellXfs>'
    "</styleSheet>"
)


def text(value: str) -> str:
    """A cell of text."""
    return f'<c t="inlineStr"><is><t>{value}</t></is></c>'


def number(value: str, style: int = 0) -> str:
    """A cell with a number."""
    return f'<c s="{style}"><v>{value}</v></c>'


def workbook(
    folder: Path,
    rows: Sequence[str],
    *,
    head: str = text("StudyDate") + text("PatientID"),
    behind: str = "",
    shared: Optional[str] = None,
    sheets: str = '<sheet name="One" sheetId="1" r:id="rId1"/>',
    properties: str = "",
    before: str = HEAD,
) -> Path:
    """A workbook of these rows, each the XML of its cells."""
    path = folder / "query.xlsx"
    body = "".join(f'<row r="{line}">{cells}</row>' for line, cells in enumerate([head, *rows], 1))
    parts = {
        "xl/workbook.xml": f'{HEAD}<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}">{properties}<sheets>{sheets}</sheets>'
        "</workbook>",
        "xl/_rels/workbook.xml.rels": f"{HEAD}<Relationships>"
        f'<Relationship Id="rId1" Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId2" Type="{OFFICE}/worksheet" Target="/xl/worksheets/sheet2.xml"/>'
        f'<Relationship Id="rId3" Type="{OFFICE}/styles" Target="styles.xml"/>'
        + (f'<Relationship Id="rId4" Type="{OFFICE}/sharedStrings" Target="sharedStrings.xml"/>' if shared else "")
        + "</Relationships>",
        "xl/styles.xml": STYLES,
        "xl/worksheets/sheet1.xml": f'{before}<worksheet xmlns="{MAIN}"><sheetData>{body}</sheetData>{behind}'
        "</worksheet>",
        "xl/worksheets/sheet2.xml": f'{HEAD}<worksheet xmlns="{MAIN}"><sheetData><row><c t="inlineStr"><is><t>PatientID'
        "</t></is></c></row><row><c><v>7</v></c></row></sheetData></worksheet>",
    }
    if shared:
        parts["xl/sharedStrings.xml"] = f'{HEAD}<sst xmlns="{MAIN}">{shared}</sst>'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in parts.items():
            zipped.writestr(name, content)
    return path


def refusal(path: Path) -> str:
    """How a workbook is refused, without its path."""
    with pytest.raises(ConfigError) as caught:
        queryfile.read(path)
    return str(caught.value)[len(str(path)) + 1 :]


def keys(path: Path) -> list[dict[str, object]]:
    """What the rows ask for."""
    return [dict(row.keys) for row in queryfile.read(path)]


def test_numbers_texts_dates_and_formulas_are_what_their_reader_sees(tmp_path: Path) -> None:
    """No .0, the zeros that a format shows, the value of a formula, text in pieces, and no pronunciation."""
    shared = "<si><t>00123</t></si><si><r><t>4</t></r><r><t>5</t></r><rPh><t>six</t></rPh></si>"
    rows = [
        number("42136", 1) + number("123421"),
        number("42136.0", 2) + number("123421.0"),
        number("20150512") + number("123", 4),
        '<c/><c t="s"><v>0</v></c>',
        '<c/><c t="s"><v>1</v></c>',
        '<c t="d"><v>2015-05-12T00:00:00</v></c><c t="str"><f>CONCAT("a")</f><v>abc</v></c>',
        "<c/>" + number("1.23421E+5"),
        '<c r="B8"><v>12.5</v></c><c r="A8" s="6"><v>20150512</v></c>',
        text("20150101-") + '<c t="str"><f>""</f><v></v></c>',
        "<c/>" + text("a_x005F_b"),
    ]
    assert keys(workbook(tmp_path, rows, shared=shared)) == [
        {"StudyDate": "20150512", "PatientID": "123421"},
        {"StudyDate": "20150512", "PatientID": "00000123"},
        {"PatientID": "00123"},
        {"PatientID": "45"},
        {"StudyDate": "20150512", "PatientID": "abc"},
        {"PatientID": "123421"},
        {"StudyDate": "20150512", "PatientID": "12.5"},
        {"StudyDate": "20150101-"},
        {"PatientID": "a_b"},
    ]  # the second row repeats the first


def test_days_count_from_1900_or_1904_and_times_are_parts_of_a_day(tmp_path: Path) -> None:
    """With the 29 February 1900 that Excel believes in."""
    head = text("PatientBirthDate") + text("StudyTime")
    rows = [number("59", 1) + number("0.25", 3), number("61", 1) + number("0.586805555555556", 3)]
    assert keys(workbook(tmp_path, rows, head=head)) == [
        {"PatientBirthDate": "19000228", "StudyTime": "060000"},
        {"PatientBirthDate": "19000301", "StudyTime": "140500"},
    ]
    path = workbook(tmp_path, [number("40674", 1)], head=head, properties='<workbookPr date1904="1"/>')
    assert keys(path) == [{"PatientBirthDate": "20150512"}]


def test_what_excel_has_spoilt_is_named_with_row_and_line(tmp_path: Path) -> None:
    """Dates made of IDs, lost digits, errors, uncalculated formulas, invisible characters."""
    rows = [
        "<c/>" + number("42136", 1),
        "<c/>" + number("1234567890123456"),
        "",
        '<c/><c t="e"><f>A1</f><v>#REF!</v></c>',
        "<c><v>20150512</v></c><c><f>A1</f><v></v></c>",
        "<c/>" + text("A_x0000_B"),
        number("42136.5", 1),
        number("60", 1),
        number("42136") + text("x"),
    ]
    date = "this is not a date; write it as 20150512 or 2015-05-12, a range as 20150512-20150612"
    formula = "this is an error of Excel or a formula without its value; correct the sheet and save it again"
    assert refusal(workbook(tmp_path, rows)) == (
        "has 8 mistakes and nothing was asked: "
        "[1] row 1 (line 2), PatientID: Excel has made a date of this cell; format the column as text and type it "
        "again; "
        "[2] row 2 (line 3), PatientID: Excel has shortened this number; format the column as text and type it again; "
        f"[3] row 3 (line 5), PatientID: {formula}; [4] row 4 (line 6), PatientID: {formula}; "
        "[5] row 5 (line 7), PatientID: this holds an invisible character, such as a line break or a NUL; "
        "type the value again; "
        f"[6] row 6 (line 8), StudyDate: {date}; [7] row 7 (line 9), StudyDate: {date}; "
        f"[8] row 8 (line 10), StudyDate: {date}. Correct them and run again."
    )


def test_merged_rows_are_refused_since_all_but_one_of_them_would_lose_their_value(tmp_path: Path) -> None:
    """A row without its PatientID would fetch everybody's studies of that day."""
    rows = [number("20150512") + text("A"), number("20150513")]
    behind = '<mergeCells><mergeCell ref="B2:B3"/><mergeCell ref="D1:F1"/></mergeCells>'
    assert refusal(workbook(tmp_path, rows, behind=behind)) == (
        "has a mistake and nothing was asked: line 2: its cells are merged with those of other rows; unmerge them and "
        "fill in each row. Correct it and run again."
    )


def test_other_sheets_and_hidden_rows_are_mentioned(tmp_path: Path) -> None:
    """A filter in Excel hides rows and leaves them in the file."""
    sheets = (
        '<sheet name="Old" sheetId="3" state="hidden" r:id="rId2"/><sheet name="One" sheetId="1" r:id="rId1"/>'
        '<sheet name="Two" sheetId="2" r:id="rId2"/>'
    )
    rows = ['<c/><c><v>1</v></c></row><row r="3" hidden="1"><c/><c><v>2</v></c></row><row r="4" hidden="1"><c/>']
    read = queryfile.read(workbook(tmp_path, rows, sheets=sheets))
    assert [row.keys for row in read] == [{"PatientID": "1"}, {"PatientID": "2"}]
    assert read.notes == (
        "Only the first sheet of the workbook was read.",
        "1 of its rows are hidden in the sheet and count all the same.",
    )


DAMAGED = "cannot be read as an Excel workbook. Save it again, or as CSV."


@pytest.mark.parametrize(
    "rows",
    [
        ["<c"],
        ['<c t="s"><v>0</v></c>'],
        ['<c t="s"><v>-1</v></c>'],
        ["<c><v>one</v></c>"],
        ["<c><v>1E999999999</v></c>"],
        ['<c r="ZZZ1"><v>1</v></c>'],
        ['<c r="../A1"><v>1</v></c>'],
        ["&lol;"],
    ],
)
def test_a_sheet_that_is_not_what_excel_writes_is_refused(tmp_path: Path, rows: list[str]) -> None:
    """One sentence, whatever is wrong in it."""
    assert refusal(workbook(tmp_path, rows)) == DAMAGED


def test_entities_and_document_types_are_refused(tmp_path: Path) -> None:
    """A thousand million laughs, or a file of this machine."""
    before = f'{HEAD}<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b SYSTEM "file:///etc/passwd">]>'
    assert refusal(workbook(tmp_path, ["<c/>" + text("&a;")], before=before)) == DAMAGED


def test_other_zips_and_torn_workbooks_are_refused(tmp_path: Path) -> None:
    """A document of another program, and half a download."""
    whole = workbook(tmp_path, [number("20150512")]).read_bytes()
    torn = tmp_path / "torn.xlsx"
    for size in range(10, len(whole), 97):
        torn.write_bytes(whole[:size])
        assert refusal(torn) == DAMAGED
    with zipfile.ZipFile(torn, "w") as zipped:
        zipped.writestr("content.xml", "<x/>")
    assert refusal(torn) == DAMAGED


def test_a_workbook_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what it really unpacks to; long texts are cut long before."""
    monkeypatch.setattr("qa_fetch.sheet.workbook._LARGEST_SHEET", 3_000_000)
    path = workbook(tmp_path, ["<c/>" + text("9" * 2_000_000)])
    assert refusal(path) == (
        "has a mistake and nothing was asked: row 1 (line 2), PatientID: this is too long to be asked for; "
        "check the quotes around it. Correct it and run again."
    )
    path = workbook(tmp_path, ["<c/>" + text("9" * 4_000_000)])
    assert path.stat().st_size < 100_000
    assert refusal(path) == "is too large for a query file. Save its first sheet as CSV."


def test_cells_in_columns_without_a_name_are_a_mistake_also_far_to_the_right(tmp_path: Path) -> None:
    """Up to the last column that Excel has."""
    assert refusal(workbook(tmp_path, ['<c r="B2"><v>1</v></c><c r="XFD2"><v>1</v></c>'])) == (
        "has a mistake and nothing was asked: row 1 (line 2), column 16384: this cell has a value and its column no "
        "name; name it, or quote cells that hold a separator. Correct it and run again."
    )
