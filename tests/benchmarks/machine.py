"""What the figures were measured with: versions and the machine, without names or paths."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from typing import Any

from peers.process import program

import qa_fetch

from . import dcmtk


def facts() -> dict[str, Any]:
    """Versions of everything, cores and kernel."""
    said = subprocess.run([program("Orthanc", "orthanc"), "--version"], capture_output=True, text=True).stdout
    return {
        "qa_fetch": qa_fetch.__version__,
        "Python": platform.python_version(),
        **{name: metadata.version(name) for name in ("pydicom", "pynetdicom")},
        "DCMTK": dcmtk.version(),
        "Orthanc": said.splitlines()[0].rpartition(" ")[2],
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "processor": platform.machine(),
    }
