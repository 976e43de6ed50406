"""Each lie of the doubles really is told, and without lies they are honest."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Optional

import pytest
from peers import client, process
from peers.course import RT_IMAGE, Course, default_course, uid
from peers.doubles import ScriptedArchive, aria
from peers.lies import Lies
from peers.pynet import (
    FIND,
    GENTLE,
    GET,
    MOVE,
    PATIENT_FIND,
    Ended,
    Received,
    associate,
    ended,
    find,
    get,
    hang_up,
    move,
    question,
    receiving,
)
from peers.wire import Association
from pydicom.dataset import Dataset
from pynetdicom import AE

from qa_fetch import BadArchive, part10


@pytest.fixture(scope="module")
def course() -> Course:
    return default_course(second_plan=True)


@pytest.fixture(scope="module")
def _receiver() -> Iterator[Received]:
    with receiving() as received:
        yield received


@pytest.fixture
def receiver(_receiver: Received) -> Received:
    _receiver.clear()
    return _receiver


def newest(course: Course, **more: Any) -> dict[str, Any]:
    """The keys of the newest Winston-Lutz series: four MV and two kV images."""
    where = course.newest.series
    return {"StudyInstanceUID": where.study_uid, "SeriesInstanceUID": where.uid, **more}


def six(course: Course) -> list[str]:
    return sorted([*course.newest.uids, *(str(image.SOPInstanceUID) for image in course.mixed_kv)])


def archive(course: Course, receiver: Optional[Received] = None, **lies: Any) -> ScriptedArchive:
    known = {"QATRACK": (process.LOOPBACK, receiver.port)} if receiver else {}
    return ScriptedArchive(course.datasets, Lies(**{"delay": GENTLE, **lies}), destinations=known)


# an honest double


def test_an_honest_double_answers_at_every_level(course: Course) -> None:
    """One row per entity, with counts, wildcards, ranges, UID lists and sequence matching."""
    with archive(course) as peer:
        assert [len(find(peer, level, PatientID="QA_TB1")[1]) for level in ("STUDY", "SERIES", "IMAGE")] == [3, 9, 24]
        assert len(find(peer, "PATIENT", PATIENT_FIND, PatientName="qa*")[1]) == 1
        _, (row,) = find(peer, "SERIES", NumberOfSeriesRelatedInstances="", **newest(course))
        assert row.NumberOfSeriesRelatedInstances == 6 and row.RetrieveAETitle == "SCRIPTED"
        _, rows = find(peer, "IMAGE", RTPlanLabel="WL_6?", PatientID="QA_TB1", ApprovalStatus="")
        assert sorted(row.ApprovalStatus for row in rows) == ["APPROVED", "UNAPPROVED"]
        assert len(find(peer, "SERIES", SeriesDate="20251021-20251027")[1]) == 1
        assert len(find(peer, "IMAGE", SOPInstanceUID=six(course)[:2])[1]) == 2
        assert len(find(peer, "IMAGE", ImageType=["ORIGINAL", "PRIMARY", "PORTAL", "ACQUIRED_DOSE"])[1]) == 1
        assert len(find(peer, "STUDY", ModalitiesInStudy="CT")[1]) == 1
        item = Dataset()
        item.ReferencedSOPInstanceUID = course.pdip.SOPInstanceUID
        _, (row,) = find(peer, "IMAGE", ReferencedRTPlanSequence=[item], AcquisitionTime="", WedgeSequence=[])
        assert row.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == course.pdip.SOPInstanceUID
        assert row.AcquisitionTime == "181000" and len(row.WedgeSequence) == 0


def test_an_honest_double_sends_what_was_asked_for_and_logs_it(course: Course, receiver: Received) -> None:
    """C-GET and C-MOVE bring the objects whole, once, with true counts; the requests are on record."""
    with archive(course, receiver) as peer:
        ended = move(peer, **newest(course))
        assert ended == Ended(0x0000, 6, 0, 5, None)
        assert sorted(receiver.uids) == six(course) == sorted(peer.sent)
        for data, syntax in receiver.data:
            assert part10.check(data, syntax).sop_instance in six(course)
        receiver.clear()
        assert get(peer, receiver, "IMAGE", **newest(course, SOPInstanceUID=six(course)[:2])).completed == 2
        assert receiver.uids == six(course)[:2]
        assert peer.requests[0] == ("C-MOVE", "SERIES", newest(course))
        assert peer.requested("C-GET")[0].keys["SOPInstanceUID"] == six(course)[:2]
        assert peer.moved_to == ["QATRACK"] and peer.callers == ["QATRACK", "QATRACK"]


def test_a_double_takes_objects_and_answers_echo(course: Course) -> None:
    """What is stored can be fetched again, and a refusal is a refusal."""
    received = Received()
    with ScriptedArchive() as peer:
        assert client.echo(peer) == 0x0000
        client.store(peer, course.newest.images)
        assert get(peer, received, **newest(course)).completed == 4
        original = {one.SOPInstanceUID: part10.encode(one, part10.IMPLICIT_LITTLE) for one in course.newest.images}
        assert all(
            original[part10.check(data, syntax).sop_instance] == data or syntax != part10.IMPLICIT_LITTLE
            for data, syntax in received.data
        )
        peer.lies.store_status, peer.lies.echo_status = 0xA700, 0x0122
        with pytest.raises(RuntimeError, match="refused .* with 0xA700"):
            client.store(peer, course.cbct)
        assert client.echo(peer) == 0x0122


def test_aria_speaks_study_root_find_and_move_to_those_it_knows(course: Course, receiver: Received) -> None:
    """No C-GET, no Patient Root; relational; ReferencedRTPlanSequence answered; strangers rejected."""
    known = {"QATRACK": (process.LOOPBACK, receiver.port)}
    with aria(course.datasets, destinations=known, delay=GENTLE) as peer:
        assert peer.address.startswith("dimse://ARIA@127.0.0.1:")
        association = associate(peer, PATIENT_FIND, FIND, MOVE, GET)
        assert {str(one.abstract_syntax) for one in association.accepted_contexts} == {FIND, MOVE}
        hang_up(association)
        status, rows = find(peer, "IMAGE", PatientID="QA_TB1", Modality="RTPLAN", RTPlanLabel="PDIP_10X")
        assert (status, len(rows)) == (0x0000, 1)
        _, rows = find(peer, "IMAGE", ReferencedRTPlanSequence=[], **newest(course))
        assert {row.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID for row in rows} == {course.wl.SOPInstanceUID}
        assert move(peer, **newest(course)).completed == 6
        stranger = associate(peer, FIND, caller="STRANGER")
        assert stranger.acceptor.primitive.diagnostic == 3


# lies about who may speak


@pytest.mark.parametrize(
    ("lies", "title", "said"),
    [
        ({"callers": ("SOMEONE",)}, "SCRIPTED", (1, 1, 3)),
        ({}, "WRONG", (1, 1, 7)),
        ({"rejects": (2, 3, 2)}, "SCRIPTED", (2, 3, 2)),
    ],
)
def test_a_double_rejects_associations(lies: dict[str, Any], title: str, said: tuple[int, int, int]) -> None:
    """Unknown caller, wrong called AE title, or simply busy."""
    with ScriptedArchive(lies=Lies(**lies)) as peer:
        entity = AE(ae_title="QATRACK")
        entity.add_requested_context(FIND)
        association = entity.associate(process.LOOPBACK, peer.port, ae_title=title)
        answer = association.acceptor.primitive
        hang_up(association)
        assert (answer.result, int(answer.result_source), answer.diagnostic) == said
        assert peer.callers == []


def test_a_double_refuses_services(course: Course) -> None:
    """The presentation contexts of services that are off are refused."""
    with archive(course, find=False, move=False, get=False, store=False, roots=("study", "patient")) as peer:
        association = associate(peer, FIND, MOVE, GET, PATIENT_FIND, RT_IMAGE, "1.2.840.10008.1.1")
        assert [str(one.abstract_syntax) for one in association.accepted_contexts] == ["1.2.840.10008.1.1"]
        hang_up(association)


# lies in queries


def test_a_double_ignores_keys(course: Course) -> None:
    """All keys, or only some."""
    with archive(course, ignores_keys=True) as peer:
        assert len(find(peer, "IMAGE", PatientID="NOBODY")[1]) == 29
        peer.lies.ignores_keys = ("RTPlanLabel",)
        assert len(find(peer, "IMAGE", RTPlanLabel="NOSUCH", Modality="RTPLAN", PatientID="QA_TB1")[1]) == 3


def test_a_double_leaves_attributes_out_and_repeats_rows(course: Course) -> None:
    """Omitted keywords are absent, not empty; one row per instance comes at series level."""
    with archive(course, omits=("ReferencedRTPlanSequence", "AcquisitionTime"), row_per_instance=True) as peer:
        _, rows = find(
            peer, "IMAGE", ReferencedRTPlanSequence=[], AcquisitionTime="", AcquisitionDate="", **newest(course)
        )
        assert len(rows) == 6
        assert not any("ReferencedRTPlanSequence" in row or "AcquisitionTime" in row for row in rows)
        assert all(row.AcquisitionDate == "20251103" for row in rows)
        assert len(find(peer, "SERIES", **newest(course))[1]) == 6


@pytest.mark.parametrize("decoration", ["\0", "  ", " \0"])
def test_a_double_decorates_uids(course: Course, decoration: str) -> None:
    """The bytes behind the UID are on the wire, in answers and in objects."""
    received = Received()
    with archive(course, decorate_uids=decoration, decorate_objects=decoration) as peer:
        association = Association.request((process.LOOPBACK, peer.port), peer.ae_title, "QATRACK", [FIND])
        keys = part10.encode(question("SERIES", **newest(course)), part10.EXPLICIT_LITTLE)
        association.send(1, {"AffectedSOPClassUID": FIND, "CommandField": 0x0020, "MessageID": 1}, keys)
        assert course.newest.series.uid.encode() + decoration.encode() in association.read().data
        assert association.read().command.Status == 0x0000
        association.release()
        get(peer, received, "IMAGE", **newest(course, SOPInstanceUID=six(course)[0]))
        assert six(course)[0].encode() + decoration.encode() in received.data[0][0]


def test_a_double_answers_with_a_status_alone_or_breaks_off(course: Course) -> None:
    """Any status; or a reset after some answers, which pynetdicom reports without a status."""
    with archive(course, find_status=0xC001) as peer:
        assert find(peer, "STUDY", PatientID="QA_TB1") == (0xC001, [])
        peer.lies = Lies(delay=GENTLE, drop_find_after=2)
        status, rows = find(peer, "IMAGE", **newest(course))
        assert status is None and len(rows) <= 2


@pytest.mark.parametrize(("relational", "status"), [(False, 0xA900), ("silent", 0x0000)])
def test_a_hierarchical_double_wants_the_keys_above(course: Course, relational: Any, status: int) -> None:
    """A question across series is refused or answered with nothing; the same with the keys above is answered."""
    with archive(course, relational=relational) as peer:
        assert find(peer, "IMAGE", PatientID="QA_TB1", Modality="RTPLAN") == (status, [])
        assert find(peer, "SERIES", PatientID="QA_TB1") == (status, [])
        assert find(peer, "STUDY", StudyInstanceUID="")[0] == 0x0000
        assert len(find(peer, "IMAGE", **newest(course))[1]) == 6
        assert find(peer, "STUDY", PATIENT_FIND, StudyInstanceUID="") == (status, [])


def test_a_double_takes_its_time(course: Course) -> None:
    """A delay comes before every answer."""
    with archive(course, delay=0.1) as peer:
        before = time.monotonic()
        find(peer, "IMAGE", **newest(course))
        assert time.monotonic() - before > 0.6


# lies in retrieves


def test_a_double_refuses_retrieves(course: Course, receiver: Received) -> None:
    """By status, by destination, by level."""
    with archive(course, receiver, move_status=0xC123, get_status=0xA701) as peer:
        assert move(peer, **newest(course)).status == 0xC123
        assert get(peer, receiver, **newest(course)).status == 0xA701
        peer.lies = Lies(delay=GENTLE, knows_destination=False)
        assert move(peer, **newest(course)).status == 0xA801
        peer.lies = Lies(delay=GENTLE, level_image_unsupported=True)
        assert move(peer, destination="NOBODY", **newest(course)).status == 0xA801
        assert move(peer, "IMAGE", **newest(course, SOPInstanceUID=six(course))).status == 0xA900
        assert receiver.uids == []
        assert move(peer, **newest(course)).completed == 6


def test_a_double_that_reaches_nobody_says_so(course: Course) -> None:
    """All sub-operations fail, each named, when the destination does not listen."""
    with archive(course) as peer:
        peer.know("QATRACK", process.free_port())
        ended = move(peer, **newest(course))
        assert (ended.status, ended.completed, ended.failed) == (0xA702, 0, 6)
        assert sorted(ended.names) == six(course)


@pytest.mark.parametrize("how", ["move", "get"])
@pytest.mark.parametrize(
    ("lies", "counts"),
    [
        ({"fail_suboperations": True}, (0x0000, 0, 6, 0)),
        ({"send_nothing": True}, (0x0000, 0, 0, 0)),
        ({"sends_only": 4}, (0x0000, 6, 0, 4)),
        ({"sends_only": 4, "final_status": 0xB000}, (0xB000, 4, 2, 4)),
        ({"final_status": 0xA702}, (0xA702, 6, 0, 6)),
    ],
)
def test_a_double_says_success_and_sends_less(
    course: Course, receiver: Received, how: str, lies: dict[str, Any], counts: tuple[int, ...]
) -> None:
    """The status, the counts and what came are as the lie has them."""
    with archive(course, receiver, **lies) as peer:
        ended = move(peer, **newest(course)) if how == "move" else get(peer, receiver, **newest(course))
        assert (ended.status, ended.completed, ended.failed, len(receiver.uids)) == counts


@pytest.mark.parametrize("how", ["move", "get"])
@pytest.mark.parametrize(
    "lies",
    [{}, {"drop_how": "abort"}, {"drop_inside": True}, {"drop_inside": True, "drop_how": "abort"}],
)
def test_a_double_drops_in_mid_transfer(course: Course, receiver: Received, how: str, lies: dict[str, Any]) -> None:
    """Two objects come, then the associations break, between objects or inside one."""
    with archive(course, receiver, drop_after=2, **lies) as peer:
        ended = move(peer, **newest(course)) if how == "move" else get(peer, receiver, **newest(course))
        assert ended.status not in (0x0000, 0xB000)
        assert len(peer.sent) == 2 and len(receiver.uids) == 2


@pytest.mark.parametrize("how", ["move", "get"])
def test_a_double_sends_strays_and_doubles(course: Course, receiver: Received, how: str) -> None:
    """An object that was not asked for comes first; each object comes twice."""
    with archive(course, receiver, stray=True, twice=True) as peer:
        (move(peer, **newest(course)) if how == "move" else get(peer, receiver, **newest(course)))
        assert receiver.uids[0] not in six(course)
        assert sorted(receiver.uids[1:]) == sorted(six(course) * 2)
        receiver.clear()
        peer.datasets = list(course.newest.images)
        (move(peer, **newest(course)) if how == "move" else get(peer, receiver, **newest(course)))
        assert len(receiver.uids) == 9 and receiver.uids[0] not in six(course)


def test_a_double_sends_damaged_objects(course: Course, receiver: Received) -> None:
    """The first object is of another UID than its command says, or is cut short; the rest is in order."""
    with archive(course, receiver, wrong_uid=True) as peer:
        assert move(peer, **newest(course)).completed == 6
        first = part10.check(*receiver.data[0]).sop_instance
        assert first == uid("wrong", receiver.uids[0]) and receiver.uids[0] in six(course)
        receiver.clear()
        peer.lies = Lies(delay=GENTLE, truncated=True)
        assert move(peer, **newest(course)).completed == 6
        with pytest.raises(BadArchive, match="cut short"):
            part10.check(*receiver.data[0])
        assert all(part10.check(*data).sop_instance in six(course) for data in receiver.data[1:])


def test_a_double_says_success_before_the_objects_come(course: Course, receiver: Received) -> None:
    """The final answer of the C-MOVE precedes the first object by 0.3 s."""
    with archive(course, receiver, asynchronous_move=True) as peer:
        ended = move(peer, **newest(course))
        assert (ended.status, ended.completed, receiver.uids) == (0x0000, 6, [])
        end = time.monotonic() + 5
        while len(receiver.uids) < 6 and time.monotonic() < end:
            time.sleep(0.02)
        assert sorted(receiver.uids) == six(course)


def test_a_double_pauses_until_it_may_go_on(course: Course, receiver: Received) -> None:
    """After two objects it waits; ``resume`` lets it send the rest."""
    with archive(course, receiver, pause_after=2) as peer:
        association = associate(peer, MOVE)
        responses = association.send_c_move(question("SERIES", **newest(course)), "QATRACK", MOVE)
        next(responses)
        assert peer.paused.wait(5) and len(peer.sent) == 2
        peer.resume.set()
        assert ended(association, responses).completed == 6


def test_a_double_that_waits_can_be_stopped(course: Course, receiver: Received) -> None:
    """Leaving the context ends a paused transfer at once and keeps no thread."""
    with archive(course, receiver, pause_after=1) as peer:
        association = associate(peer, MOVE)
        responses = association.send_c_move(question("SERIES", **newest(course)), "QATRACK", MOVE)
        next(responses)
        assert peer.paused.wait(5)
    ended(association, responses)
    assert peer._threads == []


def test_a_cancelled_transfer_ends(course: Course, receiver: Received) -> None:
    """A C-CANCEL in the middle of a C-MOVE is obeyed."""
    with archive(course, receiver, delay=0.1) as peer:
        association = associate(peer, MOVE)
        responses = association.send_c_move(question("SERIES", **newest(course)), "QATRACK", MOVE, msg_id=7)
        next(responses)
        association.send_c_cancel(7, query_model=MOVE)
        last = ended(association, responses)
        assert last.status == 0xFE00 and 1 <= len(receiver.uids) < 6
