r"""The functional that training minimizes, for any function: what a given f would cost a Problem's neurons.

It is the least :math:`E[\alpha^2]` (unscaled potentials) or :math:`E[D_\phi(\alpha, 0)]` (scaled) over all
:math:`\alpha` with :math:`E[\alpha(w, b)\, \sigma(wx + b)] = f(x)`. The limit of training is the interpolant for which it is
least; `Prediction.penalty` is its value there.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PPoly

from splinebias._check import Array, whole_number
from splinebias.bending import Bend, tie
from splinebias.breakpoints import BreakpointLaw
from splinebias.errors import CapabilityError, DataError
from splinebias.function import PiecewiseLinear
from splinebias.potential import Quadratic
from splinebias.problem import Problem
from splinebias.quadrature import Cells, bisect_until, integration_cells, panel_nodes, unresolved
from splinebias.solve.prediction import beyond_bending

_SMOOTH = 1e-9  # jumps of f or f', relative, and curvature without neurons, relative: above it the penalty is infinite
_FAR = 1e16  # spans of the data, beyond which the pieces of f are not looked at: powers of c overflow there
_MOST_PANELS = 20_000  # of a function without pieces, bisected at one time
_TIE = 1e-6  # mismatch of a tie that no neuron can mend, relative to the slopes (offsets) that it compares


def penalty(f: Any, problem: Problem, *, smoothing: int | None = None) -> float:
    r"""Value of the curvature penalty of `f`; infinity if no density of neurons represents it.

    For ReLU and unscaled potentials, and any law, it is LM's G1 + G2 + G3 in the form

    .. math:: \int \frac{f''^2}{\zeta} + d^T G^{-1} d, \qquad
              G = \int \frac{\zeta_+ \zeta_-}{\zeta} (1, c)(1, c)^T, \qquad
              d = \int \frac{\zeta_+}{\zeta} f'' (1, c) - (f'(\infty),\, -f_\infty),

    with :math:`f_\infty` the intercept of the right asymptote: the cheapest way to bend, plus the cheapest exchange of
    curvature between w > 0 and w < 0 that gives f its slope and offset. For Abs d has to vanish and the first term is
    :math:`\int f''^2/(4\zeta)`; with a scaled potential and W = +-1 that is :math:`\int \phi(f''/(2p))\, p`. All other cases
    (scaled ReLU, random |W|) minimize over alpha(w, b) through the dual.

    Parameters
    ----------
    f : callable
        A function of this library; a scipy piecewise polynomial, read between its end points and continued
        by its tangents there (not by its end polynomials); or any vectorized ``f(x, nu)`` that is C^1 with linear ends.
    problem : Problem
        Its law, activation, potential and affine part define the functional. f need not pass through the data, which only
        say where the axis is looked at first.
    smoothing : int, optional
        For a `PiecewiseLinear` only. Its f'' is a sum of Dirac masses and its penalty infinite as it stands; here the
        masses are spread over this number J of bins of equal breakpoint probability, in proportion to zeta. Default: the
        square root of the number of kinks, rounded up (see Notes).

    Returns
    -------
    float
        In units of y^2 for quadratic potentials. Infinity if f jumps or has a kink (other than a `PiecewiseLinear`), curves
        where zeta = 0, has curvature that decays too slowly in an infinite tail, or breaks a tie that no neuron can
        mend (Abs: opposite slopes and offsets at the two ends; laws whose breakpoints carry one sign of w each).

    Raises
    ------
    CapabilityError
        If the activation is not of two slopes, or the parameterization not `Standard`.
    DataError
        If `problem` is no Problem, `f` does not answer ``f(x, nu)`` with finite numbers, or `smoothing` is given for a
        smooth f or is no whole number >= 1.
    SolveError
        If the minimization over alpha does not converge.

    Notes
    -----
    A network of n units that samples alpha has bins with sampling noise, which adds about J/n to the penalty (relative), and
    the width of the bins takes O(J^-2) away; the penalty itself fluctuates by O(n^-1/2). With J = sqrt(n) both are at or
    below that. Measured on LM's set A (ReLU, uniform bias, n = 25,600): -0.8 % +- 2.5 %, with n^(1/3) bins -4.9 % +- 2.6 %.

    Accuracy for smooth f about 1e-10, relative. Ties count as broken beyond 1e-6 relative (for a smoothed network 1/J, since
    a trained output bias of order 1/n breaks them too). Kinks outside the support of the breakpoints, where training moves
    a few, count in the end bin if they are nearer to it than its width.
    *Hypotheses:* checked as above; not checked: that an f without `edges` has no kinks, and that
    :math:`\int f''^2/\zeta` does not diverge at a point where zeta vanishes.
    Source: Liang & Montufar (2025), both theorems; Jin & Montufar (2023), Theorem 4.
    """
    if not isinstance(problem, Problem):
        raise DataError(f"`problem` must be an sb.Problem, got {problem!r}")
    if (missing := beyond_bending(problem)) is not None:
        raise CapabilityError(
            f"the penalty of a function cannot take this problem: {missing}, and predict gives the minimum"
        )
    law = problem.initialization.breakpoint_law
    cells = integration_cells(law, problem.data.x)
    if isinstance(f, PiecewiseLinear):
        bins = max(1, math.ceil(math.sqrt(int(np.count_nonzero(f.kinks))))) if smoothing is None else smoothing
        shape, slack = _smoothed(f, law, cells, whole_number(bins, "smoothing", at_least=1)), 1 / bins
    else:
        if smoothing is not None:
            raise DataError(f"`smoothing` is for PiecewiseLinear functions only, got {smoothing!r} with {f!r}; leave it out")
        shape, slack = _resolved(f, problem, cells), _TIE
    if shape is None:
        return math.inf
    bend = _demand(problem, shape, slack)
    if bend is None:
        return math.inf
    if isinstance(problem.limit_potential, Quadratic):
        return bend.quadratic_cost() / 2 if problem.scaled else bend.quadratic_cost()
    return bend.convex_cost(problem.limit_potential)


class _Shape(NamedTuple):
    """What of f matters: f'' as a density `second`, the same as `masses` at `points`, and the left asymptote."""

    cells: Cells
    second: Any
    points: Array
    masses: Array
    slope: float
    intercept: float


def _demand(problem: Problem, shape: _Shape, slack: float) -> Bend | None:
    """What the neurons have to do for f, or None if no neuron can; ties are checked up to `slack`."""
    law, act, (first, last) = problem.initialization.breakpoint_law, problem.two_slopes, problem.data.span
    bend = Bend(law, act, shape.cells, shape.second, (first + last) / 2, last - first)
    if problem.affine == "free":
        return bend
    asked = np.array([shape.slope, -(shape.intercept + bend.origin * shape.slope) / bend.unit])
    lever = bend.lever(shape.points)
    missing = asked - lever @ (shape.masses * tie(law, act, shape.points))
    if np.trace(bend.exchange) > 0:
        return replace(bend, missing=missing)
    size = np.abs(asked) + np.abs(lever) @ np.abs(shape.masses)
    return bend if (np.abs(missing) <= slack * size).all() else None


def _resolved(f: Any, problem: Problem, cells: Cells) -> _Shape | None:
    """A C^1 function with linear ends; None if it is not one, or curves where no neuron can."""
    law, x = problem.initialization.breakpoint_law, problem.data.x
    ends = _piece_ends(f)
    lo, hi = (ends[0], ends[-1]) if ends is not None and isinstance(f, PPoly) else (-math.inf, math.inf)
    centre = float(np.clip(x[x.size // 2], lo, hi))
    far = math.inf if ends is None else _FAR * (x[-1] - x[0])

    def second(c: Array) -> Array:
        read = (c >= lo) & (c <= hi) & (np.abs(c - centre) < far)
        values = np.zeros(c.shape)
        values[read] = _ask(f, c[read], 2)
        return values

    if ends is None:
        if not _decays(second, cells, law):
            return None
        cells = _resolve(second, cells)
    else:
        joints = ends[1:-1] if isinstance(f, PPoly) else ends
        if _breaks(f, joints[np.abs(joints - centre) < far], x):
            return None
        marks = np.r_[ends, centre]
        outer = np.unique(np.r_[marks[marks < cells.edges[0]], cells.edges, marks[marks > cells.edges[-1]]])
        cells = Cells(outer, cells.order).split(marks)
    curvature, alive = second(cells.nodes), _zeta(law, cells.nodes) > 0
    if (np.abs(curvature[~alive]) > _SMOOTH * np.abs(curvature).max()).any():
        return None
    masses = np.where(alive, cells.weights * curvature, 0.0)
    before = np.where((cells.edges[1:] <= centre)[:, None], masses, 0.0)
    value, slope = (float(_ask(f, np.array([centre]), nu)[0]) for nu in (0, 1))
    return _Shape(
        cells,
        second,
        cells.nodes.ravel(),
        masses.ravel(),
        slope - float(before.sum()),
        value - centre * slope + float((before * cells.nodes).sum()),
    )


def _zeta(law: BreakpointLaw, c: Array) -> Array:
    return law.zeta(c, 1) + law.zeta(c, -1)


def _ask(f: Any, c: Array, nu: int) -> Array:
    """f(c, nu), checked."""
    try:
        values = np.asarray(f(c, nu), dtype=float)
    except TypeError as error:
        raise DataError(f"`f` must answer f(x, nu) with derivative number nu = 0, 1, 2; got {f!r}: {error}") from None
    if values.shape != c.shape or not np.isfinite(values).all():
        raise DataError(
            f"`f` must give finite numbers of the shape of x, got shape {values.shape} for {c.shape} (nu = {nu})"
        )
    return values


def _piece_ends(f: Any) -> Array | None:
    """Sorted ends of the polynomial pieces of a function that has them, else None."""
    for name in ("edges", "x"):
        if hasattr(f, name):
            return np.unique(np.asarray(getattr(f, name), dtype=float))
    return None


def _breaks(f: Any, ends: Array, x: Array) -> bool:
    """Whether f or f' jumps at one of `ends`."""
    for nu in (0, 1):
        here, before = _ask(f, ends, nu), _ask(f, np.nextafter(ends, -math.inf), nu)
        if (np.abs(here - before) > _SMOOTH * (np.abs(here) + np.abs(_ask(f, x, nu)).max())).any():
            return True
    return False


def _decays(second: Any, cells: Cells, law: BreakpointLaw) -> bool:
    """Whether the cost in the last cell of an infinite tail is negligible."""
    curvature, zeta = second(cells.nodes), _zeta(law, cells.nodes)
    cost = (cells.weights * np.divide(curvature**2, zeta, out=np.zeros_like(zeta), where=zeta > 0)).sum(axis=1)
    tails = [cost[at] for at, end in ((0, law.support[0]), (-1, law.support[1])) if not math.isfinite(end)]
    return bool(max(tails, default=0.0) <= 1e-8 * float(cost.sum()))


def _resolve(second: Any, cells: Cells) -> Cells:
    """Cells bisected until h'' is a polynomial on each."""

    def weigh(left: Array, right: Array) -> tuple[Array, Array]:
        nodes, weights = panel_nodes(left, right, cells.order)
        values = second(nodes)
        return values, np.asarray((weights * np.abs(values)).sum(axis=1))

    total = float(weigh(cells.edges[:-1], cells.edges[1:])[1].sum())

    def failing(left: Array, right: Array, tolerance: float) -> NDArray[np.bool_]:
        if left.size > _MOST_PANELS:
            return np.zeros(left.size, dtype=bool)
        values, mass = weigh(left, right)
        return unresolved(values, mass, total, 100 * tolerance)

    return bisect_until(cells, failing)


def _smoothed(f: PiecewiseLinear, law: BreakpointLaw, cells: Cells, count: int) -> _Shape | None:
    """The kinks of f spread over `count` bins of equal breakpoint probability, in proportion to zeta."""
    bent = f.kinks != 0
    knots, kinks = f.knots[bent], f.kinks[bent]
    density = law.density(cells.nodes, 1) + law.density(cells.nodes, -1)
    level = np.r_[0.0, np.cumsum((cells.weights * density).sum(axis=1))]
    lo, hi = max(law.support[0], cells.edges[0]), min(law.support[1], cells.edges[-1])
    inner = np.interp(level[-1] * np.arange(1, count) / count, level, cells.edges)
    bins = np.unique(np.r_[lo, inner, hi])
    if (knots < 2 * bins[0] - bins[1]).any() or (knots > 2 * bins[-1] - bins[-2]).any():
        return None
    cells = cells.split(bins)

    def bin_of(c: Array) -> NDArray[np.intp]:
        return np.clip(np.searchsorted(bins, c, side="right") - 1, 0, bins.size - 2)

    zeta = _zeta(law, cells.nodes)
    room = np.bincount(bin_of(cells.nodes).ravel(), (cells.weights * zeta).ravel(), bins.size - 1)
    mass = np.bincount(bin_of(knots), kinks, bins.size - 1)
    if (np.abs(mass[room == 0]) > _SMOOTH * np.abs(kinks).sum()).any():
        return None
    share = mass / np.where(room > 0, room, 1.0)
    middle = (bins[:-1] + bins[1:]) / 2
    points = np.where((knots < lo) | (knots > hi), middle[bin_of(knots)], knots)
    start, slope = float(f.knots[0]), float(f(f.edges[0], 1))
    return _Shape(
        cells,
        lambda c: share[bin_of(c)] * _zeta(law, c),
        points,
        kinks,
        slope,
        float(f.values[0]) - slope * start,
    )
