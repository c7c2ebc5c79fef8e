r"""Integrals over v = |w| at given breakpoints from the density of (w, b) itself: the second opinion's rule for random |W|.

.. math:: \int F(v)\, \rho_s(c, v)\, dv, \qquad \rho_s(c, v) = v\, p(sv, -svc),

by the double exponential rule between knots of the density and marks of its bulk. Laws with finitely many sizes |w| at a
breakpoint, and laws of which no density of (w, b) is known, are read from their own `slices`, as fine as there are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.initialization.breakpoints import BreakpointLaw, PairLaw, Side
from splinebias.initialization.laws import Continuous
from splinebias.initialization.weight_bias_laws import Independent, Joint, Mixture
from splinebias.limit.second_opinion.weight_rules import RULES, TAME, Marks, WeightRules, marks_of, nodes_of, steep_rules

_STEEP = 20  # powers of |w| beyond which rules are made for the power
_FAINT = 1e-290  # masses that are as good as nothing, unless what they multiply is huge
_LOOKS = np.array([0.09, -0.4, 0.7, -1.3, 2.1, -7.0, 30.0])  # breakpoints, in units of a law, at which rays are compared

_BLOCK = 512  # breakpoints at a time, so that what they need stays near the processor


@dataclass(frozen=True, eq=False)
class WeightSizes:
    """The sizes of the weights of a law of (w, b), at breakpoints.

    Attributes
    ----------
    law : PairLaw
        The law.
    breakpoints : BreakpointLaw or None
        Its breakpoints, if they are known already.
    power : float
        Of v, by which integrands grow: that of the conjugate of a potential.
    """

    law: PairLaw
    breakpoints: BreakpointLaw | None = None
    power: float = 0.0

    @property
    def steep(self) -> bool:
        """Whether integrands have a high power of v in them, and so a narrow peak far out in the law, or at its end."""
        return _STEEP < self.power < math.inf

    @property
    def peaked(self) -> bool:
        """Whether exponentials meet tails that fall no faster: curvature may be narrow at the data then, by any factor."""
        if not math.isinf(self.power):
            return False
        if isinstance(self.law, Independent):
            return not all(law.is_light for law in self.law.laws if isinstance(law, Continuous))
        return not (isinstance(self.law, Joint) and self.law.density.gaussian)

    @cached_property
    def _rules(self) -> WeightRules:
        return steep_rules(self.power) if self.steep else TAME if 0 < self.power <= 4 else RULES

    @cached_property
    def dense(self) -> bool:
        """Whether sizes are integrated over a density here."""
        return self._parts is None and self._marks is not None

    @cached_property
    def _marks(self) -> Marks | None:
        return marks_of(self.law, self._rules)

    @cached_property
    def _sides(self) -> tuple[Side, Side]:
        """Units of plus and minus, whose sizes are known as finely as can be."""
        return (self.breakpoints or self.law.breakpoint_law()).finest().sides

    @cached_property
    def _parts(self) -> list[tuple[float, WeightSizes]] | None:
        if not isinstance(self.law, Mixture):
            return None
        return [
            (p, WeightSizes(of, None, self.power)) for p, of in zip(self.law.probabilities, self.law.components, strict=True)
        ]

    def integrals(self, c: Array, g: Array, bend: Callable[[Array], Array]) -> tuple[Array, Array]:
        r"""The integrals of v A(vg) at breakpoints `c` (n,), for plus and minus, and bounds on their errors, shape (2, n).

        Dual functions there are `g`, shape (S, n): of both sides, or the one that they share; `bend` is
        :math:`A = (\phi')^{-1}`, which grows no faster than an exponential.
        """
        if (parts := self._parts) is not None:
            made = [(p, *part.integrals(c, g, bend)) for p, part in parts]
            return np.asarray(sum(p * value for p, value, _ in made)), np.asarray(sum(p * error for p, _, error in made))
        if self._marks is None:
            return self._of_slices(c, g, bend)
        found = np.empty((2, 2, c.size))
        for side, block in itertools.product((0, 1), range(0, c.size, _BLOCK)):
            at = slice(block, block + _BLOCK)
            found[:, side, at] = self._dense(c[at], 1 - 2 * side, g[min(side, len(g) - 1), at], bend)
        return found[0], found[1]

    def _of_slices(self, c: Array, g: Array, bend: Callable[[Array], Array]) -> tuple[Array, Array]:
        """Bends, and how far they may be off, from the finitely many sizes of a law."""
        (v, rho), (w, sigma) = (side.slices(c) for side in self._sides)
        if rho.shape == sigma.shape:
            return self._summed(c, np.array([v, w]), np.array([rho, sigma]), g, bend)
        plus = self._summed(c, np.array([v]), np.array([rho]), g[:1], bend)
        minus = self._summed(c, np.array([w]), np.array([sigma]), g[-1:], bend, side=1)
        return np.concatenate([plus[0], minus[0]]), np.concatenate([plus[1], minus[1]])

    def _summed(
        self, c: Array, v: Array, rho: Array, g: Array, bend: Callable[[Array], Array], side: int = 0
    ) -> tuple[Array, Array]:
        """From sizes and masses of some sides, the first of them number `side`, each of shape (k, n, m)."""
        if v.shape[-1] == 1:
            v, rho, g = v[..., 0], rho[..., 0], np.broadcast_to(g, v.shape[:-1])
        else:
            g = g[..., None]
        values, faint = v * bend(v * g), rho < _FAINT
        error = np.zeros((len(v), c.size))
        lost = ~(np.abs(values[faint]) < 1e150)
        if lost.any():
            # where masses underflow and what they multiply is huge, the product cannot be told, unless it is next to nothing
            faint[faint] = lost
            of_side = faint.reshape(*error.shape, -1)
            for k in np.flatnonzero(of_side.any(axis=(1, 2))):
                far = self._sides[side + k].log_masses(c) + (v * np.abs(g))[k].reshape(c.size, -1) > -100
                error[k, (of_side[k] & far).any(axis=-1)] = np.inf
            values[rho == 0] = 0.0
        values *= rho
        return values.reshape(*error.shape, -1).sum(axis=-1) if values.ndim > 2 else values, error

    def _dense(self, c: Array, sign: int, g: Array, bend: Callable[[Array], Array]) -> tuple[Array, Array]:
        """The integral at breakpoints `c` for weights of a sign, and a bound on its error, by a rule over a density."""
        assert self._marks is not None
        rays = self._marks(c, sign)
        if (even := self._even[(1 - sign) // 2]) is not None:
            whole, half = (bend(np.multiply.outer(rays.scale * g, even.v)) @ even.sums).T * rays.scale**3
            return whole, _squared(np.abs(whole - half), np.abs(whole))  # A is odd and increasing: of one sign along a ray
        v, weights, half, unit = nodes_of(rays, self._rules)
        density, z = self._density(sign * v, -sign * v * c[..., None]), v * g[..., None]
        values = density * v
        values *= v * bend(z)
        if math.isinf(self.power) and (faint := (density < 1e-290) & (np.abs(z) > 100)).any():
            values[faint] = self._far_down(faint, sign * v, c, z, float(bend(np.ones(()))))
        if not np.isfinite(values.sum()):  # no density times infinity
            values[~(density > 0)] = 0.0
        if weights.ndim > 1:
            whole = np.einsum("...q,...q", values, weights) * unit
            return whole, np.abs(whole - np.einsum("...q,...q", values, half) * unit)
        whole = values @ weights * unit
        error = np.abs(whole - values @ half * unit)
        if rays.marks.shape[-1]:
            return whole, error
        return whole, _squared(error, np.abs(values, out=values) @ weights * unit)

    @cached_property
    def _even(self) -> tuple[_Even | None, _Even | None]:
        """For plus and minus, what all rays have in common, if they have."""
        return (None, None) if self.peaked else (self._along(1), self._along(-1))

    def _along(self, sign: int) -> _Even | None:
        """What rays of a sign have in common; looked for at a few breakpoints in and beyond the bulk of the law."""
        assert self._marks is not None
        of_weight, of_bias = self.law.second_moments
        c = math.sqrt(of_bias / of_weight) * _LOOKS
        rays = self._marks(c, sign)
        ladder, there = rays.ladder, rays.scale > 0
        if rays.marks.shape[-1] or ladder is None:
            return None
        c, v = c[there], rays.scale[there, None] * ladder.v
        density = self._density(sign * v, -sign * v * c[:, None])
        if not len(density):
            return _Even(ladder.v, np.zeros((ladder.v.size, 2)))
        weights = ladder.weights * ladder.v ** np.array([[2.0], [12.0]])
        apart = np.abs(density - density[0]) @ weights.T
        if not (apart <= 1e-13 * (weights @ density[0])).all():
            return None
        sums = np.array([ladder.weights, ladder.half]).T * (ladder.v**2 * density[0])[:, None]
        return _Even(ladder.v[sums[:, 0] > 0], sums[sums[:, 0] > 0])

    def _far_down(self, at: NDArray[np.bool_], w: Array, c: Array, z: Array, one: float) -> Array:
        r"""Some terms :math:`v^2 A(z) p` by their logarithms, :math:`A = A(1) \sinh(z)/\sinh(1)` with A(1) = `one`."""
        log = self._log_density(w[at], (-w * c[..., None])[at]) + 2 * np.log(np.abs(w[at])) + np.abs(z[at])
        return np.asarray(np.copysign(np.exp(log + math.log(one / math.sinh(1) / 2)), z[at]))

    def _log_density(self, w: Array, b: Array) -> Array:
        """The logarithm of the density, also where the density underflows, as far as the law gives it: else -inf."""
        if isinstance(self.law, Joint):
            return self.law.density.logpdf(w, b)
        assert isinstance(self.law, Independent)
        weight, bias = (law for law in self.law.laws if isinstance(law, Continuous))
        return np.asarray(weight.logpdf(w) + bias.logpdf(b))

    def _density(self, w: Array, b: Array) -> Array:
        """The joint density of weight and bias."""
        if isinstance(self.law, Joint):
            return np.asarray(self.law.density.pdf(w, b))
        assert isinstance(self.law, Independent)
        weight, bias = (law for law in self.law.laws if isinstance(law, Continuous))
        return np.asarray(weight.pdf(w) * bias.pdf(b))


class _Even(NamedTuple):
    """Where the density on every ray is one function of v over a scale: v in its units, and weights times v^2 times that.

    The `sums`, of shape (q, 2), are those of a rule and of half of it.
    """

    v: Array
    sums: Array


def _squared(error: Array, size: Array) -> Array:
    """Bounds of equidistant rules from what half of the nodes is off: twice as many about square the relative error."""
    return np.where(error < size, error * np.sqrt(error / np.where(size > 0, size, 1.0)), error)
