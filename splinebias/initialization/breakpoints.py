r"""The law of (breakpoint c = -b/w, v = |w|, sign of w): an initialization seen from infinite width.

Each law hands out, for a breakpoint c and a side s = sign w, a quadrature :math:`(v_m, \rho_m)` with

.. math:: E[F(C, |W|); \mathrm{sign} W = s] = \int dc \sum_m \rho_m(c) F(c, v_m(c)),

so that :math:`\zeta_s(c) = \sum_m \rho_m v_m^2` (change of variables b = -wc, Jacobian |w|), and says where these
densities are not smooth. Activations that are homogeneous of degree k have
:math:`\zeta^{(k)}_s(c) = \sum_m \rho_m v_m^{2k}` in its place. Nothing here knows about data, activations or potentials.

Laws with finitely many sizes |w| at a breakpoint are in `discrete_breakpoints`, those with a density in
`continuous_breakpoints`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.initialization.zeta import ScaleFamily


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
        return self.zeta(c, 0)

    def slices(self, c: Array) -> tuple[Array, Array]:
        r"""Nodes v and masses :math:`\rho` of \|w\| at breakpoints `c`, each of shape ``c.shape + (m,)``."""
        return self.law.slices(c, self.sign)

    def log_masses(self, c: Array) -> Array:
        r""":math:`\log \rho`, also where :math:`\rho` underflows, as far as the law gives it: else -inf."""
        return self.law.log_masses(c, self.sign)

    @cached_property
    def families(self) -> tuple[ScaleFamily, ...]:
        """Scale families that these units are the sum of; none: they are no such sum."""
        return self.law.scale_families(self.sign)


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
        plus, minus = self.law.zetas(c, degree)
        return np.asarray(plus + minus)

    def slices(self, c: Array) -> tuple[Array, Array]:
        (v, rho), (w, sigma) = (side.slices(c) for side in self.law.sides)
        if rho.shape[-1] == 1 and v.shape == w.shape and (v == w).all():
            return v, rho + sigma
        v, w = np.broadcast_to(v, rho.shape), np.broadcast_to(w, sigma.shape)
        return np.concatenate([v, w], axis=-1), np.concatenate([rho, sigma], axis=-1)

    @cached_property
    def families(self) -> tuple[ScaleFamily, ...]:
        plus, minus = (side.families for side in self.law.sides)
        if self.law.even:
            return tuple(of.times(2.0) for of in plus)
        return (*plus, *minus) if plus and minus else ()

    def log_masses(self, c: Array) -> Array:
        plus, minus = (side.log_masses(c) for side in self.law.sides)
        one = plus.shape[-1] == 1  # else none are the same
        if one and self.slices(c)[1].shape[-1] < plus.shape[-1] + minus.shape[-1]:
            return np.logaddexp(plus, minus)
        return np.concatenate([plus, minus], axis=-1)


class BreakpointLaw(ABC):
    r"""Joint law of breakpoint, weight magnitude and weight sign.

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
    spread : bool
        Whether \|w\| has a density at every breakpoint, rather than finitely many values.
    costly : bool
        Whether zeta is an integral at every breakpoint, so that values are worth keeping.
    even : bool
        Whether units with w > 0 and with w < 0 are alike at every breakpoint.
    """

    knots: Array
    landmarks: Array
    support: tuple[float, float]
    degree: int | None = None
    max_cells: int = 20_000
    spread: bool = False
    costly: bool = False
    even: bool = False

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
        """log rho for weights of sign `side`, also where rho underflows, as far as the law gives it: else -inf."""
        with np.errstate(divide="ignore"):
            return np.log(self.slices(c, side)[1])

    def scale_families(self, side: int) -> tuple[ScaleFamily, ...]:
        """Scale families whose sum the units with weights of sign `side` are; none: no such sum is known."""
        return ()

    def steep(self, order: float) -> BreakpointLaw:
        r"""This law with `slices` for integrands that grow like :math:`v^a`, a = `order`, or exponentially (infinity).

        Without this, `slices` are made for orders up to `half_line.MODERATE`.
        """
        return self

    def finest(self) -> BreakpointLaw:
        """This law with `slices` as fine as there are, and no `scale_families`: a check of the usual ones, and of these."""
        return self

    def rough(self) -> BreakpointLaw:
        """This law with `slices` that are good to 1e-5, if those are fewer: where a solution is far off, they do as well."""
        return self

    def occupied(self, c: Array) -> NDArray[np.bool_]:
        """Whether there are breakpoints at `c`, same shape, also where their density underflows."""
        there = self.both.density(c) > 0
        for side in self.sides:
            there[~there] = (side.log_masses(c[~there]) > -np.inf).any(axis=-1)
        return there

    def zeta(self, c: Array, side: int, degree: int = 1) -> Array:
        r""":math:`\zeta^{(k)}_s(c)` for k = `degree` >= 0, same shape as `c`."""
        v, rho = self.slices(c, side)
        with np.errstate(over="ignore", invalid="ignore"):  # where rho has underflowed, v may be beyond all powers
            powers = (v**2) ** degree  # squares are a tenth of the time of other powers
            return np.asarray(np.where(rho > 0, rho * powers, 0.0).sum(axis=-1))

    def zetas(self, c: Array, degree: int = 1) -> Array:
        r""":math:`\zeta^{(k)}_\pm(c)` of both sides, shape (2,) and that of `c`."""
        plus = self.zeta(c, 1, degree)
        return np.array([plus, plus if self.even else self.zeta(c, -1, degree)])

    def shares(self, c: Array, degree: int) -> tuple[Array, Array]:
        r""":math:`\zeta^{(k)}_\pm/\zeta^{(k)}`, also where they underflow; 0 where there are no breakpoints."""
        zetas = self.zetas(c, degree)
        faint = (zetas.sum(axis=0) == 0) & self.occupied(c)
        if faint.any():
            logs = np.stack(
                [
                    np.logaddexp.reduce(
                        side.log_masses(c[faint]) + 2 * degree * np.log(side.slices(c[faint])[0]), axis=-1, initial=-np.inf
                    )
                    for side in self.sides
                ]
            )
            zetas[:, faint] = np.exp(logs - logs.max(axis=0))
        total = zetas.sum(axis=0)
        plus, minus = zetas / np.where(total > 0, total, 1.0)
        return plus, minus

    def density(self, c: Array, side: int) -> Array:
        r"""Density :math:`\zeta^{(0)}_s` of breakpoints whose weight has sign `side`, same shape as `c`."""
        return self.zeta(c, side, 0)


class PairLaw(ABC):
    """The law of (w, b): sampled, and as a breakpoint law.

    Attributes
    ----------
    inputs : int
        How many inputs a unit has; above 1 there are no breakpoints, see `several_inputs`.
    """

    inputs: int = 1

    @abstractmethod
    def sample(self, size: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Independent draws (w, b), each of shape (size,)."""

    @abstractmethod
    def breakpoint_law(self) -> BreakpointLaw:
        """The law of (breakpoint, |w|, sign w)."""

    @property
    @abstractmethod
    def second_moments(self) -> tuple[float, float]:
        """The second moments E[W^2] and E[B^2] of weight and bias."""

    @abstractmethod
    def lacks_moment(self, order: float, *, weight_only: bool) -> str | None:
        """None if all moments of this order are finite (infinity: exponential ones); else words such as

        "the `bias` law, and t(2.5)", to be followed by "has none". `weight_only` asks of the weights alone, where a law can
        tell them from the biases.
        """

    @abstractmethod
    def describe(self) -> str:
        """One line for tables and plots."""

    @abstractmethod
    def to_table(self) -> dict[str, Any]:
        """Entries of the initialization's table that say what this law is."""


def quotient_support(weight: tuple[float, float], bias: tuple[float, float]) -> tuple[float, float]:
    """The smallest interval that holds -b/w for w and b in two intervals; up to 0, if not smaller, where w may be 0."""
    if weight[0] <= 0 <= weight[1]:
        signs = {math.copysign(1, -b * w) for b in bias if b for w in weight if w}
        return (-math.inf if -1.0 in signs else 0.0, math.inf if 1.0 in signs else 0.0)
    with np.errstate(invalid="ignore"):
        ends = -np.outer(1 / np.array(weight), bias)
    ends = np.nan_to_num(ends, nan=0.0, posinf=math.inf, neginf=-math.inf)
    return float(ends.min()), float(ends.max())
