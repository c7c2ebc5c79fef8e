r"""Curvature densities in closed form, each formula once; every other law integrates the definition (`weight_quadrature`).

.. math:: \zeta^{(k)}_\pm(c) = \int_{\pm w > 0} |w|^{2k+1} p_{W,B}(w, -wc)\, dw

for activations that are homogeneous of degree k. k = 1 is the :math:`\zeta_\pm` of the table below, k = 0 the density of
the breakpoints.

========================================= ============================================================ ====================
law of (W, B)                             :math:`\zeta_\pm(c)`                                         here
========================================= ============================================================ ====================
W = +-1 equally likely, B has a density   :math:`\tfrac12 p_B(\mp c)`                                  `discrete_weight`
B = beta, W has a density                 :math:`|\beta|^3 c^{-4} p_W(-\beta/c)` where                 `discrete_bias`
                                          :math:`\pm c\beta < 0`
uniform on the unit circle                :math:`1/(2\pi(1 + c^2)^2)`                                  `unit_circle`
W ~ N(0, s_w^2), B ~ N(0, s_b^2)          :math:`s_w^3 s_b^3/(\pi(s_b^2 + c^2 s_w^2)^2)`               `centred_gaussian`
(W, B) ~ N(mu, Sigma)                     half-moments of a normal law                                 `gaussian`
W ~ U(-w_max, w_max), B ~ U(-b_max,       :math:`\min(w_{max}, b_{max}/|c|)^4/(16\, w_{max} b_{max})`  `centred_uniform`
b_max)
========================================= ============================================================ ====================

The first three have finitely many sizes :math:`v_m` of a weight at a breakpoint: their functions return these and the masses
:math:`\rho_m`, :math:`\zeta^{(k)} = \sum_m \rho_m v_m^{2k}`. The others return :math:`\zeta^{(k)}`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from splinebias._array import Array
from splinebias.numerics.half_line import gaussian_moment


def discrete_weight(c: Array, w: Array, p: Array, bias_density: Callable[[Array], Array]) -> tuple[Array, Array]:
    r"""Sizes and masses for weights w_j with probabilities p_j, all of one sign: :math:`\rho_j = p_j |w_j| p_B(-w_j c)`."""
    rho = p * np.abs(w) * bias_density(-w * c[..., None])
    return np.broadcast_to(np.abs(w), rho.shape), rho


def discrete_bias(
    c: Array, beta: Array, p: Array, weight_density: Callable[[Array], Array], sign: int
) -> tuple[Array, Array]:
    r"""Sizes and masses for biases beta_j with probabilities p_j, and weights of one sign.

    The weight is :math:`w_j = -\beta_j/c`, with mass :math:`\rho_j = p_j |\beta_j| c^{-2} p_W(w_j)` if it has that sign.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        w = -beta / c[..., None]
        rho = p * np.abs(beta) / c[..., None] ** 2 * weight_density(w)
    there = np.isfinite(w) & (w * sign > 0) & np.isfinite(rho)
    return np.where(there, np.abs(w), 1.0), np.where(there, rho, 0.0)


def unit_circle(c: Array) -> tuple[Array, Array]:
    r"""The one size :math:`v = (1 + c^2)^{-1/2}` and its mass :math:`\rho = v^2/(2\pi)`."""
    v = 1 / np.sqrt(1 + c[..., None] ** 2)
    return v, v**2 / (2 * np.pi)


def centred_gaussian(c: Array, s_w: float, s_b: float, degree: int = 1) -> Array:
    r""":math:`\zeta^{(k)}_\pm = 2^{k-1} k!\, \tau^{2k+2} / (\pi s_w s_b)`, :math:`\tau^{-2} = s_w^{-2} + c^2 s_b^{-2}`."""
    tau = s_w * s_b / np.sqrt(s_b**2 + (c * s_w) ** 2)
    return np.asarray(2.0 ** (degree - 1) * math.factorial(degree) * tau ** (2 * degree + 2) / (np.pi * s_w * s_b))


def gaussian(nearest: Array, tau: Array, distance: Array, determinant: float, degree: int = 1) -> Array:
    r""":math:`\zeta^{(k)} = \frac{\tau^{2k+2}}{2\pi |\Sigma|^{1/2}} e^{-q_0/2} M_{2k+1}(v_0/\tau)`.

    :math:`M_n(m) = \int_0^\infty u^n e^{-(u - m)^2/2} du`. `nearest`, `tau` and `distance` are the :math:`v_0`, :math:`\tau`
    and :math:`q_0` of a `joint_laws.Ray`, `determinant` is :math:`|\Sigma|`.
    """
    with np.errstate(under="ignore"):
        moment = gaussian_moment(2 * degree + 1, nearest / tau)
        scale = 1 / (2 * math.pi * math.sqrt(determinant))
        return np.asarray(scale * tau ** (2 * degree + 2) * np.exp(-distance / 2) * moment)


def centred_uniform(c: Array, w_max: float, b_max: float, degree: int = 1) -> Array:
    r""":math:`\zeta^{(k)}_\pm = \bar v^{2k+2} / (4 (2k + 2)\, w_{max} b_{max})`, :math:`\bar v` = `largest_weight`."""
    power = 2 * degree + 2
    return np.asarray(largest_weight(c, w_max, b_max) ** power / (4 * power * w_max * b_max))


def largest_weight(c: Array, w_max: float, b_max: float) -> Array:
    r""":math:`\min(w_{max}, b_{max}/|c|)`, same shape as `c`: the largest \|w\| of a unit that bends at c."""
    return np.asarray(np.minimum(w_max, b_max / np.maximum(np.abs(c), b_max / w_max)))
