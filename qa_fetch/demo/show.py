"""Running the demo: everything it starts ends with it, and everything it needs lies in one temporary folder."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from ..archive import Archive
from ..errors import Ambiguous, ConfigError
from ..node import NodeOptions, NodeProcess
from .objects import write
from .report import new_folder, quiet_pylinac, write_pdf, write_picture

if TYPE_CHECKING:
    from .course import Made, Position

_SETTINGS = """\
default = "node"

[archives.node]
kind = "dimse"
ae_title = "{ae_title}"
host = "127.0.0.1"
port = {port}

[shelf]
path = "shelf"
"""


@dataclass(frozen=True)
class DemoResult:
    """What the demo found, beside what it had made.

    Parameters
    ----------
    lines
        The three lines as they were run.
    settings
        The qa_fetch.toml that they needed.
    sent
        How many objects the node was sent.
    images, made_images
        How many images were fetched, and how many the newest session has.
    kilovoltage
        How many kV images lie in the same series.
    acquired, made_acquired
        When the session began.
    plan, made_plans
        The plan that was chosen, and those there are to choose from.
    position, made_position
        Where the BB is.
    distance, made_distance
        The largest distance in mm between the BB and the field's centre in an image.
    first_seconds, again_seconds
        How long the first line took, with the network and when it was repeated.
    again_from_shelf
        Whether the repeat came from the shelf.
    without_approved
        What is answered where nobody says which of the two plans is meant.
    pdf, picture
        What was left behind.
    """

    lines: str
    settings: str
    sent: int
    images: int
    made_images: int
    kilovoltage: int
    acquired: Optional[datetime]
    made_acquired: datetime
    plan: str
    made_plans: str
    position: Position
    made_position: Position
    distance: float
    made_distance: float
    first_seconds: float
    again_seconds: float
    again_from_shelf: bool
    without_approved: str
    pdf: Path
    picture: Path


def demo(to: Union[str, Path] = "demo", *, on_step: Optional[Callable[[str], None]] = None) -> DemoResult:
    """Make a Winston-Lutz course, store it in a node of its own, fetch and analyse it with the three lines.

    Parameters
    ----------
    to
        Where a new folder with the PDF and the picture is made.
    on_step
        Called with a few words whenever the next part begins.

    Raises
    ------
    ConfigError
        pylinac or Django is not installed, or ``to`` cannot be written to.
    """
    step = on_step or (lambda says: None)
    _check_installed()
    step("loading pylinac")
    course, lines = _load()
    with contextlib.ExitStack() as ends:
        target = ends.enter_context(new_folder(Path(to)))
        temporary = Path(ends.enter_context(TemporaryDirectory(prefix="qa_fetch-demo-")))
        step("starting a DICOM node on a free port")
        node = NodeProcess(NodeOptions(data=temporary / "node", ae_title="QA_NODE", port=0))
        ends.callback(node.stop)  # before it starts, so that an interrupt in the middle of that leaves no child
        node.start()
        step("making a Winston-Lutz course")
        made = course.make(datetime.now())
        files = write(made.datasets, temporary / "made")
        settings = _SETTINGS.format(ae_title=node.options.ae_title, port=node.port)
        config = temporary / "qa_fetch.toml"
        config.write_text(settings, encoding="utf-8")
        ends.enter_context(_configured(config))
        step(f"sending {len(files)} objects to the node")
        Archive().send(files)
        return _run(lines, made, target, step, settings)


def _run(lines: Any, made: Made, target: Path, step: Callable[[str], None], settings: str) -> DemoResult:
    """The three lines, the first of them once more, and what they found."""
    step("running the three lines")
    with quiet_pylinac():
        running = lines.run()
        first_seconds, images = _timed(lambda: next(running))
        analysis = next(running)
        again_seconds, again = _timed(lambda: next(lines.run()))
        step("writing the PDF and the picture")
        pdf, picture = target / "winston_lutz.pdf", target / "winston_lutz.png"
        write_pdf(analysis, images, pdf)
        write_picture(analysis, images, picture)
    position = _position(analysis.bb_shift_vector, type(made.position))
    return DemoResult(
        lines=lines.text(),
        settings=settings,
        sent=len(made.datasets),
        images=len(images),
        made_images=len(made.newest),
        kilovoltage=made.kilovoltage,
        acquired=images.acquired,
        made_acquired=made.acquired,
        plan=f"{images.plan.label}, {images.plan.approval.lower()}",
        made_plans=" and ".join(str(plan.ApprovalStatus).lower() for plan in made.plans),
        position=position,
        made_position=made.position,
        distance=float(analysis.cax2bb_distance("max")),
        made_distance=made.position.distance,
        first_seconds=first_seconds,
        again_seconds=again_seconds,
        again_from_shelf=again.from_shelf,
        without_approved=_sentence(lines.without_approved),
        pdf=pdf,
        picture=picture,
    )


def _position(shift: Any, position: type[Position]) -> Position:
    """pylinac says how to move the BB to the isocentre; that is where it is, with the sign turned."""
    return position(left=float(shift.x), up=-float(shift.z), into=-float(shift.y))


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    images = call()
    return time.perf_counter() - began, images


def _sentence(call: Callable[[], object]) -> str:
    try:
        return f"nothing to choose: {call()}"
    except Ambiguous as error:
        return str(error)


@contextlib.contextmanager
def _configured(config: Path) -> Iterator[None]:
    """Let the demo's own file decide for as long as it runs, whatever the user has set."""
    before = {name: value for name, value in os.environ.items() if name.upper().startswith("QA_FETCH")}
    _set_environment(before, {"QA_FETCH_CONFIG": str(config)})
    try:
        yield
    finally:
        _set_environment({"QA_FETCH_CONFIG": ""}, before)


def _set_environment(remove: Mapping[str, str], add: Mapping[str, str]) -> None:
    for name in remove:
        os.environ.pop(name, None)
    os.environ.update(add)


_INSTALL = "Run: pip install 'qa_fetch[analysis,node]'"


def _check_installed() -> None:
    for module, name in (("pylinac", "pylinac"), ("django", "Django")):
        if find_spec(module) is None:
            raise ConfigError(f"the demo needs {name}, which is not installed. {_INSTALL}")


def _load() -> tuple[Any, Any]:
    """The parts that import pylinac; an old one has no image generator, or does not fit its libraries."""
    try:
        from . import course, three_lines
    except ImportError as error:
        raise ConfigError(f"the demo cannot use the pylinac that is installed ({error}). {_INSTALL}") from error
    return course, three_lines
