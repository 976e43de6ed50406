"""An output looked at again, with pydicom and without believing who wrote it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional, Union

from .. import part10
from ..errors import BadArchive, ConfigError, NotFound
from .anonymiser import Anonymiser
from .dictionary import OF_KINDS, vr_of
from .keyed import Key
from .reading import opened
from .sources import DIRECTORY, OBJECT, handfuls, kind_of, paths
from .text import Scrubber

_STANDARD = "1.2.840.10008."
_REFERENCED = 0x00081155
_META = frozenset((0x00020000, 0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012, 0x00020013))
_DATES = {"shift": "MODIFIED", "remove": "REMOVED", "keep": "UNMODIFIED"}


class Finding(NamedTuple):
    """A file below the folder, and what is wrong with it."""

    file: str
    problem: str


@dataclass
class Verified:
    """What a look at an output found.

    ``dangling`` counts the instances that are referred to and are not in the folder, which is no fault of theirs.
    """

    folder: Path
    files: int = 0
    dangling: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """What a command ends with."""
        return 1 if self.findings else 0

    def counted(self) -> Counter[str]:
        """How often each problem was found."""
        return Counter(finding.problem for finding in self.findings)


def verify(
    folder: Union[str, Path],
    key: Union[str, Path],
    *,
    profile: Union[str, Path] = "basic",
    ids: Union[str, Path, None] = None,
    on_progress: Optional[Callable[[int, int], None]] = None,
) -> Verified:
    """Look for whatever an anonymised folder should not hold, and for what it should.

    Parameters
    ----------
    folder
        An output.
    key
        The key by which it was made, which must be there.
    profile
        The profile by which it was made.
    ids
        The key's folder, where it is not beside the key: it holds what identifies the patients.
    on_progress
        Called with the number of files done and of all files.
    """
    root = Path(folder).absolute()
    if not root.is_dir():
        raise ConfigError(f"{root} is not a folder. Name the folder of an output.")
    Key.load(Path(key).absolute(), create=False)
    look = _Look(Anonymiser(key, profile, ids=ids), root)
    total = sum(len(payload["files"]) for payload in handfuls(root)) if on_progress else 0
    for payload in handfuls(root):
        for relative, path in paths(root, payload):
            look.at(relative, path)
            if on_progress:
                on_progress(look.verified.files, total)
    if not look.verified.files:
        raise NotFound(f"{root} holds no files. Name the folder of an output.")
    look.verified.dangling = len(look.referenced - look.instances)
    return look.verified


class _Look:
    """What was seen so far."""

    def __init__(self, anonymiser: Anonymiser, root: Path) -> None:
        self.verified = Verified(root)
        self.instances: set[str] = set()
        self.referenced: set[str] = set()
        self._anonymiser, self._profile = anonymiser, anonymiser.profile
        known = anonymiser.known
        self._patients = {known.identities.code(owner): owner for owner in known.owners}
        self._scrubber = lru_cache(maxsize=4)(lambda code: known.subject(self._patients[code]).scrubber)

    def at(self, relative: str, path: Path) -> None:
        """One file; what is wrong is noted, never raised."""
        self.verified.files += 1
        kind = kind_of(path)
        if kind not in (OBJECT, DIRECTORY):
            self._find(relative, "is no DICOM object. Remove it.")
            return
        try:
            dataset = part10.read(path)
            with opened(path) as whole:
                part10.walk(whole.dataset, whole.encoding, "a file")
                unpacked = bytes(whole.dataset) if whole.is_deflated else b""
        except (BadArchive, OSError):
            self._find(relative, "cannot be read. Remove it, and anonymise its source again.")
            return
        raw = path.read_bytes()
        if any(raw[:128]):
            self._find(relative, "has a preamble that is not empty.")
        if kind == DIRECTORY:
            return
        self._marks(relative, dataset)
        self._walk(relative, dataset, set())
        scrubber = self._of(relative, str(dataset.get("PatientID", "")))
        if scrubber is not None:
            if scrubber.in_bytes(raw) or scrubber.in_bytes(unpacked):
                self._find(relative, "holds a string that identifies its patient or the staff.")
            if scrubber.text(relative) != relative:
                self._find(scrubber.text(relative), "has a name that identifies its patient or the staff.")

    def _find(self, relative: str, problem: str) -> None:
        self.verified.findings.append(Finding(relative, problem))

    def _of(self, relative: str, code: str) -> Optional[Scrubber]:
        """What knows the strings of a patient."""
        if code in self._patients:
            return self._scrubber(code)
        if not self._anonymiser.known.identities.is_code(code):
            self._find(relative, "has a PatientID that this key and its folder do not know.")
        else:
            self._find(relative, "is of a patient whose strings are not in the key's folder: they were not looked for.")
        return None

    def _marks(self, relative: str, dataset: Any) -> None:
        """What every output says of itself."""
        if str(dataset.get("PatientIdentityRemoved", "")) != "YES":
            self._find(relative, "does not say PatientIdentityRemoved YES.")
        said = {str(item.get("CodeValue", "")) for item in dataset.get("DeidentificationMethodCodeSequence") or ()}
        if not {code for code, _ in self._profile.codes} <= said:
            self._find(relative, "does not name the options of the profile in DeidentificationMethodCodeSequence.")
        if str(dataset.get("LongitudinalTemporalInformationModified", "")) != _DATES[self._profile.dates]:
            self._find(relative, "does not say in LongitudinalTemporalInformationModified what the profile does.")
        meta = getattr(dataset, "file_meta", None) or {}
        if {int(tag) for tag in meta.keys()} - _META:
            self._find(relative, "has more in its file header than it needs.")
        if str(meta.get("MediaStorageSOPInstanceUID", "")) != str(dataset.get("SOPInstanceUID", "")):
            self._find(relative, "has another instance UID in its file header than in its data set.")
        self.instances.add(str(dataset.get("SOPInstanceUID", "")))

    def _walk(self, relative: str, dataset: Any, found: set[str]) -> None:
        """Every element, nested ones too; each problem is told once for a file."""
        creators: dict[int, str] = {}
        for tag in sorted(dataset.keys()):
            raw = dataset.get_item(tag)
            vr = (raw.VR or vr_of(int(tag)).decode("ascii")).split(" ")[0]
            if tag.is_private:
                self._private(relative, dataset, int(tag), creators, found)
            if vr == "UI" and int(tag) not in OF_KINDS:
                self._uids(relative, int(tag), raw.value, found)
            if vr in ("SQ", "UN") and dataset[tag].VR == "SQ":
                for item in dataset[tag].value:
                    self._walk(relative, item, found)

    def _private(self, relative: str, dataset: Any, tag: int, creators: dict[int, str], found: set[str]) -> None:
        if 0x10 <= tag & 0xFFFF <= 0xFF:
            creators[tag >> 16 << 8 | tag & 0xFF] = str(dataset[tag].value or "").strip()
            return
        creator = creators.get(tag >> 16 << 8 | tag >> 8 & 0xFF, "")
        if not creator or self._profile.private(creator, tag & 0xFFFF00FF) is None:
            self._once(relative, "has private elements that the profile does not keep.", found)

    def _uids(self, relative: str, tag: int, value: Any, found: set[str]) -> None:
        for uid in _texts(value):
            if tag == _REFERENCED:
                self.referenced.add(uid)
            is_own = uid.startswith(_STANDARD) or self._anonymiser.key.made_uid(uid)
            if not (is_own or not uid or "retain-uids" in self._profile.options):
                self._once(relative, "has UIDs that this key did not make.", found)

    def _once(self, relative: str, problem: str, found: set[str]) -> None:
        if problem not in found:
            found.add(problem)
            self._find(relative, problem)


def _texts(value: Any) -> Iterator[str]:
    """The UIDs of a value as pydicom has it, raw or not."""
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    for one in [value] if isinstance(value, str) or value is None else value:
        yield from (part.strip("\0 ") for part in str(one or "").split("\\"))
