r"""Certificates: numbers that bound how far a spline is from the least norm, whatever found it.

For any G that is linear between data, 0 at both ends and :math:`|G| \le \kappa` everywhere,
:math:`\sum_j G(x_j)\, d_j \le \int \kappa |f''|` for every interpolant f. Equality certifies a minimizer.
"""

from __future__ import annotations

import numpy as np

from splinebias._array import Array
from splinebias.regimes.least_norm.atoms import Atoms
from splinebias.regimes.least_norm.sectors import Sectors


@np.errstate(over="ignore")  # abscissae of 1e-200
def largest_on_circle(x: Array, angles: Array) -> float:
    r"""The largest :math:`|G(c)|/\sqrt{1 + c^2}`, given :math:`G(x_j) = \sqrt{1 + x_j^2} \cos(\text{angle}_j)`, in
    closed form.

    Between neighbours :math:`G = A - Bc`, a sinusoid of amplitude :math:`|(A, B)|` in :math:`\arctan c`. With angles a, b at
    the ends, D the angle between them and 2s = a + b + D,
    :math:`A^2 + B^2 = 1 - 4 \sin s \sin(s - a) \sin(s - b) \sin(s - D)/\sin^2 D`: no digits cancel where it is nearly 1.
    """
    apart = np.arctan2(np.diff(x), 1 + x[1:] * x[:-1])
    largest = float(np.abs(np.cos(angles)).max())
    for left, right in ((angles[:-1], angles[1:]), (np.pi - angles[:-1], np.pi - angles[1:])):
        half = 0.5 * (left + right + apart)
        ratio = np.sin(half) * np.sin(half - left) / np.sin(apart)  # one division each: squares of angles may underflow
        square = 1 - 4 * ratio * (np.sin(half - right) * np.sin(half - apart) / np.sin(apart))
        inside = (np.cos(right) > np.cos(left) * np.cos(apart)) & (np.cos(left) > np.cos(right) * np.cos(apart))
        if inside.any():
            largest = max(largest, float(np.sqrt(np.maximum(square[inside], 0.0)).max()))
    return largest


@np.errstate(over="ignore")
def of_units(atoms: Atoms, sectors: Sectors, s: float, multipliers: Array) -> float:
    """The largest of: excess of \\|G\\| over 1, what G pulls at the linear part, gap between the norm and what G proves."""
    rounding = 8 * float(np.finfo(float).eps) * float(np.abs(sectors.y).max())
    if s and np.abs(s * sectors.d * multipliers).max() <= rounding:
        return 0.0  # what costs nothing passes through the data
    peaks = sectors.peaks(multipliers)
    largest = float(np.abs(peaks.values).max(initial=0.0))
    scale = np.abs(sectors.linear).T @ np.abs(multipliers)
    pull = np.abs(sectors.linear.T @ multipliers) / np.where(scale > 0, scale, 1.0)
    fitted = atoms.values(sectors)
    proved = float(multipliers @ (fitted - sectors.linear @ atoms.linear)) / max(largest, 1.0)
    norm = max(atoms.norm, float(np.finfo(float).tiny))
    gap = abs(atoms.norm - proved) / norm if atoms.a.size else 0.0
    missed = sectors.y - fitted - s * sectors.d * multipliers
    size = float(np.abs(s * sectors.d * multipliers).max() if s else np.abs(sectors.y).max())
    excess = max(float(np.abs(missed).max()) - rounding, 0.0) / max(size, float(np.finfo(float).tiny))
    return float(max(largest - 1.0, pull.max(initial=0.0), gap, excess))
