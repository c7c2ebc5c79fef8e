r"""Gradient descent of a network with large bias on univariate data, at the cost of its active neurons.

A neuron :math:`[w \cdot u - b]_+` with :math:`|w| = \rho`, b >= 0 is active on the arc of directions u within
:math:`\arccos(b/\rho)` of its own. With data sorted by direction those are a run, so that sums over pairs (neuron, datum)
become differences of running sums: a step costs O(active neurons + M). Neurons without a run get no gradient and never move.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import real_vector
from splinebias._array import Array
from splinebias.regimes.large_bias.active_neurons import ActiveNeurons, require_targets
from splinebias.regimes.large_bias.kernel import unit_inputs


@dataclass(frozen=True, eq=False)
class BiasNetwork(ActiveNeurons):
    r"""A network :math:`m^{-1/2} \sum_r a_r [w_r \cdot u - b_r]_+` on univariate inputs, see `ActiveNeurons`."""

    @classmethod
    def draw(cls, x: Any, y: Any, bias: float, *, width: int, seed: int = 0) -> BiasNetwork:
        """The network of M abscissae `x`, in another order, at its start; as `ActiveNeurons.drawn`."""
        abscissae, targets = real_vector(x, "x"), real_vector(y, "y")
        require_targets(abscissae, targets)
        order = np.argsort(-abscissae)  # directions of (x, 1) grow as x falls
        return cls.drawn(unit_inputs(abscissae[order]), targets[order], bias, width=width, seed=seed)

    def reached(self, w: Array, level: float) -> NDArray[np.bool_]:
        """Which neurons with weights w and bias `level` have a run."""
        lower, upper, _ = self.runs(w, np.full(len(w), level))
        return upper > lower

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

    def _values(self, lower: Any, upper: Any, inside: Any) -> Array:
        """Outputs at the data in order of direction, shape (M,), from the `runs`."""
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
        lower, upper, inside = self.runs(self.w, self.b)
        r = self._values(lower, upper, inside) - self.y
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
