"""Looking after a node's database: made, emptied, dropped, checked, and searched."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .. import matching
from ..errors import ConfigError
from . import index
from .options import NodeOptions
from .upkeep import alone, count_files


@dataclass(frozen=True)
class Checked:
    """What a look at the database found."""

    sound: bool
    says: tuple[str, ...]
    patients: int
    studies: int
    series: int
    instances: int
    files: int


def create(options: NodeOptions) -> None:
    """Make the tables, or bring them up to date; what they hold stays."""
    options.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with alone(options):
        index.start(options)
        index.close_this_thread()


def drop(options: NodeOptions) -> None:
    """Take the tables of the node away; its files stay, and ``upkeep.make_index`` describes them again."""
    with alone(options):
        index.configure(options)
        try:
            with index.usable():
                _drop_tables()
        finally:
            index.close_this_thread()


def clean(options: NodeOptions) -> None:
    """Empty the index: the tables are dropped and made again; accounts, tokens and annotations' entries go too."""
    drop(options)
    create(options)


def _drop_tables() -> None:
    from django.db import connection, transaction

    quoted = [connection.ops.quote_name(name) for name in index.tables()]
    # All or none: Django's tables that are left without the node's are taken for another application's.
    with connection.constraint_checks_disabled(), transaction.atomic(), connection.cursor() as cursor:
        for name in quoted:
            cursor.execute(f"DROP TABLE {name}" + (" CASCADE" if connection.vendor == "postgresql" else ""))


def check(options: NodeOptions) -> Checked:
    """Whether the database is whole, its tables are up to date, and it describes as many objects as there are files."""
    index.configure(options)
    from django.core.management import call_command
    from django.db import Error as DatabaseError
    from django.db import connection

    from .models import Instance, Patient, Series, Study

    says = []
    try:
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA integrity_check")
                says += [f"SQLite says: {row[0]}." for row in cursor.fetchall() if row[0] != "ok"]
        try:
            call_command("migrate", check_unapplied=True, verbosity=0, plan=True, no_color=True, stdout=io.StringIO())
        except SystemExit:
            says.append("its tables are not up to date. Run database create.")
            return Checked(False, tuple(says), 0, 0, 0, 0, count_files(options))
        counts = [model.objects.count() for model in (Patient, Study, Series, Instance)]
    except DatabaseError as error:
        raise ConfigError(
            f"the node's database cannot be used ({type(error).__name__}). "
            "Check that it runs and the [database] table, or make it anew with database clean and data index."
        ) from error
    finally:
        index.close_this_thread()
    files = count_files(options)
    if counts[3] != files:
        says.append(f"it describes {counts[3]} objects, and there are {files} files. Run data verify to see which.")
    return Checked(not says, tuple(says), counts[0], counts[1], counts[2], counts[3], files)


def find(options: NodeOptions, level: str, keys: Mapping[str, matching.Value]) -> Iterator[Any]:
    """Answer a query from the index, without the network."""
    with index.opened(options):
        from .objects import ObjectStore
        from .query import BadIdentifier, Query
        from .search import Searcher

        store = ObjectStore(options)
        try:
            query = Query(matching.query(level, keys), "patient", True)
            yield from Searcher(options.ae_title, store.path, store.extra).answers(query)
        except BadIdentifier as error:
            raise ConfigError(f"this query cannot be answered: {error}. Correct it.") from error
