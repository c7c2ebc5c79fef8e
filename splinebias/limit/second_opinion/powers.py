"""Sums of kernel functions at a few points: the second opinion on powers of ReLU and `NTK`."""

from __future__ import annotations

import math

import numpy as np

from splinebias.limit.prediction import Prediction
from splinebias.limit.second_opinion.functional import EPS, Functionals, looked_at
from splinebias.numerics.double_exponential import (
    PLAIN,
    on_pieces,
    to_infinity,
)
from splinebias.parameterization import NTK

_POWERS = 10_000_000  # products that the check of powers of ReLU may cost


def of_powers(prediction: Prediction) -> Functionals:
    r""":math:`\sum_i \lambda_i K(x, x_i)` at a few points, up to a line if that is free, for quadratic problems."""
    problem, weights = prediction.problem, prediction.multipliers
    x, act, law = problem.data.x, problem.homogeneous, problem.initialization.breakpoint_law
    span, looked = float(x[-1] - x[0]), looked_at(x)
    at = np.r_[x[0], x[-1], x[looked] + np.diff(x)[looked] / 2, x[0] - span / 2, x[-1] + span / 2]
    ends = [end for end in law.support if math.isfinite(end)]
    edges = np.unique(np.r_[x, at, law.knots, law.landmarks, ends])
    if edges.size * PLAIN.u.size * x.size > _POWERS:
        return Functionals(*np.zeros((4, 0)))
    outer, scales = edges[[0, -1]], np.array([edges[1] - edges[0], edges[-1] - edges[-2]])
    hidden = problem.initialization.output_second_moment if isinstance(problem.parameterization, NTK) else 0.0
    sums = np.zeros((at.size, 2))
    pieces = np.stack([edges[:-1], edges[1:]], axis=1)
    for rule in (on_pieces(pieces, PLAIN), to_infinity(outer, scales, np.array([-1.0, 1.0]), PLAIN)):
        for side, sign in zip(law.sides, (1, -1), strict=True):
            z = sign * (x - rule.nodes[..., None])
            of_output, of_hidden = side.zeta(rule.nodes, act.degree), hidden * side.zeta(rule.nodes, act.degree - 1)
            terms = [(act.value, of_output, weights, np.ones_like(at))]
            if hidden:
                terms += [
                    (act.derivative, of_hidden, weights, np.ones_like(at)),
                    (act.derivative, of_hidden, weights * x, at),
                ]
            for feature, density, multipliers, factors in terms:
                seen = feature(z)
                # multipliers are differences of order k + 2: each is off by the rounding of the largest
                g, sizes = seen @ multipliers, np.abs(seen).sum(axis=-1) * np.linalg.norm(multipliers)
                for k, (point, factor) in enumerate(zip(at, factors, strict=True)):
                    there = feature(sign * (point - rule.nodes)) * density * factor
                    lost = np.abs(sizes * there * rule.weights)
                    sums[k] += [float(of.sum()) for of in rule.rows(g * there)]
                    sums[k, 1] += 4 * EPS * float(lost[np.isfinite(lost)].sum())
    said = prediction.function(at)
    gap, bounds = sums[:, 0] - said, sums[:, 1]
    if problem.free:
        share = (at - at[0]) / (at[1] - at[0])
        gap = gap - ((1 - share) * gap[0] + share * gap[1])
        bounds = bounds + np.abs(1 - share) * bounds[0] + np.abs(share) * bounds[1]
    return Functionals(np.zeros_like(gap), gap, bounds, np.abs(said))
