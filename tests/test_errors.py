"""The error tree, and the sentence for every DIMSE status."""

import copy
import pickle
import re

import pytest
from pynetdicom import status as peer

from qa_fetch import errors
from qa_fetch.errors import Ambiguous, Incomplete, QAFetchError, Refused, dimse_refusal

DOCUMENTED = {
    "C-ECHO": peer.VERIFICATION_SERVICE_CLASS_STATUS,
    "C-STORE": peer.STORAGE_SERVICE_CLASS_STATUS,
    "C-FIND": peer.QR_FIND_SERVICE_CLASS_STATUS,
    "C-GET": peer.QR_GET_SERVICE_CLASS_STATUS,
    "C-MOVE": peer.QR_MOVE_SERVICE_CLASS_STATUS,
}
NOT_GOOD = [
    (service, code, words)
    for service, documented in DOCUMENTED.items()
    for code, (category, words) in {**peer.GENERAL_STATUS, **documented}.items()
    if category not in ("Success", "Pending")
]


def refusal(service: str, status: int, comment: str = "") -> Refused:
    return dimse_refusal(service, status, archive="aria", ae_title="QATRACK", port=11113, comment=comment)


def drawn_tree() -> dict[str, str]:
    """Class to parent, as the module's docstring draws it."""
    root, *lines = [line for line in errors.__doc__.splitlines() if re.match(r"[A-Z]\w+$|[├└]", line)]
    return {re.sub(r"[^\w].*", "", line[4:]): root for line in lines}


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes():
    """Every class hangs where the drawing puts it, and the drawing leaves none out."""
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, QAFetchError)]
    real = {kind.__name__: kind.__bases__[0].__name__ for kind in classes if kind is not QAFetchError}
    assert len(real) == 7
    assert drawn_tree() == real


def test_the_drawing_names_the_facts_that_a_class_carries():
    """``status``, ``candidates`` and ``missing`` exist where the drawing says so, also when nobody set them."""
    facts = dict(re.findall(r"[├└]── (\w+) .*\(``(\w+)``\)", errors.__doc__))
    facts.update(re.findall(r"[├└]── (\w+) .*\(``(\w+)``\);", errors.__doc__))
    assert facts == {"Refused": "status", "Ambiguous": "candidates", "Incomplete": "missing"}
    assert [getattr(getattr(errors, kind)("x"), fact) for kind, fact in facts.items()] == [None, (), ()]


@pytest.mark.parametrize("service", DOCUMENTED)
def test_every_documented_status_has_a_sentence_of_its_own(service):
    """No status that pynetdicom documents for a service falls through to the sentence for undefined ones."""
    codes = [code for name, code, _ in NOT_GOOD if name == service]
    assert len(codes) >= 20
    for code in codes:
        error = refusal(service, code)
        assert "does not define" not in str(error), hex(code)
        assert "{" not in str(error)
        happened, _, todo = str(error).partition(". ")
        assert "aria" in happened
        assert todo.endswith(".")
        assert error.status == code
        assert f"0x{code:04X}" in happened or happened == f"the {service} to aria was cancelled"


@pytest.mark.parametrize("service", DOCUMENTED)
def test_different_failures_of_a_service_read_differently(service):
    """A sentence is shared only by codes to which DICOM gives one meaning."""
    meanings: dict[str, set[str]] = {}
    for name, code, words in NOT_GOOD:
        if name == service and not 0xB000 <= code <= 0xBFFF:
            meanings.setdefault(str(refusal(service, code)).replace(f"0x{code:04X}", ""), set()).add(words)
    assert [words for words in meanings.values() if len(words) > 1] == []


def test_an_unknown_move_destination_says_what_to_enter_where():
    """A801 is the mistake everyone makes first: the sentence names AE title, port and the next command."""
    assert str(refusal("C-MOVE", 0xA801)) == (
        "aria does not know QATRACK as a destination (C-MOVE 0xA801). Add that AE title, this host and port 11113 to "
        "its DICOM destinations (in ARIA: the DB Service), then run: qa-fetch echo aria."
    )


def test_a_move_that_cannot_reach_us_points_at_port_and_firewall():
    """A702 on C-MOVE means that the sub-operations failed, which is usually the way back to us."""
    assert str(refusal("C-MOVE", 0xA702)) == (
        "aria could not send the objects to QATRACK (C-MOVE 0xA702). Check that it can reach this host on port 11113 "
        "(address in its destination entry, firewall), then run: qa-fetch echo aria."
    )


def test_an_object_that_is_refused_for_its_uid_is_not_said_to_be_there():
    """0x0111 says nothing of the content: a revised plan under a known UID is not in the archive."""
    assert str(refusal("C-STORE", 0x0111)) == (
        "aria has an object under this UID already and did not take this one (C-STORE 0x0111). Compare the two, since "
        "they may differ; a qa_fetch node lists this one under Conflicts."
    )


def test_one_code_means_different_things_to_different_services():
    """A900 is about the query for C-FIND and about the object for C-STORE."""
    assert str(refusal("C-FIND", 0xA900)) == (
        "aria cannot answer this question as it was put (C-FIND 0xA900, identifier does not match the SOP class). Set "
        "relational = false for this archive; if that does not help, its conformance statement names the keys it needs."
    )
    assert str(refusal("C-STORE", 0xA900)) == (
        "aria says that the object does not fit its SOP class (C-STORE 0xA900). Check the object with a DICOM "
        "validator; the archive's log names the attribute."
    )


@pytest.mark.parametrize("code", [0xC000, 0xC001, 0xC320, 0xCFFF])
def test_a_range_of_codes_shares_its_sentence_and_shows_the_code(code):
    """Cxxx is one meaning with a vendor's number in it; the number stays visible for the archive's log."""
    assert str(refusal("C-FIND", code)) == (
        f"aria was unable to process the request (C-FIND 0x{code:04X}). Its log says why; try again later."
    )
    assert refusal("C-FIND", code).retriable is True


@pytest.mark.parametrize("code", [0xA7FF, 0x9999, 0x0001, 0xD000])
def test_a_status_outside_the_standard_is_called_that(code):
    """A vendor's own code is not dressed up as something known."""
    assert str(refusal("C-MOVE", code)) == (
        f"aria refused with a status that DICOM does not define (C-MOVE 0x{code:04X}). "
        "Its log or conformance statement says what it means."
    )


def test_a_braced_name_is_not_taken_for_a_placeholder():
    """An archive may be called what it likes."""
    error = dimse_refusal("C-ECHO", 0x0124, archive="{port}", ae_title="{x}", port=1)
    assert str(error) == (
        "{port} does not allow {x} to do this (C-ECHO 0x0124). Ask its administrator to grant C-ECHO to that AE title."
    )


@pytest.mark.parametrize("service", DOCUMENTED)
def test_what_the_peer_comments_never_reaches_the_sentence(service):
    """ErrorComment may hold a patient's name, so it is an attribute for the curious and nothing else."""
    for code in [code for name, code, _ in NOT_GOOD if name == service] + [0x9999]:
        error = refusal(service, code, comment="Doe^John 12345678")
        assert "Doe" not in str(error)
        assert error.comment == "Doe^John 12345678"


@pytest.mark.parametrize(
    ("service", "code", "retriable"),
    [
        ("C-MOVE", 0xA801, False),
        ("C-FIND", 0xA900, False),
        ("C-MOVE", 0xA702, True),
        ("C-FIND", 0xA700, True),
        ("C-STORE", 0xC000, False),
        ("C-STORE", 0x0111, False),
        ("C-ECHO", 0x0213, True),
        ("C-ECHO", 0x9999, False),
    ],
)
def test_only_what_may_pass_by_itself_is_retriable(service, code, retriable):
    """A wrong configuration stays wrong, however often it is tried."""
    assert refusal(service, code).retriable is retriable


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_survives_the_way_between_processes(protocol):
    """Type, message, retriable and facts are the same after pickling, also facts added later."""
    for error in (
        refusal("C-MOVE", 0xA801, comment="c"),
        Ambiguous("two plans fit. Choose one.", candidates=["a", "b"]),
        Incomplete("one of two is missing. Call again.", missing=["1.2.3"], retriable=False),
        QAFetchError("x"),
    ):
        error.added = {"later": 1}
        again = pickle.loads(pickle.dumps(error, protocol))
        assert type(again) is type(error)
        assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))
        assert again.retriable is error.retriable


def test_a_copied_error_is_the_same_error():
    """Thread pools and debuggers copy exceptions."""
    again = copy.copy(Incomplete("m", missing=["1.2"], retriable=False))
    assert (type(again), str(again), again.missing, again.retriable) == (Incomplete, "m", ["1.2"], False)


def test_retriable_belongs_to_the_class_unless_one_error_says_otherwise():
    """A set that is incomplete may be complete later; a caller who knows better says so."""
    assert Incomplete("x").retriable is True
    assert Incomplete("x", retriable=False).retriable is False
    assert Incomplete.retriable is True


def test_a_line_break_from_a_peer_does_not_break_the_line():
    """QATrack+ shows the last line only, and a log must not be given lines of the peer's making."""
    assert str(errors.NotFound("no plan PRO\r\nSTATE\0\u2028X. Check it.")) == "no plan PRO STATE X. Check it."
