"""Functions on the line that are sums of smooth units: trained networks, and limits as sums over a quadrature of neurons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from splinebias._arguments import at_finite, real_array, real_number, whole_number
from splinebias._array import Array
from splinebias.activation import Activation
from splinebias.errors import CapabilityError
from splinebias.functions.by_values import integral, roots
from splinebias.functions.json_state import JsonText, checked_object, numbers
from splinebias.smooth_activation import smooth_from_words, smooth_to_words

_AT_ONCE = 4_000_000  # pre-activations held together


@dataclass(frozen=True, eq=False)
class SmoothUnits(JsonText):
    r""":math:`f(x) = \sum_k a_k \sigma(w_k x + b_k) + d + \text{slope}\, x + \text{intercept}`, smooth: it has no knots.

    Attributes
    ----------
    w, b, a : Array, shape (n,)
        Hidden weights, biases and output weights.
    d : float
        Output bias.
    activation : Activation
        The :math:`\sigma` above.
    skip : tuple of float
        Slope and intercept.
    """

    w: Array
    b: Array
    a: Array
    d: float
    activation: Activation
    skip: tuple[float, float] = (0.0, 0.0)

    def __call__(self, x: Any, nu: int = 0) -> Array:
        """f, or its slope for nu = 1, at `x`, same shape as `x`; nan where x is not finite.

        Raises
        ------
        CapabilityError
            For nu > 1: an activation says its value and its derivative.
        """
        if whole_number(nu, "nu") > 1:
            raise CapabilityError(
                f"there is no derivative number {nu} of smooth units, of which value and slope are known; take nu = 0 or 1"
            )
        return at_finite(lambda known: self._values(known, nu), real_array(x, "x"))

    def integrate(self, a: float, b: float) -> float:
        r"""The integral :math:`\int_a^b f`, to about 1e-13 of that of |f|, by Gauss rules."""
        return integral(self, a, b, np.zeros(0))

    def roots(self, level: float = 0.0, interval: tuple[float, float] | None = None) -> Array:
        """Points of the interval (lo, hi), which has to be given, where f equals `level`, sorted.

        Looked for between a thousand even points: of several closer than that some may be missed.

        Raises
        ------
        DataError
            Without an interval.
        """
        return roots(self, level, interval, np.zeros(0))

    def _state(self) -> dict[str, Any]:
        state = {"w": self.w.tolist(), "b": self.b.tolist(), "a": self.a.tolist(), "d": self.d, "skip": list(self.skip)}
        return state | {"activation": smooth_to_words(self.activation)}

    @classmethod
    def _arguments(cls, state: dict[str, Any]) -> dict[str, Any]:
        """Arguments that make the function with a `_state`; DataError if it is none."""
        state = checked_object(state, f"a {cls.__name__}", ("w", "b", "a", "d", "skip", "activation"))
        w = numbers(state["w"], "w", (None,))
        parts = {name: numbers(state[name], name, w.shape) for name in ("b", "a")}
        slope, intercept = numbers(state["skip"], "skip", (2,)).tolist()
        activation = smooth_from_words(state["activation"])
        return {"w": w, "d": real_number(state["d"], "d"), "activation": activation, "skip": (slope, intercept), **parts}

    def _values(self, x: Array, nu: int) -> Array:
        """f, or its slope for nu = 1, at finite `x`."""
        slope, intercept = self.skip
        flat, size = x.ravel(), max(1, _AT_ONCE // max(1, self.a.size))
        body, a = (self.activation.derivative, self.a * self.w) if nu else (self.activation.value, self.a)
        parts = [body(flat[at : at + size, None] * self.w + self.b) @ a for at in range(0, flat.size, size)]
        units = np.concatenate([np.zeros(0), *parts]).reshape(x.shape)
        return np.asarray(units + slope if nu else units + self.d + slope * x + intercept)

    def __repr__(self) -> str:
        return f"SmoothUnits({self.a.size} units, {self.activation!r})"
