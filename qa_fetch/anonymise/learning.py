"""What identifies patients, learnt by several processes and put together in one."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .known import Known, Learnt
from .naming import mark

if TYPE_CHECKING:
    from .anonymiser import Anonymiser


class Shared:
    """An anonymiser as workers get it: threads the same one, processes one each, which is opened once.

    What it has learnt is not sent with every item: it is read from the key's folder, where it was saved before.
    """

    def __init__(self, anonymiser: Anonymiser) -> None:
        self.anonymiser = anonymiser
        self._pickled = pickle.dumps(anonymiser)

    def __reduce__(self) -> tuple[object, ...]:
        return _opened, (self._pickled,)


@lru_cache(maxsize=1)
def _opened(pickled: bytes) -> Shared:
    return Shared(pickle.loads(pickled))


def take(anonymiser: Anonymiser, learnt: Iterable[Learnt]) -> dict[tuple[str, str], str]:
    """Put what was learnt to what is known, and keep all of it; a mark of what is known now, by patient and study."""
    known, seen = anonymiser.known, set()
    for one in learnt:
        known.take(one)
        seen.add((one.patient, one.study))
    owners = {one: known.owner(*one) for one in seen}
    known.name(set(owners.values()))
    anonymiser.save()
    marks = {owner: mark(_told(known, owner)) for owner in set(owners.values())}
    return {one: marks[owner] for one, owner in owners.items()}


def _told(known: Known, owner: str) -> str:
    """Everything that decides about this patient's objects."""
    return json.dumps([owner, known.strings(owner).to_json()])


def fingerprint(anonymiser: Anonymiser) -> str:
    """A mark of the key and of every rule: where it is another, files are written anew."""
    profile = anonymiser.profile
    rules = [(one.name, _sorted(getattr(profile, one.name))) for one in fields(profile) if one.name != "_cache"]
    return mark(f"{anonymiser.key.code('')} {rules!r}")


def _sorted(value: Any) -> Any:
    """The same in every process: sets and mappings in order."""
    if isinstance(value, Mapping):
        return sorted((repr(key), repr(_sorted(one))) for key, one in value.items())
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    return [_sorted(one) for one in value] if isinstance(value, (list, tuple)) else value
