"""Sums of functions, and what counts as a function: anything that answers f(x), or has a `function` that does."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from splinebias._arguments import at_finite, real_array, real_number, whole_number
from splinebias._array import Array
from splinebias.errors import CapabilityError, DataError
from splinebias.functions.by_values import integral, roots
from splinebias.functions.json_state import JsonText, checked_list, checked_object, numbers


def as_function(value: Any, name: str) -> Any:
    """What `value` computes: itself if it is callable and has no `function`, else that.

    Predictions, trainings and the like have their function as an attribute, networks as a method.

    Raises
    ------
    DataError
        If it is neither, or a torch module.
    """
    if hasattr(value, "state_dict") and hasattr(value, "parameters"):
        raise DataError(f"`{name}` must be a function of numpy arrays, got a torch module; take sb.from_torch(module)")
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
class FunctionSum(JsonText):
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
        for factor, part in zip(self._factors, self.parts, strict=True):
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

    def integrate(self, a: float, b: float) -> float:
        r"""The integral :math:`\int_a^b f`: of each part in its own way, or of its values between the knots that it has."""
        a, b = real_number(a, "a"), real_number(b, "b")

        def over(part: Any) -> Any:
            if hasattr(part, "integrate"):
                return part.integrate(a, b)
            return integral(lambda x: np.asarray(part(x), dtype=float), a, b, _cuts(part))

        return float(sum(factor * over(part) for factor, part in zip(self._factors, self.parts, strict=True)))

    def roots(self, level: float = 0.0, interval: tuple[float, float] | None = None) -> Array:
        """Points of the interval (lo, hi), which has to be given, where f equals `level`, sorted.

        Looked for between the edges of the parts that have some and a thousand even points: of several closer than that some
        may be missed.

        Raises
        ------
        DataError
            Without an interval.
        CapabilityError
            If a part has no derivative.
        """
        return roots(self, level, interval, np.concatenate([_cuts(part) for part in self.parts]))

    def _state(self) -> dict[str, Any]:
        states = []
        for part in self.parts:
            if type(part).__name__ not in _kinds() or _kinds()[type(part).__name__] is not type(part):
                raise CapabilityError(f"a sum is written as text where every part is one of the library's, got {part!r}")
            states.append({"kind": type(part).__name__, "function": part._state()})
        return {"parts": states, "factors": list(self._factors)}

    @classmethod
    def _arguments(cls, state: dict[str, Any]) -> dict[str, Any]:
        """Arguments that make the function with a `_state`; DataError if it is none."""
        state = checked_object(state, f"a {cls.__name__}", ("parts", "factors"))
        factors, parts = numbers(state["factors"], "factors", (None,)).tolist(), []
        for entry in checked_list(state["parts"], "parts", len(factors)):
            part = checked_object(entry, "a part", ("kind", "function"))
            kind = _kinds().get(part["kind"]) if isinstance(part["kind"], str) else None
            if kind is None:
                raise DataError(f"`kind` must be one of {', '.join(_kinds())}, got {part['kind']!r}")
            parts.append(kind(**kind._arguments(part["function"])))
        return {"parts": tuple(parts), "factors": tuple(factors)}

    @property
    def _factors(self) -> tuple[float, ...]:
        return self.factors or (1.0,) * len(self.parts)

    def __repr__(self) -> str:
        return " + ".join(repr(part) for part in self.parts)


def _kinds() -> dict[str, Any]:
    """Classes of functions that have a text form, by name."""
    from splinebias.functions.curved import CurvedSpline
    from splinebias.functions.piecewise import PiecewiseLinear, PiecewisePolynomial, WeightedSpline
    from splinebias.functions.smooth_units import SmoothUnits

    kinds = (PiecewiseLinear, PiecewisePolynomial, WeightedSpline, CurvedSpline, SmoothUnits, FunctionSum)
    return {kind.__name__: kind for kind in kinds}


def _cuts(part: Any) -> Array:
    """The edges of a function, or its knots; none where it knows neither."""
    return np.asarray(getattr(part, "edges", getattr(part, "knots", ())), dtype=float)
