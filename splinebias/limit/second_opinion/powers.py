r"""Sums of kernel functions at a few points: the second opinion on powers of ReLU and `NTK`.

Where the affine part is free and a neuron is active at all data and places, its feature is taken without the line in it,

.. math:: (z_0 + d)^k - z_0^k - k z_0^{k-1} d = \sum_{j \ge 2} \binom kj z_0^{k-j} d^j ,

d from the middle of the data: multipliers that sum to no line make the same of it, and neither they nor the sums over
neurons far out lose digits, or need moments, to lines of any size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.limit.kernels.features import reach
from splinebias.limit.prediction import Prediction
from splinebias.limit.second_opinion.functional import EPS, Functionals, looked_at
from splinebias.numerics.double_exponential import (
    FINE,
    PLAIN,
    PieceRule,
    fejer,
    on_pieces,
    to_infinity,
)
from splinebias.parameterization import NTK

_POWERS = 10_000_000  # products that the check of powers of ReLU may cost
_FEW = _MANY = 48  # pieces up to which all get a fine rule, and from which on those between data get a short one
_SHORT = fejer(16)


class _Layer(NamedTuple):
    r"""Sums :math:`\sum_j s_j(x) \sum_i \lambda_i s_j(x_i)\, K_\nu(x, x_i)` of the features of one layer.

    Attributes
    ----------
    feature : callable
        :math:`\sigma^{(\nu)}`.
    degree : int
        Its degree.
    moment : float
        A factor of all.
    multipliers : Array, shape (M, J)
        :math:`\lambda_i s_j(x_i)`.
    factors : Array, shape (P, J)
        :math:`s_j` at the places.
    middle, ends : float, tuple of float
        Of data and places: the origin of d above, and between which each neuron is taken as it is. Empty: all are.
    """

    feature: Callable[[Array], Array]
    degree: int
    moment: float
    multipliers: Array
    factors: Array
    middle: float = 0.0
    ends: tuple[float, ...] = ()

    def features(self, x: Array, c: Array, sign: int) -> Array:
        """Features of neurons that bend at `c` and have weights of this sign, at `x`: shape (*c.shape, x.size)."""
        values = self.feature(sign * (x - c[..., None]))
        if self.ends:
            active = c < self.ends[0] if sign > 0 else c > self.ends[1]
            start, d = sign * (self.middle - c[active])[:, None], sign * (x - self.middle)
            values[active] = sum(
                math.comb(self.degree, j) * start ** (self.degree - j) * d**j for j in range(2, self.degree + 1)
            )
        return values


def of_powers(prediction: Prediction) -> Functionals:
    r""":math:`\sum_i \lambda_i K(x, x_i)` at a few points, up to a line if that is free, for quadratic problems."""
    problem, weights = prediction.problem, prediction.multipliers
    x, act, law = problem.data.x, problem.homogeneous, problem.initialization.breakpoint_law
    span, looked = float(x[-1] - x[0]), looked_at(x)
    beyond = np.array([span / 2, reach(x, law)] if x.size <= act.degree else [span / 2])  # the law says more than few data
    at = np.r_[x[0], x[-1], x[looked] + np.diff(x)[looked] / 2, x[0] - beyond, x[-1] + beyond]
    marks = np.r_[law.knots, law.landmarks, [end for end in law.support if math.isfinite(end)]]
    edges = np.unique(np.r_[x, at, marks])
    if edges.size * PLAIN.u.size * x.size > _POWERS:
        return Functionals(*np.zeros((4, 0)))
    bent = (float(x[0] + span / 2), (float(at.min()), float(at.max()))) if problem.free and act.degree > 1 else ()
    layers = [_Layer(act.value, act.degree, 1.0, weights[:, None], np.ones((at.size, 1)), *bent)]
    if isinstance(problem.parameterization, NTK):
        both, places = np.array([weights, weights * x]).T, np.array([np.ones_like(at), at]).T
        hidden = problem.initialization.output_second_moment
        layers.append(_Layer(act.derivative, act.degree - 1, hidden, both, places))
    sums = np.zeros((2, at.size))
    for rule in _rules(edges, x, marks):
        for side, sign in zip(law.sides, (1, -1), strict=True):
            for layer in layers:
                density = layer.moment * side.zeta(rule.nodes, layer.degree)
                seen = layer.features(x, rule.nodes, sign)
                near = np.moveaxis(layer.features(at, rule.nodes, sign), -1, 0) * density
                # multipliers are differences of order k + 1, alternating sums of up to 2^(k+1) terms of the size of all
                lost = np.abs(near * np.abs(seen).sum(axis=-1) * rule.weights)
                lost[~np.isfinite(lost)] = 0.0
                rounding = 2.0 ** (act.degree + 1) * EPS * lost.sum(axis=(1, 2))
                columns = np.moveaxis(seen @ layer.multipliers, -1, 0), layer.multipliers.T, layer.factors.T
                for g, multipliers, factors in zip(*columns, strict=True):
                    value, bound = rule.rows(g * near)
                    sums[0] += value.sum(axis=-1) * factors
                    sums[1] += (bound.sum(axis=-1) + np.linalg.norm(multipliers) * rounding) * np.abs(factors)
    said = prediction.function(at)
    gap, bounds = sums[0] - said, sums[1]
    if problem.free:
        share = (at - at[0]) / (at[1] - at[0])
        gap = gap - ((1 - share) * gap[0] + share * gap[1])
        bounds = bounds + np.abs(1 - share) * bounds[0] + np.abs(share) * bounds[1]
    return Functionals(np.zeros_like(gap), gap, bounds, np.abs(said))


def _rules(edges: Array, x: Array, marks: Array) -> list[PieceRule]:
    """Rules between all `edges` and on both ways to infinity: a short one where only data and places are ends."""
    outer, scales = edges[[0, -1]], np.array([edges[1] - edges[0], edges[-1] - edges[-2]])
    pieces = np.stack([edges[:-1], edges[1:]], axis=1)
    inner = (pieces[:, 0] >= x[0]) & (pieces[:, 1] <= x[-1]) & ~np.isin(pieces, marks).any(axis=1)
    inner &= len(pieces) > _MANY
    long = FINE if len(pieces) <= _FEW else PLAIN
    groups = (inner, _SHORT), (~inner, long)
    return [
        *(on_pieces(pieces[of], rule) for of, rule in groups if of.any()),
        to_infinity(outer, scales, np.array([-1.0, 1.0]), long),
    ]
