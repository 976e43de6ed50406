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
    stored = models.DateTimeField(db_index=True)
    seconds = models.FloatField(default=0)  # from its first byte until it was kept
    source = _text(indexed=True)  # the AE title that sent it; empty where it did not come over the network
    header = models.BinaryField()
    implicit = models.BooleanField(default=False)  # how the header is encoded
    left_out = _text()
    # Whether it is the first object of its entity with these values of the attributes of that level: a query for
    # entities needs to look at no other object of it.
    speaks_for_patient = models.BooleanField(default=False)
    speaks_for_study = models.BooleanField(default=False)
    speaks_for_series = models.BooleanField(default=False)

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
    RTPlanDate = _text(indexed=True)
    RTPlanTime = _text()
    ApprovalStatus = _text(indexed=True)
    PrimaryDosimeterUnit = _text(indexed=True)
    GantryAngle = models.FloatField(null=True, blank=True, db_index=True)

    class Meta:
        indexes = [
            models.Index(fields=["SOPClassUID", "TransferSyntaxUID"], name="node_stored_as"),
            *(
                models.Index(fields=[keyword], condition=models.Q(**{f"speaks_for_{level}": True}), name=name)
                for level, keyword, name in (
                    ("patient", "PatientNameFolded", "node_patient_name"),
                    ("study", "StudyDate", "node_study_date"),
                    ("study", "AccessionNumber", "node_study_number"),
                    ("study", "PatientNameFolded", "node_study_name"),
                    ("series", "Modality", "node_series_modality"),
                    ("series", "StudyDate", "node_series_date"),
                )
            ),
        ]


class ReferencedPlan(models.Model):  # type: ignore[misc]
    """A plan that an object names in its ReferencedRTPlanSequence."""

    instance = models.ForeignKey(Instance, models.CASCADE, related_name="referenced_plans")
    ReferencedSOPInstanceUID = models.TextField(db_index=True)


class ExtraValue(models.Model):  # type: ignore[misc]
    """The value of an attribute that this site wants to search by, beside the columns of every node."""

    instance = models.ForeignKey(Instance, models.CASCADE, related_name="extra_values")
    tag = models.CharField(max_length=8)  # ggggeeee
    value = models.TextField()

    class Meta:
        indexes = [models.Index(fields=["tag", "value"], name="node_extra_value")]


class Conflict(models.Model):  # type: ignore[misc]
    """An object that came under the UID of another one: its sender was told so, and its file is kept apart."""

    SOPInstanceUID = models.TextField(db_index=True)
    digest = models.TextField(unique=True)
    size = models.BigIntegerField()
    source = _text()
    stored = models.DateTimeField()


class Annotation(models.Model):  # type: ignore[misc]
    """A file that somebody has put to a study, a series or an object."""

    level = models.CharField(max_length=8)  # study, series, instance
    uid = models.TextField(db_index=True)
    name = models.TextField()
    media_type = models.TextField()
    size = models.BigIntegerField()
    digest = models.TextField()  # sha256, under which its file lies
    author = models.TextField()
    created = models.DateTimeField(db_index=True)


class Token(models.Model):  # type: ignore[misc]
    """What a program shows instead of a name and a password; only its digest is kept."""

    name = models.TextField(unique=True)
    digest = models.CharField(max_length=64, unique=True)
    may_write = models.BooleanField(default=False)
    created = models.DateTimeField()
