"""pynetdicom_wrapper's own class on top of ``Archive``: change the import, keep the code.

The archive is the default one of the configuration, so no address needs to be typed into source code; setting
``local_conf`` and ``remote_conf`` on an instance still works.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, NoReturn, Optional
from urllib.parse import quote

from . import kinds, part10
from .archive import Archive
from .config import Config
from .errors import Ambiguous, ConfigError, NotFound, QAFetchError
from .kinds import Kind


class AEConfig:
    """AE title, address and port of one end, as the seed's class of this name."""

    def __init__(self, aet: str, ip: str, port: int) -> None:
        self.aet = aet
        self.ip = ip
        self.port = port

    def __str__(self) -> str:
        return f"{self.aet} ({self.ip}:{self.port})"


class PynetdicomWrapper:
    """Download the latest RT images of a patient and plan into a directory.

    Parameters
    ----------
    pat_id, plan_name
        The PatientID and RTPlanLabel; the plan is looked up at once when both are given.
    """

    def __init__(self, pat_id: str = "", plan_name: str = "") -> None:
        self.local_conf, self.remote_conf = _configured()
        self.pat_id = pat_id
        self.plan_name = plan_name
        self.plan_uid = ""
        self.study_uid = ""
        if self.pat_id and self.plan_name:
            self.get_plan_uids(self.pat_id, self.plan_name)

    def get_plan_uids(self, pat_id: str, plan_name: str) -> None:
        """Look up ``plan_uid`` and ``study_uid``; ValueError unless exactly one plan has the name."""
        try:
            plan = self._archive().plan(pat_id, plan_name)
        except QAFetchError as error:
            _raise_like_the_seed(error, ValueError)
        self.pat_id, self.plan_name = pat_id, plan_name
        self.plan_uid, self.study_uid = plan.uid, plan.reference.study

    def get_series(
        self,
        path: Path,
        imagetype: str,
        seriesdate: Optional[date] = None,
        ignore_kV: bool = True,  # noqa: N803 - the seed's own name
    ) -> str:
        r"""Write the latest series of the plan into a directory.

        Parameters
        ----------
        path
            An existing directory; each file is named by its SOP Instance UID.
        imagetype
            ``ORIGINAL\PRIMARY\PORTAL`` or ``ORIGINAL\PRIMARY\PORTAL\ACQUIRED_DOSE``.
        seriesdate
            The day of acquisition; the latest without it.
        ignore_kV
            False also brings what else the series holds, such as its kV images.

        Returns
        -------
        str
            Acquisition date and time of the first image, as DICOM writes them.
        """
        if not self.plan_uid:
            raise TypeError("Missing uid, call PynetdicomWrapper.get_plan_uids() first.")
        archive = self._archive()
        try:
            images = archive.latest(
                self.pat_id, plan=self.plan_uid, kind=_without_kilovoltage(kinds.kind(imagetype)), on=seriesdate
            )
            found = images if ignore_kV else archive.fetch(series=images.series)
        except QAFetchError as error:
            _raise_like_the_seed(error, RuntimeError)
        for uid, source in zip(found.uids, found.files):
            shutil.copyfile(source, Path(path) / f"{part10.file_stem(uid)}.dcm")
        first = images.datasets[0]  # of the session that was asked for, whatever else its series holds
        return f"{first.get('AcquisitionDate') or ''}{first.get('AcquisitionTime') or ''}"

    def _archive(self) -> Archive:
        if self.local_conf is None or self.remote_conf is None:
            return Archive()
        local, remote = self.local_conf, self.remote_conf
        if _same(_configured(), (local, remote)):
            return Archive()
        address = f"dimse://{quote(remote.aet)}@{remote.ip}:{remote.port}"
        return Archive(address, local_ae_title=local.aet, local_port=local.port)


def _configured() -> tuple[Optional[AEConfig], Optional[AEConfig]]:
    """Both ends as the configuration has them; None where the default archive is no DICOM archive."""
    config = Config.load()
    archive = config.archive()
    if archive.kind != "dimse":
        return None, None
    title, port = (archive[f"local_{key}"] or config.local(key).value for key in ("ae_title", "port"))
    return (
        AEConfig(title, config.local("host").value, port),
        AEConfig(archive["ae_title"], archive["host"], archive["port"]),
    )


def _same(configured: tuple[Optional[AEConfig], ...], given: tuple[AEConfig, ...]) -> bool:
    return [vars(end) if end else None for end in configured] == [vars(end) for end in given]


def _without_kilovoltage(kind: Kind) -> Kind:
    """The seed leaves out images whose PrimaryDosimeterUnit is MINUTE, whatever their type."""

    def rule(dataset: Any, whole: bool) -> Optional[bool]:
        typed = kind.rule(dataset, whole)
        unit = dataset.get("PrimaryDosimeterUnit")
        if typed is not True or unit:
            return typed and unit != "MINUTE"
        return True if whole else None

    # By a name of its own, since the shelf remembers answers by it.
    name = f"{kind.name} without kV"
    return replace(kind, name=name, attributes=(*kind.attributes, "PrimaryDosimeterUnit"), rule=rule)


def _raise_like_the_seed(error: QAFetchError, otherwise: type[Exception]) -> NoReturn:
    """The built-in exceptions that the seed's callers catch, with our sentences.

    What did not come whole is a ConnectionError, as a failed C-MOVE was: RuntimeError means that there is nothing.
    """
    if isinstance(error, (NotFound, Ambiguous, ConfigError)):
        raise otherwise(error.message) from error
    raise ConnectionError(error.message) from error
