"""Sums of functions, and what counts as a function: anything that answers f(x), or has a `function` that does."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from splinebias._arguments import at_finite, real_array, whole_number
from splinebias._array import Array
from splinebias.errors import CapabilityError, DataError


def as_function(value: Any, name: str) -> Any:
    """What `value` computes: itself if it is callable and has no `function`, else that.

    Predictions, trainings and the like have their function as an attribute, networks as a method.

    Raises
    ------
    DataError
        If it is neither.
    """
    found = getattr(value, "function", None)
    if found is None or isinstance(value, FunctionSum):
        found = value
    elif inspect.ismethod(found) and not inspect.signature(found).parameters:
        found = found()
    elif inspect.ismethod(found):  # a study has many, each with its width and seed
        found = None
    if not callable(found) or isinstance(found, type):
        raise DataError(f"`{name}` must be a function of x, or have one as its `function`, got {value!r}")
    return found


@dataclass(frozen=True, eq=False)
class FunctionSum:
    """A sum of multiples of functions, a f(x) + b g(x) + ..., of which each is evaluated in its own way.

    Attributes
    ----------
    parts : tuple of callable
        The functions; derivatives need those of all of them.
    factors : tuple of float
        Their factors; empty: all 1.
    """

    parts: tuple[Any, ...]
    factors: tuple[float, ...] = ()

    def __call__(self, x: Any, nu: int = 0) -> Array:
        """Derivative number `nu` at `x`, same shape as `x`; nan where x is not finite.

        Raises
        ------
        CapabilityError
            If a part has no such derivative.
        """
        nu = whole_number(nu, "nu")
        return at_finite(lambda known: self._derivative_at(known, nu), real_array(x, "x"))

    def _derivative_at(self, x: Array, nu: int) -> Array:
        """Derivative number `nu` at finite `x`, same shape."""
        total = np.zeros(x.shape)
        for factor, part in zip(self.factors or (1.0,) * len(self.parts), self.parts, strict=True):
            try:
                values = part(x) if nu == 0 else part(x, nu)
            except TypeError as error:
                if nu == 0:
                    raise
                raise CapabilityError(
                    f"derivative number {nu} of a sum needs that of every part, and {part!r} takes x alone: {error}"
                ) from None
            total = total + factor * np.asarray(values, dtype=float)
        return total

    @property
    def knots(self) -> Array:
        """Points where the sum may fail to be smooth; AttributeError if a part does not know its own."""
        return np.unique(np.concatenate([np.asarray(part.knots, dtype=float) for part in self.parts]))

    @property
    def edges(self) -> Array:
        """The piece ends of all parts; AttributeError if a part does not know its own."""
        return np.unique(np.concatenate([np.asarray(part.edges, dtype=float) for part in self.parts]))

    def __repr__(self) -> str:
        return " + ".join(repr(part) for part in self.parts)
