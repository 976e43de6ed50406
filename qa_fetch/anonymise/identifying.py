"""Which attributes name people, numbers of theirs, birth dates and institutions."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final


class Sort(Enum):
    """What an attribute tells."""

    NAME = "names"
    ID = "ids"
    STEP = "steps"  # numbers that are often just counted: only long ones identify
    TELECOM = "telecom"  # telephone numbers and mail addresses in one text
    DATE = "dates"
    DAY = "days"  # when something was done: known by the VR
    PLACE = "others"


_IDS: Final = (
    0x00080050,  # AccessionNumber
    0x00100020,  # PatientID, also below OtherPatientIDsSequence and OriginalAttributesSequence
    0x00100033,  # PatientBirthDateInAlternativeCalendar
    0x00100034,  # PatientDeathDateInAlternativeCalendar
    0x00101000,  # OtherPatientIDs
    0x00101050,  # InsurancePlanIdentification
    0x00101090,  # MedicalRecordLocator
    0x00102295,  # BreedRegistrationNumber
    0x00120040,  # ClinicalTrialSubjectID
    0x00120042,  # ClinicalTrialSubjectReadingID
    0x00120082,  # ClinicalTrialProtocolEthicsCommitteeApprovalNumber
    0x00380010,  # AdmissionID
    0x00380060,  # ServiceEpisodeID
    0x0040050A,  # SpecimenAccessionNumber
    0x00400512,  # ContainerIdentifier
    0x00400551,  # SpecimenIdentifier
    0x00401006,  # PlacerOrderNumberProcedure
    0x00401007,  # FillerOrderNumberProcedure
    0x00402006,  # PlacerOrderNumberImagingServiceRequestRetired
    0x00402007,  # FillerOrderNumberImagingServiceRequestRetired
    0x00402016,  # PlacerOrderNumberImagingServiceRequest
    0x00402017,  # FillerOrderNumberImagingServiceRequest
    0x40080040,  # ResultsID
    0x40080200,  # InterpretationID
)
_STEPS: Final = (
    0x00200010,  # StudyID
    0x00400009,  # ScheduledProcedureStepID
    0x00400253,  # PerformedProcedureStepID
    0x00401001,  # RequestedProcedureID
    0x21000160,  # OwnerID
)
_TELECOM: Final = (
    0x00080094,  # ReferringPhysicianTelephoneNumbers
    0x00102154,  # PatientTelephoneNumbers
    0x00102155,  # PatientTelecomInformation
    0x00401103,  # PersonTelephoneNumbers
    0x00401104,  # PersonTelecomInformation
    0x00402010,  # OrderCallbackPhoneNumber
    0x00402011,  # OrderCallbackTelecomInformation
)
_PLACES: Final = (
    0x00080080,  # InstitutionName
    0x00080081,  # InstitutionAddress
    0x00080092,  # ReferringPhysicianAddress
    0x00081040,  # InstitutionalDepartmentName
    0x00100021,  # IssuerOfPatientID
    0x00101040,  # PatientAddress
    0x00102152,  # RegionOfResidence
    0x00102299,  # ResponsibleOrganization
    0x00120010,  # ClinicalTrialSponsorName
    0x00120031,  # ClinicalTrialSiteName
    0x00120060,  # ClinicalTrialCoordinatingCenterName
    0x00120081,  # ClinicalTrialProtocolEthicsCommitteeName
    0x00320012,  # StudyIDIssuer
    0x00321033,  # RequestingService
    0x00380011,  # IssuerOfAdmissionID
    0x00380061,  # IssuerOfServiceEpisodeID
    0x00380300,  # CurrentPatientLocation
    0x00380400,  # PatientInstitutionResidence
    0x00400031,  # LocalNamespaceEntityID
    0x00401102,  # PersonAddress
    0x00402009,  # OrderEntererLocation
    0x00404036,  # HumanPerformerOrganization
    0x0040A027,  # VerifyingOrganization
    0x4008011A,  # DistributionAddress
)
SORTS: Final[Mapping[int, Sort]] = {
    **dict.fromkeys(_IDS, Sort.ID),
    **dict.fromkeys(_STEPS, Sort.STEP),
    **dict.fromkeys(_TELECOM, Sort.TELECOM),
    **dict.fromkeys(_PLACES, Sort.PLACE),
    0x00100030: Sort.DATE,  # PatientBirthDate
}

# Sequences of codes that say who or where: there, and only there, a code and its meaning identify.
_CODE_VALUE, _CODE_MEANING, _LONG_CODE_VALUE, _URN_CODE_VALUE = 0x00080100, 0x00080104, 0x00080119, 0x00080120
CODES: Final[Mapping[int, Mapping[int, Sort]]] = {
    0x00401101: {  # PersonIdentificationCodeSequence
        **SORTS,
        _CODE_VALUE: Sort.ID,
        _LONG_CODE_VALUE: Sort.ID,
        _URN_CODE_VALUE: Sort.ID,
        _CODE_MEANING: Sort.NAME,
    },
    0x00080082: {  # InstitutionCodeSequence
        **SORTS,
        _CODE_VALUE: Sort.PLACE,
        _LONG_CODE_VALUE: Sort.PLACE,
        _CODE_MEANING: Sort.PLACE,
    },
}

# Sequences of many items that name nobody. ControlPointDeliverySequence is not one of them: its overrides name staff.
NOBODY: Final = frozenset(
    (
        0x00081140,  # ReferencedImageSequence
        0x0008114A,  # ReferencedInstanceSequence
        0x00081199,  # ReferencedSOPSequence
        0x00082112,  # SourceImageSequence
        0x00209113,  # PlanePositionSequence
        0x00209116,  # PlaneOrientationSequence
        0x00289110,  # PixelMeasuresSequence
        0x00289145,  # PixelValueTransformationSequence
        0x00640005,  # DeformableRegistrationGridSequence
        0x00660011,  # SurfacePointsSequence
        0x00660012,  # SurfacePointsNormalsSequence
        0x00660102,  # TrackSequence
        0x30040010,  # RTDoseROISequence
        0x30040050,  # DVHSequence
        0x30060016,  # ContourImageSequence
        0x30060039,  # ROIContourSequence
        0x30060040,  # ContourSequence
        0x300A0111,  # ControlPointSequence
        0x300A011A,  # BeamLimitingDevicePositionSequence
        0x300A02D0,  # BrachyControlPointSequence
        0x300A03A8,  # IonControlPointSequence
    )
)
