"""Archives and senders behind TLS: they work with the right certificates, and one sentence says what is wrong else."""

from __future__ import annotations

import gc
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pytest
from peers.course import PATIENT, Course, write_all
from peers.doubles import ScriptedArchive
from peers.lies import Lies
from peers.process import LOOPBACK, Missing, free_port, program, skip_or_fail
from peers.wire import Association, Gone
from test_pool import Tunnel
from test_sending import storescp

from qa_fetch import Archive, ConfigError, ConnectionFailed, QAFetchError, part10
from qa_fetch.backends import Local, receiver
from qa_fetch.backends.pool import POOL
from qa_fetch.receive import receive

TITLE = "QATRACK"
QUICK = 2.0  # seconds in which whoever does not fit is turned away
VERIFICATION = "1.2.840.10008.1.1"


_REQUEST = ("req", "-new", "-newkey", "rsa:2048", "-nodes")
_IDENTIFIERS = "authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\nbasicConstraints=CA:FALSE\n"


class Pair(NamedTuple):
    certificate: Path
    key: Path


class Pki:
    """An authority of our own, and what it has signed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._openssl = program("openssl", "openssl")
        self.authority = self._self_signed("authority")
        self.stranger = self._self_signed("stranger")
        self.server = self.signed("server")
        self.client = self.signed("client")
        self.locked = folder / "locked.key"
        self._run("rsa", "-aes256", "-passout", "pass:sesame", "-in", self.client.key, "-out", self.locked)

    def _run(self, *arguments: object) -> None:
        subprocess.run([self._openssl, *map(str, arguments)], check=True, capture_output=True, cwd=self._folder)

    def _self_signed(self, name: str) -> Pair:
        pair = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        more = (f"subjectAltName=IP:{LOOPBACK}", "keyUsage=critical,keyCertSign,digitalSignature")
        subject = ("-subj", f"/CN=qa_fetch {name}", *(part for one in more for part in ("-addext", one)))
        self._run(*_REQUEST, "-x509", "-days", "2", *subject, "-keyout", pair.key, "-out", pair.certificate)
        return pair

    def signed(self, name: str, host: str = f"IP:{LOOPBACK}", days: int = 2, more: str = _IDENTIFIERS) -> Pair:
        """A certificate that the authority has signed."""
        certificate, key, asked, extra = (self._folder / f"{name}{end}" for end in (".pem", ".key", ".csr", ".cnf"))
        self._run(*_REQUEST, "-subj", f"/CN=qa_fetch {name}", "-keyout", key, "-out", asked)
        extra.write_text(f"subjectAltName={host}\n{more}", "ascii")
        by = ("-CA", self.authority.certificate, "-CAkey", self.authority.key, "-CAcreateserial")
        self._run("x509", "-req", "-in", asked, *by, "-days", days, "-extfile", extra, "-out", certificate)
        return Pair(certificate, key)

    def accepting(self, pair: Pair, *, demands: bool = False, most: Any = None) -> ssl.SSLContext:
        """How a server encrypts, that may want a certificate of whoever calls."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        if demands:
            context.load_verify_locations(self.authority.certificate)
            context.verify_mode = ssl.CERT_REQUIRED
        if most is not None:
            context.maximum_version = most
        return context

    def calling(self, pair: Optional[Pair] = None) -> ssl.SSLContext:
        """How a client encrypts, with a certificate of its own or without one."""
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        if pair is not None:
            context.load_cert_chain(*pair)
        return context


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Certificates, made once."""
    try:
        return Pki(tmp_path_factory.mktemp("pki"))
    except Missing as missing:
        skip_or_fail(missing)


@pytest.fixture(autouse=True)
def nothing_left(alone: None, caplog: pytest.LogCaptureFixture, pki: Pki) -> Iterator[None]:
    """No socket stays open, and no log holds a line of a key."""
    caplog.set_level("DEBUG")
    folder = Path("/proc/self/fd")
    before = len(list(folder.iterdir())) if folder.is_dir() else 0
    yield
    POOL.clear()
    gc.collect()
    assert not before or len(list(folder.iterdir())) <= before
    check_no_key(pki, caplog.text)


def check_no_key(pki: Pki, text: str) -> None:
    """No line of any key of ours is in a text."""
    keys = [pair.key.read_text("ascii") for pair in (pki.authority, pki.stranger, pki.server, pki.client)]
    assert not [line for key in keys for line in key.splitlines() if line in text]


def archive(port: int, pki: Pki, **fields: Any) -> Archive:
    """A double behind TLS."""
    given = {"tls": True, "ca_file": pki.authority.certificate, "timeout": 3, "local_ae_title": TITLE, **fields}
    return Archive(f"dimse://SCRIPTED@{LOOPBACK}:{port}", **given)


def not_agreed(port: int, error: QAFetchError) -> bool:
    """Whether the sentence is the one for a handshake that failed."""
    return re.sub(r"\(\w+\)", "(its name)", str(error)) == (
        f"SCRIPTED: 127.0.0.1:{port} does not agree on an encrypted connection (its name). Check that it speaks TLS on "
        "this port, and whether it wants a certificate of ours (certificate_file, key_file)."
    )


def failure(port: int, pki: Pki, **fields: Any) -> QAFetchError:
    """How a question fails."""
    with pytest.raises(QAFetchError) as caught:
        archive(port, pki, **fields).find("STUDY", PatientID=PATIENT)
    check_no_key(pki, str(caught.value))
    return caught.value


# --- archives


@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_an_archive_behind_tls_is_asked_fetched_from_and_sent_to(
    pki: Pki, course: Course, tmp_path: Path, most: Any
) -> None:
    """Everything is as without it, and the association is used again."""
    with ScriptedArchive(course.datasets) as double, Tunnel(double.port, pki.accepting(pki.server, most=most)) as tls:
        opened = archive(tls.port, pki, retrieve="get")
        assert list(opened.latest(PATIENT, plan="WL_6X", approved=True).uids) == course.newest.uids
        before = len(double.callers)
        assert len(opened.find("STUDY", PatientID=PATIENT)) == len(opened.find("STUDY", PatientID=PATIENT)) > 0
        assert len(double.callers) == before
        large = deepcopy(course.newest.images[0])
        large.SOPInstanceUID, large.PixelData = (
            "1.2.3",
            bytes(range(256)) * 8192,
        )  # several TLS records
        opened.send(write_all([large], tmp_path / "out"))
        assert opened.fetch(instance="1.2.3").dataset.PixelData == large.PixelData


def test_dcmtk_takes_objects_over_tls(pki: Pki, course: Course, tmp_path: Path) -> None:
    """It wants a certificate of ours, as its default is, and serves one association at a time."""
    ours = {"certificate_file": pki.client.certificate, "key_file": pki.client.key, "keep_open": 0}
    with storescp("+tls", pki.server.key, pki.server.certificate, "+cf", pki.authority.certificate) as peer:
        opened = archive(peer.port, pki, **ours)
        opened.send(write_all(course.newest.images, tmp_path / "out"))
        steps = {step.name: step.works for step in opened.echo()}
        assert (steps["association"], steps["echo"]) == (True, True)
        assert not_agreed(peer.port, failure(peer.port, pki))


def test_certificates_that_do_not_fit_are_named(pki: Pki) -> None:
    """Of another authority, for another host, expired: each with what OpenSSL says of it, and what to set."""
    cases = [
        (pki.server, pki.stranger.certificate, r"unable to get local issuer certificate"),
        (pki.stranger, pki.authority.certificate, r"self.signed certificate"),
        (pki.signed("other", host="DNS:pacs.example"), pki.authority.certificate,
         r"IP address mismatch, certificate is not valid for '127\.0\.0\.1'\."),
        (pki.signed("expired", days=-1), pki.authority.certificate, r"certificate has expired"),
    ]  # fmt: skip
    for pair, authority, says in cases:
        with ScriptedArchive() as double, Tunnel(double.port, pki.accepting(pair)) as tls:
            error = failure(tls.port, pki, ca_file=authority)
        assert re.fullmatch(
            rf"SCRIPTED: the certificate of 127\.0\.0\.1:{tls.port} is not trusted \({says}\)\. "
            r"Set ca_file to the certificate of whoever signed it, and host to the name in it\.",
            str(error),
        )
        assert (type(error), error.retriable, double.callers) == (ConnectionFailed, False, [])


def test_a_certificate_without_the_newest_extensions_is_trusted_all_the_same(pki: Pki) -> None:
    """Python 3.13 wants key identifiers that many a clinic's authority has never written."""
    old = pki.signed("old", more="")
    with ScriptedArchive() as double, Tunnel(double.port, pki.accepting(old)) as tls:
        assert archive(tls.port, pki).find("STUDY", PatientID=PATIENT) == []


def test_a_plain_peer_behind_tls_is_named(pki: Pki) -> None:
    """It takes the greeting for something else."""
    with ScriptedArchive() as double:
        silent = failure(double.port, pki, timeout=0.5)
    assert not_agreed(double.port, silent)
    with storescp() as peer:
        assert not_agreed(peer.port, failure(peer.port, pki))


def test_a_peer_that_wants_tls_and_does_not_get_it_is_named(pki: Pki) -> None:
    """It hangs up, or answers with an alert."""
    encrypted = ("-ic", "+tls", pki.server.key, pki.server.certificate, "+cf", pki.authority.certificate)
    with ScriptedArchive() as double, Tunnel(double.port, pki.accepting(pki.server)) as tls, storescp(*encrypted) as it:
        for port in (tls.port, it.port):
            assert str(failure(port, pki, tls=False, ca_file=None)) == (
                f"SCRIPTED: 127.0.0.1:{port} accepts connections but does not answer as a DICOM archive. "
                "Check host and port."
            )


@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_an_archive_that_wants_a_certificate_of_ours(pki: Pki, course: Course, most: Any) -> None:
    """With one it works; without one, or with one of a stranger, the sentence names the settings."""
    accept = pki.accepting(pki.server, demands=True, most=most)
    with ScriptedArchive(course.datasets) as double, Tunnel(double.port, accept) as tls:
        ours = {"certificate_file": pki.client.certificate, "key_file": pki.client.key}
        assert archive(tls.port, pki, **ours).find("STUDY", PatientID=PATIENT)
        strangers = {"certificate_file": pki.stranger.certificate, "key_file": pki.stranger.key}
        for fields in ({}, strangers):
            assert not_agreed(tls.port, failure(tls.port, pki, **fields))


def test_certificates_and_keys_that_cannot_be_used_are_a_wrong_setting(pki: Pki, tmp_path: Path) -> None:
    """Absent, not PEM, of another pair, behind a passphrase: nobody is asked for it at a terminal."""
    (tmp_path / "rubbish.pem").write_text("rubbish", "ascii")
    certificate, key = pki.client
    wrong: list[dict[str, Any]] = [
        {"certificate_file": tmp_path / "absent.pem", "key_file": key},
        {"certificate_file": tmp_path / "rubbish.pem", "key_file": key},
        {"certificate_file": certificate, "key_file": pki.server.key},
        {"certificate_file": certificate, "key_file": pki.locked},
        {"certificate_file": certificate},
        {"ca_file": tmp_path / "absent.pem"},
        {"ca_file": tmp_path / "rubbish.pem"},
    ]
    with ScriptedArchive() as double, Tunnel(double.port, pki.accepting(pki.server)) as tls:
        for fields in wrong:
            error = failure(tls.port, pki, **fields)
            assert re.fullmatch(
                r"SCRIPTED: a certificate cannot be read \([^()]+(\(_ssl\.c:\d+\))?\)\. Check that ca_file, "
                r"certificate_file and key_file name PEM files that this user may read, "
                r"and that the key belongs to the certificate and has no passphrase\.",
                str(error),
            )
            assert type(error) is ConfigError


def test_pynetdicoms_transport_does_not_pretend_to_encrypt(pki: Pki, tmp_path: Path) -> None:
    """Neither asking nor receiving."""
    assert str(failure(104, pki, transport="pynetdicom")) == (
        'SCRIPTED: pynetdicom\'s transport is not offered with TLS here. Leave out transport, or set it to "own".'
    )
    local = Local(TITLE, LOOPBACK, free_port(), tmp_path, "pynetdicom", *pki.server)
    with pytest.raises(ConfigError) as caught:
        receiver.start(local, lambda *_: None)
    assert str(caught.value) == (
        "pynetdicom's transport does not receive over TLS here. "
        'Leave out transport, or set it to "own"; or leave out certificate_file of [local].'
    )


# --- what comes to us


def configure(pki: Pki, **more: object) -> None:
    """A certificate for our own port."""
    lines = {
        "host": f'"{LOOPBACK}"',
        "certificate_file": f'"{pki.server[0]}"',
        "key_file": f'"{pki.server[1]}"',
        **more,
    }
    text = "".join(f"{key} = {value}\n" for key, value in lines.items())
    Path("qa_fetch.toml").write_text(f"[local]\n{text}", "utf-8")


@contextmanager
def receiving(pki: Pki, folder: Path, *, demands: bool = False) -> Iterator[int]:
    """The always-on receiver with a certificate; the port it listens on."""
    port = free_port()
    configure(pki, port=port, ae_title=f'"{TITLE}"', **({"ca_file": f'"{pki.authority[0]}"'} if demands else {}))
    ready, end = threading.Event(), threading.Event()
    thread = threading.Thread(
        target=receive, kwargs={"to": folder, "until": end, "ready": lambda *_: ready.set()}, daemon=True
    )
    thread.start()
    try:
        assert ready.wait(10)
        yield port
    finally:
        end.set()
        thread.join(20)


def storescu(port: int, options: Sequence[object], files: Sequence[Path]) -> int:
    """DCMTK's sender; its exit code."""
    try:
        command = [program("storescu", "dcmtk"), "-to", "5", "-aec", TITLE]
    except Missing as missing:
        skip_or_fail(missing)
    command += map(str, [*options, LOOPBACK, port, *files])
    return subprocess.run(command, capture_output=True, timeout=30).returncode


def turned_away(port: int, tls: Optional[ssl.SSLContext] = None) -> bool:
    """Whether a caller gets no association, and that soon."""
    began = time.monotonic()
    with ExitStack() as stack:
        if tls is not None:
            port = stack.enter_context(Tunnel(port, dial=tls)).port
        with suppress(Gone):
            Association.request((LOOPBACK, port), TITLE, "SENDER", [VERIFICATION]).release()
            return False
    assert time.monotonic() - began < QUICK
    return True


def test_senders_over_tls_are_received_from_and_others_turned_away(pki: Pki, course: Course, tmp_path: Path) -> None:
    """DCMTK's sender, a plain one, and DCMTK's again; with a ca_file also whoever shows no certificate of it."""
    files = write_all(course.newest.images, tmp_path / "out")
    theirs = ("+tls", pki.client.key, pki.client.certificate, "+cf", pki.authority.certificate)
    with receiving(pki, tmp_path / "inbox") as port:
        assert storescu(port, theirs, files[:2]) == 0
        assert turned_away(port)
        assert storescu(port, (), files) != 0
        assert not turned_away(port, pki.calling())
        assert storescu(port, theirs, files[2:]) == 0
    with receiving(pki, tmp_path / "inbox", demands=True) as port:
        assert turned_away(port) and turned_away(port, pki.calling()) and turned_away(port, pki.calling(pki.stranger))
        assert not turned_away(port, pki.calling(pki.client))
    kept = sorted((tmp_path / "inbox").iterdir())
    assert [path.name for path in kept] == sorted(path.name for path in files)
    for path, file in zip(kept, sorted(files)):
        assert part10.read(path).PixelData == part10.read(file).PixelData


def test_a_move_comes_back_over_tls(pki: Pki, course: Course) -> None:
    """The archive's sender begins TLS, our receiver of that one call ends it."""
    port = free_port()
    with Tunnel(port, dial=pki.calling()) as out, ScriptedArchive(course.datasets, Lies(get=False)) as double:
        double.know(TITLE, out.port)
        configure(pki)
        opened = Archive(double.address, local_ae_title=TITLE, local_port=port)
        assert list(opened.latest(PATIENT, plan="WL_6X", approved=True).uids) == course.newest.uids


def test_a_caller_that_never_finishes_its_greeting_does_not_delay_the_end(pki: Pki, tmp_path: Path) -> None:
    """A port scanner at the port of a move must not make the call wait."""
    local = Local(TITLE, LOOPBACK, 0, tmp_path, "own", *pki.server)
    running = receiver.start(local, lambda *_: None)
    with socket.create_connection((LOOPBACK, running.port)) as caller:
        caller.sendall(b"\x16\x03\x01")
        time.sleep(0.1)
        began = time.monotonic()
        running.close()
        assert time.monotonic() - began < QUICK
