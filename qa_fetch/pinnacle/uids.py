"""UIDs of what is made here: the same each time the same archive is converted, on every machine."""

from __future__ import annotations

import json
import re
from typing import Optional
from uuid import UUID, uuid5

from .records import Patient

_ROOT = UUID("4f1d3b7e-52b4-5f0c-9a86-6d2f4a1c7e90")
_VALID = re.compile(r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+")
_LONGEST = 64


def valid(uid: Optional[str]) -> bool:
    """Whether a UID of the archive is one by the rules of the standard."""
    return uid is not None and len(uid) <= _LONGEST and _VALID.fullmatch(uid) is not None


class Uids:
    """UIDs from what a patient of an archive is; never from names of files, the clock or chance."""

    def __init__(self, patient: Patient) -> None:
        lay = patient.path or patient.folder
        self.patient = (patient.medical_record_number, patient.number, lay.strip("/"))

    def uid(self, kind: str, *parts: object) -> str:
        """The UID of an object of this patient.

        Parameters
        ----------
        kind
            What it is: "series RTDOSE", "instance RTPLAN", "frame" ...
        parts
            What tells it from others of its kind: numbers of the image set, the plan, the trial ...
        """
        text = json.dumps([*self.patient, kind, *(None if part is None else str(part) for part in parts)])
        return f"2.25.{uuid5(_ROOT, text).int}"
