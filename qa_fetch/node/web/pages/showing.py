"""How values look on the pages; template filters, which Django loads for every page."""

from __future__ import annotations

import math
import re
from datetime import datetime, timezone
from typing import Any

from django import template
from pydicom.uid import UID

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
_MODALITIES = {
    "CT": "CT",
    "MR": "MR",
    "PT": "PET",
    "REG": "registration",
    "RTDOSE": "RT dose",
    "RTIMAGE": "RT image",
    "RTPLAN": "RT plan",
    "RTRECORD": "RT record",
    "RTSTRUCT": "RT structures",
}


def day(text: Any) -> str:
    """``20251103`` as 2025-11-03; anything else as it is."""
    plain = str(text or "")
    return re.sub(r"\A(\d{4})(\d\d)(\d\d)\Z", r"\1-\2-\3", plain)


def clock(text: Any) -> str:
    """``101500.25`` as 10:15:00; anything else as it is."""
    plain = str(text or "")
    found = re.match(r"(\d\d)(\d\d)(\d\d)?(\.\d*)?\Z", plain)
    return ":".join(part for part in found.groups()[:3] if part) if found else plain


def person(text: Any) -> str:
    """``Doe^Jane^M`` as Doe, Jane M; the alphabetic form, or the first there is."""
    forms = [form.strip("^ ") for form in str(text or "").split("=")]
    family, *others = next((form for form in forms if form), "").split("^")
    given = " ".join(part for part in others if part)
    return ", ".join(part for part in (family, given) if part)


def moment(when: Any) -> str:
    """A moment by this machine's clock."""
    return local(when).strftime("%Y-%m-%d %H:%M:%S") if isinstance(when, datetime) else ""


def iso(when: Any) -> str:
    """A moment as machines read it."""
    return when.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(when, datetime) else ""


def size(count: Any) -> str:
    """Bytes in the unit that suits them."""
    amount = float(count or 0)
    power = min(len(_UNITS) - 1, int(math.log(amount, 1000))) if amount >= 1 else 0
    amount /= 1000**power
    return f"{amount:.0f} {_UNITS[power]}" if power == 0 or amount >= 100 else f"{amount:.1f} {_UNITS[power]}"


def number(value: Any) -> str:
    """A number without the noise of its last digits, thousands apart."""
    if value is None or value == "":
        return ""
    amount = float(value)
    if not math.isfinite(amount):
        return ""
    whole = amount == int(amount) or abs(amount) >= 1000
    text = f"{amount:,.0f}" if whole else f"{amount:.2f}" if abs(amount) >= 1 else f"{amount:.3g}"
    return text.replace(",", "\u202f")


def lasting(seconds: Any) -> str:
    """Seconds as people say them."""
    whole = int(seconds or 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def modality(code: Any) -> str:
    """A modality's code as people say it."""
    return _MODALITIES.get(str(code), str(code)) or "unknown"


def uid_name(uid: Any) -> str:
    """What a UID of the standard is called; the UID itself where it is none."""
    return str(UID(str(uid)).name)


def local(when: datetime) -> datetime:
    """A moment by this machine's clock."""
    return when.astimezone()


register = template.Library()
for _filter in (day, clock, person, moment, iso, size, number, lasting, modality, uid_name):
    register.filter(_filter.__name__, _filter)
