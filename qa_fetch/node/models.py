"""The index: who exists on four levels, and for every object the attributes that queries ask for.

The attributes stand on ``Instance`` even where they describe a patient or a study. Two objects of one patient may spell
a name in two ways; a query has to find each of them by what that object says.
"""

from __future__ import annotations

from django.db import models


def _text(*, indexed: bool = False) -> models.TextField:
    """Text that stays whole: values of peers may be longer than their VR allows."""
    return models.TextField(default="", blank=True, db_index=indexed)


class Patient(models.Model):  # type: ignore[misc]  # Django ships no type hints; the same below
    """Everything that came under one PatientID."""

    PatientID = models.TextField(unique=True, blank=True)


class Study(models.Model):  # type: ignore[misc]
    """A study of one patient; the same UID under two PatientIDs stays two studies, so that patients never mix."""

    patient = models.ForeignKey(Patient, models.CASCADE, related_name="studies")
    StudyInstanceUID = models.TextField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["patient", "StudyInstanceUID"], name="node_one_study")]


class Series(models.Model):  # type: ignore[misc]
    """A series of one study."""

    study = models.ForeignKey(Study, models.CASCADE, related_name="series")
    SeriesInstanceUID = models.TextField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["study", "SeriesInstanceUID"], name="node_one_series")]


class Instance(models.Model):  # type: ignore[misc]
    """One object: where its bytes are described, the columns to search, and its header for everything else."""

    series = models.ForeignKey(Series, models.CASCADE, related_name="instances")
    SOPInstanceUID = models.TextField(unique=True)
    SOPClassUID = models.TextField()
    TransferSyntaxUID = models.TextField()
    size = models.BigIntegerField()
    digest = models.TextField()
    stored = models.DateTimeField(auto_now_add=True)
    header = models.BinaryField()
    left_out = _text()

    PatientName = _text()
    PatientNameFolded = _text(indexed=True)
    PatientBirthDate = _text()
    PatientSex = _text()
    AccessionNumber = _text(indexed=True)
    StudyID = _text()
    StudyDate = _text(indexed=True)
    StudyTime = _text()
    StudyDescription = _text()
    Modality = _text(indexed=True)
    SeriesNumber = models.FloatField(null=True, blank=True)
    SeriesDate = _text()
    SeriesTime = _text()
    SeriesDescription = _text()
    InstanceNumber = models.FloatField(null=True, blank=True)
    InstanceCreationDate = _text()
    InstanceCreationTime = _text()
    AcquisitionDate = _text(indexed=True)
    AcquisitionTime = _text()
    ContentDate = _text(indexed=True)
    ContentTime = _text()
    ImageType = _text()
    RTImageLabel = _text()
    RTPlanLabel = _text(indexed=True)
    RTPlanDate = _text()
    RTPlanTime = _text()
    ApprovalStatus = _text()
    PrimaryDosimeterUnit = _text()
    GantryAngle = models.FloatField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["SOPClassUID", "TransferSyntaxUID"], name="node_stored_as")]


class ReferencedPlan(models.Model):  # type: ignore[misc]
    """A plan that an object names in its ReferencedRTPlanSequence."""

    instance = models.ForeignKey(Instance, models.CASCADE, related_name="referenced_plans")
    ReferencedSOPInstanceUID = models.TextField(db_index=True)
