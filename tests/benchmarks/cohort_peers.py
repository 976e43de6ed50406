"""Worker, also of a Python without qa_fetch: masks by rt-utils and platipy, histograms by platipy and dicompyler-core.

Each begins with files and ends with numbers; masks are let go when their voxels have been counted.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

from .jobs import serve
from .memory_used import peak

TARGET = "1"
_UNIT = 1000.0  # cubic mm in a cc


def _rt_utils_masks(ct: str, structures: str, dose: str) -> dict[str, Any]:
    from rt_utils import RTStructBuilder  # type: ignore[import-not-found,unused-ignore]

    del dose
    begun, found = time.perf_counter(), {}
    made = RTStructBuilder.create_from(dicom_series_path=ct, rt_struct_path=structures)
    first, second = made.series_data[0], made.series_data[1]
    apart = abs(float(first.ImagePositionPatient[2]) - float(second.ImagePositionPatient[2]))
    voxel = float(first.PixelSpacing[0]) * float(first.PixelSpacing[1]) * apart / _UNIT
    for roi in made.ds.StructureSetROISequence:
        found[str(roi.ROINumber)] = int(made.get_roi_mask_by_name(roi.ROIName).sum()) * voxel
    return {"seconds": time.perf_counter() - begun, "peak": peak(), "volumes": found}


def _platipy(ct: str, structures: str) -> tuple[dict[str, Any], float]:
    from platipy.dicom.io import rtstruct_to_nifti as io  # type: ignore[import-not-found,unused-ignore]

    image, data = io.read_dicom_image(ct), io.read_dicom_struct_file(structures)
    masks, names = io.transform_point_set_from_dicom_struct(image, data)
    numbers = {"_".join(roi.ROIName.split()): str(roi.ROINumber) for roi in data.StructureSetROISequence}
    across, up, along = image.GetSpacing()
    return {numbers[name]: mask for name, mask in zip(names, masks)}, across * up * along / _UNIT


def _platipy_masks(ct: str, structures: str, dose: str) -> dict[str, Any]:
    import SimpleITK as sitk  # type: ignore[import-not-found,unused-ignore]

    del dose
    begun = time.perf_counter()
    masks, voxel = _platipy(ct, structures)
    found = {number: int(sitk.GetArrayViewFromImage(mask).sum()) * voxel for number, mask in masks.items()}
    return {"seconds": time.perf_counter() - begun, "peak": peak(), "volumes": found}


def _platipy_dvh(ct: str, structures: str, dose: str) -> dict[str, Any]:
    """Its masks are made before, and not counted."""
    from platipy.dicom.io.rtdose_to_nifti import convert_rtdose  # type: ignore[import-not-found,unused-ignore]
    from platipy.imaging.dose import dvh  # type: ignore[import-not-found,unused-ignore]

    masks, _ = _platipy(ct, structures)
    begun = time.perf_counter()
    table = dvh.calculate_dvh_for_labels(convert_rtdose(dose), masks)
    found = dvh.calculate_d_x(table, [95, 2], label=TARGET)
    seconds = time.perf_counter() - begun
    volume = float(table[table.label == TARGET].cc.iloc[0])
    d95, d2 = (float(found[f"D{share}"].iloc[0]) for share in (95, 2))
    return {"seconds": seconds, "peak": peak(), "volumes": {TARGET: volume}, "d95": d95, "d2": d2}


def _dicompyler_dvh(ct: str, structures: str, dose: str) -> dict[str, Any]:
    from dicompylercore import dvhcalc  # type: ignore[import-not-found,unused-ignore]
    from pydicom import dcmread

    del ct
    begun = time.perf_counter()
    outlines, grays = dcmread(structures), dcmread(dose)
    numbers = [int(roi.ROINumber) for roi in outlines.StructureSetROISequence]
    found = {str(number): dvhcalc.get_dvh(outlines, grays, number) for number in numbers}
    seconds = time.perf_counter() - begun
    target = found[TARGET]
    d95, d2 = (float(target.statistic(f"D{share}").value) for share in (95, 2))
    return {"seconds": seconds, "peak": peak(), "volumes": {TARGET: float(target.volume)}, "d95": d95, "d2": d2}


def _there(peer: str) -> str:
    """Its version, once it has been imported and is known to work here at all."""
    from importlib import import_module, metadata

    warnings.simplefilter("ignore")
    for name in {
        "rt-utils": ("rt_utils",),
        "platipy": ("platipy.dicom.io.rtstruct_to_nifti", "platipy.imaging.dose.dvh"),
        "dicompyler-core": ("dicompylercore.dvhcalc",),
    }[peer]:
        import_module(name)
    return f"{peer} {metadata.version(peer)} with pydicom {metadata.version('pydicom')}"


def _masks(peer: str, ct: str, structures: str, dose: str) -> dict[str, Any]:
    return {"rt-utils": _rt_utils_masks, "platipy": _platipy_masks}[peer](ct, structures, dose)


def _dvh(peer: str, ct: str, structures: str, dose: str) -> dict[str, Any]:
    return {"platipy": _platipy_dvh, "dicompyler-core": _dicompyler_dvh}[peer](ct, structures, dose)


if __name__ == "__main__":
    serve({"there": _there, "masks": _masks, "dvh": _dvh})
