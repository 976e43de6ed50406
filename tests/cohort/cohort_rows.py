"""Rows of summaries as an archive's headers make them: courses that are whole, and the ways in which they are not."""

from __future__ import annotations

from typing import Any

from qa_fetch.cohort import columns, config

STUDY, FRAME = "1.2.100", "1.2.100.9"
CT, SETS, PLAN, DOSE = "1.2.100.1", "1.2.100.2", "1.2.100.3", "1.2.100.4"


def place(patient: str, study: str, series: str, instance: str, **other: str) -> dict[str, str]:
    """What the archive knows of an object's patient, study and series."""
    return {
        "InstanceIdentifier": f"orthanc-{instance}",
        "OrthancId": f"orthanc-{patient}",
        "PatId": patient,
        "StudyId": "1",
        "StudyIdentifier": f"orthanc-{study}",
        "StudyDescription": "breast left",
        "SeriesIdentifier": f"orthanc-{series}",
        "SeriesDescription": "planning",
        "SeriesDate": "20141222",
        **other,
    }


def one(
    modality: str, uid: str, *, patient: str = "1", study: str = STUDY, series: str = "", **tags: Any
) -> dict[str, str]:
    """One object's row; ``tags`` are its header, or where PLACE has their name, what the archive knows."""
    where = {key: tags.pop(key) for key in list(tags) if key in columns.PLACE}
    header = {
        "Modality": modality,
        "SOPInstanceUID": uid,
        "SeriesInstanceUID": series or f"{uid}.0",
        "StudyInstanceUID": study,
        "StudyDate": "20141222",
        "PatientID": patient,
        "SeriesNumber": {"CT": "2", "RTSTRUCT": "3", "RTPLAN": "4", "RTDOSE": "10"}.get(modality, "1"),
        **tags,
    }
    return columns.row(header, place(patient, study, header["SeriesInstanceUID"], uid, **where))


def images(
    count: int = 60, *, series: str = CT, modality: str = "CT", frame: str = FRAME, **tags: Any
) -> list[dict[str, str]]:
    """A series of slices of 200 x 200 mm, 3 mm apart."""
    return [
        one(
            modality,
            f"{series}.{number}",
            series=series,
            FrameOfReferenceUID=frame,
            ImagePositionPatient=f"-100\\-100\\{number * 3}",
            ImageOrientationPatient="1\\0\\0\\0\\1\\0",
            PixelSpacing="2\\2",
            Rows="101",
            Columns="101",
            **tags,
        )
        for number in range(count)
    ]


def structures(
    uid: str = SETS, *, of: str = CT, rois: tuple[str, ...] = ("PTV", "Heart"), **tags: Any
) -> dict[str, str]:
    """A structure set that was drawn on a series."""
    series = {"SeriesInstanceUID": of, "ContourImageSequence": [{"ReferencedSOPInstanceUID": "1"}] * 3}
    frame = {"RTReferencedStudySequence": [{"RTReferencedSeriesSequence": [series]}]}
    regions = [{"ROINumber": str(number), "ROIName": name} for number, name in enumerate(rois)]
    tags = {"StructureSetROISequence": regions, "ReferencedFrameOfReferenceSequence": [frame], **tags}
    return one("RTSTRUCT", uid, **tags)


def plan(uid: str = PLAN, *, of: str = SETS, fractions: int = 25, **tags: Any) -> dict[str, str]:
    """A plan on a structure set."""
    tags = {
        "ApprovalStatus": "APPROVED",
        "RTPlanLabel": f"L{uid[-1]}",
        "RTPlanDate": "20141223",
        "ReferencedStructureSetSequence": [{"ReferencedSOPInstanceUID": of}],
        "FractionGroupSequence": [{"NumberOfFractionsPlanned": str(fractions)}],
        **tags,
    }
    return one("RTPLAN", uid, **tags)


def dose(uid: str = DOSE, *, of: str = PLAN, **tags: Any) -> dict[str, str]:
    """The dose of a plan, a grid of 100 mm within the images."""
    named = {"ReferencedRTPlanSequence": [{"ReferencedSOPInstanceUID": of}]} if of else {}
    tags = {
        "DoseSummationType": "PLAN",
        "FrameOfReferenceUID": FRAME,
        "ImagePositionPatient": "-50\\-50\\30",
        "ImageOrientationPatient": "1\\0\\0\\0\\1\\0",
        "PixelSpacing": "2.5\\2.5",
        "Rows": "41",
        "Columns": "41",
        "GridFrameOffsetVector": "\\".join(str(at * 2.5) for at in range(41)),
        **named,
        **tags,
    }
    return one("RTDOSE", uid, **tags)


def course(count: int = 60) -> list[dict[str, str]]:
    """Images, structures, plan and dose of one patient."""
    return [*images(count), structures(), plan(), dose()]


def settings(**keys: Any) -> config.Settings:
    """The settings of a cohort; profile CRDP where nothing else is said."""
    return config.settings({"folder": "cohort", "archive": "pacs", "profile": "CRDP", **keys})
