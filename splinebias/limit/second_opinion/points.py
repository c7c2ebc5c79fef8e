r"""Sums of kernel functions at a few places among points of several inputs, from means over units that no solver takes.

.. math:: f(x) = \sum_i \lambda_i \left(K(x, x_i) + E[a^2]\, (x \cdot x_i + 1)\, G(x, x_i)\right) ,

G for `NTK` only, at places on two lines: through the points that are far apart, and through two neighbours. With a free
affine part the bend along a line is what both must have, :math:`f(x) - (1 - s) f(x_j) - s f(x_k)` at :math:`x = (1 - s) x_j
+ s x_k`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.activation import TwoSlope
from splinebias.initialization.densities.scipy_parameters import law_name, shape_loc_scale
from splinebias.initialization.several_inputs.input_laws import IndependentCoordinates, OnSphere, SeveralInputs
from splinebias.limit.prediction import Prediction
from splinebias.limit.second_opinion import pair_means
from splinebias.limit.second_opinion.functional import EPS, Functionals
from splinebias.parameterization import NTK
from splinebias.problem import Problem

_ALONG = np.array([0.0, 1.0, 0.4, -0.3, 1.3])  # shares of the second point of a line: both, between, and beyond
_DRAWS = 2**14  # of laws without a closed form
_SURE = 5.0  # standard errors
_PAIRS = 4000  # at once
_CORNERS = 8  # inputs of a cube of which all corners are summed


class _Line(NamedTuple):
    """Places on a line through two points: these, and others at `shares`."""

    places: Array
    shares: Array

    @classmethod
    def through(cls, one: Array, other: Array, shares: Array) -> _Line:
        return cls(one + shares[:, None] * (other - one), shares)

    def bends(self, values: Array) -> Array:
        """What values at the places, along the first axis, are beyond their chord: at all but the two points."""
        shares = self.shares[2:].reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(values[2:] - (1 - shares) * values[0] - shares * values[1])


def of_points(prediction: Prediction) -> Functionals:
    """The function and the sum of kernel functions at places on two lines, or how both bend along them."""
    problem = prediction.problem
    x, found = problem.data.x, []
    weights = prediction.multipliers / ((problem.phi.stiffness or 1.0) if problem.scaled else 1.0)
    means = _Units.of(problem, x, weights)
    sampled = float(prediction.stats.get("sampling_error", 0.0)) * max(float(np.abs(problem.data.y).max()), 1e-300)
    lines = _lines(x, means)
    places = np.concatenate([line.places for line in lines])
    said, (integral, bound) = prediction.function(places), means.sums(places)
    bound = bound + _SURE * sampled
    if not problem.free:
        return Functionals(said, integral, bound, np.abs(said))
    cuts = np.cumsum([0, *(len(line.places) for line in lines)]).tolist()
    for line, first, last in zip(lines, cuts[:-1], cuts[1:], strict=True):
        at = slice(first, last)
        shares = np.abs(np.stack([1 - line.shares, line.shares]))
        lost = bound[at] + shares[0] * bound[first] + shares[1] * bound[min(first + 1, last - 1)]
        size = np.abs(said[at]).max()
        found.append(Functionals(line.bends(said[at]), line.bends(integral[at]), lost[2:], np.full(lost[2:].shape, size)))
    return Functionals(*(np.concatenate(of) for of in zip(*found, strict=True)))


def _lines(x: Array, means: _Units) -> list[_Line]:
    """Through two points far apart, and through one and its neighbour; where a formula ends, places do too."""
    first = int(((x - x.mean(axis=0)) ** 2).sum(axis=1).argmax())
    away = ((x - x[first]) ** 2).sum(axis=1)
    last, near = int(away.argmax()), int(np.where(away > 0, away, np.inf).argmin())
    if first == last:
        return [_Line.through(x[0], x[0] + 1.0, np.array([0.0, 1.0, 0.5]))]
    lines = [_Line.through(x[first], x[last], _ALONG)]
    if last != near:
        lines.append(_Line.through(x[first], x[near], np.array([0.0, 1.0, 0.5])))
    return [means.within(line) for line in lines]


class _Units(NamedTuple):
    """Sums over the units of a problem.

    Attributes
    ----------
    problem : Problem
        The problem.
    x : Array, shape (M, d)
        Its points.
    weights : Array, shape (M,)
        Their multipliers.
    normal : tuple of float or None
        Deviations of centred normal weights and biases.
    bounded : tuple of float or None
        B of biases uniform on (-B, B), and the a of weights uniform on (-a, a), infinite for weights on the sphere.
    """

    problem: Problem
    x: Array
    weights: Array
    normal: tuple[float, float] | None
    bounded: tuple[float, float] | None

    @classmethod
    def of(cls, problem: Problem, x: Array, weights: Array) -> _Units:
        """With what is known of the law."""
        law = problem.initialization.pair_law
        given = (law.given,) if isinstance(law, OnSphere) else law.given if isinstance(law, IndependentCoordinates) else ()
        names = {law_name(of) for of in given}
        centres = [shape_loc_scale(of) for of in given] if names in ({"norm"}, {"uniform"}) else []
        normal = bounded = None
        if names == {"norm"} and len(centres) == 2 and all(at == 0 for _, at, _ in centres):
            normal = float(centres[0][2]), float(centres[1][2])
        if names == {"uniform"} and all(abs(2 * at + wide) <= 4e-16 * wide for _, at, wide in centres):
            side = float(centres[0][2]) / 2 if len(centres) == 2 else np.inf
            bounded = float(centres[-1][2]) / 2, side
        return cls(problem, x, weights, normal, bounded)

    @property
    def _slopes(self) -> TwoSlope:
        act = self.problem.activation.two_slopes
        assert act is not None, "of several inputs there are two slopes"
        return act

    def within(self, line: _Line) -> _Line:
        """The line without places that leave the reach of all units, if all points are in it and there is no other rule."""
        if self.bounded is None or self.x.shape[1] == 2 or not self._reached(self.x).all():
            return line
        kept = self._reached(line.places)
        kept[:2] = True
        return _Line(line.places[kept], line.shares[kept])

    def _reached(self, x: Array) -> Array:
        assert self.bounded is not None
        bias, side = self.bounded
        size = np.linalg.norm(x, axis=1) if side == np.inf else side * np.abs(x).sum(axis=1)
        return np.asarray(size <= bias * (1 + 1e-15))

    def sums(self, places: Array) -> tuple[Array, Array]:
        """The sums at places (P, d), and bounds on their errors, each of shape (P,)."""
        problem, act = self.problem, self._slopes
        law, ntk = problem.initialization.pair_law, isinstance(problem.parameterization, NTK)
        assert isinstance(law, SeveralInputs)
        moment = problem.initialization.output_second_moment if ntk else 0.0
        found = self._known(places)
        if found is None:
            return self._drawn(law, moment, places)
        of_w, of_b = law.second_moments
        one, two = (np.sqrt(of_w * (of**2).sum(axis=1) + of_b) for of in (places, self.x))
        products, steep = places @ self.x.T + 1, max(act.right**2, act.left**2)
        kernel = found.outer + moment * products * found.hidden
        bound = found.outer_bound + moment * np.abs(products) * found.hidden_bound
        terms = steep * (np.multiply.outer(one, two) + moment * np.abs(products))
        return kernel @ self.weights, (bound + 16 * EPS * terms) @ np.abs(self.weights)

    def _known(self, places: Array) -> pair_means.Means | None:
        """Means of all pairs of places and points, if there is a rule."""
        act, x = self._slopes, self.x
        if self.normal is not None:
            return _blocks(lambda of: pair_means.of_normal(act, *self.normal, places, of), x, len(places))
        if self.bounded is None:
            return None
        bias, side = self.bounded
        here, there = self._reached(places), self._reached(x)

        def reached(of: Array) -> pair_means.Means:
            if side == np.inf:
                return pair_means.on_sphere(act, bias, places, of)
            return pair_means.in_cube(act, bias, side, places, of)

        if here.all() and there.all() and (side == np.inf or x.shape[1] <= _CORNERS):
            return _blocks(reached, x, len(places))
        if x.shape[1] > 2:
            return None
        found = np.array(np.broadcast_arrays(*reached(x))) if side < np.inf else np.zeros((4, len(places), len(x)))
        i, j = np.nonzero(~np.logical_and.outer(here, there) | (side == np.inf))
        for first in range(0, i.size, _PAIRS):
            at = i[first : first + _PAIRS], j[first : first + _PAIRS]
            one, two = places[at[0]], x[at[1]]
            if side == np.inf:
                made = pair_means.on_circle(act, bias, one, two)
            else:
                made = pair_means.on_square(act, bias, side, one, two)
            found[:, *at] = np.array(np.broadcast_arrays(*made))
        return pair_means.Means(*found)

    def _drawn(self, law: SeveralInputs, moment: float, places: Array) -> tuple[Array, Array]:
        """Sums of kernel functions with the multipliers at the places, and how sure, from draws of the law."""
        act, total = self._slopes, np.zeros((2, len(places)))
        rng, size = np.random.default_rng(20), max(1, 100 * _PAIRS // len(self.x))
        if moment:
            products = (places @ self.x.T + 1) * self.weights
        for first in range(0, _DRAWS, size):
            w, b = law.sample(min(size, _DRAWS - first), rng)
            at, here = self.x @ w.T + b[None], places @ w.T + b[None]
            one = (self.weights @ act.value(at)) * act.value(here)
            if moment:
                one = one + moment * (products @ act.derivative(at)) * act.derivative(here)
            total += np.array([one.sum(axis=1), (one**2).sum(axis=1)])
        mean, square = total / _DRAWS
        return mean, _SURE * np.sqrt(np.maximum(square - mean**2, 0.0) / _DRAWS)


def _blocks(made: object, x: Array, places: int) -> pair_means.Means:
    """Means of all points (M, d), a block of them at a time."""
    assert callable(made)
    size = max(1, _PAIRS // places)
    parts = [made(x[first : first + size]) for first in range(0, len(x), size)]
    shapes = [(places, len(part.outer[0])) for part in parts]
    return pair_means.Means(
        *(
            np.concatenate([np.broadcast_to(of, shape) for of, shape in zip(column, shapes, strict=True)], axis=1)
            for column in zip(*parts, strict=True)
        )
    )
