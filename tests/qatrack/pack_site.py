"""A site: an archive, a qa_fetch.toml, and QATrack+'s stand-in with the packs of ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pack_trials import Trial
from peers.process import LOOPBACK, Missing, skip_or_fail
from pydicom.dataset import Dataset
from qatrack_engine import Engine
from qatrack_pack import load
from qatrack_page import Page

import qa_fetch
from qa_fetch import Archive
from qa_fetch.demo import objects

TESTPACKS = Path(qa_fetch.__file__).resolve().parents[1] / "testpacks"
ZONE = "America/Toronto"
PATIENT = "QA_PACKS"
TITLE = "QATRACK"
YESTERDAY = datetime.now().replace(hour=17, minute=5, second=0, microsecond=0) - timedelta(days=1)


@dataclass(frozen=True)
class Archived:
    """Where an archive is, and to which port of ours it moves images."""

    ae_title: str
    port: int
    back: int

    def config(self, folder: Path, *, retrieve: str = "auto", port: int = 0, extra: str = "") -> Path:
        """A qa_fetch.toml for it; another port than the archive's own is one where nobody may be at home."""
        file = folder / "qa_fetch.toml"
        file.write_text(
            f"""
default = "aria"
[local]
ae_title = "{TITLE}"
host = "{LOOPBACK}"
port = {self.back}
[archives.aria]
kind = "dimse"
ae_title = "{self.ae_title}"
host = "{LOOPBACK}"
port = {port or self.port}
retrieve = "{retrieve}"
[units.1]
archive = "aria"
patient = "{PATIENT}"
{extra}
""",
            encoding="utf-8",
        )
        return file


@contextmanager
def archived(folder: Path, back: int) -> Iterator[Archived]:
    """A node; beside the Django of QATrack+ 3.1, which is older than the node's, DCMTK's dcmqrscp."""
    import django

    if django.VERSION >= (4, 2):
        from qa_fetch.node import NodeOptions, NodeProcess, Peer

        with NodeProcess(NodeOptions(folder, port=0, peers={TITLE: Peer(LOOPBACK, back)})) as node:
            yield Archived(node.options.ae_title, node.port, back)
        return
    from peers.dcmqrscp import Dcmqrscp

    try:
        archive = Dcmqrscp({TITLE: (LOOPBACK, back)})
    except Missing as missing:
        skip_or_fail(missing)
    with archive:
        yield Archived(archive.ae_title, archive.port, back)


def engine(pack: str, test_list: str, folder: Path) -> Engine:
    """A list of a pack, imported as QATrack+ does it."""
    return Engine(load(TESTPACKS / f"{pack}.tpk")[test_list], folder / "attachments", timezone=ZONE)


def store(datasets: Sequence[Dataset], folder: Path) -> None:
    """Send to the archive of the site, as the linac's imager does."""
    Archive().send(objects.write(datasets, folder / "acquired"))


def performed(trial: Trial, patient: str, folder: Path, started: datetime) -> Page:
    """A page on which somebody has entered what has to be entered, up to "go"."""
    page = Page(engine(trial.pack, trial.test_list, folder), started)
    page.enter("patientid", patient)
    for slug, value in trial.entered.items():
        page.enter(slug, value)
    page.enter("go", 1)
    return page
