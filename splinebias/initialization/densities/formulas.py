"""Densities of scipy's laws by formulas, and what scipy.stats does not say of them: kinks, degrees, logarithms far out."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.special import betaln, xlog1py, xlogy

from splinebias._array import Array
from splinebias.initialization.densities.scipy_parameters import law_name, shape_loc_scale

_SMALL_POWERS = 30.0


def density_of(law: Any) -> Callable[[Array], Any]:
    """The density of a law."""
    if (steps := _histogram(law)) is not None:
        return partial(_steps, *steps)
    if (name := law_name(law)) not in _DENSITIES:
        return _unwrapped(law) or law.pdf
    shapes, loc, scale = shape_loc_scale(law)
    return partial(_density, name, loc, scale, *map(float, shapes))


def log_density_of(law: Any) -> Callable[[Array], Any] | None:
    """The logarithm of the density of a law, also where that underflows; None if it does not come with one."""
    formula = _LOG_DENSITIES.get(law_name(law))
    if formula is None:
        return getattr(law, "logpdf", None)
    _, loc, scale = shape_loc_scale(law)
    return lambda x: formula((x - loc) / scale) - math.log(scale)


def kinks(law: Any) -> list[float]:
    """Interior points where a scipy law's density is not smooth (adaptive cells find others, more slowly)."""
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


def _student(x: Array, loc: float, scale: float, nu: float) -> Any:
    if math.isinf(nu):
        return _DENSITIES["norm"](x, loc, scale)
    log_top = math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2) - 0.5 * math.log(nu * math.pi)
    return math.exp(log_top) / scale * np.exp(-(nu + 1) / 2 * np.log1p(((x - loc) / scale) ** 2 / nu))


def _beta(x: Array, loc: float, scale: float, a: float, b: float) -> Any:
    z = (x - loc) / scale
    inside = (z >= 0) & (z <= 1)
    z = np.where(inside, z, 0.5)
    with np.errstate(divide="ignore"):  # infinite at an end
        if max(a, b) <= _SMALL_POWERS:  # a third of the time, and no product of what underflows and what overflows
            density = math.exp(-betaln(a, b)) / scale * z ** (a - 1) * (1 - z) ** (b - 1)
        else:
            density = np.exp(xlogy(a - 1, z) + xlog1py(b - 1, -z) - betaln(a, b)) / scale
    return np.where(inside, density, 0.0)


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
