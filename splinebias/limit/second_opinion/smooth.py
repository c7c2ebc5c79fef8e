r"""Sums of kernel functions of smooth neurons at a few places, over neurons that no solver takes.

.. math:: f(x) = E[\alpha(w, b)\, \sigma(wx + b)], \qquad \alpha(w, b) = \sum_i \lambda_i\, \sigma(w x_i + b) ,

up to a line if that is free. The law of each number is cut where its density is not smooth, and at quartile distances from
its median; pieces that begin or end where it is not smooth, and those to infinity, have double exponential rules, the others
Fejer's; half of the nodes tell the error. The solver takes Gauss rules between quantiles. Of steep activations, and of
multipliers that leave no digits, this knows nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from splinebias._array import Array
from splinebias.initialization.breakpoints import PairLaw
from splinebias.initialization.laws import Continuous, Law
from splinebias.initialization.weight_bias_laws import Independent, Joint, Mixture, OnUnitCircle
from splinebias.limit.prediction import Prediction
from splinebias.limit.second_opinion.functional import EPS, Functionals, looked_at
from splinebias.numerics.double_exponential import FINE, PLAIN, fejer

_ANGLES = 720  # of the unit circle
_AT_ONCE = 1 << 20  # features that are held
_CUTS = np.array([0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 16.0])  # quartile distances from the median, on either side
_SMOOTH = fejer(32)
_ROUNDING = 64 * EPS  # of multipliers and features, relative to sums of their sizes
_LEAST = 1e-18  # mass, of all, below which neurons are left out


def of_smooth(predictions: Sequence[Prediction]) -> list[Functionals]:
    """The function and the sum of kernel functions at data, in gaps and beyond them: one problem at several times."""
    problem = predictions[0].problem
    x, act = problem.line_data.x, problem.activation
    span, looked = float(x[-1] - x[0]), looked_at(x)
    at = np.r_[x[0], x[-1], x[looked] + np.diff(x)[looked] / 2, x[0] - span / 2, x[-1] + span / 2]
    unit = (problem.phi.stiffness or 1.0) if problem.scaled else 1.0
    multipliers = np.array([of.multipliers for of in predictions]) / unit
    sums = np.zeros((3, len(predictions), at.size))
    for w, b, masses in _neurons(problem.initialization.pair_law, max(1, _AT_ONCE // (x.size + at.size))):
        seen, there = (act.value(np.multiply.outer(places, w) + b) for places in (x, at))
        alpha, size = multipliers @ seen, np.abs(multipliers) @ np.abs(seen)
        sums[:2] += ((alpha * masses[:, None]) @ there.T).reshape(2, len(predictions), -1)
        sums[2] += (size * masses[0]) @ np.abs(there.T)
    found = []
    for prediction, whole, half, size in zip(predictions, *sums, strict=True):
        said = prediction.function(at)
        gap, bounds = whole - said, np.abs(whole - half) + _ROUNDING * size + 4 * EPS * np.abs(said)
        if problem.free:
            share = (at - at[0]) / (at[1] - at[0])
            gap = gap - ((1 - share) * gap[0] + share * gap[1])
            bounds = bounds + np.abs(1 - share) * bounds[0] + np.abs(share) * bounds[1]
        found.append(Functionals(np.zeros_like(gap), gap, bounds, np.abs(said)))
    return found


def _neurons(law: PairLaw, count: int) -> Iterator[tuple[Array, Array, Array]]:
    """Weights and biases, at most `count` at once, and the masses of a rule and of half of it, shape (2, N)."""
    w, b, masses = _rule(law)
    kept = masses[0] > _LEAST * masses[0].sum()
    w, b, masses = w[kept], b[kept], masses[:, kept]
    for first in range(0, w.size, count):
        block = slice(first, first + count)
        yield w[block], b[block], masses[:, block]


def _rule(law: PairLaw) -> tuple[Array, Array, Array]:
    """Neurons of the law of a pair, and both masses."""
    if isinstance(law, Mixture):
        parts = [_rule(part) for part in law.components]
        shares = [p * part[2] for p, part in zip(law.probabilities, parts, strict=True)]
        w, b = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
        return w, b, np.concatenate(shares, axis=1)
    if isinstance(law, OnUnitCircle):
        angle, whole = 2 * np.pi * np.arange(_ANGLES) / _ANGLES, np.full(_ANGLES, 1 / _ANGLES)
        return np.cos(angle), np.sin(angle), np.array([whole, 2 * whole * (np.arange(_ANGLES) % 2)])
    if isinstance(law, Joint):
        one, other, masses = _pairs(*[_of_density(_standard_normal, 0.0, 1.35, (), (-math.inf, math.inf))] * 2)
        size, axes = np.linalg.eigh(law.density.scatter)
        w, b = law.density.centre[:, None] + (axes * np.sqrt(size)) @ np.array([one, other])
        return w, b, masses
    if not isinstance(law, Independent):
        raise ValueError(f"no rule for {law.describe()}")
    return _pairs(*map(_of_one, law.laws))


def _pairs(one: tuple[Array, Array], other: tuple[Array, Array]) -> tuple[Array, Array, Array]:
    """All pairs of nodes of two numbers."""
    masses = one[1][:, :, None] * other[1][:, None, :]
    shape = masses.shape[1:]
    return np.repeat(one[0], shape[1]), np.tile(other[0], shape[0]), masses.reshape(2, -1)


def _of_one(law: Law) -> tuple[Array, Array]:
    """Nodes of the law of one number, and both masses, shape (2, q)."""
    if not isinstance(law, Continuous):
        return np.array(law.values), np.array([law.probabilities] * 2)
    low, middle, high = np.quantile(law.landmarks, [0.25, 0.5, 0.75])
    knots = [*law.knots, *(end for end in law.support if math.isfinite(end))]
    return _of_density(law.pdf, float(middle), float(high - low) or 1.0, knots, law.support)


def _of_density(
    pdf: Callable[[Array], Array], middle: float, scale: float, knots: Sequence[float], support: tuple[float, float]
) -> tuple[Array, Array]:
    """Nodes, and masses of both rules, from a density that is smooth between `knots`."""
    rough, cuts = np.unique(knots), middle + scale * np.r_[-_CUTS, 0.0, _CUTS]
    cuts = cuts[(cuts > support[0]) & (cuts < support[1])]
    if rough.size:
        cuts = cuts[np.abs(cuts[:, None] - rough).min(axis=1) > scale / 4]
    marks = np.union1d(cuts, rough)
    nodes, weights = [], []
    for left, right in pairwise(marks):
        rule = FINE if left in rough or right in rough else _SMOOTH
        nodes.append(left + (right - left) * rule.u)
        weights.append((right - left) * np.array([rule.weights, rule.half]))
    for end, sign in ((marks[0], -1.0), (marks[-1], 1.0)):
        if math.isinf(support[int(sign > 0)]):
            nodes.append(end + sign * scale * PLAIN.u / PLAIN.other)
            weights.append(scale * np.array([PLAIN.weights, PLAIN.half]) / PLAIN.other**2)
    at = np.concatenate(nodes)
    masses = np.concatenate(weights, axis=1) * pdf(at)
    masses[~np.isfinite(masses)] = 0.0
    return at, masses


def _standard_normal(x: Array) -> Array:
    return np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
