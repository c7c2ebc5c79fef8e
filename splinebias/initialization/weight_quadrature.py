r"""Quadrature over v = |w| at a breakpoint c for laws of (w, b) with a density p.

Masses are :math:`\rho(v) = v\, p(sv, -svc)\, dv`, s = sign w.

The v-axis is cut where mass may be narrow or the density is not smooth; each panel gets a double-exponential rule, which
takes algebraic end-point singularities and (at infinity) heavy tails. How many cuts and which step a law needs is found out
once, by comparing with a rule that has plenty of both.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.initialization.breakpoints import BreakpointLaw
from splinebias.numerics.half_line import MODERATE, double_exponential, tanh_sinh
from splinebias.numerics.legendre import gauss_legendre

_BLOCK = 1 << 16  # nodes (c, v) at a time: what stays near the processor
_GAUSS = (10, 14, 20, 28)  # nodes on a panel away from v = 0
ROUGH = 1e-5
"""Accuracy of a rule for solutions that are far off."""
_SLIVER = 1e-6  # relative width of what lies between two knots that nearly coincide
_PROBES = 100  # landmarks at most
_STEPS = (0.16, 0.14, 0.12, 0.1, 0.085, 0.07, 0.06, 0.04)


@dataclass(eq=False)
class QuadratureLaw(BreakpointLaw):
    r"""A law whose \|w\| has a density at every breakpoint, so that `slices` are the nodes of a rule.

    Attributes
    ----------
    order : float
        The rule is for integrands that grow with this power of v, 3 at least; infinity: exponentially.
    fine : bool
        Whether it has more nodes than needed, as a check.
    """

    spread: ClassVar[bool] = True  # type: ignore[misc]
    order: float = field(default=MODERATE, kw_only=True)
    fine: bool = field(default=False, kw_only=True)

    def steep(self, order: float) -> Self:
        if order <= self.order:
            return self
        order = 2.0 ** math.ceil(math.log2(order)) if math.isfinite(order) else math.inf  # few rules: each takes a search
        if order not in self._steeper:
            self._steeper[order] = replace(self, order=order)
        return self._steeper[order]

    def finest(self) -> Self:
        return replace(self, fine=True)

    @cached_property
    def _steeper(self) -> dict[float, Self]:
        return {}


@dataclass(eq=False)
class DensityLaw(QuadratureLaw):
    """A law given by a density p(w, b), whose rule is searched for.

    Attributes
    ----------
    cuts : tuple
        Choices of where to cut the v-axis, in the words of `panels`, ever more.
    chosen : WeightRule, optional
        The rule, if it is not to be searched for.
    """

    cuts: ClassVar[tuple[tuple[Any, ...], ...]]
    costly: ClassVar[bool] = True  # type: ignore[misc]
    chosen: WeightRule | None = field(default=None, kw_only=True)

    @abstractmethod
    def factors(self, w: Array, b: Array) -> tuple[Array, ...]:
        """Arrays whose product is p(w, b), each of the shape of `w` or `b`."""

    def log_factors(self, w: Array, b: Array) -> tuple[Array, ...]:
        """Logarithms of the `factors` of p(w, b), also where these underflow, as far as the law gives them: else -inf."""
        return tuple(map(np.log, self.factors(w, b)))

    def log_density(self, v: Array, c: Array, side: int) -> Array:
        """The logarithm of p(sv, -svc) at sizes v, shape ``c.shape + (m,)``."""
        return np.asarray(sum(self.log_factors(side * v, -side * v * c[..., None])))

    @abstractmethod
    def panels(self, cuts: tuple[Any, ...], c: Array, side: int) -> tuple[Array, Array, Array]:
        """Left ends and widths (the last may be infinite) of the panels, and a scale for the last; per breakpoint."""

    @property
    def slivers(self) -> tuple[float, ...]:
        """Relative widths of panels next to infinite densities (`densities.near_plateaus`): one node does there."""
        return ()

    @property
    @abstractmethod
    def scales(self) -> tuple[float, float]:
        r"""Sizes of \|w\| and of \|b\|."""

    @property
    def light(self) -> bool:
        """Whether tails, if any, are known to be lighter than exponential, so that an exponential can be tested on them."""
        return False

    def zeta(self, c: Array, side: int, degree: int = 1) -> Array:
        families = self.scale_families(side)
        if not families or not all(2 * degree < family.profile.tail for family in families):
            law = self.steep(2 * degree)  # far out in heavy biases, high powers see other sizes than low ones
            return law._integrated(c, side, degree)
        return np.asarray(sum(family.zeta(c, 2 * degree) for family in families))

    def _integrated(self, c: Array, side: int, degree: int) -> Array:
        """zeta by the rule, some breakpoints at a time."""
        flat = c.ravel()
        step = max(16, _BLOCK // max(1, self._rule.size(flat[:1]))) if flat.size else 1
        if flat.size <= step:
            return super().zeta(c, side, degree)
        parts = [super(DensityLaw, self).zeta(flat[k : k + step], side, degree) for k in range(0, flat.size, step)]
        return np.concatenate(parts).reshape(c.shape)

    def slices(self, c: Array, side: int) -> tuple[Array, Array]:
        return self._rule.slices(c, side)

    def log_masses(self, c: Array, side: int) -> Array:
        return self._rule.log_terms(c, side)[1]

    def rough(self) -> Self:
        return replace(self, chosen=self._rules.rough)

    @property
    def _rule(self) -> WeightRule:
        """The cheapest rule that does, if none was chosen."""
        return self._rules.precise if self.chosen is None else self.chosen

    @cached_property
    def _rules(self) -> Rules:
        """The cheapest rules that do."""
        if self.fine:
            finest = WeightRule(self, self.cuts[-1], _STEPS[-1])
            return Rules(finest, finest)
        unit, size = self.scales
        wide, count, most = (3, 7, _PROBES // 5) if self.falling else (5, 21, _PROBES)
        around = size / unit * np.logspace(-wide, wide, count)
        marks = self._off_slivers(self.landmarks[:: 1 + self.landmarks.size // most])
        orders = (0,) if self.falling else (*_GAUSS, 0)
        rules = [
            [*(WeightRule(self, cuts, step, nodes) for step in _STEPS[:-1] for nodes in orders),
             WeightRule(self, cuts, _STEPS[-1])]
            for cuts in self.cuts
        ]  # fmt: skip
        probes = np.unique(np.r_[marks, -around, around])
        if not self.falling:
            return cheapest(rules, lambda rule: _test_integrals(rule, probes, unit, self.order), probes)
        tilts = [Tilts.of(rules[-1][-1], probes, side) for side in (1, -1)]
        found = cheapest(rules, lambda rule: np.concatenate([tilt.integrals(rule) for tilt in tilts], axis=-1), probes)
        if found.precise is rules[-1][-1]:  # a check by the finest follows
            found = found._replace(precise=WeightRule(self, self.cuts[1], 0.07))
        return found

    def _off_slivers(self, marks: Array) -> Array:
        """Breakpoints, moved by a thousandth to either side where knots nearly coincide.

        They do next to points where a density is infinite (`densities.near_plateaus`): such slivers are known to few digits.
        """
        narrow = np.flatnonzero(np.diff(self.knots) <= _SLIVER * np.abs(self.knots[1:]))
        if not narrow.size:
            return marks
        at = self.knots[np.r_[narrow, narrow + 1]]
        among = (np.abs(marks[:, None] - at) <= 10 * _SLIVER * np.abs(at)).any(axis=1)
        return np.concatenate([marks[~among], *(marks[among] * (1 + shift) for shift in (-1e-3, 1e-3))])

    @property
    def falling(self) -> bool:
        """Whether integrands grow exponentially and densities may fall no faster."""
        return math.isinf(self.order) and not self.light


@dataclass(frozen=True, eq=False)
class WeightRule:
    """Double-exponential rules on the panels of the v-axis between `cuts`, all with one step.

    With `nodes` > 0, panels that begin beyond v = 0 and end get a Gauss rule of so many. Slivers of the law have
    one node.
    """

    law: DensityLaw
    cuts: tuple[Any, ...]
    step: float
    nodes: int = 0

    def size(self, c: Array) -> int:
        """How many nodes it has at breakpoints `c`, those of one side."""
        _, width, _, slivers = self._panels(c, 1)
        plain = self._plain(width)
        return int(plain.sum()) * self.nodes + int((~plain).sum()) * tanh_sinh(self.step)[0].size + int(slivers[0].shape[-1])

    def _panels(self, c: Array, side: int) -> tuple[Array, Array, Array, tuple[Array, Array]]:
        """Left ends, widths and scale of the panels that are more than slivers; and places and widths of those."""
        left, width, scale = self.law.panels(self.cuts, c, side)
        sliver = np.zeros(width.shape, dtype=bool)
        for ratio in self.law.slivers:
            sliver |= np.abs(width - ratio * left) <= 1e-3 * ratio * left
        count = int((~sliver).sum(axis=-1).max(initial=1))
        if count == width.shape[-1]:
            return left, width, scale, (left[..., :0], left[..., :0])
        order = np.argsort(sliver, axis=-1, kind="stable")
        left, width = (np.take_along_axis(of, order, -1) for of in (left, width))
        narrow = width[..., count:]
        return left[..., :count], width[..., :count], scale, (left[..., count:] + narrow / 2, narrow)

    def _plain(self, width: Array) -> NDArray[np.bool_]:
        """Which panels, of these widths at some breakpoints, get the Gauss rule, shape (K,)."""
        first = np.arange(width.shape[-1]) > 0  # panels are in order: the others begin beyond 0
        if not self.nodes:
            return np.zeros_like(first)
        return first & np.isfinite(width).all(axis=tuple(range(width.ndim - 1)))

    def _nodes(self, c: Array, side: int) -> tuple[Array, Array]:
        """Nodes v and their weights dv."""
        left, width, scale, slivers = self._panels(c, side)
        plain = self._plain(width)
        parts = [double_exponential(left[..., ~plain], width[..., ~plain], scale, self.step, falling=self.law.falling)]
        if plain.any():
            place, weight = gauss_legendre(self.nodes)
            inner, wide = left[..., plain, None], width[..., plain, None]
            shape = (*c.shape, int(plain.sum()) * self.nodes)
            parts.append(((inner + wide * place).reshape(shape), (wide * weight).reshape(shape)))
        if slivers[0].shape[-1]:
            parts.append(slivers)
        if len(parts) == 1:
            return parts[0]
        v, dv = (np.concatenate(column, axis=-1) for column in zip(*parts, strict=True))
        return v, dv

    def slices(self, c: Array, side: int) -> tuple[Array, Array]:
        """Nodes v and masses rho at breakpoints `c`, each of shape ``c.shape + (m,)``."""
        v, dv = self._nodes(c, side)
        with np.errstate(all="ignore"):  # at an integrable end-point singularity a node can round onto the end
            rho = math.prod((v, *self.law.factors(side * v, -side * v * c[..., None]), dv))
        return v, np.where((dv > 0) & np.isfinite(rho), rho, 0.0)

    def log_terms(self, c: Array, side: int) -> tuple[Array, Array]:
        """Nodes v and log rho, also where rho underflows, each of shape ``c.shape + (m,)``."""
        v, dv = self._nodes(c, side)
        with np.errstate(all="ignore"):
            log = np.log(v) + np.log(dv) + self.law.log_density(v, c, side)
        return v, np.where((dv > 0) & (log < np.inf), log, -np.inf)


class Rules(NamedTuple):
    """The rules with the fewest nodes that are as good as a finer one: to 1e-10 or better, and to 1e-5."""

    precise: WeightRule
    rough: WeightRule


def cheapest(candidates: Sequence[Sequence[WeightRule]], integrals: Callable[[WeightRule], Array], probes: Array) -> Rules:
    """The rules with the fewest nodes that are as good as a finer one, at all `probes`.

    Parameters
    ----------
    candidates : sequence of sequences
        Rules with the same cuts, the finest last; the sequence with the most cuts last.
    integrals : function
        What a rule makes of test functions at all probes, shape (probes, tests).
    probes : Array
        Breakpoints at which rules are compared.

    Notes
    -----
    Compared are integrals of 1, v^2, of a power that is no integer, and of the kind that scaled potentials bring, or
    those of `Tilts`: to 1e-12 with the finest rule of the same cuts (1e-11, 1e-10 where rounding in the densities allows
    no better), and to 1e-9 with the finest of all, which sees mass that the others may miss.
    """
    finest = [integrals(family[-1]) for family in candidates]
    sound = [k for k, values in enumerate(finest) if _agree(values, finest[-1], 1e-9)]
    tried = [(rule, finest[k]) for k in sound for rule in candidates[k][:-1]]
    tried.sort(key=lambda pair: pair[0].size(probes))
    found: dict[int, Array] = {}  # the rules in use are among the first: the others are not tried

    def agreeing(tolerance: float) -> Iterator[WeightRule]:
        for k, (rule, exact) in enumerate(tried):
            if k not in found:
                found[k] = integrals(rule)
            if _agree(found[k], exact, tolerance):
                yield rule

    precise = next((rule for tolerance in (1e-12, 1e-11, 1e-10) for rule in agreeing(tolerance)), candidates[-1][-1])
    return Rules(precise, next(agreeing(ROUGH), precise))


_FAR = np.array([0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1e3, 1e4])  # sizes over their scale where tilted densities are largest
_MOST = 60.0  # logarithm of what tilting may gain: exponentials of light tails need not be followed further


class Tilts(NamedTuple):
    r"""Integrals of :math:`v^2 e^{\theta v} \rho` at breakpoints, on one side, for tests of what nearly outgrows a density.

    The :math:`\theta` is the rate at which :math:`v^2 \rho` falls at a size, so that this is where the integrand is largest.

    Attributes
    ----------
    probes, side : Array, int
        Breakpoints, and the sign of the weights.
    rates, logarithms : Array, shape (probes, tests)
        The theta, and the logarithms of the integrals by the finest rule; -inf for tests that do not count.
    """

    probes: Array
    side: int
    rates: Array
    logarithms: Array

    @classmethod
    def of(cls, finest: WeightRule, probes: Array, side: int) -> Tilts:
        """The tests for the law of a rule."""
        scale = finest.law.panels(finest.cuts, probes, side)[2]
        v = scale[:, None] * _FAR
        low, middle, high, last = (finest.law.log_density(k * v, probes, side) for k in (0.95, 1.0, 1.05, 15.0))
        with np.errstate(invalid="ignore"):
            falls = (low - high) / (0.1 * v)
            rates = falls - 3 / v
            seen = np.isfinite(last) | (middle - 14 * v * falls > -700)  # else it is the density as a number that ends
            gain = middle + rates * v - middle.max(axis=1, keepdims=True)
            counts = seen & np.isfinite(rates) & (rates > 0) & (gain <= _MOST)
        tilts = cls(probes, side, np.where(counts, rates, 0.0), np.where(counts, 0.0, -np.inf))
        return tilts._replace(logarithms=np.where(counts, tilts._logarithms(finest), -np.inf))

    def _logarithms(self, rule: WeightRule) -> Array:
        v, log = rule.log_terms(self.probes, self.side)
        with np.errstate(divide="ignore"):
            log = log + 2 * np.log(v)
        return np.stack([np.logaddexp.reduce(log + rate[:, None] * v, axis=-1) for rate in self.rates.T], axis=-1)

    def integrals(self, rule: WeightRule) -> Array:
        """The integrals by a rule over those by the finest, 0 for tests that do not count."""
        there = np.isfinite(self.logarithms)
        return np.where(there, np.exp(self._logarithms(rule) - np.where(there, self.logarithms, 0.0)), 0.0)


def _test_integrals(rule: WeightRule, probes: Array, unit: float, order: float) -> Array:
    """Integrals of test functions at all probes, shape (probes, tests), one after the other for each side."""
    rows = []
    for side in (1, -1):
        v, rho = rule.slices(probes, side)
        u = v / unit
        with np.errstate(over="ignore", invalid="ignore"):
            tests = [u**2, np.ones_like(u), u ** (4 / 3), *(u * np.sinh(np.arcsinh(g * u) / 3) for g in (1.0, 1e3))]
            if math.isinf(order):
                tests += [u * np.sinh(g * u) for g in (1.0, 4.0)]
            elif order > MODERATE:
                tests += [u ** (1 + order / 2), u ** (1 + order)]
            rows += [np.where(rho > 0, rho * values, 0.0).sum(axis=-1) for values in tests]
    return np.stack(rows, axis=-1)


def _agree(found: Array, exact: Array, tolerance: float) -> bool:
    """Whether integrals agree, relative to themselves, or are below 1e-60 of the largest one."""
    size = np.abs(exact)
    return bool((np.abs(found - exact) <= tolerance * size + 1e-60 * size.max(axis=0)).all())
