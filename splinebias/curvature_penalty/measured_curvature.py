r"""What of a function the neurons have to make: its derivative number k + 1, and the polynomial it starts with.

:math:`f(x) = \int D(c) [x - c]_+^k dc + P(x)` with :math:`D = f^{(k+1)}/k!` and the left asymptote P, of degree k. A smooth
function is read between the ends of its pieces; the D of a network is a sum of Dirac masses, which are spread over bins.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PPoly

from splinebias._array import Array
from splinebias.errors import DataError
from splinebias.functions.piecewise import PiecewiseLinear, PiecewisePolynomial, WeightedSpline
from splinebias.initialization.breakpoints import BreakpointLaw
from splinebias.numerics.cells import Cells, bisect_until, panel_nodes, unresolved

_SMOOTH = 1e-9  # jumps of f and its derivatives, relative, and curvature without neurons, relative: above, no neuron makes f


class MeasuredCurvature(NamedTuple):
    """D and P of a function.

    Attributes
    ----------
    cells : Cells
        Quadrature on which D and zeta are resolved.
    highest : callable
        D as a density, vectorized.
    points, masses : Array, shape (K,)
        D as masses at points.
    polynomial : Array, shape (k + 1,)
        The coefficients of P in the coordinate u of `Reader`, lowest first.
    """

    cells: Cells
    highest: Callable[[Array], Array]
    points: Array
    masses: Array
    polynomial: Array


class Reader(NamedTuple):
    """How functions are read.

    Attributes
    ----------
    law : BreakpointLaw
        The neurons, which say where D may be.
    degree : int
        The k above.
    x : Array, shape (M,)
        The data, around which the axis is looked at first.
    """

    law: BreakpointLaw
    degree: int
    x: Array

    @property
    def middle(self) -> float:
        """The breakpoint where u = 0."""
        return float((self.x[0] + self.x[-1]) / 2)

    @property
    def span(self) -> float:
        """The length of the data, by which u goes up by 1."""
        return float(self.x[-1] - self.x[0])

    def lever(self, c: Array) -> Array:
        """1, u, ..., u^k at breakpoints `c`, stacked in front."""
        u = (c - self.middle) / self.span
        return np.stack([u**j for j in range(self.degree + 1)])

    def zeta(self, c: Array) -> Array:
        """The densities of both sides at `c`, their sum, same shape."""
        return self.law.both.zeta(c, self.degree)

    def smooth(self, f: Any, cells: Cells) -> MeasuredCurvature | None:
        """D and P of a function with k derivatives; None if it has fewer, or a D where no neuron can make one."""
        ends = _piece_ends(f)
        lo, hi = (ends[0], ends[-1]) if ends is not None and isinstance(f, PPoly) else (-math.inf, math.inf)
        centre = float(np.clip(self.x[self.x.size // 2], lo, hi))
        # pieces are not looked at where they are next to nothing, or where powers of c, up to 2k + 17, overflow
        far = math.inf if ends is None else min(1e16 * self.span, 1e300 ** (1 / (2 * self.degree + 17)))

        def highest(c: Array) -> Array:
            read = (c >= lo) & (c <= hi) & (np.abs(c - centre) < far)
            values = np.zeros(c.shape)
            values[read] = ask(f, c[read], self.degree + 1) / math.factorial(self.degree)
            return values

        if ends is None:
            if not self._decays(highest, cells):
                return None
            cells = _resolved(highest, cells)
        else:
            joints = ends[1:-1] if isinstance(f, PPoly) else ends
            if self.breaks(f, joints[np.abs(joints - centre) < far], self.degree):
                return None
            marks = np.r_[ends, centre]
            outer = np.unique(np.r_[marks[marks < cells.edges[0]], cells.edges, marks[marks > cells.edges[-1]]])
            cells = Cells(outer, cells.order).split(marks)
        values, alive = highest(cells.nodes), self.law.occupied(cells.nodes)
        if (np.abs(values[~alive]) > _SMOOTH * np.abs(values).max()).any():
            return None
        masses = np.where(alive, cells.weights * values, 0.0)
        before = (cells.edges[1:] <= centre)[:, None] & alive
        polynomial = self._left_polynomial(f, centre, cells.nodes[before], masses[before])
        return MeasuredCurvature(cells, highest, cells.nodes.ravel(), masses.ravel(), polynomial)

    def network(self, f: PiecewisePolynomial, cells: Cells, count: int) -> MeasuredCurvature | None:
        """D and P of a network: kinks spread over `count` bins of equal breakpoint probability, in proportion to zeta.

        None if f has a jump or kink of lower order, or kinks where no neuron is.
        """
        if self.degree > 1 and self.breaks(f, f.knots, self.degree - 1):
            return None
        knots, kinks = network_kinks(f, self.degree)
        level = np.r_[0.0, np.cumsum((cells.weights * self.law.both.density(cells.nodes)).sum(axis=1))]
        lo, hi = max(self.law.support[0], cells.edges[0]), min(self.law.support[1], cells.edges[-1])
        inner = np.interp(level[-1] * np.arange(1, count) / count, level, cells.edges)
        bins = np.unique(np.r_[lo, inner, hi])
        if (knots < 2 * bins[0] - bins[1]).any() or (knots > 2 * bins[-1] - bins[-2]).any():
            return None
        cells = cells.split(bins)

        def bin_of(c: Array) -> NDArray[np.intp]:
            return np.clip(np.searchsorted(bins, c, side="right") - 1, 0, bins.size - 2)

        zeta = self.zeta(cells.nodes)
        room = np.bincount(bin_of(cells.nodes).ravel(), (cells.weights * zeta).ravel(), bins.size - 1)
        place = np.interp(knots, bins, np.arange(bins.size))  # where two bins meet, as at data, half of a kink goes to each
        sides = (np.clip(np.floor(place + turn), 0, bins.size - 2).astype(int) for turn in (-_SMOOTH, _SMOOTH))
        mass = np.sum([np.bincount(side, kinks / 2, bins.size - 1) for side in sides], axis=0)
        if (np.abs(mass[room == 0]) > _SMOOTH * np.abs(kinks).sum()).any():
            return None
        share = mass / np.where(room > 0, room, 1.0)
        middle = (bins[:-1] + bins[1:]) / 2
        points = np.where((knots < lo) | (knots > hi), middle[bin_of(knots)], knots)
        centre = float(self.x[self.x.size // 2])
        left = knots <= centre
        polynomial = self._left_polynomial(f, centre, knots[left], kinks[left])
        return MeasuredCurvature(cells, lambda c: share[bin_of(c)] * self.zeta(c), points, kinks, polynomial)

    def breaks(self, f: Any, joints: Array, degree: int) -> bool:
        r"""Whether f or a derivative up to number `degree` jumps at one of the sorted `joints`.

        A jump of :math:`f^{(\nu)}` counts if it is beyond what rounding explains: relative to the largest
        :math:`|f^{(\nu)}|` up to twice as far from the middle of the data or among them; or, as the :math:`\nu`-th
        difference quotient of a shift of one ordinate, to the largest |f| there; or, beyond the data, to what the next
        derivative's rounding makes over the distance.
        """
        at = np.union1d(joints, self.x)
        at = np.r_[at, (at[1:] + at[:-1]) / 2]
        middle, half = self.middle, self.span / 2
        at = at[np.argsort(np.abs(at - middle))]
        distance = np.abs(joints - middle)
        last = np.searchsorted(np.abs(at - middle), 2 * np.maximum(distance, half), side="right") - 1
        gaps = np.diff(self.x)
        beside = [np.searchsorted(self.x, joints, side=side) - 1 for side in ("left", "right")]
        gap = np.minimum(*(gaps[np.clip(i, 0, gaps.size - 1)] for i in beside))
        before = np.nextafter(joints, -math.inf)
        sizes = [np.maximum.accumulate(np.abs(ask(f, at, nu)))[last] for nu in range(degree + 1)]
        for nu, size in enumerate(sizes):
            lever = np.where(distance > half, sizes[nu + 1] * distance, 0.0) if nu < degree else 0.0
            steep = (np.abs(ask(f, joints, nu + 1)) + np.abs(ask(f, before, nu + 1))) * (joints - before)
            jump = np.abs(ask(f, joints, nu) - ask(f, before, nu))
            if (jump > _SMOOTH * (size + sizes[0] / gap**nu + lever) + 2 * steep).any():
                return True
        return False

    def _left_polynomial(self, f: Any, centre: float, points: Array, masses: Array) -> Array:
        """P, from the Taylor polynomial of f at `centre` and the masses of D to its left."""
        k, at, here = self.degree, (centre - self.middle) / self.span, np.array([centre])
        taylor = [float(ask(f, here, nu)[0]) * self.span**nu / math.factorial(nu) for nu in range(k + 1)]
        shifted = np.polynomial.Polynomial(taylor)(np.polynomial.Polynomial([-at, 1.0])).coef
        polynomial = np.zeros(k + 1)
        polynomial[: shifted.size] = shifted
        for j, power in enumerate(self.lever(points)):
            polynomial[k - j] -= math.comb(k, j) * (-1) ** j * self.span**k * float((masses * power).sum())
        return polynomial

    def _decays(self, highest: Callable[[Array], Array], cells: Cells) -> bool:
        """Whether the cost in the last cell of an infinite tail is negligible."""
        values, zeta, support = highest(cells.nodes), self.zeta(cells.nodes), self.law.support
        cost = (cells.weights * np.divide(values**2, zeta, out=np.zeros_like(zeta), where=zeta > 0)).sum(axis=1)
        tails = [cost[at] for at, end in ((0, support[0]), (-1, support[1])) if not math.isfinite(end)]
        return bool(max(tails, default=0.0) <= 1e-8 * float(cost.sum()))


def is_network(f: Any, degree: int) -> bool:
    """Whether f is a network of `degree`: made of pieces whose derivative of that number is constant, with jumps between."""
    if isinstance(f, PiecewiseLinear):
        return degree == 1
    pieces = isinstance(f, PiecewisePolynomial) and not isinstance(f, WeightedSpline)
    return pieces and f.to_ppoly().c.shape[0] <= degree + 1


def network_kinks(f: PiecewisePolynomial, degree: int) -> tuple[Array, Array]:
    r"""Points where the derivative number k = `degree` of a network jumps, and the jumps over k!, each of shape (K,)."""
    if isinstance(f, PiecewiseLinear):
        kinks = f.kinks
    else:
        kinks = (f(f.knots, degree) - f(np.nextafter(f.knots, -math.inf), degree)) / math.factorial(degree)
    return f.knots[kinks != 0], kinks[kinks != 0]


def ask(f: Any, c: Array, nu: int) -> Array:
    """The derivative f(c, nu), refused unless it is finite and of the shape of `c`."""
    try:
        values = np.asarray(f(c, nu))
    except (TypeError, IndexError, KeyError) as error:
        if hasattr(f, "function"):
            hint = f"the function of a {type(f).__name__} is its attribute `function`"
        else:
            hint = "give its derivatives too, such as lambda x, nu=0: [np.sin(x), np.cos(x), -np.sin(x)][nu]"
            hint += ", or interpolate it, such as with scipy.interpolate.CubicSpline"
        raise DataError(
            f"`f` must answer f(x, nu) with derivative number nu = 0, 1, 2, ..., got {f!r} ({error} at nu = {nu}); {hint}"
        ) from None
    if values.dtype.kind not in "fiu" or values.shape != c.shape:
        raise DataError(
            f"`f` must give real numbers of the shape of x, got {values.dtype} of shape {values.shape} for {c.shape} "
            f"(nu = {nu}); use numpy functions, and np.full_like(x, value) where f is constant"
        )
    if (bad := np.flatnonzero(~np.isfinite(values))).size:
        raise DataError(f"`f` must give finite numbers, got {values[bad[0]]} at x = {c[bad[0]]:g} (nu = {nu})")
    return np.asarray(values, dtype=float)


def _piece_ends(f: Any) -> Array | None:
    """Sorted ends of the polynomial pieces of a function that has them, else None."""
    for name in ("edges", "x"):
        if hasattr(f, name):
            return np.unique(np.asarray(getattr(f, name), dtype=float))
    return None


def _resolved(highest: Callable[[Array], Array], cells: Cells) -> Cells:
    """Cells bisected until D is a polynomial on each."""

    def weigh(left: Array, right: Array) -> tuple[Array, Array]:
        nodes, weights = panel_nodes(left, right, cells.order)
        values = highest(nodes)
        return values, np.asarray((weights * np.abs(values)).sum(axis=1))

    total = float(weigh(*cells.panels)[1].sum())

    def failing(left: Array, right: Array, tolerance: float) -> NDArray[np.bool_]:
        return unresolved(*weigh(left, right), total, 100 * tolerance)

    return bisect_until(cells, failing, max_cells=20_000)
