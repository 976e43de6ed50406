"""Free text without what identifies, in all the ways in which people write names, numbers and dates."""

from __future__ import annotations

import pickle
from typing import Optional

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qa_fetch.anonymise.charset import Charset
from qa_fetch.anonymise.folding import folded
from qa_fetch.anonymise.harvest import Harvest
from qa_fetch.anonymise.text import Scrubber
from qa_fetch.anonymise.vocabulary import DICOM, identifies


def scrubber(
    *names: str, ids: tuple[str, ...] = (), born: Optional[str] = None, places: tuple[str, ...] = ()
) -> Scrubber:
    """A scrubber for these strings."""
    return Scrubber(Harvest(set(names), set(ids), {born} if born else set(), set(places)))


SMITH = scrubber("Smith^John^Adam", ids=("12-345-678", "00123456", "AB12", "X7Z", "7"), born="19610305")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("SMITH", ""),
        ("smith", ""),
        ("Smith^John", ""),
        ("Smith, John", ""),
        ("John.Smith", ""),
        ("JOHN-SMITH", ""),
        ("smith_john", ""),
        ("SMITHJOHN", ""),
        ("JohnSmith_plan2", "plan2"),
        ("John Adam Smith", ""),
        ("John A. Smith", ""),
        ("Smith John A", ""),
        ("J. Smith", ""),
        ("J.A. Smith", ""),
        ("SmithJ", ""),
        ("JSmith", ""),
        ("jasmith 60Gy", "60Gy"),
        ("Dr. Smith ok", "ok"),
        ("PTV_Smith_60", "PTV_60"),
        ("Plan of Smith, v2", "Plan of v2"),
        ("CT (Smith) thorax", "CT thorax"),
        ("0Smith(Smith)0Smith", "0 0"),
        ("x [(Smith)] y", "x y"),
        ("PlanSmithArc", "Plan_Arc"),
        ("a-Smith-60Gy", "a-60Gy"),
        ("Smith -60 deg", "-60 deg"),
        ("Smith\\HEAD\\John", "\\HEAD\\"),
        ("first Smith\r\nsecond", "first\r\nsecond"),
        ("Smith A1", "A1"),
        ("Smith\0", ""),
    ],
)
def test_names_go_in_any_order_case_and_with_any_separator(text: str, left: str) -> None:
    """What was around the name is tidied, and nothing else is."""
    assert SMITH.text(text) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("12-345-678", ""),
        ("12345678", ""),
        ("12 345 678", ""),
        ("1234 5678", ""),
        ("12.345.678", ""),
        ("PAT12345678X", "PAT_X"),
        ("00123456", ""),
        ("123456", ""),
        ("12 34 56", ""),
        ("planAB12b", "plan_b"),
        ("AB-12", "AB-12"),
        ("X7Z plan", "plan"),
        ("aX7Z", "aX7Z"),
        ("7", ""),
        (" 7 ", ""),
        ("Field 7", "Field 7"),
    ],
)
def test_numbers_go_with_separators_put_in_or_left_out(text: str, left: str) -> None:
    """Numbers of three signs are words of their own, shorter ones whole values."""
    assert SMITH.text(text) == left


@pytest.mark.parametrize(
    "text", ["+41 21 314 55 33", "0041213145533", "021 314 55 33", "021/314.55.33", "21 314 55 33"]
)
def test_telephone_numbers_go_with_and_without_the_country(text: str) -> None:
    """However their digits are grouped."""
    assert scrubber(ids=("+41 21 314 55 33",)).text(f"call {text}!").startswith("call")
    assert "314" not in scrubber(ids=("+41 21 314 55 33",)).text(text)


@pytest.mark.parametrize(
    "text",
    """19610305|1961-03-05|1961/03/05|1961.3.5|05.03.1961|5.3.1961|05-03-1961|3/5/1961|03/05/1961|5/3/61|05.03.61
    |5 Mar 1961|05-MAR-1961|5. März 1961|5 mars 1961|March 5, 1961|Mar 5th 1961|5th March 1961|1961 Mar 05|05mar61
    |610305|050361|030561|1961年3月5日|05 03 1961""".replace("\n", "")
    .replace("    ", "")
    .split("|"),
)
def test_birth_dates_go_in_all_usual_spellings(text: str) -> None:
    """Also between other words."""
    assert SMITH.text(text) == ""
    assert SMITH.text(f"was born {text} here") == "was born here"


@pytest.mark.parametrize("text", ["19610306", "5.3.1962", "15.3.1961", "1610305", "6103051", "5.3.19611", "March 1961"])
def test_other_dates_stay(text: str) -> None:
    """Only the birth date is known to be one."""
    assert SMITH.text(text) is text


@pytest.mark.parametrize(
    ("names", "text", "left"),
    [
        (("Müller^Jörg",), "MÜLLER, JÖRG", ""),
        (("Müller^Jörg",), "Mueller Joerg", ""),
        (("Müller^Jörg",), "muller jorg", ""),
        (("Müller^Jörg",), "mu\u0308ller", ""),
        (("Müller^Jörg",), "M\udcfcller x", "x"),
        (("Mueller^Joerg",), "Jörg Müller", ""),
        (("Weiß^Äneas",), "WEISS Aeneas", ""),
        (("Strauss",), "Strauß", ""),
        (("Lefèvre^François",), "FRANCOIS LEFEVRE", ""),
        (("Œuvrard",), "Oeuvrard", ""),
        (("Ångström^Bjørn",), "Aangstroem Bjorn", ""),
        (("Wałęsa^Łukasz",), "LUKASZ WALESA", ""),
        (("O'Brien^Mary-Ann",), "Maryann OBrien", ""),
        (("van der Berg^Ann",), "A. van der Berg", ""),
        (("van der Berg^Ann",), "VANDERBERG", ""),
        (("Παπαδόπουλος^Γιώργος",), "ΠΑΠΑΔΟΠΟΥΛΟΣ ΓΙΩΡΓΟΣ", ""),
        (("Иванов^Пётр",), "ПЕТР ИВАНОВ", ""),
        (("Иванов^Пётр",), "П. Иванов", ""),
        (("قباني^نزار",), "نزار قباني", ""),
        (("שרון^דבורה",), "דבורה שרון", ""),
        (("ใจดี^สมชาย",), "คุณสมชายใจดีครับ", "คุณ_ครับ"),
        (("Yamada^Tarou=山田^太郎=やまだ^たろう",), "患者山田太郎様", "患者_様"),
        (("Yamada^Tarou=山田^太郎=やまだ^たろう",), "山田　太郎", ""),
        (("Yamada^Tarou=山田^太郎=やまだ^たろう",), "tarou yamada・やまだ", ""),
        (("ﾔﾏﾀﾞ^ﾀﾛｳ",), "ヤマダ タロウ", ""),
        (("Hong^Gildong=洪^吉洞=홍^길동",), "홍길동", ""),
        (("Hong^Gildong=洪^吉洞=홍^길동",), "\u1112\u1169\u11bc \u1100\u1175\u11af\u1103\u1169\u11bc", ""),
        (("Wang^XiaoDong=王^小东",), "王小东的计划", "的计划"),
        (("Wang^XiaoDong=王^小东",), "XIAODONG WANG", ""),
    ],
)
def test_names_of_all_scripts_go(names: tuple[str, ...], text: str, left: str) -> None:
    """Accents, umlauts spelt out, ligatures, widths and composed letters make no difference."""
    assert scrubber(*names).text(text) == left


@pytest.mark.parametrize(
    ("terms", "raw", "left"),
    [
        (b"ISO_IR 100", "Plan Müller".encode("latin-1"), b"Plan"),
        (b"ISO_IR 192", "Plan MÜLLER 山田".encode(), b"Plan"),
        (b"\\ISO 2022 IR 87", b"\x1b$B;3EDMM\x1b(B Plan", b"\x1b$BMM\x1b(B Plan"),
        (b"", b"Plan M\xfcller", b"Plan"),
    ],
)
def test_names_go_from_values_of_any_character_set(terms: bytes, raw: bytes, left: bytes) -> None:
    """Charset and scrubber together keep what is left in the set of the value."""
    charset = Charset.of(terms)
    assert charset.encode(scrubber("Müller^Jörg=山田^太郎").text(charset.decode(raw, b"LO"))) == left


LI = scrubber("Li^Wei", "Rost^Anna", "Ray^Max", ids=("4711",))


@pytest.mark.parametrize(
    "text",
    [
        *("Field 1", "G180 6X", "PTV_60", "ANT", "LINAC3", "LINAC", "Brilliance", "Xray", "array", "maximum", "weight"),
        *("PROSTATE", "prostate bed", "Lung_L", "CTV 50.4Gy/28", "IMRT_QA", "6X FFF", "MLC", "CBCT", "", " "),
        *("SpinalCord_PRV", "Optic Nerve R", "T0 -90 C0", "Arc 2 CCW 179.9-180.1", "1.2.840.10008.4711.1", "LiNAC"),
    ],
)
def test_labels_of_radiotherapy_stay_as_they_are(text: str) -> None:
    """Short names inside words are no names, and a gap in PROSTATE would tell who is called Rost."""
    assert LI.text(text) is text
    assert LI.coded(text) is text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Li", ""),
        ("Li_Wei", ""),
        ("LiWei", ""),
        ("WEILI plan", "plan"),
        ("plan Li2", "plan 2"),
        ("L. Ray", "L"),
        ("M. Ray", ""),
        ("MRay", ""),
        ("rost", ""),
        ("Prost", "P"),
        ("W Li", ""),
    ],
)
def test_short_names_go_as_words_of_their_own(text: str, left: str) -> None:
    """Also joined to the name beside them."""
    assert LI.text(text) == left


@pytest.mark.parametrize(
    ("value", "text", "coded"),
    [
        ("FIELD", "", "FIELD"),
        ("HEAD\\FIELD", "\\", "HEAD\\FIELD"),
        ("FIELDING", "ING", "ING"),
        ("SMITH_FIELD", "", "FIELD"),
        ("HEAD_SMITH", "", "HEAD"),
    ],
)
def test_words_of_the_vocabulary_stay_in_coded_values(value: str, text: str, coded: str) -> None:
    """A patient called Field takes no FIELD away from codes, but from text."""
    field = scrubber("Field^Smith", "Head^Smith")
    assert (field.text(value), field.coded(value)) == (text, coded)


PLACES = scrubber(
    places=("Inselspital Lausanne", "Radioonkologie Nord", "Rue du Bugnon 46, 1011 Vaud", "USZ", "a@chuv.ch")
)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("INSELSPITAL LAUSANNE", ""),
        ("inselspital_lausanne QA", "QA"),
        ("Lausanne", ""),
        ("Radioonkologie Nord, desk 2", "desk 2"),
        ("Radioonkologie", "Radioonkologie"),
        ("Bugnon 46", "46"),
        ("USZ-Plan", "Plan"),
        ("fusz", "fusz"),
        ("rue de la paix", "rue de la paix"),
        ("University Hospital", "University Hospital"),
        ("write to a@chuv.ch", "write to"),
    ],
)
def test_institutions_go_as_a_whole_and_by_their_own_words(text: str, left: str) -> None:
    """Words that any hospital has stay."""
    assert PLACES.text(text) == left


MADE = "2.25." + "4711" * 6


def new_uid(old: str) -> str:
    """Stands for the key; what it made it gives back."""
    return old if old.startswith("2.25.") else f"{MADE}{len(old)}"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("RS.1.2.246.352.71.4.dcm", f"RS.{MADE}16.dcm"),
        ("Rost 1.2.3.4.5 Anna", f"{MADE}9"),
        ("see 1.2.3.4.5, 1.2.3.4.5.6", f"see {MADE}9, {MADE}11"),
        ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2"),
        ("1.2.840.10008.471100000.1", f"{MADE}25"),
        ("version 10.0.1.2", "version 10.0.1.2"),
        ("\ua620 1.2.3.4.5", f"\ua620 {MADE}9"),
    ],
)
def test_uids_in_text_become_those_of_the_key(text: str, left: str) -> None:
    """Whatever number their digits hold by chance."""
    assert LI.text(text, uid=new_uid) == left
    assert LI.text(left, uid=new_uid) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("mail jane.doe@example.org now", "mail now"),
        ("https://jane:pw@example.org/x", ""),
        (r"C:\Users\jdoe\plans", r"C\plans"),
        ("call +41 21 314 11 11", "call"),
        ("Tel. 3141111", ""),
        ("Dr. Eisenbart ok", "ok"),
        ("checked by Frau Anna Kowalska", "checked by"),
        ("Mme. Curie", ""),
        ("MRN 1234567", ""),
        ("Patient ID: AB-1234", ""),
        ("DOB: 5.3.61", ""),
        ("done 2025-11-03", "done"),
        ("3 Nov 2025", ""),
        ("20251103 CT", "CT"),
        ("PTV 60Gy 2.0/30", "PTV 60Gy 2.0/30"),
        ("MR Brain", "MR Brain"),
        ("G180 T0 6X 20250.5", "G180 T0 6X 20250.5"),
    ],
)
def test_strict_takes_what_identifies_by_its_form(text: str, left: str) -> None:
    """Without being harvested; and only when asked for."""
    assert scrubber().text(text, strict=True) == left
    assert scrubber().text(text) is text


@pytest.mark.parametrize(
    "text",
    [
        "Anna Kowalska",
        "KOWALSKA, ANNA",
        "kowalska^anna",
        "a@b.org",
        "+41 21 314 11 11",
        "Dr. X. Dr. Eisenbart",
        "2025-11-03",
    ],
)
def test_text_that_looks_like_a_name_is_noticed(text: str) -> None:
    """For the warnings of a report."""
    assert SMITH.looks_like_a_name(text)


@pytest.mark.parametrize(
    "text", ["Head Neck", "Left Lung", "PTV 60", "G180 6X", "Linac 3", "Siemens Healthineers", "", "A B"]
)
def test_text_that_looks_like_none_is_not(text: str) -> None:
    """Words of the vocabulary are no names."""
    assert not SMITH.looks_like_a_name(text)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1", "utf-16-le", "utf-16-be", "cp1252"])
def test_raw_bytes_that_hold_a_name_or_number_are_found(encoding: str) -> None:
    """In any case, behind an odd number of bytes."""
    for text in ("SMITH", "smith", "John", "12-345-678", "12345678", "19610305", "05.03.1961"):
        assert SMITH.in_bytes(b"\0\1\2" + text.encode(encoding) + b"\xff")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("MÜLLER", "latin-1"), ("müller", "utf-16-be"), ("Mueller", "ascii"), ("山田", "shift_jis"), ("山田", "euc_jp")]
    + [("山田", "iso2022_jp"), ("山田", "utf-8"), ("山田", "gb18030")],
)
def test_raw_bytes_of_other_encodings_are_found(text: str, encoding: str) -> None:
    """Letters beyond ASCII in each encoding that has them."""
    assert scrubber("Müller^Jörg=山田^太郎").in_bytes(text.encode(encoding))


def test_raw_bytes_of_others_are_not() -> None:
    """Short strings, words of the vocabulary and parts of numbers are in anybody's files."""
    assert not LI.in_bytes(b"LINAC prostate \x00\x01 li 2.25.347110 12.4711")
    assert LI.in_bytes(memoryview(b"plan\\4711 "))
    assert not scrubber().in_bytes(b"anything")


def test_a_scrubber_travels_to_other_processes() -> None:
    """With what it knows, and without what it remembers."""
    SMITH.text("Smith was here")
    again = pickle.loads(pickle.dumps(SMITH))
    assert again.text("Smith was here, 12345678, 7") == "was here, 7"
    assert again.text("7") == ""


NAMES = st.text(st.sampled_from("abcdeghiklmnorstuwzäöüßéñø"), min_size=4, max_size=9)
NUMBERS = st.text(st.sampled_from("0123456789-X"), min_size=4, max_size=10).filter(lambda text: text[0] not in "-")
WORDS = st.text(st.sampled_from("abcdeghiklmnorstuwzäöüß ABCDESTX_-^.,0123456789()\\"), max_size=20)


def varied(name: str, how: int) -> str:
    """A name as somebody may have typed it."""
    ways = (str.upper, str.title, str.lower, folded, lambda text: text + text, lambda text: f"J.{text}, ")
    return ways[how % len(ways)](name)


@settings(max_examples=150, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=3), NUMBERS, st.lists(st.tuples(WORDS, st.integers(0, 5)), max_size=4))
def test_no_harvested_string_is_left_and_once_is_enough(
    names: list[str], number: str, pieces: list[tuple[str, int]]
) -> None:
    """Whatever is around it, in any case; and what is left is left again."""
    assume(all(map(identifies, names)) and not any(any(folded(name) in word for word in DICOM) for name in names))
    tested = scrubber("^".join(names), *names, ids=(number,))
    text = "".join(words + varied([*names, number][how % (len(names) + 1)], how) for words, how in pieces)
    left = tested.text(text)
    assert not [name for name in names if folded(name) in folded(left)]
    assert tested.text(number) == "" or not identifies(number)
    assert tested.text(left) == left
    assert tested.text(left, strict=True) == tested.text(tested.text(left, strict=True), strict=True)


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("bcdfgpqvxz 0123456789_-^.,äö山"), max_size=40))
def test_text_without_harvested_strings_is_the_same_object(text: str) -> None:
    """Nothing is tidied where nothing is taken out."""
    assume("12" not in text)
    tested = scrubber("Smith^John", "Müller^Jörg=山田^太郎", ids=("12345678",), places=("Lausanne",))
    assert tested.text(text) is text


HOSTILE = {
    "separators": "_ -." * 100_000,
    "digits": "12" * 200_000,
    "zeros": "0" * 400_000,
    "beginnings of a name": "smit" * 100_000,
    "initials": "j " * 200_000,
    "one UID": "1." * 200_000,
    "addresses": "a@" * 200_000,
    "names around a name": "smi" * 60_000 + "smith" + "th" * 60_000,
    "names": "Smith " * 60_000,
    "telephones": "+1234567" * 50_000,
    "umlauts": "ü" * 300_000,
    "brackets": "(" * 300_000,
    "brackets around names": "(" * 90_000 + "Smith" + ")" * 90_000,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_text_takes_no_longer_than_its_length(what: str) -> None:
    """Half a megabyte of anything is done at once; a quadratic search would not end within the run."""
    left = SMITH.text(HOSTILE[what], strict=True, uid=new_uid)
    assert "smith" not in left.lower()


def test_hundreds_of_strings_of_the_same_beginning_are_understood() -> None:
    """The expression does not nest deeper than `re` can follow."""
    many = scrubber(
        *("a" * length + "b" for length in range(4, 300)), ids=tuple("1" * length for length in range(4, 200))
    )
    assert many.text("aaaaab plan " + "1" * 150) == "plan"
    assert many.in_bytes(b"lastname aaaaaab")
