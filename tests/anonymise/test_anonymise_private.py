"""The table of safe private attributes is as the standard has it."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import qa_fetch

TABLE = Path(qa_fetch.__file__).with_name("anonymise") / "private.csv"
VRS = set("CS DS FD FL IS LO LT OB SH SL SQ SS UI UL UN US".split())


def rows() -> list[dict[str, str]]:
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def test_the_table_says_which_edition_it_is_of():
    """A reader sees where the rows come from."""
    assert TABLE.read_text(encoding="utf-8").startswith(
        "# Safe private attributes: all 130 rows of DICOM PS3.15 Table E.3.10-1, in its edition of August 2020.\n"
    )


def test_every_row_has_a_creator_a_private_tag_a_vr_and_a_meaning():
    """Rows have one shape, tags are of odd groups, and none comes twice."""
    seen = Counter((row["creator"], row["tag"]) for row in rows())
    assert len(seen) == 130 and set(seen.values()) == {1}
    for row in rows():
        assert list(row) == ["creator", "tag", "vr", "meaning"] and all(row.values()), row
        assert re.fullmatch(r"[0-9A-F]{4},xx[0-9A-F]{2}", row["tag"]) and int(row["tag"][:4], 16) % 2, row
        assert row["vr"] in VRS and len(row["creator"]) <= 64, row


def test_the_creators_are_those_of_the_standard():
    """How many attributes of each creator the table has."""
    assert Counter(row["creator"] for row in rows()) == {
        "ELSCINT1": 7,
        "GEIIS PACS": 3,
        "GEMS_ACQU_01": 4,
        "GEMS_HELIOS_01": 2,
        "GEMS_PARM_01": 3,
        "GEMS_SERS_01": 1,
        "HOLOGIC, Inc.": 5,
        "NQHeader": 7,
        "NQLeft": 22,
        "NQRight": 22,
        "Philips Imaging DD 001": 2,
        "Philips MR Imaging DD 001": 2,
        "Philips PET Private Group": 2,
        "SIEMENS MR HEADER": 4,
        "SIEMENS SYNGO ULTRA-SOUND TOYON DATA STREAMING": 4,
        "SIEMENS Ultrasound SC2000": 40,
    }


def test_what_images_need_is_there():
    """The scale factors of PET and MR and the b values that an image is of no use without."""
    known = {(row["creator"], row["tag"]): row["vr"] for row in rows()}
    assert known["Philips PET Private Group", "7053,xx00"] == "DS"
    assert known["Philips PET Private Group", "7053,xx09"] == "DS"
    assert known["Philips MR Imaging DD 001", "2005,xx0E"] == "FL"
    assert known["SIEMENS MR HEADER", "0019,xx0C"] == "IS"
    assert known["GEMS_PARM_01", "0043,xx39"] == "IS"
    assert known["ELSCINT1", "01F1,xx26"] == "DS"
