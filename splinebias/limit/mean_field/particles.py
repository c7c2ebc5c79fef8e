r"""Particles that stand for infinitely many neurons: rules for the law of (a, w, b) at the start.

The flow of a neuron is homogeneous of degree 1 in (a, w, b) and what it adds to f of degree 2, so a radius integrates out:
with :math:`\theta = \rho u` means over neurons are means over directions u with the mass :math:`E[\rho^2]`, and means of
products of two with :math:`E[\rho^4]`. Three rules:

- a = 0: angles :math:`u = (\cos\varphi, \sin\varphi)` of (w, b), for every law of the library, with
  :math:`c = -\tan\varphi`, the side :math:`\pm` of :math:`\cos\varphi` and

  .. math:: E[\rho^2; d\varphi] = (1 + c^2)^2 \zeta_\pm(c)\, d\varphi, \qquad
            E[\rho^4; d\varphi] = (1 + c^2)^3 \zeta^{(2)}_\pm(c)\, d\varphi;

- a, w, b independent centred Gaussians: the sphere, with masses :math:`\propto q^{-5/2}` and :math:`q^{-7/2}`,
  :math:`q = a^2/s_a^2 + w^2/s_w^2 + b^2/s_b^2`;
- otherwise points in (a, w, b): scrambled Sobol' points where the three are independent, else draws.

The first two are Gauss-Legendre rules between all angles at which a neuron's kink is at a sample or at a point where the
function is asked for. Source: derived here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from splinebias._array import Array
from splinebias.initialization.breakpoints import BreakpointLaw
from splinebias.initialization.continuous_breakpoints import CentredGaussian
from splinebias.initialization.densities.scipy_parameters import law_name, shape_loc_scale
from splinebias.initialization.laws import Continuous, Discrete, Law, as_law
from splinebias.initialization.weight_bias_laws import Independent
from splinebias.numerics.legendre import gauss_legendre

if TYPE_CHECKING:
    from splinebias.initialization.initialization import Initialization

_LARGEST_RULE = 16  # nodes; longer panels are cut: what neurons do later is smooth nowhere in particular
_GOLDEN = (math.sqrt(5) - 1) / 2
_FEWEST_A_PANEL, _FEWEST_HEIGHTS = 4, 8  # nodes, on average: half as many still are another rule


@dataclass(frozen=True, eq=False)
class Particles:
    r"""Particles and their masses, each array of shape (N,).

    Attributes
    ----------
    a, w, b : Array
        Output weights, hidden weights and biases at the start.
    mass, square : Array
        What means of functions of degree 2, and of degree 4, give to each.
    paired : bool
        Whether neurons come in pairs: for each of these a partner with -a.
    turn : Array, or None
        Where particles are nodes on the circle, in the order of their angles: the weight of each node in the angle.
    """

    a: Array
    w: Array
    b: Array
    mass: Array
    square: Array
    paired: bool
    turn: Array | None = None

    @property
    def neurons(self) -> tuple[Array, Array, Array, Array]:
        """All (a, w, b) and masses for means of degree 2: of pairs the partners come second."""
        if not self.paired:
            return self.a, self.w, self.b, self.mass
        w, b, mass = (np.concatenate([part, part]) for part in (self.w, self.b, self.mass / 2))
        return np.concatenate([self.a, -self.a]), w, b, mass

    def merged(self, influence: Array) -> Array:
        """Influences of all neurons, (K, number of neurons), to those of what is independent: means over pairs, (K, N)."""
        if not self.paired:
            return influence
        half = self.mass.size
        means: Array = (influence[:, :half] + influence[:, half:]) / 2
        return means

    def covariance(self, influence: Array) -> Array:
        """n times the covariance of means over n neurons, for influences of shape (K, number of neurons)."""
        influence = self.merged(influence)
        mean = influence @ self.mass
        covariance: Array = (2 if self.paired else 1) * ((influence * self.square) @ influence.T - np.outer(mean, mean))
        return covariance


def fewest(initialization: Initialization, kinks: Array) -> int:
    """The number of particles from which on half as many tell how good they are."""
    if initialization.output is None:
        return _FEWEST_A_PANEL * (_circle_edges(initialization.breakpoint_law, kinks).size - 1)
    if _centred_scales(initialization) is None:
        return 1
    each = _FEWEST_HEIGHTS * _FEWEST_A_PANEL * (_angles(kinks).size - 1)
    return 2 * each if initialization.paired else each


def particles_of(initialization: Initialization, kinks: Array, count: int, seed: int, *, spread: bool = False) -> Particles:
    """About `count` particles for a law; `kinks` are the x at which neurons bend what is asked for.

    `spread`: at any x, so that neurons which share an angle at the start had better be few.
    """
    if initialization.output is None:
        return _on_circle(initialization, kinks, count)
    paired = initialization.paired
    scales = _centred_scales(initialization)
    each = max(count // 2, 1) if paired else count
    if scales is not None:
        return _on_sphere(scales, kinks, each, paired=paired, spread=spread)
    return _points(initialization, each, seed, paired)


def needs_volume(initialization: Initialization) -> bool:
    """Whether particles fill three dimensions, not two."""
    return initialization.output is not None


def lost_mass(particles: Particles, initialization: Initialization) -> float:
    r"""How far :math:`E[a^2 + w^2 + b^2]` of the particles is from that of the law, relative."""
    squares = particles.a**2 + particles.w**2 + particles.b**2
    wanted = sum(initialization.pair_law.second_moments) + initialization.output_second_moment
    return abs(float(particles.mass @ squares) / wanted - 1)


def _angles(kinks: Array) -> Array:
    """Where on the circle the kink of a neuron is at one of the x, or nowhere, sorted and closed, from -pi/2 on."""
    right = -np.arctan(kinks)
    quarters = math.pi / 2 * np.arange(-1, 4)
    return np.unique(np.concatenate([right, math.pi + right, quarters]))


def _panels(edges: Array, share: Array, count: int) -> tuple[Array, Array]:
    """Nodes and weights of Gauss-Legendre rules between edges, about `count` in all as the panels' shares say."""
    nodes, weights = [], []
    for lo, hi, part in zip(edges[:-1], edges[1:], share / share.sum(), strict=True):
        if part > 0:
            wanted = math.ceil(count * part)
            cells = math.ceil(wanted / _LARGEST_RULE)
            x, weight = gauss_legendre(math.ceil(wanted / cells))
            size = (hi - lo) / cells
            nodes.append((lo + size * (np.arange(cells)[:, None] + x)).ravel())
            weights.append(np.tile(size * weight, cells))
    return np.concatenate(nodes), np.concatenate(weights)


def _circle_edges(law: BreakpointLaw, kinks: Array) -> Array:
    """Angles between which a rule for a law is smooth, as far as is known."""
    ends = np.array([end for end in law.support if math.isfinite(end)])
    return _angles(np.concatenate([kinks, law.knots, law.landmarks, ends]))


def _on_circle(initialization: Initialization, kinks: Array, count: int) -> Particles:
    """The rule for a = 0."""
    law = initialization.breakpoint_law.steep(4)

    def masses(angle: Array) -> tuple[Array, Array]:
        c, right = -np.tan(angle), np.cos(angle) > 0
        stretch = 1 + c * c
        one, two = (np.where(right, law.zeta(c, 1, degree), law.zeta(c, -1, degree)) for degree in (1, 2))
        return stretch**2 * one, stretch**3 * two

    edges = _circle_edges(law, kinks)
    probe, weight = gauss_legendre(8)
    width = np.diff(edges)
    inside = edges[:-1, None] + width[:, None] * probe
    mass = width * (np.asarray(masses(inside)[0]) @ weight)
    width = np.where(mass > 0, width, 0.0)
    angle, weight = _panels(edges, width / width.sum() + mass / mass.sum(), count)
    one, two = masses(angle)
    w, b = np.cos(angle), np.sin(angle)
    return Particles(np.zeros_like(angle), w, b, weight * one, weight * two, paired=False, turn=weight)


def _centred_scales(initialization: Initialization) -> tuple[float, float, float] | None:
    """Standard deviations of a, w and b if they are independent centred Gaussians."""
    law, output = initialization.breakpoint_law, initialization.output
    if not isinstance(law, CentredGaussian) or law_name(output) != "norm":
        return None
    _, loc, scale = shape_loc_scale(output)
    return (scale, law.s_w, law.s_b) if loc == 0 else None


def _on_sphere(scales: tuple[float, float, float], kinks: Array, count: int, *, paired: bool, spread: bool) -> Particles:
    r"""The rule for Gaussians: panels of the angle of (w, b), times panels of the height of a.

    Heights are split at 0, where pairs need one half only, and at :math:`a^2 = w^2 + b^2`, which neurons do not cross.
    """
    across = max(2, round(math.sqrt(count / 8)))
    cone = math.sqrt(0.5)
    rungs = np.array([0.0, cone, 1.0]) if paired else np.array([-1.0, -cone, 0.0, cone, 1.0])
    height, step = _panels(rungs, np.diff(rungs), across)
    edges = _angles(kinks)
    mirrored = np.arange(height.size) if paired else np.minimum(np.arange(height.size), np.arange(height.size)[::-1])
    each = max(1, count // height.size)  # below: a and -a share their angles, which cancel at the start
    rows = [_row(edges, number if spread else None, each) for number in mirrored.tolist()]
    a = np.concatenate([np.full(angle.size, level) for level, (angle, _) in zip(height, rows, strict=True)])
    phi = np.concatenate([angle for angle, _ in rows])
    area = np.concatenate([size * turn for size, (_, turn) in zip(step, rows, strict=True)]) * (2 if paired else 1)
    level = np.sqrt(1 - a * a)
    w, b = level * np.cos(phi), level * np.sin(phi)
    q = sum((part / scale) ** 2 for part, scale in zip((a, w, b), scales, strict=True))
    area = area / (4 * math.pi * math.prod(scales))
    return Particles(a, w, b, 3 * area * q**-2.5, 15 * area * q**-3.5, paired)


def _row(edges: Array, number: int | None, count: int) -> tuple[Array, Array]:
    """Angles and weights for one height; with a `number`, panels are cut where those of others are not: kinks differ."""
    if number is None:
        return _panels(edges, np.diff(edges), count)
    part = 0.25 + 0.5 * (number * _GOLDEN % 1)
    cut = np.sort(np.concatenate([edges, edges[:-1] + part * np.diff(edges)]))
    return _panels(cut, np.diff(cut), count)


def _points(initialization: Initialization, count: int, seed: int, paired: bool) -> Particles:
    """Scrambled Sobol' points where a, w and b are independent, else draws."""
    output = as_law(initialization.output, "output")
    pair = initialization.pair_law
    if isinstance(pair, Independent):
        from scipy.stats import qmc

        draws = qmc.Sobol(3, seed=seed).random_base2(max(1, round(math.log2(count))))
        w, b, a = (_quantile(law, u) for law, u in zip((*pair.laws, output), draws.T, strict=True))
    else:
        rng = np.random.default_rng(seed)
        w, b = pair.sample(count, rng)
        a = output.sample(count, rng)
    equal = np.full(w.size, 1 / w.size)
    return Particles(a, w, b, equal, equal, paired)


def _quantile(law: Law, u: Array) -> Array:
    """The quantiles of a law at u in (0, 1)."""
    if isinstance(law, Continuous):
        return np.asarray(law.frozen.ppf(np.clip(u, 2**-53, 1 - 2**-53)), dtype=float)
    assert isinstance(law, Discrete)
    order = np.argsort(law.values)
    reached = np.cumsum(np.array(law.probabilities)[order])
    return np.array(law.values)[order][np.minimum(np.searchsorted(reached, u, side="right"), order.size - 1)]
