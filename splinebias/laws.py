"""Laws of the hidden weights and biases: scipy.stats frozen laws as they are, and the discrete ones they lack.

`as_law` turns whatever the user passed into one of two readings: `Discrete` (atoms) or `Continuous`
(a density with the places where it is not smooth), which is all that the rest of the library looks at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from splinebias._check import Array, real_number, real_vector
from splinebias.errors import CapabilityError, DataError

_MAX_ATOMS = 1000
_LANDMARKS = (1e-9, 1e-5, 1e-2, 0.15, 0.5, 0.85, 0.99, 1 - 1e-5, 1 - 1e-9)


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
        if (mass <= 0).any() or abs(mass.sum() - 1) > 1e-9:
            raise DataError(f"`probabilities` must be positive with sum 1, got sum {mass.sum():.12g}, min {mass.min():g}")
        object.__setattr__(self, "values", tuple(values.tolist()))
        object.__setattr__(self, "probabilities", tuple((mass / mass.sum()).tolist()))

    @property
    def second_moment(self) -> float:
        """E[V^2]."""
        return math.fsum(p * v * v for v, p in zip(self.values, self.probabilities, strict=True))

    def sample(self, size: int, rng: np.random.Generator) -> Array:
        """`size` independent draws, shape (size,)."""
        return np.asarray(rng.choice(np.array(self.values), size=size, p=np.array(self.probabilities)), dtype=float)


@dataclass(frozen=True)
class Rademacher(Discrete):
    """+1 or -1, equally likely."""

    values: tuple[float, ...] = (-1.0, 1.0)
    probabilities: tuple[float, ...] = (0.5, 0.5)

    def __repr__(self) -> str:
        return "Rademacher()"


@dataclass(frozen=True, init=False)
class Constant(Discrete):
    """Always `value`."""

    def __init__(self, value: float) -> None:
        value = real_number(value, "value")
        object.__setattr__(self, "values", (value,))
        object.__setattr__(self, "probabilities", (1.0,))

    def __repr__(self) -> str:
        return f"Constant({self.values[0]:g})"


@dataclass(frozen=True, eq=False)
class Continuous:
    """A law with a density, wrapped around a frozen scipy.stats law (or any object with the same methods).

    Attributes
    ----------
    knots : tuple of float
        Finite points where the density is not smooth: support ends, and the kinks of the laws known to have one.
    landmarks : tuple of float
        Quantiles that tell a quadrature where the mass sits, far tails included.
    """

    frozen: Any
    support: tuple[float, float]
    second_moment: float
    knots: tuple[float, ...]
    landmarks: tuple[float, ...]

    def pdf(self, x: Array) -> Array:
        """Density at `x`, same shape."""
        name = getattr(getattr(self.frozen, "dist", None), "name", None)
        if name == "uniform":  # scipy's general machinery costs ten times the formula
            lo, hi = self.support
            return np.asarray(((x >= lo) & (x <= hi)) / (hi - lo))
        if name == "norm":
            _, loc, scale = _shape_loc_scale(self.frozen)
            return np.asarray(np.exp(-0.5 * ((x - loc) / scale) ** 2) / (scale * math.sqrt(2 * math.pi)))
        return np.asarray(self.frozen.pdf(x), dtype=float)

    def sample(self, size: int, rng: np.random.Generator) -> Array:
        """`size` independent draws, shape (size,)."""
        if hasattr(self.frozen, "rvs"):
            return np.asarray(self.frozen.rvs(size=size, random_state=rng), dtype=float)
        return np.asarray(self.frozen.sample(size, rng=rng), dtype=float)

    def has_moment(self, order: float) -> bool:
        """Whether E|V|^order is finite (order = infinity: whether E exp(s|V|) is, for some s > 0), judged by the tails.

        A density falling like exp(-L(v)) has moments below (dL/d log v) - 1, measured at 1e6 to 1e8 scales, and
        an exponential one if L(v)/v does not fall from 100 to 400 scales.
        """
        scale = float(np.diff(np.quantile(self.landmarks, [0.25, 0.75]))[0]) or 1.0
        for end in self.support:
            if not math.isinf(end):
                continue
            far = math.copysign(scale, end) * np.array([100.0, 400.0, 1e6, 1e8])
            with np.errstate(divide="ignore", under="ignore"):
                decay = -np.log(self.pdf(far))
            if math.isinf(order):
                if decay[1] / 400 < 0.9 * decay[0] / 100:
                    return False
            elif math.isfinite(decay[3]) and (decay[3] - decay[2]) / math.log(100) - 1 < order * (1 + 1e-9):
                return False
        return True

    def is_centred(self, name: str) -> float | None:
        """Scale s if this is scipy's `norm(0, s)` or `uniform(-s, 2s)` (by `name`), else None."""
        if getattr(getattr(self.frozen, "dist", None), "name", None) != name:
            return None
        _, loc, scale = _shape_loc_scale(self.frozen)
        if name == "norm" and loc == 0:
            return scale
        if name == "uniform" and loc == -scale / 2:
            return scale / 2
        return None


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
    if isinstance(law, Discrete):
        return law
    if isinstance(law, Continuous):
        return law
    if isinstance(law, type) or callable(law):
        raise DataError(f"`{name}` must be a frozen law, got the unfrozen {law!r}; call it: scipy.stats.norm(0, 1)")
    if _is_discrete(law):
        return _from_frozen_discrete(law, name)
    if not (hasattr(law, "pdf") and hasattr(law, "support")):
        raise DataError(
            f"`{name}` must be a law such as scipy.stats.norm(0, 1), sb.Rademacher() or sb.Constant(2.0), got {law!r}"
        )
    try:
        with np.errstate(all="ignore"):
            mean, spread = (law.mean(), law.var()) if hasattr(law, "var") else (law.mean(), law.variance())
            moment = float(spread) + float(mean) ** 2
    except (TypeError, ValueError, OverflowError):
        raise DataError(
            f"`{name}` must be a law with single real parameters, got {law!r}; give each as one number"
        ) from None
    if not math.isfinite(moment):
        raise DataError(
            f"`{name}` must have a finite second moment, got E = {moment} for {describe_law(law)}; "
            "choose lighter tails (Student t needs more than 2 degrees of freedom)"
        )
    lo, hi = (float(end) for end in law.support())
    quantile = law.ppf if hasattr(law, "ppf") else law.icdf
    landmarks = np.asarray(quantile(np.array(_LANDMARKS)), dtype=float)
    knots = [end for end in (lo, hi) if math.isfinite(end)] + _kinks(law)
    return Continuous(law, (lo, hi), moment, tuple(sorted(set(knots))), tuple(landmarks[np.isfinite(landmarks)].tolist()))


def _is_discrete(law: Any) -> bool:
    """Whether a scipy law has a probability mass function (new-style continuous laws have a useless one too)."""
    kind = getattr(law, "dist", law)
    if not hasattr(law, "pmf") or hasattr(kind, "_pdf"):
        return False
    return not any("Continuous" in c.__name__ or c.__name__ == "Mixture" for c in type(kind).__mro__)


def describe_law(law: Any) -> str:
    """One line naming a law: ``uniform(-1, 2)``, ``Rademacher()``."""
    dist = getattr(law, "dist", None)
    if dist is None:
        return repr(law)
    parts = [f"{value:g}" for value in law.args] + [f"{key}={value:g}" for key, value in law.kwds.items()]
    return f"{dist.name}({', '.join(parts)})"


def law_to_table(law: Any) -> dict[str, Any]:
    """A plain dictionary that `law_from_table` turns back into the same law (for TOML)."""
    if isinstance(law, Rademacher):
        return {"name": "rademacher"}
    if isinstance(law, Constant):
        return {"name": "constant", "value": law.values[0]}
    if isinstance(law, Discrete):
        return {"name": "discrete", "values": list(law.values), "probabilities": list(law.probabilities)}
    import scipy.stats

    name = getattr(getattr(law, "dist", None), "name", "")
    if name and type(getattr(scipy.stats, name, None)) is type(law.dist):  # a histogram's name is nobody's
        return {"name": name, "args": [float(v) for v in law.args]} | {k: float(v) for k, v in law.kwds.items()}
    raise CapabilityError(
        f"only sb.* and frozen scipy.stats laws can be written to TOML, got {law!r}; use scipy.stats.NAME(...)"
    )


def law_from_table(table: Any, name: str) -> Any:
    """The law written by `law_to_table`; unknown names and parameters are refused."""
    import scipy.stats

    if not isinstance(table, dict) or not isinstance(table.get("name"), str):
        raise DataError(f'`{name}` must be a table with a `name`, such as {{name = "norm", scale = 1.0}}, got {table!r}')
    options = dict(table)
    kind = options.pop("name")
    try:
        if kind in _OWN:
            own: Any = _OWN[kind]
            return own(**options)
        dist = getattr(scipy.stats, kind, None)
        if not isinstance(dist, scipy.stats.rv_continuous | scipy.stats.rv_discrete):
            raise DataError(f"`{name}.name` must be a scipy.stats law or one of {', '.join(_OWN)}, got {kind!r}")
        return dist(*options.pop("args", ()), **options)
    except TypeError as error:
        raise DataError(f"`{name}` has parameters that {kind} does not take: {error}") from None


_OWN: dict[str, Any] = {"rademacher": Rademacher, "constant": Constant, "discrete": Discrete}


def _from_frozen_discrete(law: Any, name: str) -> Discrete:
    if hasattr(getattr(law, "dist", None), "xk"):  # a table of values
        points = np.asarray(law.dist.xk, dtype=float)
        return Discrete(tuple(points.tolist()), tuple(np.asarray(law.pmf(points), dtype=float).tolist()))
    lo, hi = law.support()
    if not (math.isfinite(lo) and math.isfinite(hi) and hi - lo < 1e7):
        raise CapabilityError(f"`{name}` may have at most {_MAX_ATOMS} values, got {describe_law(law)}; use sb.Discrete")
    points = np.arange(lo, hi + 1)
    mass = law.pmf(points)
    keep = mass > 0
    if keep.sum() > _MAX_ATOMS:
        raise CapabilityError(f"`{name}` may have at most {_MAX_ATOMS} values, got {keep.sum()}; use a continuous law")
    return Discrete(tuple(points[keep].tolist()), tuple((mass[keep] / mass[keep].sum()).tolist()))


def _shape_loc_scale(law: Any) -> tuple[tuple[Any, ...], float, float]:
    args, loc, scale = law.dist._parse_args(*law.args, **law.kwds)
    return tuple(args), float(loc), float(scale)


def _kinks(law: Any) -> list[float]:
    """Interior points where a scipy law's density is not smooth (adaptive cells find others, more slowly)."""
    dist = getattr(law, "dist", None)
    if dist is None:
        return []
    args, loc, scale = _shape_loc_scale(law)
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
    return [loc + scale * float(point) for point in inner.get(dist.name, [])]
