"""A small archive as text, to be changed by tests of the reader, and what the reader makes of it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Optional

from qa_fetch.pinnacle import reading, sources
from qa_fetch.pinnacle.records import ImageSet, Patient, Plan

P = "Institution_1/Mount_0/Patient_1"
PATIENT = """PatientID = 10000;
PatientPath = "Institution_1/Mount_0/Patient_1";
LastName = "M\xfcller";
FirstName = "A";
MiddleName = "";
MedicalRecordNumber = "00123";
RadiationOncologist = "DR, MD";
Gender = "Female";
DateOfBirth = "1950-02-03";
ImageSetList ={
  ImageSet ={
    ImageSetID = 0;
    StudyID = "77";
    Modality = "CT";
    NumberOfImages = 2;
    ScanTimeFromScanner = "2020-01-01 10:00:00";
    SeriesDescription = "HEAD";
    SeriesUID = "1.2.3";
  };
};
PlanList ={
  Plan ={
    PlanID = 0;
    PlanName = "BRAIN";
    Comment = "a {comment};";
    PrimaryCTImageSetID = 0;
    PinnacleVersionDescription = "Pinnacle 9.10";
    PlanIsLocked = 1;
    ObjectVersion ={
      WriteTimeStamp = "2020-01-01 10:00:00";
    };
  };
};

/* ~\xff */
"""
CONTROL_POINT = """            #%d ={
              Gantry = %s;
              Couch = 355;
              Collimator = 0;
              WedgeContext ={
                WedgeName = "%s";
                Orientation = "WedgeTopToBottom";
                Angle = "30";
              };
              LeftJawPosition = 10;
              RightJawPosition = 9;
              TopJawPosition = 11;
              BottomJawPosition = 6;
              ModifierList ={
                BeamModifier ={
                  OutsideMode = "Block";
                  ContourList ={
                    CurvePainter ={
                      Curve ={
                        RawData ={
                          Points[] ={
                            0,0,
                            1,0,
                            0,1
                          };
                        };
                      };
                    };
                  };
                };
              };
              MLCLeafPositions ={
                RawData ={
                  NumberOfPoints = 2;
                  Points[] ={
                    1,2,
                    3,4.5
                  };
                };
                RowLabelList ={
                  #0 ={
                    String = "  1. Y = 19.50 cm";
                  };
                  #1 ={
                    String = "  2. Y = -9.75 cm";
                  };
                };
              };
              Weight = %s;
              DoseRate = 0;
            };
"""
BEAM = f"""    Beam ={{
      Name = "AP";
      IsocenterName = "iso";
      PrescriptionName = "Brain";
      PrescriptionPointName = "<None>";
      MachineNameAndVersion = "Clinac: 2020-01-01 10:00:00";
      Modality = "Photons";
      MachineEnergyName = "6X";
      SetBeamType = "Dynamic Arc";
      CPManager ={{
        CPManagerObject ={{
          NumberOfControlPoints = 2;
          ControlPointList ={{
{CONTROL_POINT % (0, "181", "No Wedge", "0")}{CONTROL_POINT % (1, "-8.", "EDW", "1e0")}          }};
          GantryIsCCW = 0;
        }};
      }};
      UseMLC = 1;
      ElectronApplicatorName = "None";
      SSD = 92.8;
      SSDValid = 1;
      TrayNumber = "T1";
      TrayFactor = 0.952;
      MonitorUnitInfo ={{
        PrescriptionDose = 126.27;
        SourceToPrescriptionPointDistance = 100;
        TotalTransmissionFraction = 1;
        PrescriptionPointDepth = 7.1833;
        NormalizedDose = 1.10137;
        CollimatorOutputFactor = 1.02155;
      }};
      RelyOnBolusNames = "&";
      DoseVolume = \\XDR:8\\;
      Weight = 50;
      MonitorUnitsValid = 1;
      FieldID = "02";
      DoseRate = 600;
    }};
"""
TRIAL = f"""Trial ={{
  Name = "%s";
  DoseGrid .VoxelSize .X = 0.3;
  DoseGrid .VoxelSize .Y = 0.4;
  DoseGrid .VoxelSize .Z = 0.5;
  DoseGrid .Dimension .X = 93;
  DoseGrid .Dimension .Y = 110;
  DoseGrid .Dimension .Z = 89;
  DoseGrid .Origin .X = -14.9044;
  DoseGrid .Origin .Y = -17.5729;
  DoseGrid .Origin .Z = -10.7747;
  DoseGrid .VolRotDelta .X = 0;
  DoseGrid .VolRotDelta .Y = 0;
  DoseGrid .VolRotDelta .Z = 0;
  PrescriptionList ={{
    Prescription ={{
      Name = "Brain";
      RequestedMonitorUnitsPerFraction = 280;
      PrescriptionDose = 250;
      PrescriptionPercent = 99;
      NumberOfFractions = 12;
      PrescriptionPoint = "iso";
      PrescriptionPeriod = "Per Fraction";
    }};
  }};
  BeamList ={{
{BEAM}  }};
}};
"""
MACHINES = """#0 ={
  Name = "Clinac";
  VersionTimestamp = "2020-01-01 10:00:00";
  MachineType = "Varian";
  HasMLC = 1;
  SAD = 100;
  MultiLeaf ={
    LeafPairList ={
      MLCLeafPair ={
        YCenterPosition = -19.5;
        NegateLeafCoordinate = 1;
        Width = 1;
      };
      MLCLeafPair ={
        YCenterPosition = 9.75;
        NegateLeafCoordinate = 0;
        Width = 0.5;
      };
    };
    AlignedWithLeftRightJaw = 1;
    Vendor = "Vendor";
  };
  WedgeList ={
    Wedge ={
      Name = "EDW";
      NominalAngle = 0;
      IsDynamic = 1;
      Material = "Iron";
      TopToBottomCode = "EDW-OUT";
    };
  };
  PhotonEnergyList ={
    MachineEnergy ={
      Value = 6;
      Name = "6X";
      PhysicsData ={
        OutputFactor ={
          DosePerMuAtCalibration = 0.8074;
        };
      };
      DefaultTrayFactor = 0.95;
    };
  };
  ElectronEnergyList ={
    MachineEnergy ={
      Value = 9;
      Name = "9E";
    };
  };
};
"""
HEADER = """	byte_order = 1;
	x_dim = 512;
	y_dim = 256;
	z_dim = 2;
	bytes_pix = 2;
	x_pixdim = 0.097656;
	y_pixdim = 0.097656;
	z_pixdim = 0.250000;
	x_start = -25.000000;
	y_start = -74.902321;
	z_start = -8.750000;
	date :
	patient_position : hfs
	SeriesNumber = 3;
	Version : 9.10
	x_start_dicom = -25.0;
	y_start_dicom = -24.9;
"""
INFO = "".join(
    f'ImageInfo ={{\n  TablePosition = {z};\n  SliceNumber = {number};\n  InstanceUID = "1.2.{number}";\n'
    f'  FrameUID = "";\n  DICOMFileName = "CT_{number}.dcm";\n}};\n'
    for number, z in ((1, "-8."), (2, "-7.75"))
)
ROI = """ file_stamp={
    write_version: 9.10
  };
 roi={
    name: Brain
    color: red
    num_curve = 1;
    curve={
        flags = 20;
        num_points = 1;
points={
1 2 3
 };
};
};
"""
FILES = {
    "Patient": PATIENT,
    "ImageSet_0.header": HEADER,
    "ImageSet_0.ImageInfo": INFO,
    "ImageSet_0.img": "pixels",
    "ImageSet_0.DICOM/CT_1.dcm": "dicom",
    "Plan_0/plan.Trial": TRIAL % "Trial_1" + TRIAL % "Trial_2",
    "Plan_0/plan.PatientSetup": 'Position = "On back (supine)";\nOrientation = "Head First Into Scanner";\n',
    "Plan_0/plan.Points": 'Poi ={\n  Name = "iso";\n  XCoord = -1.2;\n  YCoord = 1.9;\n  ZCoord = 2;\n'
    '  Color = "red";\n  PoiInterpretedType = "MARKER";\n};\nPoi ={\n  Name = "no place";\n  XCoord = 1;\n};\n',
    "Plan_0/plan.roi": ROI,
    "Plan_0/plan.Pinnacle.Machines": MACHINES,
}


def archive(folder: Path, changes: Optional[dict[str, Optional[str]]] = None, inside: str = P) -> Path:
    """An archive of the usual files, some of them changed or (None) left out."""
    path = folder / "archive.tar"
    with tarfile.open(path, "w") as tar:
        for name, text in {**FILES, **(changes or {})}.items():
            if text is not None:
                data = text.encode("latin-1")
                info = tarfile.TarInfo(f"./{inside}/{name}" if inside else name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


def whole(path: Path) -> tuple[Patient, Plan, ImageSet, list[Optional[str]]]:
    """The first patient of an archive with its first plan and image set."""
    with sources.opened(path) as source:
        patient = reading.patients(source)[0]
        entry = patient.plans[0]
        plan = reading.plan(source, patient, entry)
        images = reading.image_set(source, patient, patient.image_sets[0].number)
        return patient, plan, images, reading.trial_names(source, entry)
