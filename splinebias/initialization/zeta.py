r"""Curvature densities in closed form, each formula once, and scale families; other laws integrate (`weight_quadrature`).

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

Most of these laws are *scale families*: \|w\| at a breakpoint is one law times a scale, so that every integral over \|w\| is
a function of one variable. Which law and which scale is said by a `ScaleFamily`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.numerics.half_line import gaussian_moment

_LARGEST = 1e100  # size of a weight: its powers are doubles


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


class Profile(ABC):
    r"""The law of :math:`u = |w|/\tau` where it is the same at every breakpoint.

    Attributes
    ----------
    tail : float
        Moments below this order are finite.
    strip : float
        The density times a power is analytic in log u for imaginary parts below this; 0: it is not.
    """

    tail: float = math.inf
    strip: float = 0.0

    @abstractmethod
    def density(self, u: Array) -> Array:
        """The density f(u), of the shape of `u` > 0."""

    @abstractmethod
    def moment(self, order: float) -> float:
        r""":math:`E[u^k]`, k = `order` >= 0 below `tail`; infinity from there on, and beyond doubles."""


@dataclass(frozen=True)
class RadiusOfExponential(Profile):
    r""":math:`f(u) \propto u^{m - 1} e^{-u^\beta}`, m = `power`, :math:`\beta` = `shape`.

    Of normal laws it is (2, 2): \|w\| is :math:`\sqrt2\, \tau_0 u` where :math:`|w|/\tau_0` has Rayleigh's law. Of pairs of
    Laplace laws it is (2, 1).
    """

    power: float
    shape: float

    @property
    def strip(self) -> float:  # type: ignore[override]
        return math.pi / (2 * self.shape)

    def density(self, u: Array) -> Array:
        constant = self.shape / math.gamma(self.power / self.shape)
        return np.asarray(constant * u ** (self.power - 1) * np.exp(-(u**self.shape)))

    def moment(self, order: float) -> float:
        logarithm = math.lgamma((self.power + order) / self.shape) - math.lgamma(self.power / self.shape)
        return math.exp(logarithm) if logarithm < 700 else math.inf


@dataclass(frozen=True)
class RadiusOfStudent(Profile):
    r""":math:`f(u) = u\,(1 + u^2/\nu)^{-(\nu + 2)/2}`, :math:`\nu` = `df`: of centred multivariate t laws."""

    df: float

    strip = math.pi / 2

    @property
    def tail(self) -> float:  # type: ignore[override]
        return self.df

    def density(self, u: Array) -> Array:
        return np.asarray(u * np.exp(-(self.df + 2) / 2 * np.log1p(u**2 / self.df)))

    def moment(self, order: float) -> float:
        if order >= self.df:
            return math.inf
        half = order / 2
        logarithm = half * math.log(self.df) + math.lgamma(1 + half) + math.lgamma(self.df / 2 - half)
        logarithm -= math.lgamma(self.df / 2)
        return math.exp(logarithm) if logarithm < 700 else math.inf


@dataclass(frozen=True)
class RadiusOfBox(Profile):
    r""":math:`f(u) = 2u` on (0, 1): of laws that are uniform on a box around 0."""

    def density(self, u: Array) -> Array:
        return np.where(u < 1, 2 * u, 0.0)

    def moment(self, order: float) -> float:
        return 2 / (2 + order)


@dataclass(frozen=True)
class OneRadius(Profile):
    r"""u = 1: one \|w\| at every breakpoint."""

    def density(self, u: Array) -> Array:
        raise ValueError("one size has no density")

    def moment(self, order: float) -> float:
        return 1.0


@dataclass(frozen=True, eq=False)
class ScaleFamily:
    r"""Units of one sign whose \|w\| has, at every breakpoint, one law up to its scale.

    .. math:: \rho_s(c, v)\, dv = R(c)\, f(v/\tau(c))\, dv/\tau(c)

    It is so where p(w, b) is a function of the direction of (w, b) times one of a length of it.

    Attributes
    ----------
    profile : Profile
        The law f above.
    at : function
        To the tau and the R above, at breakpoints of any shape; R is the density of breakpoints of these units.
    """

    profile: Profile
    at: Callable[[Array], tuple[Array, Array]]

    def zeta(self, c: Array, order: float) -> Array:
        r""":math:`\int \rho_s v^k\, dv = R\, \tau^k E[u^k]`, k = `order`, same shape as `c`."""
        scale, mass = self.at(c)
        return np.asarray(mass * scale**order * self.profile.moment(order) if order else mass)

    def times(self, probability: float) -> ScaleFamily:
        """The units of a component that has this probability."""

        def at(c: Array) -> tuple[Array, Array]:
            scale, mass = self.at(c)
            return scale, probability * mass

        return ScaleFamily(self.profile, at)


def elliptical(precision: NDArray[np.floating[Any]], profile: Profile, width: float = 1.0) -> ScaleFamily:
    r"""Of densities that are functions of :math:`q = (w, b) P (w, b)^T`, P = `precision`.

    :math:`\tau = \text{width} \cdot q(1, -c)^{-1/2}`, and :math:`R = q(1, -c)^{-1} |P|^{1/2}/(2\pi)`.
    """
    (p_ww, p_wb), (_, p_bb) = precision
    root = math.sqrt(float(np.linalg.det(precision)))

    def at(c: Array) -> tuple[Array, Array]:
        length = p_ww - 2 * p_wb * c + p_bb * c**2
        return width / np.sqrt(length), root / (2 * math.pi) / length

    return ScaleFamily(profile, at)


def box(weight: tuple[float, float], bias: tuple[float, float], sign: int) -> ScaleFamily:
    r"""Of (W, B) uniform on a box that holds 0, given by its ends: :math:`R = \tau^2/(2 \cdot \text{area})`.

    :math:`\tau = \min(w, b/|c|)`, w and b being the ends of the box in the directions of `sign` and of -sc.
    """
    area = (weight[1] - weight[0]) * (bias[1] - bias[0])
    w_end = max(sign * weight[0], sign * weight[1])

    def at(c: Array) -> tuple[Array, Array]:
        b_end = np.where(sign * c < 0, bias[1], -bias[0])
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(c == 0, w_end, np.minimum(w_end, b_end / np.abs(c)))
        return scale, scale**2 / (2 * area)

    return ScaleFamily(RadiusOfBox(), at)


class Steps(NamedTuple):
    """A piecewise constant density: n + 1 `edges`, and n + 2 `heights` below, between and above them, 0 at the ends."""

    edges: Array
    heights: Array

    def __call__(self, x: Array) -> Array:
        return np.asarray(self.heights[np.searchsorted(self.edges, x, side="right")])

    def falls(self, sign: float) -> tuple[Array, Array]:
        """Where on the side of `sign` the density has jumps, as sizes, and by how much it falls there, going away from 0."""
        jumps = sign * (self.heights[:-1] - self.heights[1:])
        there = (sign * self.edges > 0) & (jumps != 0)
        return np.abs(self.edges[there]), jumps[there]


def boxes(weight: Steps, bias: Steps, sign: int) -> tuple[ScaleFamily, ...]:
    r"""Of independent W and B with piecewise constant densities: layers, some of which count as negative.

    Along a ray the density of (v, -svc) falls by :math:`\Delta` at some sizes :math:`\tau`, of W itself and of B over \|c\|.
    So it is :math:`\sum \Delta\, 1(v < \tau)`, a sum of laws that are uniform up to a size: :math:`R = \Delta \tau^2/2`.
    """

    def of_weight(size: float, fall: float) -> ScaleFamily:
        return ScaleFamily(
            RadiusOfBox(), lambda c: (np.full(c.shape, size), fall * bias(-sign * size * c) * np.square(size) / 2)
        )

    def of_bias(sizes: tuple[float, float], falls: tuple[float, float]) -> ScaleFamily:
        """For sc < 0, and elsewhere."""

        def at(c: Array) -> tuple[Array, Array]:
            with np.errstate(divide="ignore"):
                scale = np.minimum(np.where(sign * c < 0, *sizes) / np.abs(c), _LARGEST)
            fall = np.where(c == 0, 0.0, np.where(sign * c < 0, *falls) * weight(sign * scale))
            return scale, fall * scale**2 / 2

        return ScaleFamily(RadiusOfBox(), at)

    above, below = (zip(*bias.falls(t), strict=True) for t in (1.0, -1.0))
    layers = zip_longest(above, below, fillvalue=(1.0, 0.0))
    found = [of_weight(*layer) for layer in zip(*weight.falls(sign), strict=True)]
    return (*found, *(of_bias(*zip(*layer, strict=True)) for layer in layers))
