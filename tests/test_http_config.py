"""Archives behind HTTP in the configuration and written inline."""

from __future__ import annotations

from typing import Any

import pytest

from qa_fetch import Archive
from qa_fetch.config import Config, inline_name, parse_address
from qa_fetch.config.layers import Layer
from qa_fetch.errors import ConfigError

URL = "an http or https address without user and password"


def refused(call: Any, *arguments: Any, **keywords: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        call(*arguments, **keywords)
    return str(caught.value)


@pytest.mark.parametrize(
    ("address", "fields"),
    [
        ("orthanc+http://127.0.0.1:8042", {"kind": "orthanc", "url": "http://127.0.0.1:8042"}),
        ("orthanc+https://pacs/orthanc/", {"kind": "orthanc", "url": "https://pacs/orthanc/"}),
        ("ORTHANC+HTTP://me@pacs:8042", {"kind": "orthanc", "url": "http://pacs:8042", "user": "me"}),
        ("dicomweb+https://d%C3%B6@[::1]:8443/dicom-web",
         {"kind": "dicomweb", "url": "https://[::1]:8443/dicom-web", "user": "dö"}),
        ("dicomweb+http://pacs/root", {"kind": "dicomweb", "url": "http://pacs/root"}),
    ],
)  # fmt: skip
def test_an_address_says_kind_url_and_user(address: str, fields: dict[str, str]) -> None:
    """Everything else has defaults."""
    assert parse_address(address) == fields
    assert inline_name(address) in ("127.0.0.1", "pacs", "::1")
    assert Config([]).archive(address)["url"] == fields["url"].rstrip("/")


@pytest.mark.parametrize("rest", ["", "//", "//me@", "//h:0", "//h:70000", "//h:x", "//h?x=1", "//h#x", "//[::1"])
def test_half_an_address_shows_how_to_write_a_whole_one(rest: str) -> None:
    """Nothing in it is dropped without a word."""
    assert refused(parse_address, f"dicomweb+https:{rest}") == (
        f"'dicomweb+https:{rest}' is not an archive's address. Write it as dicomweb+https://host:port/root "
        "or with user@ before the host; the password comes from QA_FETCH_PASSWORD."
    )


def test_a_password_in_an_address_is_refused_without_showing_it() -> None:
    """Addresses end up in logs, in shell histories and on screens."""
    assert refused(parse_address, "orthanc+http://me:geheim@h:8042") == (
        "'orthanc+http://me:(hidden)@h:8042' is not an archive's address. Write it as orthanc+http://host:port "
        "or with user@ before the host; the password comes from QA_FETCH_PASSWORD."
    )


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("pacs:8042", "'pacs:8042'"),
        ("ftp://pacs", "'ftp://pacs'"),
        ("http://", "'http://'"),
        ("http://me@pacs", "'http://me@pacs'"),
        ("http://me:geheim@pacs", "'http://me:(hidden)@pacs'"),
        ("http://pacs?x=1", "'http://pacs?x=1'"),
        ("http://pacs:99999", "'http://pacs:99999'"),
        ("http://pa cs", "'http://pa cs'"),
        ("http://pacs/ä", "'http://pacs/ä'"),
        (8042, "8042"),
    ],
)
def test_a_url_is_an_address_and_nothing_else(url: Any, shown: str) -> None:
    """Users and passwords have settings of their own."""
    assert refused(Config([]).archive, kind="orthanc", url=url) == f"arguments: url is {shown}; expected {URL}."


def test_settings_are_shown_with_their_origins_and_without_secrets() -> None:
    """``qa-fetch config`` prints where a secret lies, never what it is."""
    table = {"kind": "dicomweb", "url": "https://pacs/dicom-web/", "user": "me", "password_file": "/run/pacs"}
    shown = {
        one.key: (str(one.value), one.origin)
        for one in Config([Layer("file f", {"archives": {"pacs": table}})]).settings()
    }
    assert shown["archives.pacs.url"] == ("https://pacs/dicom-web", "file f")
    assert shown["archives.pacs.password_file"] == ("/run/pacs", "file f")
    assert shown["archives.pacs.timeout"] == ("15.0", "built-in default")
    assert refused(Config([]).archive, kind="orthanc", url="http://h", password="geheim") == (
        "arguments: password is not a setting of a orthanc archive; expected one of url, user, password_env, "
        "password_file, token_env, token_file, ca_file, certificate_file, key_file, one_plan_per_series, timeout, "
        "budget, also. Did you mean password_env?"
    )


def test_a_repr_shows_no_address() -> None:
    """Whose archive it is may be secret too."""
    assert repr(Archive("orthanc+http://me@pacs:8042")) == "<Archive pacs (orthanc)>"
