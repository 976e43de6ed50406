"""The planning system's own export as the other side: which of its objects is which of ours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from ... import part10
from ...errors import BadArchive, ConfigError, NotFound
from ..records import Patient
from ..report import Contents, Converted
from ..sources import Source
from .found import DOSE, IMAGES, KINDS, PLAN, STRUCTURES, Found, Key
from .objects_read import calmly

_MOST_FILES = 200_000
_LABELS = (
    "RTPlanLabel",
    "RTPlanName",
    "RTPlanDescription",
    "StructureSetLabel",
    "StructureSetName",
    "SeriesDescription",
)
_KEYWORDS = [
    "Modality",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "PatientID",
    "DoseSummationType",
    "ReferencedRTPlanSequence",
    "ReferencedStructureSetSequence",
    "BeamSequence",
    "StructureSetROISequence",
    *_LABELS,
]


@dataclass(frozen=True)
class Item:
    """A file of the export, with what tells which object it is."""

    path: Path
    modality: str
    uid: str
    series: str
    patient: str
    labels: frozenset[str]
    names: frozenset[str]  # of its beams or regions
    refers: frozenset[str]
    summation: str


class Reference:
    """A folder of DICOM files."""

    knows = False

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ConfigError(f"there is no folder {folder}. Name the one that the planning system exported to.")
        self.name = f"the export in {folder.name or folder}"
        self._items = _items(folder)
        if not self._items:
            raise NotFound(f"{folder} holds no DICOM files. Name the folder that the planning system exported to.")

    def found(self, source: Source, patient: Patient, converted: Converted, ours: Found) -> Found:
        """The counterpart of every object of a patient that we have converted."""
        items = [each for each in self._items if each.patient.strip() == (patient.medical_record_number or "").strip()]
        found = Found()
        if not items:
            items = self._items
            found.notes.append("no file of the export has this patient's number, so all of them were looked at")
        for key in ours.paths:
            if key.kind == IMAGES:
                self._images(items, key, ours, found)
        for plan in converted.plans:
            self._plan(items, plan, ours, found)
        used = {path for paths in found.paths.values() for path in paths}
        found.others = [
            f"{item.modality} {item.path.name}" for item in items if item.path not in used and item.modality in KINDS
        ]
        return found

    def _images(self, items: Sequence[Item], key: Key, ours: Found, found: Found) -> None:
        mine = [
            part10.read(path, keywords=["SOPInstanceUID", "SeriesInstanceUID", "Modality"]) for path in ours.paths[key]
        ]
        uids, series = {str(each.SOPInstanceUID) for each in mine}, {str(each.SeriesInstanceUID) for each in mine}
        groups: dict[str, list[Item]] = defaultdict(list)
        for item in items:
            if item.modality == str(mine[0].Modality):
                groups[item.series].append(item)
        same = [group for name, group in groups.items() if name in series or any(each.uid in uids for each in group)]
        alike = same or [group for group in groups.values() if len(group) == len(mine)]
        if len(alike) == 1:
            found.paths[key] = [item.path for item in alike[0]]
        else:
            found.missing[key] = "the export has no such series" if not alike else "several series of the export fit"

    def _plan(self, items: Sequence[Item], plan: Contents, ours: Found, found: Found) -> None:
        chosen: dict[int, Item] = {}
        for trial, name in plan.trials.items():
            wanted = [each for each in (plan.name, name) if each]
            match = self._match(items, Key(PLAN, plan.number, trial), wanted, ours, found)
            if match is not None:
                chosen[trial] = match
        for trial in plan.trials:
            self._dose(items, Key(DOSE, plan.number, trial), chosen.get(trial), found)
        referred = frozenset[str]().union(*(item.refers for item in chosen.values())) if chosen else frozenset[str]()
        key = Key(STRUCTURES, plan.number)
        self._match(items, key, [plan.name] if plan.name else [], ours, found, lambda item: item.uid in referred)

    def _match(
        self,
        items: Sequence[Item],
        key: Key,
        labels: Sequence[str],
        ours: Found,
        found: Found,
        sure: Callable[[Item], bool] = lambda item: False,
    ) -> Optional[Item]:
        """The one object that fits best: by reference, by names of beams or regions, by its labels."""
        candidates = [item for item in items if KINDS.get(item.modality) == key.kind]
        names: frozenset[str] = frozenset()
        if key in ours.paths:
            mine = _item(ours.paths[key][0])
            names = mine.names if mine is not None else names

        def score(item: Item) -> tuple[bool, float, int]:
            shared = len(names & item.names) / len(names | item.names) if names | item.names else 0.0
            called = sum(any(label.strip() in text for text in item.labels) for label in labels)
            return sure(item), round(shared, 3), called

        ranked = sorted(candidates, key=score, reverse=True)
        if not ranked or not any(score(ranked[0])):
            found.missing[key] = "the export has none that fits"
        elif len(ranked) > 1 and score(ranked[0]) == score(ranked[1]):
            found.missing[key] = "several of the export fit equally well, and none is named so"
        else:
            found.paths[key] = [ranked[0].path]
            return ranked[0]
        return None

    def _dose(self, items: Sequence[Item], key: Key, plan: Optional[Item], found: Found) -> None:
        doses = [item for item in items if item.modality == "RTDOSE"]
        whole = [item for item in doses if item.summation == "PLAN"]
        mine = [item for item in whole if plan is not None and plan.uid in item.refers]
        if len(mine) == 1:
            found.paths[key] = [mine[0].path]
        elif mine:
            found.missing[key] = "several doses of the export refer to its plan"
        elif doses and not whole:
            found.missing[key] = "the export has doses of single beams and none of a whole plan; export that one"
        else:
            found.missing[key] = "no dose of the export refers to its plan"


def _items(folder: Path) -> list[Item]:
    found = []
    for count, path in enumerate(sorted(folder.rglob("*"))):
        if count > _MOST_FILES:
            raise ConfigError(f"{folder} has more than {_MOST_FILES:,} files. Name the folder of this one export.")
        item = _item(path) if path.is_file() else None
        if item is not None:
            found.append(item)
    return found


def _item(path: Path) -> Optional[Item]:
    try:
        with calmly():
            data = part10.read(path, keywords=_KEYWORDS)
    except (BadArchive, OSError):
        return None
    refers = [
        str(item.get("ReferencedSOPInstanceUID", ""))
        for keyword in ("ReferencedRTPlanSequence", "ReferencedStructureSetSequence")
        for item in data.get(keyword) or ()
    ]
    return Item(
        path=path,
        modality=str(data.get("Modality", "")),
        uid=str(data.get("SOPInstanceUID", "")),
        series=str(data.get("SeriesInstanceUID", "")),
        patient=str(data.get("PatientID", "")),
        labels=frozenset(str(data.get(keyword) or "").strip() for keyword in _LABELS) - {""},
        names=_names(data),
        refers=frozenset(refers),
        summation=str(data.get("DoseSummationType", "")),
    )


def _names(data: Any) -> frozenset[str]:
    beams = [str(item.get("BeamName") or "").strip() for item in data.get("BeamSequence") or ()]
    regions = [str(item.get("ROIName") or "").strip() for item in data.get("StructureSetROISequence") or ()]
    return frozenset(filter(None, (*beams, *regions)))
