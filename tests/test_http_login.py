"""Who we are to an archive behind HTTP, and who it is to us: passwords, tokens and certificates."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from peers.http_double import Asked, HttpDouble, Reply, certificate
from peers.orthanc import Orthanc
from peers.process import Missing, skip_or_fail

from qa_fetch import Archive, ConfigError, ConnectionFailed, QAFetchError, Refused

SECRET = "s3cret-wört"


@pytest.fixture
def double() -> Iterator[HttpDouble]:
    """A server that has no studies."""
    with HttpDouble(lambda asked: Reply(200, b"[]")) as double:
        yield double


def find(address: str, **fields: Any) -> Any:
    return Archive(address, budget=5, **fields).find("STUDY", PatientID="X")


def refused(kind: type[QAFetchError], address: str, **fields: Any) -> str:
    with pytest.raises(kind) as caught:
        find(address, **fields)
    return str(caught.value)


def test_a_password_comes_from_the_environment_or_a_file(
    double: HttpDouble, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Named by the configuration; an address that is written inline takes QA_FETCH_PASSWORD."""
    expected = f"Basic {base64.b64encode(f'me:{SECRET}'.encode()).decode()}"
    (tmp_path / "password").write_text(SECRET + "\n", encoding="utf-8")
    monkeypatch.setenv("PACS_PASSWORD", SECRET)
    address = f"dicomweb+{double.url}"
    find(address, user="me", password_env="PACS_PASSWORD")
    find(address, user="me", password_file=str(tmp_path / "password"))
    monkeypatch.setenv("QA_FETCH_PASSWORD", SECRET)
    find(address.replace("//", "//me@"))
    assert [asked.headers["Authorization"] for asked in double.asked] == [expected] * 3


def test_a_token_comes_from_the_environment_or_a_file(
    double: HttpDouble, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is read for every call, since tokens are renewed."""
    (tmp_path / "token").write_text("abc.def", encoding="utf-8")
    monkeypatch.setenv("PACS_TOKEN", "abc.def")
    find(f"orthanc+{double.url}", token_env="PACS_TOKEN")
    find(f"orthanc+{double.url}", token_file=str(tmp_path / "token"))
    (tmp_path / "token").write_text("renewed", encoding="utf-8")
    find(f"orthanc+{double.url}", token_file=str(tmp_path / "token"))
    said = [asked.headers["Authorization"] for asked in double.asked]
    assert said == ["Bearer abc.def", "Bearer abc.def", "Bearer renewed"]


def test_nobody_is_named_where_nobody_is_configured(double: HttpDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that lies in the environment goes to nobody who was not given a user."""
    monkeypatch.setenv("QA_FETCH_PASSWORD", SECRET)
    find(f"orthanc+{double.url}")
    assert "Authorization" not in double.asked[0].headers


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"user": "me"}, "user is set and no password. "
                         "Set password_env or password_file, or the environment variable QA_FETCH_PASSWORD."),
        ({"user": "me", "password_env": SECRET},
         "password_env names an environment variable that is not set. Set it."),
        ({"user": "me", "password_file": "/nowhere"},
         "password_file /nowhere cannot be read; No such file or directory."),
        ({"password_env": "HOME"}, "a password is set and no user. Set user."),
        ({"user": "me", "token_env": "HOME"}, "both a user and a token are set. Keep one of them."),
        ({"token_env": "HOME", "token_file": "/x"}, "both token_env and token_file are set. Keep one of them."),
        ({"token_env": "BROKEN"}, "the token holds characters that HTTP cannot send. Correct it."),
        ({"user": "a:b", "password_env": "HOME"}, "user holds a colon, which HTTP cannot send. Correct user."),
    ],
)  # fmt: skip
def test_a_login_that_is_half_configured_is_refused_before_anything_is_sent(
    double: HttpDouble, monkeypatch: pytest.MonkeyPatch, fields: dict[str, str], sentence: str
) -> None:
    """A password that stands where its variable's name should be is not shown either."""
    monkeypatch.setenv("BROKEN", "two\r\nlines")
    assert refused(ConfigError, f"orthanc+{double.url}", **fields) == f"127.0.0.1: {sentence}"
    assert double.asked == []


def test_no_secret_is_in_a_message_a_log_or_a_repr(
    double: HttpDouble, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the server answers, and at whatever level one listens."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("PACS_PASSWORD", SECRET)
    coded = base64.b64encode(f"me:{SECRET}".encode()).decode()

    def echoing(asked: Asked) -> Reply:
        return Reply(401, asked.headers["Authorization"].encode(), headers={"X": asked.headers["Authorization"]})

    double.script = echoing
    archive = Archive(f"orthanc+{double.url}", user="me", password_env="PACS_PASSWORD")
    with pytest.raises(Refused) as caught:
        archive.find("STUDY", PatientID="X")
    seen = f"{caught.value!r} {vars(caught.value)} {archive!r} {archive.config!r} {caplog.text}"
    seen += " ".join(step.says for step in archive.echo())
    assert SECRET not in seen and coded not in seen


def test_a_password_over_plain_http_is_warned_of_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not refused: hospitals have archives that know nothing else; on loopback nobody listens."""
    from qa_fetch.backends import open_backend
    from qa_fetch.config import Config

    monkeypatch.setenv("QA_FETCH_PASSWORD", SECRET)
    loaded = Config.load()
    for address in ("orthanc+http://me@pacs.example:8042", "orthanc+http://me@localhost:8042") * 2:
        open_backend(loaded.archive(address), loaded)
    assert caplog.messages == [
        "the password or token of pacs.example crosses the network unencrypted, since url begins with http. Use https."
    ]


def test_a_real_orthanc_lets_its_users_in_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Right, wrong and without a password."""
    try:
        running = Orthanc(users={"physicist": SECRET})
    except Missing as missing:
        skip_or_fail(missing)
    with running:
        address = running.rest_address.replace("//", "//physicist@")
        monkeypatch.setenv("QA_FETCH_PASSWORD", SECRET)
        assert find(address) == []
        assert [step.works for step in Archive(address).echo()] == [True, True, True, True]
        monkeypatch.setenv("QA_FETCH_PASSWORD", "wrong")
        sentence = (
            "127.0.0.1 wants to know who asks, or does not accept the user and password or token (HTTP 401). "
            "Check user and password_env, or token_env, of this archive."
        )
        assert refused(Refused, address) == sentence
        assert refused(Refused, running.rest_address) == sentence


# TLS


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    try:
        return certificate(tmp_path_factory.mktemp("certificate"))
    except Missing as missing:
        skip_or_fail(missing)


def test_a_self_signed_certificate_is_refused_until_it_is_named(signed: tuple[Path, Path]) -> None:
    """There is no switch that turns checking off."""
    with HttpDouble(lambda asked: Reply(200, b"[]"), signed) as double:
        address = f"dicomweb+{double.url}"
        assert refused(ConnectionFailed, address) == (
            "the certificate of 127.0.0.1 is signed by nobody whom this host trusts. "
            "Set ca_file to the certificate of its authority (PEM)."
        )
        assert double.asked == []
        assert find(address, ca_file=str(signed[0])) == []
        steps = Archive(address, ca_file=str(signed[0])).echo()
        assert [(step.name, step.works) for step in steps] == [
            ("name", True),
            ("port", True),
            ("tls", True),
            ("login", True),
            ("query", True),
        ]


def test_a_certificate_for_another_name_is_refused(signed: tuple[Path, Path]) -> None:
    """Whoever has some valid certificate is not the archive."""
    with HttpDouble(lambda asked: Reply(200, b"[]"), signed) as double:
        address = f"dicomweb+{double.url}".replace("127.0.0.1", "localhost")
        assert refused(ConnectionFailed, address, ca_file=str(signed[0])) == (
            "the certificate of localhost is not for localhost. Write the name that it is for in url."
        )


def test_https_where_http_is_spoken_says_so(double: HttpDouble) -> None:
    """The scheme is the likeliest slip."""
    assert refused(ConnectionFailed, f"dicomweb+{double.url}".replace("http", "https")) == (
        f"127.0.0.1 (127.0.0.1 port {double.port}) and this host do not agree on TLS. "
        "Check that url should begin with https, and whether it wants certificate_file and key_file."
    )


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"ca_file": "/nowhere.pem"}, "there is no file /nowhere.pem. Correct its path."),
        ({"ca_file": __file__}, "ca_file, certificate_file and key_file do not hold what TLS needs. "
                                "Give certificates and key in PEM format, the key without a passphrase."),
        ({"key_file": __file__}, "key_file is set and no certificate_file. Set both or neither."),
    ],
)  # fmt: skip
def test_files_that_hold_no_certificate_are_named(fields: dict[str, str], sentence: str) -> None:
    """Before anything is sent."""
    assert refused(ConfigError, "orthanc+https://127.0.0.1:1", **fields) == f"127.0.0.1: {sentence}"
