"""The corpus and what the anonymiser makes of it, once for all gates."""

from __future__ import annotations

import phi_course
import phi_gates
import pytest
from phi_course import Planted
from phi_gates import Release


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[Planted]:
    """The synthetic course as files."""
    return phi_course.write(tmp_path_factory.mktemp("phi") / "in")


@pytest.fixture(scope="session", params=["basic", "research-rt"])
def release(request: pytest.FixtureRequest, corpus: list[Planted], tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The course anonymised as a user does it: one folder into another."""
    from qa_fetch.anonymise.anonymiser import Anonymiser
    from qa_fetch.anonymise.keyed import Key
    from qa_fetch.anonymise.profile import Profile

    work = tmp_path_factory.mktemp("release")
    source = corpus[0].path.parents[3]
    key = phi_gates.key_file(work / "trial.key")
    report = Anonymiser(key, request.param).folder(source, to=work / "out")
    profile = Profile.load(request.param)
    made = Release(request.param, profile.options, source, work / "out", Key.load(key), report)
    phi_gates.paired(made, corpus)
    assert made.pairs, f"nothing came out: {report}"  # else every gate would stand open
    return made
