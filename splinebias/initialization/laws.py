"""Laws of the hidden weights and biases: scipy.stats frozen laws as they are, and the discrete ones they lack.

`as_law` turns whatever the user passed into one of two readings: `Discrete` (atoms) or `Continuous`
(a density with the places where it is not smooth), which is all that the rest of the library looks at.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from splinebias._arguments import known_keywords, real_number, real_vector
from splinebias._array import Array
from splinebias.errors import CapabilityError, DataError
from splinebias.initialization.densities import formulas, singularities, stand_ins

_MAX_ATOMS = 1000


@known_keywords
@dataclass(frozen=True)
class Discrete:
    r"""Finitely many values :math:`v_j` with probabilities :math:`\pi_j`.

    Parameters
    ----------
    values, probabilities : sequence of float
        The v_j (distinct) and pi_j (positive, summing to 1 within 1e-9; normalized exactly).
    """

    values: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        values, mass = real_vector(self.values, "values"), real_vector(self.probabilities, "probabilities")
        if values.size == 0 or values.shape != mass.shape or np.unique(values).size != values.size:
            raise DataError(f"`values` must be distinct and as many as `probabilities`, got {values.size} and {mass.size}")
        object.__setattr__(self, "values", tuple(values.tolist()))
        object.__setattr__(self, "probabilities", normalized(mass))

    @property
    def second_moment(self) -> float:
        """The second moment E[V^2] of the law."""
        return math.fsum(p * v * v for v, p in zip(self.values, self.probabilities, strict=True))

    def sample(self, size: int, rng: np.random.Generator) -> Array:
        """`size` independent draws, shape (size,)."""
        return np.asarray(rng.choice(np.array(self.values), size=size, p=np.array(self.probabilities)), dtype=float)

    def has_moment(self, order: float) -> bool:
        """True: all moments are finite."""
        return True


def normalized(mass: Array) -> tuple[float, ...]:
    """`mass` divided by its sum.

    Raises
    ------
    DataError
        If it is not positive, or does not sum to 1 within 1e-9.
    """
    if mass.size == 0 or (mass <= 0).any() or abs(mass.sum() - 1) > 1e-9:
        least = mass.min(initial=1)
        raise DataError(f"`probabilities` must be positive with sum 1, got sum {mass.sum():.12g}, min {least:g}")
    return tuple((mass / mass.sum()).tolist())


@known_keywords
@dataclass(frozen=True)
class Rademacher(Discrete):
    """+1 or -1, equally likely."""

    values: tuple[float, ...] = (-1.0, 1.0)
    probabilities: tuple[float, ...] = (0.5, 0.5)

    def __repr__(self) -> str:
        return "Rademacher()"


@known_keywords
@dataclass(frozen=True, init=False)
class Constant(Discrete):
    """The law of a number that is always `value`."""

    def __init__(self, value: float) -> None:
        value = real_number(value, "value")
        object.__setattr__(self, "values", (value,))
        object.__setattr__(self, "probabilities", (1.0,))

    def __repr__(self) -> str:
        return f"Constant({self.values[0]:g})"


@dataclass(frozen=True, eq=False)
class Continuous:
    """A law with a density, wrapped around a frozen scipy.stats law (or any object with its methods, `logpdf` apart).

    Attributes
    ----------
    frozen : law
        Draws and the density.
    support : tuple of float
        The smallest interval that holds the density as integrated here.
    second_moment : float
        E[V^2].
    knots : tuple of float
        Finite points where the density is not smooth: support ends, and the kinks of the laws known to have one.
    landmarks : tuple of float
        Quantiles that tell a quadrature where the mass sits, far tails included.
    plateaus : tuple of Plateau
        Stretches where the density is replaced by a constant: next to points where it is infinite, and in place of tails
        that matter beyond all floats (see `densities.singularities`).
    degree : int or None
        Degree of the polynomial that the density is between its knots, None if it is not one.
    """

    frozen: Any
    support: tuple[float, float]
    second_moment: float
    knots: tuple[float, ...]
    landmarks: tuple[float, ...]
    plateaus: tuple[singularities.Plateau, ...]
    degree: int | None

    def pdf(self, x: Array) -> Array:
        """Density at `x`, same shape."""
        with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):  # far tails, singular ends
            density = np.asarray(self._density(x), dtype=float)
        if self.plateaus:
            density = np.where((x >= self.support[0]) & (x <= self.support[1]), density, 0.0)
            for lo, hi, height in self.plateaus:
                density = np.where((x >= lo) & (x <= hi), height, density)
        return density

    def logpdf(self, x: Array) -> Array:
        """Its logarithm, also where it underflows, as far as the law gives it: else -inf."""
        logarithm = formulas.log_density_of(self.frozen)
        with np.errstate(all="ignore"):
            if logarithm is None or self.plateaus:
                return np.log(self.pdf(x))
            return np.asarray(logarithm(x), dtype=float)

    @cached_property
    def _density(self) -> Callable[[Array], Any]:
        return formulas.density_of(self.frozen)

    def sample(self, size: int, rng: np.random.Generator) -> Array:
        """`size` independent draws, shape (size,)."""
        return np.asarray(self.frozen.rvs(size=size, random_state=rng), dtype=float)

    def has_moment(self, order: float) -> bool:
        """Whether E|V|^order is finite (order = infinity: whether E exp(s|V|) is, for some s > 0): `tails_have_moment`."""
        ends = [end for end in self.frozen.support() if math.isinf(end)]
        far = [math.copysign(self._spread, end) * singularities.TAIL_SCALES for end in ends]
        return not far or singularities.tails_have_moment(self.pdf(np.array(far)), order, 1)

    @property
    def _spread(self) -> float:
        """Distance of the quartiles."""
        return float(np.diff(np.quantile(self.landmarks, [0.25, 0.75]))[0]) or 1.0

    @cached_property
    def scale(self) -> float:
        """Size of the larger one of the quartiles."""
        return float(np.abs(np.quantile(self.landmarks, [0.25, 0.75])).max()) or 1.0

    @cached_property
    def is_light(self) -> bool:
        """Whether the tails, if any, are lighter than exponential, judged at 30 and 60 scales."""
        middle, scales = float(np.median(self.landmarks)), self._spread * np.array([30.0, 60.0])
        tails = [self.logpdf(middle + math.copysign(1.0, end) * scales) for end in self.support if math.isinf(end)]
        return all(far <= 2.5 * near for near, far in tails)

    def reach(self, order: float) -> tuple[float, float]:
        """Interval beyond which the density times a power, 3 at least, is below rounding: the support, or less.

        It is less where tails are light. For an infinite `order`, lighter than exponential, and by a margin.
        """
        if math.isinf(order) and not self.is_light:
            return self.support
        power, negligible = (3.0, 1e-44) if math.isinf(order) else (max(order, 3.0), 1e-22)
        spread, ends = self.landmarks[-1] - self.landmarks[0], list(self.support)
        steps = 1.5 ** np.arange(16) - 1  # in units of `spread`, beyond the outermost landmarks
        for k, mark in ((0, self.landmarks[0]), (1, self.landmarks[-1])):
            far = np.asarray(mark + math.copysign(spread, ends[k]) * steps, dtype=float)
            share = self.pdf(far) * spread * (np.abs(far - mark) / spread + 1) ** power
            past = int(np.max(np.flatnonzero(share > negligible * max(1.0, share.max())), initial=-1)) + 1
            if math.isinf(ends[k]) and past < far.size:
                ends[k] = float(far[past])
        return ends[0], ends[1]


Law = Discrete | Continuous


def as_law(law: Any, name: str) -> Law:
    """`law` as Discrete or Continuous, with a finite second moment; `name` is used in messages.

    Raises
    ------
    DataError
        If `law` is no law at all, or its second moment is infinite or undefined.
    CapabilityError
        If it is a discrete law with infinitely many (or over 1,000) values.
    """
    if isinstance(law, Discrete | Continuous):
        return law
    law = stand_ins.adapted(law)
    if isinstance(law, type) or callable(law):
        kind = getattr(law, "name", None) or getattr(law, "__name__", repr(law))
        raise DataError(f"`{name}` must be a frozen law, got the unfrozen {kind}; call it: scipy.stats.norm(0, 1)")
    if stand_ins.is_discrete(law):
        return _from_frozen_discrete(law, name)
    if hasattr(law, "icdf"):
        law = stand_ins.NewStyle(law)
    if absent := [method for method in ("pdf", "support", "mean", "var", "ppf", "rvs") if not hasattr(law, method)]:
        raise DataError(
            f"`{name}` must be a law such as scipy.stats.norm(0, 1), sb.Rademacher() or sb.Constant(2.0), got {law!r}, "
            f"which lacks {', '.join(absent)}"
        )
    moment = _second_moment(law, name)
    lo, hi = (float(end) for end in law.support())
    landmarks = np.asarray(law.ppf(np.array([1e-9, 1e-5, 1e-2, 0.15, 0.5, 0.85, 0.99, 1 - 1e-5, 1 - 1e-9])), dtype=float)
    landmarks = landmarks[np.isfinite(landmarks)]
    kinks = law.kinks if isinstance(law, stand_ins.TabulatedLaw) else formulas.kinks(law)
    knots = {end for end in (lo, hi) if math.isfinite(end)} | set(kinks)
    scale = float(landmarks[-3] - landmarks[2]) if landmarks.size > 5 else 1.0
    far = singularities.far_plateaus(law, (lo, hi), scale, moment)
    for plateau in far:
        lo, hi = (lo, plateau.hi) if plateau.lo > 0 else (plateau.lo, hi)
    plateaus = (*singularities.near_plateaus(law, sorted(knots), scale), *far)
    knots |= {end for plateau in plateaus for end in (plateau.lo, plateau.hi)}
    return Continuous(
        law, (lo, hi), moment, tuple(sorted(knots)), tuple(landmarks.tolist()), plateaus, formulas.polynomial_degree(law)
    )


def _second_moment(law: Any, name: str) -> float:
    """E[V^2] of a law with a density, refused unless it is a finite number."""
    try:
        with np.errstate(all="ignore"):
            mean, spread, middle = law.mean(), law.var(), law.ppf(0.5)
        several = np.ndim(mean) or np.ndim(middle)
        moment = math.nan if several else float(spread) + float(mean) ** 2
    except (TypeError, ValueError, OverflowError):
        raise DataError(
            f"`{name}` must be a law with single real parameters, got {law!r}; give each as one number"
        ) from None
    if several:
        raise DataError(
            f"`{name}` must be the law of one number, got an array of laws of shape {np.shape(mean)}, "
            f"{describe_law(law)}; give each parameter as one number"
        )
    if not math.isfinite(middle):
        raise DataError(
            f"`{name}` must be a law with valid parameters, got {describe_law(law)}, whose median is {middle}; "
            "scale must be > 0, and the shape parameters inside their ranges"
        )
    if not math.isfinite(moment):
        raise DataError(
            f"`{name}` must have a finite second moment, got E = {moment} for {describe_law(law)}; "
            "choose lighter tails (Student t needs more than 2 degrees of freedom)"
        )
    return moment


def describe_law(law: Any) -> str:
    """One line naming a law: ``uniform(-1, 2)``, ``Rademacher()``."""
    dist = getattr(law, "dist", None)
    if dist is None:
        return repr(law)
    parts = [_short(value) for value in law.args] + [f"{key}={_short(value)}" for key, value in law.kwds.items()]
    return f"{dist.name or type(dist).__name__}({', '.join(parts)})"


def _short(value: Any) -> str:
    return f"{value:g}" if np.ndim(value) == 0 and not isinstance(value, str) else str(np.asarray(value).tolist())


def _from_frozen_discrete(law: Any, name: str) -> Discrete:
    if hasattr(getattr(law, "dist", None), "xk"):  # a table of values
        points = np.asarray(law.dist.xk, dtype=float)
        return Discrete(tuple(points.tolist()), tuple(np.asarray(law.pmf(points), dtype=float).tolist()))
    lo, hi = law.support()
    if np.ndim(lo) or not (math.isfinite(lo) and math.isfinite(hi) and hi - lo < 1e7):
        raise CapabilityError(f"`{name}` may have at most {_MAX_ATOMS} values, got {describe_law(law)}; use sb.Discrete")
    points = np.arange(lo, hi + 1)
    mass = law.pmf(points)
    keep = mass > 0
    if keep.sum() > _MAX_ATOMS:
        raise CapabilityError(f"`{name}` may have at most {_MAX_ATOMS} values, got {keep.sum()}; use a continuous law")
    return Discrete(tuple(points[keep].tolist()), tuple((mass[keep] / mass[keep].sum()).tolist()))
