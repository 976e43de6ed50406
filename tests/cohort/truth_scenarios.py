"""For every code of PDCP's tables a patient, or a mishap between two steps, that must lead to it; and what must not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Callable, Optional

from course_truth import Made, make
from truth_codes import WHOLE, status, until
from truth_course import Course, Plan
from truth_dose import Linear
from truth_rois import Roi, few
from truth_shapes import Array

Drawing = Callable[[Array, float], tuple[Roi, ...]]  # planes and thickness to regions


@dataclass(frozen=True)
class Mishap:
    """What happens between two steps.

    Parameters
    ----------
    after
        The step before it: ``summarise``, ``verify`` or ``build``.
    where
        ``archive``, ``imagesummaries`` or ``data``, where the patient's own folder is meant.
    what
        ``lose``, ``cut`` (half of a file is left), ``empty`` (what a folder holds) or ``as ERROR`` (a summary).
    pattern
        A modality in an archive, else a pattern of files, ``{pid}`` in it; ``cut`` meets only the first one.
    """

    after: str
    where: str
    what: str
    pattern: str

    def uids(self, made: Iterable[Made]) -> list[str]:
        """The objects of an archive that it meets, for peers that hold no files."""
        found = [str(dataset.SOPInstanceUID) for course in made for dataset in course.of(self.pattern)]
        return found[:1] if self.what == "cut" else found

    def files(self, folder: Path, patient: str) -> list[Path]:
        """The files or folders that it meets; ``folder`` is the archive's, that of the summaries, or the patient's."""
        pattern = f"{patient}/**/{self.pattern}/*.dcm" if self.where == "archive" else self.pattern.format(pid=patient)
        found = sorted(folder.glob(pattern))
        if not found:
            raise ValueError(f"{self.where} holds nothing like {pattern}. Let {self.after} come first.")
        return found[:1] if self.what == "cut" else found

    def happen(self, folder: Path, patient: str) -> None:
        """Let it happen to a patient's files."""
        for file in self.files(folder, patient):
            if self.what == "cut":
                whole = file.read_bytes()
                file.write_bytes(whole[: len(whole) // 2])
            elif self.what == "as ERROR":
                file.write_text(file.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
                file.rename(file.with_name(file.name.replace("_SUCCESS", "_ERROR")))
            elif self.what == "empty":
                for inside in sorted(file.rglob("*"), reverse=True):
                    inside.rmdir() if inside.is_dir() else inside.unlink()
            else:
                file.unlink()


@dataclass(frozen=True)
class Scenario:
    """A patient, what happens on the way, and the codes that must be in the notes, in their order.

    Parameters
    ----------
    name
        A sentence.
    courses
        Of one patient.
    codes
        All of them.
    settings
        Changes to the configuration.
    mishaps
        What happens on the way.
    quarantine
        How many studies go to quarantine.
    chosen
        The numbers of the plans of the first course that belong to the chain, where there is one.
    """

    name: str
    courses: tuple[Course, ...]
    codes: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    mishaps: tuple[Mishap, ...] = ()
    quarantine: int = 0
    chosen: tuple[int, ...] = (0,)

    def status(self) -> str:
        """SUCCESS, REVIEW or EXECLUDE."""
        return status(self.codes)

    def code(self) -> str:
        """The code that decides: the one that excludes, else the last."""
        return next((code for code in self.codes if "_EXEC_" in code), self.codes[-1])

    def make(self) -> tuple[Made, ...]:
        """Its courses."""
        return tuple(make(course) for course in self.courses)


def quick(name: str = "PTV_60", rois: Optional[Drawing] = None, **changes: Any) -> Course:
    """A course of the smallest size that every rule lets pass."""
    course = Course(**{"columns": 24, "rows": 22, "slices": 52, "spacing": (1.0, 1.0, 2.0), **changes})
    planes, thickness = course.ct().axis(2), course.spacing[2]
    return replace(course, rois=rois(planes, thickness) if rois else few(planes, thickness, name))


def _twice_named(planes: Array, thickness: float) -> tuple[Roi, ...]:
    one, two = few(planes, thickness)
    return one, replace(two, name=one.name)


def _empty(planes: Array, thickness: float) -> tuple[Roi, ...]:
    return Roi(1, "PTV_60", "PTV", None, "nothing"), Roi(2, "GTV", "GTV", None, "no item")


def _first() -> tuple[Scenario, ...]:
    """Table 1."""
    other = "Bony landmarks"
    return (
        Scenario("nothing stops this patient", (quick(),), WHOLE),
        Scenario(
            "the summary is gone",
            (quick(),),
            ("I_EXEC_001",),
            mishaps=(Mishap("summarise", "imagesummaries", "lose", "{pid}_*.csv"),),
        ),
        Scenario(
            "the summary failed",
            (quick(),),
            ("I_EXEC_002",),
            mishaps=(Mishap("summarise", "imagesummaries", "as ERROR", "{pid}_SUCCESS.csv"),),
        ),
        Scenario("only a CT", (quick(leave_out=("RTSTRUCT", "RTPLAN", "RTDOSE")),), ("I_EXEC_003",)),
        Scenario("only a phantom", (quick(series_description="QA PHANTOM"),), ("I_EXEC_004",)),
        Scenario("no structure set with a wanted region", (quick(other),), ("I_EXEC_005",)),
        Scenario("a study of something else", (quick(description="HEAD and neck"),), ("I_EXEC_006",)),
        Scenario(
            "a diagnostic CT in another study",
            (quick(), quick(study="2", leave_out=("RTSTRUCT", "RTPLAN", "RTDOSE"))),
            WHOLE,
        ),
        Scenario(
            "another study without a wanted region",
            (quick(), quick(other, study="2", day="20250801")),
            until("XXIV_SUCC_001", instead=("I_REV_001", "I_SUCC_002")),
        ),
        Scenario(
            "a rescan",
            (quick(), quick(study="2", day="20251001")),
            ("I_REV_001", "I_EXEC_007"),
            quarantine=2,
        ),
    )


def _second() -> tuple[Scenario, ...]:
    """Table 2, and the limits of slices."""
    thin = {"columns": 8, "rows": 8, "spacing": (3.0, 3.0, 0.5)}
    nothing = until("II_EXEC_002")
    without_ct = {"required_modalities_for_patient": ["RTSTRUCT", "RTDOSE", "RTPLAN"]}
    kinds = (Plan("OLD", "REJECTED", "20250902"), Plan("NEW"), Plan("IDEA", "UNAPPROVED", "20250904"))
    return (
        Scenario("no CT", (quick(leave_out=("CT",)),), until("II_EXEC_001"), without_ct),
        Scenario("a dose that names no plan", (quick(dose_link="nothing"),), nothing),
        Scenario("a dose of one fraction's beam", (quick(plans=(Plan(summation="BEAM"),)),), nothing),
        Scenario("a plan that nobody approved", (quick(plans=(Plan(approval="UNAPPROVED"),)),), nothing),
        Scenario(
            "two CTs with all that belongs to each", (quick(), quick(chain="2")), until("II_EXEC_003"), quarantine=2
        ),
        Scenario("381 slices", (quick(slices=381, **thin),), (WHOLE[0], "II_REV_001", *WHOLE[1:])),
        Scenario("501 slices", (quick(slices=501, **thin),), nothing),
        Scenario("49 slices", (quick(slices=49),), until("II_EXEC_002", "II_REV_002")),
        Scenario(
            "plans that were rejected or never approved beside the right one", (quick(plans=kinds),), WHOLE, chosen=(1,)
        ),
        Scenario("each object in a study of its own", (quick(apart=True),), WHOLE),
    )


def _retrieved() -> tuple[Scenario, ...]:
    """Tables 3 to 8."""

    def mishap(what: str, modality: str) -> tuple[Mishap, ...]:
        return (Mishap("verify", "archive", what, modality),)

    broken = tuple(
        Scenario(f"CT: {damage}", (quick(damage=damage),), until("XII_EXEC_001"))
        for damage in ("missing", "uneven", "duplicate", "mixed")
    )
    return (
        Scenario("slices that say not where they lie", (quick(damage="no position"),), until("XI_EXEC_001")),
        Scenario("a slice that comes garbled", (quick(),), until("XI_EXEC_002"), mishaps=mishap("cut", "CT")),
        Scenario("a CT that is gone", (quick(),), until("XI_EXEC_02"), mishaps=mishap("lose", "CT")),
        *broken,
        Scenario("structures that are gone", (quick(),), until("XIII_EXEC_001"), mishaps=mishap("lose", "RTSTRUCT")),
        Scenario("regions without any contour", (quick(rois=_empty),), until("XIV_EXEC_001")),
        Scenario("a plan that is gone", (quick(),), until("XV_EXEC_001"), mishaps=mishap("lose", "RTPLAN")),
        Scenario("a plan that comes garbled", (quick(),), until("XV_EXEC_002"), mishaps=mishap("cut", "RTPLAN")),
        Scenario("a dose that is gone", (quick(),), until("XVI_EXEC_001"), mishaps=mishap("lose", "RTDOSE")),
        Scenario("a dose that lacks its last frames", (quick(dose_truncated=True),), until("XVI_EXEC_002")),
    )


def _loaded() -> tuple[Scenario, ...]:
    """Tables 9 to 11, and the step that has none."""

    def mishap(what: str, pattern: str) -> tuple[Mishap, ...]:
        return (Mishap("build", "data", what, pattern),)

    reviewed = {number: (*WHOLE[:9], f"XXII_REV_00{number}", *WHOLE[9:]) for number in (1, 2, 3)}
    low, high = Plan(dose=Linear(30.0)), Plan(dose=Linear(130.0))
    one_fraction = Plan(dose=Linear(1.5, (0.004, -0.003, 0.005)))
    return (
        Scenario(
            "a CT that cannot be loaded", (quick(),), until("XXI_EXEC_001"), mishaps=mishap("cut", "CTnifti/*.nii.gz")
        ),
        Scenario("no folder of masks", (quick(),), until("XXII_EXEC_001"), mishaps=mishap("empty", "masks")),
        Scenario("a folder without masks", (quick(),), reviewed[1], mishaps=mishap("empty", "masks/*")),
        Scenario("a mask that cannot be loaded", (quick(),), reviewed[2], mishaps=mishap("cut", "masks/*/*.nii.gz")),
        Scenario("two regions of one name", (quick(rois=_twice_named),), reviewed[3]),
        Scenario(
            "a dose that cannot be loaded",
            (quick(),),
            until("XXIII_EXEC_001"),
            mishaps=mishap("cut", "RTDOSEnifti/*.nii.gz"),
        ),
        Scenario(
            "no dose to load",
            (quick(),),
            until("XXIV_EXEC_001"),
            mishaps=mishap("empty", "RTDOSEnifti"),
        ),
        Scenario("a dose of one fraction", (quick(plans=(one_fraction,)),), until("XXIV_EXEC_002")),
        Scenario("a dose below the window", (quick(plans=(low,)),), until("XXIV_EXEC_003")),
        Scenario("a dose above the window", (quick(plans=(high,)),), until("XXIV_EXEC_003")),
    )


SCENARIOS: tuple[Scenario, ...] = (*_first(), *_second(), *_retrieved(), *_loaded())

# Patients whose numbers begin alike: what is done to one must not touch the others.
NEIGHBOURS = ("1", "12", "1_2")
BOOST = (
    Plan("BREAST_50", fractions=25, prescription=50.0, dose=Linear(50.0, (0.05, -0.04, 0.06))),
    Plan("BOOST_10", day="20251010", fractions=5, prescription=10.0, dose=Linear(10.0, (-0.03, 0.02, 0.04))),
)
