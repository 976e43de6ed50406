"""The objects around the course: reports, documents, captures, registrations, enhanced images, selections, states."""

from __future__ import annotations

from phi_objects import (
    CAPTURE,
    CT,
    DOCUMENT,
    ENHANCED,
    FIRST_DAY,
    INSTITUTION,
    REGISTRATION,
    REPORT,
    SELECTION,
    STAFF,
    STATE,
    Author,
    Items,
    code,
    da,
    evidence,
    item,
    referring,
    to,
)
from pydicom.dataset import Dataset


def _entry(kind: str, concept: tuple[str, str], **values: object) -> Dataset:
    made = item(
        RelationshipType="CONTAINS", ValueType=kind, ConceptNameCodeSequence=code(concept[0], "DCM", concept[1])
    )
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def report(author: Author, plan: Dataset, images: list[Dataset]) -> Dataset:
    """A comprehensive SR that names the patient in items of all types."""
    made, person = author.base(REPORT, "SR"), author.person
    made.ContentDate, made.ContentTime = da(FIRST_DAY), "150000"
    made.CompletionFlag, made.VerificationFlag = "COMPLETE", "VERIFIED"
    made.CompletionFlagDescription = author.text()
    verifier = item(VerifyingOrganization=INSTITUTION, VerificationDateTime=f"{da(FIRST_DAY)}160000")
    verifier.VerifyingObserverName, verifier.VerifyingObserverIdentificationCodeSequence = STAFF[0], Items([])
    made.VerifyingObserverSequence = Items([verifier])
    made.ReferencedRequestSequence = Items([])
    made.PerformedProcedureCodeSequence = Items([])
    made.ValueType, made.ContinuityOfContent = "CONTAINER", "SEPARATE"
    made.ConceptNameCodeSequence = code("121111", "DCM", "Summary")
    inner = _entry("CONTAINER", ("121070", "Findings"), ContinuityOfContent="SEPARATE")
    inner.ContentSequence = Items(
        [
            _entry("TEXT", ("121071", "Finding"), TextValue=f"The patient {author.text()} was seen."),
            _entry("IMAGE", ("121200", "Illustration"), ReferencedSOPSequence=Items([to(images[1])])),
        ]
    )
    made.ContentSequence = Items(
        [
            _entry("PNAME", ("121029", "Subject Name"), PersonName=person.name),
            _entry("DATE", ("121031", "Subject Birth Date"), Date=da(person.birth)),
            _entry("DATETIME", ("121125", "DateTime of Recording"), DateTime=f"{da(FIRST_DAY)}151500"),
            _entry("TIME", ("121126", "Time"), Time="151500"),
            _entry("UIDREF", ("121018", "Procedure Study"), UID=plan.StudyInstanceUID),
            _entry("UIDREF", ("112227", "Frame of Reference UID"), UID=plan.FrameOfReferenceUID),
            _entry("TEXT", ("121030", "Subject ID"), TextValue=person.id),
            _entry("COMPOSITE", ("121181", "Plan"), ReferencedSOPSequence=Items([to(plan)])),
            inner,
        ]
    )
    made.CurrentRequestedProcedureEvidenceSequence = evidence(plan, images[1])
    return made


def document(author: Author, slices: list[Dataset]) -> Dataset:
    """A PDF."""
    made, person = author.base(DOCUMENT, "DOC"), author.person
    made.ConversionType, made.BurnedInAnnotation = "WSD", "YES"
    made.ContentDate, made.ContentTime, made.AcquisitionDateTime = da(FIRST_DAY), "150000", f"{da(FIRST_DAY)}150000"
    author.texts(made, "DocumentTitle")
    made.ConceptNameCodeSequence = Items([])
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.SourceInstanceSequence = Items([to(slices[0])])
    text = f"%PDF-1.4 {person.name} {person.id} {STAFF[0]}".encode()
    made.EncapsulatedDocument = text + b" " * (len(text) % 2)
    return made


def capture(author: Author) -> Dataset:
    """A picture of a screen with the patient's name in its pixels."""
    made, person = author.base(CAPTURE, "OT"), author.person
    made.ImageType, made.ConversionType, made.BurnedInAnnotation = ["DERIVED", "SECONDARY", "SCREEN SAVE"], "WSD", "YES"
    author.pixels(made, 8)
    name = person.name.encode("utf-8")
    made.add_new("PixelData", "OB", name + bytes(made.PixelData)[len(name) :])
    return made


def registration(author: Author, slices: list[Dataset], images: list[Dataset]) -> Dataset:
    """The CT's frame of reference and the one of a cone-beam CT."""
    made = author.base(REGISTRATION, "REG")
    made.ContentDate, made.ContentTime = da(FIRST_DAY), "130000"
    made.ContentLabel, made.ContentCreatorName = "PLANNING", STAFF[2]
    author.texts(made, "ContentDescription")
    made.FrameOfReferenceUID, made.PositionReferenceIndicator = slices[0].FrameOfReferenceUID, ""
    turns = []
    for frame in (slices[0].FrameOfReferenceUID, author.uid("frame", "cbct")):
        matrix = item(FrameOfReferenceTransformationMatrixType="RIGID")
        matrix.FrameOfReferenceTransformationMatrix = [str(float(n % 5 == 0)) for n in range(16)]
        step = item(MatrixSequence=Items([matrix]), RegistrationTypeCodeSequence=Items([]))
        used = Items([to(image) for image in slices])
        turns.append(
            item(FrameOfReferenceUID=frame, MatrixRegistrationSequence=Items([step]), ReferencedImageSequence=used)
        )
    made.RegistrationSequence = Items(turns)
    series = item(SeriesInstanceUID=images[0].SeriesInstanceUID, ReferencedInstanceSequence=Items([to(images[0])]))
    made.ReferencedSeriesSequence = Items([series])
    other = item(StudyInstanceUID=author.uid("study", "old"), ReferencedSeriesSequence=Items([series]))
    made.StudiesContainingOtherReferencedInstancesSequence = Items([other])
    return made


def enhanced(author: Author, slices: list[Dataset]) -> Dataset:
    """An enhanced CT of two frames."""
    made = author.base(ENHANCED, "CT", 9)
    made.SeriesInstanceUID = author.uid("enhanced", "series")
    made.ImageType, made.ContentQualification = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], "PRODUCT"
    made.ContentDate, made.ContentTime, made.AcquisitionDateTime = da(FIRST_DAY), "091500", f"{da(FIRST_DAY)}091500"
    made.FrameOfReferenceUID, made.PositionReferenceIndicator = slices[0].FrameOfReferenceUID, ""
    made.SynchronizationFrameOfReferenceUID = author.uid("synchronised")
    # References that the standard's table does not list.
    made.SOPInstanceUIDOfConcatenationSource = made.MultiFrameSourceSOPInstanceUID = slices[0].SOPInstanceUID
    made.TargetFrameOfReferenceUID = made.VolumeFrameOfReferenceUID = slices[0].FrameOfReferenceUID
    made.DimensionOrganizationSequence = Items([item(DimensionOrganizationUID=author.uid("dimension"))])
    made.BurnedInAnnotation, made.LossyImageCompression, made.PresentationLUTShape = "NO", "00", "IDENTITY"
    made.ImageComments = author.text()
    sharing = item(PixelMeasuresSequence=Items([item(PixelSpacing=["1", "1"], SliceThickness="2")]))
    derived = item(DerivationDescription=author.text(), SourceImageSequence=Items([to(slices[0])]))
    sharing.DerivationImageSequence = Items([derived])
    made.SharedFunctionalGroupsSequence = Items([sharing])
    frames = []
    for number in (1, 2):
        moment = f"{da(FIRST_DAY)}09150{number}"
        content = item(FrameAcquisitionDateTime=moment, FrameReferenceDateTime=moment, DimensionIndexValues=[1, number])
        content.FrameComments = author.text()
        frames.append(item(FrameContentSequence=Items([content]), ReferencedImageSequence=Items([to(slices[1])])))
    made.PerFrameFunctionalGroupsSequence = Items(frames)
    author.pixels(made, 16, frames=2)
    return made


def selection(author: Author, images: list[Dataset]) -> Dataset:
    """A key object selection."""
    made = author.base(SELECTION, "KO")
    made.ContentDate, made.ContentTime = da(FIRST_DAY), "151000"
    made.ReferencedPerformedProcedureStepSequence = Items([])
    made.ValueType, made.ContinuityOfContent = "CONTAINER", "SEPARATE"
    made.ConceptNameCodeSequence = code("113000", "DCM", "Of Interest")
    made.ContentSequence = Items(
        [
            _entry("TEXT", ("113012", "Key Object Description"), TextValue=author.text()),
            item(RelationshipType="CONTAINS", ValueType="IMAGE", ReferencedSOPSequence=Items([to(images[0])])),
        ]
    )
    made.CurrentRequestedProcedureEvidenceSequence = evidence(images[0])
    return made


def state(author: Author, slices: list[Dataset]) -> Dataset:
    """A presentation state with a note on the image."""
    made = author.base(STATE, "PR")
    made.PresentationCreationDate, made.PresentationCreationTime = da(FIRST_DAY), "152000"
    made.ContentLabel, made.ContentCreatorName = "NOTE", STAFF[0]
    author.texts(made, "ContentDescription")
    series = item(SeriesInstanceUID=slices[0].SeriesInstanceUID, ReferencedImageSequence=Items([to(slices[0])]))
    made.ReferencedSeriesSequence = Items([series])
    shown = item(DisplayedAreaTopLeftHandCorner=[1, 1], DisplayedAreaBottomRightHandCorner=[16, 16])
    shown.PresentationSizeMode = "SCALE TO FIT"
    shown.PresentationPixelSpacing = ["1", "1"]
    made.DisplayedAreaSelectionSequence = Items([shown])
    note = item(BoundingBoxAnnotationUnits="PIXEL", UnformattedTextValue=author.text())
    note.BoundingBoxTopLeftHandCorner, note.BoundingBoxBottomRightHandCorner = [1.0, 1.0], [9.0, 9.0]
    note.BoundingBoxTextHorizontalJustification = "LEFT"
    layer = item(GraphicLayer="NOTES", GraphicLayerOrder=1, GraphicLayerDescription=author.text())
    made.GraphicAnnotationSequence = Items([item(GraphicLayer="NOTES", TextObjectSequence=Items([note]))])
    made.GraphicLayerSequence = Items([layer])
    made.PresentationLUTShape = "IDENTITY"
    made.RequestedSubsequentWorkitemCodeSequence = Items([])
    made.ReferencedInstanceSequence = Items([referring(CT, slices[1].SOPInstanceUID)])
    return made
