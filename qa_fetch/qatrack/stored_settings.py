"""``settings.QA_FETCH`` as the admin pages set it, beneath what somebody wrote there by hand.

``qa_fetch.config`` reads ``settings.QA_FETCH`` without importing Django. Here it becomes a mapping that reads the
database each time, so that every process of the site sees a change at once, and that touches it only when it is used.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connections, router, transaction

from ..config import ConfigError
from ..config.layer import Layer, same


def put_in_place() -> None:
    """Let ``settings.QA_FETCH`` also say what the admin pages do."""
    written = getattr(settings, "QA_FETCH", None)
    if written is None or (isinstance(written, Mapping) and not isinstance(written, StoredSettings)):
        settings.QA_FETCH = StoredSettings(written or {})


class StoredSettings(Mapping[str, Any]):
    """What local_settings.py says and beneath it what the database says, as it is now."""

    def __init__(self, written: Mapping[str, Any]) -> None:
        self.written = written
        self._read_ahead = threading.local()

    def __getitem__(self, key: str) -> Any:
        ahead: dict[str, Any] = self._read_ahead.__dict__
        return ahead.pop(key) if key in ahead else self._now()[key]

    def __iter__(self) -> Iterator[str]:
        """Whoever makes a dictionary of it asks for the keys first: all values are read then, and given once each."""
        ahead = self._read_ahead.__dict__
        ahead.clear()
        ahead.update(self._now())
        return iter(list(ahead))

    def __len__(self) -> int:
        return len(self._now())

    def __repr__(self) -> str:
        return "<QA_FETCH of local_settings.py and of the admin pages>"

    def _now(self) -> dict[str, Any]:
        return merged(self.written, stored())

    def written_here(self, name: str) -> bool:
        """Whether local_settings.py itself defines this archive."""
        return Layer("", self.written).archive(name) is not None


def merged(written: Mapping[str, Any], beneath: Mapping[str, Any]) -> dict[str, Any]:
    """Two sources as one: an archive or unit of ``written`` wins whole, of the other tables each single setting."""
    found = dict(beneath)
    for key, value in written.items():
        other = beneath.get(key)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            own = {same(str(name)) for name in value}
            value = {**{name: table for name, table in other.items() if same(str(name)) not in own}, **value}
        found[key] = value
    return found


def stored() -> dict[str, Any]:
    """What the admin pages say; nothing before the tables are there."""
    from .models import Archive, ThisServer, Unit

    using = router.db_for_read(Archive)
    try:
        with transaction.atomic(using=using):  # a query that fails must not spoil the transaction of a page
            archives = {archive.name: archive.as_table() for archive in Archive.objects.using(using)}
            units = {str(unit.number): unit.as_table() for unit in Unit.objects.using(using).select_related("archive")}
            server = ThisServer.objects.using(using).select_related("default").first()
    except DatabaseError as error:
        if not _is_migrated(using):
            return {}
        raise ConfigError(
            f"the archives of the admin pages cannot be read ({type(error).__name__}). "
            "Check QATrack+'s database; after an update of qa_fetch run: python manage.py migrate qa_fetch_qatrack"
        ) from error
    tables = {"archives": archives, "units": units}
    return {**{name: table for name, table in tables.items() if table}, **(server.as_tables() if server else {})}


def _is_migrated(using: str) -> bool:
    """Whether the tables are there; a database that does not answer counts as one where they are."""
    from .models import Archive

    try:
        with transaction.atomic(using=using):
            return Archive._meta.db_table in connections[using].introspection.table_names()
    except DatabaseError:
        return True
