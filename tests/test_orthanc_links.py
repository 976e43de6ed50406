"""One Orthanc, four ways in: each brings the same bytes, and many objects at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from peers.course import PATIENT, Course, ct_slice, new_series, write_all
from peers.orthanc import Orthanc
from peers.process import Missing, skip_or_fail

from qa_fetch import Archive


def test_rest_and_dicomweb_bring_the_same_objects(course: Course, tmp_path: Path) -> None:
    """Sixty slices sent by STOW-RS come back by WADO-RS and by REST as they were, and from one shelf each."""
    where = new_series(PATIENT, "sixty", study="CBCT")
    slices = [ct_slice(where, course.newest.acquired, number, rows=8) for number in range(1, 61)]
    try:
        running = Orthanc(dicomweb=True)
    except Missing as missing:
        skip_or_fail(missing)
    with running:
        Archive(running.web_address).send(write_all(slices, tmp_path / "sent"))
        for address in (running.web_address, running.rest_address):
            images = Archive(address).fetch(series=where.uid)
            assert list(images.uids) == [str(one.SOPInstanceUID) for one in slices]
            assert [image.PixelData for image in images] == [one.PixelData for one in slices]
            assert not images.from_shelf
            assert Archive(address).fetch(series=where.uid).from_shelf


def test_a_missing_plugin_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """CI fails with this line, a developer's run skips with it."""
    monkeypatch.setattr("peers.orthanc._PLUGINS", ())
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(Missing) as caught:
        Orthanc(dicomweb=True)
    assert str(caught.value) == (
        "Orthanc's DICOMweb plugin is not installed. Install it with: apt-get install orthanc-dicomweb"
    )
