"""Test packs in a few lines, for the tests of the stand-in itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Optional

from qatrack_engine import Engine
from qatrack_pack import load

Entry = dict[str, Any]


def one(slug: str, kind: str = "simple", procedure: Optional[str] = None, **fields: Any) -> Entry:
    """Return the fields of one test."""
    return {
        "name": f"The test {slug}",
        "slug": slug,
        "type": kind,
        "category": ["QA"],
        "calculation_procedure": procedure,
        **fields,
    }


def composite(slug: str, procedure: str, **fields: Any) -> Entry:
    """Return the fields of a numerical composite test."""
    return one(slug, "composite", procedure, **fields)


def text_composite(slug: str, procedure: str, **fields: Any) -> Entry:
    """Return the fields of a string composite test."""
    return one(slug, "scomposite", procedure, **fields)


def pack(*tests: Entry, change: Optional[Callable[[Entry], Any]] = None) -> str:
    """Return a pack of one list; ``change`` may spoil it before it is written."""
    entry: Entry = {
        "key": ["daily"],
        "object": {"model": "qa.testlist", "fields": {"name": "Daily", "slug": "daily", "warning_message": ""}},
        "dependencies": [
            {"model": "qa.category", "fields": {"name": "QA", "slug": "qa", "description": ""}},
            *({"model": "qa.test", "fields": fields} for fields in tests),
            *(
                {
                    "model": "qa.testlistmembership",
                    "fields": {"test_list": ["daily"], "test": [fields["name"]], "order": order},
                }
                for order, fields in enumerate(tests)
            ),
        ],
    }
    if change:
        change(entry)
    objects = {"tests": [], "testlists": [json.dumps(entry)], "testlistcycles": []}
    return json.dumps({"meta": {"version": "3.1.1.4"}, "objects": objects})


def engine(folder: Path, *tests: Entry, **options: Any) -> Engine:
    """Return an engine for a list of these tests."""
    return Engine(load(pack(*tests))["daily"], folder / "attachments", **options)


def answers(folder: Path, *tests: Entry, **values: Any) -> dict[str, Any]:
    """Post these values once and return the result of every composite."""
    it = engine(folder, *tests)
    posted = {fields["slug"]: values.get(fields["slug"]) for fields in tests}
    results: dict[str, Any] = it.compute(posted, {"work_started": "20 Nov 2026 07:30", "work_completed": ""})["results"]
    return results
