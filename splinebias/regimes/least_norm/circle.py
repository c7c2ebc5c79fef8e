r"""Least norm with penalized biases, :math:`\kappa = \sqrt{1 + c^2}`: which way to solve for it."""

from __future__ import annotations

import numpy as np

from splinebias._array import Array
from splinebias.activation import ReLU
from splinebias.errors import CapabilityError
from splinebias.functions.piecewise import PiecewiseLinear
from splinebias.regimes.least_norm.atoms import Atoms
from splinebias.regimes.least_norm.bends import Bends, Masses
from splinebias.regimes.least_norm.certificate import largest_on_circle
from splinebias.regimes.least_norm.exchange import Exchanged, exchange
from splinebias.regimes.least_norm.sectors import Sectors
from splinebias.regimes.least_norm.shortest_path import shortest_path
from splinebias.regimes.least_norm.total_curvature import Found

MOST_POINTS = 500  # that the exchange of directions takes for interpolants and without skip connection
_FAR = 1e12  # units that break beyond are constants near the data


def least(x: Array, y: Array, m: Array, s: float, *, free: bool, constant: bool) -> Found:
    """The minimizer: through the points if s = 0; `free`: with a skip connection; `constant`: with a free output bias."""
    if not s and (free or constant):
        found = _interpolant(Bends.of(x, y))
        ends = float(found.function(x[0] - 1, 1) + found.function(x[-1] + 1, 1))
        if (
            free or abs(ends) <= np.abs(found.masses.jumps).sum()
        ):  # units of both orientations share the bends: no line is needed
            return found
    if x.size > MOST_POINTS and not (s and free):
        raise CapabilityError(
            f"the exchange of directions takes at most {MOST_POINTS} points, got {x.size}; affine='free' takes any number, "
            "penalize_bias=False too; or thin the data out"
        )
    return _exchanged(Sectors.of(x, y, m, free=free, constant=constant), s)


def _exchanged(sectors: Sectors, s: float) -> Found:
    """The minimizer by exchange of directions."""
    found = exchange(sectors, s)
    function, masses = _spline(found.atoms, sectors)
    return Found(function, masses, found.atoms.norm, found.residual, _only(found, sectors), steps=found.rounds)


def _spline(atoms: Atoms, sectors: Sectors) -> tuple[PiecewiseLinear, Masses]:
    """The function that units make, with one knot for all that break at one place up to rounding."""
    w, b, c = sectors.breakpoints(atoms.psi)
    x, line = sectors.x, atoms.linear
    at = np.searchsorted(x, c).clip(1, x.size - 1)
    nearest = np.where(np.abs(c - x[at - 1]) <= np.abs(c - x[at]), at - 1, at)
    c = np.where(atoms.sectors < 0, x[nearest], c)
    slope, offset = float((atoms.a * w)[w < 0].sum()), float((atoms.a * b)[w < 0].sum())
    far = ~(np.abs(c) < _FAR)  # constants, also inf and nan
    offset += float((atoms.a * b)[far & (w >= 0)].sum())
    if line.size == 2:
        reach = float(np.abs(x - sectors.middle).max())
        slope, offset = slope + float(line[1]) / reach, offset + float(line[0] - line[1] * sectors.middle / reach)
    elif line.size:
        offset += float(line[0])
    order = np.argsort(c[~far], kind="stable")
    sorted_c, jumps = c[~far][order], (atoms.a * np.abs(w))[~far][order]
    apart = np.diff(sorted_c) > 1e-12 * (np.abs(sorted_c[1:]) + x[-1] - x[0])
    starts = np.flatnonzero(np.r_[True, apart]) if sorted_c.size else np.zeros(0, dtype=np.intp)
    masses = Masses(sorted_c[starts], np.add.reduceat(jumps, starts) if starts.size else jumps, np.zeros(starts.size))
    ones = np.ones(starts.size)
    function = PiecewiseLinear.from_units(ones, -masses.knots, masses.jumps, offset, ReLU(), skip=(slope, 0.0))
    return function, masses


def _only(found: Exchanged, sectors: Sectors) -> bool:
    """Whether the places where G touches its bound determine the function: then there is no other minimizer."""
    peaks = sectors.peaks(found.multipliers)
    touching = peaks.angles[np.abs(np.abs(peaks.values) - 1) <= 1e-7]
    columns = np.hstack([sectors.features(touching), sectors.linear])
    size = np.sqrt((columns**2).sum(axis=0))
    return bool(np.linalg.matrix_rank(columns / np.where(size > 0, size, 1.0), tol=1e-9) == columns.shape[1])


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
