"""What identifies by its form alone, whoever it is about: mail, telephones, titles with names, dates, UIDs."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from .patterns import MONTHS
from .vocabulary import DICOM, GENERIC, TITLES

# Made of a UUID, or of at least five components, since versions and network addresses have four.
# May follow a letter or a dot: "RS.1.2.246."
UID: Final = re.compile(r"(?<![0-9])(?<![0-9]\.)(?:2\.25\.[0-9]{20,}|[0-2](?:\.[0-9]+){4,})")
STANDARD_UID: Final = re.compile(r"1\.2\.840\.10008(\.[0-9]{1,4}){1,12}\Z")

_NAME: Final = r"(?-i:[A-ZÀ-ÖØ-ÞΑ-ΩА-ЯĀ-Ž])[^\W\d_]{1,30}"
_MONTH: Final = (
    r"(?:jan|feb|f[eé]v|mar|m[aä]r|apr|avr|abr|ma[iy]|jun|jui|jul|lug|aug|ago|ao[uû]|sep|set|o[ckt]t|nov|de[czs]|d[eé]c|dic)"
    r"[a-zéû]{0,7}"
)
# Whole, where a number before and one behind make no date of a word that only begins like a month ("2024 marker 3").
_MONTHS: Final = "|".join((*" ".join(MONTHS).split(), "m[aä]rz", "f[eé]vr?(?:ier)?", "ao[uû]t", "d[eé]c(?:embre)?"))
_FORMS: Final = (
    r"(?<![\w.+%-])[\w.+%-]{1,200}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}",
    r"(?<!\w)[a-z][a-z0-9+.-]{1,9}://[^\s/@]{1,200}@\S{1,500}",
    r"(?:/home/|[/\\]users[/\\]|documents and settings\\)[^\s/\\]{1,100}",
    r"(?<![\w.+-])(?:\+|00)[1-9][0-9](?:[ ()./-]{0,2}[0-9]){6,14}(?![0-9])",
    r"(?<![\w.+-])\(?0[1-9][0-9]{1,3}\)?[ /-][0-9]{3,4}[ .-][0-9]{2,4}(?:[ .-][0-9]{2,4})?(?![\w.])",
    r"(?<![\w.+-])\(?[2-9][0-9]{2}\)?[ .-][0-9]{3}[ .-][0-9]{4}(?![\w.])",
    r"(?<!\w)(?:tel|telefon|phone|fax|mobile?|natel|pager)[ .:]{1,3}\+?[0-9](?:[ ()./-]{0,2}[0-9]){3,14}",
    rf"(?<!\w)(?:(?:dr|prof|mr|mrs|ms|hr|fr|mme|mlle)\.[ ]?|(?-i:M)\.[ ]|(?-i:Dr|Prof|Mr|Mrs|Ms|Miss|Mme|Mlle)[ ]"
    rf"|(?:frau|herrn?|madame|monsieur)[ ])(?:(?:dr|prof|med)\.?[ ]){{0,3}}{_NAME}(?:[ -]{_NAME}){{0,2}}",
    r"(?<!\w)(?:mrn|patient[ ]?id|pat(?:ient)?[. ]{0,2}(?:id|nr|no)|pid|acc(?:ession)?(?:[ ]?(?:no|nr|number))?"
    r"|ssn|ahv|avs)[ .:=#-]{1,4}[a-z]{0,6}[-_]?[0-9][\w-]{2,40}",
    r"(?<!\w)(?:dob|d\.o\.b\.|birth ?date|date of birth|born|geb(?:oren)?(?: am)?|geburtsdatum|n[eé]e? le)[ .:=]{1,3}"
    r"[0-9][0-9./ -]{3,10}(?<![ ])",
    r"(?<![0-9.])(?:19|20)[0-9]{2}(?:(?:-[01]?[0-9]-|/[01]?[0-9]/|\.[01]?[0-9]\.|_[01]?[0-9]_)[0-3]?[0-9]"
    r"|(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
    r"(?:(?:[01][0-9]|2[0-3])[0-5][0-9](?:[0-5][0-9](?:\.[0-9]{1,6})?)?)?)(?![0-9])",
    r"(?<![0-9.])[0-3]?[0-9](?:\.[ ]?[01]?[0-9]\.[ ]?|/[0-3]?[0-9]/|-[0-3]?[0-9]-|_[0-3]?[0-9]_)(?:19|20)[0-9]{2}"
    r"(?![0-9])",
    r"(?<![0-9./])[0-3]?[0-9]/[0-3]?[0-9]/[0-9]{2}(?![0-9/])",
    rf"(?<![0-9.])[0-3]?[0-9](?:st|nd|rd|th|\.)?[ _-]?{_MONTH}[ .,_-]{{0,2}}(?:19|20)[0-9]{{2}}(?![0-9])",
    rf"(?<!\w){_MONTH}[ .-]{{0,2}}[0-3]?[0-9](?:st|nd|rd|th)?,?[ -](?:19|20)[0-9]{{2}}(?![0-9])",
    rf"(?<![0-9.])(?:19|20)[0-9]{{2}}[ ._-]?(?:{_MONTHS})[ ._-]{{0,2}}[0-3]?[0-9](?:st|nd|rd|th)?(?![0-9])",
)
FORMS: Final = re.compile("|".join(_FORMS), re.IGNORECASE)

_COMPANIES: Final = frozenset(
    "accuray brainlab canon elekta general electric healthineers hitachi medical philips raysearch siemens systems sun"
    " nuclear toshiba truebeam varian versa monaco pinnacle raystation oncentra aria mosaiq halcyon ethos".split()
)
_NOT_NAMES: Final = DICOM | GENERIC | TITLES | _COMPANIES
_PAIR = re.compile(r"(?<![^\W_])([^\W\d_]{2,30})(, ?|\^| )(?=([^\W\d_]{2,30})(?![^\W_]))")


@lru_cache(maxsize=4096)
def looks_like_a_name(value: str) -> bool:
    """Whether text looks like a person's name, a mail address, a telephone number or a date."""
    return bool(FORMS.search(value)) or any(map(_is_name, _PAIR.finditer(value)))


def _is_name(pair: re.Match[str]) -> bool:
    first, between, second = pair.groups()
    if first.lower() in _NOT_NAMES or second.lower() in _NOT_NAMES:
        return False
    return between == "^" or (first.istitle() and second.istitle()) or ("," in between and first.isupper())
