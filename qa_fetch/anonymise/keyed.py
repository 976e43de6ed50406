"""What a key makes of identities: the same on every machine, in every order, and of no use without the key."""

from __future__ import annotations

import hmac
import os
import re
import secrets
from functools import lru_cache
from pathlib import Path

from ..errors import ConfigError

_SECRET = re.compile(r"[0-9a-f]{64}\Z")
# SOP classes, transfer syntaxes, well-known objects: the same for everybody, and of short numbers.
_STANDARD = re.compile(r"1\.2\.840\.10008(\.[0-9]{1,4}){1,12}\Z")
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # without I, L, O and U, which are misread
_CODE = re.compile(rf"P[{_LETTERS}]{{12}}\Z")
_MADE = re.compile(r"2\.25\.([1-9][0-9]{0,38})\Z")
_WEEKS = 260


class Key:
    """Turns UIDs into UIDs, patients into codes and into days, by a secret.

    What it has made itself it gives back as it is, since a check value is part of it: doing a file twice is harmless.
    """

    def __init__(self, secret: bytes, path: Path) -> None:
        self.path = path
        self.is_new = False
        self._secret = secret
        self._uid = lru_cache(maxsize=1 << 16)(self._new_uid)

    def __reduce__(self) -> tuple[object, ...]:
        return Key, (self._secret, self.path)

    @classmethod
    def load(cls, path: Path, *, create: bool = True) -> Key:
        """The key of a file; a new one where there is none and one may be made."""
        if create and not path.exists():
            return cls._made(path)
        try:
            status, text = path.stat(), path.read_text(encoding="ascii").strip()
        except OSError as error:
            raise ConfigError(f"the key {path} cannot be read ({error.strerror}). Name the file of the key.") from error
        except UnicodeDecodeError:
            text = ""
        if not _SECRET.match(text):
            raise ConfigError(
                f"{path} is not a key of qa-fetch: it should hold 64 hexadecimal digits. Name another file."
            )
        if os.name != "nt" and status.st_mode & 0o077:
            raise ConfigError(
                f"the key {path} can be read by other users of this machine. Run: chmod 600 {path}, "
                "and think of whether somebody has."
            )
        return cls(bytes.fromhex(text), path)

    @classmethod
    def _made(cls, path: Path) -> Key:
        key = cls(secrets.token_bytes(32), path)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(key._secret.hex() + "\n")
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            return cls.load(path, create=False)  # another process was quicker
        except OSError as error:
            raise ConfigError(
                f"no key can be made at {path} ({error.strerror}). Name a file in a folder that this user may write to."
            ) from error
        key.is_new = True
        return key

    def _mac(self, what: bytes, value: bytes) -> bytes:
        return hmac.digest(self._secret, what + b"\0" + value, "sha256")

    def uid(self, old: str) -> str:
        """The UID that stands for this one; UIDs of the standard and of this key stay."""
        return self._uid(old)

    def _new_uid(self, old: str) -> str:
        if _STANDARD.match(old) or self.made_uid(old):
            return old
        head = bytearray(self._mac(b"uid", old.encode("utf-8", "surrogatepass"))[:12])
        head[6] = head[6] & 0x0F | 0x80  # a UUID of version 8 (RFC 9562), as 2.25 asks for
        head[8] = head[8] & 0x3F | 0x80
        return f"2.25.{int.from_bytes(bytes(head) + self._check(bytes(head)), 'big')}"

    def _check(self, head: bytes) -> bytes:
        return self._mac(b"uid check", head)[:4]

    def made_uid(self, uid: str) -> bool:
        """Whether this key made the UID."""
        found = _MADE.match(uid)
        number = int(found.group(1)) if found else 1 << 128
        if number >> 128:
            return False
        whole = number.to_bytes(16, "big")
        return hmac.compare_digest(self._check(whole[:12]), whole[12:])

    def code(self, identity: str) -> str:
        """The code of a patient: P and twelve letters or digits."""
        head = _letters(self._mac(b"code", identity.encode("utf-8", "surrogatepass")), 9)
        return f"P{head}{self._code_check(head)}"

    def _code_check(self, head: str) -> str:
        return _letters(self._mac(b"code check", head.encode("ascii")), 3)

    def made_code(self, text: str) -> bool:
        """Whether this key made the code."""
        return bool(_CODE.match(text)) and hmac.compare_digest(self._code_check(text[1:10]), text[10:])

    def days(self, identity: str) -> int:
        """By how many days a patient's dates move: whole weeks, into the past, never 0."""
        number = int.from_bytes(self._mac(b"days", identity.encode("utf-8", "surrogatepass"))[:8], "big")
        return -7 * (1 + number % _WEEKS)


def _letters(data: bytes, count: int) -> str:
    return "".join(_LETTERS[byte & 31] for byte in data[:count])
