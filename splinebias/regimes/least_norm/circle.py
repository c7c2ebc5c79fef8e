r"""Least norm with penalized biases, :math:`\kappa = \sqrt{1 + c^2}`: which way to solve for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from splinebias._array import Array
from splinebias.activation import ReLU
from splinebias.errors import CapabilityError
from splinebias.functions.piecewise import PiecewiseLinear
from splinebias.regimes.least_norm.atoms import Atoms
from splinebias.regimes.least_norm.bends import Bends, Masses
from splinebias.regimes.least_norm.certificate import largest_on_circle
from splinebias.regimes.least_norm.exchange import Exchanged, exchange
from splinebias.regimes.least_norm.kinked_fit import Fit
from splinebias.regimes.least_norm.sectors import Sectors
from splinebias.regimes.least_norm.shortest_path import shortest_path
from splinebias.regimes.least_norm.total_curvature import Found, residual

MOST_THROUGH, MOST_BESIDE = 200, 10_000  # points that the exchange takes for interpolants, and regularized without skip
_SMALL = 1e-8  # of |x|
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
    if s and free and np.abs(x).max() < _SMALL:  # kappa is 1 to all digits
        fit = Fit(x, y, m)
        fitted, steps = fit.solve(s)
        found = _interpolant(fit.bends(fitted))
        return replace(found, residual=max(found.residual, residual(fitted, s)), steps=steps)
    most = MOST_BESIDE if s else MOST_THROUGH
    if x.size > most and not (s and free):
        ways = "affine='free' takes any number, penalize_bias=False too"
        if not s:
            ways += f"; a small strength, up to {MOST_BESIDE}"
        raise CapabilityError(
            f"the exchange of directions takes at most {most} points here, got {x.size}; {ways}; or thin the data out"
        )
    return _exchanged(Sectors.of(x, y, m, free=free, constant=constant), s)


def _exchanged(sectors: Sectors, s: float) -> Found:
    """The minimizer by exchange of directions, for data of height 1."""
    height = float(np.abs(sectors.y).max()) or 1.0
    found = exchange(replace(sectors, y=sectors.y / height), s / height)
    unit = found.atoms
    atoms = replace(unit, a=height * unit.a, linear=height * unit.linear)
    function, masses = _spline(atoms, sectors)
    return Found(function, masses, atoms.norm, found.residual, _only(found, sectors), steps=found.rounds)


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
    """Whether the places where G touches its bound determine the function: then there is no other minimizer.

    Minimizers may bend there only, and all have the same values at the data.
    """
    x, peaks = sectors.x, sectors.peaks(found.multipliers)
    touching = peaks.angles[np.abs(np.abs(peaks.values) - 1) <= 1e-7]
    c = np.sort(sectors.breakpoints(touching)[2])
    c = c[(c > x[0]) & (c < x[-1])]
    reach = x[-1] - x[0]
    c = c[np.r_[True, np.diff(c) > 1e-10 * reach]] if c.size else c
    outside = sectors.breakpoints(touching)[2]
    if np.any((np.abs(outside - x[0]) < 1e-10 * reach) | (outside < x[0]) | (outside > x[-1])):
        return False  # bends beside the data do not show in them
    columns = np.stack([np.ones_like(x), (x - x[0]) / reach, *(np.maximum(x - at, 0.0) / (x[-1] - at) for at in c)], axis=1)
    return bool(np.linalg.matrix_rank(columns, tol=1e-9) == columns.shape[1])


def _interpolant(bends: Bends) -> Found:
    """The one minimizer with free affine part through the points of `bends`."""
    touch = shortest_path(bends)
    masses = touch.masses
    norm = float(np.hypot(1.0, masses.knots) @ np.abs(masses.jumps))
    largest = largest_on_circle(bends.x, touch.angles)
    proved = float(np.hypot(1.0, bends.x) * np.cos(touch.angles) @ bends.changes) / max(largest, 1.0)
    left = max(largest - 1, abs(norm - proved) / norm) if norm else 0.0
    ends = bends.slopes[0] - touch.first, bends.slopes[-1] + touch.last
    function = masses.function(bends, float(ends[0]), float(ends[1]))
    return Found(function, masses, norm, left, unique=True)
