"""The text files of a phantom archive but for its trials: how Pinnacle spells them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Union

from phantom_course import COMMISSIONED, ENERGIES, VERSIONS, WEDGES, Course, Design, Geometry
from phantom_truth import Array

Lines = list[str]
WRITTEN = "2020-01-02 10:00:00"
SCANNED = "2019-12-20 09:15:30"
_PAD = "  "


def block(key: str, *items: Union[str, Iterable[str]]) -> Lines:
    """``key ={`` with its content, further in by two blanks, and its end."""
    lines = [f"{key} ={{"]
    for item in items:
        lines.extend(_PAD + line for line in ([item] if isinstance(item, str) else item))
    lines.append("};")
    return lines


def says(key: str, value: object) -> str:
    """``key = value;``: texts in quotes, numbers as short as they can be."""
    if isinstance(value, str):
        return f'{key} = "{value}";'
    return f"{key} = {value:.15g};" if isinstance(value, float) else f"{key} = {value};"


def numbered(items: Iterable[Lines]) -> Lines:
    """``#0 ={ ... };`` and on."""
    return [line for number, item in enumerate(items) for line in block(f"#{number}", item)]


def encoded(lines: Lines, course: Course, trailer: bytes = b"") -> bytes:
    """The bytes of a text, with the odd bytes that Pinnacle puts behind it where there are any."""
    data = ("\n".join(lines) + "\n").encode(course.encoding)
    return data + b"\n/* " + trailer + b" */\n" if trailer else data


def version_block(course: Course, written: str = WRITTEN, program: str = "Pinnacle v") -> Lines:
    """Who wrote something, and when."""
    version = VERSIONS[course.version]
    return block(
        "ObjectVersion",
        says("WriteVersion", program + version),
        says("CreateVersion", program + version),
        says("LoginName", "physics01"),
        says("CreateTimeStamp", written),
        says("WriteTimeStamp", written),
        says("LastModifiedTimeStamp", ""),
    )


def image_set(course: Course, number: int, modality: str, images: int, identifier: str, series: str) -> Lines:
    """An entry of the patient's ImageSetList, which ImageSet_N.ImageSet repeats."""
    return [
        says("ImageSetID", number),
        says("PatientID", 10000),
        says("ImageName", f"ImageSet_{number}"),
        says("NameFromScanner", ""),
        says("ExamID", "564355138"),
        says("StudyID", "10000"),
        says("Modality", modality),
        says("NumberOfImages", images),
        says("ScanTimeFromScanner", SCANNED),
        says("FileName", ""),
        says("SeriesDescription", "HEAD" if modality == "CT" else "T1"),
        says("MRN", identifier),
        says("DOB", ""),
        says("GatingUId", ""),
        says("SeriesUID", series),
    ]


def patient_file(course: Course, identifier: str, path: str, sets: Sequence[Lines], plans: Sequence[str]) -> Lines:
    """The file ``Patient``."""
    return [
        says("PatientID", 10000),
        says("PatientPath", path),
        says("LastName", course.last_name),
        says("FirstName", course.first_name),
        says("MiddleName", course.middle_name),
        says("MedicalRecordNumber", identifier),
        says("EncounterNumber", ""),
        says("PrimaryPhysician", ""),
        says("AttendingPhysician", ""),
        says("ReferringPhysician", ""),
        says("RadiationOncologist", "TEST, MD"),
        says("Comment", "PHANTOM"),
        says("NextUniquePlanID", len(plans)),
        says("NextUniqueImageSetID", len(sets)),
        says("Gender", "Female"),
        says("DateOfBirth", "1961-02-03"),
        *block("ImageSetList", *(block("ImageSet", lines) for lines in sets)),
        *block("PlanList", *(_plan_entry(course, number, name) for number, name in enumerate(plans))),
        *version_block(course, program="Launch Pad: "),
        says("DirSize", 100.0),
    ]


def _plan_entry(course: Course, number: int, name: str) -> Lines:
    return block(
        "Plan",
        says("PlanID", number),
        says("ToolType", "Pinnacle^3"),
        says("PlanName", name),
        says("Physicist", "MAX WELLDOSE PHD"),
        says("Comment", ""),
        says("Dosimetrist", "DOSEY CALC CMD"),
        says("PrimaryCTImageSetID", 0),
        block("FusionIDArray"),
        says("PrimaryImageType", "Images"),
        says("PinnacleVersionDescription", f"Pinnacle {VERSIONS[course.version]}"),
        says("IsNewPlanPrefix", 1),
        says("PlanIsLocked", 1),
        says("OKForSyntegraInLaunchpad", 0),
        version_block(course, f"2020-01-0{2 + number % 8} 10:00:00", "Launch Pad: "),
    )


def header(course: Course, geometry: Geometry, modality: str, identifier: str, series: str) -> Lines:
    """``ImageSet_N.header``: values end in a semicolon, texts follow a colon."""
    (columns, rows, slices), pixel, start = geometry.dimension, geometry.pixel, geometry.start
    newest = course.version == "16.0"
    # version 16 keeps its y_start half a metre away from where plans have the image
    y_start = start[1] - 50.0 if newest else start[1]
    name = f"{course.last_name}^{course.first_name}^{course.middle_name}"
    lines = [
        f"byte_order = {1 if course.byte_order == 'big' else 0};",
        'read_conversion = "";',
        'write_conversion = "";',
        "t_dim = 0;",
        f"x_dim = {columns};",
        f"y_dim = {rows};",
        f"z_dim = {slices};",
        "datatype = 1;",
        "bitpix = 16;",
        "bytes_pix = 2;",
        "vol_max = 0.000000;",
        "vol_min = 0.000000;",
        "t_pixdim = 0.000000;",
        f"x_pixdim = {pixel[0]:.7f};",
        f"y_pixdim = {pixel[1]:.7f};",
        f"z_pixdim = {pixel[2]:.7f};",
        "t_start = 0.000000;",
        f"x_start = {start[0]:.6f};",
        f"y_start = {y_start:.6f};",
        f"z_start = {start[2]:.6f};",
        "z_time = 0.000000;",
        "dim_units : ",
        "voxel_type : ",
        "id = 0;",
        f"db_name : {name}",
        f"medical_record : {identifier}",
        "date : ",
        f"patient_position : {course.position}",
        "orientation = 0;",
        "comment : ",
        "manufacturer : GE MEDICAL SYSTEMS",
        "model : LightSpeed RT16",
        "couch_pos = 0.000000;",
        "couch_height = 28.100000;",
        "study_id : 19263",
        "exam_id : 564355138",
        f"patient_id : {identifier}",
        f"modality : {modality}",
        f"series_UID : {series}",
        f"Series_Description : {'HEAD' if modality == 'CT' else 'T1'}",
        "Scan_Options : HELICAL MODE",
        "Station_Name : ctrt",
        "KVP : 120" if modality == "CT" else "KVP : ",
        "SeriesNumber = 3;",
        f"SeriesDateTime : {SCANNED}",
        f"Version : {VERSIONS[course.version]}",
    ]
    if newest:
        lines += [f"x_start_dicom = {start[0]:.6f};", f"y_start_dicom = {start[1]:.6f};"]
    return ["\t" + line for line in lines]


def setup(course: Course) -> Lines:
    """``plan.PatientSetup``."""
    return [
        says("Position", "On back (supine)" if course.position[2] == "S" else "On front (prone)"),
        says("Orientation", "Head First Into Scanner" if course.position[0] == "H" else "Feet First Into Scanner"),
        says("TableMotion", "Table Moves Into Scanner"),
        says("ProductionLevel", 1),
        *version_block(course),
    ]


def plan_info(course: Course, number: int, name: str) -> Lines:
    """``plan.PlanInfo``."""
    return [
        says("PlanName", name),
        says("PlanID", number),
        says("LastName", course.last_name),
        says("FirstName", course.first_name),
        says("MedicalRecordNumber", course.identifier),
        *version_block(course),
    ]


def point(course: Course, name: str, position: Sequence[float], colour: str) -> Lines:
    """A point of ``plan.Points``."""
    return block(
        "Poi",
        says("Name", name),
        says("XCoord", float(position[0])),
        says("YCoord", float(position[1])),
        says("ZCoord", float(position[2])),
        says("XRotation", 0),
        says("YRotation", 0),
        says("ZRotation", 0),
        says("Radius", 1),
        says("Color", colour),
        says("CoordSys", "CT"),
        says("CoordinateFormat", "%6.2f"),
        says("Display2d", "Off"),
        says("Display3d", "Off"),
        version_block(course),
        says("VolumeName", "DOE^JANE^Q"),
        says("PoiInterpretedType", "MARKER"),
        says("PoiDisplayOnOtherVolumes", 1),
        says("IsLocked", 0),
    )


def rois_head(course: Course) -> str:
    """What stands before the regions in ``plan.roi``."""
    version = VERSIONS[course.version]
    return (
        "// Region of Interest file\n// Data set: DOE^JANE^Q\n// File created: Thu Jan 02 10:00:00 2020\n\n//\n"
        f"// Pinnacle Treatment Planning System Version {version} \n// {version} \n//\n\n"
        " file_stamp={\n       write_date: Thu Jan 02 10:00:00 2020\n"
        "    write_program: Pinnacle Treatment Planning System\n"
        f"    write_version: {version}\n  }}; // End of file_stamp\n"
    )


def roi(name: str, colour: str, kind: str, curves: Sequence[Array], index: int) -> str:
    """A region of ``plan.roi``; its own grammar."""
    parts = [
        "//-----------------------------------------------------\n"
        f"//  Beginning of ROI: {name}\n"
        "//-----------------------------------------------------\n\n roi={\n"
        f"           name: {name}\n    volume_name: DOE^JANE^Q\nstats_volume_name: DOE^JANE^Q\n"
        "           author:   \n           organ_name:   \n           flags =          135168;\n"
        f"           roiinterpretedtype: {kind}\n           color:           {colour}\n"
        "           box_size =       5;\n           line_2d_width =  2;\n           line_3d_width =  1;\n"
        "           lower =          800;\n           upper =          4096;\n           radius =         0;\n"
        "           density =        0;\n           density_units:   g/cm^3\n           override_data =  1;\n"
        f"           volume =         {10.0 + index:g};\n           pixel_min =      0;\n"
        f"           pixel_max =      4071;\n           num_curve = {len(curves)};\n"
    ]
    for number, curve in enumerate(curves, 1):
        count = len(curve)
        parts.append(
            "//----------------------------------------------------\n"
            f"//  ROI: {name}\n//  Curve {number} of {len(curves)}\n"
            "//----------------------------------------------------\n               curve={\n"
            "                       flags =       131092;\n                       block_size =  32;\n"
            f"                       num_points =  {count};\npoints={{\n"
        )
        parts.append("%.15g %.15g %.15g\n" * count % tuple(curve.ravel().tolist()))
        parts.append(f" }};  // End of points for curve {number}\n}}; // End of curve {number}\n")
    parts.append(
        "               surface_mesh={\n                       allow_adaptation = 1;\n"
        "                       number_of_vertices = 0;\n                       vertices={\n"
        " };  // End of vertices for surface mesh\n                       triangles={\n"
        " };  // End of triangles for surface mesh\n}; // End of surface_mesh \n"
        f"        }}; // End of ROI {name}\n"
    )
    return "".join(parts)


def machine(course: Course, design: Design) -> Lines:
    """A machine of ``plan.Pinnacle.Machines``."""
    leaves = []
    for centre, width in zip(design.centres, design.widths):
        leaves.append(
            block(
                "MLCLeafPair",
                says("YCenterPosition", centre),
                says("NegateLeafCoordinate", int(design.negated)),
                says("Width", width),
                says("MinTipPosition", -20),
                says("MaxTipPosition", 20),
            )
        )
    wedges = [
        block(
            "Wedge",
            says("Name", name),
            says("NominalAngle", angle),
            says("WedgeFactor", 0),
            says("Material", "Steel"),
            says("OkForUniversalWedge", universal),
            says("IsDynamic", dynamic),
        )
        for name, (angle, dynamic, universal, _) in WEDGES.items()
    ]
    photons = [_energy(name, number, design) for number, name in enumerate(("6X", "15X"))]
    return [
        says("Name", design.name),
        says("MachineType", "Varian Clinac-2100"),
        says("VersionTimestamp", COMMISSIONED),
        *version_block(course),
        says("SAD", design.source_axis),
        *_scale("CouchAngle", design.couch_scale),
        *_scale("GantryAngle", design.gantry_scale),
        *_scale("CollimatorAngle", design.collimator_scale),
        says("LeftJawName", "X1"),
        says("RightJawName", "X2"),
        says("TopJawName", "-Y2" if design.negated else "Y1"),
        says("BottomJawName", "Y1" if design.negated else "Y2"),
        says("HasMLC", int(design.has_leaves)),
        *block(
            "MultiLeaf",
            block("LeafPairList", *leaves),
            says("NegateLeafCoordinates", int(design.negated)),
            says("AlignedWithLeftRightJaw", 1),
            says("SourceToMLCDistance", 53.83),
            says("Vendor", "Varian"),
        ),
        *block(
            "ElectronApplicatorList",
            block("ElectronApplicator", says("Name", "10x10"), says("Width", 10), says("Length", 10)),
        ),
        *block("WedgeList", *wedges),
        *block("PhotonEnergyList", *photons),
        *block("ElectronEnergyList", _energy("9E", 0, design)),
        *block("StereoEnergyList"),
    ]


def _scale(key: str, scale: tuple[float, bool]) -> Lines:
    return block(
        key,
        says("Name", ""),
        says("TwelveOClockAngle", scale[0]),
        says("ClockwiseIncreases", int(scale[1])),
        says("NominalAngle", 0),
        says("DecimalPlaces", 1),
    )


def _energy(name: str, number: int, design: Design) -> Lines:
    return block(
        "MachineEnergy",
        says("Value", ENERGIES[name][0]),
        says("Id", number),
        says("Name", name),
        block(
            "PhysicsData",
            block(
                "OutputFactor",
                says("ReferenceDepth", 10),
                says("SourceToCalibrationPointDistance", 100),
                says("DosePerMuAtCalibration", dose_per_mu(name, design)),
                says("CalculatedCalibrationDose", 0.0186649),
            ),
        ),
        says("DefaultBlockAndTrayFactor", 0.03),
        says("DefaultTrayFactor", 0.952),
    )


def dose_per_mu(energy: str, design: Design) -> float:
    """DosePerMuAtCalibration: another one for every energy."""
    return round(design.dose_per_mu * {"6X": 1.0, "15X": 1.1, "9E": 1.2}[energy], 4)
