"""Curvature from the dual function of two-slope activations, and what it must make of gaps, tails, value and slope."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.activation import TwoSlope
from splinebias.initialization.breakpoints import Side
from splinebias.limit.dual.dual_function import DualFunction, LineFrame, line_factors
from splinebias.limit.prediction import Prediction
from splinebias.limit.second_opinion.functional import EPS, Functional, looked_at
from splinebias.limit.second_opinion.weight_sizes import WeightSizes
from splinebias.numerics.double_exponential import (
    FINE,
    PLAIN,
    SHORT,
    PieceRule,
    UnitRule,
    clenshaw_curtis,
    on_pieces,
    to_infinity,
)
from splinebias.problem import Problem

_MANY = 24  # pieces of the breakpoint axis, each of whose nodes costs an integral over |w|
_FEW = 60  # data between which all gaps get the fine rule


@dataclass(frozen=True, eq=False)
class _Bends:
    """The curvature that dual functions ask for, side by side, at any breakpoints.

    Attributes
    ----------
    problem : Problem
        Of two slopes.
    function : DualFunction
        Its dual functions.
    rounding : Array, shape (2, M)
        How far they may be off at the data, of plus and minus.
    turn : float
        How far the slope of their line may be off.
    """

    problem: Problem
    function: DualFunction
    rounding: Array
    turn: float

    @classmethod
    def of(cls, prediction: Prediction) -> _Bends:
        """Those of the solver, or what the multipliers say."""
        if (known := prediction.dual_function) is not None:
            size = np.abs(np.broadcast_to(known.nodal, (2, known.x.size)))
            return cls(prediction.problem, known, 4 * EPS * size, 4 * EPS * abs(known.beta) / known.span)
        problem, activation = prediction.problem, prediction.problem.two_slopes
        x, weights, p, q = problem.data.x, prediction.multipliers, activation.right, activation.left
        before, after = _levers(x, weights.astype(np.longdouble))
        nodal = np.array([p * after - q * before, p * before - q * after], dtype=float)
        # multipliers are sums over modes, or differences: each is off by the rounding of all of them
        blur = np.full_like(weights, np.linalg.norm(weights))
        below, above = _levers(x, blur)
        lost = EPS * np.array([p * above + abs(q) * below, p * below + abs(q) * above])
        ends = np.array([after[0], -before[-1]], dtype=float)  # of the line
        line = ends * (not problem.free)
        nodal = nodal[: len(line_factors(activation, free=problem.free))]
        values, beta = np.array(after, dtype=float), float(line[0] - line[1])
        function = DualFunction(x, values, beta, float(line[0]), LineFrame.of(x), activation, problem.free, nodal)
        return cls(problem, function, lost, EPS * float(blur.sum()))

    @cached_property
    def activation(self) -> TwoSlope:
        """The activation of the problem, by its two slopes."""
        return self.problem.two_slopes

    @cached_property
    def sides(self) -> tuple[Side, Side]:
        """The units of plus and minus."""
        return self.problem.initialization.breakpoint_law.sides

    @cached_property
    def sizes(self) -> WeightSizes | None:
        """The integrals over |w|, or None for quadratic potentials, where zeta is known."""
        known = self.problem.limit_potential.stiffness is not None
        return None if known else WeightSizes(self.problem.initialization.pair_law)

    def dual(self, c: Array, side: int) -> tuple[Array, Array]:
        """The dual function of side 0 (plus) or 1 (minus) at `c`, and how far it may be off, each of the shape of `c`."""
        function, x = self.function, self.function.x
        own = function.sides[min(side, len(function.sides) - 1)]
        lost = np.interp(c, x, self.rounding[side])
        if self.problem.free:
            return own(c), lost
        away = 4 * EPS * abs(function.height) + self.turn * np.abs(c - function.frame.first)
        return own(c), np.where((c < x[0]) | (c > x[-1]), away, lost)

    def curvature(self, c: Array, side: int) -> tuple[Array, Array]:
        """The I_s above at `c`, and a bound on its error, each of the shape of `c`."""
        (g, lost), potential = self.dual(c, side), self.problem.limit_potential
        if self.sizes is None:
            assert potential.stiffness is not None
            bent, error = self.sides[side].zeta(c) * (g / potential.stiffness), np.zeros_like(c)
        else:
            bent, error = self.sizes.integral(c, 1 - 2 * side, g, lambda v: v * potential.grad_inverse(v * g[..., None]))
        return bent, error + np.abs(bent) * np.minimum(lost / np.where(g != 0, np.abs(g), 1.0), 1.0)

    @cached_property
    def breaks(self) -> Array:
        """Where the curvature is not smooth, data apart, and quantiles of the law."""
        law = self.problem.initialization.breakpoint_law
        places: list[Any] = [law.knots, [end for end in law.support if math.isfinite(end)]]
        if law.degree is None:
            places.append(law.landmarks)
        if self.sizes is not None:
            places += [side.zeros().place for side in self.function.sides]
        return np.unique(np.concatenate(places))


def _levers(x: Array, weights: Array) -> tuple[Array, Array]:
    """At all j, sums of w_i (x_j - x_i) over i < j and of w_i (x_i - x_j) over i > j: no term is larger than need be."""
    steps = np.diff(x)  # of neighbours, exact or nearly so
    before = np.r_[0, np.cumsum(np.cumsum(weights)[:-1] * steps)]
    return before, np.r_[0, np.cumsum(np.cumsum(weights[::-1])[:-1] * steps[::-1])][::-1]


class _Sampled(NamedTuple):
    """Pieces of the breakpoint axis with a rule, and the curvature of plus and minus at its nodes.

    Attributes
    ----------
    pieces : Array, shape (N, 2)
        The ends of the pieces.
    rule : PieceRule
        The rule, a row for every piece.
    plus, minus : Array, shape (N, q)
        The curvature of each side.
    lost : Array, shape (2, N, q)
        Bounds on the errors of these.
    """

    pieces: Array
    rule: PieceRule
    plus: Array
    minus: Array
    lost: Array

    @classmethod
    def with_tails(cls, bends: _Bends, pieces: Array, shape: UnitRule) -> _Sampled:
        """The curvature on finite pieces in order, and from the ends of the first and the last to infinity."""
        ends, scales = pieces[[0, -1], [0, 1]], (pieces[:, 1] - pieces[:, 0])[[0, -1]]
        parts = on_pieces(pieces, shape), to_infinity(ends, scales, np.array([-1.0, 1.0]), shape)
        rule = PieceRule(*(np.concatenate(of) for of in zip(*parts, strict=True)))
        (plus, lost), (minus, missed) = (bends.curvature(rule.nodes, side) for side in (0, 1))
        everything = np.concatenate([pieces, [[-math.inf, ends[0]], [ends[1], math.inf]]])
        return cls(everything, rule, plus, minus, np.stack([lost, missed]))

    def rows(self, plus: Array, minus: Array) -> tuple[Array, Array]:
        """Integrals over every piece of the curvature of each side times these factors, and bounds, shape (N,)."""
        value, bound = self.rule.rows(self.plus * plus + self.minus * minus)
        lost = (self.lost[0] + 2 * EPS * np.abs(self.plus)) * np.abs(plus)
        lost = (lost + (self.lost[1] + 2 * EPS * np.abs(self.minus)) * np.abs(minus)) * self.rule.weights
        return value, bound + np.nan_to_num(lost, nan=0.0, posinf=np.inf).sum(
            axis=-1
        )  # infinity times no weight counts nothing


def of_bends(prediction: Prediction) -> list[Functional]:
    """Gaps, both tails and, unless free, value and slope at the first datum."""
    problem, f = prediction.problem, prediction.function
    bends, x = _Bends.of(prediction), problem.data.x
    span, few, sizes = float(x[-1] - x[0]), x.size <= _FEW, bends.sizes
    dense = sizes is not None and sizes.dense
    looked = looked_at(x, 0) if dense else looked_at(x)
    middles = x[looked] + np.diff(x)[looked] / 2
    far = np.array([x[0] - 40 * span, x[0] - span / 2, x[-1] + span / 2, x[-1] + 40 * span])
    marks = np.unique(np.r_[x if few else x[np.r_[0, looked, looked + 1, -1]], middles, far, bends.breaks])
    pieces = np.stack([marks[:-1], marks[1:]], axis=1)
    gap = x.searchsorted(pieces[:, 0], side="right") - 1
    if not few:  # of the pieces between data, those in the gaps that are looked at
        kept = (gap < 0) | (gap >= x.size - 1) | np.isin(gap, looked)
        pieces, gap = pieces[kept], gap[kept]
    at = _Sampled.with_tails(bends, pieces, (PLAIN if pieces.shape[0] <= _MANY else SHORT) if dense else FINE)
    gap = np.r_[gap, -1, x.size - 1]
    said = _Said.of(f, np.array([x[looked], middles, x[looked + 1]]), x[[0, -1]], far)
    found = _gaps(said, at, bends.activation.kink, gap, x, looked) + _tails(said, at, bends.activation.kink, x, far)
    if problem.free or not (few or sizes is None):
        return found
    if few:
        return found + _ties(said, bends, at, np.zeros((2, 2)))
    outside = (gap < 0) | (gap >= x.size - 1)
    rule = PieceRule(*(of[outside] for of in at.rule))
    outer = _Sampled(at.pieces[outside], rule, at.plus[outside], at.minus[outside], at.lost[:, outside])
    return found + _ties(said, bends, outer, _between_data(bends))


class _Said(NamedTuple):
    """What the function is said to be where it is looked at: all of it is read at once.

    Attributes
    ----------
    gaps : Array, shape (3, G)
        At the left ends of gaps, in their middles and at their right ends.
    ends, slopes : Array, shape (2,)
        At the outermost data.
    far : Array, shape (4,)
        Beyond them.
    """

    gaps: Array
    ends: Array
    slopes: Array
    far: Array

    @classmethod
    def of(cls, f: Callable[..., Array], gaps: Array, ends: Array, far: Array) -> _Said:
        """At these places."""
        values = f(np.concatenate([gaps.ravel(), ends, far]))
        return cls(values[: gaps.size].reshape(gaps.shape), values[gaps.size : -4], f(ends, 1), values[-4:])


def _gaps(
    f: _Said, at: _Sampled, kink: float, gap: NDArray[np.intp], x: Array, looked: NDArray[np.intp]
) -> list[Functional]:
    """The function in the middle of gaps, less its mean at the two ends; `gap` has the gap of every piece, shape (N,)."""
    lo, hi = x[looked], x[looked + 1]
    middle = lo + (hi - lo) / 2
    mine = np.searchsorted(looked, np.clip(gap, 0, looked[-1]))[:, None]
    c = at.rule.nodes
    green = np.where(c < middle[mine], c - lo[mine], hi[mine] - c) / 2
    green = np.where(np.isin(gap, looked)[:, None], green, 0.0)
    rows = at.rows(green, green)
    integral, error = (np.bincount(mine[:, 0], of, looked.size) for of in rows)
    left, centre, right = f.gaps
    # in a gap of a few units in the last place the middle is not the middle
    shift = np.abs(right - left) / (hi - lo) * np.spacing(np.maximum(np.abs(lo), np.abs(hi)))
    rounding = 4 * EPS * np.maximum(np.abs(left), np.abs(right)) + shift
    said, bound = centre - (left + right) / 2, abs(kink) * error + rounding
    size = np.maximum(np.abs(centre), np.maximum(np.abs(left), np.abs(right)))
    table = zip(said.tolist(), (-kink * integral).tolist(), bound.tolist(), size.tolist(), strict=True)
    return [Functional(*row) for row, inside in zip(table, (lo < middle) & (middle < hi), strict=True) if inside]


def _tails(f: _Said, at: _Sampled, kink: float, x: Array, far: Array) -> list[Functional]:
    """The function beyond the outermost data, less its tangents there."""
    ends, values, slopes = x[[0, -1]], f.ends, f.slopes
    found = []
    for before, after in ((0, 3), (1, 2)):
        to = far[[before, after]]
        left = (at.pieces[:, 0] >= to[0]) & (at.pieces[:, 1] <= ends[0])
        right = (at.pieces[:, 0] >= ends[1]) & (at.pieces[:, 1] <= to[1])
        lever = np.where(left[:, None], at.rule.nodes - to[0], np.where(right[:, None], to[1] - at.rule.nodes, 0.0))
        integral, bound = at.rows(lever, lever)
        reached = f.far[[before, after]]
        for k, side in enumerate((left, right)):
            rise = float(slopes[k] * (to[k] - ends[k]))
            size = max(abs(float(values[k])), abs(float(reached[k])), abs(rise))
            placed = abs(float(slopes[k])) * float(np.spacing(max(abs(float(to[k])), abs(float(ends[k])))))
            error = abs(kink) * float(bound[side].sum()) + 8 * EPS * size + placed
            found.append(Functional(float(reached[k] - values[k]) - rise, kink * float(integral[side].sum()), error, size))
    return found


def _ties(f: _Said, bends: _Bends, at: _Sampled, rest: Array) -> list[Functional]:
    """Value and slope at the first datum; `rest` is what other pieces add to them, and bounds, shape (2, 2)."""
    x, act = bends.problem.data.x, bends.activation
    z = x[0] - at.rule.nodes
    value = at.rows(act.value(z), act.value(-z))
    slope = at.rows(np.where(z > 0, act.right, act.left), -np.where(z < 0, act.right, act.left))
    sums = rest + np.array([value, slope]).sum(axis=-1)
    span = float(x[-1] - x[0])
    said = float(f.ends[0]), float(f.slopes[0])
    return [
        Functional(said[0], float(sums[0, 0]), float(sums[0, 1]), abs(said[0])),
        Functional(said[1] * span, float(sums[1, 0]) * span, float(sums[1, 1]) * span, abs(said[1]) * span),
    ]


def _between_data(bends: _Bends) -> Array:
    """What breakpoints between many data add to value and slope at the first datum, and bounds, shape (2, 2).

    For quadratic potentials, with a short rule: data are dense beside the scales of the law.
    """
    problem, act = bends.problem, bends.activation
    x, law = problem.data.x, problem.initialization.breakpoint_law
    edges = np.union1d(x, bends.breaks[(bends.breaks > x[0]) & (bends.breaks < x[-1])]) if law.degree != 0 else x
    if law.degree == 0 and (inside := law.knots[(law.knots > x[0]) & (law.knots < x[-1])]).size:
        edges = np.union1d(x, inside)
    shape = clenshaw_curtis(4 if x.size > 1000 else 8)
    rule, sums = on_pieces(np.stack([edges[:-1], edges[1:]], axis=1), shape), np.zeros((2, 2))
    for side, of_value in ((0, act.left), (1, -act.right)):  # units with w > 0 have z < 0 there
        if of_value == 0:
            continue
        nodal, lost = bends.dual(edges, side)
        stiffness = problem.limit_potential.stiffness
        zeta = bends.sides[side].zeta(rule.nodes[:, 1:2] if law.degree == 0 else rule.nodes) * (
            of_value / (stiffness or 1.0)
        )
        bent = zeta * (nodal[:-1, None] * shape.other + nodal[1:, None] * shape.u)
        sizes = np.abs(zeta).max(axis=1) * ((np.abs(nodal) + lost)[:-1] + (np.abs(nodal) + lost)[1:]) * np.diff(edges)
        blur = float((sizes * (1e-15 + rule.blur)).sum()) + float(
            (np.abs(zeta).max(axis=1) * lost[1:] * np.diff(edges)).sum()
        )
        for k, terms in enumerate((bent * (x[0] - rule.nodes), bent)):
            whole = np.einsum("ij,ij->i", terms, rule.weights)
            error = np.abs(whole - np.einsum("ij,ij->i", terms, rule.half)).sum()
            sums[k] += float(whole.sum()), float(error) + blur * (x[-1] - x[0] if k == 0 else 1.0)
    return sums
