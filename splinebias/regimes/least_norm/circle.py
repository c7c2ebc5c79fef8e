r"""Least norm with penalized biases, :math:`\kappa = \sqrt{1 + c^2}`: which way to solve for it."""

from __future__ import annotations

import numpy as np

from splinebias._array import Array
from splinebias.regimes.least_norm.bends import Bends
from splinebias.regimes.least_norm.certificate import largest_on_circle
from splinebias.regimes.least_norm.shortest_path import shortest_path
from splinebias.regimes.least_norm.total_curvature import Found


def least(x: Array, y: Array, m: Array, s: float, *, free: bool, constant: bool) -> Found:
    """The minimizer: through the points if s = 0; `free`: with a skip connection; `constant`: with a free output bias."""
    return _interpolant(Bends.of(x, y))


def _interpolant(bends: Bends) -> Found:
    """The one minimizer with free affine part through the points of `bends`."""
    touch = shortest_path(bends)
    masses = touch.masses
    norm = float(np.hypot(1.0, masses.knots) @ np.abs(masses.jumps))
    largest = largest_on_circle(bends.x, touch.angles)
    proved = float(np.hypot(1.0, bends.x) * np.cos(touch.angles) @ bends.changes) / max(largest, 1.0)
    residual = max(largest - 1, abs(norm - proved) / norm) if norm else 0.0
    ends = bends.slopes[0] - touch.first, bends.slopes[-1] + touch.last
    function = masses.function(bends, float(ends[0]), float(ends[1]))
    return Found(function, masses, norm, residual, unique=True)
