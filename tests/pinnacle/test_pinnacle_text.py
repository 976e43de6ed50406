"""Pinnacle's text format, sound, unusual and damaged."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_fetch.pinnacle import rois, text
from qa_fetch.pinnacle.text import Stop

TRIAL = b"""Trial ={
  Name = "Trial_1";
  DoseGrid .VoxelSize .X = 0.3;
  BeamList ={
    Beam ={
      Name = "AP";
      ControlPointList ={
        #0 ={
          Gantry = -8.;
          Max = 1e+30;
          RawData ={
            NumberOfPoints = 2;
            Points[] ={
              -12.5,1.5e-07,
              3,4
            };
          };
        };
        #1 ={
          Gantry = 90;
        };
      };
      DoseVolume = \\XDR:8\\;
    };
    Beam ={
      Name = "PA";
    };
  };
};
"""


def plain(data: bytes) -> text.Block:
    """The content of a text that has nothing wrong with it."""
    parsed = text.parse(data)
    assert (parsed.stop, parsed.flaws) == (None, ())
    return parsed.content


def test_a_trial_is_read_with_its_lists_tables_and_dotted_keys():
    """Blocks, repeated keys, numbered members, tables, references and numbers as Pinnacle writes them."""
    trial = plain(TRIAL).block("Trial")
    beams = trial.members("BeamList")
    first, second = beams[0].members("ControlPointList")
    assert [beam.text("Name") for beam in beams] == ["AP", "PA"]
    assert trial.number("DoseGrid.VoxelSize.X") == 0.3
    assert (first.number("Gantry"), first.number("Max"), second.whole_number("Gantry")) == (-8.0, 1e30, 90)
    assert first.block("RawData").numbers("Points[]") == array("d", [-12.5, 1.5e-07, 3, 4])
    assert (beams[0].binary("DoseVolume"), beams[1].binary("DoseVolume")) == (8, None)
    assert trial.whole and all(beam.whole for beam in beams)


def test_windows_line_ends_change_nothing():
    """CRLF is read as LF is."""
    trial = plain(TRIAL.replace(b"\n", b"\r\n")).block("Trial")
    assert [beam.text("Name") for beam in trial.members("BeamList")] == ["AP", "PA"]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b'Name = "a; b";', "a; b"),
        (b'Name = "a { b";', "a { b"),
        (b'Name = "};";', "};"),
        (b'Name = "C:\\data\\";', "C:\\data\\"),
        (b'Name = "say \\"no\\" twice";', 'say "no" twice'),
        (b'Name = "say "no" twice";', 'say "no" twice'),
        (b'Name = "\\\\host\\\\share";', "\\host\\share"),
        (b'Name = "http://x/*y*/";', "http://x/*y*/"),
        (b'Name = "a = b";', "a = b"),
        (b'Name = "Key ={";', "Key ={"),
        (b'Name = "a"', "a"),
        (b'Name="a";', "a"),
        (b'  Name  =  "a"  ;  ', "a"),
        (b'Name = "a"; // "b"', "a"),
        (b'Name = "a"; /* "b" */', "a"),
        (b'/* before */ Name = "a";', "a"),
        (b'Name = "";', None),
        (b"Name = ;", None),
        (b"Name =", None),
        (b'Name = "first\nsecond";', "first\nsecond"),
        (b'Name = "J\xfcrg";', "J\xfcrg"),
        ('Name = "J\xfcrg";'.encode(), "J\xfcrg"),
        ('Name = "J\xfcrg";\n\n/* '.encode() + b"\xff\xfe} */", "J\xfcrg"),
    ],
)
def test_a_quoted_text_may_hold_anything(line, value):
    """Braces, backslashes, semicolons, quotes, comments and ends of lines inside of quotes; comments behind them."""
    block = plain(b"Before = 1;\n" + line + b"\nAfter = 2;\n" * (b"\xff\xfe" not in line))
    assert block.text("Name") == value
    assert block.number("Before") == 1


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"Key = 5", 5),
        (b"Key = 5 // five;", 5),
        (b"Key = 5; // five;", 5),
        (b"Key = 5; /* five; */", 5),
        (b"Key = -.5;", -0.5),
        (b"Key = +1E-3;", 0.001),
        (b'Key = "5";', 5),
        (b"Key = 5 mm;", None),
        (b"Key = nan;", None),
        (b"Key = inf;", None),
        (b"Key = 1e999;", None),
        (b"Key = 1_000;", None),
        (b"Key = " + b"9" * 100_000 + b"x;", None),
    ],
)
def test_a_number_is_finite_or_none(line, value):
    """What is no number is none, and none is never made up."""
    assert plain(line).number("Key") == value


def test_a_byte_order_mark_is_no_part_of_the_first_key():
    """Somebody's editor put it there."""
    assert plain(b"\xef\xbb\xbf" + 'Name = "J\xfcrg";'.encode()).text("Name") == "J\xfcrg"


def test_a_text_cut_inside_a_character_keeps_the_others():
    """A text in UTF-8 is not taken for Latin-1 because of its last byte."""
    assert text.decoded("J\xfcrg J\xfc".encode()[:-1]) == "J\xfcrg J\xc3"


def test_comments_in_mid_file_say_nothing():
    """Comments of one line and of several, between blocks and inside them; the trailer of bytes need not end."""
    data = b"// A = 1;\nB ={\n/* C = 2;\n};\n D ={ */\nE = 3;\n/* x */ /* y */ F = 4;\n};\nG = 5;\n\n/* \x00\xff} {"
    block = plain(data)
    assert [(key, value) for key, value in block if key != "B"] == [("G", "5")]
    assert list(block.block("B")) == [("E", "3"), ("F", "4")]


def test_several_values_in_one_line_are_read():
    """Blocks that begin, go on or end within a line."""
    block = plain(b'A ={ B = 1; C = "x"; };\nD ={}; E = 2; F = 3;\nG[] ={ 1,2, 3 }; H = 4;\nI={\nJ = 5; }; K = 6;')
    assert [key for key, _ in block] == ["A", "D", "E", "F", "G[]", "H", "I", "K"]
    assert block.block("A").number("B") == 1
    assert block.numbers("G[]") == array("d", [1, 2, 3])
    assert block.block("I").number("J") == 5


@pytest.mark.parametrize(
    ("table", "numbers"),
    [
        (b"                      };", []),
        (b"1,2\n3,4\n};", [1, 2, 3, 4]),
        (b"1 2\n3 4\n};", [1, 2, 3, 4]),
        (b"1, // one\n2, /* two */\n3\n};", [1, 2, 3]),
    ],
)
def test_a_table_may_be_empty_or_without_commas(table, numbers):
    """The tables that Pinnacle writes, and those that somebody edited."""
    assert plain(b"Points[] ={\n" + table).numbers("Points[]") == array("d", numbers)


@pytest.mark.parametrize(
    ("data", "stop"),
    [
        (b"A = 1;\nB ={\nC = 2;\n", Stop(3, "it ends inside 1 open blocks")),
        (b"A = 1;\n};\nB = 2;", Stop(2, "a brace is closed that was not opened")),
        (b"A = 1;\nPoints[] ={\n1,2,\n", Stop(3, "it ends inside a table of numbers")),
        (b"A = 1;\nPoints[] ={\n1,2,x\n};", Stop(4, "a table holds something else than numbers")),
        (b"A = 1;\nPoints[] ={\n1,,2\n};", Stop(4, "a table holds something else than numbers")),
        (b"A = 1;\nPoints[] ={\n1,nan\n};", Stop(4, "a table holds something else than numbers")),
        (b"A = 1;\nB {\n};", Stop(2, "a line is neither a value nor a block")),
        (b"A = 1;\nB = 3 };", Stop(2, "a value holds a brace")),
        (b"A = 1;\n" + b"B ={\n" * 100, Stop(66, "blocks are nested too deep")),
        (b"A = 1;\nB ={" + b" C = 2;" * 1000, Stop(2, "a line holds far too much")),
    ],
)
def test_a_damaged_text_is_read_up_to_a_line_that_is_named(data, stop):
    """Where a brace may be lost, what comes behind could land in the wrong block, so reading stops."""
    parsed = text.parse(data)
    assert parsed.stop == stop
    assert parsed.content.number("A") == 1
    assert not parsed.content.whole


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"?? what ??", "a line is neither a value nor a block"),
        (b'B = "lost', "a quoted text does not end"),
    ],
)
def test_a_line_that_cannot_be_read_is_passed_over_and_its_blocks_are_not_whole(line, reason):
    """What stands around the line is read."""
    parsed = text.parse(b"X ={\n A = 1;\n" + line + b"\n C = 3;\n};\nY ={\n D = 4;\n};")
    assert (parsed.stop, parsed.flaws) == (None, (Stop(3, reason),))
    assert list(parsed.content.block("X")) == [("A", "1"), ("C", "3")]
    assert (parsed.content.block("X").whole, parsed.content.block("Y").whole) == (False, True)


def test_a_text_of_noise_is_given_up_soon():
    """Twenty lines are passed over, no more."""
    parsed = text.parse(b"A = 1;\n" + b"noise\n" * 1000)
    assert (len(parsed.flaws), parsed.stop) == (20, Stop(22, "a line is neither a value nor a block"))


def test_a_text_of_too_many_lines_is_not_read():
    """Memory is bounded."""
    assert text.parse(b"\n" * 4_000_001).stop == Stop(4_000_000, "it has more lines than any plan")


@pytest.mark.parametrize("cut", range(0, len(TRIAL) - 3, 7))
def test_a_text_cut_anywhere_keeps_what_was_read(cut):
    """A cut trial is never whole."""
    parsed = text.parse(TRIAL[:cut])
    trial = parsed.content.block("Trial")
    assert trial is None or not trial.whole


@given(st.binary(max_size=400))
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_content_or_a_stop(data):
    """No error without a name, whatever the bytes."""
    text.parse(data)
    text.header(data)
    rois.parse(data)


@given(
    st.lists(
        st.sampled_from(
            ["A = 1;", "B ={", "};", "}", '"', "/*", "*/", "//", "\\", ";", "=", "Points[] ={", "1,2", "points={", "\n"]
        )
    )
)
@settings(max_examples=150, deadline=None)
def test_any_order_of_the_signs_of_the_format_gives_content_or_a_stop(parts):
    """The format's own signs where they do not belong."""
    data = "\n".join(parts).encode() + b"\n" + " ".join(parts).encode()
    parsed = text.parse(data)
    assert parsed.stop is None or parsed.stop.line <= data.count(b"\n") + 1
    rois.parse(data)


def test_a_header_has_values_and_texts():
    """``key = value;`` and ``key : value`` side by side, empty ones too."""
    head = text.header(
        b"\tbyte_order = 1;\n\tx_pixdim = 0.097656;\r\ndb_name : A^B;C\ndate : \n\tid = 0;\nname : a = b\n"
    )
    assert (head.whole_number("byte_order"), head.number("x_pixdim"), head.text("db_name")) == (1, 0.097656, "A^B;C")
    assert (head.text("date"), head.text("name"), head.number("id")) == (None, "a = b", 0)


ROI = b"""// Region of Interest file
 file_stamp={
    write_version: 16.0
  }; // End of file_stamp
 roi={
           name: Rectum {1}; "b"\\
           author:
           flags =          135168;
           roiinterpretedtype: ORGAN
           color:           inverse_grey
           num_curve = 2;
               curve={
                       flags =       131092;
                       num_points =  2;
points={
-1.5 11.914 2
-.5 1e1 2
 };  // End of points for curve 1
}; // End of curve 1
               curve={
                       flags =       0;
                       num_points =  1;
points={
1 2 3
 };
};
               surface_mesh={
                       number_of_vertices = 1;
                       vertices={
9 9 9
 };  // End of vertices for surface mesh
}; // End of surface_mesh
        }; // End of ROI
"""


def test_regions_are_read_with_their_curves_and_without_their_meshes():
    """The other grammar, of ``plan.roi``."""
    found = rois.parse(ROI)
    (roi,) = found.rois
    assert (found.stopped, found.version) == (None, "16.0")
    assert (roi.name, roi.colour, roi.interpreted_type) == ('Rectum {1}; "b"\\', "inverse_grey", "ORGAN")
    assert [(list(curve.points), curve.flags, curve.whole) for curve in roi.curves] == [
        ([-1.5, 11.914, 2, -0.5, 10, 2], 131092, True),
        ([1, 2, 3], 0, True),
    ]
    assert roi.whole


@pytest.mark.parametrize(
    ("old", "new", "points", "whole"),
    [
        (b"-.5 1e1 2", b"-.5 1e1", [-1.5, 11.914, 2], False),
        (b"-.5 1e1 2", b"-.5 x 2", [-1.5, 11.914, 2], False),
        (b"-.5 1e1 2", b"-.5 nan 2", [-1.5, 11.914, 2], False),
        (b"num_points =  2", b"num_points =  3", [-1.5, 11.914, 2, -0.5, 10, 2], False),
        (b"num_points =  2;", b"", [-1.5, 11.914, 2, -0.5, 10, 2], True),
    ],
)
def test_a_curve_that_lacks_points_says_so(old, new, points, whole):
    """A point that is none ends its curve; the others are as they were."""
    (roi,) = rois.parse(ROI.replace(old, new)).rois
    assert (list(roi.curves[0].points), roi.curves[0].whole) == (points, whole)
    assert roi.curves[1].whole and roi.whole


def test_a_region_that_lacks_curves_says_so():
    """It tells how many it has."""
    (roi,) = rois.parse(ROI.replace(b"num_curve = 2", b"num_curve = 3")).rois
    assert not roi.whole


@pytest.mark.parametrize("cut", range(110, len(ROI) - 30, 13))
def test_regions_cut_anywhere_keep_what_was_read_and_are_not_whole(cut):
    """The line where the text ends is named."""
    found = rois.parse(ROI[:cut])
    assert found.stopped == ROI[:cut].count(b"\n") + 1
    assert not any(roi.whole for roi in found.rois)
