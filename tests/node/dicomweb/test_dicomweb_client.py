"""PyPI's dicomweb-client, as scripts use it, against the node."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import node_objects as objects
import pydicom
import pytest
from dicomweb_asking import FRAMES
from dicomweb_client import DICOMwebClient
from requests import HTTPError, Session

from qa_fetch import part10
from qa_fetch.node import NodeProcess

pytestmark = pytest.mark.node

PLACE = (objects.uid(1, 1), objects.uid(1, 1, 2), objects.uid(1, 1, 2, 1))
PACKED = (objects.uid(3, 1), objects.uid(3, 1, 5), objects.uid(3, 1, 5, 1))


@contextmanager
def _client(node: NodeProcess) -> Iterator[Any]:
    with Session() as session:
        yield DICOMwebClient(f"http://127.0.0.1:{node.web_port}/dicom-web", session=session)


@pytest.fixture
def asking(web: NodeProcess) -> Iterator[Any]:
    """A client of the node that is read from."""
    with _client(web) as client:
        yield client


@pytest.fixture
def storing(taking: NodeProcess) -> Iterator[Any]:
    """A client of the node that is stored to."""
    with _client(taking) as client:
        yield client


def _held(node: NodeProcess, uid: str) -> Any:
    (path,) = (node.options.data / "objects").rglob(f"{uid}.dcm")
    return pydicom.dcmread(Path(path))


def test_it_searches_at_every_level(asking: Any) -> None:
    """Filters, fields, pages, and all the pages together."""
    studies = asking.search_for_studies(search_filters={"PatientID": "QA1"}, fields=["StudyDescription"])
    assert [pydicom.Dataset.from_json(each).StudyInstanceUID for each in studies] == [PLACE[0], objects.uid(1, 2)]
    assert len(asking.search_for_studies(limit=1, offset=1)) == 1
    assert len(asking.search_for_studies(limit=1, get_remaining=True)) == 4
    assert asking.search_for_studies(search_filters={"PatientID": "NOBODY"}) == []
    series = asking.search_for_series(PLACE[0], search_filters={"Modality": "RTIMAGE"})
    assert [pydicom.Dataset.from_json(each).NumberOfSeriesRelatedInstances for each in series] == [3]
    images = asking.search_for_instances(*PLACE[:2], fields=["RTImageLabel"])
    assert [pydicom.Dataset.from_json(each).RTImageLabel for each in images] == ["G1", "G2", "G3"]


def test_it_retrieves_whole_objects(web: NodeProcess, asking: Any) -> None:
    """A study, a series as it streams in, one object, and a compressed one."""
    assert len(asking.retrieve_study(PLACE[0])) == 4
    streamed = list(asking.iter_series(*PLACE[:2]))
    assert [each.SOPInstanceUID for each in streamed] == [objects.uid(1, 1, 2, number) for number in (1, 2, 3)]
    assert asking.retrieve_instance(*PLACE) == _held(web, PLACE[2])
    kinds = (("application/dicom", "*"),)
    assert asking.retrieve_instance(*PACKED, media_types=kinds) == _held(web, PACKED[2])
    turned = asking.retrieve_instance(
        objects.uid(3, 1),
        objects.uid(3, 1, 2),
        objects.uid(3, 1, 2, 1),
        media_types=(("application/dicom", part10.EXPLICIT_LITTLE),),
    )
    assert turned.file_meta.TransferSyntaxUID == part10.EXPLICIT_LITTLE


def test_it_retrieves_metadata_and_what_they_point_to(web: NodeProcess, asking: Any) -> None:
    """The pixels come from the address that stands in the metadata."""
    assert len(asking.retrieve_study_metadata(PLACE[0])) == 4
    assert len(asking.retrieve_series_metadata(*PLACE[:2])) == 3
    told = asking.retrieve_instance_metadata(*PLACE)
    assert told["00100020"]["Value"] == ["QA1"]
    assert asking.retrieve_bulkdata(told["7FE00010"]["BulkDataURI"]) == [_held(web, PLACE[2]).PixelData]
    octets = (("application/octet-stream", part10.EXPLICIT_LITTLE),)
    assert asking.retrieve_bulkdata(told["7FE00010"]["BulkDataURI"], octets) == [bytes(range(32))]


def test_it_retrieves_frames_and_pictures(asking: Any) -> None:
    """Raw, compressed, and as PNG."""
    assert asking.retrieve_instance_frames(*PLACE, [1]) == [bytes(range(32))]
    assert asking.retrieve_instance_frames(*PACKED, [2, 1]) == [FRAMES[1], FRAMES[0]]
    assert asking.retrieve_instance_frames(*PACKED, [1], media_types=("image/jp2",)) == [FRAMES[0]]
    for picture in (
        asking.retrieve_instance_rendered(*PLACE),
        asking.retrieve_instance_rendered(*PLACE, media_types=("image/png",), params={"window": "10,20,LINEAR"}),
        asking.retrieve_instance_frames_rendered(*PLACE, [1], media_types=("image/png",)),
    ):
        assert picture.startswith(b"\x89PNG")


def test_it_is_told_what_is_not_there(asking: Any) -> None:
    """404 reaches the script as an error."""
    with pytest.raises(HTTPError) as caught:
        asking.retrieve_series("1.2.3", "1.2.4")
    assert caught.value.response.status_code == 404
    assert caught.value.response.json() == {"error": "this node holds no series with this UID. Search for it first."}


def test_it_stores(taking: NodeProcess, storing: Any) -> None:
    """Small and large requests, which it sends in chunks; what is refused is an error."""

    def whole(dataset: Any) -> Any:
        meta = part10.file_meta(objects.RTIMAGE, str(dataset.SOPInstanceUID), part10.EXPLICIT_LITTLE)
        return pydicom.dcmread(io.BytesIO(meta + objects.encoded(dataset)))

    some = [whole(objects.image(31, number=number)) for number in (1, 2)]
    told = storing.store_instances(some, study_instance_uid=objects.uid(31, 1))
    assert [item.ReferencedSOPInstanceUID for item in told.ReferencedSOPSequence] == [
        objects.uid(31, 1, 2, number) for number in (1, 2)
    ]
    large = [whole(objects.image(32, number=n, Rows=600, Columns=600, PixelData=bytes(720_000))) for n in (1, 2, 3)]
    assert len(storing.store_instances(large).ReferencedSOPSequence) == 3
    assert _held(taking, objects.uid(32, 1, 2, 3)).PixelData == bytes(720_000)
    with pytest.raises(HTTPError) as caught:
        storing.store_instances(some[:1], study_instance_uid=objects.uid(31, 2))
    assert caught.value.response.status_code == 409
