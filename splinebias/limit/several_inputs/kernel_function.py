"""The functions that limits of several inputs are: sums of kernel functions, plus an affine function where that is free."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import gammaln

from splinebias._arguments import points_of
from splinebias._array import Array
from splinebias.errors import CapabilityError
from splinebias.functions.several_inputs import PointFunction
from splinebias.limit.several_inputs.closed_kernels import InputKernel, PiecewiseKernel, UniformBiasKernel
from splinebias.limit.several_inputs.cubic_means import SphereCubic


@dataclass(frozen=True, eq=False)
class KernelFunction(PointFunction):
    r""":math:`f(x) = \sum_i \lambda_i K(x, x_i) + \text{slope} \cdot x + \text{intercept}`.

    Attributes
    ----------
    kernel : InputKernel
        The K above.
    centres : Array, shape (M, d)
        The points :math:`x_i`.
    multipliers : Array, shape (M,)
        The :math:`\lambda_i`.
    affine : Array, shape (d + 1,)
        Slope and intercept.
    """

    kernel: InputKernel = field(repr=False)
    centres: Array
    multipliers: Array
    affine: Array

    def values(self, x: Any) -> Array:
        """f at points of shape (..., d), shape (...)."""
        points = points_of(x, self.centres.shape[1])
        flat = points.reshape(-1, points.shape[-1])
        sums = self.kernel.combination(flat, self.centres, self.multipliers)
        return np.asarray((sums + flat @ self.affine[:-1] + self.affine[-1]).reshape(points.shape[:-1]))

    def gradient(self, x: Any) -> Array:
        """The gradient of f at points of shape (..., d), of their shape."""
        points = points_of(x, self.centres.shape[1])
        flat = points.reshape(-1, points.shape[-1])
        return np.asarray(
            (self.kernel.gradient(flat, self.centres, self.multipliers) + self.affine[:-1]).reshape(points.shape)
        )

    def radon_curvature(self) -> float:
        r"""The penalty of constant :math:`\zeta` as a curvature of f:

        .. math:: \int_{S^{d-1}} \int_{\mathbb R} \left(R\{(-\Delta)^{(d+1)/2} f\}(V, c)\right)^2 dc\, dV
                  = \frac{12\, (2(2\pi)^{d-1})^2}{c_d\, |S^{d-1}|} \sum_{ij} c_i c_j |x_i - x_j|^3,

        R the Radon transform, :math:`f = \sum_i c_i |x - x_i|^3` + an affine function, c_d as in `SphereCubic`. For d = 1 it
        is :math:`2 \int f''^2`. Of ReLU networks it is :math:`(2(2\pi)^{d-1})^2 \zeta` times the penalty,
        :math:`1/\zeta = 2 B |S^{d-1}|`. Of all functions with the same values at the points, f has the least.

        Raises
        ------
        CapabilityError
            If f is no such sum: for other laws than b ~ U(-B, B) with w on the sphere, points with |x| > B, or without a
            free affine part.

        Notes
        -----
        Source: Jin & Montúfar, JMLR 24(137), 2023, theorem on several inputs (the functional); the sum: derived here.
        """
        kernel = self.kernel.closed if isinstance(self.kernel, PiecewiseKernel) else self.kernel
        sums = self.multipliers @ np.c_[np.ones(len(self.centres)), self.centres]
        balanced = np.abs(sums).max() <= 1e-8 * np.abs(self.multipliers).sum()  # orthogonal to affine functions
        if not (isinstance(kernel, UniformBiasKernel) and isinstance(kernel.cubic, SphereCubic) and balanced):
            raise CapabilityError(
                "only limits with w on the sphere, uniform biases and a free affine part are sums of |x - x_i|^3 and affine "
                'functions; take sb.Initialization.sphere(scipy.stats.uniform(-B, 2 * B), dim=d) and affine="free"'
            )
        if not kernel.reached(self.centres).all():
            raise CapabilityError("the density of breakpoints is not constant over the data; take a wider law of biases")
        d, share = self.centres.shape[1], kernel.modulo_affine.matrix(self.centres, self.centres)
        weight = kernel.cubic.constant * kernel.cubic_factor  # of |x - x_i|^3 in the kernel
        area = 2 * math.exp(d / 2 * math.log(math.pi) - gammaln(d / 2))
        cubes = weight * float(self.multipliers @ share @ self.multipliers)
        return float(12 * (2 * (2 * math.pi) ** (d - 1)) ** 2 / (kernel.cubic.constant * area) * cubes)

    def __repr__(self) -> str:
        return f"KernelFunction({len(self.centres)} centres of {self.centres.shape[1]} inputs, {type(self.kernel).__name__})"
