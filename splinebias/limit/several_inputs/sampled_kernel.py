r"""Kernels of any law of several inputs as means over samples of w: scrambled Sobol points, or draws of a sampler.

The bias is averaged in closed form where its law has partial moments, and sampled with w elsewhere. Several
independent samples give as many kernels: their mean is the kernel, and how far they scatter says how sure that is.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from splinebias._array import Array
from splinebias.activation import TwoSlope
from splinebias.errors import CapabilityError
from splinebias.initialization.laws import Discrete, Law
from splinebias.initialization.several_inputs.input_laws import FromSampler, IndependentCoordinates, OnSphere, SeveralInputs
from splinebias.limit.several_inputs.bias_moments import BiasMoments, bias_moments
from splinebias.limit.several_inputs.closed_kernels import InputKernel

REPLICATES = 4  # independent samples
_NUMBERS = 200_000  # held at once: more leave the cache


class Replicated(InputKernel):
    """A kernel as the mean of those of `REPLICATES` independent samples."""

    @abstractmethod
    def replicate(self, number: int, x: Array, x2: Array) -> Array:
        """The kernel of sample `number` alone, shape (P, Q)."""

    def matrix(self, x: Array, x2: Array) -> Array:
        total = np.zeros((len(x), len(x2)))
        for number in range(REPLICATES):
            total += self.replicate(number, x, x2)
        return total / REPLICATES


@dataclass(frozen=True, eq=False)
class SampledKernel(Replicated):
    """A kernel as the mean over samples.

    Attributes
    ----------
    activation : TwoSlope
        The activation.
    law : SeveralInputs
        What is sampled.
    draws, seed : int
        Samples in all, and where their randomness comes from.
    """

    activation: TwoSlope
    law: SeveralInputs
    draws: int
    seed: int
    cost: int = field(default=2 + REPLICATES, init=False)

    def replicate(self, number: int, x: Array, x2: Array) -> Array:
        count, act = len(self._samples[number][0]), self.activation
        if self.moments is None:
            total = np.zeros((len(x), len(x2)))
            for w, b in self._blocks(number, 100):
                assert b is not None, "it was sampled with w"
                total += act.value(x @ w.T + b) @ act.value(x2 @ w.T + b).T
            return total / count
        same = x is x2
        rows, columns = np.triu_indices(len(x)) if same else (i.ravel() for i in np.indices((len(x), len(x2))))
        sums, (w, _) = np.empty(len(rows)), self._samples[number]
        u, u2 = x @ w.T, x2 @ w.T
        for at in (
            slice(first, first + max(1, _NUMBERS // count)) for first in range(0, len(rows), max(1, _NUMBERS // count))
        ):
            sums[at] = self.moments.products(act, u[rows[at]], u2[columns[at]]).sum(axis=-1)
        if not same:
            return (sums / count).reshape(len(x), len(x2))
        total = np.empty((len(x), len(x)))
        total[rows, columns] = total[columns, rows] = sums / count
        return total

    def slope(self, x: Array, centres: Array, weights: Array) -> Array:
        total, act = np.zeros(x.shape), self.activation
        for number in range(REPLICATES):
            for w, b in self._blocks(number, max(100, len(x) * len(centres))):
                u, u2 = x @ w.T, centres @ w.T
                if b is None:
                    assert self.moments is not None
                    steep = np.einsum("pqn,q->pn", self.moments.slopes(act, u[:, None], u2), weights)
                else:
                    steep = act.derivative(u + b) * (weights @ act.value(u2 + b))
                total += steep @ w
        return total / (REPLICATES * len(self._samples[0][0]))

    @cached_property
    def moments(self) -> BiasMoments | None:
        """The partial moments of the bias, None where it is sampled."""
        return None if isinstance(self.law, FromSampler) else bias_moments(_given_bias(self.law))

    @cached_property
    def _samples(self) -> list[tuple[Array, Array | None]]:
        """The samples: w of shape (n, d), and b of shape (n,) where it is sampled."""
        size = max(2, self.draws // REPLICATES)
        if isinstance(self.law, FromSampler):
            return [self.law.sample(size, np.random.default_rng([self.seed, k])) for k in range(REPLICATES)]
        return [sobol_units(self.law, size, self.seed + k, bias=self.moments is None) for k in range(REPLICATES)]

    def _blocks(self, number: int, pairs: int) -> Iterator[tuple[Array, Array | None]]:
        w, b = self._samples[number]
        size = max(1, _NUMBERS // pairs)
        for first in range(0, len(w), size):
            at = slice(first, first + size)
            yield w[at], None if b is None else b[at]


def sobol_units(law: SeveralInputs, size: int, seed: int, *, bias: bool) -> tuple[Array, Array | None]:
    """Scrambled Sobol points as units of a law, `size` rounded up to a power of two: w (n, d), and b (n,) if asked for."""
    from scipy.stats import norm, qmc

    d = law.inputs
    sequence = qmc.Sobol(d + bias, rng=np.random.default_rng([seed, 1]))
    cube = sequence.random_base2(int(np.ceil(np.log2(size))))
    cube = np.clip(cube, 1e-12, 1 - 1e-12)
    if isinstance(law, OnSphere):
        w = norm.ppf(cube[:, :d])
        w /= np.linalg.norm(w, axis=1, keepdims=True)
        law_of_bias = law.bias
    elif isinstance(law, IndependentCoordinates):
        weight, law_of_bias = law.laws
        w = _quantiles(weight, cube[:, :d])
    else:
        raise CapabilityError(f"no quantiles are known of {law.describe()}; draw from it: Initialization.from_sampler")
    return w, _quantiles(law_of_bias, cube[:, d]) if bias else None


def _quantiles(law: Law, u: Array) -> Array:
    """The values of a law at probabilities `u`, of their shape."""
    if isinstance(law, Discrete):
        order = np.argsort(law.values)
        ends = np.cumsum(np.asarray(law.probabilities)[order])
        return np.asarray(law.values)[order][np.minimum(np.searchsorted(ends, u), len(ends) - 1)]
    return np.asarray(law.frozen.ppf(u), dtype=float)


def _given_bias(law: SeveralInputs) -> object:
    """The law of the bias as the user wrote it."""
    if isinstance(law, OnSphere):
        return law.given
    assert isinstance(law, IndependentCoordinates)
    return law.given[1]
