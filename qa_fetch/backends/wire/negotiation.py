"""What two sides agree on before they exchange messages: A-ASSOCIATE PDUs (PS3.8 section 9.3 and Annex D)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ... import part10
from .channel import Violation

# What we are ready to receive in one PDU. DCMTK sends no more than this, whatever it is told; a fragment is written to
# its file as it comes, so the size costs no memory.
LARGEST_PDU = 131072
_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
_VERSION = 1

_APPLICATION, _PROPOSED, _ANSWERED, _ABSTRACT, _SYNTAX = 0x10, 0x20, 0x21, 0x30, 0x40
_USER, _MAXIMUM, _IMPLEMENTATION, _ROLE, _IMPLEMENTATION_NAME = 0x50, 0x51, 0x52, 0x54, 0x55
_ACCEPTED, _NO_ABSTRACT, _NO_SYNTAX = 0, 3, 4
_HEAD = struct.Struct(">HH16s16s32x")


@dataclass
class Rejected(Exception):
    """An association is not wanted: whether for good, who says so, and why (PS3.8 table 9-21)."""

    result: int
    source: int
    reason: int


@dataclass(frozen=True)
class Context:
    """A presentation context: a SOP class and the transfer syntaxes proposed for it, or the one accepted."""

    abstract: str
    syntaxes: tuple[str, ...]


@dataclass
class Proposal:
    """What an A-ASSOCIATE-RQ proposes, or an A-ASSOCIATE-AC accepts.

    ``contexts`` go by their odd numbers. ``roles`` say of a SOP class whether the requestor may be (SCU, SCP).
    """

    called: str
    calling: str
    contexts: dict[int, Context] = field(default_factory=dict)
    roles: dict[str, tuple[bool, bool]] = field(default_factory=dict)
    largest_pdu: int = LARGEST_PDU

    @classmethod
    def of(cls, called: str, calling: str, contexts: Iterable[Context], receiving: Iterable[str] = ()) -> Proposal:
        """A proposal with contexts in this order; objects of the classes ``receiving`` may be sent to the requestor."""
        numbered = {2 * position + 1: context for position, context in enumerate(contexts)}
        if len(numbered) > 128:
            raise ValueError(f"{len(numbered)} presentation contexts do not fit into one association")
        return cls(called, calling, numbered, dict.fromkeys(receiving, (False, True)))


def request(proposal: Proposal) -> bytes:
    """The body of an A-ASSOCIATE-RQ."""
    contexts = b"".join(
        _item(
            _PROPOSED,
            bytes((number, 0, 0, 0))
            + _item(_ABSTRACT, context.abstract.encode("ascii"))
            + b"".join(_item(_SYNTAX, syntax.encode("ascii")) for syntax in context.syntaxes),
        )
        for number, context in proposal.contexts.items()
    )
    return _body(proposal, contexts, proposal.roles)


def acceptance(proposal: Proposal, accepted: Mapping[int, Context], largest_pdu: int = LARGEST_PDU) -> bytes:
    """The body of the A-ASSOCIATE-AC that answers a proposal; contexts that are not accepted say why."""
    contexts = b""
    for number, context in proposal.contexts.items():
        syntax = accepted[number].syntaxes if number in accepted else ()
        result = _ACCEPTED if syntax else (_NO_SYNTAX if number in accepted else _NO_ABSTRACT)
        shown = (syntax or context.syntaxes or (part10.IMPLICIT_LITTLE,))[0]
        contexts += _item(_ANSWERED, bytes((number, 0, result, 0)) + _item(_SYNTAX, shown.encode("ascii", "replace")))
    agreed = {context.abstract for context in accepted.values()}
    roles = {uid: role for uid, role in proposal.roles.items() if uid in agreed}
    return _body(proposal, contexts, roles, largest_pdu)


def _body(
    proposal: Proposal, contexts: bytes, roles: Mapping[str, tuple[bool, bool]], largest_pdu: int = LARGEST_PDU
) -> bytes:
    user = _item(_MAXIMUM, struct.pack(">L", largest_pdu)) + _item(_IMPLEMENTATION, part10.IMPLEMENTATION_UID.encode())
    for sop_class, (scu, scp) in roles.items():
        uid = sop_class.encode("ascii", "replace")
        user += _item(_ROLE, struct.pack(">H", len(uid)) + uid + bytes((scu, scp)))
    user += _item(_IMPLEMENTATION_NAME, part10.IMPLEMENTATION_NAME)
    titles = (title.encode("ascii", "replace").ljust(16)[:16] for title in (proposal.called, proposal.calling))
    application = _item(_APPLICATION, _APPLICATION_CONTEXT.encode())
    return _HEAD.pack(_VERSION, 0, *titles) + application + contexts + _item(_USER, user)


def _item(kind: int, value: bytes) -> bytes:
    if len(value) > 0xFFFF:
        raise Violation("a negotiation that is too large to be answered")
    return struct.pack(">BBH", kind, 0, len(value)) + value


def parse_request(body: bytes) -> Proposal:
    """What a peer proposes."""
    version, titles, items = _split(body)
    if not version & _VERSION:
        raise Rejected(1, 2, 2)
    proposal = Proposal(*titles)
    for kind, value in items:
        if kind == _PROPOSED and len(value) >= 4:
            parts = list(_items(value[4:]))
            abstract = next((_uid(part) for number, part in parts if number == _ABSTRACT), "")
            syntaxes = tuple(_uid(part) for number, part in parts if number == _SYNTAX)
            proposal.contexts[value[0]] = Context(abstract, syntaxes)
        elif kind == _USER:
            _read_user(value, proposal)
    return proposal


def parse_acceptance(body: bytes, proposal: Proposal) -> Proposal:
    """What a peer has accepted of a proposal: its contexts, each with the one transfer syntax, and its limits."""
    _, _, items = _split(body)
    accepted = Proposal(proposal.called, proposal.calling, largest_pdu=0)
    for kind, value in items:
        if kind == _ANSWERED and len(value) >= 4:
            number, result = value[0], value[2]
            proposed = proposal.contexts.get(number)
            if result != _ACCEPTED or proposed is None:
                continue
            syntax = next((_uid(part) for item, part in _items(value[4:]) if item == _SYNTAX), "")
            if syntax not in proposed.syntaxes:
                raise Violation("it accepts a transfer syntax that was not proposed")
            accepted.contexts[number] = Context(proposed.abstract, (syntax,))
        elif kind == _USER:
            _read_user(value, accepted)
    return accepted


def _split(body: bytes) -> tuple[int, tuple[str, str], Iterator[tuple[int, bytes]]]:
    if len(body) < _HEAD.size:
        raise Violation("a negotiation that is cut short")
    version, _, called, calling = _HEAD.unpack_from(body)
    return version, (_uid(called), _uid(calling)), _items(body[_HEAD.size :])


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    at, end = 0, len(data)
    while at < end:
        if end - at < 4:
            raise Violation("a negotiation that is cut short")
        kind, _, length = struct.unpack_from(">BBH", data, at)
        at += 4
        if length > end - at:
            raise Violation("a negotiation that is cut short")
        yield kind, data[at : at + length]
        at += length


def _read_user(value: bytes, proposal: Proposal) -> None:
    for kind, part in _items(value):
        if kind == _MAXIMUM and len(part) == 4:
            proposal.largest_pdu = struct.unpack(">L", part)[0]
        elif kind == _ROLE and len(part) >= 4:
            length = struct.unpack_from(">H", part)[0]
            if length == len(part) - 4:
                proposal.roles[_uid(part[2 : 2 + length])] = (bool(part[-2]), bool(part[-1]))


def _uid(value: bytes) -> str:
    return value.decode("ascii", "replace").strip("\0 ")
