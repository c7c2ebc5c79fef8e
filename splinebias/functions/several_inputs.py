"""Functions of several inputs, f(x) for points x of shape (..., d), each with its gradient: networks, sums, one input."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from splinebias._arguments import at_finite, points_of, real_array, whole_number
from splinebias._array import Array
from splinebias.activation import Activation
from splinebias.errors import CapabilityError, DataError

_AT_ONCE = 4_000_000  # pre-activations held together


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
        """Its values at points of shape (..., d), shape (...)."""

    @abstractmethod
    def gradient(self, x: Any) -> Array:
        """Its gradient at points of shape (..., d), of their shape."""


@dataclass(frozen=True, eq=False)
class UnitsFunction(PointFunction):
    r""":math:`f(x) = \sum_k a_k \sigma(w_k \cdot x + b_k) + d + \text{slope} \cdot x + \text{intercept}`: a network.

    Attributes
    ----------
    w : Array, shape (n, d)
        Hidden weights.
    b, a : Array, shape (n,)
        Biases and output weights.
    d : float
        Output bias.
    activation : Activation
        The :math:`\sigma` above.
    slope : Array, shape (d,)
        Of the skip connection.
    intercept : float
        Of the skip connection.
    """

    w: Array
    b: Array
    a: Array
    d: float
    activation: Activation
    slope: Array
    intercept: float

    def values(self, x: Any) -> Array:
        """f at points of shape (..., d), shape (...)."""
        points = points_of(x, self.w.shape[1])
        flat, found = points.reshape(-1, self.w.shape[1]), []
        for at in self._blocks(len(flat)):
            found.append(self.activation.value(flat[at] @ self.w.T + self.b) @ self.a)
        units = np.concatenate(found)
        return np.asarray((units + flat @ self.slope + (self.d + self.intercept)).reshape(points.shape[:-1]))

    def gradient(self, x: Any) -> Array:
        """The gradient at points of shape (..., d), of their shape; on a kink that of one side."""
        points = points_of(x, self.w.shape[1])
        flat, found = points.reshape(-1, self.w.shape[1]), []
        for at in self._blocks(len(flat)):
            found.append((self.activation.derivative(flat[at] @ self.w.T + self.b) * self.a) @ self.w)
        return np.asarray((np.concatenate(found) + self.slope).reshape(points.shape))

    def _blocks(self, count: int) -> list[slice]:
        size = max(1, _AT_ONCE // len(self.b))
        return [slice(first, first + size) for first in range(0, max(count, 1), size)]

    def __repr__(self) -> str:
        return f"UnitsFunction({len(self.b)} units of {self.w.shape[1]} inputs)"


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
        """Its derivative at points of shape (..., 1), of their shape."""
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
