"""Curvature from the dual functions of two-slope activations: at any breakpoints, and between many data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from splinebias._array import Array
from splinebias.activation import TwoSlope
from splinebias.initialization.breakpoints import Side
from splinebias.limit.dual.dual_function import DualFunction, LineFrame, line_factors
from splinebias.limit.prediction import Prediction
from splinebias.limit.second_opinion.functional import EPS
from splinebias.limit.second_opinion.stretches import CLOSE, SMOOTH, Moments, Stretches
from splinebias.limit.second_opinion.weight_sizes import WeightSizes
from splinebias.problem import Problem

_LOOKS = (np.arange(16) + 0.5) / 16  # at a density that is said to be constant, between the ends of the data
_DIGITS = 1e-7  # of a dual function that must be left
_CLOSE = 10_000  # data between which densities are next to polynomials
_BLOCK = 2048  # gaps between data that are summed at a time


@dataclass(frozen=True, eq=False)
class Bends:
    """The curvature that dual functions ask for, side by side, at any breakpoints.

    Attributes
    ----------
    problem : Problem
        Of two slopes.
    function : DualFunction
        Its dual functions.
    rounding : Array, shape (S, M)
        How far they may be off at the data: of plus and minus, or of the one that both have.
    turn : float
        How far the slope of their line may be off.
    """

    problem: Problem
    function: DualFunction
    rounding: Array
    turn: float

    @classmethod
    def of(cls, prediction: Prediction) -> Bends:
        """The dual functions of the solver, or what the multipliers say they are."""
        if (known := prediction.dual_function) is not None:
            size = 4 * EPS * np.abs(known.nodal)
            if not known.free and prediction.problem.limit_potential.stiffness is not None:
                # solved at once: a sum of terms that may be larger; where it has next to no digits it is not to be trusted
                kinks, line = abs(known.activation.kink) * np.abs(known.values), np.abs(known.line(known.x))
                terms = np.array([kinks + abs(rest) * line for _, rest in known.factors])
                size += np.minimum(EPS / 2 * terms, _DIGITS * np.abs(known.nodal))
            return cls(prediction.problem, known, size, 4 * EPS * abs(known.beta) / known.span)
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
        return cls(problem, function, lost[: len(nodal)], EPS * float(blur.sum()))

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
        init = self.problem.initialization
        power = self.problem.limit_potential.moment_order
        return None if known else WeightSizes(init.pair_law, init.breakpoint_law, power)

    @cached_property
    def stiffness(self) -> float:
        """The stiffness of a quadratic potential."""
        stiffness = self.problem.limit_potential.stiffness
        assert stiffness is not None
        return stiffness

    @cached_property
    def breaks(self) -> Array:
        """Where the curvature is not smooth, data apart, and quantiles of the law."""
        law = self.problem.initialization.breakpoint_law
        places: list[Any] = [law.knots, law.support]
        if law.degree is None:
            places.append(law.landmarks)
        if self.sizes is not None:
            places += [side.zeros().place for side in self.function.sides]
        found = np.concatenate(places)
        return np.asarray(found[np.isfinite(found)])

    @cached_property
    def bounded(self) -> bool:
        """Whether the law is bounded and says where, as those of polynomial densities do."""
        law = self.problem.initialization.breakpoint_law
        return law.degree is not None and bool(np.isfinite(law.support).all())

    def corners(self, at: Stretches) -> tuple[Array, Array]:
        """Corners of the dual functions of every side, and of how far they may be off, each of shape (S, N, 2)."""
        c, function, x = at.frame, self.function, self.function.x
        g = np.array([np.interp(c, x, of) for of in function.nodal])
        lost = np.array([np.interp(c, x, of) for of in self.rounding])
        before, after = c < x[0], c > x[-1]
        line = function.line(c)
        for values, (first, rest) in zip(g, function.factors, strict=True):
            np.copyto(values, first * line, where=before)
            np.copyto(values, rest * line, where=after)
        if not self.problem.free:
            np.copyto(lost, self._away(c), where=(c[:, 1:] <= x[0]) | (c[:, :1] >= x[-1]))
        return self._known(g, lost)

    def corners_far(self, at: Stretches) -> tuple[Array, Array]:
        """Corners of the dual functions on the way to infinity, left and right, unless free."""
        function, ends = self.function, at.frame[:, 0]
        line = np.array([function.line(ends), -function.beta / function.span * at.frame[:, 1]]).T
        g = np.array(function.factors)[:, :, None] * line
        return self._known(g, np.zeros_like(g) + np.array([self._away(ends), self.turn * at.size]).T)

    def _away(self, c: Array) -> Array:
        """How far the line may be off."""
        return np.asarray(4 * EPS * abs(self.function.height) + self.turn * np.abs(c - self.function.frame.first))

    def _known(self, g: Array, lost: Array) -> tuple[Array, Array]:
        """Where a dual function is nothing by its form, that is known."""
        lost *= (g != 0).any(axis=-1, keepdims=True)
        return g, lost

    def moments(self, parts: list[tuple[Stretches, tuple[Array, Array]]]) -> list[Moments]:
        """Moments of the curvature on stretches with corners of the dual functions; densities are asked for all at once."""
        nodes = [at.nodes() for at, _ in parts]
        cuts = accumulate((of.size for of in nodes), initial=0)
        c = nodes[0].ravel() if len(nodes) == 1 else np.concatenate([of.ravel() for of in nodes])
        pieces = [slice(*ends) for ends in pairwise(cuts)]
        if self.sizes is None:
            plus, minus = (side.zeta(c) for side in self.sides)
            zeta = np.array([plus + minus] if self.problem.free else [plus, minus])
            if self.stiffness != 1:
                zeta /= self.stiffness
            return [
                Moments.of_density(at, zeta[:, piece].reshape(-1, *of.shape), *corners)
                for (at, corners), piece, of in zip(parts, pieces, nodes, strict=True)
            ]
        g, lost = (
            np.concatenate([(of[k] @ at.shape.spans).reshape(of[k].shape[0], -1) for at, of in parts], axis=1)
            for k in (0, 1)
        )
        bent, error = self._curvature(c, g, lost)
        return [
            Moments.of_curvature(at, bent[:, piece].reshape(2, *of.shape), error[:, piece].reshape(2, *of.shape))
            for (at, _), piece, of in zip(parts, pieces, nodes, strict=True)
        ]

    def _curvature(self, c: Array, g: Array, lost: Array) -> tuple[Array, Array]:
        """The curvature of both sides where dual functions are g, shape (S, n), and bounds on its errors, shape (2, n)."""
        assert self.sizes is not None
        bent, error = self.sizes.integrals(c, g, self.problem.limit_potential.grad_inverse)
        error += np.abs(bent) * np.fmin(lost / np.abs(g), 1.0)  # where g is nothing, so is what is lost, and what it bends
        return bent, error

    def between_data(self) -> tuple[Array, Array]:
        """What breakpoints between many data add to two sums over all of them, and bounds on the errors, each of shape (2,).

        To value and slope, times the span, at the first datum; if free, the way of f from its tangent there to the last
        datum, and the turn of its slope, times the span. For quadratic potentials, with a short rule, or where the density
        is constant with none: data are dense beside the scales of the law.
        """
        x, law = self.problem.data.x, self.problem.initialization.breakpoint_law
        act, free = self.activation, self.problem.free
        breaks = law.knots if law.degree == 0 else self.breaks
        breaks = breaks[(breaks > x[0]) & (breaks < x[-1])]
        edges = np.union1d(x, breaks) if breaks.size else x
        wide, nodal, rounding = np.diff(edges), self.function.nodal, self.rounding
        if breaks.size:
            nodal, rounding = (np.array([np.interp(edges, x, of) for of in rows]) for rows in (nodal, rounding))
        found, bounds, span = np.zeros(2), np.zeros(2), float(x[-1] - x[0])
        place = edges - (x[-1] if free else x[0])
        # units with w > 0 have z < 0 there
        sums = [(law.both, act.kink)] if free else [*zip(law.sides, (act.left, -act.right), strict=True)]
        for k, (side, factor) in enumerate(sums):
            if factor == 0:
                continue
            g, lost = (of[min(k, len(nodal) - 1)] for of in (nodal, rounding))
            if law.degree == 0:
                near, far, error = self._constant(side, edges, wide, g, lost, flat=not breaks.size)
            else:
                near, far, error = self._short(side, edges, g, lost)
            times = factor / self.stiffness
            value = -float((near * place[:-1]).sum() + (far * place[1:]).sum())
            slope = float((near + far).sum()) * span
            found += times * np.array([value, slope])
            bounds += abs(times) * error * span
        return found, bounds

    def _constant(
        self, side: Side, edges: Array, wide: Array, g: Array, lost: Array, *, flat: bool
    ) -> tuple[Array, Array, float]:
        """Between edges, the integrals of a constant density and g against both hats, and a bound on their sums.

        `flat`: it is one constant between all of them, and is looked at here and there.
        """
        places = edges[0] + (edges[-1] - edges[0]) * _LOOKS if flat else edges[:-1] + wide / 2
        zeta = side.zeta(places)
        level = float(zeta[0]) if flat else zeta
        spread = float(zeta.max() - zeta.min()) if flat else 0.0
        area, size = wide * (level / 6), np.abs(g)
        both = g[:-1] + g[1:]
        off = size * (8 * EPS) + lost
        error = 3 * float((area * (off[:-1] + off[1:])).sum())
        if spread > 0:
            error += spread / 2 * float((wide * (size[:-1] + size[1:])).sum())
        return area * (both + g[:-1]), area * (both + g[1:]), error

    def _short(self, side: Side, edges: Array, g: Array, lost: Array) -> tuple[Array, Array, float]:
        """The same of any density, by a short rule; block by block, so that what it needs stays near the processor."""
        near, far, error = np.empty(edges.size - 1), np.empty(edges.size - 1), 0.0
        off, size, shape = np.abs(g) * (8 * EPS) + lost, np.abs(g), CLOSE if edges.size > _CLOSE else SMOOTH
        for start in range(0, near.size, _BLOCK):
            block, after = slice(start, start + _BLOCK), slice(start + 1, start + 1 + _BLOCK)
            at = Stretches.between(edges[:-1][block], edges[after], shape)
            zeta = side.zeta(at.nodes())
            of = (zeta @ shape.squares).T * at.size
            g0, g1 = g[:-1][block], g[after]
            near[block], far[block] = of[0] * g0 + of[1] * g1, of[1] * g0 + of[3] * g1
            error += float(np.abs(near[block] - of[4] * g0 - of[5] * g1).sum())
            error += float(np.abs(far[block] - of[5] * g0 - of[7] * g1).sum())
            # where a node is matters as far as the density changes
            change = np.abs(zeta[:, 0] - zeta[:, -1]) + np.abs(zeta[:, 0] + zeta[:, -1] - 2 * zeta[:, zeta.shape[1] // 2])
            rounding = (of[0] + of[1]) * off[:-1][block] + (of[1] + of[3]) * off[after]
            error += float((rounding + change * (at.blur * at.size) * (size[:-1][block] + size[after])).sum())
        return near, far, error


def _levers(x: Array, weights: Array) -> tuple[Array, Array]:
    """At all j, sums of w_i (x_j - x_i) over i < j and of w_i (x_i - x_j) over i > j: no term is larger than need be."""
    steps = np.diff(x)  # of neighbours, exact or nearly so
    before = np.r_[0, np.cumsum(np.cumsum(weights)[:-1] * steps)]
    return before, np.r_[0, np.cumsum(np.cumsum(weights[::-1])[:-1] * steps[::-1])][::-1]
