"""The shapes in which Excel and others write a table as text, and files that are none."""

from __future__ import annotations

import codecs
import csv
import io
import string
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from qa_fetch.batch import queryfile
from qa_fetch.errors import ConfigError

PLAIN = "StudyDate,PatientID\n20150512,123421\n,45322\n"
ASKED = [{"StudyDate": "20150512", "PatientID": "123421"}, {"PatientID": "45322"}]
WINDOWS = ("It is not UTF-8 and was read as Windows-1252: check names with accents.",)


def table(folder: Path, written: bytes) -> Path:
    """A query file of these bytes."""
    path = folder / "query.csv"
    path.write_bytes(written)
    return path


def refusal(path: Path) -> str:
    """How a file is refused, without its path."""
    with pytest.raises(ConfigError) as caught:
        queryfile.read(path)
    assert str(caught.value).startswith(f"{path} ")
    return str(caught.value)[len(str(path)) + 1 :]


@pytest.mark.parametrize(
    "written",
    [
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.rstrip().encode(),
        PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", "\t").encode("utf-16"),  # Excel's "Unicode text"
        PLAIN.replace(",", "|").encode(),
        codecs.BOM_UTF8 + PLAIN.encode(),
        PLAIN.encode("utf-16-le"),
        PLAIN.encode("utf-16-be"),
        PLAIN.encode("utf-32"),
        ("sep=;\r\n" + PLAIN.replace(",", ";")).encode(),
        ("\n\n" + PLAIN + "\n \n").encode(),
        b'"StudyDate","PatientID"\n"20150512","123421"\n"","45322"\n',
        b" StudyDate ; PatientID ;;\n 20150512 ;123421;;\n;45322;;\n;;;\n;;;\n",
    ],
    ids="crlf cr no-end semicolon tab-utf16 bar bom utf16le utf16be utf32 sep blank-lines quoted trailing".split(),
)
def test_every_way_to_write_a_table_asks_for_the_same(tmp_path: Path, written: bytes) -> None:
    """Separators, ends of lines, encodings, spaces, and the empty columns and rows that Excel leaves at the end."""
    rows = queryfile.read(table(tmp_path, written))
    assert [row.keys for row in rows] == ASKED
    assert rows.notes == ()


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_a_file_that_is_not_utf8_is_read_as_windows_writes_it(tmp_path: Path, encoding: str) -> None:
    """The user is told, since no file says which it is."""
    rows = queryfile.read(table(tmp_path, "PatientName\nJürgen Müßig\n".encode(encoding)))
    assert (rows[0].keys, rows.notes[:1]) == ({"PatientName": "*MÜSSIG"}, WINDOWS)


def test_a_byte_that_windows_does_not_know_is_refused_in_its_cell(tmp_path: Path) -> None:
    """It is a control character in Latin-1."""
    assert refusal(table(tmp_path, b"PatientID\nA\x81\n")) == (
        "has a mistake and nothing was asked: row 1 (line 2), PatientID: this holds an invisible character, such as a "
        "line break or a NUL; type the value again. Correct it and run again."
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_nul_a_huge_cell_and_stray_quotes_spoil_only_their_own_rows(tmp_path: Path, encoding: str) -> None:
    """All of them are named, with those that come after."""
    huge = "9" * 10_000_000
    written = f'PatientID,StudyDate\nA\0B,20150512\n{huge},20150512\n"{huge}",2015\nC,20150512\n"D"x,\nE,2016\n'
    assert refusal(table(tmp_path, written.encode(encoding))) == (
        "has 5 mistakes and nothing was asked: "
        "[1] row 1 (line 2), PatientID: this holds an invisible character, such as a line break or a NUL; "
        "type the value again; "
        "[2] row 2 (line 3), PatientID: this is too long to be asked for; check the quotes around it; "
        "[3] row 3 (line 4), PatientID: this is too long to be asked for; check the quotes around it; "
        "[4] line 6: its quotes do not match; put a cell that holds quotes into quotes, and double those in it; "
        "[5] row 5 (line 7), StudyDate: this is not a date; write it as 20150512 or 2015-05-12, a range as "
        "20150512-20150612. Correct them and run again."
    )


def test_what_stands_behind_a_very_long_line_is_not_dropped_in_silence(tmp_path: Path) -> None:
    """The row is refused even where the part that is looked at has nothing wrong."""
    assert refusal(table(tmp_path, b"PatientID;StudyDate\nA;" + b";" * 70_000 + b"x\n")) == (
        "has a mistake and nothing was asked: row 1 (line 2), column 65536: this cell has a value and its column no "
        "name; name it, or quote cells that hold a separator. Correct it and run again."
    )


def test_a_quote_that_is_never_closed_is_named_where_it_opens(tmp_path: Path) -> None:
    """Else the rows behind it would be one cell."""
    assert refusal(table(tmp_path, b'PatientID\nA\n"B\nC\nD\n')) == (
        "has a mistake and nothing was asked: line 3: its quotes do not match; put a cell that holds quotes into "
        "quotes, and double those in it. Correct it and run again."
    )


def test_a_value_without_a_column_is_a_mistake_once_per_column(tmp_path: Path) -> None:
    """Often a comma inside a cell has moved everything behind it."""
    assert refusal(table(tmp_path, b"PatientID,StudyDescription\n1,Head,neck\n2,Head,neck\n")) == (
        "has a mistake and nothing was asked: row 1 (line 2), column 3: this cell has a value and its column no name; "
        "name it, or quote cells that hold a separator. Correct it and run again."
    )


def test_a_line_break_in_a_cell_does_not_move_the_lines_behind_it(tmp_path: Path) -> None:
    """Mistakes name the line that an editor shows."""
    assert refusal(table(tmp_path, b'PatientID\n"a\nb\nc"\n*\n')).count("row 2 (line 5), PatientID") == 1


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (b"", "is empty. Write the names of columns, such as PatientID, into its first line."),
        (b"\r\n\r\n", "is empty. Write the names of columns, such as PatientID, into its first line."),
        (b"PatientID\r\n", "has no rows. Write what to fetch below its first line."),
        (b"PatientID,StudyDate\r\n,\r\n,\r\n", "has no rows. Write what to fetch below its first line."),
        (
            codecs.decode("d0cf11e0a1b11ae10000", "hex"),
            "is an old or a locked Excel file. Save it as .xlsx without a password.",
        ),
        ("PatientID\n1\n".encode("utf-16") + b"\0\xd8", "is not the text that it begins as. Save it as CSV UTF-8."),
        (b"PatientID" + b",StudyDate" * 300, "has more than 256 columns. Keep those that say what to fetch."),
    ],
)
def test_a_file_that_is_no_table_says_what_to_do(tmp_path: Path, written: bytes, why: str) -> None:
    """Empty, headless, or something else altogether."""
    assert refusal(table(tmp_path, written)) == why


def test_a_file_that_is_not_there_or_a_folder_says_so(tmp_path: Path) -> None:
    """Whatever the operating system calls it."""
    hint = "Check the path and its permissions."
    assert refusal(tmp_path / "none.csv") == f"cannot be read (No such file or directory). {hint}"
    assert refusal(tmp_path) == f"cannot be read (Is a directory). {hint}"


def test_many_rows_are_checked_with_little_memory(tmp_path: Path) -> None:
    """Their cells are not held, only 16 bytes each to know repeats."""
    path, count = tmp_path / "query.csv", 20_000
    path.write_text("PatientID,StudyDate\n1,\n")
    queryfile.Checked(path)  # pydicom's dictionary is not counted
    path.write_text("PatientID,StudyDate\n" + "".join(f"PATIENT{n:08d},20150512\n" for n in range(count)))
    tracemalloc.start()
    try:
        checked = queryfile.Checked(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert checked.count == count
    assert peak < 300 * count


# --- laws

_VALUES = {
    "PatientID": st.text(string.ascii_letters + string.digits + " ;,|\"'-_üé日^&%$", min_size=1, max_size=30),
    "PatientName": st.text(string.ascii_letters + " ^,;\"'üßéŉ日", min_size=1, max_size=30),
    "StudyDate": st.dates().map(lambda day: f"{day.year:04d}{day.month:02d}{day.day:02d}"),
    "AcquisitionDate": st.dates().map(lambda day: f"-{day.isoformat()}"),
    "StudyTime": st.times().map(lambda time: time.isoformat("seconds")),
    "SeriesNumber": st.integers(-(2**31), 2**31 - 1).map(str),
    "ImageType": st.lists(st.text(string.ascii_uppercase, min_size=1, max_size=16), min_size=1, max_size=4).map(
        "\\".join
    ),
    "StudyInstanceUID": st.lists(st.from_regex("[0-9.]{1,64}", fullmatch=True), min_size=1, max_size=3).map("\\".join),
    "StudyComments": st.text(min_size=1, max_size=50),
}
_TABLES = st.lists(
    st.fixed_dictionaries({}, optional=_VALUES).filter(bool), min_size=1, max_size=5
)  # rows as the user writes them
_DIALECTS = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from(",;\t|"),
        "lineterminator": st.sampled_from(["\n", "\r\n", "\r"]),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    }
)
_ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])


def written(rows: list[dict[str, str]], columns: list[str], **dialect: object) -> str:
    """Rows as CSV."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", **dialect)  # type: ignore[arg-type]
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def outcome(path: Path) -> object:
    """What a file asks for, or why not; the order of a row's mistakes aside."""
    try:
        rows = queryfile.read(path)
    except ConfigError as error:
        return sorted(mistake for mistake in error.mistakes)  # type: ignore[attr-defined]
    return [(row.number, row.keys, row.new_id) for row in rows]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_TABLES, _DIALECTS, _ENCODINGS, st.randoms(use_true_random=False))
def test_law_a_table_asks_for_the_same_in_every_dialect_and_order(tmp_path, rows, dialect, encoding, shuffle) -> None:
    """Neither separators nor quotes, ends of lines, encodings or the order of columns change what is asked."""
    columns = sorted(_VALUES)
    assume(not any("\r" in cell or "\n" in cell for row in rows for cell in row.values()))  # these move lines
    plain = outcome(table(tmp_path, written(rows, columns, lineterminator="\n").encode("utf-8", "replace")))
    shuffle.shuffle(columns)
    other = outcome(table(tmp_path, written(rows, columns, **dialect).encode(encoding, "replace")))
    assert plain == other


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_TABLES)
def test_law_what_was_accepted_is_accepted_again(tmp_path, rows) -> None:
    """The keys of accepted rows, written as a query file, ask for the same."""
    text = written(rows, sorted(_VALUES), lineterminator="\n").encode("utf-8", "replace")
    try:
        once = queryfile.read(table(tmp_path, text))
    except ConfigError:
        return
    again = [
        {name: asked if isinstance(asked, str) else "\\".join(asked) for name, asked in row.keys.items()}
        for row in once
    ]
    twice = queryfile.read(table(tmp_path, written(again, sorted(_VALUES), lineterminator="\n").encode()))
    assert [row.keys for row in twice] == [row.keys for row in once]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.sampled_from([b"", b"PatientID,StudyDate\n", b"PK\x03\x04"]))
def test_law_any_bytes_are_a_table_or_one_clear_refusal(tmp_path, rubbish: bytes, start: bytes) -> None:
    """Nothing else is raised, and no row is without a key."""
    try:
        rows = queryfile.read(table(tmp_path, start + rubbish))
    except ConfigError:
        return
    assert all(row.keys for row in rows)
