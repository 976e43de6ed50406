"""What SPHERE's user guide promises of ``find`` and of two PACS that move to each other, done with our commands."""

from __future__ import annotations

from collections.abc import Iterator

import node_client as client
import node_objects as objects
import pytest
from commands import Ran
from peers.process import LOOPBACK

from qa_fetch.node import NodeOptions, NodeProcess, Peer

DESCRIBED = {
    "PatientName": "Phantom^A",
    "PatientSex": "O",
    "PatientBirthDate": "19700101",
    "StudyDate": "20251101",
    "InstitutionName": "CLINIC A",
    "AccessionNumber": "ACC7",
    "ProtocolName": "WL",
    "StudyDescription": "QA of the month",
    "Manufacturer": "ACME",
    "ManufacturerModelName": "EPID 3",
    "BodyPartExamined": "PHANTOM",
    "SeriesDate": "20251101",
    "SeriesDescription": "portal",
    "StationName": "LINAC1",
}
OTHERWISE = {keyword: "19801231" if "Date" in keyword else f"B {value[:3]}" for keyword, value in DESCRIBED.items()}
FILTERS = [
    ("PATIENT", ("PatientName", "PatientSex", "PatientBirthDate")),
    ("STUDY", ("StudyDate", "InstitutionName", "AccessionNumber", "ProtocolName", "StudyDescription")),
    (
        "SERIES",
        (
            "Manufacturer",
            "ManufacturerModelName",
            "BodyPartExamined",
            "SeriesDate",
            "SeriesDescription",
            "StationName",
        ),
    ),
]


@pytest.fixture(scope="module")
def pacs1(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """Two patients who differ in every attribute by which the guide filters; and PACS2 to which it sends."""
    folder = tmp_path_factory.mktemp("guide")
    with NodeProcess(NodeOptions(folder / "two", "PACS2", port=0)) as pacs2:
        peers = {"PACS2": Peer(LOOPBACK, pacs2.port)}
        with NodeProcess(NodeOptions(folder / "one", "PACS1", port=0, peers=peers)) as running:
            first, second = objects.image(1, **DESCRIBED), objects.image(2, **{**OTHERWISE, "PatientSex": "F"})
            assert client.store(running.port, first, second, called="PACS1") == [0, 0]
            yield running


@pytest.mark.parametrize(
    ("level", "keyword"), [(level, keyword) for level, keywords in FILTERS for keyword in keywords]
)
def test_every_filter_of_the_guide_finds_one_of_two(
    pacs1: NodeProcess, level: str, keyword: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the level where the guide names it."""
    ran = Ran(capsys, ("find", pacs1.address, level, f"{keyword}={DESCRIBED[keyword]}", "PatientID=", "--json"))
    assert [row["PatientID"] for row in ran.json] == ["QA1"], keyword


@pytest.mark.parametrize("key", ["PatientID=QA1", f"StudyInstanceUID={objects.uid(1, 1)}"])
@pytest.mark.parametrize("level", ["PATIENT", "STUDY", "SERIES", "IMAGE"])
def test_ids_and_uids_filter_at_every_level(
    pacs1: NodeProcess, level: str, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One row, and the number of rows on the last line."""
    ran = Ran(capsys, ("find", pacs1.address, level, key))
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "1 found")


def test_a_study_is_moved_from_one_pacs_to_the_other(pacs1: NodeProcess, capsys: pytest.CaptureFixture[str]) -> None:
    """As in the guide: asked by its UID, sent by the first to the second."""
    ran = Ran(capsys, ("move", pacs1.address, "--to-aet", "PACS2", "--study", objects.uid(1, 1)))
    assert (ran.code, ran.rows[1]) == (0, ["STUDY", objects.uid(1, 1), "1 of 1", "0x0000 completed"])
    assert ran.out.splitlines()[-1] == "1 of 1 moved to PACS2, 1 object"
