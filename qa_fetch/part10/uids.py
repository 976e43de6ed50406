"""UIDs and other values as they come from peers, and as names of files and folders."""

from __future__ import annotations

import hashlib
import re
import unicodedata

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"

IMPLEMENTATION_UID = "2.25.8572683078037849131607500903248866208"
IMPLEMENTATION_NAME = b"QA_FETCH"

_LONGEST_PART = 64  # characters of a folder's name
_UID = re.compile(r"[0-9]+(\.[0-9]+)*\Z")


def clean_uid(value: object) -> str:
    """A UID without the NUL or spaces that some peers leave around it."""
    return str(value).strip("\0 \t\r\n")


def file_stem(uid: str) -> str:
    """A name for files that hold this UID: the UID where it is one, else a digest, so a peer never chooses a path."""
    if len(uid) <= 64 and _UID.match(uid):
        return uid
    return "x-" + hashlib.sha256(uid.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def plain(text: str) -> str:
    """A value of a peer as a part of a path, as PACSMAN writes it: no spaces, and ``_`` for what is no letter or digit.

    Letters lose their accents; what begins with ``sub-`` or with a number is never a device of Windows.
    """
    letters = unicodedata.normalize("NFD", text).encode("ascii", "ignore").decode("ascii")
    return re.sub("[^0-9A-Za-z]+", "_", letters.replace(" ", ""))[:_LONGEST_PART]
