r"""Gradient descent of a network with large bias on inputs of any dimension, over the neurons that some datum activates."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import real_vector
from splinebias._array import Array
from splinebias.regimes.large_bias.active_neurons import BLOCK, ActiveNeurons, require_targets
from splinebias.regimes.large_bias.kernel import unit_inputs


@dataclass(frozen=True, eq=False)
class DenseBiasNetwork(ActiveNeurons):
    r"""A network :math:`m^{-1/2} \sum_r a_r [w_r \cdot u - b_r]_+` on inputs of any dimension, as `ActiveNeurons`."""

    @classmethod
    def draw(cls, x: Any, y: Any, bias: float, *, width: int, seed: int = 0) -> DenseBiasNetwork:
        """The network of M inputs `x`, of shape (M, d), at its start; as `ActiveNeurons.drawn`."""
        points, targets = unit_inputs(x), real_vector(y, "y")
        require_targets(points, targets)
        return cls.drawn(points, targets, bias, width=width, seed=seed)

    def reached(self, w: Array, level: float) -> NDArray[np.bool_]:
        """Which neurons with weights w and bias `level` some datum activates."""
        return np.asarray((w @ self.points.T >= level).any(axis=1))

    def step(self, rate: float) -> tuple[DenseBiasNetwork, Array]:
        r"""One step of descent on the mean loss :math:`\frac1{2M} \sum r_i^2` in w and b; also the residual before."""
        w, b, r = blocked_dense_step(self.points, self.y, self.a, self.w, self.b, rate, width=self.width)
        return replace(self, w=w, b=b), r

    def active_fractions(self) -> Array:
        """Share of all m neurons that are active on each datum, shape (M,)."""
        counts = sum((self.w[span] @ self.points.T >= self.b[span, None]).sum(axis=0) for span in self.spans())
        return np.asarray(counts / self.width)


def blocked_dense_step(
    points: Array, y: Array, a: Array, w: Array, b: Array, rate: float, *, width: int | None = None, block: int = BLOCK
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
