"""What can have become of a patient, and what the list says of it."""

from __future__ import annotations

ALIVE, DECEASED, UNKNOWN = "alive", "deceased", "unknown"

CONVERTED = "converted"
OMISSIONS = "converted with omissions"
FAILED = "failed"
WAITING = "not done yet"
ABSENT = "without archive"
KEPT = "kept as tar"
UNLISTED = "not on the list, kept as tar"
STATES = (FAILED, OMISSIONS, WAITING, ABSENT, UNLISTED, KEPT, CONVERTED)  # what needs attention comes first
