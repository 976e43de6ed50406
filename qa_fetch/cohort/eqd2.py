"""EQD2: the dose that, given in fractions of 2 Gy, has the same effect by the linear-quadratic model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ConfigError
from .dvh import Dvh

_MOST_FRACTIONS = 1000
_REFERENCE = 2.0  # Gy


def equivalent(dose: ArrayLike, fractions: int, alpha_beta: float) -> NDArray[np.float64]:
    """EQD2 of doses: D (D / n + alpha/beta) / (2 + alpha/beta).

    Parameters
    ----------
    dose
        Gy over all fractions; NaN stays what it is.
    fractions
        How many equal ones it is given in.
    alpha_beta
        Gy, of the tissue.
    """
    _check(fractions, alpha_beta)
    total = np.asarray(dose, dtype=np.float64)
    found: NDArray[np.float64] = total * (total / fractions + alpha_beta) / (_REFERENCE + alpha_beta)
    return found


def added(plans: Sequence[tuple[ArrayLike, int]], alpha_beta: float) -> NDArray[np.float64]:
    """EQD2 of several plans together, each a dose on one and the same grid with its number of fractions."""
    if not plans:
        raise ConfigError("there is no plan to add up. Name at least one dose with its fractions.")
    parts = [equivalent(dose, fractions, alpha_beta) for dose, fractions in plans]
    shapes = {part.shape for part in parts}
    if len(shapes) > 1:
        sizes = " and ".join(" x ".join(map(str, shape)) for shape in sorted(shapes))
        raise ConfigError(f"the doses of the plans lie on different grids ({sizes}). Resample them onto one first.")
    return np.asarray(sum(parts[1:], parts[0]))


def of_dvh(dvh: Dvh, fractions: int, alpha_beta: float) -> Dvh:
    """A DVH in EQD2: the doses of its points are turned, their order and volumes stay."""
    return replace(dvh, doses=equivalent(dvh.doses, fractions, alpha_beta))


def _check(fractions: Any, alpha_beta: Any) -> None:
    whole = not isinstance(fractions, bool) and isinstance(fractions, (int, np.integer))
    if not whole or not 0 < fractions <= _MOST_FRACTIONS:
        raise ConfigError(f"{fractions!r} is no number of fractions. Write a whole number from 1 to {_MOST_FRACTIONS}.")
    number = not isinstance(alpha_beta, bool) and isinstance(alpha_beta, (int, float, np.integer, np.floating))
    if not number or not (math.isfinite(alpha_beta) and alpha_beta > 0):
        raise ConfigError(f"alpha/beta is {alpha_beta!r}. Write a number of Gy above 0, such as 3 or 10.")
