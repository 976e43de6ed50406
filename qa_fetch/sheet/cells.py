"""What a cell of a spreadsheet holds, and what spreadsheets do to it."""

from __future__ import annotations

import re

_EXCEL_ERRORS = frozenset("#N/A #REF! #NAME? #VALUE! #DIV/0! #NUM! #NULL! #SPILL! #CALC! #GETTING_DATA".split())
_SHORTENED = re.compile(r"[0-9]([.,][0-9]+)?E\+[0-9]{2,3}")  # 1.23457E+11, of a number with 12 digits
_KEPT_AS_TEXT = re.compile('="([^"]*)"')  # ="00123", which keeps Excel from making a number of it
_KEPT_FROM_FORMULAS = re.compile(r"'(?=[=+\-@])")  # what our own reports write before such a cell


class Wrong(ValueError):
    """Why a column or a cell is not accepted."""


class Moment(str):
    """A date or a time that a sheet holds as a number, written as ISO does."""

    __slots__ = ()


def as_typed(text: str, *, decimal: bool = False) -> str:
    """The text of a cell without what Excel and our reports put around it; Wrong when somebody has to look at it."""
    kept = _KEPT_AS_TEXT.fullmatch(text)
    text = (kept.group(1) if kept else _KEPT_FROM_FORMULAS.sub("", text, count=1)).strip()
    if not text:
        raise Wrong("this is empty but for marks; give it a value or clear the cell")
    if text in _EXCEL_ERRORS:
        raise Wrong("this is an error of Excel or a formula without its value; correct the sheet and save it again")
    if len(text) > 16384:
        raise Wrong("this is too long to be asked for; check the quotes around it")
    if not text.isprintable():
        raise Wrong("this holds an invisible character, such as a line break or a NUL; type the value again")
    if not decimal and _SHORTENED.fullmatch(text):
        raise Wrong("Excel has shortened this number; format the column as text and type it again")
    return text
