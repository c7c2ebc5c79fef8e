r"""Breakpoint laws of joint densities p(w, b) and of mixtures.

A breakpoint c and a side s = sign w fix a ray (w, b) = v (s, -sc) from the origin, along which :math:`\rho(v) = v\,p\,dv`.
With the mean :math:`\mu` and the covariance (or shape) matrix :math:`\Sigma` of p the ray is nearest to the mean at
:math:`v_0 = d^T\Sigma^{-1}\mu / d^T\Sigma^{-1}d`, d = (s, -sc), on the scale :math:`\tau = (d^T\Sigma^{-1}d)^{-1/2}`:

.. math:: |v d - \mu|^2_{\Sigma^{-1}} = q_0 + (v - v_0)^2/\tau^2 .
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np

from splinebias._arguments import Array
from splinebias.initialization.breakpoints import BreakpointLaw
from splinebias.initialization.joint_laws import JointDensity
from splinebias.initialization.weight_quadrature import STEPS, cheapest
from splinebias.numerics.half_line import MODERATE, double_exponential, gaussian_moment, gaussian_ray

_LEVELS = (1e-3, 0.02, 0.2, 0.5, 0.8, 0.98, 1 - 1e-3)
_DRAWS = 2000
_CUTS = ((), (-2.0, 2.0), (-6.0, -2.0, 2.0, 6.0))


class Ray(NamedTuple):
    r"""The :math:`v_0`, :math:`\tau` and :math:`q_0` above, each of the shape of the breakpoints."""

    nearest: Array
    width: Array
    distance: Array


class JointBreakpoints(BreakpointLaw):
    """Any smooth density p(w, b): composite double-exponential rules along the ray."""

    max_cells = 2_000  # each node costs an integral over |w|

    def __init__(self, density: JointDensity, order: float = MODERATE) -> None:
        self.joint, self.order = density, order
        self._steeper: dict[float, Self] = {}
        self.knots = np.zeros(0)
        self.support = (-math.inf, math.inf)
        self._precision = np.linalg.inv(density.scatter)
        w, b = density.sample(_DRAWS, np.random.default_rng(0))
        self.landmarks = np.unique(np.quantile(-b / w, _LEVELS))

    def ray(self, c: Array, side: int) -> Ray:
        """Where the ray of `c` and `side` passes the mean."""
        (p_ww, p_wb), (_, p_bb) = self._precision
        tilt = self._precision @ self.joint.centre
        length = p_ww - 2 * p_wb * c + p_bb * c**2
        along = side * (tilt[0] - c * tilt[1])
        # q_0 = (cross product of d and the mean)^2 det(P) / length: without cancellation
        offset = self.joint.centre[1] + c * self.joint.centre[0]
        distance = offset**2 * np.linalg.det(self._precision) / length
        return Ray(along / length, 1 / np.sqrt(length), distance)

    def slices(self, c: Array, side: int) -> tuple[Array, Array]:
        return self._rule.slices(c, side)

    def steep(self, order: float) -> Self:
        if order <= self.order:
            return self
        order = 2.0 ** math.ceil(math.log2(order)) if math.isfinite(order) else math.inf
        if order not in self._steeper:
            self._steeper[order] = type(self)(self.joint, order)
        return self._steeper[order]

    def finest(self) -> JointBreakpoints:
        fine = JointBreakpoints(self.joint, self.order)
        fine._rule = JointRule(fine, _CUTS[-1], STEPS[-1])
        return fine

    @cached_property
    def _rule(self) -> JointRule:
        if math.isinf(self.order):
            return JointRule(self, _CUTS[-1], STEPS[4])
        around = float(np.sqrt(self.joint.scatter[1, 1] / self.joint.scatter[0, 0])) * np.logspace(-4, 4, 17)
        probes = np.unique(np.r_[self.landmarks, -around, around])
        candidates = [[JointRule(self, cuts, step) for step in STEPS] for cuts in _CUTS]
        unit = float(np.sqrt(self.joint.second_moments[0]))
        return cheapest(candidates, probes, unit, self.order)


@dataclass(frozen=True, eq=False)
class JointRule:
    r"""Double-exponential rules on the pieces of the ray between `cuts`, which count from v_0 in units of tau."""

    law: JointBreakpoints
    cuts: tuple[float, ...]
    step: float

    def slices(self, c: Array, side: int) -> tuple[Array, Array]:
        """Nodes and masses, each of shape ``c.shape + (m,)``."""
        nearest, width, distance = self.law.ray(c, side)
        inner = [np.maximum(nearest + cut * width, 0.0) for cut in self.cuts]
        edges = np.stack([np.zeros(c.shape), *inner, np.full(c.shape, np.inf)], axis=-1)
        v, dv = double_exponential(edges[..., :-1], np.diff(edges, axis=-1), width * np.sqrt(1 + distance), self.step)
        with np.errstate(all="ignore"):
            rho = v * self.law.joint.pdf(side * v, -side * v * c[..., None]) * dv
        return v, np.where((dv > 0) & np.isfinite(rho), rho, 0.0)


class GaussianBreakpoints(JointBreakpoints):
    r"""(W, B) ~ N(mu, Sigma): with :math:`M_n(m) = \int_0^\infty u^n e^{-(u - m)^2/2} du`,

    .. math:: \zeta^{(k)}_s(c) = \frac{\tau^{2k+2}}{2\pi |\Sigma|^{1/2}}\, e^{-q_0/2}\, M_{2k+1}(v_0/\tau).
    """

    max_cells = 20_000

    def __init__(self, density: JointDensity, order: float = MODERATE, *, fine: bool = False) -> None:
        super().__init__(density, order)
        self._fine = fine
        self._scale = 1 / (2 * math.pi * math.sqrt(np.linalg.det(density.scatter)))

    def finest(self) -> GaussianBreakpoints:
        return GaussianBreakpoints(self.joint, self.order, fine=True)

    def zeta(self, c: Array, side: int, degree: int = 1) -> Array:
        nearest, width, distance = self.ray(c, side)
        with np.errstate(under="ignore"):
            moment = gaussian_moment(2 * degree + 1, nearest / width)
            return np.asarray(self._scale * width ** (2 * degree + 2) * np.exp(-distance / 2) * moment)

    def slices(self, c: Array, side: int) -> tuple[Array, Array]:
        nearest, width, distance = (part[..., None] for part in self.ray(c, side))
        centre = nearest / width
        u, du = gaussian_ray(centre[..., 0], self.order, fine=self._fine)
        with np.errstate(under="ignore"):
            rho = self._scale * width**2 * u * np.exp(-((u - centre) ** 2 + distance) / 2) * du
        return width * u, rho


class MixtureBreakpoints(BreakpointLaw):
    r""":math:`\zeta_\pm = \sum_k \pi_k \zeta_\pm^{(k)}` over components with probabilities :math:`\pi_k`."""

    def __init__(self, probabilities: Sequence[float], laws: Sequence[BreakpointLaw]) -> None:
        self.parts = tuple(zip(probabilities, laws, strict=True))
        self.knots = np.unique(np.concatenate([law.knots for law in laws]))
        self.landmarks = np.unique(np.concatenate([law.landmarks for law in laws]))
        self.support = (min(law.support[0] for law in laws), max(law.support[1] for law in laws))
        degrees = [law.degree for law in laws]
        self.degree = None if None in degrees else max(degree for degree in degrees if degree is not None)
        self.max_cells = max(law.max_cells for law in laws)

    def zeta(self, c: Array, side: int, degree: int = 1) -> Array:
        return np.asarray(sum(p * law.zeta(c, side, degree) for p, law in self.parts))

    def slices(self, c: Array, side: int) -> tuple[Array, Array]:
        sliced = [(p, *law.slices(c, side)) for p, law in self.parts]
        v = np.concatenate([np.broadcast_to(v, rho.shape) for _, v, rho in sliced], axis=-1)
        return v, np.concatenate([p * rho for p, _, rho in sliced], axis=-1)

    def steep(self, order: float) -> MixtureBreakpoints:
        steeper = [(p, law.steep(order)) for p, law in self.parts]
        return self if all(law is old for (_, law), (_, old) in zip(steeper, self.parts, strict=True)) else self._of(steeper)

    def finest(self) -> MixtureBreakpoints:
        return self._of([(p, law.finest()) for p, law in self.parts])

    def _of(self, parts: list[tuple[float, BreakpointLaw]]) -> MixtureBreakpoints:
        return MixtureBreakpoints(*zip(*parts, strict=True))

    def log_masses(self, c: Array, side: int) -> Array:
        return np.concatenate([np.log(p) + law.log_masses(c, side) for p, law in self.parts], axis=-1)
