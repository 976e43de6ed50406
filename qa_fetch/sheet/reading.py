"""The lines of a CSV file as Excel and others write it, or of the first sheet of a workbook, piece by piece."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Callable

from ..errors import ConfigError
from .workbook import Workbook

_CHUNK = 65_536  # characters of one line that are looked at; csv itself refuses cells of twice that

Line = tuple[int, dict[int, str]]  # where it stands, and what its cells hold that are not empty


class Sheet:
    """A table; ``notes`` is complete once its lines were read.

    Parameters
    ----------
    path
        The file.
    wrong
        Told of each line that cannot be taken as it is, and why.
    """

    def __init__(self, path: Path, wrong: Callable[[int, str], None]) -> None:
        self.path = path
        self.notes: list[str] = []
        self._wrong = wrong

    def lines(self) -> Iterator[Line]:
        """Every line, the one with the names of the columns first; ConfigError when the file cannot be read."""
        try:
            yield from self._lines()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ConfigError(f"{self.path} cannot be read ({reason}). Check the path and its permissions.") from None
        except UnicodeError:
            raise ConfigError(f"{self.path} is not the text that it begins as. Save it as CSV UTF-8.") from None

    def _lines(self) -> Iterator[Line]:
        with self.path.open("rb") as file:
            start = file.read(8)
            if start.startswith(b"PK\x03\x04"):
                workbook = Workbook(self.path)
                yield from workbook.rows()
                self.notes += workbook.notes
                for line, reason in workbook.mistakes:
                    self._wrong(line, reason)
                return
            if start == codecs.decode("d0cf11e0a1b11ae1", "hex"):
                raise ConfigError(f"{self.path} is an old or a locked Excel file. Save it as .xlsx without a password.")
            encoding = _encoding(file)
            file.seek(0)
            if encoding in ("cp1252", "latin-1"):
                self.notes.append("It is not UTF-8 and was read as Windows-1252: check names with accents.")
            with io.TextIOWrapper(file, encoding=encoding, newline="") as text:
                yield from self._parsed(_physical(text))

    def _parsed(self, lines: Iterator[str]) -> Iterator[Line]:
        """The lines of a CSV file, whatever separates its cells."""
        before, header = 0, ""
        for header in lines:
            bare = header.strip().strip('"')
            if bare and not (bare[:4].lower() == "sep=" and len(bare) <= 5):  # Excel's own way to say what separates
                break
            before += 1
        else:
            return
        # A name of a column holds none of these, so the one that is there most often separates.
        delimiter = max(",;\t|", key=header.count)
        reader = csv.reader(chain([header], lines), delimiter=delimiter, strict=True)
        while True:
            line = before + reader.line_num + 1
            try:
                cells = next(reader, None)
            except csv.Error:
                text = "its quotes do not match; put a cell that holds quotes into quotes, and double those in it"
                self._wrong(line, text)
                continue
            if cells is None:
                return
            filled = {position: cell for position, cell in enumerate(cells) if cell and not cell.isspace()}
            if filled or len(cells) > 1:
                yield line, filled


def _encoding(file: IO[bytes]) -> str:
    """How a text is written: by its first bytes, else UTF-8 if all of it is, else as Windows does."""
    file.seek(0)
    start = file.read(4)
    if start.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if start in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
        return "utf-32"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if len(start) == 4 and 0 in start:  # a table begins with Latin letters
        nulls = tuple(byte == 0 for byte in start)
        known = {(False, True, False, True): "utf-16-le", (True, False, True, False): "utf-16-be"}
        if nulls in known:
            return known[nulls]
    for encoding in ("utf-8", "cp1252"):
        file.seek(0)
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            while chunk := file.read(1 << 20):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def _physical(text: IO[str]) -> Iterator[str]:
    """The lines of a text, with no more than a part of one that is too long."""
    while line := text.readline(_CHUNK):
        if len(line) == _CHUNK and line[-1] not in "\r\n":
            quotes = 0
            while rest := text.readline(_CHUNK):
                quotes += rest.count('"')
                if rest[-1] in "\r\n":
                    break
            # The control character has the row refused; a cell in quotes still ends where it did.
            line += "\1" + '"' * (quotes % 2)
        # Before Python 3.11 csv gives up at a NUL; this character is refused in a cell just the same.
        yield line.replace("\0", "\1")
