"""Storage commitment: an archive's word is waited for wherever it comes, and what it does not say is no yes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
from commands import Ran, failed
from peers.course import Course, write_all
from peers.doubles import ScriptedArchive
from peers.http_double import HttpDouble, WebArchive
from peers.orthanc import Orthanc
from peers.process import LOOPBACK, Missing, free_port, skip_or_fail
from peers.wire import Association, Message, decode
from pydicom.dataset import Dataset

from qa_fetch import Archive, ConfigError, ConnectionFailed, Incomplete, Refused, part10
from qa_fetch.receive import receive

TITLE = "QATRACK"
SERVICE, INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
N_EVENT_REPORT, N_ACTION = 0x0100, 0x0130


class Asked:
    """A request for commitment, and the ways of answering it."""

    def __init__(self, voucher: Voucher, association: Association, message: Message) -> None:
        self.voucher = voucher
        self.association = association
        self._message = message
        dataset = decode(message.data, association.contexts[message.context].accepted)
        self.transaction = str(dataset.TransactionUID)
        self.uids = [str(item.ReferencedSOPInstanceUID) for item in dataset.ReferencedSOPSequence]

    def accept(self, status: int = 0x0000) -> None:
        """Answer the N-ACTION."""
        command = {
            "AffectedSOPClassUID": SERVICE,
            "CommandField": N_ACTION | 0x8000,
            "MessageIDBeingRespondedTo": self._message.command.MessageID,
            "Status": status,
            "AffectedSOPInstanceUID": INSTANCE,
        }
        self.association.send(self._message.context, command)

    def report(
        self,
        kept: Sequence[str],
        failures: Sequence[tuple[str, int]] = (),
        *,
        over: Optional[Association] = None,
        transaction: str = "",
    ) -> None:
        """Send an N-EVENT-REPORT and read what is said to it."""
        association = over or self.association
        dataset = Dataset()
        dataset.TransactionUID = transaction or self.transaction
        dataset.ReferencedSOPSequence = [_item(uid) for uid in kept]
        if failures:
            dataset.FailedSOPSequence = [_item(uid, reason) for uid, reason in failures]
        command = {
            "AffectedSOPClassUID": SERVICE,
            "CommandField": N_EVENT_REPORT,
            "MessageID": association.next_message(),
            "AffectedSOPInstanceUID": INSTANCE,
            "EventTypeID": 2 if failures else 1,
        }
        context = association.context_for(SERVICE)
        assert context is not None
        association.send(context, command, part10.encode(dataset, association.contexts[context].accepted))
        answer = association.read().command
        self.voucher.acknowledged.append((int(answer.CommandField), int(answer.Status)))

    def call_back(self, *arguments: Any, **more: Any) -> None:
        """Report over an association of its own."""
        association = Association.request((LOOPBACK, self.voucher.back), TITLE, "SCRIPTED", [SERVICE])
        try:
            self.report(*arguments, over=association, **more)
        finally:
            association.release()


def _item(uid: str, reason: int = 0) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.481.1", uid
    if reason:
        item.FailureReason = reason
    return item


Way = Callable[[Asked], Any]


class Voucher(ScriptedArchive):
    """An archive that is asked to commit, and says what a test wants it to say."""

    def __init__(self, way: Way, *, offers: bool = True) -> None:
        super().__init__()
        self.back = free_port()
        self.acknowledged: list[tuple[int, int]] = []
        self.asked: list[Asked] = []
        self._way, self._offers = way, offers

    def _offered(self, proposed: Any) -> dict[str, bool]:
        return {**super()._offered(proposed), **({SERVICE: False} if self._offers else {})}

    def _answer(self, association: Association, message: Message) -> None:
        if message.command.CommandField != N_ACTION:
            return super()._answer(association, message)
        self.asked.append(Asked(self, association, message))
        return self._way(self.asked[-1])

    def archive(self, **fields: Any) -> Archive:
        return Archive(self.address, **{"local_ae_title": TITLE, "local_port": self.back, **fields})


@pytest.fixture
def files(course: Course, tmp_path: Path) -> list[Path]:
    """Four files to send."""
    return write_all(course.newest.images, tmp_path / "out")


# --- a real one


@pytest.fixture(scope="module")
def orthanc() -> Iterator[Orthanc]:
    """It calls back for its report."""
    try:
        running = Orthanc({TITLE: (LOOPBACK, free_port())})
    except Missing as missing:
        skip_or_fail(missing)
    with running:
        yield running


def committed_by(orthanc: Orthanc, files: Sequence[Path]) -> list[str]:
    """What Orthanc says of files."""
    port = orthanc.destinations[TITLE][1]
    archive = Archive(orthanc.address, local_ae_title=TITLE, local_port=port)
    return [sent.problem for sent in archive.send(files, commit=True)]


def test_orthanc_commits_to_what_it_was_sent(orthanc: Orthanc, files: list[Path]) -> None:
    """Its report comes to the port that is opened for the length of the call."""
    assert committed_by(orthanc, files) == [""] * 4


def test_the_receiver_that_is_always_on_hands_the_report_over(
    orthanc: Orthanc, files: list[Path], tmp_path: Path
) -> None:
    """In a thread of this process; nothing is left in its mailbox, not even what nobody has asked for since days."""
    ready, end, port = threading.Event(), threading.Event(), orthanc.destinations[TITLE][1]
    mailbox = tmp_path / "shelf" / "receivers" / str(port) / "commitments"
    mailbox.mkdir(parents=True)
    (mailbox / "1.2.3.json").write_text('["1.2.3", [], {}]')
    os.utime(mailbox / "1.2.3.json", (time.time() - 90_000,) * 2)
    options = {"port": port, "ae_title": TITLE, "until": end, "ready": lambda *_: ready.set()}
    thread = threading.Thread(target=receive, kwargs=options)
    thread.start()
    try:
        assert ready.wait(10)
        assert committed_by(orthanc, files) == [""] * 4
    finally:
        end.set()
        thread.join()
    assert list(mailbox.iterdir()) == []


def test_so_does_one_in_another_process(orthanc: Orthanc, files: list[Path]) -> None:
    """As it is run in a clinic."""
    port = orthanc.destinations[TITLE][1]
    run = f"receive(port={port}, ae_title='{TITLE}', ready=lambda *_: print('on', flush=True))"
    code = f"from qa_fetch.receive import receive; {run}"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "on\n"
            assert committed_by(orthanc, files) == [""] * 4
        finally:
            process.kill()


# --- where the report comes from


def steps(*names: str) -> Way:
    """What an archive does, one after another."""

    def strangers(asked: Asked) -> None:
        asked.report([], [(uid, 0x0112) for uid in asked.uids], transaction="1.2.3.4")
        asked.call_back([], [(uid, 0x0112) for uid in asked.uids], transaction="1.2.3.5")

    known: dict[str, Way] = {
        "accept": lambda asked: asked.accept(),
        "report": lambda asked: asked.report(asked.uids),
        "call back": lambda asked: asked.call_back(asked.uids),
        "abort": lambda asked: asked.association.abort(),
        "release": lambda asked: asked.association.release(),
        "wait": lambda asked: time.sleep(0.3),
        "answer others": strangers,
    }

    return lambda asked: [known[name](asked) for name in names]


same_association = steps("accept", "report")


@pytest.mark.parametrize(
    "names",
    [
        ("accept", "report"),
        ("accept", "wait", "report"),
        ("accept", "call back"),
        ("call back", "accept"),
        ("accept", "abort", "call back"),
        ("accept", "release", "call back"),
        ("accept", "answer others", "report"),
    ],
    ids=" then ".join,
)
def test_the_report_is_found_and_acknowledged(files: list[Path], names: tuple[str, ...]) -> None:
    """On the same association or another one, sooner or later, among strangers."""
    with Voucher(steps(*names)) as voucher:
        sent = voucher.archive().send(files, commit=True)
    assert [(one.path, one.problem) for one in sent] == [(path, "") for path in files]
    assert set(voucher.acknowledged) == {(N_EVENT_REPORT | 0x8000, 0x0000)}
    (asked,) = voucher.asked
    assert asked.uids == [path.stem for path in files]


# --- what is no yes


def broken(voucher: Voucher, files: Sequence[Path]) -> Incomplete:
    """How the call fails."""
    with voucher, pytest.raises(Incomplete) as caught:
        voucher.archive().send(files, commit=True)
    return caught.value


def test_an_object_that_the_archive_lost_is_named(files: list[Path]) -> None:
    """With the archive's reason; the others are told too."""

    def way(asked: Asked) -> None:
        asked.accept()
        asked.report(asked.uids[1:], [(asked.uids[0], 0x0110)])

    error = broken(Voucher(way), files)
    reason = "SCRIPTED failed while processing (storage commitment 0x0110). Its log says why; try again later"
    assert str(error) == f"1 of 4 files were not committed to by SCRIPTED; the first: {reason}."
    assert list(error.missing) == [str(files[0])]
    assert [one.problem for one in error.outcome] == [reason, "", "", ""]  # type: ignore[attr-defined]


def test_an_object_of_which_nothing_is_said_is_not_vouched_for(files: list[Path]) -> None:
    """Silence is no yes; nor is the word for objects that were not asked about."""

    def way(asked: Asked) -> None:
        asked.accept()
        asked.report([*asked.uids[:3], "1.2.3"])

    error = broken(Voucher(way), files)
    assert list(error.missing) == [str(files[3])]
    assert str(error) == (
        "1 of 4 files were not committed to by SCRIPTED; the first: SCRIPTED did not say whether it commits to it. "
        "Ask again, or look there."
    )


def test_a_refused_request_is_told(files: list[Path]) -> None:
    """The objects are there all the same."""
    with Voucher(lambda asked: asked.accept(0x0110)) as voucher, pytest.raises(Refused) as caught:
        voucher.archive().send(files, commit=True)
    assert str(caught.value) == "SCRIPTED failed while processing (N-ACTION 0x0110). Its log says why; try again later."
    assert len(voucher.datasets) == 4


def test_an_archive_without_the_service_says_so(files: list[Path]) -> None:
    """It accepts the association and not the context."""
    with Voucher(same_association, offers=False) as voucher, pytest.raises(Refused) as caught:
        voucher.archive().send(files, commit=True)
    assert str(caught.value) == (
        "SCRIPTED does not support this kind of object or query (N-ACTION 0x0122). "
        "Its conformance statement lists what it supports."
    )
    assert voucher.asked == []


@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves"])
def test_an_archive_that_never_reports_costs_the_budget_and_no_more(files: list[Path], leaves: bool) -> None:
    """And is said to have the objects."""
    began = time.monotonic()
    with Voucher(steps("accept", *["abort"] * leaves)) as voucher, pytest.raises(ConnectionFailed) as caught:
        voucher.archive(budget=0.5).send(files[:1], commit=True)
    assert str(caught.value) == (
        "SCRIPTED has the objects, but has not said in time that it commits to them. "
        f"Check that it can reach {TITLE} at this host's port {voucher.back}, and allow more with budget=."
    )
    assert caught.value.retriable and time.monotonic() - began < 4


def test_a_file_that_vanishes_before_the_archive_is_asked_is_named(files: list[Path]) -> None:
    """It was sent, but what it was can no longer be said; the others are vouched for."""

    class Thief(Voucher):
        def _store(self, association: Association, message: Message) -> None:
            if str(message.command.AffectedSOPInstanceUID) == files[3].stem:
                files[3].unlink()
            super()._store(association, message)

    error = broken(Thief(same_association), files)
    assert str(error) == (
        "1 of 4 files were not committed to by SCRIPTED; the first: "
        f"{files[3].name} cannot be read (No such file or directory)."
    )


# --- archives that cannot


def test_other_sorts_of_archive_refuse_before_anything_is_sent(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is half done."""
    (tmp_path / "folder").mkdir()
    with HttpDouble(WebArchive([])) as web:
        for address, name in (
            (f"folder:{tmp_path / 'folder'}", "folder (folder)"),
            (f"dicomweb+{web.url}/dicom-web", f"{LOOPBACK} (dicomweb)"),
            (f"orthanc+{web.url}", f"{LOOPBACK} (orthanc)"),
        ):
            with pytest.raises(ConfigError) as caught:
                Archive(address).send(files, commit=True)
            assert str(caught.value) == f"{name} offers no storage commitment. Leave it out."
        assert web.asked == []
    ran = Ran(capsys, ("send", f"folder:{tmp_path / 'folder'}", "--commit", *files))
    failed(ran, 2, "folder (folder) offers no storage commitment. Leave it out.")
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.parametrize("what", ["several", "pynetdicom"])
def test_ways_that_cannot_commit_refuse_before_anything_is_sent(files: list[Path], tmp_path: Path, what: str) -> None:
    """A wrong setting means that nothing was sent, however many ways there are and whichever transport."""
    (tmp_path / "folder").mkdir()
    with Voucher(same_association) as voucher:
        if what == "several":
            archive = Archive(f"folder:{tmp_path / 'folder'}", also=[voucher.address])
        else:
            archive = voucher.archive(transport="pynetdicom")
        with pytest.raises(ConfigError):
            archive.send(files, commit=True)
        assert (voucher.datasets, list((tmp_path / "folder").iterdir())) == ([], [])


# --- the command


@contextmanager
def configured(way: Way) -> Iterator[Voucher]:
    """An archive that the configuration calls pacs."""
    with Voucher(way) as voucher:
        Path("qa_fetch.toml").write_text(
            f'[local]\nae_title = "{TITLE}"\nport = {voucher.back}\n[archives.pacs]\nkind = "dimse"\n'
            f'ae_title = "SCRIPTED"\nhost = "{LOOPBACK}"\nport = {voucher.port}\n'
        )
        yield voucher


def test_the_command_says_that_the_archive_commits(files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    """One line, 0."""
    with configured(same_association):
        ran = Ran(capsys, ("send", "pacs", "--commit", *files))
    assert (ran.out, ran.err, ran.code) == ("4 sent to pacs, which commits to them\n", "", 0)


def test_the_command_lists_what_the_archive_does_not_commit_to(
    files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Path and reason, 1; as JSON every file."""

    def way(asked: Asked) -> None:
        asked.accept()
        asked.report(asked.uids[1:], [(asked.uids[0], 0x0110)])

    reason = "pacs failed while processing (storage commitment 0x0110). Its log says why; try again later"
    with configured(way):
        ran = Ran(capsys, ("send", "pacs", "--commit", *files))
        machine = Ran(capsys, ("send", "pacs", "--commit", "--json", *files))
    assert ran.rows[1:] == [[str(files[0]), reason]]
    assert ran.err == f"qa-fetch: 1 of 4 files were not committed to by pacs; the first: {reason}.\n"
    assert ran.code == 1
    assert [(one["path"], one["problem"]) for one in machine.json] == [
        (str(path), reason if path == files[0] else "") for path in files
    ]
    assert machine.code == 1
