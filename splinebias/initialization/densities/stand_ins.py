"""What stands for a law without quick methods of its own: tables of densities, kernel densities, laws of the new kind."""

from __future__ import annotations

import math
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from splinebias._array import Array
from splinebias.errors import CapabilityError, DataError
from splinebias.initialization.densities.scipy_parameters import law_name, shape_loc_scale

if TYPE_CHECKING:
    from splinebias.numerics.density_table import DensityTable

_MANY_POINTS = 5000  # of a kernel density beside a discrete law: a limit takes four seconds
_TABULATED = 1e-9  # error of a table that is taken in place of scipy's integrals and searches
_MANY_TERMS = 100  # of the sums that are the densities of Kolmogorov and Smirnov
_SLOW = 1e-3  # seconds a value; scipy's densities take 1e-6 to 1e-4, and those that integrate for each 7e-3


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


def is_discrete(law: Any) -> bool:
    """Whether a scipy law has a probability mass function (new-style continuous laws have a useless one too)."""
    kind = getattr(law, "dist", law)
    if not hasattr(law, "pmf") or hasattr(kind, "_pdf"):
        return False
    return not any("Continuous" in c.__name__ or c.__name__ == "Mixture" for c in type(kind).__mro__)


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
