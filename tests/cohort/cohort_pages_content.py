"""What the steps leave of made-up patients, without any pixel: for the pages, which read nothing else."""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import Any, Optional

import cohort_rows as rows
from truth_codes import WHOLE

from qa_fetch.cohort import columns
from qa_fetch.cohort.built import Built, BuiltDose, BuiltPlan, BuiltRoi, BuiltSet
from qa_fetch.cohort.codes import CODES
from qa_fetch.cohort.config import Settings
from qa_fetch.cohort.config import settings as settings_of
from qa_fetch.cohort.dosimetry_records import Compared, Dosimetry, RoiDose
from qa_fetch.cohort.folders import PatientFolder
from qa_fetch.cohort.linking import decide
from qa_fetch.cohort.notes import Notes

RX = 60.0
REGIONS = (  # name, kind, colour, cc, mean in Gy, spread of its doses
    ("PTV_60", "PTV", (255, 0, 0), 212.4, 60.4, 0.9),
    ("CTV_60", "CTV", (255, 128, 255), 121.0, 60.8, 0.6),
    ("GTV", "GTV", (255, 255, 0), 31.7, 61.1, 0.5),
    ("Lung_L", "ORGAN", (0, 255, 255), 1480.2, 11.2, 7.5),
    ("Lung_R", "ORGAN", (0, 224, 255), 1620.9, 3.1, 2.0),
    ("Heart", "ORGAN", (165, 42, 42), 612.0, 6.4, 4.1),
    ("SpinalCord", "ORGAN", (0, 128, 0), 41.3, 9.2, 5.0),
    ("External", "EXTERNAL", (0, 255, 0), 18204.0, 8.1, 9.0),
)


def cohort_in(folder: Path, **keys: Any) -> Settings:
    """The settings of a cohort whose files all lie below a folder."""
    few = {"slices_drop_below": 2}
    return settings_of({"folder": str(folder / "cohort"), "archive": "pacs", "profile": "CRDP", **few, **keys})


def summary(settings: Settings, patient: str, *changed: dict[str, str], count: int = 4) -> None:
    """A patient's summary: a whole course, and what else there is."""
    whole = [
        *rows.images(count, patient=patient, PatientName=f"Doe^{patient}"),
        rows.structures(patient=patient),
        rows.plan(patient=patient),
        rows.dose(patient=patient),
    ]
    columns.write(settings.imagesummaries, patient, "SUCCESS", [*whole, *changed])


def noted(settings: Settings, patient: str, *codes: str, ready: bool = False, detail: str = "") -> Notes:
    """A patient's notes: what the rules say, then these codes."""
    notes = decide(patient, settings).notes
    for name in codes:
        notes.give(CODES[name], detail if name == codes[-1] else "")
    notes.ready = ready
    notes.write(settings.patientnotesdir)
    return notes


def usable(settings: Settings, patient: str, *, dose: float = 1.0, count: int = 4, **changes: Any) -> PatientFolder:
    """A patient whom nothing has stopped; ``dose`` is how much it has of the prescribed one."""
    summary(settings, patient, count=count)
    noted(settings, patient, *(name for name in WHOLE if name.startswith("X")), ready=True)
    folder = PatientFolder.of(settings, patient)
    folder.root.mkdir(parents=True, exist_ok=True)
    built(patient, count).write(folder)
    dosimetry(patient, dose, **changes).write(folder)
    return folder


def built(patient: str, count: int = 4, regions: Any = REGIONS) -> Built:
    """What was built of the course of ``cohort_rows``."""
    rois = tuple(
        BuiltRoi(number, name, kind, colour, f"masks/{number}.nii.gz", ((0, 1), (0, 1), (0, 1)), cc, cc * 1.004)
        for number, (name, kind, colour, cc, _, _) in enumerate(regions, 1)
    )
    return Built(
        patient=patient,
        rules="test",
        modality="CT",
        series=rows.CT,
        study=rows.STUDY,
        frame_of_reference=rows.FRAME,
        images=tuple(f"CT/{number}.dcm" for number in range(1, count + 1)),
        instances=tuple(f"{rows.CT}.{number}" for number in range(count)),
        nifti="CTnifti/ct.nii.gz",
        structures=(BuiltSet(rows.SETS, "RTSTRUCT/1.dcm", rois),),
        plans=(BuiltPlan(rows.PLAN, "RTPLAN/1.dcm", "BREAST_60", "APPROVED", RX, 30),),
        doses=(BuiltDose(rows.DOSE, "RTDOSE/1.dcm", "RTDOSEnifti/1.nii.gz", rows.PLAN, 64.0),),
    )


def dosimetry(patient: str, dose: float = 1.0, **changes: Any) -> Dosimetry:
    """Doses that are spread normally in each region."""
    regions = tuple(region(number, *each, dose=dose) for number, each in enumerate(REGIONS, 1))
    found: dict[str, Any] = {
        "patient": patient,
        "prescription_gy": RX,
        "fractions": 30,
        "highest_gy": max(each.max or 0.0 for each in regions),
        "rois": regions,
        "metrics": ({"roi": "Heart", "metric": "V5Gy", "value": 51.2, "unit": "%", "reason": None, "cautions": []},),
        "constraints": (
            _judged("Lung_L", "V20Gy", "<", 25.0, 12.1, "pass"),
            _judged("Heart", "Dmean", "<", 5.0, 6.4 * dose, "fail"),
            _judged("Kidney_*", "Dmean", "<", 18.0, None, "unknown", "no ROI of the patient has such a name"),
        ),
        "notes": ("ROI Isocentre has no contours that enclose anything.",),
    }
    return Dosimetry(**{**found, **changes})


def _judged(
    roi: str, metric: str, op: str, limit: float, value: Optional[float], result: str, reason: str = ""
) -> dict[str, Any]:
    return {
        "roi": roi, "metric": metric, "op": op, "limit": limit, "unit": "Gy" if metric == "Dmean" else "%",
        "value": value, "result": result, "reason": reason, "cautions": "",
    }  # fmt: skip


def region(
    number: int, name: str, kind: str, colour: Any, cc: float, mean: float, spread: float, *, dose: float = 1.0
) -> RoiDose:
    """A region with its curve, a value of the planning system that agrees and, of the heart, one that does not."""
    mean, high = mean * dose, (mean + 2.6 * spread) * dose
    doses = [high * place / 90 for place in range(91)]
    shares = [50 * math.erfc((each - mean) / spread / math.sqrt(2)) for each in doses]
    shares = [100.0 * (share - shares[-1]) / (shares[0] - shares[-1]) for share in shares]
    tps = [Compared("volume", cc, cc * 1.004, "cc", True, source="ROIVolume")]
    if name == "Heart" and dose < 0.9:
        tps.append(Compared("mean", mean, mean * 1.2, "Gy", False, "Look at the grid.", "DVHSequence", "BREAST_60"))
    return RoiDose(
        structures=rows.SETS,
        number=number,
        name=name,
        kind=kind,
        colour=colour,
        volume_cc=cc,
        mean=mean,
        median=mean,
        min=0.0,
        max=high,
        d95=max(mean - 1.645 * spread, 0.0),
        d2=mean + 2.054 * spread,
        curve_gy=tuple(doses),
        curve_percent=tuple(shares),
        cautions=("12 % of it lie outside of the dose grid.",) if name == "External" else (),
        tps=tuple(tps),
    )


def png(side: int = 24, shade: int = 90) -> bytes:
    """A small picture."""
    lines = b"".join(b"\0" + bytes((shade + row + column) % 256 for column in range(side)) for row in range(side))
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def pictures(folder: PatientFolder, side: int = 24) -> None:
    """The pictures of a patient."""
    folder.pictures.mkdir(parents=True, exist_ok=True)
    for name in ("thumbnail", "axial", "coronal", "sagittal"):
        (folder.pictures / f"{name}.png").write_bytes(png(side))


def everything(settings: Settings, *, usable_ones: int = 12, side: int = 24) -> None:
    """A cohort with patients of every state; the last usable one is unusual."""
    for number in range(1, usable_ones + 1):
        last = number == usable_ones
        folder = usable(settings, f"{number}", dose=0.8 if last else 1 + number % 5 / 500, count=20 if last else 4)
        pictures(folder, side)
    columns.write(settings.imagesummaries, "no summary", "ERROR")
    noted(settings, "no summary")
    columns.write(settings.imagesummaries, "nothing", "IMAGINGDATANOTFOUND")
    noted(settings, "nothing")
    other = "1.2.200"
    second = [
        *rows.images(4, series=f"{other}.1", study=other, patient="two studies", SeriesDescription="rescan"),
        rows.structures(f"{other}.2", of=f"{other}.1", study=other, patient="two studies"),
        rows.plan(f"{other}.3", of=f"{other}.2", study=other, patient="two studies"),
        rows.dose(f"{other}.4", of=f"{other}.3", study=other, patient="two studies"),
    ]
    summary(settings, "two studies", *second)
    noted(settings, "two studies")
    summary(settings, "rejected")
    rejected = [rows.plan(patient="rejected", ApprovalStatus="REJECTED"), rows.structures(patient="rejected")]
    rejected += [rows.dose(patient="rejected"), *rows.images(4, patient="rejected")]
    columns.write(settings.imagesummaries, "rejected", "SUCCESS", rejected)
    noted(settings, "rejected")
    summary(settings, "unreachable")
    noted(settings, "unreachable", "XI_EXEC_02", detail="pacs does not answer at 10.0.0.2:104.")
    summary(settings, "not built")
    noted(settings, "not built")
    summary(settings, "no dose")
    noted(
        settings,
        "no dose",
        *(name for name in WHOLE if name[:3] in ("XI_", "XII", "XIV", "XV_", "XVI")),
        "XXIV_EXEC_003",
    )
    built("no dose").write(PatientFolder.of(settings, "no dose"))
