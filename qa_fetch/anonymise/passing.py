"""Objects anonymised on their way to somebody: all of them are learnt before the first goes out."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadArchive, Incomplete, QAFetchError

if TYPE_CHECKING:
    from .anonymiser import Anonymiser


@dataclass(frozen=True)
class Passed:
    """What may be passed on.

    ``sources`` has the new files, each with the one that it was made of; ``problems`` has the files that are not
    passed on, each with a sentence that says why.
    """

    sources: Mapping[Path, Path]
    problems: Sequence[tuple[Path, str]]

    @property
    def files(self) -> list[Path]:
        """The new files."""
        return list(self.sources)


class Unread(Incomplete):
    """A file cannot be read now, so what identifies in it is not known; ``reason`` is the system's."""

    reason = ""


def learnt(anonymiser: Anonymiser, paths: Iterable[Path]) -> Iterator[bool]:
    """Learn what identifies in these files, one at each step, and then keep who becomes whom.

    Each step says whether there was something to learn. What is no DICOM file, and a patient without a code, are no
    matter here: each object says so in its turn. A file that cannot be read at all raises Unread.
    """
    known, seen = anonymiser.known, set()
    for path in paths:
        try:
            one = anonymiser.learn(path)
        except (BadArchive, OSError) as error:
            why = error if isinstance(error, OSError) else error.__cause__  # a file that cannot be opened is BadArchive
            if isinstance(why, OSError):
                raise Unread(
                    f"{path.name} cannot be read ({why.strerror}), and what identifies in it may stand in the others, "
                    "so nothing was sent. Check that this user may read it, and send again.",
                    reason=why.strerror,
                ) from error
            yield False
        else:
            seen.add((one.patient, one.study))
            yield True
    known.name({known.owner(*one) for one in seen})
    anonymiser.save()


@contextlib.contextmanager
def anonymised(anonymiser: Anonymiser, paths: Sequence[Path]) -> Iterator[Passed]:
    """A block in which files are there anonymised, in a folder that only this user reads and that goes at its end."""
    with tempfile.TemporaryDirectory(prefix="qa_fetch-") as folder:  # made with mode 0700
        for _ in learnt(anonymiser, paths):
            continue
        yield _written(anonymiser, paths, Path(folder))


def _written(anonymiser: Anonymiser, paths: Sequence[Path], folder: Path) -> Passed:
    sources: dict[Path, Path] = {}
    problems: list[tuple[Path, str]] = []
    for number, path in enumerate(paths, 1):
        target = folder / f"{number:06}.dcm"
        try:
            anonymiser.file(path, target)
        except OSError as error:
            raise Incomplete(
                f"the anonymised files cannot be written to {folder.parent} ({error.strerror}), so nothing was sent. "
                "Free space there, or name another folder in the variable TMPDIR.",
                retriable=False,
            ) from error
        except QAFetchError as error:
            problems.append((path, error.message))
        else:
            sources[target] = path
    return Passed(sources, problems)
