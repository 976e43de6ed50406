"""An Orthanc that silently gives only part of its answers: the right answer, or none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from peers.course import OTHER, PATIENT, Session, plan, session, write_all
from peers.orthanc import Orthanc
from peers.process import Missing, skip_or_fail

from qa_fetch import Archive, Incomplete, QAFetchError, Refused
from qa_fetch.backends import dicomweb
from qa_fetch.backends.http import limits
from qa_fetch.backends.http.client import Client

NEWEST = datetime(2025, 11, 3, 17, 5)
BEFORE = NEWEST + timedelta(hours=1)
ADVICE = "Narrow the question, or raise its limit (Orthanc: LimitFindInstances, LimitFindResults)."
WEB = f"127.0.0.1 gives only part of its answers. {ADVICE}"
DIMSE = f"ORTHANC gives only part of its answers (0xFE00). {ADVICE}"
WL = plan("WL_6X")


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one archive taught is not believed of the next on its port."""
    monkeypatch.setattr(limits, "_known", {})
    monkeypatch.setattr(dicomweb, "_learned", {})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What each request is for."""
    services: list[str] = []
    request = Client.request

    def counted(self: Client, service: str, *arguments: Any, **how: Any) -> Any:
        services.append(service)
        return request(self, service, *arguments, **how)

    monkeypatch.setattr(Client, "request", counted)
    return services


@pytest.fixture(scope="module")
def sessions() -> list[Session]:
    """Seven days with two images each, and one with nine; the oldest is stored first."""
    days = range(7, 0, -1)
    return [*(session(WL, NEWEST - timedelta(days=day), images=2, rows=2) for day in days),
            session(WL, NEWEST - timedelta(days=30), images=9, rows=2)]  # fmt: skip


@pytest.fixture(scope="module")
def running(sessions: list[Session], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Orthancs by their limits, each with all of it."""
    files = write_all([WL, *(image for one in sessions for image in one.images)], tmp_path_factory.mktemp("files"))
    begun: dict[tuple[int, int], Orthanc] = {}

    def limited(instances: int, results: int) -> Orthanc:
        if (instances, results) not in begun:
            options = {"LimitFindInstances": instances, "LimitFindResults": results}
            try:
                peer = Orthanc(dicomweb=True, options=options)
            except Missing as missing:
                skip_or_fail(missing)
            peer.__enter__()
            begun[instances, results] = peer
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("QA_FETCH_SHELF", str(tmp_path_factory.mktemp("filling")))
                Archive(peer.address).send(files)
        return begun[instances, results]

    yield limited
    for peer in begun.values():
        peer.__exit__(None, None, None)


def newest(archive: Archive) -> list[str]:
    return list(archive.latest(PATIENT, plan="WL_6X", before=BEFORE).uids)


def whole_series(archive: Archive, one: Session) -> set[str]:
    return set(archive.fetch(series=one.series.uid).uids)


def refused(kind: type[QAFetchError], question: Any, *arguments: Any) -> str:
    with pytest.raises(kind) as caught:
        question(*arguments)
    assert not caught.value.retriable
    return str(caught.value)


@pytest.mark.parametrize("both", [1, 3, 6])
def test_rest_gives_all_that_a_limited_orthanc_has(running: Any, sessions: list[Session], both: int) -> None:
    """Its lists of children have no limit, so the newest session and the whole series come nevertheless."""
    archive = Archive(running(both, both).rest_address)
    assert newest(archive) == sessions[6].uids
    assert whole_series(archive, sessions[7]) == set(sessions[7].uids)
    assert {str(row.SeriesInstanceUID) for row in archive.find("SERIES", PatientID=PATIENT, Modality="RTIMAGE")} == {
        one.series.uid for one in sessions
    }


@pytest.mark.parametrize("both", [1, 3, 6])
def test_a_limited_orthanc_is_found_out_over_dicomweb(running: Any, sessions: list[Session], both: int) -> None:
    """Its studies and series say how many objects they have, and it does not show as many."""
    archive = Archive(running(both, both).web_address)
    assert refused(Incomplete, newest, archive) == WEB
    assert refused(Incomplete, whole_series, archive, sessions[7]) == WEB
    assert whole_series(archive, sessions[0]) == set(sessions[0].uids)


def test_over_dicomweb_a_limit_of_images_alone_is_got_round(running: Any, sessions: list[Session]) -> None:
    """Series by series, each with fewer images than the limit."""
    archive = Archive(running(10, 0).web_address)
    assert newest(archive) == sessions[6].uids
    assert set(archive.patient(PATIENT).uids) == {
        str(WL.SOPInstanceUID),
        *(uid for one in sessions for uid in one.uids),
    }


@pytest.mark.parametrize("both", [1, 3, 6])
def test_a_limited_orthanc_says_so_over_dimse(running: Any, sessions: list[Session], both: int) -> None:
    """0xFE00 to a question is no cancel of ours, and asking again would bring no more."""
    archive = Archive(running(both, both).address)
    assert refused(Refused, newest, archive) == DIMSE
    assert refused(Refused, whole_series, archive, sessions[7]) == DIMSE


def test_a_question_about_no_patient_is_not_answered_in_part(running: Any) -> None:
    """There is nothing to walk through."""
    archive = Archive(running(6, 6).rest_address)
    assert refused(Incomplete, lambda: archive.find("IMAGE", Modality="RTIMAGE")) == WEB
    archive = Archive(running(6, 6).web_address)
    assert refused(Incomplete, lambda: archive.find("IMAGE", Modality="RTIMAGE")) == WEB
    assert refused(Incomplete, lambda: archive.find("SERIES", Modality="RTIMAGE")) == WEB


@pytest.mark.parametrize(
    ("instances", "results", "largest", "answer"),
    [(0, 0, 25, "whole"), (10, 0, 4, "whole"), (10, 0, 25, "part"), (0, 3, 4, "part"), (3, 3, 4, "part")],
)
def test_one_series_per_study_is_given_whole_or_not_at_all(
    tmp_path: Path, instances: int, results: int, largest: int, answer: str
) -> None:
    """Neither more series than studies nor a count among the answers shows there what a limit hides."""
    made = [session(WL, NEWEST - timedelta(days=day), images=largest if day == 2 else 2, rows=2) for day in range(5)]
    for number, one in enumerate(made):
        for image in one.images:
            image.StudyInstanceUID = f"1.2.{number}"
    images = [image for one in made for image in one.images]
    try:
        peer = Orthanc(dicomweb=True, options={"LimitFindInstances": instances, "LimitFindResults": results})
    except Missing as missing:
        skip_or_fail(missing)
    with peer:
        Archive(peer.address).send(write_all([*images, plan("WL_6X", patient=OTHER)], tmp_path))
        archive = Archive(peer.web_address)
        if answer == "whole":
            assert len(archive.patient(PATIENT).uids) == len(archive.find("IMAGE", PatientID=PATIENT)) == len(images)
            assert len(archive.find("STUDY", PatientID=PATIENT)) == 5
        else:
            assert refused(Incomplete, archive.patient, PATIENT) == WEB
            assert refused(Incomplete, lambda: archive.find("IMAGE", PatientID=PATIENT)) == WEB


@pytest.mark.parametrize("way", ["rest_address", "web_address"])
def test_series_of_one_size_are_not_counted_for_ever(
    running: Any, sessions: list[Session], asked: list[str], way: str
) -> None:
    """The second of a size is reason enough to look for a longer answer; then each is one question."""
    archive = Archive(getattr(running(0, 0), way))
    needed = []
    for one in sessions[:5]:
        asked.clear()
        study = str(one.images[0].StudyInstanceUID)
        assert len(archive.find("IMAGE", StudyInstanceUID=study, SeriesInstanceUID=one.series.uid)) == 2
        needed.append(len(asked))
    assert needed[2] < needed[0]
    assert len(set(needed[2:])) == 1


@pytest.mark.parametrize("way", ["rest_address", "web_address"])
def test_an_orthanc_without_limits_is_asked_little_more(
    running: Any, asked: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    """Once it has shown what it can give: one small question more where its index alone gives no answer."""
    address = getattr(running(0, 0), way)

    def questions(shelf: str) -> int:
        asked.clear()
        newest(Archive(address, shelf=tmp_path / shelf))
        return asked.count("query")

    questions("first")
    checked = questions("checked")
    monkeypatch.setattr(limits.Limits, "whole", lambda *question: True)
    assert checked - questions("unchecked") == 2  # the plan by its label, the images by their days
