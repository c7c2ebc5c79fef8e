r"""Gradient descent of a network with large bias on inputs of any dimension, over the neurons that some datum activates."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import real_number, real_vector, whole_number
from splinebias._array import Array
from splinebias.errors import DataError
from splinebias.regimes.large_bias import unit_inputs
from splinebias.regimes.large_biases.sparse_step import blocked_dense_step, drawn_blocks, require_active

_BLOCK = 1 << 16


@dataclass(frozen=True, eq=False)
class DenseBiasNetwork:
    r"""A network :math:`m^{-1/2} \sum_r a_r [w_r \cdot u - b_r]_+` on M inputs of dimension d, without its dead neurons.

    Attributes
    ----------
    points, y : Array, shapes (M, d) and (M,)
        Unit inputs and targets.
    width : int
        The m above, dead neurons included.
    a, w, b : Array, shapes (k,), (k, d) and (k,)
        Neurons that are active on at least one datum at the start of training: the others get no gradient, ever.
    """

    points: Array
    y: Array
    width: int
    a: Array
    w: Array
    b: Array

    @classmethod
    def draw(cls, x: Any, y: Any, bias: float, *, width: int, seed: int = 0) -> DenseBiasNetwork:
        """Draw w ~ N(0, I), random signs a and b = B in blocks, keeping those neurons that some datum activates.

        Raises
        ------
        DataError
            For inputs that `bias_generalized_kernel` refuses, another number of targets, and a network of which no neuron
            is active on some point.
        """
        points, targets = unit_inputs(x), real_vector(y, "y")
        if targets.shape != points.shape[:1]:
            raise DataError(f"`x` and `y` must have one length, got {len(points)} and {targets.size}; one y a point")
        level, m = real_number(bias, "bias", at_least=0), whole_number(width, "width", at_least=1)
        kept = [
            (a[alive], w[alive])
            for a, w in drawn_blocks(m, points.shape[1], seed)
            if (alive := (w @ points.T >= level).any(axis=1)).any()
        ]
        a = np.concatenate([np.zeros(0), *(part[0] for part in kept)])
        w = np.concatenate([np.zeros((0, points.shape[1])), *(part[1] for part in kept)])
        network = cls(points, targets, m, a, w, np.full(a.size, level))
        require_active(network.active_fractions(), level, m)
        return network

    def values(self) -> Array:
        """Outputs at the data, shape (M,)."""
        found = np.zeros(len(self.y))
        for span in self._spans():
            found += np.maximum(self.w[span] @ self.points.T - self.b[span, None], 0).T @ self.a[span]
        return found / math.sqrt(self.width)

    def step(self, rate: float) -> tuple[DenseBiasNetwork, Array]:
        r"""One step of descent on the mean loss :math:`\frac1{2M} \sum r_i^2` in w and b; also the residual before."""
        w, b, r = blocked_dense_step(self.points, self.y, self.a, self.w, self.b, rate, width=self.width)
        return replace(self, w=w, b=b), r

    def active_fractions(self) -> Array:
        """Share of all m neurons that are active on each datum, shape (M,)."""
        counts = np.zeros(len(self.y))
        for span in self._spans():
            counts += (self.w[span] @ self.points.T >= self.b[span, None]).sum(axis=0)
        return counts / self.width

    def activity(self) -> NDArray[np.bool_]:
        """Which kept neuron is active on which datum, shape (k, M)."""
        return np.asarray(self.w @ self.points.T >= self.b[:, None])

    def _spans(self) -> list[slice]:
        return [slice(first, first + _BLOCK) for first in range(0, self.a.size, _BLOCK)]
