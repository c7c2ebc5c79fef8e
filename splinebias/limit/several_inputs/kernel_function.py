"""The functions that limits of several inputs are: sums of kernel functions, plus an affine function where that is free."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

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

    def cubes(self) -> tuple[Array, Array]:
        """The centres, and the coefficients of |x - x_i|^3: see `PointFunction.cubes`."""
        kernel = self.kernel.closed if isinstance(self.kernel, PiecewiseKernel) else self.kernel
        sums = self.multipliers @ np.c_[np.ones(len(self.centres)), self.centres]
        balanced = np.abs(sums).max() <= 1e-8 * np.abs(self.multipliers).sum()  # orthogonal to affine functions
        if not (type(kernel) is UniformBiasKernel and isinstance(kernel.cubic, SphereCubic) and balanced):
            raise CapabilityError(
                "only limits with w on the sphere, uniform biases and a free affine part are sums of |x - x_i|^3 and affine "
                'functions; take sb.Initialization.sphere(scipy.stats.uniform(-B, 2 * B), dim=d) and affine="free"'
            )
        if not kernel.reached(self.centres).all():
            raise CapabilityError("the density of breakpoints is not constant over the data; take a wider law of biases")
        return self.centres, kernel.cubic.constant * kernel.cubic_factor * self.multipliers

    def __repr__(self) -> str:
        return f"KernelFunction({len(self.centres)} centres of {self.centres.shape[1]} inputs, {type(self.kernel).__name__})"
