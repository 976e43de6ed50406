"""The index as it began."""

from __future__ import annotations

from functools import partial

import django.db.models.deletion
from django.db import migrations, models

_key = partial(models.BigAutoField, auto_created=True, primary_key=True, serialize=False, verbose_name="ID")
_text = partial(models.TextField, blank=True, default="")
_parent = partial(models.ForeignKey, on_delete=django.db.models.deletion.CASCADE)


class Migration(migrations.Migration):  # type: ignore[misc]  # Django ships no type hints
    """Patients, studies, series, instances, and the plans that instances refer to."""

    initial = True
    dependencies: list[tuple[str, str]] = []
    operations = [
        migrations.CreateModel(
            name="Patient",
            fields=[
                ("id", _key()),
                ("PatientID", models.TextField(blank=True, unique=True)),
            ],
        ),
        migrations.CreateModel(
            name="Study",
            fields=[
                ("id", _key()),
                ("StudyInstanceUID", models.TextField(db_index=True)),
                ("patient", _parent(related_name="studies", to="qa_fetch_node.patient")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("patient", "StudyInstanceUID"), name="node_one_study"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Series",
            fields=[
                ("id", _key()),
                ("SeriesInstanceUID", models.TextField(db_index=True)),
                ("study", _parent(related_name="series", to="qa_fetch_node.study")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("study", "SeriesInstanceUID"), name="node_one_series"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Instance",
            fields=[
                ("id", _key()),
                ("SOPInstanceUID", models.TextField(unique=True)),
                ("SOPClassUID", models.TextField()),
                ("TransferSyntaxUID", models.TextField()),
                ("size", models.BigIntegerField()),
                ("digest", models.TextField()),
                ("stored", models.DateTimeField(auto_now_add=True)),
                ("header", models.BinaryField()),
                ("left_out", _text()),
                ("PatientName", _text()),
                ("PatientNameFolded", _text(db_index=True)),
                ("PatientBirthDate", _text()),
                ("PatientSex", _text()),
                ("AccessionNumber", _text(db_index=True)),
                ("StudyID", _text()),
                ("StudyDate", _text(db_index=True)),
                ("StudyTime", _text()),
                ("StudyDescription", _text()),
                ("Modality", _text(db_index=True)),
                ("SeriesNumber", models.FloatField(null=True, blank=True)),
                ("SeriesDate", _text()),
                ("SeriesTime", _text()),
                ("SeriesDescription", _text()),
                ("InstanceNumber", models.FloatField(null=True, blank=True)),
                ("InstanceCreationDate", _text()),
                ("InstanceCreationTime", _text()),
                ("AcquisitionDate", _text(db_index=True)),
                ("AcquisitionTime", _text()),
                ("ContentDate", _text(db_index=True)),
                ("ContentTime", _text()),
                ("ImageType", _text()),
                ("RTImageLabel", _text()),
                ("RTPlanLabel", _text(db_index=True)),
                ("RTPlanDate", _text()),
                ("RTPlanTime", _text()),
                ("ApprovalStatus", _text()),
                ("PrimaryDosimeterUnit", _text()),
                ("GantryAngle", models.FloatField(null=True, blank=True)),
                ("series", _parent(related_name="instances", to="qa_fetch_node.series")),
            ],
            options={
                "indexes": [models.Index(fields=["SOPClassUID", "TransferSyntaxUID"], name="node_stored_as")],
            },
        ),
        migrations.CreateModel(
            name="ReferencedPlan",
            fields=[
                ("id", _key()),
                ("ReferencedSOPInstanceUID", models.TextField(db_index=True)),
                ("instance", _parent(related_name="referenced_plans", to="qa_fetch_node.instance")),
            ],
        ),
    ]
