r"""What the runs of a study say: averages with bootstrap intervals, the rate with a test of its law, where errors sit.

At width n the difference to the limit is, to leading order, a Gaussian process divided by :math:`\sqrt n`, plus
:math:`O(1/n)` from moving features (theory section 7). Hence :math:`E \sup|f_n - f| \approx \text{constant} \cdot n^{-1/2}`,
and :math:`\log \sup|f_n - f|` has nearly one spread at all widths: fits are made there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import Array
from splinebias.numerics.estimate import LEVEL, Estimate, Undetermined

QUANTILES = (0.1, 0.9)
_RESAMPLES = 2000
_ROUNDING = 16  # rounding errors of a logarithm, at most
_ENOUGH = 20  # runs of a width from which on its own variance is a better weight than that of all widths
_BY_WIDTH = np.dtype(
    [("width", "i8"), ("runs", "i8")]
    + [(f"{name}{end}", "f8") for name in ("mean", "median", "q10", "q90") for end in ("", "_low", "_high")]
)
_PLACES = np.dtype([("width", "i8"), ("low", "f8"), ("high", "f8"), ("runs", "i8"), ("share", "f8")])


@dataclass(frozen=True)
class PowerLaw:
    r"""A fit of :math:`\text{error} \propto n^s`.

    Attributes
    ----------
    exponent : Estimate
        The s above, with its Student-t interval for R - 2 degrees of freedom.
    pvalue : float
        Of the law: the probability of means per width that are this far off the line if a power law holds (F test for lack
        of fit, K - 2 and R - K degrees of freedom); nan for fewer than three widths or one run each.
    weighted : bool
        Whether runs were weighted by the inverse variance of their width (from 20 runs each on) or all alike.
    """

    exponent: Estimate
    pvalue: float
    weighted: bool


def by_width(width: Array, values: Array) -> NDArray[np.void]:
    """Mean, median and the 10 % and 90 % quantiles of `values` per width, each with a 95 % bootstrap interval.

    Parameters
    ----------
    width, values : array, shape (R,)
        The runs; values that are not finite are left out.

    Returns
    -------
    structured array, shape (K,)
        Read-only: width, runs, and mean, mean_low, mean_high, median, ...; interval ends are nan for fewer than two runs.

    Notes
    -----
    `scipy.stats.bootstrap` with 2,000 resamples from a generator seeded by the width: bias-corrected and accelerated for
    the mean, percentile for the quantiles. With a handful of runs these intervals are too short: that of a mean of
    five covers about 85 % instead of 95 % of the time.
    """
    rows = []
    for n in np.unique(width):
        here = values[(width == n) & np.isfinite(values)]
        cells = [n, here.size, *_interval(np.mean, here, "BCa", int(n)), *_interval(np.median, here, "percentile", int(n))]
        for q in QUANTILES:
            cells += _interval(lambda x, axis, q=q: np.quantile(x, q, axis=axis), here, "percentile", int(n))
        rows.append(tuple(cells))
    found = np.array(rows, dtype=_BY_WIDTH)
    found.setflags(write=False)
    return found


def _interval(statistic: Callable[..., Any], values: Array, method: str, seed: int) -> list[float]:
    """The statistic and the ends of its interval."""
    from scipy import stats

    if values.size == 0:
        return [math.nan] * 3
    value = float(statistic(values, axis=-1))
    if values.size < 2:
        return [value, math.nan, math.nan]
    if np.ptp(values) == 0:
        return [value] * 3
    unit = float(np.exp2(np.floor(np.log2(np.abs(values).max()))))  # powers of the values neither vanish nor overflow
    found = stats.bootstrap(
        (values / unit,),
        statistic,
        n_resamples=_RESAMPLES,
        confidence_level=LEVEL,
        method=method,
        vectorized=True,
        axis=-1,
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return [value, unit * float(found.low), unit * float(found.high)]


def fit_power(width: Array, error: Array) -> PowerLaw:
    r"""Least squares of log error on log n, weighted, with an interval for the exponent and a test of the law.

    Parameters
    ----------
    width, error : array, shape (R,)
        The runs, error >= 0; those with an error of 0, which has no logarithm, are left out.

    Notes
    -----
    Runs have the weight 1/variance of log error at their width if every width has at least 20 runs, and equal weights
    otherwise: a variance from fewer runs is a worse weight than none. Hypotheses, not checked: the runs are independent
    (`study` makes them so), and log error is near normal, with one variance at all widths in the unweighted case.
    """
    from scipy import stats

    some = error > 0
    width, error = width[some], error[some]
    widths, which, counts = np.unique(width, return_inverse=True, return_counts=True)
    x, y = np.log(width), np.log(error)
    if widths.size < 2:
        alone = "runs at one width only" if widths.size else "too few runs"
        return PowerLaw(Undetermined(reason=alone if some.all() else "errors of 0 have no logarithm"), math.nan, False)
    means = np.bincount(which, y) / counts
    pure = np.bincount(which, (y - means[which]) ** 2)
    noise = y.size * (_ROUNDING * np.finfo(float).eps * np.abs(y).max()) ** 2  # a sum of squares below is rounding
    weighted = bool(counts.min() >= _ENOUGH and pure.min() > noise)
    weight = ((counts - 1) / pure)[which] if weighted else np.ones_like(y)
    centre = np.average(x, weights=weight)
    lever = float((weight * (x - centre) ** 2).sum())
    slope = float((weight * (x - centre) * y).sum() / lever)
    line = np.average(y, weights=weight) + slope * (x - centre)
    if y.size < 3:
        return PowerLaw(Estimate(slope), math.nan, weighted)
    left = float((weight * (y - line) ** 2).sum())
    margin = float(stats.t.ppf((1 + LEVEL) / 2, y.size - 2) * math.sqrt(left / (y.size - 2) / lever))
    within = float((weight * (y - means[which]) ** 2).sum())
    pvalue = _lack_of_fit(left - within, within, widths.size, y.size) if pure.sum() > noise else math.nan
    return PowerLaw(Estimate(slope, slope - margin, slope + margin), pvalue, weighted)


def _lack_of_fit(between: float, within: float, widths: int, runs: int) -> float:
    """The p-value of sums of squares between the line and the means, and within widths."""
    from scipy import stats

    if widths < 3 or runs == widths:
        return math.nan
    ratio = max(between, 0.0) / (widths - 2) / (within / (runs - widths))
    return float(stats.f.sf(ratio, widths - 2, runs - widths))


def mean_estimate(values: Array) -> Estimate:
    """The mean of `values` with its Student-t interval."""
    from scipy import stats

    if values.size == 0:
        return Undetermined()
    mean = float(values.mean())
    if values.size < 2:
        return Estimate(mean)
    margin = float(stats.t.ppf((1 + LEVEL) / 2, values.size - 1) * stats.sem(values))
    return Estimate(mean, mean - margin, mean + margin)


def places(width: Array, argmax: Array, data: Array, interval: tuple[float, float]) -> NDArray[np.void]:
    """How often the largest error sits in each gap of the data, the two margins of `interval` included.

    Parameters
    ----------
    width, argmax : array, shape (R,)
        The runs.
    data : array, shape (M,)
        Abscissae of the data, increasing.
    interval : (float, float)
        Where networks were compared.

    Returns
    -------
    structured array
        One row per width and gap, read-only: width, low and high (ends of the gap), runs, share of the runs of that width. A
        place on a datum counts for the gap to its right.
    """
    lo, hi = interval
    edges = np.unique(np.r_[lo, data[(data > lo) & (data < hi)], hi])
    rows = []
    for n in np.unique(width):
        counts = np.histogram(argmax[width == n], edges)[0]
        rows += [(n, *gap) for gap in zip(edges[:-1], edges[1:], counts, counts / counts.sum(), strict=True)]
    found = np.array(rows, dtype=_PLACES)
    found.setflags(write=False)
    return found
