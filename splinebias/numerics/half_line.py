"""Quadrature rules on a ray v > 0 and on its panels, for the integral over the size of a weight.

What is integrated there is a density times a power of v times a function that may behave like any power of v near zero and
change its power at any scale (the inverse mirror map of a scaled potential), so all rules crowd at v = 0 by orders of
magnitude.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from splinebias._array import Array

MODERATE = 3.0
"""The power of v, beside v^2 and the density, that rules are made for unless said otherwise."""

_ALGEBRAIC = (-7.2, 17.7)  # first and last steps in log v, nearly: all tails, and integrands large where rays begin
_RATIOS, _LAST_RATIO = 0.5, 60.0  # steps and last of the logarithms of widths over scales that there are rules for
_EXPONENTIAL = (-7.2, 14.5)  # after a million scales; integrands need not vanish at 0


def gaussian_ray(centre: Array, order: float = MODERATE, *, fine: bool = False) -> tuple[Array, Array]:
    r"""Nodes u and weights du, shape ``centre.shape + (n,)``, for integrands :math:`u^a F(u) e^{-(u - m)^2/2}` on (0, inf).

    Parameters
    ----------
    centre : Array
        The m above, of any sign.
    order : float
        What the power a of F may be; infinity: F may grow exponentially.
    fine : bool
        Whether to take more nodes than needed, and to go farther, as a check.

    Notes
    -----
    The trapezoidal rule in y, :math:`u = \kappa \log(1 + e^z)`, :math:`z = y - e^{-y - 4}`: even steps around m,
    logarithmic ones near 0, doubly exponential ones at the end. The integrand is analytic for \|Im z\| < pi/2, where
    powers of 1 + u g may be singular; with a step of 0.43 the error is about 1e-12 for all g.

    Up to `MODERATE` orders n is 50, and where m < 0 the error is relative to the integral on the other side of zero, with
    -m for m. Steep F outgrow the tail that is left of a density whose centre is behind zero, and sides can not be compared:
    for them the rule is that of m = 0 for all m < 0, since :math:`u^a e^{-u^2/2 - u|m|}` is largest below :math:`\sqrt a`.
    """
    m = np.asarray(centre, dtype=float)[..., None]
    ahead, behind = np.maximum(m, 0.0), np.minimum(np.maximum(-m, 0.0), 1e6)
    lowest = -6.5  # u^(10/3), the least power that matters, is negligible where y - exp(-y - 4) = -18.7
    deviations = 14.0  # beyond the centre: room for functions that grow exponentially
    if order <= MODERATE and not fine:
        scale = 2 / (behind + np.sqrt(behind**2 + 4))  # width of the mass at 0 when the centre is behind it
        digits = np.maximum(np.maximum(32.0 - behind**2 / 2, 8.0), deviations**2 / 2 - 40 * behind)  # exp(-32) is negligible
        highest = np.sqrt(behind**2 + 2 * digits) - behind  # there u^2/2 + u |m| = digits
        start = np.where(ahead < 8, lowest, ahead - 9)
        return _softplus_rule(start, np.where(m < 0, highest / scale, ahead + deviations), scale, 50)
    order = 2 * order if fine else order
    # 18 for steep ones: data up to e^60 times what the function is at 1
    reach = max(math.sqrt(order) + 7, deviations) if math.isfinite(order) else 18.0
    start = np.where(ahead < 8, lowest - 0.5, ahead - 9)  # where the centre is behind, masses are nearer to 0
    longest = float(np.max(ahead + reach - start, initial=0.0))
    return _softplus_rule(start, ahead + reach, np.ones(()), 1 + math.ceil(longest / (0.25 if fine else 0.4)))


def tilted_ray(centre: Array, order: float = MODERATE, *, fine: bool = False) -> tuple[Array, Array]:
    r"""Nodes u and weights du, shape ``centre.shape + (n,)``, for :math:`F(u) e^{-(u - m)^2/2}` on (0, inf), m mostly < 0.

    As `gaussian_ray`, but relative to the integral itself however far behind zero the centre is: the logarithmic steps go
    on to 1/\|m\|. F may grow exponentially for infinite `order`. The error is about 1e-12.
    """
    m = np.asarray(centre, dtype=float)[..., None]
    ahead, lift = np.maximum(m, 0.0), np.log1p(np.maximum(-m, 0.0))
    reach = max(math.sqrt(order) + 7, 14.0) if math.isfinite(order) else 18.0
    start, stop = -7.0 - lift, ahead + (reach + 2 if fine else reach)
    step = 0.12 if fine else 0.25 if order <= MODERATE else 0.2  # sizes far behind are a gamma law, which asks for more
    count = 1 + math.ceil(float(np.max(stop - start, initial=0.0)) / step)
    return _softplus_rule(start, stop, np.ones(()), count, lift)


def _softplus_rule(start: Array, stop: Array, scale: Array, count: int, lift: Array | float = 0.0) -> tuple[Array, Array]:
    r"""The trapezoidal rule for :math:`u = \kappa \log(1 + e^z)`, :math:`z = y - e^{-y - 4 - l}`, l = `lift`."""
    step = (stop - start) / (count - 1)
    y = start + step * np.arange(count)
    bend = np.exp(-y - 4 - lift)
    z = y - bend
    with np.errstate(over="ignore"):
        return scale * np.logaddexp(0.0, z), scale * step * (1 + bend) / (1 + np.exp(-z))


@lru_cache(maxsize=8)
def tanh_sinh(step: float = 0.1) -> tuple[Array, Array]:
    """Double-exponential nodes and weights on (0, 1)."""
    t = step * np.arange(-round(3.4 / step), round(3.4 / step) + 1)
    half = np.pi * np.sinh(t)
    unit = 1 / (1 + np.exp(-half))
    return unit, step * np.pi * np.cosh(t) * unit / (1 + np.exp(half))


@lru_cache(maxsize=8)
def log_ray(step: float = 0.2, ends: tuple[float, float] = _ALGEBRAIC) -> tuple[Array, Array]:
    r"""Nodes and weights on (0, infinity) with even steps in log v from e^-3 to e^14 and doubly exponential ones beyond.

    :math:`v = \exp(y - e^{-y - 4} + e^{y - 14})`, y between `ends`: for algebraic tails, which have no length scale.
    """
    y = np.arange(*ends, step)
    low, high = np.exp(-y - 4), np.exp(y - 14)
    v = np.exp(y - low + high)
    return v, step * (1 + low + high) * v


def double_exponential(
    left: Array, width: Array, scale: Array, step: float, *, falling: bool = False
) -> tuple[Array, Array]:
    """Composite rule on K panels per breakpoint.

    Parameters
    ----------
    left, width : Array, shape (..., K)
        The panels; a width may be infinite.
    scale : Array, shape (...)
        Unit of the rays.
    step : float
        Step of the `tanh_sinh` rules; rays get the part of a `log_ray` rule that has as many nodes.
    falling : bool
        Whether integrands fall exponentially on the scale of the rays, or more slowly: then panels get a rule that knows it.

    Returns
    -------
    v, dv : Array, shape (..., K n)
        n nodes on each panel.
    """
    unit, unit_weight = tanh_sinh(step)
    ends = _EXPONENTIAL if falling else _ALGEBRAIC
    ray, ray_weight = (part[: unit.size] for part in log_ray((ends[1] - ends[0] - 0.02) / (unit.size - 1), ends))
    finite = np.isfinite(width)[..., None]
    length = np.where(finite, width[..., None], scale[..., None, None])
    if falling:
        unit, unit_weight = _falling(np.where(np.isfinite(width), width / scale[..., None], 1.0), unit.size)
    v = left[..., None] + length * np.where(finite, unit, ray)
    dv = length * np.where(finite, unit_weight, ray_weight)
    shape = (*left.shape[:-1], left.shape[-1] * ray.size)
    return v.reshape(shape), dv.reshape(shape)


def _falling(width: Array, count: int) -> tuple[Array, Array]:
    r"""Nodes and weights on (0, 1), shape (..., count), for functions that fall like :math:`e^{-Lu}`, L = `width`, or less.

    Those of the nearest `_falling_rules` for no smaller a width.
    """
    log = np.log(np.clip(width, 1.0, math.exp(_LAST_RATIO)))
    nodes, weights = _falling_rules(count)
    at = np.ceil(log / _RATIOS).astype(np.intp)
    return nodes[at], weights[at]


@lru_cache(maxsize=8)
def _falling_rules(count: int) -> tuple[Array, Array]:
    r"""Rules for the widths :math:`L = e^r` that there are tables of.

    :math:`u = e^{-q}`, :math:`q = \log(1 + e^{t - e^{-t - 2}})\,(1 + e^{t - r - 3})`, even steps in t: logarithmic ones from
    1 down to 1/L, and doubly exponential ones at both ends. Derived here.
    """
    ratio = np.arange(0.0, _LAST_RATIO + _RATIOS, _RATIOS)[:, None]
    start, step = -5.3, (ratio + 11.7) / (count - 1)
    t = start + step * np.arange(count)
    bend, fall = np.exp(-t - 2), np.exp(t - ratio - 3)
    q = np.logaddexp(0.0, t - bend)
    u = np.exp(-q * (1 + fall))
    return u, step * u * ((1 + bend) / (1 + np.exp(bend - t)) * (1 + fall) + q * fall)


def gaussian_moment(order: int, centre: Array) -> Array:
    r""":math:`\int_0^\infty u^n e^{-(u - m)^2/2} du`, n = `order` >= 0, same shape as `centre`.

    By :math:`M_{n+1} = m M_n + n M_{n-1}`, which adds positive terms for m >= 0; for m < 0 they cancel: by `gaussian_ray`.
    """
    from scipy.special import ndtr

    m = np.asarray(centre, dtype=float)
    before, now = np.exp(-(m**2) / 2), math.sqrt(2 * math.pi) * ndtr(m)
    if order:
        before, now = now, before + m * now
    for n in range(1, order):
        before, now = now, m * now + n * before
    behind = m < 0
    if order and behind.any():
        u, du = gaussian_ray(m[behind])
        with np.errstate(under="ignore"):
            now = np.array(now)
            now[behind] = (u**order * np.exp(-((u - m[behind][..., None]) ** 2) / 2) * du).sum(axis=-1)
    return np.asarray(now)
