"""Breakpoint laws of (w, b) with a density: independent w and b, joint densities, and the closed forms among them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.initialization import zeta
from splinebias.initialization.breakpoints import quotient_support
from splinebias.initialization.densities.scipy_parameters import law_name, shape_loc_scale
from splinebias.initialization.joint_laws import JointDensity
from splinebias.initialization.laws import Continuous
from splinebias.initialization.weight_quadrature import DensityLaw, QuadratureLaw
from splinebias.initialization.zeta import RadiusOfExponential, RadiusOfStudent, ScaleFamily, Steps
from splinebias.numerics.half_line import gaussian_ray, tanh_sinh, tilted_ray

_NORMAL = RadiusOfExponential(2.0, 2.0)
_FLAT = 20  # distance from 0 in widths, up to which layers of a density lose a digit or two


@dataclass(eq=False)
class CentredGaussian(QuadratureLaw):
    """Independent W ~ N(0, s_w^2) and B ~ N(0, s_b^2): `zeta.centred_gaussian`."""

    s_w: float
    s_b: float

    even = True

    def __post_init__(self) -> None:
        self.knots, self.landmarks = np.zeros(0), np.array([-1.0, 0.0, 1.0]) * self.s_b / self.s_w
        self.support = (-math.inf, math.inf)

    def zeta(self, c: Array, side: int, degree: int = 1) -> Array:
        return zeta.centred_gaussian(c, self.s_w, self.s_b, degree)

    def slices(self, c: Array, side: int) -> tuple[Array, Array]:
        u, du = gaussian_ray(np.zeros(()), self.order, fine=self.fine)
        scale = 1 / np.sqrt(1 / self.s_w**2 + (c[..., None] / self.s_b) ** 2)
        return scale * u, scale**2 * u * np.exp(-(u**2) / 2) * du / (2 * np.pi * self.s_w * self.s_b)

    def scale_families(self, side: int) -> tuple[ScaleFamily, ...]:
        return () if self.fine else (zeta.elliptical(np.diag([self.s_w**-2.0, self.s_b**-2.0]), _NORMAL, math.sqrt(2)),)


@dataclass(eq=False)
class CentredUniform(QuadratureLaw):
    """Independent W ~ U(-w_max, w_max) and B ~ U(-b_max, b_max): `zeta.centred_uniform`."""

    w_max: float
    b_max: float

    even = True

    def __post_init__(self) -> None:
        self.knots = self.landmarks = np.array([-1.0, 1.0]) * self.b_max / self.w_max
        self.support = (-math.inf, math.inf)

    def zeta(self, c: Array, side: int, degree: int = 1) -> Array:
        return zeta.centred_uniform(c, self.w_max, self.b_max, degree)

    def slices(self, c: Array, side: int) -> tuple[Array, Array]:
        u, du = tanh_sinh(0.06 if self.fine else 0.12)
        top = zeta.largest_weight(c, self.w_max, self.b_max)[..., None]
        return top * u, top**2 * u * du / (4 * self.w_max * self.b_max)

    def scale_families(self, side: int) -> tuple[ScaleFamily, ...]:
        return () if self.fine else (zeta.box((-self.w_max, self.w_max), (-self.b_max, self.b_max), side),)


@dataclass(eq=False)
class ContinuousWeight(DensityLaw):
    """Independent W and B with any densities; `cuts` are numbers of landmarks, besides all knots."""

    weight: Continuous
    bias: Continuous

    cuts: ClassVar = ((), (0, 8), (0, 2, 4, 6, 8))
    max_cells = 1_000  # each node costs an integral over |w|

    def __post_init__(self) -> None:
        weight, bias = self.weight, self.bias
        at_zero = [0.0] if weight.support[1] - weight.support[0] == math.inf else []
        self.knots = np.unique([-b / w for b in bias.knots if b != 0 for w in weight.knots if w != 0] + at_zero)
        w_marks, b_marks = ((*law.knots, *law.landmarks[2:-2]) for law in (weight, bias))  # from 1 to 99 %
        self.landmarks = np.unique([-b / w for b in b_marks for w in w_marks if w != 0])
        self.support = quotient_support(weight.support, bias.support)

    def factors(self, w: Array, b: Array) -> tuple[Array, ...]:
        return self.weight.pdf(w), self.bias.pdf(b)

    def log_factors(self, w: Array, b: Array) -> tuple[Array, ...]:
        return self.weight.logpdf(w), self.bias.logpdf(b)

    @property
    def scales(self) -> tuple[float, float]:
        return self.weight.scale, self.bias.scale

    @cached_property
    def slivers(self) -> tuple[float, ...]:
        near = (p for law in (self.weight, self.bias) for p in law.plateaus if p.lo * p.hi > 0)
        ratios = ((p.hi - p.lo) / min(abs(p.lo), abs(p.hi)) for p in near)
        return tuple(ratio for ratio in ratios if ratio < 1e-6)  # others stand for far tails

    @property
    def light(self) -> bool:
        return self.weight.is_light and self.bias.is_light

    def zeta(self, c: Array, side: int, degree: int = 1) -> Array:
        r"""Exact for two histograms, :math:`\sum h_W h_B \int v^{2k + 1} dv` over panels on which both are constant."""
        if self.fine or not self.weight.degree == self.bias.degree == 0 or self.weight.plateaus or self.bias.plateaus:
            return super().zeta(c, side, degree)
        left, width, _ = self.panels((), c, side)
        middle, power = left + width / 2, 2 * degree + 2
        height = math.prod(self.factors(side * middle, -side * middle * c[..., None]))
        with np.errstate(over="ignore", invalid="ignore"):  # beyond doubles there is no density
            masses = np.where(height > 0, height * ((left + width) ** power - left**power), 0.0)
        return np.asarray(masses.sum(axis=-1) / power)

    def panels(self, cuts: tuple[int, ...], c: Array, side: int) -> tuple[Array, Array, Array]:
        w_reach, b_reach = self._reach
        hi = max(side * end for end in w_reach)
        lo = max(0.0, min(side * end for end in w_reach))
        if hi <= 0:
            return np.zeros((*c.shape, 1)), np.zeros((*c.shape, 1)), np.ones(c.shape)
        w_cuts, b_cuts = (np.array(_cuts(law, cuts)) for law in (self.weight, self.bias))
        w_cuts, b_cuts = side * w_cuts[side * w_cuts > 0], -side * b_cuts[b_cuts != 0]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            highest = np.minimum(hi, np.where(side * c < 0, b_reach[1], -b_reach[0]) / np.abs(c))
            lowest = np.minimum(lo, highest)
            at = b_cuts / c[..., None]
        at[~np.isfinite(at)] = 0.0
        highest = np.maximum(highest, 0.0)
        top = np.where(np.isfinite(highest), highest, np.finfo(float).max)
        inner = np.concatenate([lowest[..., None], np.broadcast_to(w_cuts, (*c.shape, w_cuts.size)), at], axis=-1)
        np.clip(inner, lowest[..., None], top[..., None], out=inner)
        inner.sort(axis=-1)
        edges = np.concatenate([inner, highest[..., None]], axis=-1)
        left, width = edges[..., :-1], np.diff(edges, axis=-1)
        with np.errstate(divide="ignore"):
            scale = np.minimum(self.weight.scale, self.bias.scale / np.abs(c))
        count = int((width > 0).sum(axis=-1).max(initial=1))  # cuts on the other side have left panels of no width
        if count == width.shape[-1]:
            return left, width, scale
        order = np.argsort(width <= 0, axis=-1, kind="stable")[..., :count]
        return np.take_along_axis(left, order, -1), np.take_along_axis(width, order, -1), scale

    def scale_families(self, side: int) -> tuple[ScaleFamily, ...]:
        if self.fine:
            return ()
        (weight, w_box), (bias, b_box) = (_exponential(law) for law in (self.weight, self.bias))
        if w_box and b_box:
            return (zeta.box(self.weight.support, self.bias.support, side),)
        if self._steps is not None:
            return zeta.boxes(*self._steps, side)
        if weight is None or bias is None or weight.shape != bias.shape:
            return ()
        profile, ends = RadiusOfExponential(weight.power + bias.power, weight.shape), (weight.scale, bias.scale)

        def at(c: Array) -> tuple[Array, Array]:
            v = (ends[0] ** -profile.shape + (np.abs(c) / ends[1]) ** profile.shape) ** (-1 / profile.shape)
            pairs = self.weight.pdf(side * v) * self.bias.pdf(-side * v * c)
            return v, np.asarray(v**2 * pairs / profile.density(np.ones(())))

        return (ScaleFamily(profile, at),)

    @cached_property
    def _steps(self) -> tuple[Steps, Steps] | None:
        """The two densities, if they are piecewise constant and not so narrow that layers of them would cancel."""
        laws = self.weight, self.bias
        if any(law.degree != 0 or law.plateaus for law in laws):
            return None
        if any(np.abs(law.support).max() > _FLAT * np.diff(law.support)[0] for law in laws):
            return None
        found = []
        for law in laws:
            edges = np.array(law.knots)
            found.append(Steps(edges, np.r_[0.0, law.pdf((edges[1:] + edges[:-1]) / 2), 0.0]))
        return found[0], found[1]

    @cached_property
    def _reach(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Intervals of w and b that matter: light tails are cut, unless a heavy one makes the v-axis a ray anyway."""
        ends = self.weight.reach(self.order), self.bias.reach(self.order)
        return ends if np.isfinite(ends).all() else (self.weight.support, self.bias.support)


@dataclass(eq=False)
class NormalBesideLaplace(ContinuousWeight):
    r"""Independent W and B, one normal and the other a Laplace law around 0: normal in v, with a shifted centre.

    That serves integrands that grow exponentially, for which a searched rule has ten times as many nodes.

    :math:`e^{-(v - a)^2/2\sigma^2} e^{-v/l}` has its centre at :math:`a - \sigma^2/l`; \|c\| scales that of B.
    """

    def slices(self, c: Array, side: int) -> tuple[Array, Array]:
        if math.isfinite(self.order):  # the rule that is searched for is smaller
            return super().slices(c, side)
        v, dv = self._ray(c, side)
        with np.errstate(under="ignore", over="ignore", invalid="ignore"):
            rho = v * self.weight.pdf(side * v) * self.bias.pdf(-side * v * c[..., None]) * dv
        return v, np.where(np.isfinite(rho), rho, 0.0)

    def log_masses(self, c: Array, side: int) -> Array:
        if math.isfinite(self.order):
            return super().log_masses(c, side)
        v, dv = self._ray(c, side)
        with np.errstate(all="ignore"):
            log = np.log(v) + np.log(dv) + sum(self.log_factors(side * v, -side * v * c[..., None]))
        return np.where(log < np.inf, log, -np.inf)

    def _ray(self, c: Array, side: int) -> tuple[Array, Array]:
        """Nodes and weights at breakpoints `c`."""
        (_, middle, deviation), (_, _, length) = self._laws
        size = np.maximum(np.abs(c), 1e-6 * self.bias.scale / self.weight.scale)
        if self._normal_weight:
            width, towards, decay = np.full(c.shape, deviation), np.full(c.shape, side * middle), size / length
        else:
            width, towards, decay = deviation / size, -side * np.sign(c) * middle / size, np.full(c.shape, 1 / length)
        u, du = tilted_ray(towards / width - width * decay, self.order, fine=self.fine)
        return width[..., None] * u, width[..., None] * du

    @cached_property
    def _normal_weight(self) -> bool:
        return law_name(self.weight.frozen) == "norm"

    @cached_property
    def _laws(self) -> tuple[tuple[Any, float, float], tuple[Any, float, float]]:
        """Shapes, loc and scale of the normal law, and of the Laplace law."""
        both = shape_loc_scale(self.weight.frozen), shape_loc_scale(self.bias.frozen)
        return both if self._normal_weight else (both[1], both[0])


def of_independent(weight: Continuous, bias: Continuous) -> ContinuousWeight:
    """Independent W and B, by a rule of their own if one is normal and the other a Laplace law around 0."""
    laws = {law_name(law.frozen): law for law in (weight, bias)}
    own = laws.keys() == {"norm", "laplace"} and shape_loc_scale(laws["laplace"].frozen)[1] == 0
    return NormalBesideLaplace(weight, bias) if own else ContinuousWeight(weight, bias)


class Exponential(NamedTuple):
    r"""A density proportional to :math:`|x|^{m - 1} e^{-(|x|/s)^\beta}` on either side of 0, or on one."""

    power: float
    shape: float
    scale: float


_EXPONENTIAL: dict[str, Callable[..., tuple[float, float, float]]] = {  # m, beta and s for scale 1
    "norm": lambda: (1.0, 2.0, math.sqrt(2)),
    "halfnorm": lambda: (1.0, 2.0, math.sqrt(2)),
    "rayleigh": lambda: (2.0, 2.0, math.sqrt(2)),
    "laplace": lambda: (1.0, 1.0, 1.0),
    "expon": lambda: (1.0, 1.0, 1.0),
    "gamma": lambda a: (a, 1.0, 1.0),
    "dgamma": lambda a: (a, 1.0, 1.0),
    "gennorm": lambda beta: (1.0, beta, 1.0),
    "halfgennorm": lambda beta: (1.0, beta, 1.0),
    "weibull_min": lambda k: (k, k, 1.0),
    "dweibull": lambda k: (k, k, 1.0),
}


def _exponential(law: Continuous) -> tuple[Exponential | None, bool]:
    """What `law` is, or None; and whether it is uniform on an interval that holds 0."""
    name = law_name(law.frozen)
    if name not in _EXPONENTIAL and name != "uniform":
        return None, False
    shapes, loc, scale = shape_loc_scale(law.frozen)
    if name == "uniform":
        return None, loc <= 0 <= loc + scale
    if loc != 0:
        return None, False
    power, shape, unit = _EXPONENTIAL[name](*(float(of) for of in shapes))
    return Exponential(power, shape, unit * scale), False


def _cuts(law: Continuous, landmarks: tuple[int, ...]) -> tuple[float, ...]:
    """Where to cut an axis: knots, some landmarks, and decades of a tail that is heavy beyond all floats."""
    marks = [law.landmarks[k] for k in landmarks if k < len(law.landmarks)]
    tails = [p.lo if p.lo > 0 else p.hi for p in law.plateaus if max(-p.lo, p.hi) == max(map(abs, law.support))]
    decades = [end / 1e3**k for end in tails if abs(end) > 1e15 * abs(law.landmarks[2]) for k in range(1, 6)]
    return (*law.knots, *marks, *decades)


@dataclass(eq=False)
class JointBreakpoints(DensityLaw):
    r"""Any smooth density p(w, b); `cuts` count from :math:`v_0` in units of :math:`\tau`."""

    joint: JointDensity

    cuts: ClassVar = ((), (-2.0, 2.0), (-6.0, -2.0, 2.0, 6.0))
    max_cells = 2_000  # each node costs an integral over |w|

    def __post_init__(self) -> None:
        self.knots, self.landmarks, self.support = np.zeros(0), _quotient_quantiles(self.joint), (-math.inf, math.inf)

    def factors(self, w: Array, b: Array) -> tuple[Array, ...]:
        return (self.joint.pdf(w, b),)

    def log_factors(self, w: Array, b: Array) -> tuple[Array, ...]:
        return (self.joint.logpdf(w, b),)

    @property
    def scales(self) -> tuple[float, float]:
        w, b = np.sqrt(self.joint.second_moments)
        return float(w), float(b)

    def panels(self, cuts: tuple[float, ...], c: Array, side: int) -> tuple[Array, Array, Array]:
        ray = self.joint.ray(c, side)
        inner = [np.maximum(ray.nearest + cut * ray.width, 0.0) for cut in cuts]
        edges = np.stack([np.zeros(c.shape), *inner, np.full(c.shape, np.inf)], axis=-1)
        return edges[..., :-1], np.diff(edges, axis=-1), ray.width * np.sqrt(1 + ray.distance)

    def scale_families(self, side: int) -> tuple[ScaleFamily, ...]:
        joint = self.joint
        if not self.fine and joint.length is not None:
            return (joint.length.family(side),)
        if self.fine or joint.name != "multivariate_t" or joint.centre.any():
            return ()
        df, precision = float(joint.law.df), np.linalg.inv(joint.scatter)
        return (zeta.elliptical(precision, *((_NORMAL, math.sqrt(2)) if math.isinf(df) else (RadiusOfStudent(df),))),)


@dataclass(eq=False)
class GaussianBreakpoints(QuadratureLaw):
    """(W, B) ~ N(mu, Sigma): `zeta.gaussian`."""

    joint: JointDensity

    def __post_init__(self) -> None:
        self.knots, self.landmarks, self.support = np.zeros(0), _quotient_quantiles(self.joint), (-math.inf, math.inf)

    def zeta(self, c: Array, side: int, degree: int = 1) -> Array:
        return zeta.gaussian(*self.joint.ray(c, side), float(np.linalg.det(self.joint.scatter)), degree)

    def slices(self, c: Array, side: int) -> tuple[Array, Array]:
        nearest, width, distance = (part[..., None] for part in self.joint.ray(c, side))
        centre = nearest / width
        u, du = gaussian_ray(centre[..., 0], self.order, fine=self.fine)
        scale = 1 / (2 * math.pi * math.sqrt(np.linalg.det(self.joint.scatter)))
        with np.errstate(under="ignore"):
            rho = scale * width**2 * u * np.exp(-((u - centre) ** 2 + distance) / 2) * du
        return width * u, rho

    def scale_families(self, side: int) -> tuple[ScaleFamily, ...]:
        if self.fine or self.joint.centre.any():
            return ()
        return (zeta.elliptical(np.linalg.inv(self.joint.scatter), _NORMAL, math.sqrt(2)),)


def _quotient_quantiles(joint: JointDensity) -> Array:
    """Breakpoints from one end of the mass to the other, by draws."""
    w, b = joint.sample(2000, np.random.default_rng(0))
    return np.unique(np.quantile(-b / w, (1e-3, 0.02, 0.2, 0.5, 0.8, 0.98, 1 - 1e-3)))
