"""Breakpoint laws with finitely many sizes |w| at a breakpoint: discrete weights or biases, the circle; and mixtures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from splinebias._array import Array
from splinebias.initialization import zeta
from splinebias.initialization.breakpoints import BreakpointLaw, quotient_support
from splinebias.initialization.laws import Continuous, Discrete
from splinebias.initialization.zeta import OneRadius, ScaleFamily


@dataclass(eq=False)
class DiscreteWeight(BreakpointLaw):
    """W takes finitely many values, B has a density: `zeta.discrete_weight`."""

    weight: Discrete
    bias: Continuous

    def __post_init__(self) -> None:
        values = np.array(self.weight.values)
        self.knots, self.landmarks = (np.unique(-np.outer(1 / values, b)) for b in (self.bias.knots, self.bias.landmarks))
        ends = -np.outer(1 / values, self.bias.support)
        self.support = (float(ends.min()), float(ends.max()))
        self.degree = self.bias.degree

    def slices(self, c: Array, side: int) -> tuple[Array, Array]:
        return zeta.discrete_weight(c, *self._atoms[side], self.bias.pdf)

    def zeta(self, c: Array, side: int, degree: int = 1) -> Array:
        w, p = self._atoms[side]
        if w.size != 1:
            return super().zeta(c, side, degree)
        (size,), (mass,) = np.abs(w), p * np.abs(w)
        return np.asarray(mass * self.bias.pdf(-w[0] * c) * size ** (2 * degree))

    def log_masses(self, c: Array, side: int) -> Array:
        w, p = self._atoms[side]
        return np.asarray(np.log(p * np.abs(w)) + self.bias.logpdf(-w * c[..., None]))

    @cached_property
    def _atoms(self) -> dict[int, tuple[Array, Array]]:
        """The weights of one sign and their probabilities."""
        w, p = np.array(self.weight.values), np.array(self.weight.probabilities)
        return {side: (w[w * side > 0], p[w * side > 0]) for side in (1, -1)}


@dataclass(eq=False)
class DiscreteBias(BreakpointLaw):
    """B takes finitely many values, W has a density: `zeta.discrete_bias`."""

    weight: Continuous
    bias: Discrete

    def __post_init__(self) -> None:
        self._beta, self._p = np.array(self.bias.values), np.array(self.bias.probabilities)
        self.support = quotient_support(self.weight.support, (self._beta.min(), self._beta.max()))
        self.knots, self.landmarks = (
            np.unique(np.r_[0.0, [-beta * (1 / w) for w in points if w != 0 for beta in self._beta]])
            for points in (self.weight.knots, self.weight.landmarks)
        )
        if self.support[0] > 0 or self.support[1] < 0:
            self.knots, self.landmarks = self.knots[self.knots != 0], self.landmarks[self.landmarks != 0]

    def slices(self, c: Array, side: int) -> tuple[Array, Array]:
        return zeta.discrete_bias(c, self._beta, self._p, self.weight.pdf, side)

    def log_masses(self, c: Array, side: int) -> Array:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            w = -self._beta / c[..., None]
            log = np.log(self._p * np.abs(self._beta)) - 2 * np.log(np.abs(c[..., None])) + self.weight.logpdf(w)
        return np.where(np.isfinite(w) & (w * side > 0) & np.isfinite(log), log, -np.inf)


class UnitCircle(BreakpointLaw):
    """(W, B) uniform on the unit circle: `zeta.unit_circle`, on either side."""

    knots = np.zeros(0)
    landmarks = np.array([-1.0, 0.0, 1.0])
    support = (-math.inf, math.inf)
    even = True

    def slices(self, c: Array, side: int) -> tuple[Array, Array]:
        return zeta.unit_circle(c)

    def scale_families(self, side: int) -> tuple[ScaleFamily, ...]:
        def at(c: Array) -> tuple[Array, Array]:
            v, rho = zeta.unit_circle(c)
            return v[..., 0], rho[..., 0]

        return (ScaleFamily(OneRadius(), at),)


@dataclass(eq=False)
class MixtureBreakpoints(BreakpointLaw):
    r""":math:`\zeta_\pm = \sum_k \pi_k \zeta_\pm^{(k)}` over component `laws` with `probabilities` :math:`\pi_k`."""

    probabilities: Sequence[float]
    laws: Sequence[BreakpointLaw]

    def __post_init__(self) -> None:
        self.knots, self.landmarks = (
            np.unique(np.concatenate(points))
            for points in zip(*((law.knots, law.landmarks) for law in self.laws), strict=True)
        )
        self.support = (min(law.support[0] for law in self.laws), max(law.support[1] for law in self.laws))
        degrees = [law.degree for law in self.laws if law.degree is not None]
        self.degree = max(degrees) if len(degrees) == len(self.laws) else None
        self.max_cells = max(law.max_cells for law in self.laws)
        self.spread = any(law.spread for law in self.laws)
        self.costly = any(law.costly for law in self.laws)

    def zeta(self, c: Array, side: int, degree: int = 1) -> Array:
        return np.asarray(sum(p * law.zeta(c, side, degree) for p, law in self._parts))

    def slices(self, c: Array, side: int) -> tuple[Array, Array]:
        sliced = [(p, *law.slices(c, side)) for p, law in self._parts]
        v = np.concatenate([np.broadcast_to(v, rho.shape) for _, v, rho in sliced], axis=-1)
        return v, np.concatenate([p * rho for p, _, rho in sliced], axis=-1)

    def log_masses(self, c: Array, side: int) -> Array:
        return np.concatenate([np.log(p) + law.log_masses(c, side) for p, law in self._parts], axis=-1)

    def scale_families(self, side: int) -> tuple[ScaleFamily, ...]:
        found = [(p, law.scale_families(side)) for p, law in self._parts]
        return tuple(of.times(p) for p, families in found for of in families) if all(of for _, of in found) else ()

    def steep(self, order: float) -> MixtureBreakpoints:
        return MixtureBreakpoints(self.probabilities, [law.steep(order) for law in self.laws])

    def finest(self) -> MixtureBreakpoints:
        return MixtureBreakpoints(self.probabilities, [law.finest() for law in self.laws])

    def rough(self) -> MixtureBreakpoints:
        return MixtureBreakpoints(self.probabilities, [law.rough() for law in self.laws])

    @property
    def _parts(self) -> Iterator[tuple[float, BreakpointLaw]]:
        return zip(self.probabilities, self.laws, strict=True)
