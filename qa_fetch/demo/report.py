"""What the demo leaves behind: pylinac's PDF and one picture of all images, in a folder that is new."""

from __future__ import annotations

import contextlib
import errno
import shutil
import warnings
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from ..archive import Images
from ..errors import ConfigError


@contextlib.contextmanager
def new_folder(inside: Path) -> Iterator[Path]:
    """A new folder for one run, so that nothing earlier is overwritten; taken away again when the run fails."""
    name = f"{datetime.now():%Y-%m-%d_%H%M%S}"
    try:
        inside.mkdir(parents=True, exist_ok=True)
        folder = _first_free(inside, name)
    except OSError as error:
        raise ConfigError(
            f"the demo cannot write to {inside} ({error.strerror}). Give another folder with --to."
        ) from error
    try:
        yield folder
    except BaseException:  # an interrupt too: a demo that was ended leaves nothing behind
        shutil.rmtree(folder, ignore_errors=True)  # all in it was made by this run
        raise


def _first_free(inside: Path, name: str) -> Path:
    for attempt in range(1, 100):
        folder = inside / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(errno.EEXIST, "it has 99 folders of this second already")


@contextlib.contextmanager
def quiet_pylinac() -> Iterator[None]:
    """Leave out pylinac's warnings about its own libraries, and close the figures that it leaves open."""
    from pylinac.winston_lutz import plt

    open_before = set(plt.get_fignums())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module="pylinac")
        try:
            yield
        finally:
            for number in set(plt.get_fignums()) - open_before:
                plt.close(number)


def write_pdf(analysis: Any, images: Images, path: Path) -> None:
    """pylinac's report."""
    facts = {"Patient": "QA_DEMO"}
    if images.plan is not None:
        facts["Plan"] = images.plan.label
    if images.acquired is not None:
        facts["Acquired"] = f"{images.acquired:%Y-%m-%d %H:%M}"
    analysis.publish_pdf(str(path), metadata=facts)


def write_picture(analysis: Any, images: Images, path: Path) -> None:
    """All images of the test with the field's and the BB's centre, titled by angles and distance."""
    from pylinac.winston_lutz import Axis

    figures, _ = analysis.plot_images(axis=Axis.GBP_COMBO, show=False, legend=False)
    figure = figures[0]
    for axes, image in zip(figure.axes, analysis.images):
        axes.set_title(
            f"gantry {image.gantry_angle:.0f}, collimator {image.collimator_angle:.0f}, couch {image.couch_angle:.0f}"
        )
        axes.set_xlabel(f"BB {image.cax2bb_distance:.2f} mm from the field's centre")
        axes.set_ylabel("")
    label = images.plan.label if images.plan is not None else ""
    figure.suptitle(f"{label}, {images.acquired:%Y-%m-%d %H:%M}: field centre (green), BB (cyan), EPID centre (blue)")
    figure.tight_layout()
    figure.savefig(path)
