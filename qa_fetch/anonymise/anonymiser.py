"""``Anonymiser``: objects and folders without a trace of who they are, and with every reference intact."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

from .. import part10
from ..errors import BadArchive, ConfigError, Refused
from .blanking import blanked
from .harvest import examined
from .keyed import Key
from .known import Known, Learnt, Recipe
from .pixels import Header, PixelPolicy, Verdict, header
from .profile import Profile
from .reading import Opened, opened, unpacked
from .rewriting import Rewriter
from .text import Scrubber
from .unseen import unseen
from .values import Told

if TYPE_CHECKING:
    from .audit import Anonymised


class Held(Refused):
    """An object is not passed on; the text says why, and what a site can do."""


@dataclass(frozen=True)
class Rewritten:
    """An anonymised data set, encoded as it was, and what was done to it."""

    pieces: list[part10.Buffer]
    transfer_syntax: str
    sop_class: str
    sop_instance: str
    actions: Counter[tuple[int, str]] = field(default_factory=Counter)
    warnings: list[tuple[int, str]] = field(default_factory=list)

    @property
    def dataset(self) -> bytes:
        """The data set in one piece."""
        return b"".join(self.pieces)

    @property
    def file_meta(self) -> bytes:
        """What stands in front of it in a file: nothing of the source's."""
        return part10.file_meta(self.sop_class, self.sop_instance, self.transfer_syntax)


class Anonymiser:
    """Takes who it is out of DICOM objects, so that what belongs together still does.

    The same key makes the same of the same patient and UID on every machine and in every order. All of a patient's
    objects should be learnt before the first is written: what identifies in one may be mentioned in another.

    Parameters
    ----------
    key
        The file of the key; a new one is made where there is none. Whoever has it can link the result to the source.
    profile
        ``basic``, ``research-rt``, or a TOML file of the site's own.
    new_ids
        The patients' codes: a mapping, a ``new_ids.json`` or a ``new_id.txt``; without it the key makes them.
    offsets
        The patients' day shifts: a ``date_offsets.csv`` or ``day_shift_*.json``; without it the key makes them.
    ids
        The folder for who is who; without it ``NAME.ids`` beside the key ``NAME.key``.
    """

    def __init__(
        self,
        key: Union[str, Path],
        profile: Union[str, Path, Profile] = "basic",
        *,
        new_ids: Union[Mapping[str, str], str, Path, None] = None,
        offsets: Union[str, Path, None] = None,
        ids: Union[str, Path, None] = None,
    ) -> None:
        path = Path(key).absolute()
        self.profile = profile if isinstance(profile, Profile) else Profile.load(profile)
        self._pixels = PixelPolicy.of(self.profile.pixels)
        self.ids = ids_of(path, ids)
        self.recipe = Recipe(
            path,
            self.profile,
            Path(new_ids).absolute() if isinstance(new_ids, (str, Path)) else new_ids,
            Path(offsets).absolute() if offsets is not None else None,
            self.ids,
        )
        if not path.exists():
            Known(Key(b"", path), self.recipe)  # what is wrong with the lists is said before a key is made for nothing
        self.key = Key.load(path)
        self.known = Known(self.key, self.recipe)

    def __reduce__(self) -> tuple[object, ...]:
        return Anonymiser._of, (self.recipe,)

    @classmethod
    def _of(cls, recipe: Recipe) -> Anonymiser:
        """The same in another process, which reads what is known from the key's folder."""
        return cls(recipe.key, recipe.profile, new_ids=recipe.new_ids, offsets=recipe.offsets, ids=recipe.ids)

    def learn(self, path: Union[str, Path]) -> Learnt:
        """Take note of what identifies in a file."""
        learnt = self.examined(path)
        self.known.take(learnt)
        return learnt

    def examined(self, path: Union[str, Path]) -> Learnt:
        """What identifies in a file, of which no note is taken."""
        with opened(Path(path)) as whole:
            return Learnt.of(*examined(whole.dataset, whole.encoding))

    def save(self) -> None:
        """Put who is who, and what identifies whom, into the key's folder."""
        self.known.save()

    # The work

    def encoded(self, data: part10.Buffer, transfer_syntax: str) -> Rewritten:
        """An encoded data set anonymised; Held where it is not passed on, BadArchive where it is not readable."""
        return self._rewritten(unpacked(data, transfer_syntax))

    def _rewritten(self, whole: Opened) -> Rewritten:
        data, encoding = whole.dataset, whole.encoding
        top = list(part10.elements(data, encoding))
        person, harvest = examined(data, encoding, top)
        if not person.sop_class or not person.sop_instance:
            raise BadArchive("an object has no SOP Class or SOP Instance UID. Export it again from its source.")
        learnt = Learnt.of(person, harvest)
        self.known.take(learnt)
        patient = self.known.owner(learnt.patient, learnt.study)
        made = self.key.made_code(patient) or self.key.made_uid(person.sop_instance)
        if self.known.identities.is_code(patient) and not made:
            raise BadArchive(
                "an object's PatientID is one of the codes, but this key has not made the object. "
                "Give the patient who has this code another one."
            )
        facts = header(data, encoding, top)
        verdict = self._pixels.decide(facts)
        if not verdict.keep:
            raise Held(verdict.reason)
        subject = self.known.subject(patient, person.dates)
        if self.key.uid(person.sop_class) != person.sop_class and subject.scrubber.in_bytes(person.sop_class.encode()):
            raise BadArchive("an object's SOP Class UID holds what identifies its patient. Export it again.")
        rewriter = Rewriter(
            subject,
            self.key,
            self.profile,
            sop_class=person.sop_class,
            study_date=person.study_date,
            pixels=_black(data, top, facts, verdict, subject.scrubber),
        )
        new = rewriter.rewritten(data, encoding, top)
        uid = person.sop_instance if "retain-uids" in self.profile.options else self.key.uid(person.sop_instance)
        told: Told = rewriter.told
        return Rewritten(
            [part10.deflated(b"".join(new))] if whole.is_deflated else new,
            part10.DEFLATED if whole.is_deflated else encoding,
            person.sop_class,
            uid,
            told.actions,
            told.warnings,
        )

    def file(self, source: Union[str, Path], target: Union[str, Path]) -> Rewritten:
        """A file anonymised into another one, which must not be there yet; the source stays as it is."""
        with opened(Path(source)) as whole:
            done = self._rewritten(whole)
            _write(Path(target), [done.file_meta, *done.pieces])
        return done

    def dataset(self, dataset: Any) -> Any:
        """A pydicom data set anonymised: a new one; the given one stays as it is."""
        syntax = str(getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", "") or part10.EXPLICIT_LITTLE)
        done = self.encoded(part10.encode(dataset, syntax), syntax)
        return part10.read(BytesIO(done.file_meta + done.dataset))

    def folder(self, source: Union[str, Path], to: Union[str, Path, None] = None, **options: Any) -> Anonymised:
        """A whole folder anonymised into another one, or in place; the options are those of ``anonymise_folder``."""
        from .folder import anonymise_folder

        return anonymise_folder(self, source, to, **options)


def ids_of(key: Path, ids: Union[str, Path, None]) -> Path:
    """The folder for who is who that belongs to a key, unless another one is named."""
    return Path(ids).absolute() if ids is not None else key.with_name(f"{key.stem}.ids")


def _write(path: Path, pieces: Iterable[part10.Buffer]) -> None:
    """Put a file there that was not there before."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    except FileExistsError:
        raise ConfigError(f"{path} is there already. Name another file.") from None
    except FileNotFoundError:
        raise ConfigError(f"{path.parent} is not a folder. Make it, or name another file.") from None
    with os.fdopen(descriptor, "wb", buffering=1 << 17) as file:
        file.writelines(pieces)


def _black(
    data: part10.Buffer, top: Iterable[part10.Element], facts: Header, verdict: Verdict, scrubber: Scrubber
) -> Optional[bytes]:
    """The pixels with the verdict's regions made black, where there are some; Held where what is unseen tells."""
    element = next((one for one in top if one.tag == 0x7FE00010), None)
    if element is None:
        return None
    if any(scrubber.in_bytes(part) for part in unseen(data, element, facts)):
        raise Held(
            "something in its PixelData that is no pixel (a comment, or what stands behind them) names the patient. "
            "Have its source export it again, or convert it (DCMTK: dcmdjpeg), which leaves such things out."
        )
    return blanked(memoryview(data)[element.value : element.end], facts, verdict.regions) if verdict.regions else None
