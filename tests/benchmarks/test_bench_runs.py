"""The benchmarks work: every row is measured and every result was right; how long it took is not looked at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from peers.process import Missing, program, skip_or_fail

import qa_fetch

_TESTS = Path(__file__).resolve().parents[1]
_SECTIONS = {
    "retrieve": 3 * 14,
    "packaged": 3 * 13,
    "roundtrip": 4 * 8 + 3,
    "send": 2 * 4,
    "find": 8 * 5,
    "latest": 3 * 2,
    "page": 2 + 2 + 1,
    "batch": 4 * 5,
    "bulk": 2 + 1,
    "anonymise": 2 * 5 + 2 + 1,
    "pinnacle": 2 * (2 + 2) + 2,
    "cohort": 2 * 3 + 2 * 2 + 3 * 3 + 5 * 3,
    "node store": 2 * 3,
    "node get": 2 * 3,
    "node move": 2 * 3,
    "node wado": 2 * 2,
    "node find": 5 * 2,
    "node qido": 3 * 2,
}
_MEMORY = 3


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such peers for Windows")
def test_every_row_is_printed_and_every_result_was_complete(tmp_path: Path) -> None:
    """One run of small workloads, against real peers."""
    try:
        program("Orthanc", "orthanc"), program("getscu", "dcmtk")
    except Missing as missing:
        skip_or_fail(missing)
    result = tmp_path / "bench.json"
    path = os.pathsep.join(map(str, (_TESTS, Path(qa_fetch.__file__).parents[1])))
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--json", str(result)],
        env={**os.environ, "PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    written = json.loads(result.read_text(encoding="utf-8"))
    counted: dict[str, int] = {}
    for row in written["rows"]:
        counted[row["section"]] = counted.get(row["section"], 0) + 1
        assert row["absent"] or len(row["samples"]) == 1, row
        assert row["contestant"] in ran.stdout
        assert f"\n{row['section']} {row['workload']}: " in ran.stdout
    assert counted == {**_SECTIONS, "memory": _MEMORY}
    assert all(goal["goal"] in ran.stdout for goal in written["goals"])
    assert [path.name for path in tmp_path.iterdir() if path.suffix] == ["bench.json"]
