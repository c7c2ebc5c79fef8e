r"""What modes that decay like :math:`e^{-st}` add up to: how far they have moved by time t, and how far twice over."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import gammainc

from splinebias._array import Array


def moved(rates: Array, time: float) -> Array:
    r""":math:`\int_0^t e^{-s\tau} d\tau = (1 - e^{-st})/s` for rates s >= 0, also at s = 0; 1/s at infinite time."""
    if time == math.inf:
        return np.asarray(1 / rates)
    done = -np.expm1(-time * rates)
    return np.divide(done, rates, out=np.full_like(rates, time), where=done > 0)


def accumulated(rates: Array, time: float) -> Array:
    r""":math:`\Gamma_{ij} = \int_0^t e^{-s_i (t - \tau)} (1 - e^{-s_j \tau})/s_j\, d\tau`, shape (k, k), for rates (k,).

    A divided difference of `moved`; :math:`1/(s_i s_j)` at infinite time.
    """
    if time == math.inf:
        return np.asarray(1 / np.outer(rates, rates))
    time = min(time, 1e150)  # its square is a double; rates of the same size are 0 to rounding
    s, r = rates[:, None] + 0 * rates, rates + 0 * rates[:, None]
    gap, middle = r - s, (r + s) / 2
    alike = np.abs(gap) * time <= 1e-4 * (1 + middle * time)  # where the derivative is more exact than the quotient
    quotient = np.divide(moved(s, time) - moved(r, time), gap, out=np.zeros_like(gap), where=~alike)
    at = np.maximum(middle * time, 1e-20)
    fall = time**2 * gammainc(2, at) / at**2  # minus the derivative: gammainc(2, u) = 1 - e^-u (1 + u), to all digits
    return np.asarray(np.where(alike, fall, quotient))
