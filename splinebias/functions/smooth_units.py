"""Functions on the line that are sums of smooth units: trained networks, and limits as sums over a quadrature of neurons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from splinebias._arguments import real_array, whole_number
from splinebias._array import Array
from splinebias.activation import Activation
from splinebias.errors import CapabilityError

_AT_ONCE = 4_000_000  # pre-activations held together


@dataclass(frozen=True, eq=False)
class SmoothUnits:
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
        """f, or its slope for nu = 1, at `x`, same shape as `x`.

        Raises
        ------
        CapabilityError
            For nu > 1: an activation says its value and its derivative.
        """
        x, (slope, intercept) = real_array(x, "x"), self.skip
        if whole_number(nu, "nu") > 1:
            raise CapabilityError(
                f"there is no derivative number {nu} of smooth units, of which value and slope are known; take nu = 0 or 1"
            )
        flat, size = x.ravel(), max(1, _AT_ONCE // max(1, self.a.size))
        body, a = (self.activation.derivative, self.a * self.w) if nu else (self.activation.value, self.a)
        parts = [body(flat[at : at + size, None] * self.w + self.b) @ a for at in range(0, flat.size, size)]
        units = np.concatenate([np.zeros(0), *parts]).reshape(x.shape)
        return np.asarray(units + slope if nu else units + self.d + slope * x + intercept)

    def __repr__(self) -> str:
        return f"SmoothUnits({self.a.size} units, {self.activation!r})"
