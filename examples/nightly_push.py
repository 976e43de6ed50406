"""Nightly push: the newest Winston-Lutz session, analysed, recorded in QATrack+ by its REST API.

    QATRACK_TOKEN=... python examples/nightly_push.py aria QA_TB1 --plan WL_6X \\
        --url https://qatrack.example.org --collection 327

Run it as often as you like: QATrack+ takes each session once, by its user_key. The token (of a user who may
"add test list instances") comes from the environment variable QATRACK_TOKEN, or from a file named by --token-file.
VALUES says which result goes into which test of the test list; make the slugs yours.
Needs: pip install 'qa_fetch[analysis]'
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from pylinac import WinstonLutz

from qa_fetch import Archive, Images, QAFetchError

VALUES = {
    "wl_max_distance": lambda wl: wl.cax2bb_distance("max"),
    "wl_shift_right": lambda wl: wl.bb_shift_vector.x,
    "wl_shift_in": lambda wl: wl.bb_shift_vector.y,
    "wl_shift_up": lambda wl: wl.bb_shift_vector.z,
}
IMAGES_SLUG = "wl_images"  # a string test: which images the values belong to


class NotRecorded(Exception):
    """QATrack+ did not take the session; the text says why."""


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="Record the newest Winston-Lutz session in QATrack+.")
    parser.add_argument("archive")
    parser.add_argument("patient", help="PatientID of the QA patient")
    parser.add_argument("--plan", default="WL_6X", help="RTPlanLabel (default: WL_6X)")
    parser.add_argument("--images", type=int, default=4, help="fewer images are no complete test (default: 4)")
    parser.add_argument("--url", required=True, help="where QATrack+ is, such as https://qatrack.example.org")
    parser.add_argument("--collection", required=True, type=int, help="number of the unit's test list assignment")
    parser.add_argument("--token-file", type=Path, help="a file with the API token (default: $QATRACK_TOKEN)")
    given = parser.parse_args(argv)

    try:
        token = _token(given.token_file)
        images = Archive(given.archive).latest(
            given.patient, plan=given.plan, kind="portal", approved=True, at_least=given.images
        )
        analysis = WinstonLutz(str(images.folder))
        analysis.analyze(bb_size_mm=5)
        answer = _post(given.url, token, _instance(given.url, given.collection, images, _values(analysis)))
    except (QAFetchError, NotRecorded) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"session of {images.acquired:%Y-%m-%d %H:%M}: {answer}")
    return 0


def _token(file: Optional[Path]) -> str:
    try:
        token = file.read_text(encoding="utf-8") if file is not None else os.environ.get("QATRACK_TOKEN", "")
    except OSError as error:
        raise NotRecorded(f"the token cannot be read from {file} ({error.strerror}).") from None
    if not token.strip():
        raise NotRecorded("there is no API token. Set QATRACK_TOKEN, or name a file with --token-file.")
    return token.strip()


def _values(analysis: WinstonLutz) -> dict[str, float]:
    values = {slug: float(value(analysis)) for slug, value in VALUES.items()}
    for slug, value in values.items():
        if not math.isfinite(value):  # JSON has no NaN, and a record must not have one either
            raise NotRecorded(f"{slug} is {value}. Look at the images before anything is recorded.")
    return values


def _instance(url: str, collection: int, images: Images, values: dict[str, float]) -> dict[str, Any]:
    """What QATrack+ wants to know; the same images always give the same user_key."""
    digest = hashlib.sha256("\n".join(sorted(images.uids)).encode()).hexdigest()[:32]
    tests: dict[str, Any] = {slug: {"value": round(value, 4)} for slug, value in values.items()}
    tests[IMAGES_SLUG] = {"value": " ".join(images.series)}
    return {
        "unit_test_collection": f"{url.rstrip('/')}/api/qa/unittestcollections/{collection}/",
        "work_started": f"{images.acquired:%Y-%m-%d %H:%M}",
        "work_completed": f"{images.finished:%Y-%m-%d %H:%M}",
        "user_key": f"qa_fetch-{collection}-{digest}",
        "tests": tests,
    }


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to another place."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _post(url: str, token: str, instance: dict[str, Any]) -> str:
    place = urllib.parse.urlsplit(url)
    here = place.scheme == "http" and place.hostname in ("localhost", "127.0.0.1", "::1")
    if place.scheme != "https" and not here:
        raise NotRecorded(f"{url} is not https, and the token must not travel in the clear.")
    request = urllib.request.Request(
        f"{url.rstrip('/')}/api/qa/testlistinstances/",
        data=json.dumps(instance).encode(),
        headers={"Authorization": f"Token {token}", "Content-Type": "application/json", "Accept": "application/json"},
    )
    opener = urllib.request.build_opener(_NoRedirects)  # it checks certificates
    try:
        with opener.open(request, timeout=60) as response:
            status, said = response.status, response.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        with error:
            status, said = error.code, error.read().decode("utf-8", "replace")
    except OSError as error:
        raise NotRecorded(f"QATrack+ cannot be reached: {getattr(error, 'reason', error)}") from None
    if status == 201:
        return "recorded"
    if status == 400 and _is_repeat(said):
        return "was recorded before"
    raise NotRecorded(f"QATrack+ answered {status}: {said[:500]}")


def _is_repeat(said: str) -> bool:
    try:
        problems = json.loads(said)
    except ValueError:
        return False
    return isinstance(problems, dict) and "already exists" in str(problems.get("user_key"))


if __name__ == "__main__":
    sys.exit(main())
