"""What the steps need beside qa_fetch itself, looked for before any work is done."""

from __future__ import annotations

from importlib.util import find_spec

from ..errors import ConfigError

_VOLUMES = ("numpy", "nibabel")
NEEDED = {
    "build": _VOLUMES,
    "quarantine": _VOLUMES,
    "patient": _VOLUMES,
    "export": _VOLUMES,
    "dvh": _VOLUMES,
    "slices": (*_VOLUMES, "matplotlib"),
}


def check(step: str) -> None:
    """See that everything is installed that a step needs.

    Raises
    ------
    ConfigError
        Something is not.
    """
    lacking = [name for name in NEEDED.get(step, ()) if find_spec(name) is None]
    if lacking:
        are = "are" if len(lacking) > 1 else "is"
        raise ConfigError(
            f"the step {step} of a cohort needs {' and '.join(lacking)}, which {are} not installed. "
            'Run: pip install "qa_fetch[cohort]"'
        )
