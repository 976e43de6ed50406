"""A peer that gets anonymised objects: by C-MOVE and C-GET, under new UIDs, and without a way to ask whose they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import node_client as client
import node_objects as objects
import pytest
from django.db import DatabaseError
from node_objects import uid

from qa_fetch import BadArchive, ConfigError, Incomplete, QAFetchError, part10
from qa_fetch.anonymise import Anonymiser
from qa_fetch.anonymise.harvest import Harvest
from qa_fetch.anonymise.keyed import Key
from qa_fetch.anonymise.known import Learnt
from qa_fetch.anonymise.profile_file import SHIPPED
from qa_fetch.node import NodeOptions, NodeProcess, Peer, anonymising
from qa_fetch.node.options import PROFILES
from qa_fetch.node.scaffold import init
from qa_fetch.node.settings import load

STUDY_1 = [uid(1, 1, 1, 1), *(uid(1, 1, 2, number) for number in (1, 2, 3))]
STUDY = {"StudyInstanceUID": uid(1, 1)}
BURNED_IN = uid(3, 1, 2, 1)


class Site:
    """A node, where it keeps its log, and the receivers of what it sends."""

    def __init__(self, node: NodeProcess, key: Path, received: dict[str, client.Received]) -> None:
        self.node, self.key, self.received = node, Key.load(key), received

    @property
    def log(self) -> str:
        """Everything that the node has written down."""
        return self.node.options.log.read_text("utf-8") if self.node.options.log else ""

    def moved(self, to: str, keys: dict[str, Any], level: str = "STUDY", **more: Any) -> Any:
        """What came of a C-MOVE, and what the receiver has now."""
        self.received[to].objects.clear()
        return client.move(self.node.port, level, keys, to, **more), self.received[to].objects


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """TRIAL and PLAIN get anonymised objects, of which PLAIN takes implicit ones only; FULL gets them as they are."""
    folder = tmp_path_factory.mktemp("site")
    key = Key.load(folder / "trial17.key").path
    trial, plain = client.receiver("TRIAL"), client.receiver("PLAIN", [part10.IMPLICIT_LITTLE])
    with trial as (one, first), plain as (two, second), client.receiver("FULL") as (three, third):
        asks = ("echo", "get", "move")
        peers = {
            "TRIAL": Peer("127.0.0.1", one, anonymise=key, anonymise_profile="research-rt", services=asks),
            "PLAIN": Peer("127.0.0.1", two, anonymise=key),
            "FULL": Peer("127.0.0.1", three),
        }
        log = folder / "node.log"
        options = NodeOptions(folder / "node", port=0, strangers=("echo", "store", "move"), peers=peers, log=log)
        with NodeProcess(options) as node:
            burned_in = objects.image(3, 1, 2, 1, BurnedInAnnotation="YES")
            assert set(client.store(node.port, *objects.content(), burned_in)) == {0}
            yield Site(node, key, {"TRIAL": first, "PLAIN": second, "FULL": third})


def decoded(received: dict[str, tuple[str, bytes]]) -> dict[str, Any]:
    return {name: part10.decode(data, syntax) for name, (syntax, data) in received.items()}


def test_what_is_moved_to_the_peer_is_anonymised_with_its_references(site: Site) -> None:
    """The request names the new UID, the images the new one of their plan; another peer gets the originals."""
    result, received = site.moved("TRIAL", STUDY)
    assert (result.status, result.counts) == (0, (4, 0, 0))
    assert sorted(received) == sorted(map(site.key.uid, STUDY_1))
    found = decoded(received)
    assert {name: str(one.SOPInstanceUID) for name, one in found.items()} == {name: name for name in found}
    assert {one.PatientID for one in found.values()} == {site.key.code("QA1")}
    references = {
        str(one.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID)
        for one in found.values()
        if "ReferencedRTPlanSequence" in one
    }
    assert references == {site.key.uid(STUDY_1[0])}
    assert not any(b"Machine1" in data or b"QA1" in data for _, data in received.values())
    _, originals = site.moved("FULL", STUDY)
    assert sorted(originals) == sorted(STUDY_1)


def test_what_is_anonymised_is_transcoded_after_that(site: Site) -> None:
    """For a receiver that takes another encoding only."""
    result, received = site.moved("PLAIN", {"StudyInstanceUID": uid(2, 1)})
    assert (result.status, result.counts) == (0, (2, 0, 0))
    found = decoded(received)
    assert {syntax for syntax, _ in received.values()} == {part10.IMPLICIT_LITTLE}
    assert {str(one.PatientName) for one in found.values()} == {site.key.code("QA2")}


def test_what_the_peer_gets_itself_is_anonymised(site: Site) -> None:
    """It would else have the originals under the same white list."""
    result, received = client.get(site.node.port, "STUDY", STUDY, calling="TRIAL")
    assert (result.status, result.counts) == (0, (4, 0, 0))
    assert sorted(received.objects) == sorted(map(site.key.uid, STUDY_1))
    assert not any(b"Machine1" in data or b"QA1" in data for _, data in received.objects.values())


def test_an_object_that_is_held_back_is_a_failed_sub_operation(site: Site) -> None:
    """Who asks hears which one by the name that it knows; the log says why, and names nobody."""
    keys = {"SOPInstanceUID": [*STUDY_1[1:3], BURNED_IN]}
    result, received = site.moved("TRIAL", keys, "IMAGE", calling="FULL")
    assert (result.status, result.counts, result.failed) == (0xB000, (2, 1, 0), [BURNED_IN])
    assert len(received) == 2
    result, _ = site.moved("TRIAL", keys, "IMAGE", calling="TRIAL")
    assert result.failed == [site.key.uid(BURNED_IN)]
    result, _ = client.get(site.node.port, "IMAGE", {"SOPInstanceUID": BURNED_IN}, calling="TRIAL")
    assert (result.status, result.failed) == (0xA702, [site.key.uid(BURNED_IN)])
    assert "an object is not passed on: " in site.log
    assert not any(text in site.log for text in ("Machine", "QA1", "QA2", objects.ROOT, site.key.code("QA1")))


def test_the_peer_cannot_ask_whose_the_objects_are(site: Site) -> None:
    """No query is offered to it, and a retrieval fits by unique keys only, not by whether a name fits."""
    with client.association(site.node.port, [(client.FIND["study"], client.PLAIN)], calling="TRIAL") as opened:
        assert not opened.is_established
    for more in ({"PatientName": "Machine1^QA"}, {"StudyDate": "20251101-"}):
        result, _ = client.get(site.node.port, "STUDY", {**STUDY, **more}, calling="TRIAL")
        assert result.status == 0xA900
        result, received = site.moved("TRIAL", {**STUDY, **more}, calling="FULL")
        assert (result.status, len(received)) == (0, 4)


def test_who_is_who_is_kept_before_anything_is_sent(tmp_path: Path) -> None:
    """So a restart goes on with it; where it cannot be kept, everything fails."""
    key = Key.load(tmp_path / "trial.key")
    (tmp_path / "trial.ids").write_text("in the way")
    with client.receiver("TRIAL") as (port, received):
        peers = {"TRIAL": Peer("127.0.0.1", port, anonymise=key.path)}
        options = NodeOptions(
            tmp_path / "node", port=0, strangers=("store", "move"), peers=peers, log=tmp_path / "node.log"
        )
        with NodeProcess(options) as node:
            client.store(node.port, objects.plan(), objects.image())
            result = client.move(node.port, "STUDY", STUDY, "TRIAL")
            assert (result.status, result.counts, received.objects) == (0xA702, (0, 2, 0), {})
            assert "who becomes whom cannot be kept, so nothing is sent" in (tmp_path / "node.log").read_text("utf-8")
            (tmp_path / "trial.ids").unlink()
            assert client.move(node.port, "STUDY", STUDY, "TRIAL").status == 0
        assert json.loads((tmp_path / "trial.ids" / "mapper.json").read_text()) == {key.code("QA1"): "QA1"}
        before = dict(received.objects)
        with NodeProcess(options) as node:
            received.objects.clear()
            assert client.move(node.port, "STUDY", STUDY, "TRIAL").status == 0
        assert received.objects == before


def test_what_the_node_holds_of_the_patient_is_removed_from_what_it_sends(tmp_path: Path) -> None:
    """What another object of the patient, or of the study, says; also one that comes after the first retrieval."""
    key = Key.load(tmp_path / "trial.key")
    with client.receiver("TRIAL") as (port, received):
        peers = {"TRIAL": Peer("127.0.0.1", port, anonymise=key.path, anonymise_profile="research-rt")}
        options = NodeOptions(tmp_path / "node", port=0, strangers=("store", "move"), peers=peers)
        with NodeProcess(options) as node:
            described = objects.plan(RTPlanDescription="boost Keller, Aarau, Nowak, RT4711", ReferringPhysicianName="")
            elsewhere = objects.image(study=2, ReferringPhysicianName="Keller^Urs")
            nameless = objects.image(number=7, PatientID="", PatientName="", InstitutionName="Kantonsspital Aarau")
            assert set(client.store(node.port, described, elsewhere, nameless)) == {0}
            asked = {"SOPInstanceUID": described.SOPInstanceUID}
            assert client.move(node.port, "IMAGE", asked, "TRIAL").status == 0
            (sent,) = decoded(received.objects).values()
            assert sent.RTPlanDescription == "boost Nowak, RT4711"
            other = objects.image(number=8, PatientID="RT4711", OperatorsName="Nowak^Ewa")
            assert client.store(node.port, other) == [0]
            assert client.move(node.port, "IMAGE", asked, "TRIAL").status == 0
            (sent,) = decoded(received.objects).values()
            assert not [word for word in ("Keller", "Aarau", "Nowak", "4711") if word in sent.RTPlanDescription]
            asked = {"SOPInstanceUID": nameless.SOPInstanceUID}
            received.objects.clear()
            assert client.move(node.port, "IMAGE", asked, "TRIAL").status == 0
            assert not any(b"Aarau" in data for _, data in received.objects.values())


def test_an_object_is_learnt_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second retrieval reads nothing of what the first has read, until there is something new."""
    key = Key.load(tmp_path / "trial.key")
    held = {"a": "1.1", "b": "1.2"}
    monkeypatch.setattr(anonymising, "_related", lambda uids: held)
    learnt: list[Path] = []
    monkeypatch.setattr(Anonymiser, "learn", lambda self, path: learnt.append(path) or Learnt("QA1", "1", Harvest()))
    peers = {"TRIAL": Peer("127.0.0.1", 1, anonymise=key.path)}
    flights = anonymising.Anonymising(NodeOptions(tmp_path / "node", strangers=("store",), peers=peers))
    for more, expected in (({}, ["1.1", "1.2"]), ({}, []), ({"c": "1.3"}, ["1.3"])):
        held.update(more)
        learnt.clear()
        flight = flights.flight("TRIAL")
        assert flight is not None
        for _ in flight.learnt([], Path):
            continue
        assert learnt == list(map(Path, expected))


def test_nothing_is_sent_where_the_index_cannot_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Since what identifies in other objects could be in the text of these."""

    def broken(uids: object) -> object:
        raise DatabaseError("no such table: with what was asked")

    monkeypatch.setattr(anonymising, "_related", broken)
    peers = {"TRIAL": Peer("127.0.0.1", 1, anonymise=Key.load(tmp_path / "trial.key").path)}
    flight = anonymising.Anonymising(NodeOptions(tmp_path / "node", strangers=("store",), peers=peers)).flight("TRIAL")
    assert flight is not None and list(flight.learnt([], Path)) == []
    assert caplog.messages == [
        "what else the node holds of the patients cannot be looked up (DatabaseError), so nothing is sent"
    ]
    with pytest.raises(Incomplete) as refused:
        flight.rewritten(b"", part10.EXPLICIT_LITTLE)
    assert str(refused.value) == "an object is not sent before who becomes whom is kept. Ask for it again."


@pytest.mark.parametrize("wrapped", [False, True], ids=["read", "opened"])
def test_nothing_is_sent_while_an_object_of_the_patient_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, wrapped: bool
) -> None:
    """What identifies in it may stand in the others; it is learnt once it can be, and so is what was damaged."""
    monkeypatch.setattr(anonymising, "_related", lambda uids: {"a": "1.1", "b": "1.2"})
    trouble: list[Exception] = []
    learnt: list[str] = []

    def learn(self: Anonymiser, path: Path) -> Learnt:
        learnt.append(path.name)
        if path.name == "1.2" and trouble:
            error = trouble.pop()
            if wrapped and isinstance(error, OSError):
                raise BadArchive("1.2 cannot be read.") from error
            raise error
        return Learnt("QA1", "1", Harvest())

    monkeypatch.setattr(Anonymiser, "learn", learn)
    peers = {"TRIAL": Peer("127.0.0.1", 1, anonymise=Key.load(tmp_path / "trial.key").path)}
    flights = anonymising.Anonymising(NodeOptions(tmp_path / "node", strangers=("store",), peers=peers))

    def refusal() -> str:
        """What is said of an object after all have been learnt."""
        learnt.clear()
        flight = flights.flight("TRIAL")
        assert flight is not None
        for _ in flight.learnt([], Path):
            continue
        with pytest.raises(QAFetchError) as refused:
            flight.rewritten(b"", part10.EXPLICIT_LITTLE)
        return str(refused.value)

    trouble.append(OSError(24, "Too many open files"))
    assert refusal() == "an object is not sent before who becomes whom is kept. Ask for it again."
    assert caplog.messages == ["an object of the patients cannot be read (Too many open files), so nothing is sent"]
    trouble.append(BadArchive("it is damaged."))
    for read in (["1.1", "1.2"], ["1.2"], []):
        assert "before who becomes whom is kept" not in refusal()
        assert learnt == read


def test_settings_are_relative_to_the_file_that_has_them(tmp_path: Path) -> None:
    """A profile by its name stays one; without services such a peer asks for nothing."""
    assert PROFILES == SHIPPED
    peers = {
        "A": {"anonymise": "a.key", "anonymise_profile": "research-rt"},
        "B": {"anonymise": "keys/b.key", "anonymise_profile": "site.toml", "services": ["get"]},
    }
    init(tmp_path, {}, peers)
    one, other = load(tmp_path).peers["A"], load(tmp_path).peers["B"]
    assert (one.anonymise, one.anonymise_profile) == (tmp_path / "a.key", "research-rt")
    assert one.services == ("echo", "store", "commit")
    assert (other.anonymise, other.anonymise_profile) == (tmp_path / "keys" / "b.key", tmp_path / "site.toml")
    assert other.services == ("get",)
    assert Peer.of(one.table(), "peers.A", "test", None) == one


@pytest.mark.parametrize(
    ("peer", "node", "sentence"),
    [
        (
            {"anonymise_profile": "research-rt"},
            {},
            "peers.T has anonymise_profile but no anonymise. Add the file of a key.",
        ),
        (
            {"anonymise": "t.key", "services": ("find", "get")},
            {},
            "peers.T gets its objects anonymised, but may query who they are of. Leave find out of its services.",
        ),
        (
            {"anonymise": "t.key"},
            {"strangers": ("echo", "find", "get")},
            "peers.T gets its objects anonymised, but could ask for the originals under another AE title, since "
            "strangers may find and get. Leave that out of node.strangers.",
        ),
        (
            {"anonymise": "data/keys/t.key"},
            {},
            "peers.T: the key data/keys/t.key lies in the node's data folder. Move it to a place outside of it.",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    peer: dict[str, Any], node: dict[str, Any], sentence: str
) -> None:
    """Before the node is started."""
    given: dict[str, Any] = {"strangers": (), **node}
    with pytest.raises(ConfigError) as wrong:
        NodeOptions(Path("data"), peers={"T": Peer(**peer)}, **given)
    assert str(wrong.value) == f"the node's options: {sentence}"


def test_a_node_does_not_start_without_the_key(tmp_path: Path) -> None:
    """A new one would give everybody another code than the site knows."""
    peers = {"T": Peer(anonymise=tmp_path / "t.key")}
    with (
        pytest.raises(ConfigError) as wrong,
        NodeProcess(NodeOptions(tmp_path / "node", port=0, strangers=(), peers=peers)),
    ):
        raise AssertionError("it started")
    assert str(wrong.value) == (
        f"the key {tmp_path / 't.key'} cannot be read (No such file or directory). Name the file of the key."
    )
    assert not (tmp_path / "t.key").exists()
