"""From wire bytes to Part-10 files and back."""

import io
import struct
import zlib

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from qa_fetch import part10
from qa_fetch.errors import BadArchive
from qa_fetch.part10 import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Identity

JPEG = "1.2.840.10008.1.2.4.50"
UNCOMPRESSED = [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED]
RT_IMAGE = "1.2.840.10008.5.1.4.1.1.481.1"
IDENTITY = Identity(RT_IMAGE, "1.2.3.4", "1.2.3", "1.2.3.9")
CUT = "an object is cut short: it ends in the middle of an element. Fetch or export it again."
NAMELESS = "an object has no SOP Class or SOP Instance UID. Export it again from its source."
UNPACKED = "an object's deflated data cannot be unpacked. Fetch or export it again."


def rt_image(pixels=True) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = RT_IMAGE, "1.2.3.4"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.9"
    dataset.Modality, dataset.PatientName = "RTIMAGE", "Doe^J"
    item, inner = Dataset(), Dataset()
    inner.ReferencedSOPInstanceUID = "9.9"
    item.ReferencedSOPInstanceUID, item.ReferencedSOPSequence = "1.2.5", [inner]
    dataset.ReferencedRTPlanSequence = [item, Dataset()]
    dataset.PixelRepresentation, dataset.SamplesPerPixel = 0, 1
    dataset.Rows = dataset.Columns = 2
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.SmallestImagePixelValue = 513
    if pixels:
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.PixelData = b"\1\2\3\4\5\6\7\x08"
    return dataset


class Bytes:
    """Encoded elements written by hand, in any of the encodings, for what pydicom would not write."""

    def __init__(self, syntax):
        self.syntax = syntax
        self.order = ">" if syntax == EXPLICIT_BIG else "<"

    def element(self, group, number, vr, value, length=None, explicit=None):
        length = len(value) if length is None else length
        head = struct.pack(self.order + "HH", group, number)
        if (self.syntax == IMPLICIT_LITTLE) if explicit is None else not explicit:
            return head + struct.pack(self.order + "L", length) + value
        if vr in (b"SQ", b"OB", b"OW", b"UN", b"UT"):
            return head + vr + struct.pack(self.order + "HL", 0, length) + value
        return head + vr + struct.pack(self.order + "H", length) + value

    def item(self, content, undefined=True):
        length = 0xFFFFFFFF if undefined else len(content)
        start = struct.pack(self.order + "HHL", 0xFFFE, 0xE000, length)
        return start + content + (struct.pack(self.order + "HHL", 0xFFFE, 0xE00D, 0) if undefined else b"")

    def sequence(self, *items, vr=b"SQ", tag=(0x300C, 0x0002)):
        end = struct.pack(self.order + "HHL", 0xFFFE, 0xE0DD, 0)
        return self.element(*tag, vr, b"".join(items) + end, 0xFFFFFFFF)

    def identity(self):
        return self.element(8, 0x16, b"UI", RT_IMAGE.encode() + b"\0") + self.element(8, 0x18, b"UI", b"1.2.3.4\0")


def nested(bytes_, depth):
    content = b""
    for _ in range(depth):
        content = bytes_.sequence(bytes_.item(content))
    return bytes_.identity() + content


def borders(dataset: Dataset, syntax: str) -> set:
    """Where one element of the top level ends and the next begins: there a cut cannot be seen."""
    found, part = set(), Dataset()
    for element in dataset:
        part.add(element)
        found.add(len(part10.encode(part, syntax)))
    return found


def refusal(call, *arguments, **keywords) -> str:
    with pytest.raises(BadArchive) as caught:
        call(*arguments, **keywords)
    return str(caught.value)


# Walking


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_an_object_says_what_it_is_in_every_uncompressed_syntax(syntax):
    """Class, instance, study and series are read without pydicom."""
    assert part10.check(part10.encode(rt_image(), syntax), syntax) == IDENTITY


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG])
def test_a_cut_at_any_byte_is_refused_unless_it_falls_between_two_elements(syntax):
    """Half an object never passes for a whole one, except where DICOM itself cannot tell."""
    dataset = rt_image()
    whole, allowed = part10.encode(dataset, syntax), borders(dataset, syntax)
    passed = set()
    for length in range(len(whole)):
        try:
            part10.check(whole[:length], syntax)
        except BadArchive as error:
            assert str(error) in (CUT, NAMELESS)
            assert (str(error) == NAMELESS) <= (length == 0 or length in allowed)
        else:
            passed.add(length)
    assert passed <= allowed
    assert passed


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG])
def test_a_cut_inside_nested_sequences_of_undefined_length_is_refused(syntax):
    """Items and delimiters count as the inside of their sequence."""
    write = Bytes(syntax)
    head = write.identity()
    inner = write.sequence(write.item(write.element(8, 0x1155, b"UI", b"1.2\0")), write.item(b"", undefined=False))
    whole = head + write.sequence(write.item(inner), write.item(write.element(8, 0x1155, b"UI", b"1.4\0"), False))
    assert part10.check(whole, syntax).sop_instance == "1.2.3.4"
    for length in range(len(head) + 1, len(whole)):
        assert refusal(part10.check, whole[:length], syntax) == CUT


def test_a_cut_at_any_byte_of_deflated_data_is_refused():
    """A packed stream knows its own end."""
    whole = part10.encode(rt_image(), DEFLATED)
    stream_ends = len(whole) - (1 if len(whole) % 2 == 0 and whole[-1] == 0 else 0)
    for length in range(stream_ends - 1):
        assert refusal(part10.check, whole[:length], DEFLATED) == UNPACKED


def test_deflated_bytes_that_hold_a_cut_object_are_refused():
    """Packing does not hide what is missing."""
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(part10.encode(rt_image(), EXPLICIT_LITTLE)[:-1]) + packer.flush()
    assert refusal(part10.check, packed, DEFLATED) == CUT


@pytest.mark.parametrize(
    "fragments", [[], [b""], [b"", b"\xff\xd8\xff\xd9"], [b"1234" * 9, b"ab", b"\xfe\xff\xdd\xe0"]]
)
def test_compressed_pixels_are_stepped_over_fragment_by_fragment(fragments):
    """A fragment may hold bytes that look like a delimiter."""
    write = Bytes(EXPLICIT_LITTLE)
    pixels = write.sequence(*(write.item(part, False) for part in fragments), vr=b"OB", tag=(0x7FE0, 0x0010))
    after = write.element(0xFFFC, 0xFFFC, b"OB", b"\0\0")
    data = write.identity() + pixels + after
    assert part10.check(data, JPEG).sop_instance == "1.2.3.4"
    for length in range(len(write.identity()) + 1, len(data) - len(after)):
        assert refusal(part10.check, data[:length], JPEG) == CUT


@pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE, EXPLICIT_BIG])
def test_an_unknown_element_of_undefined_length_holds_implicit_little_endian(syntax):
    """PS3.5 6.2.2: whatever surrounds it."""
    write, inside = Bytes(syntax), Bytes(IMPLICIT_LITTLE)
    content = inside.item(inside.element(8, 0x1155, b"", b"1.2\0") + inside.sequence(inside.item(b"")))
    end = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    unknown = write.element(0x3287, 0x1000, b"UN", content + end, 0xFFFFFFFF)
    data = write.identity() + unknown + write.element(0x4000, 0x10, b"LO", b"end ")
    assert part10.check(data, syntax).sop_instance == "1.2.3.4"
    if syntax == EXPLICIT_LITTLE:
        read = pydicom.dcmread(io.BytesIO(part10.file_meta(RT_IMAGE, "1.2.3.4", syntax) + data))
        assert str(read[0x4000, 0x0010].value).strip() == "end", "pydicom reads it the same way"


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG])
def test_sequences_nest_64_levels_and_no_deeper(syntax):
    """A bomb of brackets is refused in words, not by Python's recursion limit."""
    write = Bytes(syntax)
    assert part10.check(nested(write, 64), syntax).sop_instance == "1.2.3.4"
    for depth in (65, 5000):
        assert refusal(part10.check, nested(write, depth), syntax) == (
            "an object nests sequences deeper than 64 levels. Leave it out, or export it again from its source."
        )


def test_rubbish_between_items_is_called_that():
    """It is not a cut, so fetching it again would not help."""
    write = Bytes(EXPLICIT_LITTLE)
    data = write.identity() + write.sequence(write.element(8, 0x60, b"CS", b"CT"))
    assert refusal(part10.check, data, EXPLICIT_LITTLE) == (
        "an object is garbled: something stands between the items of a sequence. Export it again from its source."
    )


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID"])
def test_an_object_without_a_name_is_refused(keyword):
    """Nothing could be kept under it."""
    dataset = rt_image()
    delattr(dataset, keyword)
    assert refusal(part10.check, part10.encode(dataset, IMPLICIT_LITTLE), IMPLICIT_LITTLE) == NAMELESS
    setattr(dataset, keyword, "")
    assert refusal(part10.check, part10.encode(dataset, IMPLICIT_LITTLE), IMPLICIT_LITTLE) == NAMELESS


def test_a_uid_of_an_item_is_not_the_objects_own():
    """Sequences may hold SOP Instance UIDs at any depth."""
    write = Bytes(EXPLICIT_LITTLE)
    item = write.element(8, 0x18, b"UI", b"6.6\0") + write.element(0x20, 0xD, b"UI", b"7.7\0")
    data = write.identity() + write.sequence(write.item(item))
    assert part10.check(data, EXPLICIT_LITTLE) == Identity(RT_IMAGE, "1.2.3.4", "", "")


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED, JPEG])
@given(st.binary(max_size=200))
def test_no_bytes_whatever_make_the_walk_fail_otherwise(syntax, data):
    """Rubbish from the wire ends in BadArchive, or is an object."""
    for bytes_ in (data, Bytes(EXPLICIT_LITTLE).identity() + data):
        try:
            part10.check(bytes_, syntax)
        except BadArchive as error:
            assert str(error).startswith("an object")


# Files


@given(st.binary(max_size=300), st.sampled_from([*UNCOMPRESSED, JPEG]))
def test_what_is_kept_comes_back_byte_for_byte(data, syntax):
    """Whatever the bytes are: a header in front, and split gives back the same."""
    body = Bytes(EXPLICIT_LITTLE).identity() + data
    if syntax == DEFLATED:
        body = b"\2\0\1\0UI" + data  # the worst case: packed bytes that look like an element of group 2
    file = part10.file_meta(RT_IMAGE, "1.2.3.4", syntax) + body
    found = part10.split(file, "x.dcm")
    assert (found.transfer_syntax, bytes(found.dataset)) == (syntax, body)


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_a_kept_object_is_a_file_that_pydicom_reads(syntax):
    """Our header in front of wire bytes is a Part-10 file, and its checked identity is what pydicom sees."""
    data = part10.encode(rt_image(), syntax)
    file = part10.file_meta(RT_IMAGE, "1.2.3.4", syntax) + data
    read = part10.read(io.BytesIO(file))
    assert (read.SOPInstanceUID, read.file_meta.TransferSyntaxUID) == ("1.2.3.4", syntax)
    assert read.file_meta.FileMetaInformationGroupLength == len(file) - len(data) - 144
    assert read.ReferencedRTPlanSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "9.9"
    assert (read.SmallestImagePixelValue, read.PixelData) == (513, rt_image().PixelData)
    assert part10.split(file, "x").identity() == IDENTITY


def test_a_header_is_even_and_survives_a_strange_uid():
    """Peers send UIDs with letters; the header keeps ASCII and even lengths."""
    for uid in ("1.2", "1.2.3", "ä", "", "x" * 200):
        file = part10.file_meta(RT_IMAGE, uid, EXPLICIT_LITTLE)
        assert len(file) % 2 == 0
        assert part10.split(file, "x").transfer_syntax == EXPLICIT_LITTLE
    assert refusal(part10.file_meta, RT_IMAGE, "1" * 70000, EXPLICIT_LITTLE) == (
        "an object has a UID of more than 65534 characters. Leave it out."
    )


@pytest.mark.parametrize("syntax", [*UNCOMPRESSED, JPEG])
def test_a_file_cut_at_any_byte_is_refused_unless_it_falls_between_two_elements(syntax):
    """The header too; every refusal is one of five sentences."""
    body = part10.encode(rt_image(pixels=False), EXPLICIT_LITTLE if syntax == JPEG else syntax)
    head = part10.file_meta(RT_IMAGE, "1.2.3.4", syntax)
    allowed = borders(rt_image(pixels=False), EXPLICIT_LITTLE if syntax == JPEG else syntax)
    sentences = {
        "x.dcm is not a DICOM Part-10 file. Leave it out, or convert it first.",
        "x.dcm is cut short in its file header. Fetch or export it again.",
        "x.dcm does not say its transfer syntax. Export it again from its source.",
        *(NAMELESS, CUT, UNPACKED),
    }
    for length in range(len(head) + len(body) - 2):
        try:
            part10.split((head + body)[:length], "x.dcm").identity()
        except BadArchive as error:
            assert str(error) in sentences
        else:
            assert length - len(head) in allowed and syntax != DEFLATED


def test_a_file_that_is_not_dicom_is_called_that(tmp_path):
    """A text file in the folder of an export."""
    assert refusal(part10.split, b"hello", "readme.txt") == (
        "readme.txt is not a DICOM Part-10 file. Leave it out, or convert it first."
    )
    path = tmp_path / "readme.txt"
    path.write_text("hello" * 100)
    assert refusal(part10.read, path) == ("readme.txt is not a readable DICOM file. Leave it out, or fetch it again.")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("syntax", UNCOMPRESSED)
@settings(max_examples=150)
@given(cut=st.integers(0, 700), at=st.integers(128, 699), byte=st.integers(0, 255))
def test_a_damaged_file_is_read_or_refused_and_nothing_else(syntax, cut, at, byte):
    """pydicom raises a dozen sorts of errors on damaged files; callers meet one."""
    buffer = io.BytesIO()
    part10.write(rt_image(), buffer, syntax)
    damaged = bytearray(buffer.getvalue())
    if at < len(damaged):
        damaged[at] = byte
    for data in (bytes(damaged), bytes(damaged[:cut])):
        try:
            part10.read(io.BytesIO(data), headers_only=True, keywords=["SOPInstanceUID", "ImageType"])
            part10.read(io.BytesIO(data))
        except BadArchive as error:
            assert str(error) == "the data is not a readable DICOM file. Leave it out, or fetch it again."


def test_a_header_is_read_without_pixels_and_with_chosen_keywords(tmp_path):
    """Reading many headers reads little."""
    path = tmp_path / "a.dcm"
    part10.write(rt_image(), path)
    assert "PixelData" not in part10.read(path, headers_only=True)
    few = part10.read(path, headers_only=True, keywords=["SOPInstanceUID"])
    assert (few.SOPInstanceUID, "Modality" in few) == ("1.2.3.4", False)


def test_a_file_that_is_not_there_is_not_a_bad_archive(tmp_path):
    """It was pruned or unplugged; the caller decides what that means."""
    with pytest.raises(FileNotFoundError):
        part10.read(tmp_path / "gone.dcm")


# Writing and encoding


@pytest.mark.parametrize("source", [None, *UNCOMPRESSED])
@pytest.mark.parametrize("target", UNCOMPRESSED)
@pytest.mark.parametrize("route", ["write", "encode"])
def test_an_object_changes_its_syntax_without_changing_its_values(source, target, route):
    """From fresh, or read from any syntax, to any other, at the top and inside items."""
    dataset = rt_image(pixels=False)
    dataset.ReferencedRTPlanSequence[0].Rows = 258
    if source is not None:
        buffer = io.BytesIO()
        part10.write(dataset, buffer, source)
        dataset = part10.read(io.BytesIO(buffer.getvalue()))
    if route == "write":
        buffer = io.BytesIO()
        part10.write(dataset, buffer, target)
        file = buffer.getvalue()
    else:
        file = part10.file_meta(RT_IMAGE, "1.2.3.4", target) + part10.encode(dataset, target)
    assert part10.split(file, "x").identity() == IDENTITY
    again = part10.read(io.BytesIO(file))
    assert (again.Rows, again.SmallestImagePixelValue, again.PatientName) == (2, 513, "Doe^J")
    assert again.ReferencedRTPlanSequence[0].Rows == 258


@pytest.mark.parametrize(("source", "target"), [(EXPLICIT_BIG, EXPLICIT_LITTLE), (IMPLICIT_LITTLE, EXPLICIT_BIG)])
def test_pixels_are_never_copied_into_the_other_byte_order(source, target):
    """pydicom would copy the words as they are, and every pixel would silently change its value."""
    buffer = io.BytesIO()
    part10.write(rt_image(), buffer, source)
    dataset = part10.read(io.BytesIO(buffer.getvalue()))
    sentence = (
        "an object's pixels cannot be turned from one byte order into the other. "
        "Convert the file to Explicit VR Little Endian first (DCMTK: dcmconv +te)."
    )
    assert refusal(part10.encode, dataset, target) == sentence
    assert refusal(part10.write, dataset, io.BytesIO(), target) == sentence
    assert part10.check(part10.encode(dataset, source), source) == IDENTITY


def test_encoding_leaves_the_data_set_as_it_was():
    """pydicom 2 would keep the last encoding on it, and a later save would go wrong."""
    buffer = io.BytesIO()
    part10.write(rt_image(), buffer, EXPLICIT_LITTLE)
    dataset = part10.read(io.BytesIO(buffer.getvalue()))
    part10.encode(dataset, IMPLICIT_LITTLE)
    again = io.BytesIO()
    pydicom.dcmwrite(again, dataset)
    assert part10.split(again.getvalue(), "x").identity() == IDENTITY
    assert part10.read(io.BytesIO(again.getvalue())).Rows == 2


def test_a_written_file_says_who_wrote_it(tmp_path):
    """Group 2 carries class, instance, syntax and our implementation."""
    part10.write(rt_image(), tmp_path / "a.dcm")
    meta = part10.read(tmp_path / "a.dcm").file_meta
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (RT_IMAGE, "1.2.3.4")
    assert (meta.TransferSyntaxUID, meta.ImplementationVersionName) == (EXPLICIT_LITTLE, "QA_FETCH")
    assert meta.ImplementationClassUID == part10.IMPLEMENTATION_UID


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126, blacklist_characters="\\"), max_size=16)
NUMBERS = st.integers(0, 65535)


@settings(max_examples=60)
@given(st.lists(st.tuples(TEXT.map(str.strip), NUMBERS), max_size=4), st.sampled_from(UNCOMPRESSED))
def test_any_object_survives_the_way_out_and_back(items, syntax):
    """Texts, numbers and items are what they were, in every syntax."""
    dataset = rt_image(pixels=False)
    dataset.ReferencedRTPlanSequence = []
    for text, number in items:
        item = Dataset()
        item.RTPlanLabel, item.Rows = text, number
        dataset.ReferencedRTPlanSequence.append(item)
    data = part10.encode(dataset, syntax)
    assert part10.check(data, syntax) == IDENTITY
    read = part10.read(io.BytesIO(part10.file_meta(RT_IMAGE, "1.2.3.4", syntax) + data))
    assert [(item.RTPlanLabel or "", item.Rows) for item in read.ReferencedRTPlanSequence] == items


# Names of files


@pytest.mark.parametrize("uid", ["1.2.840.10008", "0", "1" * 64])
def test_a_uid_names_its_own_file(uid):
    """Whoever looks into the shelf finds the UID."""
    assert part10.file_stem(uid) == uid


@pytest.mark.parametrize(
    "uid",
    ["", "../../x", "1.2/3", "1.2\\3", "C:1", "1.2.", ".1", "1..2", "1" * 65, "1.2\n", "1.2\0", "٣.٤", "\ud800", "CON"],
)
def test_what_is_no_uid_never_becomes_a_path(uid):
    """A peer must not choose where we write."""
    stem = part10.file_stem(uid)
    assert stem.startswith("x-")
    assert stem[2:].isalnum()
    assert len(stem) == 42


@given(st.lists(st.text(), unique=True, max_size=20))
def test_different_uids_never_share_a_file(uids):
    """Also when they are no UIDs at all."""
    assert len({part10.file_stem(uid) for uid in uids}) == len(uids)


@pytest.mark.parametrize("value", ["1.2.3", "1.2.3\0", " 1.2.3 ", "1.2.3\0\0 "])
def test_padding_is_not_part_of_a_uid(value):
    """Peers pad with NULs as the standard says, or with spaces."""
    assert part10.clean_uid(value) == "1.2.3"
