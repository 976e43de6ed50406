"""The tables of the index."""

from __future__ import annotations

from typing import Any

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):  # type: ignore[misc]  # Django ships no type hints
    initial = True

    dependencies: list[Any] = []

    operations = [
        migrations.CreateModel(
            name="Annotation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("level", models.CharField(max_length=8)),
                ("uid", models.TextField(db_index=True)),
                ("name", models.TextField()),
                ("media_type", models.TextField()),
                ("size", models.BigIntegerField()),
                ("digest", models.TextField()),
                ("author", models.TextField()),
                ("created", models.DateTimeField(db_index=True)),
            ],
        ),
        migrations.CreateModel(
            name="Conflict",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("SOPInstanceUID", models.TextField(db_index=True)),
                ("digest", models.TextField(unique=True)),
                ("size", models.BigIntegerField()),
                ("source", models.TextField(blank=True, default="")),
                ("stored", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Instance",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("SOPInstanceUID", models.TextField(unique=True)),
                ("SOPClassUID", models.TextField()),
                ("TransferSyntaxUID", models.TextField()),
                ("size", models.BigIntegerField()),
                ("digest", models.TextField()),
                ("stored", models.DateTimeField(db_index=True)),
                ("seconds", models.FloatField(default=0)),
                ("source", models.TextField(blank=True, db_index=True, default="")),
                ("header", models.BinaryField()),
                ("implicit", models.BooleanField(default=False)),
                ("left_out", models.TextField(blank=True, default="")),
                ("speaks_for_patient", models.BooleanField(default=False)),
                ("speaks_for_study", models.BooleanField(default=False)),
                ("speaks_for_series", models.BooleanField(default=False)),
                ("PatientName", models.TextField(blank=True, default="")),
                ("PatientNameFolded", models.TextField(blank=True, db_index=True, default="")),
                ("PatientBirthDate", models.TextField(blank=True, default="")),
                ("PatientSex", models.TextField(blank=True, default="")),
                ("AccessionNumber", models.TextField(blank=True, db_index=True, default="")),
                ("StudyID", models.TextField(blank=True, default="")),
                ("StudyDate", models.TextField(blank=True, db_index=True, default="")),
                ("StudyTime", models.TextField(blank=True, default="")),
                ("StudyDescription", models.TextField(blank=True, default="")),
                ("Modality", models.TextField(blank=True, db_index=True, default="")),
                ("SeriesNumber", models.FloatField(blank=True, null=True)),
                ("SeriesDate", models.TextField(blank=True, default="")),
                ("SeriesTime", models.TextField(blank=True, default="")),
                ("SeriesDescription", models.TextField(blank=True, default="")),
                ("InstanceNumber", models.FloatField(blank=True, null=True)),
                ("InstanceCreationDate", models.TextField(blank=True, default="")),
                ("InstanceCreationTime", models.TextField(blank=True, default="")),
                ("AcquisitionDate", models.TextField(blank=True, db_index=True, default="")),
                ("AcquisitionTime", models.TextField(blank=True, default="")),
                ("ContentDate", models.TextField(blank=True, db_index=True, default="")),
                ("ContentTime", models.TextField(blank=True, default="")),
                ("ImageType", models.TextField(blank=True, default="")),
                ("RTImageLabel", models.TextField(blank=True, default="")),
                ("RTPlanLabel", models.TextField(blank=True, db_index=True, default="")),
                ("RTPlanDate", models.TextField(blank=True, db_index=True, default="")),
                ("RTPlanTime", models.TextField(blank=True, default="")),
                ("ApprovalStatus", models.TextField(blank=True, db_index=True, default="")),
                ("PrimaryDosimeterUnit", models.TextField(blank=True, db_index=True, default="")),
                ("GantryAngle", models.FloatField(blank=True, db_index=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Patient",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("PatientID", models.TextField(blank=True, unique=True)),
            ],
        ),
        migrations.CreateModel(
            name="Token",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.TextField(unique=True)),
                ("digest", models.CharField(max_length=64, unique=True)),
                ("may_write", models.BooleanField(default=False)),
                ("created", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Study",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("StudyInstanceUID", models.TextField(db_index=True)),
                (
                    "patient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="studies", to="qa_fetch_node.patient"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Series",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("SeriesInstanceUID", models.TextField(db_index=True)),
                (
                    "study",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="series", to="qa_fetch_node.study"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ReferencedPlan",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("ReferencedSOPInstanceUID", models.TextField(db_index=True)),
                (
                    "instance",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="referenced_plans",
                        to="qa_fetch_node.instance",
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="instance",
            name="series",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="instances", to="qa_fetch_node.series"
            ),
        ),
        migrations.CreateModel(
            name="ExtraValue",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("tag", models.CharField(max_length=8)),
                ("value", models.TextField()),
                (
                    "instance",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="extra_values",
                        to="qa_fetch_node.instance",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="study",
            constraint=models.UniqueConstraint(fields=("patient", "StudyInstanceUID"), name="node_one_study"),
        ),
        migrations.AddConstraint(
            model_name="series",
            constraint=models.UniqueConstraint(fields=("study", "SeriesInstanceUID"), name="node_one_series"),
        ),
        migrations.AddIndex(
            model_name="instance",
            index=models.Index(fields=["SOPClassUID", "TransferSyntaxUID"], name="node_stored_as"),
        ),
        migrations.AddIndex(
            model_name="instance",
            index=models.Index(
                condition=models.Q(("speaks_for_patient", True)), fields=["PatientNameFolded"], name="node_patient_name"
            ),
        ),
        migrations.AddIndex(
            model_name="instance",
            index=models.Index(
                condition=models.Q(("speaks_for_study", True)), fields=["StudyDate"], name="node_study_date"
            ),
        ),
        migrations.AddIndex(
            model_name="instance",
            index=models.Index(
                condition=models.Q(("speaks_for_study", True)), fields=["AccessionNumber"], name="node_study_number"
            ),
        ),
        migrations.AddIndex(
            model_name="instance",
            index=models.Index(
                condition=models.Q(("speaks_for_study", True)), fields=["PatientNameFolded"], name="node_study_name"
            ),
        ),
        migrations.AddIndex(
            model_name="instance",
            index=models.Index(
                condition=models.Q(("speaks_for_series", True)), fields=["Modality"], name="node_series_modality"
            ),
        ),
        migrations.AddIndex(
            model_name="instance",
            index=models.Index(
                condition=models.Q(("speaks_for_series", True)), fields=["StudyDate"], name="node_series_date"
            ),
        ),
        migrations.AddIndex(
            model_name="extravalue",
            index=models.Index(fields=["tag", "value"], name="node_extra_value"),
        ),
    ]
