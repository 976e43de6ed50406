"""Commands as processes: signals, pipes, encodings and terminals, which a call within Python does not show."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from peers.client import store
from peers.course import PATIENT, Course, plan
from peers.process import LOOPBACK, free_port
from pydicom import config as pydicom_config
from pydicom.dataelem import DataElement

import qa_fetch
from qa_fetch import part10

COMMAND = [sys.executable, "-m", "qa_fetch.cli"]


def environment(**more: str) -> dict[str, str]:
    """This one, with the package of this test."""
    return {**os.environ, "PYTHONPATH": str(Path(qa_fetch.__file__).parents[1]), **more}


def ran(*arguments: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    """A command in a process of its own."""
    return subprocess.run([*COMMAND, *arguments], capture_output=True, env=environment(**more), timeout=60)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_receive_says_what_it_received_when_it_is_ended(how: int, course: Course, tmp_path: Path) -> None:
    """As systemd and as Ctrl-C end it: in good order, with its counts, exit code 0."""
    port = free_port()
    arguments = ["receive", "--port", str(port), "--ae-title", "QATRACK", "--to", "inbox"]
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"receiving as QATRACK on port {port}; Ctrl-C ends it\n"

        class Us:
            ae_title = "QATRACK"

        Us.port = port  # type: ignore[attr-defined]  # a peer is a title and a port
        store(Us(), course.newest.images)  # type: ignore[arg-type]
        process.send_signal(how)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (out, err, process.returncode) == ("4 received, 0 refused\n", "", 0)
    assert {path.stem for path in (tmp_path / "inbox").iterdir()} == set(course.newest.uids)


def test_receive_on_a_port_that_is_taken_ends_with_1() -> None:
    """One line; a port that is none, or a file for a folder, is wrong use."""
    with socket.socket() as holder:
        holder.bind((LOOPBACK, 0))
        holder.listen()
        taken = holder.getsockname()[1]
        ended = ran("receive", "--port", str(taken))
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert ended.stderr.decode().startswith(f"qa-fetch: port {taken} of this machine was in use by another program")
    assert ended.stderr.count(b"\n") == 1
    ended = ran("receive", "--port", "70000")
    assert (ended.returncode, ended.stderr) == (
        2,
        b"qa-fetch: port cannot be 70000. Give a whole number from 1 to 65535.\n",
    )
    Path("inbox").write_text("a file")
    ended = ran("receive", "--port", str(free_port()), "--to", "inbox")
    assert (ended.returncode, ended.stderr) == (
        2,
        b"qa-fetch: inbox cannot be used for what arrives (File exists). Give a folder that this user may write.\n",
    )


def test_help_version_and_wrong_use_without_an_installed_script(course_files: Path) -> None:
    """``python -m qa_fetch.cli`` is the same command."""
    assert ran("--version").stdout.decode() == f"qa-fetch {qa_fetch.__version__}\n"
    assert ran("--help").returncode == 0
    nothing = ran("echo")
    assert (nothing.returncode, nothing.stdout) == (2, b"")
    assert nothing.stderr.decode() == (
        "qa-fetch: no archive is configured. Write qa_fetch.toml (the README has one to copy), "
        "or name one inline such as dimse://AET@host:port.\n"
    )


def test_a_reader_that_goes_away_is_no_traceback(course_files: Path) -> None:
    """As with ``qa-fetch find ... | head -1``."""
    find = [*COMMAND, "find", f"folder:{course_files}", "IMAGE", f"PatientID={PATIENT}", "--json"]
    process = subprocess.Popen(find, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait(20)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_name_that_the_output_has_no_letters_for_is_shown_all_the_same(encoding: str, tmp_path: Path) -> None:
    """Windows pipes have few letters; JSON stays JSON, and a table stays a table."""
    made = plan("Łódź 日本")
    part10.write(made, tmp_path / "plan.dcm")
    asked = ["find", f"folder:{tmp_path}", "IMAGE", f"PatientID={PATIENT}"]
    found = ran(*asked, "--json", PYTHONIOENCODING=encoding)
    assert found.stderr == b""
    assert json.loads(found.stdout.decode(encoding))[0]["RTPlanLabel"] == "Łódź 日本"
    table = ran(*asked, PYTHONIOENCODING=encoding)
    assert (table.returncode, table.stderr) == (0, b"")
    assert made.SOPInstanceUID in table.stdout.decode(encoding)


def _in_terminal(*arguments: str, columns: int = 100) -> str:
    """What a person sees in a terminal of this width."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=theirs, stderr=theirs, env=environment(TERM="xterm", NO_COLOR="1")
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # how Linux says that the other end has closed
            break
        if not piece:
            break
        seen += piece
    os.close(ours)
    process.wait(20)
    return seen.decode().replace("\r\n", "\n")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals of this sort")
def test_a_table_that_a_terminal_has_no_room_for_becomes_a_list(course_files: Path, course: Course) -> None:
    """Twelve columns folded to six letters each are not readable, and a UID in pieces cannot be copied."""
    asked = [
        "find",
        f"folder:{course_files}",
        "SERIES",
        f"PatientID={PATIENT}",
        f"SeriesInstanceUID={course.newest.series.uid}",
    ]
    seen = _in_terminal(*asked)
    assert f"SeriesInstanceUID               {course.newest.series.uid}\n" in seen
    assert seen.endswith("1 found\n")
    wide = _in_terminal(*asked, columns=400)
    assert len([line for line in wide.splitlines() if course.newest.series.uid in line and "RTIMAGE" in line]) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals of this sort")
def test_what_an_archive_holds_does_not_command_the_terminal(tmp_path: Path) -> None:
    """A label may hold an escape sequence that clears the screen, or a line that looks like ours."""
    evil = plan("A")
    tag = evil.data_element("RTPlanLabel").tag
    evil.add(DataElement(tag, "SH", "A\x1b[2J\nB", validation_mode=pydicom_config.IGNORE))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        part10.write(evil, tmp_path / "plan.dcm")
    for columns in (60, 400):
        seen = _in_terminal("find", f"folder:{tmp_path}", "IMAGE", f"PatientID={PATIENT}", columns=columns)
        assert "\x1b[2J" not in seen
        assert "A [2J B" in seen
