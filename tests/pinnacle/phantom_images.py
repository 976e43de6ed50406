"""The images of a phantom archive: an anatomy without any symmetry, as .img, as DICOM files or as both."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from phantom_course import Course, Geometry
from phantom_text import encoded, header, image_set, says
from phantom_truth import Array, Images, Picture, in_dicom

CLASSES = {"CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4"}
RT_IMAGE = "1.2.840.10008.5.1.4.1.1.481.1"
RT_PLAN = "1.2.840.10008.5.1.4.1.1.481.5"
_ROOT = "1.2.826.0.1.3680043.8.498.77"
_LONG = frozenset({"OB", "OW", "SQ", "UN", "UT"})
_DICOM_INTERCEPT = -1024  # of the files in ImageSet_N.DICOM: another one than that of .img


def slice_places(course: Course, geometry: Geometry) -> Array:
    """TablePosition of each slice, cm, ascending."""
    count, step = geometry.dimension[2], geometry.pixel[2]
    places = geometry.start[2] + step * np.arange(count)
    if course.uneven:
        # the last third lies wider apart
        late = count - count // 3
        places[late:] += 0.5 * step * np.arange(1, count - late + 1)
    return np.round(places, 6)


def values(geometry: Geometry, places: Array, modality: str, patient: int) -> Array:
    """HU of a CT (or the values of an MR), indexed by z, y and x of Pinnacle, all ascending."""
    columns, rows, _ = geometry.dimension
    x = (geometry.start[0] + geometry.pixel[0] * np.arange(columns))[None, :]
    y = (geometry.start[1] + geometry.pixel[1] * np.arange(rows))[:, None]
    inside = (x / 12.0) ** 2 + ((y - 0.7) / 7.5) ** 2 < 1.0
    bone = ((x - 4.0) / 2.0) ** 2 + ((y - 3.0) / 1.2) ** 2
    lung = ((x + 5.0) / 2.6) ** 2 + ((y + 1.5) / 3.1) ** 2
    wire = (np.abs(x - 8.5) < 0.6) & (np.abs(y + 3.0) < 0.5)
    ripple = 3 * np.arange(columns)[None, :] + 5 * np.arange(rows)[:, None] + 11 * patient
    found = np.empty((len(places), rows, columns), dtype=np.int16)
    for index, z in enumerate(places):
        plane = found[index]
        plane[:] = np.where(inside, 20 + (ripple + 7 * index) % 41, -1000)
        plane[inside & (bone + ((z - 1.2) / 1.1) ** 2 < 1.0)] = 700
        plane[inside & (lung + ((z + 0.9) / 1.4) ** 2 < 1.0)] = -720
        plane[inside & wire] = 2950
    return found if modality == "CT" else (found + 1000) // 2


def write_set(
    course: Course,
    folder: Path,
    number: int,
    modality: str,
    patient: int,
    identifier: str,
    name: str,
) -> tuple[list[str], Images]:
    """Write an image set into a patient's folder.

    Parameters
    ----------
    course
        The options.
    folder
        Where the file ``Patient`` will lie.
    number
        The set's.
    modality
        ``CT`` or ``MR``.
    patient
        Which of the archive's patients it is, from 0.
    identifier, name
        The patient's, for the DICOM files.
    """
    sizes = course.sizes()
    geometry = sizes.ct if modality == "CT" else sizes.mr
    places = slice_places(course, geometry)
    root = f"{_ROOT}.{course.seed}.{patient}.{number}"
    study = f"{_ROOT}.{course.seed}.{patient}"
    images = _truth(course, geometry, places, number, modality, patient, (study + ".9", root + ".1", root + ".2"))
    dicom_folder = f"ImageSet_{number}.DICOM"
    with_dicom = course.images in ("dicom", "both")
    infos: list[str] = []
    for index, picture in enumerate(images.pictures):
        infos += [
            "ImageInfo ={",
            f"  TablePosition = {places[index]:.6f};",
            f"  CouchPos = {-places[index]:g};",
            f"  SliceNumber = {picture.number};",
            f'  SeriesUID = "{images.series_uid}";',
            f'  StudyInstanceUID = "{images.study_uid}";',
            f'  FrameUID = "{images.frame_uid}";',
            f'  ClassUID = "{CLASSES[modality]}";',
            f'  InstanceUID = "{picture.instance_uid}";',
            "  SUVScale = 1;",
            "  ColorLUTScale = 1;",
            f'  DICOMFileName = "{modality}_{picture.instance_uid}.dcm";' if with_dicom else '  DICOMFileName = "";',
            '  AcquisitionTime = "120000";',
            '  ImageTime = "120000";',
            "};",
        ]
    entry = image_set(course, number, modality, len(places), identifier, images.series_uid)
    stem = folder / f"ImageSet_{number}"
    text = encoded(header(course, geometry, modality, identifier, images.series_uid), course)
    stem.with_suffix(".header").write_bytes(text)
    stem.with_suffix(".ImageInfo").write_bytes(encoded(infos, course, b"\x0c\xfd"))
    stem.with_suffix(".ImageSet").write_bytes(encoded([*entry, says("Comment", "")], course, b"K"))
    if course.images in ("img", "both"):
        order = ">" if course.byte_order == "big" else "<"
        with stem.with_suffix(".img").open("wb") as file:
            for picture in images.pictures:
                stored = picture.values + (1000 if modality == "CT" else 0)
                file.write(stored.astype(order + "i2").tobytes())
    if with_dicom:
        (folder / dicom_folder).mkdir()
        for picture in images.pictures:
            path = folder / dicom_folder / f"{modality}_{picture.instance_uid}.dcm"
            path.write_bytes(_image_file(images, picture, identifier, name, geometry.pixel[2] * 10))
    return entry, images


def _truth(
    course: Course,
    geometry: Geometry,
    places: Array,
    number: int,
    modality: str,
    patient: int,
    uids: tuple[str, str, str],
) -> Images:
    columns, rows, _ = geometry.dimension
    found = values(geometry, places, modality, patient)
    top = geometry.start[1] + geometry.pixel[1] * (rows - 1)
    corners = in_dicom([(geometry.start[0], top, place) for place in places], course.position, course.shift())
    sign = {"HFS": (1.0, 1.0), "HFP": (-1.0, -1.0), "FFS": (-1.0, 1.0), "FFP": (1.0, -1.0)}[course.position]
    study, series, frame = uids
    pictures = tuple(
        Picture(
            (float(corner[0]), float(corner[1]), float(corner[2])),
            found[index, ::-1],  # the first row is that of the highest y
            f"{series}.{index + 1}",
            index + 1,
        )
        for index, corner in enumerate(corners)
    )
    return Images(
        number,
        modality,
        rows,
        columns,
        (geometry.pixel[1] * 10, geometry.pixel[0] * 10),
        (sign[0], 0.0, 0.0, 0.0, sign[1], 0.0),
        pictures,
        study,
        series,
        frame,
        course.position,
        course.images,
    )


def _image_file(images: Images, picture: Picture, identifier: str, name: str, thickness: float) -> bytes:
    """A DICOM file of an image, as a scanner has sent it to Pinnacle."""
    is_ct = images.modality == "CT"
    intercept = _DICOM_INTERCEPT if is_ct else 0
    elements = {
        **_identity(CLASSES[images.modality], picture.instance_uid, images.modality, identifier, name),
        (0x0008, 0x0008): ("CS", r"ORIGINAL\PRIMARY\AXIAL"),
        (0x0018, 0x0050): ("DS", f"{thickness:g}"),
        (0x0018, 0x5100): ("CS", images.patient_position),
        (0x0020, 0x000D): ("UI", images.study_uid),
        (0x0020, 0x000E): ("UI", images.series_uid),
        (0x0020, 0x0010): ("SH", "10000"),
        (0x0020, 0x0011): ("IS", "3"),
        (0x0020, 0x0013): ("IS", str(picture.number)),
        (0x0020, 0x0032): ("DS", "\\".join(f"{value:.10g}" for value in picture.position)),
        (0x0020, 0x0037): ("DS", "\\".join(f"{value:g}" for value in images.orientation)),
        (0x0020, 0x0052): ("UI", images.frame_uid),
        (0x0020, 0x1040): ("LO", ""),
        **_pixels((picture.values - intercept).astype("<i2"), images.pixel_spacing),
    }
    if is_ct:
        elements[(0x0018, 0x0060)] = ("DS", "120")
        elements[(0x0028, 0x1052)] = ("DS", str(intercept))
        elements[(0x0028, 0x1053)] = ("DS", "1")
    return part10(elements)


def others(course: Course, folder: Path, images: Images, identifier: str, name: str) -> list[tuple[str, str, str]]:
    """RT images and somebody's RTPLAN kept beside the images: modality, SOPInstanceUID and path in the folder."""
    found = []
    for number in range(course.rt_images):
        uid = f"{images.series_uid}.777.{number + 1}"
        elements = {
            **_identity(RT_IMAGE, uid, "RTIMAGE", identifier, name),
            (0x0020, 0x000D): ("UI", images.study_uid),
            (0x0020, 0x000E): ("UI", f"{images.series_uid}.777"),
            (0x3002, 0x0002): ("SH", f"DRR {number + 1}"),
            **_pixels(np.arange(12, dtype="<i2").reshape(3, 4) + number, None),
        }
        beside = "ImageSet_0.DICOM" if course.images in ("dicom", "both") else "DICOM"
        found.append(("RTIMAGE", uid, f"{beside}/RI_{uid}.dcm", part10(elements)))
    if course.foreign:
        uid = f"{images.series_uid}.888.1"
        elements = {
            **_identity(RT_PLAN, uid, "RTPLAN", identifier, name),
            (0x0020, 0x000D): ("UI", images.study_uid),
            (0x0020, 0x000E): ("UI", f"{images.series_uid}.888"),
            (0x300A, 0x0002): ("SH", "FOREIGN"),
        }
        found.append(("RTPLAN", uid, f"DICOM/RP_{uid}.dcm", part10(elements)))
    for _, _, path, data in found:
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(data)
    return [(modality, uid, path) for modality, uid, path, _ in found]


Elements = dict[tuple[int, int], tuple[str, object]]


def _identity(sop_class: str, uid: str, modality: str, identifier: str, name: str) -> Elements:
    return {
        (0x0008, 0x0005): ("CS", "ISO_IR 192"),
        (0x0008, 0x0016): ("UI", sop_class),
        (0x0008, 0x0018): ("UI", uid),
        (0x0008, 0x0020): ("DA", "20191220"),
        (0x0008, 0x0021): ("DA", "20191220"),
        (0x0008, 0x0030): ("TM", "091530"),
        (0x0008, 0x0050): ("SH", ""),
        (0x0008, 0x0060): ("CS", modality),
        (0x0008, 0x0070): ("LO", "GE MEDICAL SYSTEMS"),
        (0x0008, 0x0090): ("PN", ""),
        (0x0010, 0x0010): ("PN", name),
        (0x0010, 0x0020): ("LO", identifier),
        (0x0010, 0x0030): ("DA", "19610203"),
        (0x0010, 0x0040): ("CS", "F"),
    }


def _pixels(stored: Array, spacing: object) -> Elements:
    rows, columns = stored.shape
    found: Elements = {
        (0x0028, 0x0002): ("US", 1),
        (0x0028, 0x0004): ("CS", "MONOCHROME2"),
        (0x0028, 0x0010): ("US", rows),
        (0x0028, 0x0011): ("US", columns),
        (0x0028, 0x0100): ("US", 16),
        (0x0028, 0x0101): ("US", 16),
        (0x0028, 0x0102): ("US", 15),
        (0x0028, 0x0103): ("US", 1),
        (0x7FE0, 0x0010): ("OW", stored.tobytes()),
    }
    if isinstance(spacing, tuple):
        found[(0x0028, 0x0030)] = ("DS", "\\".join(f"{value:.10g}" for value in spacing))
    return found


def part10(elements: Elements) -> bytes:
    """A DICOM file in Explicit VR Little Endian; written here so that no library's way of writing matters."""
    meta: Elements = {
        (0x0002, 0x0001): ("OB", b"\x00\x01"),
        (0x0002, 0x0002): ("UI", elements[(0x0008, 0x0016)][1]),
        (0x0002, 0x0003): ("UI", elements[(0x0008, 0x0018)][1]),
        (0x0002, 0x0010): ("UI", "1.2.840.10008.1.2.1"),
        (0x0002, 0x0012): ("UI", _ROOT),
    }
    group = b"".join(_element(tag, *meta[tag]) for tag in sorted(meta))
    length = _element((0x0002, 0x0000), "UL", len(group))
    return b"\0" * 128 + b"DICM" + length + group + b"".join(_element(tag, *elements[tag]) for tag in sorted(elements))


def _element(tag: tuple[int, int], vr: str, value: object) -> bytes:
    if isinstance(value, int):
        data = struct.pack("<I" if vr == "UL" else "<H", value)
    elif isinstance(value, bytes):
        data = value
    else:
        data = str(value).encode("utf-8")
    if len(data) % 2:
        data += b"\0" if vr in ("UI", "OB") else b" "
    head = struct.pack("<HH", *tag) + vr.encode()
    return head + (struct.pack("<HI", 0, len(data)) if vr in _LONG else struct.pack("<H", len(data))) + data
