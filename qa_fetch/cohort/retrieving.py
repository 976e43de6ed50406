"""What was chosen of a patient, fetched: every object of it and no other, checked, and kept as it came."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import part10
from ..archive import Archive, Images
from ..errors import BadArchive, Incomplete, QAFetchError
from ..shelf.disk import link
from . import codes
from .codes import Code
from .columns import given
from .linking.graph import Node
from .notes import Notes

_TO_SORT = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6}  # and how many numbers each has
_WHOSE = ("PatientID", "SOPInstanceUID")


class Excluded(Exception):
    """The data themselves keep a patient out; the notes have the code."""


class Retrieval:
    """The objects of one patient on their way from the archive; what goes wrong gets its code.

    Parameters
    ----------
    archive
        From where; with a shelf that is the cohort's own.
    notes
        Of the patient.
    """

    def __init__(self, archive: Archive, notes: Notes) -> None:
        self._archive = archive
        self._notes = notes
        self._sets: list[Images] = []

    def images(self, series: Node, folder: Path) -> tuple[list[Path], list[str]]:
        """The images of a series as ``1.dcm``, ``2.dcm`` ... along their normal, and their UIDs.

        Raises
        ------
        Excluded
            They cannot be put in order.
        """
        begun = time.perf_counter()
        try:
            came = self._archive.fetch(series=series.uid)
            self._sets.append(came)
            headers = self._headers(came, series, (*_WHOSE, *_TO_SORT))
            self._check_all(came, series)
        except QAFetchError as error:
            self._notes.give(_of_images(error), error.message)
            raise
        self._notes.say("retrieval_notes", f"XI: CT retrieval:Took {time.perf_counter() - begun:.2f} s")
        order = self._in_order(headers)
        folder.mkdir()
        files = [folder / f"{number}.dcm" for number in range(1, len(order) + 1)]
        for index, file in zip(order, files):
            link(came.files[index], file)
        self._notes.give(codes.XI_SUCC_001)
        return files, [came.uids[index] for index in order]

    def objects(
        self, nodes: Sequence[Node], folder: Path, name: str, code_of: Callable[[QAFetchError], Code]
    ) -> list[Path]:
        """RT objects in a folder of their own.

        Parameters
        ----------
        nodes
            Which ones.
        folder, name
            Where they go, and what their files are called, with ``{sop}`` in it.
        code_of
            The code of a failure.
        """
        files = []
        folder.mkdir()
        for node in nodes:
            try:
                came = self._archive.fetch(instance=node.uid)
                self._sets.append(came)
                self._headers(came, node, _WHOSE)
            except QAFetchError as error:
                self._notes.give(code_of(error), error.message)
                raise
            files.append(folder / name.format(sop=part10.file_stem(node.uid)))
            link(came.files[0], files[-1])
        return files

    def forget(self) -> None:
        """Take everything off the shelf: it has been given its place."""
        for came in self._sets:
            self._archive.forget(came)
        self._sets = []

    def _headers(self, came: Images, node: Node, keywords: Sequence[str]) -> list[Any]:
        """What objects say of themselves; all of them have to be this patient's, whatever the archive took them for."""
        headers = [part10.read(file, headers_only=True, keywords=keywords) for file in came.files]
        patients = {_without_zeros(given(row["PatientID"])) for row in node.rows} - {""}
        if patients and {_without_zeros(str(each.get("PatientID") or "")) for each in headers} - patients:
            raise BadArchive(
                f"{self._archive.name} sent an object of another patient than the summary says, so none is used. "
                "Summarise the patient again; if it stays so, report it to the archive's administrator."
            )
        return headers

    def _check_all(self, came: Images, series: Node) -> None:
        """As many images as the summary has: the choice was made for these, and a part of a series is no series."""
        listed = {given(row["SOPInstanceUID"]) for row in series.rows}
        missing, more = sorted(listed - set(came.uids)), sorted(set(came.uids) - listed)
        if missing or more:
            raise Incomplete(
                f"{self._archive.name} has {len(came)} images of the series and the summary {len(listed)}: "
                f"{len(missing)} of these did not come, {len(more)} are new. "
                "Run qa-fetch cohort summarise again for this patient; if images are lost, bring them back first.",
                retriable=False,
                missing=missing,
            )

    def _in_order(self, headers: Sequence[Any]) -> list[int]:
        """The images along the normal of the first one; nothing is left out, as PDCP does."""
        try:
            turns = np.array([header.ImageOrientationPatient for header in headers[:1]], dtype=np.float64)
            places = np.array([header.ImagePositionPatient for header in headers], dtype=np.float64)
            along = places @ np.cross(turns[0, :3], turns[0, 3:])
        except (AttributeError, ValueError, TypeError, ArithmeticError):
            lacking = sum(
                any(len(header.get(key) or ()) != count for key, count in _TO_SORT.items()) for header in headers
            )
            self._notes.give(
                codes.XI_EXEC_001,
                f"CT retrieval: {lacking} of {len(headers)} images do not say where they lie, as images of several "
                "frames do not, which are not built. Leave this patient out.",
            )
            raise Excluded from None
        for keyword in ("SliceLocation", "ImagePositionPatient"):
            self._notes.say("retrieval_notes", f"XI: CT retrieval: skipped, no {keyword}: 0")
        return [int(index) for index in np.argsort(along, kind="stable")]


def _of_images(error: QAFetchError) -> Code:
    """What came was no good or not all of it, or nothing came."""
    return codes.XI_EXEC_002 if isinstance(error, (BadArchive, Incomplete)) else codes.XI_EXEC_02


def came_garbled(garbled: Code, lost: Code) -> Callable[[QAFetchError], Code]:
    """The code of an RT object that came and is no good, or that did not come."""
    return lambda error: garbled if isinstance(error, BadArchive) else lost


def _without_zeros(patient: str) -> str:
    """An ID as it still is when pandas has written a table again."""
    text = patient.strip()
    return (text.lstrip("0") or "0") if text.isdigit() else text
