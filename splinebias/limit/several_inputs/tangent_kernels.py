r"""Tangent kernels of networks of several inputs that train both layers (parameterization `NTK`).

.. math:: K(x, x') + E[a^2]\, (x \cdot x' + 1)\, G(x, x'), \qquad G = E[\sigma'(w \cdot x + b)\, \sigma'(w \cdot x' + b)],

K the kernel of the output weights. With half the sum m and half the difference h of the two slopes, and laws that do not
change under :math:`(w, b) \to (-w, -b)`, :math:`G = m^2 + h^2 E[\mathrm{sgn}\, z\, \mathrm{sgn}\, z']`:

- Gaussian (w, b): :math:`1 - 2\theta/\pi`, with the angle :math:`\theta` of `ArcCosine` (Cho & Saul 2009, degree 0);
- b ~ U(-B, B) and :math:`|w \cdot x| \le B`: :math:`1 - E|w \cdot (x - x')|/B` (derived here); for two inputs elsewhere by
  the same quadrature over directions as K;
- all others: closed in b, samples in w, together with K.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from splinebias._array import Array
from splinebias.errors import CapabilityError
from splinebias.limit.several_inputs.bias_moments import NormalBias, UniformBias
from splinebias.limit.several_inputs.closed_kernels import ArcCosine, UniformBiasKernel, sloped
from splinebias.limit.several_inputs.plane_kernel import PlaneKernel
from splinebias.limit.several_inputs.sampled_kernel import REPLICATES, SampledKernel


@dataclass(frozen=True)
class TangentArcCosine(ArcCosine):
    """Gaussian (w, b).

    Attributes
    ----------
    output_moment : float
        The E[a^2] above.
    """

    output_moment: float = 0.0
    cost = 5

    def matrix(self, x: Array, x2: Array) -> Array:
        products = x @ x2.T
        products += 1
        products *= self.output_moment
        products *= self.gates(x, x2)
        products += super().matrix(x, x2)
        return products

    def slope(self, x: Array, centres: Array, weights: Array) -> Array:
        gates = self.gates(x, centres)
        return super().slope(x, centres, weights) + sloped(self.output_moment, x, centres, weights, gates, self._pull)

    def gates(self, x: Array, x2: Array) -> Array:
        """The G above, shape (P, Q)."""
        dot, area = self._parts(x, x2)
        return np.asarray(self._mean**2 + self._half**2 * (1 - 2 / math.pi * np.arctan2(area, dot)))

    def _pull(self, x: Array, centres: Array, coefficients: Array) -> Array:
        dot, area = self._parts(x, centres)
        shares = np.divide(coefficients, area, out=np.zeros_like(area), where=area > 0)
        along = (shares * dot).sum(axis=1) / (self.s_w**2 * (x**2).sum(axis=1) + self.s_b**2)
        turned = shares @ centres - along[:, None] * x
        return np.asarray(2 / math.pi * self._half**2 * self.s_w**2 * turned)


@dataclass(frozen=True)
class TangentUniformBias(UniformBiasKernel):
    """b ~ U(-B, B), points that are reached.

    Attributes
    ----------
    output_moment : float
        The E[a^2] above.
    """

    output_moment: float = 0.0
    cost = 4

    def matrix(self, x: Array, x2: Array) -> Array:
        return super().matrix(x, x2) + self.output_moment * (x @ x2.T + 1) * self.gates(x, x2)

    def slope(self, x: Array, centres: Array, weights: Array) -> Array:
        gates = self.gates(x, centres)
        return super().slope(x, centres, weights) + sloped(self.output_moment, x, centres, weights, gates, self._pull)

    def gates(self, x: Array, x2: Array) -> Array:
        """The G above, shape (P, Q)."""
        act = self.activation
        mean, half = (act.right + act.left) / 2, act.kink / 2
        return np.asarray(mean**2 + half**2 * (1 - self.cubic.absolute(x, x2) / self.half_width))

    def _pull(self, x: Array, centres: Array, coefficients: Array) -> Array:
        factor = (self.activation.kink / 2) ** 2 / self.half_width
        return np.asarray(-factor * self.cubic.absolute_slope(x, centres, coefficients))

    @property
    def modulo_affine(self) -> TangentUniformBias:
        return TangentUniformBias(self.activation, self.cubic, self.half_width, False, self.output_moment)


@dataclass(frozen=True, eq=False)
class TangentPlane(PlaneKernel):
    """b ~ U(-B, B) and two inputs, by quadrature over the direction of w.

    Attributes
    ----------
    output_moment : float
        The E[a^2] above.
    """

    output_moment: float = 0.0

    def _values(self, x: Array, x2: Array) -> Array:
        _, weight, u, u2 = self._nodes(x, x2)
        hidden = ((x * x2).sum(axis=1) + 1) * self._gates(weight, u, u2)
        return np.asarray(super()._values(x, x2) + self.output_moment * hidden)

    def _slope_of(self, x: Array, x2: Array) -> Array:
        w, weight, u, u2 = self._nodes(x, x2)
        _, half, bias = self._slopes
        pull = weight * np.sign(u2 - u) * (np.abs(u) < bias.hi)
        gates = self._gates(weight, u, u2)
        turned = half**2 / bias.hi * np.einsum("pcn,pcnk->pk", pull, w)
        rest = gates[:, None] * x2 + ((x * x2).sum(axis=1) + 1)[:, None] * turned
        return np.asarray(super()._slope_of(x, x2) + self.output_moment * rest)

    def _gates(self, weight: Array, u: Array, u2: Array) -> Array:
        mean, half, bias = self._slopes
        apart = np.abs(np.clip(u, bias.lo, bias.hi) - np.clip(u2, bias.lo, bias.hi))
        return np.asarray(mean**2 + half**2 * (1 - (weight * apart).sum(axis=(1, 2)) / bias.hi))


@dataclass(frozen=True, eq=False)
class TangentSampled(SampledKernel):
    """Any law, as the mean over samples.

    Attributes
    ----------
    output_moment : float
        The E[a^2] above.
    """

    output_moment: float = 0.0

    def replicate(self, number: int, x: Array, x2: Array) -> Array:
        return super().replicate(number, x, x2) + self.output_moment * (x @ x2.T + 1) * self.gates(number, x, x2)

    def gates(self, number: int, x: Array, x2: Array) -> Array:
        """The G above of sample `number` alone, shape (P, Q)."""
        count, act, total = len(self._samples[number][0]), self.activation, np.zeros((len(x), len(x2)))
        for w, b in self._blocks(number, max(100, len(x) * len(x2))):
            u, u2 = x @ w.T, x2 @ w.T
            if self.moments is None:
                assert b is not None, "it was sampled with w"
                total += act.derivative(u + b) @ act.derivative(u2 + b).T
                continue
            p, q = act.right, act.left
            above = self.moments.above(-np.minimum(u[:, None], u2))[0].sum(axis=2)
            total += p * (p - q) * above + q * q * len(w)
            if q:
                total += q * (p - q) * self.moments.above(-np.maximum(u[:, None], u2))[0].sum(axis=2)
        return total / count

    def slope(self, x: Array, centres: Array, weights: Array) -> Array:
        gates = np.mean([self.gates(number, x, centres) for number in range(REPLICATES)], axis=0)
        return super().slope(x, centres, weights) + sloped(self.output_moment, x, centres, weights, gates, self._pull)

    def _pull(self, x: Array, centres: Array, coefficients: Array) -> Array:
        act, moments = self.activation, self.moments
        if not isinstance(moments, UniformBias | NormalBias):
            raise CapabilityError(
                "gradients of limits of NTK() networks by samples need a normal or uniform law of biases, whose density "
                f"smooths the steps; got {self.law.describe()}; take differences of values"
            )
        total, p, q = np.zeros(x.shape), act.right, act.left
        for number in range(REPLICATES):
            for w, _ in self._blocks(number, max(100, len(x) * len(centres))):
                u, u2 = (x @ w.T)[:, None], centres @ w.T
                steep = np.where(u < u2, p, q) * (p - q) * moments.density(-u)
                total += np.einsum("pqn,pq->pn", steep, coefficients) @ w
        return total / (REPLICATES * len(self._samples[0][0]))
