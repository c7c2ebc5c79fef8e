r"""Gradient descent of a network with large bias on univariate data, at the cost of its active neurons.

A neuron :math:`[w \cdot u - b]_+` with :math:`|w| = \rho`, b >= 0 is active on the arc of directions u within
:math:`\arccos(b/\rho)` of its own. With data sorted by direction those are a run, so that sums over pairs (neuron, datum)
become differences of running sums: a step costs O(active neurons + M). Neurons without a run get no gradient and never move.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import real_number, real_vector, whole_number
from splinebias._array import Array
from splinebias.errors import DataError
from splinebias.regimes.large_bias import unit_inputs


@dataclass(frozen=True, eq=False)
class BiasNetwork:
    r"""A network :math:`m^{-1/2} \sum_r a_r [w_r \cdot u - b_r]_+` on M univariate inputs u, without its dead neurons.

    Attributes
    ----------
    points, y : Array, shapes (M, 2) and (M,)
        Unit inputs sorted by direction, and targets.
    width : int
        The m above, dead neurons included.
    a, w, b : Array, shapes (k,), (k, 2) and (k,)
        Neurons that are active on at least one datum at the start of training.
    """

    points: Array
    y: Array
    width: int
    a: Array
    w: Array
    b: Array

    @classmethod
    def draw(cls, x: Any, y: Any, bias: float, *, width: int, seed: int = 0) -> BiasNetwork:
        """Draw w ~ N(0, I), random signs a and b = B in blocks, keeping those neurons that some datum activates."""
        abscissae, targets = real_vector(x, "x"), real_vector(y, "y")
        if abscissae.shape != targets.shape:
            raise DataError(f"`x` and `y` must have one length, got {abscissae.size} and {targets.size}; one y a point")
        level, m = real_number(bias, "bias", at_least=0), whole_number(width, "width", at_least=1)
        order = np.argsort(-abscissae)  # directions of (x, 1) grow as x falls
        network = cls(unit_inputs(abscissae[order]), targets[order], m, np.zeros(0), np.zeros((0, 2)), np.zeros(0))
        kept = []
        for a, w in drawn_blocks(m, 2, seed):
            lower, upper, _ = network.runs(w, np.full(a.size, level))
            alive = upper > lower
            kept.append((a[alive], w[alive]))
        a, w = np.concatenate([part[0] for part in kept]), np.concatenate([part[1] for part in kept])
        found = replace(network, a=a, w=w, b=np.full(a.size, level))
        require_active(found.active_fractions(), level, m)
        return found

    def runs(self, w: Array, b: Array) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
        """First and past-last datum of the run of each neuron, and whether it is active inside it (b >= 0) or outside."""
        inside = b >= 0
        flip = np.where(inside, 1.0, -1.0)
        centre = np.arctan2(flip * w[:, 1], flip * w[:, 0])
        centre = np.where(centre < -math.pi / 2, centre + 2 * math.pi, centre)  # data lie in (0, pi)
        half = np.arccos(np.minimum(np.abs(b) / np.hypot(w[:, 0], w[:, 1]), 1.0))
        directions = np.arctan2(self.points[:, 1], self.points[:, 0])
        lower, upper = np.searchsorted(directions, centre - half), np.searchsorted(directions, centre + half, side="right")
        return lower, np.maximum(lower, upper), inside

    def values(self) -> Array:
        """Outputs at the data in order of direction, shape (M,)."""
        return self._values(self.runs(self.w, self.b))

    def _values(self, runs: tuple[Any, Any, Any]) -> Array:
        lower, upper, inside = runs
        sign, size = np.where(inside, self.a, -self.a), len(self.y)
        coefficients = []
        for part in (self.w[:, 0], self.w[:, 1], -self.b):
            weights = sign * part
            steps = np.bincount(lower, weights, size + 1) - np.bincount(upper, weights, size + 1)
            coefficients.append(np.cumsum(steps)[:-1] + float((self.a * part)[~inside].sum()))
        along, across, offset = coefficients
        return np.asarray((along * self.points[:, 0] + across * self.points[:, 1] + offset) / math.sqrt(self.width))

    def step(self, rate: float) -> tuple[BiasNetwork, Array]:
        r"""One step of descent on the mean loss :math:`\frac1{2M} \sum r_i^2` in w and b; also the residual before."""
        runs = self.runs(self.w, self.b)
        lower, upper, inside = runs
        r = self._values(runs) - self.y
        sums = np.zeros((3, r.size + 1))
        np.cumsum(np.stack([r * self.points[:, 0], r * self.points[:, 1], r]), axis=1, out=sums[:, 1:])
        within = sums[:, upper] - sums[:, lower]
        pull = np.where(inside, within, sums[:, -1:] - within)
        move = -rate / (r.size * math.sqrt(self.width)) * self.a * pull
        return replace(self, w=self.w + move[:2].T, b=self.b - move[2]), r

    def active_fractions(self) -> Array:
        """Share of all m neurons that are active on each datum, shape (M,)."""
        lower, upper, inside = self.runs(self.w, self.b)
        one = np.where(inside, 1.0, -1.0)
        steps = np.bincount(lower, one, self.y.size + 1) - np.bincount(upper, one, self.y.size + 1)
        return np.asarray((np.cumsum(steps)[:-1] + (~inside).sum()) / self.width)

    def activity(self) -> NDArray[np.bool_]:
        """Which kept neuron is active on which datum, shape (k, M): dense, for counting flips."""
        return np.asarray(self.w @ self.points.T >= self.b[:, None])


def drawn_blocks(width: int, dimension: int, seed: int) -> Iterator[tuple[Array, Array]]:
    """All neurons of the start in blocks, as (a, w): the draw of both kinds of networks."""
    rng = np.random.default_rng(seed)
    for first in range(0, width, 1 << 17):
        size = min(1 << 17, width - first)
        w = rng.standard_normal((size, dimension))
        yield rng.choice([-1.0, 1.0], size), w


def require_active(fractions: Array, level: float, width: int) -> None:
    """Refuse networks of which no neuron is active on some point: no step changes their value there."""
    if not (fractions > 0).all():
        where = "on any point" if not fractions.any() else f"on {int((fractions == 0).sum())} of {fractions.size} points"
        raise DataError(
            f"`bias` must leave neurons active on every point, got B = {level:g} at width {width}: none is {where}; "
            "lower B or widen"
        )


def blocked_dense_step(
    points: Array, y: Array, a: Array, w: Array, b: Array, rate: float, *, width: int | None = None, block: int = 1 << 16
) -> tuple[Array, Array, Array]:
    """The same step over all neurons in blocks that fit a cache: the twin of `BiasNetwork.step`. New w, new b, residual.

    Inputs of any dimension; `width` counts neurons that are not given because they are dead.
    """
    scale, values = 1 / math.sqrt(width or a.size), np.zeros(len(y))
    spans = [slice(first, first + block) for first in range(0, a.size, block)]
    for span in spans:
        values += np.maximum(w[span] @ points.T - b[span, None], 0).T @ a[span]
    r = scale * values - y
    new_w, new_b = np.empty_like(w), np.empty_like(b)
    for span in spans:
        pull = (w[span] @ points.T >= b[span, None]) * r
        factor = rate * scale / len(y) * a[span]
        new_w[span] = w[span] - factor[:, None] * (pull @ points)
        new_b[span] = b[span] + factor * pull.sum(axis=1)
    return new_w, new_b, r
