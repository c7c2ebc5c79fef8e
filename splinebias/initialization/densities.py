r"""What a quadrature must know about a density that scipy.stats does not say: kinks, and places where floats fail.

Two kinds of singularity cannot be integrated on nodes that are floats, so the density is replaced there by a constant:

- next to a point e :math:`\ne 0` where it is infinite, :math:`p(e - s) \sim s^{a - 1}`, a < 1: the distance s of a node
  from e is known to 1e-16 e only. Within :math:`\delta` of e the mean of p takes its place. That moves a mass
  :math:`O(\delta^a)` by less than :math:`\delta`, about 1e-11 in all.
- a tail :math:`p(b) \sim b^{-\nu - 1}` with :math:`\nu` close to 2: part of E[B^2] comes from beyond all floats. On [T, 2T]
  a constant with the second moment of the whole tail takes its place, and a network among the data sees no more of it.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import betaln, xlog1py, xlogy

from splinebias._array import Array
from splinebias.errors import CapabilityError, DataError

if TYPE_CHECKING:
    from splinebias.numerics.density_table import DensityTable

_MANY_POINTS = 5000  # of a kernel density beside a discrete law: a limit takes four seconds
_TABULATED = 1e-9  # error of a table that is taken in place of scipy's integrals and searches
_MANY_TERMS = 100  # of the sums that are the densities of Kolmogorov and Smirnov
_SLOW = 1e-3  # seconds a value; scipy's densities take 1e-6 to 1e-4, and those that integrate for each 7e-3

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


def _student(x: Array, loc: float, scale: float, nu: float) -> Any:
    if math.isinf(nu):
        return _DENSITIES["norm"](x, loc, scale)
    log_top = math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2) - 0.5 * math.log(nu * math.pi)
    return math.exp(log_top) / scale * np.exp(-(nu + 1) / 2 * np.log1p(((x - loc) / scale) ** 2 / nu))


def _beta(x: Array, loc: float, scale: float, a: float, b: float) -> Any:
    z = (x - loc) / scale
    density = np.exp(xlogy(a - 1, z) + xlog1py(b - 1, -z) - betaln(a, b)) / scale
    return np.where((z >= 0) & (z <= 1), density, 0.0)


_DENSITIES: dict[str, Callable[..., Any]] = {  # of x, loc, scale, shape: where scipy's machinery costs 6 to 40 times as much
    "uniform": lambda x, loc, scale: ((x >= loc) & (x <= loc + scale)) / (loc + scale - loc),
    "norm": lambda x, loc, scale: np.exp(-0.5 * ((x - loc) / scale) ** 2) / (scale * math.sqrt(2 * math.pi)),
    "laplace": lambda x, loc, scale: np.exp(-np.abs((x - loc) / scale)) / (2 * scale),
    "t": _student,
    "beta": _beta,
}
_LOG_DENSITIES: dict[str, Callable[[Array], Array]] = {  # of (x - loc)/scale: where scipy's underflow, or take its time
    "norm": lambda x: -(x**2) / 2 - math.log(2 * math.pi) / 2,
    "laplace": lambda x: -np.abs(x) - math.log(2),
    "hypsecant": lambda x: -np.abs(x) - np.log1p(np.exp(-2 * np.abs(x))) + math.log(2 / math.pi),
    "moyal": lambda x: -(x + np.exp(-x)) / 2 - math.log(2 * math.pi) / 2,
}


def density_of(law: Any) -> Callable[[Array], Any]:
    """The density of a law."""
    if (steps := _histogram(law)) is not None:
        return partial(_steps, *steps)
    if (name := law_name(law)) not in _DENSITIES:
        return _unwrapped(law) or law.pdf
    shapes, loc, scale = shape_loc_scale(law)
    return partial(_density, name, loc, scale, *map(float, shapes))


def _unwrapped(law: Any) -> Callable[[Array], Any] | None:
    """The formula of one of scipy's laws without the sorting of arguments around it, which takes up to ten times as long.

    None where there is none, or where it answers otherwise.
    """
    from scipy.stats import rv_continuous

    kind: Any = type(getattr(law, "dist", None))
    if not issubclass(kind, rv_continuous) or not kind.__module__.startswith("scipy.stats."):
        return None
    if kind._pdf is rv_continuous._pdf or kind.pdf is not rv_continuous.pdf:
        return None
    args, loc, scale = shape_loc_scale(law)
    lo, hi = law.dist._get_support(*args)
    formula = partial(_inside, law.dist, tuple(map(float, args)), (loc, scale), (float(lo), float(hi)))
    places = np.r_[-30.0, -3.0, np.linspace(-1, 1, 9), 3.0, 30.0]
    at = loc + scale * np.concatenate([places, *(end + places * 0.01 for end in (lo, hi) if math.isfinite(end))])
    with np.errstate(all="ignore"):
        try:
            same = np.array_equal(formula(at), law.pdf(at), equal_nan=True)
        except (TypeError, ValueError, IndexError):  # a formula that wants all its arguments as arrays
            return None
    return formula if same else None


def _inside(dist: Any, shapes: tuple[float, ...], frame: tuple[float, float], ends: tuple[float, float], x: Array) -> Array:
    """The formula of a scipy law; a function, which can be pickled."""
    z = (x - frame[0]) / frame[1]
    within = np.clip(z, *ends)  # some formulas take a hundred times as long where they make no sense
    return np.where(within == z, dist._pdf(within, *shapes) / frame[1], 0.0)


def _density(name: str, loc: float, scale: float, *rest: Any) -> Any:
    """The formula of that name; a function, which can be pickled. `rest` ends with the places x."""
    *shapes, x = rest
    return _DENSITIES[name](x, loc, scale, *shapes)


def _histogram(law: Any) -> tuple[Array, Array] | None:
    """Edges of the bins of a scipy histogram, and the density below, in and above them; None for other laws."""
    if not hasattr(getattr(law, "dist", None), "_hbins"):
        return None
    _, loc, scale = shape_loc_scale(law)
    return loc + scale * np.asarray(law.dist._hbins, dtype=float), np.asarray(law.dist._hpdf, dtype=float) / scale


def _steps(edges: Array, heights: Array, x: Array) -> Array:
    """A piecewise constant density; a function, which can be pickled. scipy's takes ten times as long."""
    return heights[np.searchsorted(edges, x, side="right")]


def log_density_of(law: Any) -> Callable[[Array], Any] | None:
    """The logarithm of the density of a law, also where that underflows; None if it does not come with one."""
    formula = _LOG_DENSITIES.get(law_name(law))
    if formula is None:
        return getattr(law, "logpdf", None)
    _, loc, scale = shape_loc_scale(law)
    return lambda x: formula((x - loc) / scale) - math.log(scale)


def law_name(law: Any) -> str:
    """scipy's name of one of its frozen laws, empty for anything else."""
    return str(getattr(getattr(law, "dist", None), "name", ""))


def shape_loc_scale(law: Any) -> tuple[tuple[Any, ...], float, float]:
    """Shape parameters, location and scale of a frozen scipy law."""
    args, loc, scale = law.dist._parse_args(*law.args, **law.kwds)
    return tuple(args), float(loc), float(scale)


def kinks(law: Any) -> list[float]:
    """Interior points where a scipy law's density is not smooth (adaptive cells find others, more slowly)."""
    if isinstance(law, TabulatedLaw):
        return law.kinks
    if not law_name(law):
        return []
    args, loc, scale = shape_loc_scale(law)
    inner: dict[str, list[Any]] = {
        "laplace": [0.0],
        "laplace_asymmetric": [0.0],
        "gennorm": [0.0],
        "dgamma": [0.0],
        "dweibull": [0.0],
        "loglaplace": [1.0],
        "skewcauchy": [0.0],
        "triang": [*args],
        "trapezoid": [*args],
        "crystalball": [-shape for shape in args[:1]],
    }
    steps = getattr(law.dist, "_hbins", ())  # the bins of a histogram
    return [loc + scale * float(point) for point in (*inner.get(law_name(law), []), *steps)]


def polynomial_degree(law: Any) -> int | None:
    """Degree of the polynomial that a scipy law's density is between its knots, or None."""
    if law_name(law) == "uniform" or hasattr(getattr(law, "dist", None), "_hbins"):
        return 0
    return 1 if law_name(law) in ("triang", "trapezoid") else None


def is_discrete(law: Any) -> bool:
    """Whether a scipy law has a probability mass function (new-style continuous laws have a useless one too)."""
    kind = getattr(law, "dist", law)
    if not hasattr(law, "pmf") or hasattr(kind, "_pdf"):
        return False
    return not any("Continuous" in c.__name__ or c.__name__ == "Mixture" for c in type(kind).__mro__)


def adapted(law: Any) -> Any:
    """`law`, or what stands for it: scipy's laws without parameters are frozen, those with a trap are replaced.

    A von Mises law is taken on one period, where its draws are; a one-dimensional `gaussian_kde` gets quantiles, and so
    does a law of the user's that is a density only, and one of scipy's whose own search for them fails.

    Raises
    ------
    DataError
        If such a density does not integrate to 1.
    """
    from scipy import stats

    if isinstance(law, stats.rv_histogram) or hasattr(law, "xk"):  # no parameters: freezing them is a formality
        return law() if callable(law) else law
    if isinstance(law, stats.gaussian_kde):
        return KernelDensity(law) if law.d == 1 else law
    if law_name(law) == "vonmises":
        return stats.vonmises_line(*law.args, **law.kwds)
    if _is_density_only(law) or _search_fails(law):
        return _tabulated(law)
    return law


def _search_fails(law: Any) -> bool:
    """Whether scipy searches for quantiles of its law where its integral of the density ends at rounding: norminvgauss."""
    from scipy.stats import rv_continuous

    kind: Any = type(getattr(law, "dist", None))
    if not issubclass(kind, rv_continuous) or kind._ppf is not rv_continuous._ppf:
        return False
    try:
        with np.errstate(all="ignore"):
            law.ppf(np.array([1e-9, 1 - 1e-9]))
    except (ValueError, RuntimeError):  # of scipy.optimize.brentq
        return True
    except (TypeError, OverflowError):  # parameters that are none
        return False
    return False


def _is_density_only(law: Any) -> bool:
    """Whether scipy would integrate and search for every quantile of a law that a user has derived from `rv_continuous`."""
    from scipy.stats import rv_continuous

    kind: Any = type(getattr(law, "dist", None))
    if not issubclass(kind, rv_continuous) or kind.__module__.startswith("scipy."):
        return False
    return kind._pdf is not rv_continuous._pdf and kind._ppf is rv_continuous._ppf


def _tabulated(law: Any) -> Any:
    """`law` with the quantiles, moments and draws of a table; as it is where a table is not precise."""
    from scipy.integrate import quad

    from splinebias.numerics import density_table  # few laws need one

    ends = law.support()
    if np.ndim(ends[0]) or not all(np.isfinite(np.ravel(part)).all() for part in (*law.args, *law.kwds.values())):
        return law  # what is wrong with it is said by whoever asks for its moments
    _, loc, scale = shape_loc_scale(law)
    around = np.clip(loc + scale * np.array([-1.0, -0.3, 0.2, 0.9]), *ends)
    if _seconds(law, around) > _SLOW * around.size and _seconds(law, around) > _SLOW * around.size:
        return law  # a table would take minutes; see require_quick
    of = law.pdf, (float(ends[0]), float(ends[1])), loc, scale
    table = density_table.DensityTable.of(*of)
    if table.error <= _TABULATED:
        return TabulatedLaw(law, table, density_table.kinks(*of))
    if abs(table.total - 1) > 1e-6:  # either it is so, or the table has missed something
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            total = quad(law.pdf, *ends, limit=200)[0]
        if not abs(total - 1) <= 1e-6:
            raise DataError(
                f"the density of {law_name(law) or type(law.dist).__name__} must integrate to 1, got {total:.9g}; divide it "
                "by that, or give the ends of its support: Law(a=..., b=...)"
            )
    return law


def require_quick(law: Any, landmarks: tuple[float, ...], *, alone: bool) -> None:
    """Refuse densities with which limits take minutes: a limit asks for a hundred thousand values, and more.

    Parameters
    ----------
    law : law
        Frozen.
    landmarks : tuple of float
        Where its mass sits; the density is timed there.
    alone : bool
        Whether the other one of weight and bias is discrete: then a limit integrates over one variable only.

    Raises
    ------
    CapabilityError
        If scipy or the user sums, integrates or searches for every value; the message names what can be used.
    """
    name, points = law_name(law), np.array(landmarks)
    slow = name in ("ksone", "kstwo") and float(shape_loc_scale(law)[0][0]) > _MANY_TERMS
    slow |= isinstance(law, KernelDensity) and (not alone or law.size > _MANY_POINTS)
    if not slow:
        slow = min(_seconds(law, points) for _ in range(3)) > _SLOW * points.size
    if slow:
        raise CapabilityError(
            f"limits need a density that is quick to evaluate, got {name or law!r}, with which they take minutes; draw "
            "w and b once, and use Initialization.from_samples(w, b)"
        )


def _seconds(law: Any, points: Array) -> float:
    """How long the density takes at the points."""
    start = time.perf_counter()
    with np.errstate(all="ignore"):
        law.pdf(points)
    return time.perf_counter() - start


class NewStyle:
    """A law of scipy.stats' new kind, such as Normal(), with the methods of a frozen law."""

    def __init__(self, law: Any) -> None:
        self._law = law
        self.pdf, self.logpdf, self.cdf, self.sf, self.ppf = law.pdf, law.logpdf, law.cdf, law.ccdf, law.icdf
        self.mean, self.var, self.support = law.mean, law.variance, law.support

    def __repr__(self) -> str:
        return repr(self._law)

    def rvs(self, size: int, random_state: np.random.Generator) -> Array:
        return np.asarray(self._law.sample(size, rng=random_state))


class TabulatedLaw:
    """A law that is a density only, with what scipy would integrate and search for taken from a table of it.

    So are its `kinks`, and its support where the density is 0 beyond the outermost one.

    Draws are those of scipy from the same numbers, to the precision of the table, unless the law brings draws of its own.
    """

    def __init__(self, law: Any, table: DensityTable, kinks: list[float]) -> None:
        from scipy.stats import rv_continuous

        self._law, self._table = law, table
        self.kinks = kinks
        shapes, self._loc, self._scale = shape_loc_scale(law)
        self._ends = law.dist._get_support(*shapes)
        self.pdf = law.pdf if shapes else self._bare
        self._draws = type(law.dist)._rvs is not rv_continuous._rvs

    def __repr__(self) -> str:
        return repr(self._law)

    def _bare(self, x: Any) -> Array:
        """The user's formula: scipy's machinery around it takes up to ten times as long."""
        z = np.asarray((np.asarray(x, dtype=float) - self._loc) / self._scale)
        flat, (lo, hi) = z.ravel(), self._ends
        inside = (flat >= lo) & (flat <= hi)
        if inside.all():
            return np.asarray(self._law.dist._pdf(flat) / self._scale).reshape(z.shape)
        found = np.zeros(flat.shape)
        found[inside] = self._law.dist._pdf(flat[inside]) / self._scale
        return found.reshape(z.shape)

    def logpdf(self, x: Any) -> Array:
        """Where the user has given no better one, the logarithm of the density, -inf where that underflows."""
        from scipy.stats import rv_continuous

        if type(self._law.dist)._logpdf is not rv_continuous._logpdf:
            return np.asarray(self._law.logpdf(x))
        return np.log(self.pdf(x))

    def support(self) -> tuple[float, float]:
        """Its ends, or the outermost kinks if there is no mass beyond."""
        (lo, hi), middles = self._law.support(), (self._table.edges[1:] + self._table.edges[:-1]) / 2
        if self.kinks and not self._table.masses[middles < self.kinks[0]].any():
            lo = self.kinks[0]
        if self.kinks and not self._table.masses[middles > self.kinks[-1]].any():
            hi = self.kinks[-1]
        return float(lo), float(hi)

    def cdf(self, x: Any) -> Array:
        return self._table.cdf(x)

    def sf(self, x: Any) -> Array:
        return self._table.sf(x)

    def ppf(self, q: Any) -> Array:
        return self._table.ppf(q)

    def mean(self) -> float:
        return self._table.mean

    def var(self) -> float:
        return self._table.var

    def rvs(self, size: int, random_state: np.random.Generator) -> Array:
        if self._draws:
            return np.asarray(self._law.rvs(size=size, random_state=random_state), dtype=float)
        return self._table.ppf(random_state.uniform(size=size))


class KernelDensity:
    """A one-dimensional scipy.stats.gaussian_kde, a mixture of normal laws, with the methods of a frozen law."""

    def __init__(self, density: Any) -> None:
        from scipy import stats

        self._density = density
        self._parts = stats.norm(density.dataset[0], math.sqrt(density.covariance[0, 0]))

    def __repr__(self) -> str:
        return f"gaussian_kde({self._density.n} points, bandwidth {math.sqrt(self._density.covariance[0, 0]):g})"

    @property
    def size(self) -> int:
        """The number of points."""
        return int(self._density.n)

    def _mean_over_parts(self, values: Array) -> Any:
        return np.asarray(values) @ self._density.weights

    def pdf(self, x: Any) -> Any:
        return self._mean_over_parts(self._parts.pdf(np.asarray(x)[..., None]))

    def cdf(self, x: Any) -> Any:
        return self._mean_over_parts(self._parts.cdf(np.asarray(x)[..., None]))

    def sf(self, x: Any) -> Any:
        return self._mean_over_parts(self._parts.sf(np.asarray(x)[..., None]))

    def mean(self) -> float:
        return float(self._mean_over_parts(self._density.dataset[0]))

    def var(self) -> float:
        spread = self._mean_over_parts((self._density.dataset[0] - self.mean()) ** 2)
        return float(spread + self._density.covariance[0, 0])

    def support(self) -> tuple[float, float]:
        return -math.inf, math.inf

    def ppf(self, q: Any) -> Any:
        from scipy.optimize import brentq

        reach = 40 * math.sqrt(self._density.covariance[0, 0])
        ends = self._density.dataset.min() - reach, self._density.dataset.max() + reach
        return np.vectorize(lambda p: brentq(lambda x: self.cdf(x) - p, *ends))(q)

    def rvs(self, size: int, random_state: np.random.Generator) -> Array:
        return np.asarray(self._density.resample(size, seed=random_state)[0], dtype=float)
