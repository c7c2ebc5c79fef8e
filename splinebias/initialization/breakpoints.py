r"""The law of (breakpoint c = -b/w, v = |w|, sign of w): an initialization seen from infinite width.

Each law hands out, for a breakpoint c and a side s = sign w, a quadrature :math:`(v_m, \rho_m)` with

.. math:: E[F(C, |W|); \mathrm{sign} W = s] = \int dc \sum_m \rho_m(c) F(c, v_m(c)),

so that :math:`\zeta_s(c) = \sum_m \rho_m v_m^2` (change of variables b = -wc, Jacobian |w|), and says where these
densities are not smooth. Activations that are homogeneous of degree k have
:math:`\zeta^{(k)}_s(c) = \sum_m \rho_m v_m^{2k}` in its place. Nothing here knows about data, activations or potentials.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import Array
from splinebias.initialization.laws import Continuous, Discrete
from splinebias.initialization.weight_quadrature import RayRule, finest_rule, independent_rule
from splinebias.numerics.half_line import MODERATE, gaussian_ray, tanh_sinh


@dataclass(frozen=True, eq=False)
class Side:
    """The units of a law whose weight has one sign.

    Attributes
    ----------
    law : BreakpointLaw
        The law of all units.
    sign : int
        The sign of their weights, +1 or -1.
    """

    law: BreakpointLaw
    sign: int

    def zeta(self, c: Array, degree: int = 1) -> Array:
        r""":math:`\zeta^{(k)}_s(c)` for k = `degree` >= 0, same shape as `c`."""
        return self.law.zeta(c, self.sign, degree)

    def density(self, c: Array) -> Array:
        r"""Density :math:`\zeta^{(0)}_s` of the breakpoints of these units, same shape as `c`."""
        return self.law.density(c, self.sign)

    def slices(self, c: Array) -> tuple[Array, Array]:
        r"""Nodes v and masses :math:`\rho` of \|w\| at breakpoints `c`, each of shape ``c.shape + (m,)``."""
        return self.law.slices(c, self.sign)

    def log_masses(self, c: Array) -> Array:
        r""":math:`\log \rho`, also where :math:`\rho` underflows, as far as the law gives it: else -inf."""
        return self.law.log_masses(c, self.sign)


@dataclass(frozen=True, eq=False)
class BothSides(Side):
    """All units of a law as one side, for dual functions that are the same on both: densities are sums.

    Attributes
    ----------
    sign : int
        +1, a convention: the dual function is that of either side.
    """

    sign: int = 1

    def zeta(self, c: Array, degree: int = 1) -> Array:
        plus, minus = self.law.sides
        return plus.zeta(c, degree) + minus.zeta(c, degree)

    def density(self, c: Array) -> Array:
        plus, minus = self.law.sides
        return plus.density(c) + minus.density(c)

    def slices(self, c: Array) -> tuple[Array, Array]:
        (v, rho), (w, sigma) = (side.slices(c) for side in self.law.sides)
        if rho.shape[-1] == 1 and v.shape == w.shape and (v == w).all():
            return v, rho + sigma
        v, w = np.broadcast_to(v, rho.shape), np.broadcast_to(w, sigma.shape)
        return np.concatenate([v, w], axis=-1), np.concatenate([rho, sigma], axis=-1)

    def log_masses(self, c: Array) -> Array:
        plus, minus = (side.log_masses(c) for side in self.law.sides)
        if self.slices(c)[1].shape[-1] < plus.shape[-1] + minus.shape[-1]:
            return np.logaddexp(plus, minus)
        return np.concatenate([plus, minus], axis=-1)


class BreakpointLaw(ABC):
    """Joint law of breakpoint, weight magnitude and weight sign.

    Attributes
    ----------
    knots : Array, shape (K,)
        Finite breakpoints, sorted, where the densities are not smooth.
    landmarks : Array
        Breakpoints, sorted, that show a quadrature where the mass sits.
    support : tuple of float
        The smallest interval that holds all breakpoints.
    degree : int or None
        Degree of the polynomial that zeta is between its knots, None if it is not one.
    max_cells : int
        Quadrature cells that resolving zeta may cost; with more the law counts as unresolved.
    """

    knots: Array
    landmarks: Array
    support: tuple[float, float]
    degree: int | None = None
    max_cells: int = 20_000

    @cached_property
    def sides(self) -> tuple[Side, Side]:
        """The units with positive weights, and those with negative ones."""
        return Side(self, 1), Side(self, -1)

    @cached_property
    def both(self) -> Side:
        """All units as one side."""
        return BothSides(self)

    @abstractmethod
    def slices(self, c: Array, side: int) -> tuple[Array, Array]:
        """Nodes v and masses rho at breakpoints `c`, each of shape ``c.shape + (m,)``, for weights of sign `side`."""

    def log_masses(self, c: Array, side: int) -> Array:
        """log rho, also where rho underflows, as far as the law gives it: else -inf."""
        with np.errstate(divide="ignore"):
            return np.log(self.slices(c, side)[1])

    def steep(self, order: float) -> BreakpointLaw:
        r"""The same with `slices` for integrands that grow like :math:`v^a`, a = `order`, or exponentially (infinity).

        Those of this one are made for orders up to `MODERATE`.
        """
        return self

    def finest(self) -> BreakpointLaw:
        """The same with `slices` as fine as there are: a check of the usual ones."""
        return self

    def occupied(self, c: Array) -> NDArray[np.bool_]:
        """Whether there are breakpoints at `c`, same shape, also where their density underflows."""
        there = self.density(c, 1) + self.density(c, -1) > 0
        for side in (1, -1):
            there[~there] = (self.log_masses(c[~there], side) > -np.inf).any(axis=-1)
        return there

    def zeta(self, c: Array, side: int, degree: int = 1) -> Array:
        r""":math:`\zeta^{(k)}_s(c)` for k = `degree` >= 0, same shape as `c`."""
        v, rho = self.slices(c, side)
        with np.errstate(over="ignore", invalid="ignore"):  # where rho has underflowed, v may be beyond all powers
            return np.asarray(np.where(rho > 0, rho * v ** (2 * degree), 0.0).sum(axis=-1))

    def shares(self, c: Array, degree: int) -> tuple[Array, Array]:
        r""":math:`\zeta^{(k)}_\pm/\zeta^{(k)}`, also where they underflow; 0 where there are no breakpoints."""
        plus, minus = self.zeta(c, 1, degree), self.zeta(c, -1, degree)
        total = plus + minus
        faint = (total == 0) & self.occupied(c)
        if faint.any():
            logs = []
            for side in (1, -1):
                v, log = self.slices(c[faint], side)[0], self.log_masses(c[faint], side)
                logs.append(np.logaddexp.reduce(log + 2 * degree * np.log(v), axis=-1, initial=-np.inf))
            top = np.maximum(*logs)
            plus[faint], minus[faint] = (np.exp(log - top) for log in logs)
            total = plus + minus
        return plus / np.where(total > 0, total, 1.0), minus / np.where(total > 0, total, 1.0)

    def density(self, c: Array, side: int) -> Array:
        r"""Density :math:`\zeta^{(0)}_s` of breakpoints whose weight has sign `side`, same shape as `c`."""
        return self.zeta(c, side, 0)


class DiscreteWeight(BreakpointLaw):
    r"""W takes values w_j with probability pi_j, B has density p_B: :math:`\rho_j = \pi_j |w_j| p_B(-w_j c)`."""

    def __init__(self, weight: Discrete, bias: Continuous) -> None:
        self.weight, self.bias = weight, bias
        values = np.array(weight.values)
        self.knots = np.unique(-np.outer(1 / values, bias.knots))
        self.landmarks = np.unique(-np.outer(1 / values, bias.landmarks))
        ends = -np.outer(1 / values, bias.support)
        self.support = (float(ends.min()), float(ends.max()))
        self.degree = bias.degree

    def slices(self, c: Array, side: int) -> tuple[Array, Array]:
        w, p = self._atoms[side]
        rho = p * np.abs(w) * self.bias.pdf(-w * c[..., None])
        return np.broadcast_to(np.abs(w), rho.shape), rho

    def log_masses(self, c: Array, side: int) -> Array:
        w, p = self._atoms[side]
        return np.asarray(np.log(p * np.abs(w)) + self.bias.logpdf(-w * c[..., None]))

    @cached_property
    def _atoms(self) -> dict[int, tuple[Array, Array]]:
        """The weights of one sign and their probabilities."""
        w, p = np.array(self.weight.values), np.array(self.weight.probabilities)
        return {side: (w[w * side > 0], p[w * side > 0]) for side in (1, -1)}


class DiscreteBias(BreakpointLaw):
    r"""B takes values beta_j with probability pi_j, W has density p_W: one node :math:`v = |\beta_j/c|` each,

    of mass :math:`\pi_j |\beta_j| c^{-2} p_W(-\beta_j/c)` on the side sign(w) = -sign(beta_j c).
    """

    def __init__(self, weight: Continuous, bias: Discrete) -> None:
        self.weight, self.bias = weight, bias
        values = np.array(bias.values)
        nonzero = [np.array([w for w in points if w != 0]) for points in (weight.knots, weight.landmarks)]
        self.knots, self.landmarks = (np.unique(np.r_[0.0, -np.outer(values, 1 / points).ravel()]) for points in nonzero)
        lo, hi = weight.support
        if lo < 0 < hi or lo == 0 or hi == 0:
            sides = {math.copysign(1, -b * w) for b in bias.values for w in (lo, hi) if w != 0}
            self.support = (-math.inf if -1.0 in sides else 0.0, math.inf if 1.0 in sides else 0.0)
        else:
            ends = -np.outer(values, [1 / lo, 1 / hi])
            self.support = (float(ends.min()), float(ends.max()))
        if self.support[0] > 0 or self.support[1] < 0:
            self.knots, self.landmarks = self.knots[self.knots != 0], self.landmarks[self.landmarks != 0]

    def slices(self, c: Array, side: int) -> tuple[Array, Array]:
        beta, p = np.array(self.bias.values), np.array(self.bias.probabilities)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            w = -beta / c[..., None]
            rho = p * np.abs(beta) / c[..., None] ** 2 * self.weight.pdf(w)
        there = np.isfinite(w) & (w * side > 0) & np.isfinite(rho)
        return np.where(there, np.abs(w), 1.0), np.where(there, rho, 0.0)

    def log_masses(self, c: Array, side: int) -> Array:
        beta, p = np.array(self.bias.values), np.array(self.bias.probabilities)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            w = -beta / c[..., None]
            log = np.log(p * np.abs(beta)) - 2 * np.log(np.abs(c[..., None])) + self.weight.logpdf(w)
        return np.where(np.isfinite(w) & (w * side > 0) & np.isfinite(log), log, -np.inf)


class UnitCircle(BreakpointLaw):
    r"""(W, B) uniform on the unit circle: c is Cauchy and :math:`|w| = (1 + c^2)^{-1/2}` given c."""

    def __init__(self) -> None:
        self.knots = np.zeros(0)
        self.landmarks = np.array([-1.0, 0.0, 1.0])
        self.support = (-math.inf, math.inf)

    def slices(self, c: Array, side: int) -> tuple[Array, Array]:
        v = 1 / np.sqrt(1 + c[..., None] ** 2)
        return v, v**2 / (2 * np.pi)


class ContinuousWeight(BreakpointLaw):
    r"""Independent W and B, both with densities: :math:`\rho(v) = v\, p_W(sv)\, p_B(-svc)\, dv`.

    Composite double-exponential rules in v (see `rays`); centred Gaussian and centred uniform pairs have closed-form zeta.
    """

    max_cells = 1_000  # each node costs an integral over |w|

    def __init__(self, weight: Continuous, bias: Continuous, order: float = MODERATE, *, fine: bool = False) -> None:
        self.weight, self.bias, self.order, self._fine = weight, bias, order, fine
        self._steeper: dict[float, ContinuousWeight] = {}
        w_cuts = [w for w in weight.knots if w != 0]
        b_cuts = [b for b in bias.knots if b != 0]
        self.knots = np.unique(
            [-b / w for b in b_cuts for w in w_cuts] + ([0.0] if weight.support[1] - weight.support[0] == math.inf else [])
        )
        w_marks = [w for w in (*weight.knots, *weight.landmarks[2:-2]) if w != 0]  # between the 1 and 99 % quantiles
        self.landmarks = np.unique([-b / w for b in (*bias.knots, *bias.landmarks[2:-2]) for w in w_marks])
        self.support = _quotient_support(weight.support, bias.support)
        self._gauss = (weight.is_centred("norm"), bias.is_centred("norm"))
        self._box = (weight.is_centred("uniform"), bias.is_centred("uniform"))
        if None not in self._gauss:
            self.knots = np.zeros(0)
            self.landmarks = np.array([-1.0, 0.0, 1.0]) * self._gauss[1] / self._gauss[0]  # type: ignore[operator]
        if None not in self._box:
            self.landmarks = self.knots

    def zeta(self, c: Array, side: int, degree: int = 1) -> Array:
        power = 2 * degree + 2
        s_w, s_b = self._gauss
        if s_w is not None and s_b is not None:
            spread = s_w * s_b / np.sqrt(s_b**2 + (c * s_w) ** 2)  # of |w| given c
            return np.asarray(2.0 ** (degree - 1) * math.factorial(degree) * spread**power / (np.pi * s_w * s_b))
        w_max, b_max = self._box
        if w_max is not None and b_max is not None:
            top = np.minimum(w_max, b_max / np.maximum(np.abs(c), b_max / w_max))
            return np.asarray(top**power / (4 * power * w_max * b_max))
        return super().zeta(c, side, degree)

    def slices(self, c: Array, side: int) -> tuple[Array, Array]:
        s_w, s_b = self._gauss
        if s_w is not None and s_b is not None:
            u, du = gaussian_ray(np.zeros(()), self.order, fine=self._fine)
            scale = 1 / np.sqrt(1 / s_w**2 + (c[..., None] / s_b) ** 2)
            return scale * u, scale**2 * u * np.exp(-(u**2) / 2) * du / (2 * np.pi * s_w * s_b)
        w_max, b_max = self._box
        if w_max is not None and b_max is not None:
            u, du = tanh_sinh(0.06 if self._fine else 0.12)
            top = np.minimum(w_max, b_max / np.maximum(np.abs(c), b_max / w_max))[..., None]
            return top * u, top**2 * u * du / (4 * w_max * b_max)
        return self._rule.slices(c, side)

    def log_masses(self, c: Array, side: int) -> Array:
        return super().log_masses(c, side) if self._closed else self._rule.log_masses(c, side)

    def steep(self, order: float) -> ContinuousWeight:
        if order <= self.order:
            return self
        order = 2.0 ** math.ceil(math.log2(order)) if math.isfinite(order) else math.inf
        if order not in self._steeper:
            self._steeper[order] = ContinuousWeight(self.weight, self.bias, order)
        return self._steeper[order]

    def finest(self) -> ContinuousWeight:
        return ContinuousWeight(self.weight, self.bias, self.order, fine=True)

    @property
    def _closed(self) -> bool:
        """Whether the rule is that of a formula."""
        return None not in self._gauss or None not in self._box

    @cached_property
    def _rule(self) -> RayRule:
        if self._fine:
            return finest_rule(self.weight, self.bias, self.order)
        return independent_rule(self.weight, self.bias, self.landmarks, self.order)


def _quotient_support(weight: tuple[float, float], bias: tuple[float, float]) -> tuple[float, float]:
    """Smallest interval holding -b/w."""
    if weight[0] <= 0 <= weight[1]:
        signs = {math.copysign(1, -b * w) for b in bias if b for w in weight if w}
        if weight[0] < 0 < weight[1] and any(bias):
            signs = {-1.0, 1.0}
        return (-math.inf if -1.0 in signs else 0.0, math.inf if 1.0 in signs else 0.0)
    with np.errstate(invalid="ignore"):
        ends = -np.outer(1 / np.array(weight), bias)
    ends = np.nan_to_num(ends, nan=0.0, posinf=math.inf, neginf=-math.inf)
    return float(ends.min()), float(ends.max())
