r"""Influences at infinite training time of problems with two slopes (theory section 7).

With :math:`S(x) = \sigma(wx + b)`, :math:`H = E[S_X S_X^T/\phi''(\alpha)]` and :math:`C(x) = E[S(x) S_X/\phi''(\alpha)]`,

.. math:: f_n(x) - f(x) = \frac1n \sum_k (u(x; w_k, b_k) - E u(x)) + O(1/n), \qquad
          u(x; w, b) = (S(x) - C(x)^T H^{-1} S_X)\, \alpha(w, b).

S(x) is a tent and what is interpolated between data (see `quadrature.tents`). Interpolation survives
:math:`S - C^T H^{-1} S_X` untouched, so

.. math:: u = |w|\, \alpha\, \psi_s(x; c), \qquad \psi_s(x; \cdot) = T_x - (\text{projection of } T_x),

onto the dual functions, orthogonal for the weight :math:`E[w^2/\phi''(\alpha) \mid c, s]`. Nothing is subtracted that is
large, and u = 0 at the data, because there the tent is 0. The projection is a bordered tridiagonal system (section 5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from splinebias._array import Array
from splinebias.errors import CapabilityError, SolveError
from splinebias.finite_width.influence import Influence, InfluenceModel, InfluenceSums, growth
from splinebias.finite_width.quadrature.lumps import LumpedNeurons, edges_of, hat_moments, places, quadratic_form
from splinebias.finite_width.quadrature.neuron_quadrature import NeuronQuadrature
from splinebias.finite_width.quadrature.neurons import NeuronsOfSide
from splinebias.finite_width.quadrature.tents import tent
from splinebias.limit.dual.equations import Moments
from splinebias.limit.hypotheses import require_mobile
from splinebias.numerics.bordered import BorderedTridiagonal
from splinebias.potential import Quadratic

_UNRESOLVED = 1e-4  # of the mean shift, between two rules


@dataclass(frozen=True, eq=False)
class LimitInfluence(InfluenceModel):
    """The influences of the neurons of one problem on its limit.

    Attributes
    ----------
    neurons : NeuronQuadrature
        The neurons of the limit.
    """

    neurons: NeuronQuadrature

    def at(self, points: Array) -> Influence:
        edges, sides, form = self.neurons.lumps(points)
        tents = self.neurons.problem.two_slopes.kink * tent(points, self.neurons.dual.x, edges)
        projections = form.solve_rows(tents @ np.sum([side.slope.moments(side.basis) for side in sides], axis=0).T)
        rows, mean = [], np.zeros(points.size)
        for side in sides:
            psi = tents - projections @ side.basis
            rows.append(side.square.interpolated(psi) * np.sqrt(side.square.weights.ravel()))
            mean += psi @ np.subtract(*(of.moments(np.ones((1, edges.size)))[0] for of in side.values))
        return Influence(self.neurons.size * np.concatenate(rows, axis=1), self.neurons.size * mean)

    def _projected(self, points: Array, sides: list[NeuronsOfSide], form: BorderedTridiagonal) -> tuple[list[Array], Array]:
        """Tents at the nodes of all sides, and the unknowns of their projections, shape (N, U)."""
        tents, loads = self.neurons.tents(points, sides)
        return tents, form.solve_rows(loads)

    def kurtosis(self, point: float) -> float:
        problem = self.neurons.problem
        order = 4 * (1 + growth(problem.limit_potential))
        if problem.initialization.pair_law.lacks_moment(order, weight_only=problem.free) is not None:
            return math.inf
        rule = self.neurons.with_fourth_moments()
        return math.inf if rule is None else LimitInfluence(rule)._kurtosis(np.array([point]))

    @np.errstate(all="ignore")  # of fourth powers that leave the range of doubles
    def _kurtosis(self, point: Array) -> float:
        sides, form = self.neurons.sides(point)
        tents, projections = self._projected(point, sides, form)
        raw = np.zeros(4)  # moments about 0
        for side, top in zip(sides, tents, strict=True):
            psi = (top - projections @ side.basis)[0]
            sums = (side.value, side.square, *side.higher)
            raw += [float(side.weights @ (psi**k * of)) for k, of in enumerate(sums, 1)]
        mean, square, cube, fourth = raw.tolist()
        variance = square - mean**2
        if self.neurons.size * math.sqrt(max(variance, 0.0)) <= 1e-13 * np.abs(self.neurons.problem.data.y).max():
            return 1.0  # rounding: every neuron has the influence 0
        found = (fourth - 4 * mean * cube + 6 * mean**2 * square - 3 * mean**4) / variance**2
        return found if math.isfinite(found) else math.inf

    def sums(self, points: Array) -> LimitSums:
        sides, form = self.neurons.sides(points)
        _, projections = self._projected(points, sides, form)
        edges = np.union1d(points, self.neurons.problem.data.x)
        tents = self.neurons.problem.two_slopes.kink * tent(points, self.neurons.problem.data.x, edges)
        return LimitSums(self.neurons, self.at(points).mean, edges, tents, projections)

    def mean_shift(self, points: Array, copies: int = 1) -> Array:
        r"""The O(1/n) part of the mean, times n: :math:`\lim n\, E[f_n(x) - f(x)]`, shape (N,), at increasing `points`.

        The second order of the delta method, and the output bias, one more unit with the constant feature 1: with
        :math:`A = (\phi')^{-1}`, :math:`\tilde S = S(x) - C(x)^T H^{-1} S_X` and
        :math:`V = H^{-1} \mathrm{Cov}(S_X \alpha) H^{-1}`

        .. math:: -E[\tilde S A'\, S_X^T H^{-1} S_X\, \alpha] + \tfrac12 E[\tilde S A''\, S_X^T V S_X]
                  + (1 - C(x)^T H^{-1} 1)\, A(\textstyle\sum_i \lambda_i).

        Quadratic problems have A' = 1, A'' = 0. If `copies` units share one draw of (w, b), there are fewer draws: that many
        times the first two terms.

        Raises
        ------
        CapabilityError
            If phi'' is 0 or infinite at 0: there is no expansion in powers of 1/n.
        SolveError
            If by more nodes it is another: A'' is too sharp for doubles.
        """
        require_mobile(self.neurons.problem.limit_potential, "the mean shift", error=CapabilityError)
        rule = self.neurons.with_turns(points)
        found = self._shift(rule, points, copies)
        if not isinstance(rule.potential, Quadratic):
            off = np.abs(self._shift(rule.checking(), points, copies) - found).max(initial=0.0)
            if not off <= _UNRESOLVED * np.abs(found).max(initial=0.0):
                raise SolveError(
                    "the mean shift is not resolved: phi'' changes too sharply where curvature is small for the integral "
                    "of a third derivative; take a larger quadratic part, or measure the shift with study(...).mean_shift"
                )
        return found

    def _shift(self, rule: NeuronQuadrature, points: Array, copies: int) -> Array:
        """The mean shift by a rule that is cut at `points`."""
        problem, size, equations = rule.problem, rule.size, rule.equations
        (sides, form), edges = rule.sides(np.zeros(0)), edges_of(points, rule.dual.x)
        lumped = [LumpedNeurons.of(side, edges) for side in sides]
        tents = problem.two_slopes.kink * tent(points, rule.dual.x, edges)
        projections = form.solve_rows(tents @ np.sum([of.slope.moments(of.basis) for of in lumped], axis=0).T)
        inverse, target = (
            form.solve_rows(np.eye(equations.target(problem.data.y).size)),
            equations.target(problem.data.y / size),
        )
        spread = np.sum([of.square.moments(of.basis) @ of.basis.T for of in lumped], axis=0)
        variance = inverse @ (spread - np.outer(target, target)) @ inverse
        total = np.zeros(points.size)
        for side, of in zip(sides, lumped, strict=True):
            (pull, bend), here = side.second_order(), places(side.nodes, edges)
            leverage, scatter = (quadratic_form(matrix, of.basis, *here) for matrix in (inverse, variance))
            mass = side.weights * (bend * scatter / 2 - pull * leverage)
            total += (tents - projections @ of.basis) @ hat_moments(mass, *here, edges.size)
        bias = rule.potential.grad_inverse(np.asarray(rule.dual.multipliers().sum()))
        return np.asarray(size * (copies * total - (projections @ equations.target(np.ones(problem.data.size))) * bias))


@dataclass(frozen=True, eq=False)
class LimitSums(InfluenceSums):
    """Sums of the influences on a limit over given neurons, in O(1) a neuron: what they need is linear between `edges`.

    Attributes
    ----------
    neurons : NeuronQuadrature
        The neurons of the limit.
    mean : Array, shape (N,)
        E[u] at the points.
    edges : Array, shape (E,)
        Points and data.
    tents : Array, shape (N, E)
        Tents of the points at the edges.
    projections : Array, shape (N, U)
        Unknowns of their projections.
    """

    neurons: NeuronQuadrature
    mean: Array
    edges: Array
    tents: Array
    projections: Array

    @np.errstate(over="ignore", divide="ignore")  # w next to 0 has its breakpoint far away
    def __call__(self, w: Array, b: Array) -> Array:
        equations, function = self.neurons.equations, self.neurons.dual
        sides = len(equations.factors)
        c, v, hats, moments = -b / w, np.abs(w), np.zeros(self.edges.size), []
        for row in range(sides):
            mine = np.isfinite(c) & ((w > 0) == (row == 0) if sides == 2 else True)
            at, size = c[mine], v[mine]
            dual = function(at)[row]
            curvature = np.sign(dual) * size * self.neurons.potential.grad_inverse(size * np.abs(dual))
            left, right = _shares(at, curvature, self.edges)
            hats += left + right
            beyond, (before, after) = np.zeros(2), (at < equations.x[0], at > equations.x[-1])
            for there, factor in zip((before, after), equations.factors[row], strict=True):
                beyond += factor * np.array([curvature[there] @ equations.tau(at[there]), curvature[there].sum()])
            left, right = _shares(at, curvature, equations.x)
            moments.append(Moments(left[:-1], right[1:], beyond))
        total = self.tents @ hats - self.projections @ equations.gathered(moments)
        return np.asarray(self.neurons.size * total)


def _shares(c: Array, mass: Array, edges: Array) -> tuple[Array, Array]:
    """Masses at c between edges, shared between the edge on the left and the one on the right, each of shape (E,)."""
    inside = (c >= edges[0]) & (c <= edges[-1])
    c, mass = c[inside], mass[inside]
    at = np.clip(np.searchsorted(edges, c, side="right") - 1, 0, edges.size - 2)
    share = (c - edges[at]) / np.diff(edges)[at]
    left, right = mass * (1 - share), mass * share
    return (
        np.asarray(np.bincount(at, left, edges.size), dtype=float),
        np.asarray(np.bincount(at + 1, right, edges.size), dtype=float),
    )
