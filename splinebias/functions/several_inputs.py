"""Functions of several inputs, f(x) for points x of shape (..., d), each with its gradient: networks, sums, one input."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import gammaln

from splinebias._arguments import at_finite, points_of, real_array, whole_number
from splinebias._array import Array
from splinebias.activation import Activation
from splinebias.errors import CapabilityError, DataError


class PointFunction(ABC):
    """A function of points of shape (..., d)."""

    def __call__(self, x: Any, nu: int = 0) -> Array:
        """Its values at points of shape (..., d), shape (...); nan at points with an input that is not finite.

        Raises
        ------
        CapabilityError
            For nu > 0: derivatives are in `gradient`.
        """
        if whole_number(nu, "nu"):
            raise CapabilityError(f"of several inputs there is no derivative number {nu}; see its `gradient`")
        points = real_array(x, "x")
        return at_finite(self.values, points, points=True) if points.ndim else self.values(points)

    @abstractmethod
    def values(self, x: Any) -> Array:
        """Values of the function at points of shape (..., d), shape (...)."""

    @abstractmethod
    def gradient(self, x: Any) -> Array:
        """The gradient of the function at points of shape (..., d), of their shape."""

    def cubes(self) -> tuple[Array, Array]:
        r"""Centres (M, d) and coefficients c (M,) if f is :math:`\sum_i c_i |x - x_i|^3` + an affine function.

        Raises
        ------
        CapabilityError
            If it is not.
        """
        raise CapabilityError(
            "only limits with w on the sphere, uniform biases and a free affine part have a finite Radon curvature in "
            f"closed form, got {self!r}"
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
            If f is no such sum: for other laws than b ~ U(-B, B) with w on the sphere, points with |x| > B, without a free
            affine part, and of networks, whose curvature is infinite.

        Notes
        -----
        Source: Jin & Montúfar, JMLR 24(137), 2023, theorem on several inputs (the functional); the sum: derived here.
        """
        centres, coefficients = self.cubes()
        d, root_pi = centres.shape[1], math.sqrt(math.pi)
        constant = math.exp(gammaln(d / 2) - gammaln((d + 3) / 2)) / root_pi
        area = 2 * math.exp(d / 2 * math.log(math.pi) - gammaln(d / 2))
        cubes = float(coefficients @ cdist(centres, centres) ** 3 @ coefficients)
        return float(12 * (2 * (2 * math.pi) ** (d - 1)) ** 2 / (constant * area) * cubes)


@dataclass(frozen=True, eq=False)
class Units(PointFunction):
    """What sums over n units of d inputs, at so many points at once as there is room for.

    Attributes
    ----------
    w : Array, shape (n, d)
        Hidden weights.
    b, a : Array, shape (n,)
        Biases and output weights.
    """

    w: Array
    b: Array
    a: Array

    def summed(self, x: Any, rows: Callable[[Array, Array], Array]) -> Array:
        """`rows` of points (N, d) and their pre-activations (N, n), for points (..., d): their shape and that of a row."""
        points = points_of(x, self.w.shape[1])
        flat, size = (
            points.reshape(-1, self.w.shape[1]),
            max(1, 4_000_000 // len(self.b)),
        )  # pre-activations that are held together
        parts = [flat[first : first + size] for first in range(0, max(len(flat), 1), size)]
        found = np.concatenate([rows(part, part @ self.w.T + self.b) for part in parts])
        return found.reshape(*points.shape[:-1], *found.shape[1:])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.b)} units of {self.w.shape[1]} inputs)"


@dataclass(frozen=True, eq=False, repr=False)
class UnitsFunction(Units):
    r""":math:`f(x) = \sum_k a_k \sigma(w_k \cdot x + b_k) + d + \text{slope} \cdot x + \text{intercept}`: a network.

    Attributes
    ----------
    w, b, a : Array
        As in `Units`.
    d : float
        Output bias.
    activation : Activation
        The :math:`\sigma` above.
    slope : Array, shape (d,)
        Of the skip connection.
    intercept : float
        Of the skip connection.
    """

    d: float
    activation: Activation
    slope: Array
    intercept: float

    def values(self, x: Any) -> Array:
        """f at points of shape (..., d), shape (...)."""
        offset = self.d + self.intercept
        return self.summed(x, lambda points, z: self.activation.value(z) @ self.a + points @ self.slope + offset)

    def gradient(self, x: Any) -> Array:
        """The gradient at points of shape (..., d), of their shape; on a kink that of one side."""
        return self.summed(x, lambda points, z: (self.activation.derivative(z) * self.a) @ self.w + self.slope)


@dataclass(frozen=True, eq=False)
class PointFunctionSum(PointFunction):
    """A sum of multiples of functions of several inputs, of which each is evaluated in its own way.

    Attributes
    ----------
    parts : tuple of callable
        The functions; the gradient needs that of all of them.
    factors : tuple of float
        Their factors; empty: all 1.
    """

    parts: tuple[Any, ...]
    factors: tuple[float, ...] = ()

    @property
    def _terms(self) -> list[tuple[float, Any]]:
        return list(zip(self.factors or (1.0,) * len(self.parts), self.parts, strict=True))

    def values(self, x: Any) -> Array:
        """The sum at points of shape (..., d), shape (...)."""
        points = real_array(x, "x")
        return np.asarray(sum(factor * np.asarray(part(points), dtype=float) for factor, part in self._terms))

    def gradient(self, x: Any) -> Array:
        """The gradient at points of shape (..., d), of their shape.

        Raises
        ------
        CapabilityError
            If a part has none.
        """
        points = real_array(x, "x")
        for part in self.parts:
            if not hasattr(part, "gradient"):
                raise CapabilityError(f"the gradient of a sum needs that of every part, and {part!r} has none")
        return np.asarray(sum(factor * np.asarray(part.gradient(points), dtype=float) for factor, part in self._terms))

    def cubes(self) -> tuple[Array, Array]:
        r"""Centres and coefficients of :math:`|x - x_i|^3` of all parts together: the curvature of a sum is that of these.

        Raises
        ------
        CapabilityError
            If a part has none, such as a network that a limit starts from.
        """
        found = []
        for factor, part in self._terms:
            try:
                centres, coefficients = part.cubes()
            except (AttributeError, CapabilityError) as error:
                raise CapabilityError(
                    "the Radon curvature of a sum is not the sum of curvatures and needs all parts as |x - x_i|^3, and "
                    f"{part!r} is none; what training adds to a start function has one: function.parts[-1].radon_curvature()"
                ) from error
            found.append((centres, factor * coefficients))
        return np.concatenate([centres for centres, _ in found]), np.concatenate([of for _, of in found])

    def __repr__(self) -> str:
        return " + ".join(repr(part) for part in self.parts)


@dataclass(frozen=True, eq=False)
class OfOneInput(PointFunction):
    """A function of one input for points of shape (..., 1).

    Attributes
    ----------
    line : callable
        The function of x, with derivatives by ``line(x, 1)`` where there are.
    """

    line: Any

    def values(self, x: Any) -> Array:
        """The function at points of shape (..., 1), shape (...)."""
        return np.asarray(self.line(points_of(x, 1)[..., 0]))

    def gradient(self, x: Any) -> Array:
        """The derivative of the function at points of shape (..., 1), of their shape."""
        return np.asarray(self.line(points_of(x, 1)[..., 0], 1))[..., None]

    def __repr__(self) -> str:
        return f"OfOneInput({self.line!r})"


def values_at(function: Any, x: Array, name: str) -> Array:
    """A function at points (M, d), checked: finite, shape (M,), or a DataError."""
    values = np.asarray(function(x), dtype=float)
    if values.shape != x.shape[:-1]:
        raise DataError(f"`{name}` must map points of shape {x.shape} to shape {x.shape[:-1]}, got {values.shape}")
    if not np.isfinite(values).all():
        where = x[~np.isfinite(values)][0]
        raise DataError(f"`{name}` must be finite, got {values[~np.isfinite(values)][0]} at x = {where.tolist()}")
    return values
