"""What each DIMSE status means for the person who reads it (PS3.7 Annex C, PS3.4 Annexes B and C)."""

from __future__ import annotations

from typing import NamedTuple

_CONFORMANCE = "Its conformance statement lists what it supports"
_LATER = "Its log says why; try again later"
_VALIDATE = "Check the object with a DICOM validator; the archive's log names the attribute"


class _Meaning(NamedTuple):
    """What happened, what to do about it, and whether the same call can succeed later."""

    happened: str
    todo: str
    retriable: bool = False


# Keys are (service, status); "" stands for every service that has no line of its own.
_MEANINGS: dict[tuple[str, int], _Meaning] = {
    ("C-FIND", 0xA700): _Meaning(
        "{archive} is out of resources for this query (C-FIND {status})", "Narrow the query, or try again later", True
    ),
    ("C-FIND", 0xA710): _Meaning(
        "{archive} no longer knows where the earlier answers to this query ended (C-FIND {status})",
        "Ask again from the start",
        True,
    ),
    # Nobody cancels a question here: this is how Orthanc says that there are more answers.
    ("C-FIND", 0xFE00): _Meaning(
        "{archive} gives only part of its answers ({status})",
        "Narrow the question, or raise its limit (Orthanc: LimitFindInstances, LimitFindResults)",
    ),
    ("C-STORE", 0xA700): _Meaning(
        "{archive} has no room for the object (C-STORE {status})", "Free space in the archive, then send again", True
    ),
    ("C-STORE", 0xA900): _Meaning(
        "{archive} says that the object does not fit its SOP class (C-STORE {status})", _VALIDATE
    ),
    ("C-STORE", 0xB000): _Meaning(
        "{archive} took the object, but not as it was sent (C-STORE {status}, a warning)",
        "Its log says what it changed or left out; look at what it has before you rely on it",
    ),
    ("C-STORE", 0xB006): _Meaning(
        "{archive} took the object without some of its elements (C-STORE {status}, a warning)",
        "Its log names them; look at what it has before you rely on it",
    ),
    ("C-STORE", 0xB007): _Meaning(
        "{archive} took the object, but says that it does not fit its SOP class (C-STORE {status}, a warning)",
        _VALIDATE,
    ),
    ("C-STORE", 0xC000): _Meaning("{archive} could not understand the object (C-STORE {status})", _VALIDATE),
    ("C-MOVE", 0xA801): _Meaning(
        "{archive} does not know {ae_title} as a destination (C-MOVE {status})",
        "Add that AE title, this host and port {port} to its DICOM destinations (in ARIA: the DB Service), "
        "then run: qa-fetch echo {archive}",
    ),
    ("C-MOVE", 0xA702): _Meaning(
        "{archive} could not send the objects to {ae_title} (C-MOVE {status})",
        "Check that it can reach this host on port {port} (address in its destination entry, firewall), "
        "then run: qa-fetch echo {archive}",
        True,
    ),
    ("C-GET", 0xA702): _Meaning(
        "{archive} could not send the objects over this connection (C-GET {status})",
        'Set retrieve = "move" for this archive, or try again later',
        True,
    ),
    ("", 0xA701): _Meaning(
        "{archive} could not count what matches the request ({service} {status})",
        "Ask for less at a time, or try again later",
        True,
    ),
    ("", 0xA900): _Meaning(
        "{archive} cannot answer this question as it was put "
        "({service} {status}, identifier does not match the SOP class)",
        "Set relational = false for this archive; if that does not help, "
        "its conformance statement names the keys it needs",
    ),
    ("", 0xAA00): _Meaning(
        "{archive} found none of the requested frames in the object ({service} {status})", "Check the frame numbers"
    ),
    ("", 0xAA01): _Meaning(
        "{archive} cannot make a new object of this SOP class from frames ({service} {status})",
        "Ask for the whole object",
    ),
    ("", 0xAA02): _Meaning(
        "{archive} could not take the frames out of the object ({service} {status})", "Ask for the whole object"
    ),
    ("", 0xAA03): _Meaning(
        "{archive} was asked by time for an object that has no time axis ({service} {status})",
        "Ask for the whole object",
    ),
    ("", 0xAA04): _Meaning("{archive} calls the request for frames invalid ({service} {status})", "Check the request"),
    ("", 0xB000): _Meaning(
        "{archive} did not do all that was asked ({service} {status}, a warning)",
        "Its log says what it changed or left out",
        True,
    ),
    ("", 0xC000): _Meaning("{archive} was unable to process the request ({service} {status})", _LATER, True),
    ("", 0xFE00): _Meaning("the {service} to {archive} was cancelled", "Call again to go on from there", True),
    ("", 0x0105): _Meaning(
        "{archive} says there is no such attribute ({service} {status})",
        "Its conformance statement lists the attributes it answers",
    ),
    ("", 0x0106): _Meaning(
        "{archive} rejected an attribute's value ({service} {status})", "Check the values of the query or object"
    ),
    ("", 0x0107): _Meaning(
        "{archive} left out attributes that it does not know ({service} {status}, a warning)",
        "Its conformance statement lists the attributes it answers",
    ),
    ("", 0x0110): _Meaning("{archive} failed while processing ({service} {status})", _LATER, True),
    ("", 0x0111): _Meaning(
        "{archive} has an object under this UID already and did not take this one ({service} {status})",
        "Compare the two, since they may differ; a qa_fetch node lists this one under Conflicts",
    ),
    ("", 0x0112): _Meaning("{archive} does not have this object ({service} {status})", "Check the UIDs"),
    ("", 0x0113): _Meaning("{archive} does not know this type of event ({service} {status})", _CONFORMANCE),
    ("", 0x0114): _Meaning("{archive} does not know an argument of the request ({service} {status})", _CONFORMANCE),
    ("", 0x0115): _Meaning("{archive} rejected an argument's value ({service} {status})", "Check the query"),
    ("", 0x0116): _Meaning(
        "{archive} changed a value that is outside its range ({service} {status}, a warning)",
        "Check the values of the query or object",
    ),
    ("", 0x0117): _Meaning("{archive} calls the object's UID invalid ({service} {status})", "Check the object's UIDs"),
    ("", 0x0118): _Meaning("{archive} does not know this SOP class ({service} {status})", _CONFORMANCE),
    ("", 0x0119): _Meaning(
        "{archive} has this object under another SOP class ({service} {status})", "Check the object's SOP Class UID"
    ),
    ("", 0x0120): _Meaning("{archive} misses an attribute that it requires ({service} {status})", _VALIDATE),
    ("", 0x0121): _Meaning(
        "{archive} misses the value of an attribute that it requires ({service} {status})", _VALIDATE
    ),
    ("", 0x0122): _Meaning(
        "{archive} does not support this kind of object or query ({service} {status})", _CONFORMANCE
    ),
    ("", 0x0123): _Meaning("{archive} does not know this type of action ({service} {status})", _CONFORMANCE),
    ("", 0x0124): _Meaning(
        "{archive} does not allow {ae_title} to do this ({service} {status})",
        "Ask its administrator to grant {service} to that AE title",
    ),
    ("", 0x0210): _Meaning("{archive} saw the same message twice ({service} {status})", "Try again", True),
    ("", 0x0211): _Meaning(
        "{archive} does not offer {service} ({status})", "Its conformance statement lists its services"
    ),
    ("", 0x0212): _Meaning("{archive} calls the message malformed ({service} {status})", "Report this with its log"),
    ("", 0x0213): _Meaning("{archive} is out of resources ({service} {status})", "Try again later", True),
}
_UNKNOWN = _Meaning(
    "{archive} refused with a status that DICOM does not define ({service} {status})",
    "Its log or conformance statement says what it means",
)
# Some meanings cover a range of codes: (services, mask, the code under which the meaning stands).
_RANGES = (
    (("C-STORE",), 0xFF00, 0xA700),
    (("C-STORE",), 0xFF00, 0xA900),
    (("C-ECHO", "C-FIND", "C-GET", "C-MOVE", "C-STORE"), 0xF000, 0xB000),
    (("C-ECHO", "C-FIND", "C-GET", "C-MOVE", "C-STORE"), 0xF000, 0xC000),
)


def sentence(service: str, status: int) -> tuple[str, bool]:
    """The sentence for a status, with {archive}, {service}, {status}, {ae_title} and {port} to fill in; retriable?"""
    codes = [status] + [code for services, mask, code in _RANGES if service in services and status & mask == code]
    keys = [(name, code) for code in codes for name in (service, "")]
    meaning = next((_MEANINGS[key] for key in keys if key in _MEANINGS), _UNKNOWN)
    return f"{meaning.happened}. {meaning.todo}.", meaning.retriable
