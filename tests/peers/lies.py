"""The lies that a double can tell, each a switch; as it stands, a double is an honest and able archive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Union


@dataclass
class Lies:
    """Switches of a ``ScriptedArchive``; they may be changed while it runs."""

    # who may speak, and about what
    callers: Optional[tuple[str, ...]] = None  # all others: association rejected (1, 1, 3)
    checks_called: bool = True  # a wrong called AE title: association rejected (1, 1, 7)
    rejects: Optional[tuple[int, int, int]] = None  # every association, with this result, source and reason
    roots: tuple[str, ...] = ("study", "patient")  # "study" and/or "patient"
    find: bool = True  # offered, or its presentation contexts refused; so for the next three
    move: bool = True
    get: bool = True
    store: bool = True
    relational: Union[bool, str] = True  # False: 0xA900 without the unique keys above; "silent": Success, no answers

    # queries
    ignores_keys: Union[bool, tuple[str, ...]] = False  # all keys, or these: returns everything it has
    omits: tuple[str, ...] = ()  # keywords that it never returns (not empty: absent)
    decorate_uids: str = ""  # put behind every UID in its answers: a NUL, spaces
    row_per_instance: bool = False  # one answer per object at every level
    find_status: Optional[int] = None  # answers every query with this alone
    drop_find_after: Optional[int] = None  # breaks the connection after n answers

    # retrieves
    move_status: Optional[int] = None  # answers every C-MOVE with this alone
    get_status: Optional[int] = None
    knows_destination: bool = True  # False: 0xA801 whatever the destination
    level_image_unsupported: bool = False  # IMAGE level: 0xA900; SERIES and above work
    fail_suboperations: bool = False  # sends nothing, counts all as failed, says Success
    send_nothing: bool = False  # sends nothing, counts nothing, says Success
    sends_only: Optional[int] = None  # sends the first n, says Success and counts all as completed
    final_status: Optional[int] = None  # says this at the end instead of what was true
    drop_after: Optional[int] = None  # breaks the connections after n objects ...
    drop_how: str = "reset"  # ... with a TCP "reset" or an A-ABORT ("abort") ...
    drop_inside: bool = False  # ... in the middle of the object after those n
    stray: bool = False  # sends first an object that was not asked for
    twice: bool = False  # sends each object twice
    wrong_uid: bool = False  # the first object's own SOP Instance UID is not the one of its command
    truncated: bool = False  # the first object's data ends early, in a message that is whole
    decorate_objects: str = ""  # put behind the SOP Instance UID of every object sent, in command and data set
    asynchronous_move: bool = False  # the final Success comes at once, the objects 0.3 s later
    delay: float = 0.0  # seconds before every answer and every object
    pause_after: Optional[int] = None  # after n objects sets ``paused`` and waits for ``resume``

    # storage and echo
    store_status: int = 0x0000
    echo_status: int = 0x0000
