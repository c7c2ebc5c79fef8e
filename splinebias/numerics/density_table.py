r"""Densities as tables: distribution functions, quantiles and moments of a density p that is all one has.

The axis is cut into panels, geometrically towards the ends and around the unit that is given, and panels are halved until

.. math:: \left| \int p - \Big(\int_{\text{left}} p + \int_{\text{right}} p\Big) \right|

and the same of :math:`x^2 p`, by Gauss-Legendre rules, add up to less than `TOLERANCE` of the whole. Then the distribution
function is a sum of panels and one more rule on [edge, x], and quantiles are found by Newton's method in their panel.

Halving also shows where a density is not smooth: panels crowd there. Polynomials from either side say where they meet.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.numerics.cells import panel_nodes

TOLERANCE = 1e-11
"""Of the sum of all panels' errors: in mass, absolutely, and in the second moment, relatively."""

_ORDER = 16
_ROUNDS = 60  # halvings: down to the floats
_MOST = 20_000  # panels
_OCTAVES = np.arange(-50, 61)  # distances from an end, in units
_CROWDED = 16  # times as wide as the narrowest panel is one nearby, on either side, where panels crowd
_NEARBY = 8  # panels
_TELLING = 1e-11  # difference of polynomials from both sides that is no rounding, relative to the density


@dataclass(frozen=True, eq=False)
class DensityTable:
    """A density on panels that resolve it.

    Attributes
    ----------
    density : callable
        Abscissae of any shape to p there.
    edges : Array, shape (N + 1,)
        Ends of the panels.
    masses : Array, shape (N,)
        Integrals of p over the panels, with sum 1: they are divided by `total`.
    total : float
        The integral of the density.
    mean, var : float
        Of the normalized density.
    error : float
        What the integrals of p and of x^2 p may be off, estimated: absolutely, and relative to the latter.
    """

    density: Callable[[Array], Array]
    edges: Array
    masses: Array
    total: float
    mean: float
    var: float
    error: float

    @classmethod
    def of(cls, density: Callable[[Array], Array], support: tuple[float, float], origin: float, unit: float) -> DensityTable:
        """The table of a density.

        Parameters
        ----------
        density : callable
            Abscissae of any shape to p there; what is not a finite number counts as 0.
        support : (float, float)
            Where p is not 0; ends may be infinite.
        origin, unit : float
            A place and a length around which panels of infinite axes are spread, 1e-15 to 1e18 units wide.
        """

        known = _known(density)
        edges, masses, error = _resolved(known, _first_edges(support, origin, unit), origin, unit)
        total = float(masses.sum())
        if not total > 0:
            return cls(known, edges, masses, 0.0, math.nan, math.nan, math.inf)
        mean = origin + unit * float(_moments(known, edges[:-1], edges[1:], origin, unit)[1].sum()) / total
        spread = float(_moments(known, edges[:-1], edges[1:], mean, unit)[2].sum()) / total
        far = sum(float(abs((x - mean) / unit) ** 3 * known(np.array(x)) * unit) for x in _open_ends(edges, support))
        lever = max(abs(float(end) - mean) / unit for end in support) ** 2 / spread
        missed = abs(total - 1) * (max(1.0, lever) if math.isfinite(lever) else 1.0)  # most likely at an end
        error = max(error, missed, 10 * far / spread)  # a tail |x|^-k has the second moment x^3 p(x)/(k - 3)
        return cls(known, edges, masses / total, total, mean, unit**2 * spread, error)

    def cdf(self, x: Array) -> Array:
        """Mass below `x`, same shape."""
        return self._below(np.asarray(x, dtype=float), self._at(x))

    def sf(self, x: Array) -> Array:
        """Mass above `x`, same shape, precise where it is small."""
        at = self._at(x)
        right = np.clip(np.asarray(x, dtype=float), self.edges[at], self.edges[at + 1])
        return np.asarray(self._above[at + 1] + self._integral(right, self.edges[at + 1]))

    def ppf(self, q: Array) -> Array:
        """Quantiles, same shape as `q`; nan outside [0, 1]."""
        q = np.asarray(q, dtype=float)
        flat = np.clip(np.nan_to_num(q.ravel(), nan=0.5), 0.0, 1.0)
        at = np.clip(np.searchsorted(self._cumulated, flat, side="left") - 1, 0, self.masses.size - 1)
        low, high = self.edges[at], self.edges[at + 1]
        x = low + (high - low) * np.clip(
            np.divide(flat - self._cumulated[at], self.masses[at], out=np.zeros_like(flat), where=self.masses[at] > 0),
            0.0,
            1.0,
        )
        todo = np.arange(flat.size)
        for _ in range(100):  # Newton's method, or halving where it would leave the bracket
            now, off = x[todo], self._below(x[todo], at[todo]) - flat[todo]
            low[todo], high[todo] = np.where(off < 0, now, low[todo]), np.where(off > 0, now, high[todo])
            slope = self.density(now) / self.total
            step = np.divide(off, slope, out=np.full_like(off, np.inf), where=slope > 0)
            inside = (now - step > low[todo]) & (now - step < high[todo])
            better = np.where(inside, now - step, (low[todo] + high[todo]) / 2)
            open_ = (np.abs(off) > 2e-16 * np.maximum(flat[todo], 1e-3)) & (better != now)
            x[todo] = np.where(open_, better, now)
            todo = todo[open_ & (high[todo] - low[todo] > 4e-16 * np.abs(now))]
            if not todo.size:
                break
        return np.where((q >= 0) & (q <= 1), x.reshape(q.shape), np.nan)

    def _at(self, x: Array) -> NDArray[np.intp]:
        """Numbers of the panels that hold `x`."""
        return np.clip(np.searchsorted(self.edges, x, side="right") - 1, 0, self.masses.size - 1)

    def _below(self, x: Array, at: NDArray[np.intp]) -> Array:
        """Mass below `x`, of which panels number `at` hold."""
        right = np.clip(np.asarray(x, dtype=float), self.edges[at], self.edges[at + 1])
        return np.asarray(self._cumulated[at] + self._integral(self.edges[at], right))

    def _integral(self, left: Array, right: Array) -> Array:
        """The mass on panels, any shape."""
        nodes, weights = panel_nodes(np.ravel(left), np.ravel(right), _ORDER)
        return np.asarray((weights * self.density(nodes)).sum(axis=1) / self.total).reshape(np.shape(right))

    @property
    def _cumulated(self) -> Array:
        return np.asarray(np.r_[0.0, np.cumsum(self.masses)])

    @property
    def _above(self) -> Array:
        return np.asarray(np.r_[np.cumsum(self.masses[::-1])[::-1], 0.0])


def _first_edges(support: tuple[float, float], origin: float, unit: float, stretch: float = 1.0) -> Array:
    """Edges that crowd at finite ends, and around `origin` where both ends are infinite, at distances times `stretch`."""
    lo, hi = support
    distances = stretch * 2.0**_OCTAVES
    if math.isfinite(lo) and math.isfinite(hi):
        steps = (hi - lo) * distances[: np.searchsorted(distances, 0.51)]
        return np.unique(np.r_[lo, lo + steps, hi - stretch * steps, hi])
    if math.isfinite(lo):
        return np.unique(np.r_[lo, lo + unit * distances])
    if math.isfinite(hi):
        return np.unique(np.r_[hi - unit * distances, hi])
    return np.unique(np.r_[origin - unit * distances, origin, origin + unit * distances])


def _moments(density: Callable[[Array], Array], left: Array, right: Array, origin: float, unit: float) -> Array:
    """Integrals of p, u p and u^2 p on panels, u = (x - origin)/unit, shape (3, N)."""
    nodes, weights = panel_nodes(left, right, _ORDER)
    u, mass = (nodes - origin) / unit, weights * density(nodes)
    return np.stack([mass.sum(axis=1), (u * mass).sum(axis=1), (u**2 * mass).sum(axis=1)])


def _resolved(density: Callable[[Array], Array], edges: Array, origin: float, unit: float) -> tuple[Array, Array, float]:
    """Edges between which a density is resolved, its masses between them, and a bound on the sum of errors.

    The error of a panel is that of its one rule, which two rules correct: far more than is left.
    """
    done = np.zeros((5, 0))  # rows: left, mass, second moment, errors of both
    left, right = edges[:-1], edges[1:]
    for _ in range(_ROUNDS):
        middle = (left + right) / 2
        whole = _moments(density, left, right, origin, unit)
        halves = _moments(density, left, middle, origin, unit) + _moments(density, middle, right, origin, unit)
        errors, sizes = np.abs(whole - halves)[[0, 2]], done[1:3].sum(axis=1) + halves[[0, 2]].sum(axis=1)
        fine = (errors <= TOLERANCE / 1000 * sizes[:, None]).all(axis=0) | (middle <= left) | (middle >= right)
        if done.shape[1] + left.size > _MOST:
            fine[:] = True
        done = np.concatenate([done, np.stack([left, *halves[[0, 2]], *errors])[:, fine]], axis=1)
        left, right = np.r_[left[~fine], middle[~fine]], np.r_[middle[~fine], right[~fine]]
        if not left.size:
            break
    done = done[:, np.argsort(done[0])]
    errors = done[3:].sum(axis=1) / np.where(done[1:3].sum(axis=1) > 0, done[1:3].sum(axis=1), 1.0)
    return np.r_[done[0], edges[-1]], done[1], float(errors.max(initial=0.0)) if not left.size else math.inf


def _open_ends(edges: Array, support: tuple[float, float]) -> list[float]:
    """The outermost edges beyond which the support goes on."""
    return [float(edge) for edge, end in zip(edges[[0, -1]], support, strict=True) if math.isinf(end)]


def kinks(density: Callable[[Array], Array], support: tuple[float, float], origin: float, unit: float) -> list[float]:
    """Where a density is smooth on either side, but not across, sorted; arguments as of `DensityTable.of`.

    Not found are places at which it is not smooth on either side, and jumps of a third derivative or a later one.
    """
    known = _known(density)
    # stretched, so that no kink is an edge by chance: panels would not crowd there
    edges, *_ = _resolved(known, _first_edges(support, origin, unit, 0.9371), origin, unit)
    wide = np.pad(np.diff(edges), _NEARBY, mode="edge")
    near = np.lib.stride_tricks.sliding_window_view(wide, 2 * _NEARBY + 1)
    middle = near[:, _NEARBY]
    before, after = near[:, :_NEARBY].max(axis=1), near[:, _NEARBY + 1 :].max(axis=1)
    found: list[float] = []
    for k in np.flatnonzero((middle <= near.min(axis=1)) & (np.minimum(before, after) >= _CROWDED * middle)):
        wide_by = max(float(middle[k]), 1e-7 * unit)
        if found and edges[k] - found[-1] < 4 * wide_by:
            continue  # the same
        place = _meeting(known, float(edges[k]) - wide_by, float(edges[k + 1]) + wide_by, 16 * wide_by)
        if place is not None:
            found.append(origin if abs(origin - place) < 1e-12 * unit else place)  # up to rounding
    return found


def _known(density: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """The density, 0 where it is no finite number."""

    def known(x: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(np.nan_to_num(np.asarray(density(x), dtype=float), nan=0.0, posinf=0.0, neginf=0.0))

    return known


def _meeting(density: Callable[[Array], Array], left: float, right: float, base: float) -> float | None:
    """Where the polynomial through a density on [left - base, left] gives way to that on [right, right + base]."""
    place, tests = np.cos(np.pi * (np.arange(9) + 0.5) / 9), np.array([-0.85, -0.3, 0.1, 0.75])
    series, size = [], 0.0
    for middle in (left - base / 2, right + base / 2):
        values = density(middle + base / 2 * place)
        size = max(size, float(np.abs(values).max()))
        series.append(np.polynomial.Chebyshev.fit(place, values, 8))
        seen = density(middle + base / 2 * tests)
        if not (np.abs(series[-1](tests) - seen) <= _TELLING * size).all():
            return None

    def apart(x: Array) -> Array:
        """Distances of the density from both, shape (2, ...)."""
        from_left, from_right = (x - left + base / 2) * (2 / base), (x - right - base / 2) * (2 / base)
        return np.abs(np.stack([series[0](from_left), series[1](from_right)]) - density(x))

    if not (apart(np.array([left, right]))[[1, 0], [0, 1]] > 10 * _TELLING * size).any():
        return None
    low, high = left, right
    for _ in range(60):
        x = (low + high) / 2
        of_left, of_right = apart(np.array(x))
        low, high = (x, high) if of_left <= of_right else (low, x)
    at, share = (low + high) / 2, np.array([0.02, 0.5, 0.98])
    sound = apart(left + (at - left) * share)[0], apart(at + (right - at) * (1 - share))[1]
    return float(at) if max(float(of.max()) for of in sound) <= 100 * _TELLING * size else None
