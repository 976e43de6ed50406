"""Summaries from any other archive: by questions, and by the headers of objects where its answers do not tell."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ... import part10
from ...archive import Archive
from ...errors import Incomplete
from .. import columns
from ..columns import NEEDED, given, orthanc_identifier
from ..linking.graph import IMAGES
from .source import Listed, Row, along, header_of, in_order, row

_KEYWORDS = tuple(sorted(NEEDED))
_SITUATED = ("FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


class ArchiveSource:
    """An archive behind DIMSE or DICOMweb, Pinnacle's, or one of another package.

    Parameters
    ----------
    archive
        Which.
    whole
        Whether every image's place matters, so that the headers of all of them are fetched where its answers do not
        say it: doses that name no plan are linked by where they lie.
    """

    def __init__(self, archive: Archive, *, whole: bool) -> None:
        self.name = archive.name
        self._archive = archive
        self._whole = whole

    def patients(self) -> list[Listed]:
        """Every patient that the archive names."""
        found = (_text(one, "PatientID") for one in self._archive.find("PATIENT", PatientID=""))
        return in_order((Listed(patient, orthanc_identifier(patient)) for patient in found), self.name)

    def rows(self, listed: Listed, modalities: Collection[str]) -> list[Row]:
        """One row for each object of these modalities."""
        found: list[Row] = []
        for study in self._archive.find("STUDY", PatientID=listed.patient):
            if _text(study, "PatientID") not in ("", listed.patient):
                continue  # an ID may have * in it, and some archives do not tell capitals from others
            keys = {"PatientID": listed.patient, "StudyInstanceUID": _text(study, "StudyInstanceUID")}
            for series in self._archive.find("SERIES", keys, SeriesDescription="", SeriesDate=""):
                modality = _text(series, "Modality")
                if not modality or modality in modalities:
                    lines = self._series(listed.patient, study, series, modality)
                    found += [line for line in lines if line["Modality"] in modalities]
        return found

    def _series(self, patient: str, study: Any, series: Any, modality: str) -> list[Row]:
        uids = {"StudyInstanceUID": _text(study, _UIDS[0]), "SeriesInstanceUID": _text(series, _UIDS[1])}
        asked = self._archive.find("IMAGE", {"PatientID": patient, **uids}, **dict.fromkeys(_questions(), ""))
        told = {_text(one, "SOPInstanceUID"): header_of(one) for one in asked}
        self._check_count(series, len(told))
        headers = self._fetched(list(told)) if modality not in IMAGES else self._of_images(told)
        about = {"Modality": modality or None, "SeriesNumber": _text(series, "SeriesNumber") or None, **uids}
        lines = []
        for uid, answer in told.items():
            header = {**about, **answer, **headers.get(uid, {}), "SOPInstanceUID": uid, **uids}
            lines.append(row(header, patient, header_of(study), header_of(series)))
        ordered = along(lines)
        # The frame of reference of a series is that of its first row, wherever an answer has none.
        return sorted(ordered, key=lambda line: not given(line["FrameOfReferenceUID"]))

    def _of_images(self, told: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        """What the answers lack: of every image, or of one where only the frame of reference matters."""
        if all(answer.get(keyword) for answer in told.values() for keyword in _SITUATED):
            return {}
        if self._whole:
            return self._fetched(list(told))
        if any(answer.get("FrameOfReferenceUID") for answer in told.values()):
            return {}
        one = self._fetched(list(told)[:1])
        # The place of one image of many would pass for that of the series.
        left_out = "ImagePositionPatient" if len(told) > 1 else None
        return {uid: {key: value for key, value in header.items() if key != left_out} for uid, header in one.items()}

    def _fetched(self, uids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """The headers of objects, which do not stay on the shelf."""
        if not uids:
            return {}
        images = self._archive.fetch(instance=list(uids))
        read = [part10.read(file, headers_only=True, keywords=_KEYWORDS) for file in images.files]
        found: dict[str, Mapping[str, Any]] = {}
        for header in read:
            found[_text(header, "SOPInstanceUID")] = header_of(header)
        self._archive.forget(images)
        if not all(uid in found for uid in uids):
            raise self._part()
        return found

    def _check_count(self, series: Any, count: int) -> None:
        announced = columns.number(_text(series, "NumberOfSeriesRelatedInstances"))
        if announced is not None and count < announced:
            raise self._part()

    def _part(self) -> Incomplete:
        return Incomplete(f"{self.name} named only part of the objects of a series. Run again.")


@lru_cache(maxsize=1)
def _questions() -> tuple[str, ...]:
    """What is asked of each image: no sequences, which few archives answer with."""
    from pydicom.datadict import dictionary_VR

    plain = [keyword for keyword in _KEYWORDS if dictionary_VR(keyword) != "SQ"]
    return tuple(keyword for keyword in plain if keyword not in (*_UIDS, "PatientID", "SpecificCharacterSet"))


def _text(one: Any, keyword: str) -> str:
    value = one.get(keyword)
    return "" if value is None else str(value).strip("\0 ")
