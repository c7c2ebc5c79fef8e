r"""Where a density cannot be integrated on nodes that are floats, and what takes its place there.

Two kinds of singularity, replaced by a constant each:

- next to a point e :math:`\ne 0` where it is infinite, :math:`p(e - s) \sim s^{a - 1}`, a < 1: the distance s of a node
  from e is known to 1e-16 e only. Within :math:`\delta` of e the mean of p takes its place. That moves a mass
  :math:`O(\delta^a)` by less than :math:`\delta`, about 1e-11 in all.
- a tail :math:`p(b) \sim b^{-\nu - 1}` with :math:`\nu` close to 2: part of E[B^2] comes from beyond all floats. On [T, 2T]
  a constant with the second moment of the whole tail takes its place, and a network among the data sees no more of it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from splinebias._array import Array

TAIL_SCALES = np.array([100.0, 400.0, 1e6, 1e8])
"""How far out tails are measured."""


class Plateau(NamedTuple):
    """The density is `height` on [lo, hi]."""

    lo: float
    hi: float
    height: float


def near_plateaus(law: Any, knots: list[float], scale: float) -> list[Plateau]:
    """Plateaus around those `knots` at which the density of a frozen law is infinite.

    Parameters
    ----------
    law : law
        With `pdf` and `cdf`.
    knots : list of float
        Candidates.
    scale : float
        Width of the bulk of the law.
    """
    found, (first, last) = [], law.support()
    for knot in knots:
        delta = 1e-14 * scale if knot == 0 else 0.3 * math.sqrt(np.finfo(float).eps * abs(knot) * scale)
        lo, hi = (knot + side * delta if _is_singular(law, knot, side * delta) else knot for side in (-1, 1))
        if lo < hi:
            below, above = (0.0 if lo <= first else law.cdf(lo)), (0.0 if hi >= last else law.sf(hi))  # ends are rounded
            mass = float(law.cdf(hi) - below) if below < 0.5 else float(law.sf(lo) - above)
            found.append(Plateau(lo, hi, mass / (hi - lo)))
    return found


def far_plateaus(law: Any, support: tuple[float, float], scale: float, second_moment: float) -> list[Plateau]:
    r"""Plateaus [T, 2T], T = 1e18 `scale`, for infinite tails beyond which E[V^2] matters.

    With :math:`p \sim b^{-\nu - 1}` the tail has :math:`\int_T^\infty b^2 p = T^3 p(T)/(\nu - 2)`; the exponent is measured.
    """
    found = []
    far = 1e18 * scale
    for end in support:
        if math.isfinite(end):
            continue
        with np.errstate(all="ignore"):
            near, middle = (float(law.pdf(math.copysign(b, end))) for b in (far, 2 * far))
        if not near > middle > 0:
            continue
        moment = far**3 * near / (math.log2(near / middle) - 3)
        if moment > 1e-13 * second_moment:  # less can be left out
            lo, hi = sorted((math.copysign(far, end), math.copysign(2 * far, end)))
            found.append(Plateau(lo, hi, moment / (7 / 3 * far**3)))
    return found


def _is_singular(law: Any, knot: float, step: float) -> bool:
    """Whether the density grows without bound from knot + 8 step towards `knot`."""
    with np.errstate(all="ignore"):
        near, far = (float(law.pdf(knot + k * step)) for k in (1.0, 8.0))
    return near > 1.001 * far > 0 or math.isinf(near)


def tails_have_moment(density: Array, order: float, dimension: int) -> bool:
    """Whether tails leave E|V|^order finite (infinity: E exp(s|V|) for some s > 0), from densities at `TAIL_SCALES`.

    A density falling like exp(-L(v)) in d dimensions has moments below (dL/d log v) - d, measured between the last two
    scales, and an exponential one if L(v)/v does not fall between the first two. `density` has shape (..., 4).
    """
    with np.errstate(divide="ignore"):
        decay = -np.log(density)
    if math.isinf(order):
        return bool((decay[..., 1] / 400 >= 0.9 * decay[..., 0] / 100).all())
    heavy = decay[np.isfinite(decay[..., 3])]
    return bool(((heavy[:, 3] - heavy[:, 2]) / math.log(100) - dimension >= order * (1 + 1e-9)).all())
