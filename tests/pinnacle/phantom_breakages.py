"""Every breakage of an archive that the facts name, and some more: ``BREAKAGES[name](folder)`` breaks one.

``Breakage.lost`` and ``.says`` tell what must come of it; all else must be written as if nothing were.
"""

from __future__ import annotations

import gzip
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from phantom_breaking import BASE, Breakage, Lost, all_of, cut, everything, first, removed, replaced, written

_TRIAL = "Plan_0/plan.Trial"
_DOSE = "Plan_0/plan.Trial.binary.001"
_DOSE_LOST = (Lost("RTDOSE"),)
_TRIAL_LOST = (Lost("RTPLAN"), Lost("RTDOSE"))
_IMAGES_LOST = (Lost("CT", None, None),)
_NEED_IMAGES = everything(None)  # what may go with the images
_DICOM = replace(BASE, images="dicom")
_ODD = r"C:\\plans\\old {a} }; ={ /x/ // y"  # as a replacement of re: single backslashes come out


def _commented(folder: Path) -> None:
    """Comments in the middle of the texts, of one line and of several, with braces and quotes in them."""
    for name, after in (
        (_TRIAL, b"  BeamList ={\n"),
        ("Patient", b"PlanList ={\n"),
        ("Plan_0/plan.Points", b"Poi ={\n"),
    ):
        path = first(folder, name)
        data = path.read_bytes()
        assert after in data
        comment = b'// one } line "\n/* and one\n of { several\n lines; */\n'
        path.write_bytes(data.replace(after, after + comment, 1))


def _without_blocks(name: str, key: str) -> Callable[[Path], None]:
    """Remove the first block of a key with all that is in it."""

    def break_it(folder: Path) -> None:
        path = first(folder, name)
        text = path.read_bytes()
        found = re.search(rb"^( *)%s =\{\n(?:.*\n)*?\1\};\n" % key.encode(), text, re.M)
        assert found
        path.write_bytes(text[: found.start()] + text[found.end() :])

    return break_it


def _not_finite(folder: Path) -> None:
    path = first(folder, _DOSE)
    data = bytearray(path.read_bytes())
    data[400:404] = struct.pack(">f", float("nan"))
    path.write_bytes(bytes(data))


def _same_slice_twice(folder: Path) -> None:
    path = first(folder, "ImageSet_0.ImageInfo")
    places = re.findall(rb"TablePosition = ([-.\d]+);", path.read_bytes())
    path.write_bytes(path.read_bytes().replace(places[4], places[3], 1))


def _one_image_less(folder: Path) -> None:
    sorted(first(folder, "ImageSet_0.DICOM").iterdir())[5].unlink()


def _one_image_of_noise(folder: Path) -> None:
    sorted(first(folder, "ImageSet_0.DICOM").iterdir())[5].write_bytes(b"no DICOM" * 90)


def _second_trial_cut(folder: Path) -> None:
    path = first(folder, _TRIAL)
    data = path.read_bytes()
    second = data.rindex(b"\nTrial ={\n")
    path.write_bytes(data[: second + (len(data) - second) // 2])


def _shorter_tar(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.7)])


def _shorter_tar_gz(path: Path) -> None:
    data = gzip.compress(path.read_bytes(), mtime=0)
    path.write_bytes(data[: int(len(data) * 0.7)])


def _bytes(data: bytes) -> Callable[[Path], None]:
    def break_it(path: Path) -> None:
        path.write_bytes(data)

    return break_it


def _same_names_and_times(folder: Path) -> None:
    path = first(folder, "Patient")
    data = path.read_bytes().replace(b'PlanName = "PLAN_2"', b'PlanName = "PLAN_1"')
    path.write_bytes(data.replace(b"2020-01-03 10:00:00", b"2020-01-02 10:00:00"))


def _name(new: bytes) -> Callable[[Path], None]:
    def break_it(folder: Path) -> None:
        path = first(folder, "Patient")
        path.write_bytes(path.read_bytes().replace(b'LastName = "Doe"', b'LastName = "' + new + b'"'))

    return break_it


_US_DATES = all_of(
    replaced("ImageSet_0.header", r"date : $", "date : 8/20/2002"),
    replaced("ImageSet_0.header", r"SeriesDateTime : .*$", "SeriesDateTime : 8/20/2002 09:15:30"),
    replaced("Patient", r'ScanTimeFromScanner = ".*"', 'ScanTimeFromScanner = "8/20/2002"'),
    replaced("ImageSet_0.ImageSet", r'ScanTimeFromScanner = ".*"', 'ScanTimeFromScanner = "8/20/2002"'),
    replaced("Patient", r'DateOfBirth = ".*"', 'DateOfBirth = "2/13/1961"'),
)
_NO_MACHINES = removed("Plan_0/plan.Pinnacle.Machines")
_PRONE = replaced("Plan_0/plan.PatientSetup", r"On back \(supine\)", "On front (prone)")

# what archives are like, and nothing may be lost for it
UNUSUAL: dict[str, Breakage] = {
    "no ToolType": Breakage(replaced("Patient", r"^ *ToolType = .*\n", "", count=0)),
    "no StudyID": Breakage(
        all_of(replaced("Patient", r"^ *StudyID = .*\n", ""), replaced("ImageSet_0.header", r"^\tstudy_id : .*\n", ""))
    ),
    "no Modality": Breakage(replaced("Patient", r"^ *Modality = .*\n", "")),
    "empty Gender": Breakage(replaced("Patient", r'Gender = ".*"', 'Gender = ""'), tags=(("PatientSex", ""),)),
    "no Gender": Breakage(replaced("Patient", r"^Gender = .*\n", "")),
    "no DateOfBirth": Breakage(replaced("Patient", r"^DateOfBirth = .*\n", "")),
    "Latin-1 name": Breakage(
        _name("Müller-Lüdenscheidt".encode("latin-1")), tags=(("PatientName", "Müller-Lüdenscheidt^Jane^Q"),)
    ),
    "UTF-8 name": Breakage(_name("Čapková".encode()), tags=(("PatientName", "Čapková^Jane^Q"),)),
    "backslashes and braces in texts": Breakage(
        all_of(
            replaced("Patient", r'^( *)Comment = ".*"', r'\1Comment = "' + _ODD + '"', count=0),
            replaced(_TRIAL, r'CtToDensityName = ".*"', 'CtToDensityName = "' + _ODD + '"', count=0),
            replaced("Plan_0/plan.Points", r'VolumeName = ".*"', 'VolumeName = "' + _ODD + '"', count=0),
        )
    ),
    "comments in the middle": Breakage(_commented),
    "lines that end as on Windows": Breakage(
        all_of(*(replaced(name, r"\n", r"\r\n", count=0) for name in ("Patient", _TRIAL, "Plan_0/plan.roi")))
    ),
    "empty UIDs": Breakage(
        all_of(
            replaced("ImageSet_0.ImageInfo", r'UID = "[\d.]*"', 'UID = ""', count=0),
            replaced("ImageSet_0.header", r"series_UID : .*$", "series_UID : "),
            replaced("Patient", r'SeriesUID = ".*"', 'SeriesUID = ""'),
        )
    ),
    "dates of the United States": Breakage(
        _US_DATES, tags=(("StudyDate", "20020820"), ("PatientBirthDate", "19610213"))
    ),
    "equal plans at equal times": Breakage(_same_names_and_times),
    "equal trials": Breakage(replaced(_TRIAL, r'"Trial_2"', '"Trial_1"')),
    "no plan.PlanInfo": Breakage(removed("Plan_0/plan.PlanInfo")),
    "no ImageSet_0.ImageSet": Breakage(removed("ImageSet_0.ImageSet")),
    "no Institution": Breakage(lambda folder: (folder / "Institution").unlink()),
}

# an object is written, with something of it left out or taken from elsewhere: the report must say so
INCOMPLETE: dict[str, Breakage] = {
    "a birth date to be read in two ways": Breakage(
        replaced("Patient", r'DateOfBirth = ".*"', 'DateOfBirth = "2/3/1961"'),
        "birth",
        tags=(("PatientBirthDate", ""),),
    ),
    "a colour nobody knows": Breakage(replaced("Plan_0/plan.Points", r'Color = "red"', 'Color = "ochre9"'), "colour"),
    "no machines": Breakage(_NO_MACHINES, "machine"),
    "another machine": Breakage(
        replaced("Plan_0/plan.Pinnacle.Machines", r'Name = "Sixty"', 'Name = "Other"'), "machine"
    ),
    "machines cut": Breakage(cut("Plan_0/plan.Pinnacle.Machines", share=0.02), "machine|plan.Pinnacle.Machines"),
    "no points": Breakage(removed("Plan_0/plan.Points"), "point"),
    "no regions": Breakage(removed("Plan_0/plan.roi"), "roi|region|contour", may_lose=(Lost("RTSTRUCT", 0, None),)),
    "regions cut": Breakage(cut("Plan_0/plan.roi"), "roi|region|contour", may_lose=(Lost("RTSTRUCT", 0, None),)),
    "isocentre nobody knows": Breakage(replaced(_TRIAL, r'IsocenterName = ".*"', 'IsocenterName = "gone"'), "isocent"),
    "no prescription point": Breakage(
        replaced(_TRIAL, r'PrescriptionPointName = ".*"', 'PrescriptionPointName = ""'), "point"
    ),
    "prescription point nobody knows": Breakage(
        replaced(_TRIAL, r'PrescriptionPointName = ".*"', 'PrescriptionPointName = "gone"'), "point"
    ),
    "wedge nobody knows": Breakage(
        replaced(
            _TRIAL, r'WedgeName = "No Wedge";(\s+)Orientation = "NoWedge"', r'WedgeName = "Odd 7";\1Orientation = "Up"'
        ),
        "wedge",
        may_lose=_TRIAL_LOST,
    ),
    "normalised dose of zero": Breakage(
        replaced(_TRIAL, r"NormalizedDose = .*;", "NormalizedDose = 0;"), "formula|normali[sz]ed|monitor units"
    ),
    "energy nobody knows": Breakage(
        replaced(_TRIAL, r'MachineEnergyName = ".*"', 'MachineEnergyName = "99Z"'), "energy", may_lose=_TRIAL_LOST
    ),
    "fewer control points than it says": Breakage(
        replaced(_TRIAL, r"NumberOfControlPoints = \d+", "NumberOfControlPoints = 9"),
        "control point|whole",
        may_lose=_TRIAL_LOST,
    ),
    "fewer leaves than rows": Breakage(
        replaced(_TRIAL, r"(NumberOfPoints = 60;\n +Points\[\] =\{\n)(?:.*\n){3}", r"\1"),
        "lea[fv]",
        may_lose=_TRIAL_LOST,
    ),
    "leaves that are no numbers": Breakage(
        replaced(_TRIAL, r"(NumberOfPoints = 60;\n +Points\[\] =\{\n).*\n", r"\1 a,b,\n"),
        "lea[fv]|table|trial",
        may_lose=_TRIAL_LOST,
    ),
    "no weights": Breakage(
        replaced(_TRIAL, r"^ *Weight = [\d.]+;\n(?= *WeightLocked)", "", count=5), "weight", may_lose=_TRIAL_LOST
    ),
    "contour off the images": Breakage(
        replaced("Plan_0/plan.roi", r"^points=\{\n(\S+ \S+) \S+\n", r"points={\n\1 55.5\n"), "contour|slice|plane|image"
    ),
}

# an object cannot be written: it is skipped with its reason, and the others are not
BROKEN: dict[str, Breakage] = {
    "empty dose": Breakage(written(_DOSE, b""), "dose", _DOSE_LOST),
    "short dose": Breakage(cut(_DOSE, off=100), "dose", _DOSE_LOST),
    "dose that ends within a number": Breakage(cut(_DOSE, off=2), "dose", _DOSE_LOST),
    "long dose": Breakage(cut(_DOSE, off=-400), "dose", _DOSE_LOST),
    "no dose": Breakage(removed(_DOSE), "dose", _DOSE_LOST),
    "dose that is no number": Breakage(_not_finite, "dose", _DOSE_LOST),
    "no dose grid": Breakage(replaced(_TRIAL, r"^ *DoseGrid .*\n", "", count=12), "grid", _DOSE_LOST),
    "dose grid without extent": Breakage(
        replaced(_TRIAL, r"Dimension \.X = \d+", "Dimension .X = 0"), "grid|dose", _DOSE_LOST
    ),
    "dose grid without width": Breakage(
        replaced(_TRIAL, r"VoxelSize \.Y = [\d.]+", "VoxelSize .Y = 0"), "grid|dose|voxel", _DOSE_LOST
    ),
    "dose off the images": Breakage(
        replaced(_TRIAL, r"Origin \.X = [-\d.]+", "Origin .X = 70"), "dose|image|inside|outside", _DOSE_LOST
    ),
    "no MonitorUnitInfo": Breakage(_without_blocks(_TRIAL, "MonitorUnitInfo"), "MU|monitor unit", _DOSE_LOST),
    "formula and grid disagree": Breakage(
        replaced(_TRIAL, r"CollimatorOutputFactor = [\d.]+", "CollimatorOutputFactor = 1.2"), "formula|grid", _DOSE_LOST
    ),
    "electrons": Breakage(
        lambda folder: None,
        "formula|grid|electron",
        (Lost("RTDOSE", None, None),),
        course=replace(BASE, beams=("static", "electrons"), percent=90.0),
    ),
    "no prescription": Breakage(
        replaced(_TRIAL, r'PrescriptionName = ".*"', 'PrescriptionName = "gone"'),
        "prescription",
        _DOSE_LOST,
        (Lost("RTPLAN"),),
    ),
    "no beams": Breakage(_without_blocks(_TRIAL, "BeamList"), "beam", _TRIAL_LOST),
    "no plan folder": Breakage(removed("Plan_0"), "plan|folder", everything()),
    "no plan.Trial": Breakage(removed(_TRIAL), "trial", (Lost("RTPLAN", 0, None), Lost("RTDOSE", 0, None))),
    "empty plan.Trial": Breakage(written(_TRIAL, b""), "trial", (Lost("RTPLAN", 0, None), Lost("RTDOSE", 0, None))),
    "plan.Trial of noise": Breakage(
        written(_TRIAL, bytes(range(256)) * 40), "trial", (Lost("RTPLAN", 0, None), Lost("RTDOSE", 0, None))
    ),
    "second trial cut": Breakage(_second_trial_cut, "trial", (Lost("RTPLAN", 0, 1), Lost("RTDOSE", 0, 1))),
    "first trial cut": Breakage(cut(_TRIAL, share=0.2), "trial", (Lost("RTPLAN", 0, None), Lost("RTDOSE", 0, None))),
    "setup and header disagree": Breakage(_PRONE, "position|lay", everything(), (*_IMAGES_LOST, *_NEED_IMAGES)),
    "position nobody supports": Breakage(
        all_of(
            replaced("Plan_0/plan.PatientSetup", r"On back \(supine\)", "On decubitus left"),
            replaced("ImageSet_0.header", "patient_position : HFS", "patient_position : HFDL"),
        ),
        "position",
        everything(),
        (*_IMAGES_LOST, *_NEED_IMAGES),
    ),
    "header of another width": Breakage(
        replaced("ImageSet_0.header", r"x_dim = \d+", "x_dim = 65"),
        "image|pixel|header|size",
        _IMAGES_LOST,
        _NEED_IMAGES,
    ),
    "no header": Breakage(removed("ImageSet_0.header"), "header|image", _IMAGES_LOST, _NEED_IMAGES),
    "no byte order": Breakage(
        replaced("ImageSet_0.header", r"^\tbyte_order = .*\n", ""), "byte|bits", _IMAGES_LOST, _NEED_IMAGES
    ),
    "no ImageInfo": Breakage(removed("ImageSet_0.ImageInfo"), "ImageInfo|slice|image", _IMAGES_LOST, _NEED_IMAGES),
    "no pixels": Breakage(removed("ImageSet_0.img"), "pixel|image|img", _IMAGES_LOST, _NEED_IMAGES),
    "short pixels": Breakage(cut("ImageSet_0.img", off=64), "pixel|image|img", _IMAGES_LOST, _NEED_IMAGES),
    "long pixels": Breakage(cut("ImageSet_0.img", off=-64), "pixel|image|img", _IMAGES_LOST, _NEED_IMAGES),
    "a slice twice": Breakage(_same_slice_twice, "slice|image", _IMAGES_LOST, _NEED_IMAGES),
    "one DICOM image less": Breakage(_one_image_less, "image", (), (*_IMAGES_LOST, *_NEED_IMAGES), course=_DICOM),
    "a DICOM image of noise": Breakage(
        _one_image_of_noise, "image|DICOM", (), (*_IMAGES_LOST, *_NEED_IMAGES), course=_DICOM
    ),
    "images of another set": Breakage(
        replaced("Patient", "PrimaryCTImageSetID = 0", "PrimaryCTImageSetID = 7"), "image", everything(), _IMAGES_LOST
    ),
}

# there is nothing, or not all, to be had
LOST: dict[str, Breakage] = {
    "tar cut": Breakage(_shorter_tar, "cut|end|damaged", (), (*_IMAGES_LOST, *_NEED_IMAGES), of_tar=True),
    "compressed tar cut": Breakage(_shorter_tar_gz, "cut|end|damaged", (), (*_IMAGES_LOST, *_NEED_IMAGES), of_tar=True),
    "empty tar": Breakage(_bytes(b""), "tar|archive", of_tar=True, refused=True),
    "tar of noise": Breakage(_bytes(b"\xa5" * 20_000), "tar|archive", of_tar=True, refused=True),
    "no Patient": Breakage(removed("Patient"), "patient", refused=True),
    "empty Patient": Breakage(written("Patient", b""), "Patient|image", _NEED_IMAGES, _IMAGES_LOST),
}

BREAKAGES: dict[str, Breakage] = {**UNUSUAL, **INCOMPLETE, **BROKEN, **LOST}
