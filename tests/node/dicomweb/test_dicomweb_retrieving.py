"""WADO-RS: whole objects, metadata, frames, long values and pictures, and what is said when there are none."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import node_client as client
import node_objects as objects
import pydicom
import pytest
from dicomweb_asking import ANY_SYNTAX, FRAMES, Answer, address, ask

from qa_fetch import part10
from qa_fetch.node import NodeOptions, NodeProcess
from qa_fetch.node.options import Web

pytestmark = pytest.mark.node

IMAGE = address(objects.uid(1, 1), objects.uid(1, 1, 2), objects.uid(1, 1, 2, 1))
SERIES = address(objects.uid(1, 1), objects.uid(1, 1, 2))


def _of_qa3(series: int) -> str:
    return address(objects.uid(3, 1), objects.uid(3, 1, series), objects.uid(3, 1, series, 1))


def _file(web: NodeProcess, uid: str) -> bytes:
    (path,) = (web.options.data / "objects").rglob(f"{uid}.dcm")
    return Path(path).read_bytes()


def _get(web: NodeProcess, path: str, accept: str = "") -> Answer:
    return ask(web.web_port, path, **({"Accept": accept} if accept else {}))


# Whole objects


@pytest.mark.parametrize("accept", ["", "*/*", "multipart/related", ANY_SYNTAX, 'multipart/*; type="application/*"'])
def test_a_series_comes_as_its_files(web: NodeProcess, accept: str) -> None:
    """Every object as it is stored, byte for byte, and the length of it all is said first."""
    answer = _get(web, SERIES, accept)
    assert (answer.status, int(answer.headers["Content-Length"])) == (200, len(answer.body))
    kind = f"application/dicom; transfer-syntax={part10.EXPLICIT_LITTLE}"
    assert answer.parts == [(kind, _file(web, objects.uid(1, 1, 2, number))) for number in (1, 2, 3)]


def test_a_study_and_a_single_object_come_too(web: NodeProcess) -> None:
    """Four objects, and one: as a part, or by itself where that is wanted more."""
    assert len(_get(web, address(objects.uid(1, 1))).parts) == 4
    file = _file(web, objects.uid(1, 1, 2, 1))
    assert [body for _, body in _get(web, IMAGE).parts] == [file]
    alone = _get(web, IMAGE, "application/dicom, multipart/related;q=0.5")
    assert (alone.headers["Content-Type"], alone.body) == ("application/dicom", file)


@pytest.mark.parametrize("series", [2, 3, 5])
def test_an_object_comes_as_it_is_stored_unless_it_is_asked_for_in_another_way(web: NodeProcess, series: int) -> None:
    """Implicit, deflated and compressed objects stay what they are."""
    uid = objects.uid(3, 1, series, 1)
    assert [body for _, body in _get(web, _of_qa3(series), ANY_SYNTAX).parts] == [_file(web, uid)]


@pytest.mark.parametrize("series", [2, 3, 4])
def test_plain_objects_are_turned_into_explicit_little_endian_where_that_is_asked_for(
    web: NodeProcess, series: int
) -> None:
    """The values are the same, in another encoding and with a file header that says so."""
    asked = f'multipart/related; type="application/dicom"; transfer-syntax={part10.EXPLICIT_LITTLE}'
    ((kind, body),) = _get(web, _of_qa3(series), asked).parts
    assert kind == f"application/dicom; transfer-syntax={part10.EXPLICIT_LITTLE}"
    turned, stored = (pydicom.dcmread(io.BytesIO(each)) for each in (body, _file(web, objects.uid(3, 1, series, 1))))
    assert turned.file_meta.TransferSyntaxUID == part10.EXPLICIT_LITTLE
    assert turned.PixelData == stored.PixelData
    assert turned.to_json_dict() == stored.to_json_dict()
    alone = _get(web, _of_qa3(series), f"application/dicom; transfer-syntax={part10.EXPLICIT_LITTLE}")
    assert alone.body == body


def test_a_compressed_object_is_not_decompressed(web: NodeProcess) -> None:
    """406 says how to get it, even where other objects of the study could be had."""
    asked = f'multipart/related; type="application/dicom"; transfer-syntax={part10.EXPLICIT_LITTLE}'
    for path in (_of_qa3(5), address(objects.uid(3, 1))):
        refused = _get(web, path, asked)
        assert (refused.status, refused.error) == (
            406,
            "an object is stored in a transfer syntax that is not accepted, and is not turned into another one. "
            "Accept it with transfer-syntax=*.",
        )
    both = f"{asked}, multipart/related; type=application/dicom; transfer-syntax={objects.JPEG_2000}"
    assert len(_get(web, address(objects.uid(3, 1)), both).parts) == 4


def test_objects_are_dicom_files_only(web: NodeProcess) -> None:
    """What no object can be sent as is refused with what can."""
    refused = _get(web, SERIES, "image/jpeg")
    assert (refused.status, refused.error) == (
        406,
        'objects are sent as DICOM files only. Accept multipart/related; type="application/dicom"; transfer-syntax=*.',
    )


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        (address("1.2.3"), "this node holds no study with this UID. Search for it first."),
        (address(objects.uid(1, 1), "1.2.3"), "this node holds no series with this UID. Search for it first."),
        (f"{SERIES}/instances/1.2.3", "this node holds no object with this UID. Search for it first."),
        (f"{SERIES}/instances/1.2.3/metadata", "this node holds no object with this UID. Search for it first."),
        (f"{SERIES}/instances/1.2.3/frames/1", "this node holds no object with this UID. Search for it first."),
        (f"{SERIES}/instances/1.2.3/rendered", "this node holds no object with this UID. Search for it first."),
        (
            address(objects.uid(1, 2), objects.uid(1, 1, 2), objects.uid(1, 1, 2, 1)),
            "this node holds no object with this UID. Search for it first.",
        ),
        ("/patients", "this is no address of the node's DICOMweb services. Look it up in DICOM PS3.18."),
        ("/", "this is no address of the node's DICOMweb services. Look it up in DICOM PS3.18."),
        (f"{IMAGE}/frames/2", "this object has no such frame. Ask for frames from 1 to 1."),
        (f"{IMAGE}/frames/0", "this object has no such frame. Ask for frames from 1 to 1."),
        (
            f"{address(objects.uid(1, 1), objects.uid(1, 1, 1), objects.uid(1, 1, 1, 1))}/frames/1",
            "this object has no frames. Fetch its metadata.",
        ),
        (
            f"{IMAGE}/bulkdata/00091010",
            "this object has no such value. The addresses of its values stand in its metadata.",
        ),
    ],
)
def test_what_is_not_there_is_said_to_be_missing(web: NodeProcess, path: str, sentence: str) -> None:
    """404 and a sentence."""
    answer = _get(web, path)
    assert (answer.status, answer.error) == (404, sentence)


def test_a_head_says_the_length_and_nothing_else(web: NodeProcess) -> None:
    """The connection can be used for the next request."""
    for path in (SERIES, f"{IMAGE}/metadata", "/studies"):
        answer = ask(web.web_port, path, "HEAD")
        assert (answer.status, answer.body) == (200, b"")
        assert int(answer.headers["Content-Length"]) == len(_get(web, path).body)


def test_an_object_whose_file_is_gone_is_no_half_answer(tmp_path: Path) -> None:
    """The index knows it, the disk does not: nothing is sent, and it is said what to do."""
    with NodeProcess(NodeOptions(tmp_path / "node", port=0, web=Web(port=0))) as running:
        assert client.store(running.port, *(objects.image(number=number) for number in (1, 2))) == [0, 0]
        (path,) = (tmp_path / "node" / "objects").rglob(f"{objects.uid(1, 1, 2, 2)}.dcm")
        path.unlink()
        for where in (SERIES, f"{SERIES}/instances/{objects.uid(1, 1, 2, 2)}/frames/1"):
            answer = ask(running.web_port, where)
            assert (answer.status, answer.error) == (
                500,
                "the file of an object cannot be read. Run on the node: qa-fetch node data verify",
            )
        assert len(ask(running.web_port, f"{SERIES}/instances/{objects.uid(1, 1, 2, 1)}").parts) == 1


# Metadata and long values


def test_metadata_are_the_object_without_its_pixels(web: NodeProcess) -> None:
    """pydicom makes the same data set of them, and fetches the pixels from where they are said to be."""
    (told,) = _get(web, f"{IMAGE}/metadata").json
    assert told["00083002"]["Value"] == [part10.EXPLICIT_LITTLE]
    fetched: list[str] = []

    def pixels(tag: str, vr: str, uri: str) -> bytes:
        fetched.append(uri.split("/dicom-web", 1)[1])
        ((_, body),) = _get(web, fetched[-1], 'multipart/related; type="application/octet-stream"').parts
        return body

    made = pydicom.Dataset.from_json({tag: told[tag] for tag in told if tag != "00083002"}, pixels)
    assert fetched == [f"{IMAGE}/bulkdata/7FE00010"]
    assert made == pydicom.dcmread(io.BytesIO(_file(web, objects.uid(1, 1, 2, 1))))


@pytest.mark.parametrize("series", [2, 3, 4, 5])
def test_metadata_do_not_depend_on_the_encoding(web: NodeProcess, series: int) -> None:
    """Implicit, deflated, plain and compressed: the same attributes."""
    (told,) = _get(web, f"{_of_qa3(series)}/metadata").json
    assert (told["300A011E"]["Value"], told["00280010"]) == ([0.0], {"vr": "US", "Value": [4]})
    assert told["300C0002"]["Value"][0]["00081155"]["Value"] == [objects.uid(3, 1, 1, 1)]
    assert told["7FE00010"]["BulkDataURI"].endswith(f"{_of_qa3(series)}/bulkdata/7FE00010")


def test_metadata_of_a_study_tell_of_every_object(web: NodeProcess) -> None:
    """In the order in which they were stored."""
    told = _get(web, f"{address(objects.uid(1, 1))}/metadata").json
    assert [row["00080018"]["Value"][0] for row in told] == [
        objects.uid(1, 1, 1, 1),
        *(objects.uid(1, 1, 2, number) for number in (1, 2, 3)),
    ]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A node with an object that has long values in a sequence, numbers that are none, and a name in three scripts."""
    values = {
        "PatientName": "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce=\u3084\u307e\u3060^\u305f\u308d\u3046",
        "SpecificCharacterSet": "ISO_IR 192",
        "ReferencedImageSequence": [objects.item(ReferencedFileID="A", EncapsulatedDocument=bytes(range(256)) * 8)],
        "RTImagePosition": ["1.5", "-2"],
    }
    dataset = objects.image(4, 1, 2, 1, **values)
    data = objects.encoded(dataset)
    number = data.index(b"\x02\x30\x12\x00DS")
    length = struct.unpack_from("<H", data, number + 6)[0]
    data = data[: number + 8] + b"NaN\\x".ljust(length) + data[number + 8 + length :]
    folder = tmp_path_factory.mktemp("odd")
    with NodeProcess(NodeOptions(folder / "node", port=0, web=Web(port=0))) as running:
        assert client.store_bytes(running.port, objects.RTIMAGE, str(dataset.SOPInstanceUID), data) == 0
        yield running


def test_a_long_value_in_a_sequence_has_an_address_of_its_own(odd: NodeProcess) -> None:
    """The numbers of the items stand between the tags."""
    where = address(objects.uid(4, 1), objects.uid(4, 1, 2), objects.uid(4, 1, 2, 1))
    (told,) = ask(odd.web_port, f"{where}/metadata").json
    value = told["00081140"]["Value"][0]["00420011"]
    assert value["vr"] == "OB"
    path = value["BulkDataURI"].split("/dicom-web", 1)[1]
    assert path == f"{where}/bulkdata/00081140/1/00420011"
    assert ask(odd.web_port, path, Accept="application/octet-stream").body == bytes(range(256)) * 8
    for wrong in ("00081140/2/00420011", "00081140/1/00080018", "00081140", "00081140/x/1", "../../etc/passwd"):
        assert ask(odd.web_port, f"{where}/bulkdata/{wrong}").status == 404


def test_odd_values_do_not_spoil_the_others(odd: NodeProcess) -> None:
    """JSON knows no NaN; a text that is no number says nothing; a name has its three groups."""
    where = address(objects.uid(4, 1), objects.uid(4, 1, 2), objects.uid(4, 1, 2, 1))
    (told,) = ask(odd.web_port, f"{where}/metadata").json
    assert "30020012" not in told
    assert told["00100010"]["Value"] == [
        {
            "Alphabetic": "Yamada^Tarou",
            "Ideographic": "\u5c71\u7530^\u592a\u90ce",
            "Phonetic": "\u3084\u307e\u3060^\u305f\u308d\u3046",
        }
    ]


# Frames


def test_frames_are_cut_out_of_plain_pixels(web: NodeProcess) -> None:
    """In the order in which they are asked for, as raw bytes."""
    answer = _get(web, f"{_of_qa3(4)}/frames/3,1", 'multipart/related; type="application/octet-stream"')
    kind = f"application/octet-stream; transfer-syntax={part10.EXPLICIT_LITTLE}"
    assert answer.parts == [(kind, bytes(range(64, 96))), (kind, bytes(range(32)))]
    assert _get(web, f"{_of_qa3(4)}/frames/2", "application/octet-stream").body == bytes(range(32, 64))


@pytest.mark.parametrize("series", [2, 3])
def test_frames_of_implicit_and_deflated_objects_are_the_same(web: NodeProcess, series: int) -> None:
    """What is sent are the pixels, not their encoding."""
    assert [body for _, body in _get(web, f"{_of_qa3(series)}/frames/1").parts] == [bytes(range(32))]


@pytest.mark.parametrize(
    "accept",
    [
        "",
        'multipart/related; type="image/jp2"',
        f'multipart/related; type="image/jp2"; transfer-syntax={objects.JPEG_2000}',
        "multipart/related; type=application/octet-stream; transfer-syntax=*",
    ],
)
def test_compressed_frames_come_as_they_are_stored(web: NodeProcess, accept: str) -> None:
    """A frame of several fragments is put together."""
    kind = f"image/jp2; transfer-syntax={objects.JPEG_2000}"
    assert _get(web, f"{_of_qa3(5)}/frames/1,2", accept).parts == [(kind, FRAMES[0]), (kind, FRAMES[1])]
    assert _get(web, f"{_of_qa3(5)}/bulkdata/7FE00010", accept).parts == [(kind, FRAMES[0]), (kind, FRAMES[1])]


def test_compressed_frames_are_not_decompressed(web: NodeProcess) -> None:
    """Who wants raw octets is told what there is."""
    refused = _get(web, f"{_of_qa3(5)}/frames/1", 'multipart/related; type="application/octet-stream"')
    assert (refused.status, refused.error) == (
        406,
        'these values are sent as they are stored only. Accept multipart/related; type="image/jp2".',
    )


@pytest.mark.parametrize("numbers", ["x", "1,", "1,,2", "-1", "1-2", "1;2", "%20", "9" * 30])
def test_frames_are_asked_for_by_number(web: NodeProcess, numbers: str) -> None:
    """Anything else is refused."""
    answer = _get(web, f"{IMAGE}/frames/{numbers}")
    assert (answer.status, answer.error) == (400, "frames are asked for as numbers from 1, separated by commas.")


# Pictures


def _png_size(data: bytes) -> tuple[int, int]:
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">LL", data[16:24])
    return int(width), int(height)


@pytest.mark.parametrize(
    ("path", "size"),
    [
        (f"{IMAGE}/rendered", (4, 4)),
        (f"{IMAGE}/rendered?viewport=2,3", (2, 2)),
        (f"{IMAGE}/rendered?window=10,20,LINEAR", (4, 4)),
        (f"{IMAGE}/frames/1/rendered", (4, 4)),
        (f"{_of_qa3(4)}/frames/3/rendered", (4, 4)),
        (f"{IMAGE}/thumbnail", (4, 4)),
        (f"{IMAGE}/thumbnail?viewport=3,3", (3, 3)),
        (f"{_of_qa3(4)}/frames/2/thumbnail", (4, 4)),
        (f"{SERIES}/thumbnail", (4, 4)),
        (f"{address(objects.uid(1, 1))}/thumbnail", (4, 4)),
    ],
)
def test_pictures_are_png(web: NodeProcess, path: str, size: tuple[int, int]) -> None:
    """Of an object, of a frame, and of what stands for a series or a study."""
    for accept in ("", "image/*", "image/jpeg;q=0.4, image/png"):
        answer = _get(web, path, accept)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/png")
        assert _png_size(answer.body) == size


PLAN = address(objects.uid(1, 1), objects.uid(1, 1, 1), objects.uid(1, 1, 1, 1))


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        (f"{PLAN}/rendered", 406, "this object cannot be drawn: it has no pixels."),
        (f"{PLAN}/thumbnail", 406, "this object cannot be drawn: it has no pixels."),
        (
            f"{IMAGE}/frames/2/rendered",
            406,
            "this object cannot be drawn: it has no frame with this number. Ask for one from 1 to 1.",
        ),
        (f"{IMAGE}/frames/1,2/rendered", 400, "a picture shows one frame. Ask for it by one number from 1."),
        (
            f"{IMAGE}/rendered?window=1,0",
            400,
            "window is a centre and a width above 0, such as 40,400,LINEAR.",
        ),
        (f"{IMAGE}/rendered?window=nan,1", 400, "window is a centre and a width above 0, such as 40,400,LINEAR."),
        (f"{IMAGE}/rendered?viewport=x", 400, "viewport is a width and a height in pixels, such as 512,512."),
    ],
)
def test_what_cannot_be_drawn_is_refused(web: NodeProcess, path: str, status: int, sentence: str) -> None:
    """With what is wrong."""
    answer = _get(web, path)
    assert (answer.status, answer.error) == (status, sentence)


def test_pictures_are_png_only(web: NodeProcess) -> None:
    """JPEG is not made here."""
    answer = _get(web, f"{IMAGE}/rendered", "image/jpeg")
    assert (answer.status, answer.error) == (406, "pictures are sent as PNG only. Accept image/png.")
