r"""How fast networks approach their limit: the power of the width that errors follow, with a test of that law.

At width n the difference to the limit is, to leading order, a Gaussian process divided by :math:`\sqrt n`, plus
terms of order 1/n (theory section 7). Hence :math:`E \sup|f_n - f| \approx \text{constant} \cdot n^{-1/2}`,
and :math:`\log \sup|f_n - f|` has nearly one spread at all widths: the fit is made there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from splinebias._array import Array
from splinebias.numerics.estimate import LEVEL, Estimate, Undetermined

_ENOUGH = 20  # runs of a width from which on its own variance is a better weight than that of all widths


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
    rounding = 16 * np.finfo(float).eps * np.abs(y).max()  # of a logarithm, at most
    noise = y.size * rounding**2  # a sum of squares below is no spread
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
