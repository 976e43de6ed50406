"""A site that is migrated once, and a copy of it for each test."""

from __future__ import annotations

from pathlib import Path

import pytest
from app_site import Site


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site whose tables are there, with nothing in them."""
    site = Site(tmp_path_factory.mktemp("qatrack") / "site")
    done = site.manage("migrate", "--verbosity", "0")
    assert done.returncode == 0, done.stderr
    return site


@pytest.fixture
def site(migrated: Site, tmp_path: Path) -> Site:
    """A migrated site of this test alone."""
    return migrated.copy(tmp_path / "site")
