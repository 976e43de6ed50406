"""The forms of the admin pages: the same checks and sentences as for qa_fetch.toml, beside the field they are about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

from django import forms

from ..config import KINDS, LOCAL, SHELF, Config, ConfigError
from ..config.layer import Layer
from ..config.options import FILE, TOP, Option
from .models import Archive, ThisServer, Unit

_KINDS = {
    "dimse": "DICOM (ARIA's DB Service, a PACS)",
    "dicomweb": "DICOMweb",
    "orthanc": "Orthanc's REST API",
    "folder": "a folder of DICOM files",
    "pinnacle": "a folder of Pinnacle archives",
}
_CHOICES = {
    "retrieve": ("auto", "get", "move"),
    "root": ("study", "patient"),
    "relational": ("auto", "true", "false"),
    "transport": ("own", "pynetdicom"),
}
_LABELS = {
    "ae_title": "AE title",
    "url": "URL",
    "password_env": "Password's environment variable",
    "token_env": "Token's environment variable",
    "ca_file": "Certificate authority's file",
    "local_ae_title": "Our own AE title to it",
    "local_port": "Our own port for it",
    "also": "Further ways",
    "tls": "TLS",
    "settle_minutes": "Minutes until a session counts as complete",
}
_HELP = {
    "name": "What test lists call it.",
    "user": "A user name, where the archive asks for one.",
    "password_env": "The name of an environment variable of the web server; the password itself is never kept here.",
    "token_env": "The name of an environment variable of the web server; for an archive that wants a bearer token.",
    "retrieve": "How images come: by C-GET over the same connection, or by C-MOVE to our own port.",
    "root": "The query model: study root or patient root.",
    "relational": "Whether it answers one question across all series of a patient.",
    "transport": "Our own DICOM transport, or that of pynetdicom.",
    "also": "Names of archives that hold the same, with commas between them; asked when this one does not answer.",
    "tls": "The connection is encrypted.",
    "one_plan_per_series": "Every series of images belongs to one plan: fewer questions.",
    "budget": "Seconds that one fetch may take in all; empty: 25.",
}
_A_VARIABLE = re.compile("[A-Z_][A-Z0-9_]*")


def _options() -> dict[str, Option]:
    """The settings of all kinds of archive, by name."""
    return {key: option for options in KINDS.values() for key, option in options.items()}


class Checked(forms.ModelForm):  # type: ignore[misc]  # Django ships no type hints
    """A form whose entries are checked as the configuration file's are."""

    options: Mapping[str, Option] = {}
    help_texts: Mapping[str, str] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for key, field in self.fields.items():
            field.label = _LABELS.get(key, field.label)
            if key in self.options:
                field.help_text = _help(self.options[key])
            field.help_text = self.help_texts.get(key, field.help_text)
            if key in _CHOICES:
                words = [("", f"as built in ({self.options[key].default or 'as for this server'})")]
                field.widget = forms.Select(choices=[*words, *((word, word) for word in _CHOICES[key])])

    def clean(self) -> dict[str, Any]:
        """Look for what would be refused later, on the page of a physicist."""
        given: dict[str, Any] = super().clean() or self.cleaned_data
        for key, value in list(given.items()):  # add_error takes away from it
            if key.endswith("_env") and value and not _A_VARIABLE.fullmatch(value):
                self.add_error(
                    key, "This is not the name of an environment variable in capitals, such as ARIA_PASSWORD. Give one."
                )
            if (key == "path" or key.endswith("_file")) and value and not _is_whole(value):
                self.add_error(key, "This path does not begin at the root or a drive. Give the whole path.")
        return given

    def check(self, values: Mapping[str, Any], ask: Callable[[Config], Any], *places: str) -> None:
        """Put the sentence with which the configuration refuses these values beside its field.

        Parameters
        ----------
        values
            The tables as the configuration file would have them.
        ask
            Asks the configuration for what this form sets.
        *places
            The tables that this form fills.
        """
        try:
            ask(Config([Layer("", values)]))
        except ConfigError as error:
            sentence = _in_a_form(error.message)
            for place in places:
                sentence = sentence.removeprefix(f"{place}.")
            key = sentence.partition(" ")[0]
            self.add_error(key if key in self.fields else None, sentence)


class ArchiveForm(Checked):
    """An archive; only what its kind has is looked at."""

    options = _options()
    help_texts = _HELP
    kind = forms.ChoiceField(choices=[(kind, _KINDS.get(kind, kind)) for kind in KINDS])

    class Meta:
        model = Archive
        fields = "__all__"
        labels = {"path": "Folder"}

    def clean(self) -> dict[str, Any]:
        """Check the archive as it would be among the others; what its kind does not have is dropped."""
        for key in self.options.keys() - KINDS.get(self.cleaned_data.get("kind", ""), self.options).keys():
            self.cleaned_data[key] = Archive._meta.get_field(key).get_default()
        given = super().clean()
        if not self.errors:
            mine = Archive(**given)
            others = {other.name: other.as_table() for other in Archive.objects.exclude(pk=self.instance.pk)}
            tables = {"archives": {**others, mine.name: mine.as_table()}}
            self.check(tables, lambda config: config.archive(mine.name), f"archives.{mine.name}")
            self._check_further_ways(given["also"], {*others, mine.name})
        return given

    def _check_further_ways(self, also: str, stored: set[str]) -> None:
        """A further way that nobody knows would stop the archive itself."""
        try:
            known = {*stored, *Config.load().archive_names()}
        except ConfigError:
            return  # the file is broken, which the list of archives says
        for name in filter(None, map(str.strip, also.split(","))):
            if Layer("", {"archives": dict.fromkeys(known)}).archive(name) is None:
                self.add_error("also", f"No archive is called {name}. Configured are: {', '.join(sorted(known))}.")


class UnitForm(Checked):
    """A unit."""

    help_texts = {
        "number": "QATrack+'s number of the unit.",
        "archive": "Empty: the default archive.",
        "patient": "The PatientID of this unit's QA patient; test packs suggest it.",
    }

    class Meta:
        model = Unit
        fields = ("number", "archive", "patient")

    def clean(self) -> dict[str, Any]:
        """Check the unit as the file's ``[units.N]``."""
        given = super().clean()
        if not self.errors:
            mine = Unit(**given)
            archives = {archive.name: archive.as_table() for archive in Archive.objects.all()}
            tables = {"archives": archives, "units": {str(mine.number): mine.as_table()}}
            self.check(tables, lambda config: config.unit(mine.number), f"units.{mine.number}")
        return given


class ThisServerForm(Checked):
    """Who we are."""

    options = {**LOCAL, **SHELF, "budget": TOP["budget"]}
    help_texts = {
        "default": "Used where nothing names an archive; empty: the only one there is.",
        "ae_title": "The AE title by which archives know this server; empty: QA_FETCH.",
        "port": "The port to which archives send by C-MOVE; empty: 11113.",
        "host": "The address of this machine to listen on; empty: all.",
        "transport": _HELP["transport"],
        "path": "A folder on this server's own disk that the web server may write to; empty: its cache folder.",
    }

    class Meta:
        model = ThisServer
        fields = "__all__"
        labels = {"default": "Default archive", "path": "Folder of the shelf", "host": "Listen on"}

    def clean(self) -> dict[str, Any]:
        """Check ``[local]``, ``[shelf]`` and the top."""
        given = super().clean()
        if not self.errors:
            tables = ThisServer(**given).as_tables()
            tables.pop("default", None)  # a choice among the archives, and so one of them
            self.check(tables, lambda config: _ask_for_all(config, tables), "local", "shelf")
        return given


def _ask_for_all(config: Config, tables: Mapping[str, Any]) -> None:
    config.top("budget")
    for key in tables.get("local", ()):
        config.local(key)
    for key in tables.get("shelf", ()):
        config.shelf(key)


def _help(option: Option) -> str:
    """What a setting must be, and what it is when nobody says."""
    text = "the whole path of a file on this server" if option.expected == FILE else _in_a_form(option.expected)
    default = option.default
    built_in = f"; empty: {default:g}" if isinstance(default, float) else ""
    return f"{text[0].upper()}{text[1:]}{built_in}."


def _in_a_form(text: str) -> str:
    """A sentence about a setting without the name of a source, and without what only matters in a file."""
    return text.removeprefix(": ").replace(" (in TOML a Windows path goes in single quotes)", "")


def _is_whole(path: str) -> bool:
    return path.startswith("~") or Path(path).is_absolute()
