"""Text without its case, accents and ligatures, so that all spellings of a name look alike."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import Final

_LETTERS: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ħ": "h", "ı": "i", "ŋ": "n"}
)
_ALIKE: Final = {"Pd": "-", "Pi": "'", "Pf": "'", "Zs": " ", "Cf": ""}
_UMLAUTS: Final = {"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"}
_DENSE = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
# A word with the vowel signs of India and South-East Asia, which `re` does not take for letters.
WORD: Final = re.compile(
    "(?:[^\\W_]|[\u0900-\u0dff\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd\u102b-\u103e\u17b4-\u17d3])+"
)
_SPELT_OUT: Final = (("ae", "a"), ("oe", "o"), ("ue", "u"))


@lru_cache(maxsize=1 << 14)
def _letter(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":
        letter = chr(ord(letter) - 0xDC00)  # a byte that was none of its character set: most likely Latin-1
    parts = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", letter).casefold()).translate(_LETTERS)
    return "".join(_ALIKE.get(unicodedata.category(part), part) for part in parts if not unicodedata.combining(part))


def folded(text: str) -> str:
    """A text in the form in which it is searched; ASCII letters stay where they are."""
    return text.lower() if text.isascii() else "".join(map(_letter, text))


def positions(text: str) -> list[int]:
    """Where in a text each letter of its folded form comes from, and its end."""
    found = [at for at, letter in enumerate(text) for _ in _letter(letter)]
    return [*found, len(text)]


def spellings(text: str) -> Iterator[str]:
    """The folded forms of a name: as it is, with umlauts spelt out, and with umlauts that were spelt out put back."""
    text = unicodedata.normalize("NFC", text)
    yield folded(text)
    small = text.lower()
    if any(umlaut in small for umlaut in _UMLAUTS):
        yield folded("".join(_UMLAUTS.get(letter, letter) for letter in small))
    plain = folded(text)
    pairs = [(long, short) for long, short in _SPELT_OUT if long in plain]
    for chosen in product((False, True), repeat=len(pairs)):
        spelt = plain
        for (long, short), wanted in zip(pairs, chosen):
            spelt = spelt.replace(long, short) if wanted else spelt
        if spelt != plain:
            yield spelt


def is_dense(text: str) -> bool:
    """Whether a text is of a script that writes words without blanks, or syllables as letters (Han, Hangul, Thai)."""
    return bool(_DENSE.search(text))
