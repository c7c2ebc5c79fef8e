r"""b ~ U(-B, B) and points beyond its reach: the closed form at all pairs, and what it counts too much as a mean over w.

Where :math:`|w \cdot x| \le B`, E|z z'| is :math:`E[z z'] + E|w \cdot (x - x')|^3/(6B)`, whose mean is closed for all
points (`cubic_means`). Elsewhere it counts units with |b| > B, too. With :math:`p = -w \cdot x - B`, and p' for x', both
signs of b counting alike, that is :math:`E[V(p, p')]/(3B)`,

.. math:: V(p, p') = |p - p'|^3 \text{ where } p, p' > 0, \qquad
          p_+^3 + 3 p_+^2\, (-p') \text{ where } p' \le 0, \text{ and its mirror image}.

V vanishes where x and x' are reached, and has two continuous derivatives. All but its first case, for which few samples
are in question, are matrix products: some ten times faster than a mean of the kernel, and two to four times as precise.
In the same way :math:`E[\mathrm{sgn}\, z\, \mathrm{sgn}\, z']` is
:math:`1 - E|w \cdot (x - x')|/B + 2 E|p_+ - p'_+|/B`. Derived here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from splinebias._array import Array
from splinebias.initialization.several_inputs.input_laws import SeveralInputs
from splinebias.limit.several_inputs.closed_kernels import UniformBiasKernel, sloped
from splinebias.limit.several_inputs.sampled_kernel import REPLICATES, Replicated, sobol_units

if TYPE_CHECKING:
    from splinebias.limit.several_inputs.tangent_kernels import TangentUniformBias

_NUMBERS = 2_000_000  # of points times samples, held at once


@dataclass(frozen=True, eq=False)
class KernelBeyond(Replicated):
    """The kernel above.

    Attributes
    ----------
    closed : UniformBiasKernel
        The closed form, of a law that does not change under (w, b) -> (-w, -b).
    law : SeveralInputs
        That law, which is sampled.
    draws, seed : int
        Samples in all, and where their randomness comes from.
    """

    closed: UniformBiasKernel
    law: SeveralInputs
    draws: int
    seed: int
    cost: int = field(default=2 + REPLICATES, init=False)

    def replicate(self, number: int, x: Array, x2: Array) -> Array:
        return self.closed.matrix(x, x2) + self.excess(number, x, x2)

    def matrix(self, x: Array, x2: Array) -> Array:
        total = self.closed.matrix(x, x2)
        for number in range(REPLICATES):
            total += self.excess(number, x, x2) / REPLICATES
        return total

    def excess(self, number: int, x: Array, x2: Array) -> Array:
        """What sample `number` adds to the closed form, shape (P, Q)."""
        return -2 * self.closed.cubic_factor * self._mean(number, x, x2, _volumes)

    def slope(self, x: Array, centres: Array, weights: Array) -> Array:
        total = np.zeros(x.shape)
        for w in self._samples:
            p2 = self._passed(w, centres)
            below, behind, beyond = weights @ (p2 <= 0), weights @ np.maximum(-p2, 0.0), weights @ np.maximum(p2, 0.0) ** 2
            for at, p in self._blocks(w, x):
                steep = np.where(p > 0, 3 * p * (p * below + 2 * behind), -3 * beyond)
                for i, far in _far(p):
                    apart = p[i, far] - p2[:, far]
                    steep[i, far] += 3 * (weights @ np.where(p2[:, far] > 0, np.sign(apart) * apart**2, 0.0))
                total[at] += steep @ w
        return self.closed.slope(x, centres, weights) + 2 * self.closed.cubic_factor / self._count * total

    def _mean(self, number: int, x: Array, x2: Array, made: Callable[[Array, Array], Array]) -> Array:
        """The mean over sample `number` of sums that `made` gives for p and p', a block of points at a time."""
        w = self._samples[number]
        p2 = self._passed(w, x2)
        if x is x2 and p2.size <= _NUMBERS:
            return np.asarray(made(p2, p2) / len(w))
        return np.asarray(np.concatenate([made(p, p2) for _, p in self._blocks(w, x)]) / len(w))

    def _passed(self, w: Array, x: Array) -> Array:
        """The p above of points (P, d), shape (P, n)."""
        return np.asarray(-self.closed.half_width - x @ w.T)

    def _blocks(self, w: Array, x: Array) -> Iterator[tuple[slice, Array]]:
        size = max(1, _NUMBERS // len(w))
        for first in range(0, max(len(x), 1), size):
            at = slice(first, first + size)
            yield at, self._passed(w, x[at])

    @property
    def modulo_affine(self) -> KernelBeyond:
        return KernelBeyond(self.closed.modulo_affine, self.law, self.draws, self.seed)

    @property
    def _count(self) -> int:
        return REPLICATES * len(self._samples[0])

    @cached_property
    def _samples(self) -> list[Array]:
        """The samples, w of shape (n, d)."""
        size = max(2, self.draws // REPLICATES)
        return [sobol_units(self.law, size, self.seed + k, bias=False)[0] for k in range(REPLICATES)]


@dataclass(frozen=True, eq=False)
class TangentBeyond(KernelBeyond):
    """What the kernel of both layers is beyond the biases, for a `TangentUniformBias`."""

    closed: TangentUniformBias

    def excess(self, number: int, x: Array, x2: Array) -> Array:
        hidden = self.closed.output_moment * (x @ x2.T + 1)
        return super().excess(number, x, x2) + hidden * self._excess_gates(number, x, x2)

    def slope(self, x: Array, centres: Array, weights: Array) -> Array:
        excess = np.mean([self._excess_gates(k, x, centres) for k in range(REPLICATES)], axis=0)
        return super().slope(x, centres, weights) + sloped(
            self.closed.output_moment, x, centres, weights, excess, self._pull_beyond
        )

    def _excess_gates(self, number: int, x: Array, x2: Array) -> Array:
        return self._gain * self._mean(number, x, x2, _lengths)

    def _pull_beyond(self, x: Array, centres: Array, coefficients: Array) -> Array:
        total = np.zeros(x.shape)
        for w in self._samples:
            p2 = self._passed(w, centres)
            for at, p in self._blocks(w, x):
                steep, shares = np.zeros(p.shape), coefficients[at]
                for i, far in _far(p):
                    steep[i, far] = shares[i] @ np.sign(p[i, far] - p2[:, far])
                total[at] -= steep @ w
        return self._gain / self._count * total

    @property
    def _gain(self) -> float:
        """What the mean of lengths beyond the biases counts in G."""
        return 2 * (self.closed.activation.kink / 2) ** 2 / self.closed.half_width

    @property
    def modulo_affine(self) -> TangentBeyond:
        return TangentBeyond(self.closed.modulo_affine, self.law, self.draws, self.seed)


def _volumes(p: Array, p2: Array) -> Array:
    """Sums of V over samples, shapes (P, n) and (Q, n): (P, Q)."""
    same = p is p2
    far2 = np.maximum(p2, 0.0)
    total = _one_beyond(far2, p).T
    total += total.T.copy() if same else _one_beyond(np.maximum(p, 0.0), p2)
    for i, there in _far(p):
        others = far2[i + 1 :, there] if same else far2[:, there]
        apart = np.abs(p[i, there] - others)
        apart[others == 0] = 0.0
        cubes = np.einsum("qn,qn,qn->q", apart, apart, apart)
        if same:
            total[i, i + 1 :] += cubes
            total[i + 1 :, i] += cubes
        else:
            total[i] += cubes
    return total


def _one_beyond(far: Array, p2: Array) -> Array:
    """The part of `_volumes` from samples whose first point is beyond the biases and whose second is not, (P, Q)."""
    square = far * far
    return np.asarray((square * far) @ (p2 <= 0).astype(float).T + 3 * (square @ np.maximum(-p2, 0.0).T))


def _lengths(p: Array, p2: Array) -> Array:
    """Sums of |p_+ - p'_+| over samples, (P, Q)."""
    return np.asarray(cdist(np.maximum(p, 0.0), np.maximum(p2, 0.0), "cityblock"))


def _far(p: Array) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Rows of p, and the samples for which they are positive."""
    for i, row in enumerate(p > 0):
        there = np.flatnonzero(row)
        if there.size:
            yield i, there
