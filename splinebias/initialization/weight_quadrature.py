r"""Quadrature over v = |w| at a breakpoint c for independent weights and biases with densities.

:math:`\rho(v) = v\, p_W(sv)\, p_B(-svc)\, dv`. The v-axis is cut where either density is not smooth and at some of their
quantiles, to find narrow mass; each piece gets a double-exponential rule, which takes algebraic end-point singularities and
(at infinity) heavy tails. How many quantiles and which step a pair of laws needs is found out once, by comparing with a
rule that has plenty of both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeVar

import numpy as np

from splinebias._arguments import Array
from splinebias.initialization.laws import Continuous
from splinebias.numerics.half_line import double_exponential

_QUANTILES = ((), (0, 8), (0, 2, 4, 6, 8))  # numbers of landmarks, ever more
_STEEPEST = 0.085  # step for integrands that grow exponentially
STEPS = (0.16, 0.14, 0.12, 0.1, 0.085, 0.07, 0.06, 0.04)
_DECADES = 1e3  # cuts of a tail that is heavy beyond all floats
_NEGLIGIBLE = 1e-22
_TOLERANCES, _SAME = (1e-12, 1e-11, 1e-10), 1e-9
_IGNORED = 1e-60  # part of its largest value below which an integral need not agree


class SliceRule(Protocol):
    """Anything that gives nodes v and masses rho at breakpoints, as `BreakpointLaw.slices`."""

    def slices(self, c: Array, side: int) -> tuple[Array, Array]:
        """Nodes and masses, each of shape ``c.shape + (m,)``."""
        ...


Rule = TypeVar("Rule", bound=SliceRule)


@dataclass(frozen=True, eq=False)
class RayRule:
    """One choice of cuts and step.

    Attributes
    ----------
    weight, bias : Continuous
        The densities.
    quantiles : tuple of int
        Numbers of the landmarks at which the axis is cut, besides all knots.
    step : float
        Step of the double-exponential rules.
    order : float
        The power of v, if that is above 3, with which integrands grow; infinity: exponentially.
    """

    weight: Continuous
    bias: Continuous
    quantiles: tuple[int, ...]
    step: float
    order: float = 3.0

    def slices(self, c: Array, side: int) -> tuple[Array, Array]:
        """Nodes v and masses rho at breakpoints `c`, each of shape ``c.shape + (m,)``."""
        left, width, scale = self._pieces(c, side)
        v, dv = double_exponential(left, width, scale, self.step)
        with np.errstate(all="ignore"):  # at an integrable end-point singularity a node can round onto the end
            rho = v * self.weight.pdf(side * v) * self.bias.pdf(-side * v * c[..., None]) * dv
        return v, np.where((dv > 0) & np.isfinite(rho), rho, 0.0)

    def log_masses(self, c: Array, side: int) -> Array:
        """log rho, also where rho underflows, shape ``c.shape + (m,)``."""
        v, dv = double_exponential(*self._pieces(c, side), self.step)
        with np.errstate(all="ignore"):
            log = np.log(v) + np.log(dv) + self.weight.logpdf(side * v) + self.bias.logpdf(-side * v * c[..., None])
        return np.where((dv > 0) & (log < np.inf), log, -np.inf)

    def _cuts(self, law: Continuous) -> tuple[float, ...]:
        marks = [law.landmarks[k] for k in self.quantiles if k < len(law.landmarks)]
        tails = [p.lo if p.lo > 0 else p.hi for p in law.plateaus if max(-p.lo, p.hi) == max(map(abs, law.support))]
        decades = [end / _DECADES**k for end in tails if abs(end) > 1e15 * abs(law.landmarks[2]) for k in range(1, 6)]
        return (*law.knots, *marks, *decades)

    def _pieces(self, c: Array, side: int) -> tuple[Array, Array, Array]:
        """Left ends and widths (the last may be infinite) of the pieces, and a scale for the last; per breakpoint."""
        hi = max(side * end for end in self._reach[0])
        lo = max(0.0, min(side * end for end in self._reach[0]))
        if hi <= 0:
            return np.zeros((*c.shape, 1)), np.zeros((*c.shape, 1)), np.ones(c.shape)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            highest = np.minimum(hi, np.where(side * c < 0, self._reach[1][1], -self._reach[1][0]) / np.abs(c))
            lowest = np.minimum(lo, highest)
            w_cuts = [np.full(c.shape, side * w) for w in self._cuts(self.weight) if side * w > 0]
            b_cuts = [np.nan_to_num(-side * b / c, nan=0.0, posinf=0.0, neginf=0.0) for b in self._cuts(self.bias) if b]
        highest = np.maximum(highest, 0.0)
        top = np.where(np.isfinite(highest), highest, np.finfo(float).max)
        inner = np.clip(np.stack([lowest, *w_cuts, *b_cuts], axis=-1), lowest[..., None], top[..., None])
        inner.sort(axis=-1)
        edges = np.concatenate([inner, highest[..., None]], axis=-1)
        left, width = edges[..., :-1], np.diff(edges, axis=-1)
        count = int((width > 0).sum(axis=-1).max(initial=1))  # cuts on the other side have left pieces of no width
        order = np.argsort(width <= 0, axis=-1, kind="stable")[..., :count]
        with np.errstate(divide="ignore"):
            scale = np.minimum(_scale(self.weight), _scale(self.bias) / np.abs(c))
        return np.take_along_axis(left, order, -1), np.take_along_axis(width, order, -1), scale

    @cached_property
    def _reach(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Intervals of w and b that matter: light tails are cut, unless a heavy one makes the v-axis a ray anyway."""
        ends = reach(self.weight, self.order), reach(self.bias, self.order)
        return ends if np.isfinite(ends).all() else (self.weight.support, self.bias.support)


def reach(law: Continuous, order: float = 3.0) -> tuple[float, float]:
    """Interval beyond which the density times a power, 3 at least, is below rounding: the support, or less.

    It is less where tails are light. For an infinite `order`, lighter than exponential, and by a margin.
    """
    if math.isinf(order) and not _is_light(law):
        return law.support
    power, negligible = (3.0, _NEGLIGIBLE**2) if math.isinf(order) else (max(order, 3.0), _NEGLIGIBLE)
    ends = []
    for side, end, mark in zip((-1, 1), law.support, (law.landmarks[0], law.landmarks[-1]), strict=True):
        spread = law.landmarks[-1] - law.landmarks[0]
        if math.isinf(end):
            scales = np.arange(16)
            far = np.asarray(mark + side * spread * (1.5**scales - 1), dtype=np.float64)
            with np.errstate(under="ignore"):
                share = law.pdf(far) * spread * (np.abs(far - mark) / spread + 1) ** power
            at = np.flatnonzero(share > negligible * max(1.0, share.max()))
            if at.size == 0 or at[-1] + 1 < far.size:
                ends.append(float(far[at[-1] + 1 if at.size else 0]))
                continue
        ends.append(end)
    return ends[0], ends[1]


def finest_rule(weight: Continuous, bias: Continuous, order: float) -> RayRule:
    """The one with the most nodes."""
    return RayRule(weight, bias, _QUANTILES[-1], STEPS[-1], order)


def independent_rule(weight: Continuous, bias: Continuous, landmarks: Array, order: float) -> RayRule:
    """The cheapest rule that does for these densities and integrands that grow with a power `order` of v."""
    if math.isinf(order) and not (_is_light(weight) and _is_light(bias)):
        return RayRule(weight, bias, _QUANTILES[-1], _STEEPEST, order)
    ratio = _scale(bias) / _scale(weight)
    around = ratio * np.logspace(-5, 5, 21)
    candidates = [[RayRule(weight, bias, quantiles, step, order) for step in STEPS] for quantiles in _QUANTILES]
    return cheapest(candidates, np.unique(np.r_[landmarks, -around, around]), _scale(weight), order)


def cheapest(candidates: Sequence[Sequence[Rule]], probes: Array, unit: float, order: float = 3.0) -> Rule:
    """The rule with the fewest nodes that is as good as a finer one, at all `probes`.

    Parameters
    ----------
    candidates : sequence of sequences
        Rules with the same cuts, the finest last; the sequence with the most cuts last.
    probes : Array
        Breakpoints at which rules are compared.
    unit : float
        Size of v.
    order : float
        A power of v with which integrands may grow.

    Notes
    -----
    Compared are integrals of 1, v^2, of a power that is no integer, and of the kind that scaled potentials bring: to 1e-12
    with the finest rule of the same cuts (1e-11, 1e-10 where rounding in the densities allows no better), and to 1e-9 with
    the finest of all, which sees mass that the others may miss.
    """
    finest = [_test_integrals(family[-1], probes, unit, order) for family in candidates]
    sound = [k for k, values in enumerate(finest) if _agree(values, finest[-1], _SAME)]
    tried = [(rule, finest[k]) for k in sound for rule in candidates[k][:-1]]
    tried.sort(key=lambda pair: pair[0].slices(probes, 1)[0].shape[-1])
    found = [(rule, _test_integrals(rule, probes, unit, order), exact) for rule, exact in tried]
    for tolerance in _TOLERANCES:
        for rule, values, exact in found:
            if _agree(values, exact, tolerance):
                return rule
    return candidates[-1][-1]


def _is_light(law: Continuous) -> bool:
    """Whether the tails, if any, are lighter than exponential, judged at 30 and 60 scales."""
    scale, middle = float(np.diff(np.quantile(law.landmarks, [0.25, 0.75]))[0]) or 1.0, float(np.median(law.landmarks))
    for end in law.support:
        if math.isinf(end):
            near, far = law.logpdf(middle + math.copysign(scale, end) * np.array([30.0, 60.0]))
            if far > 2.5 * near:
                return False
    return True


def _scale(law: Continuous) -> float:
    return float(np.abs(np.quantile(law.landmarks, [0.25, 0.75])).max()) or 1.0


def _test_integrals(rule: SliceRule, probes: Array, unit: float, order: float) -> Array:
    """Integrals of test functions at all probes, shape (probes, tests), one after the other for each side."""
    rows = []
    for side in (1, -1):
        v, rho = rule.slices(probes, side)
        u = v / unit
        with np.errstate(over="ignore", invalid="ignore"):
            tests = [u**2, np.ones_like(u), u ** (4 / 3), *(u * np.sinh(np.arcsinh(g * u) / 3) for g in (1.0, 1e3))]
            if math.isinf(order):
                tests += [u * np.sinh(g * u) for g in (1.0, 4.0)]
            elif order > 3:
                tests += [u ** (1 + order / 2), u ** (1 + order)]
            rows += [np.where(rho > 0, rho * values, 0.0).sum(axis=-1) for values in tests]
    return np.stack(rows, axis=-1)


def _agree(found: Array, exact: Array, tolerance: float) -> bool:
    size = np.abs(exact)
    return bool((np.abs(found - exact) <= tolerance * size + _IGNORED * size.max(axis=0)).all())
