r"""Have two studies one limit? A test that looks at networks only, not at predictions.

Networks of equal width and seed start from the same hidden units, so most of their sampling noise cancels in
:math:`f_n - g_n`. If the limits are the same, :math:`\sup|f_n - g_n|` falls at least like :math:`n^{-1/2}`, as the distance
of either to the limit does, and like :math:`1/n` where only moving features tell them apart; if not, it levels off. That
all unscaled potentials have one limit is a theorem of Liang & Montúfar (ICLR 2025); here it is the null hypothesis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from splinebias._arguments import known_keywords, whole_number
from splinebias._array import Array
from splinebias._result import Printed
from splinebias.errors import DataError
from splinebias.functions.compare import compare
from splinebias.numerics.estimate import Estimate, Undetermined
from splinebias.studies.rates import fit_power
from splinebias.studies.results import Study
from splinebias.studies.statistics import mean_estimate

_FEWEST = 8  # runs


@dataclass(frozen=True)
class LimitComparison(Printed):
    r"""Whether the networks of two studies go to one function: the test of `compare_limits`.

    Attributes
    ----------
    pvalue : float
        Probability of distances that fall this slowly, or more slowly, if the limits are the same.
    exponent : Estimate
        The s of :math:`\sup|f_n - g_n| \propto n^s`: 0 for different limits, at most -1/2 for one.
    gap : Estimate
        Mean :math:`\sup|f_n - g_n|` at the largest width: what the limits may still differ by, with its 95 % interval.
    runs : int
        Pairs of networks that entered.
    widths : tuple of int
        Their widths.
    """

    pvalue: float
    exponent: Estimate
    gap: Estimate
    runs: int
    widths: tuple[int, ...]

    def __repr__(self) -> str:
        return f"LimitComparison(p = {self.pvalue:.2g} for one limit, exponent {self.exponent}, {self.runs} pairs)"

    def __str__(self) -> str:
        return (
            f"distance ~ n^s with s = {self.exponent}, {self.gap} at width {self.widths[-1]}; "
            f"p = {self.pvalue:.2g} for one limit (s <= -1/2), from {self.runs} pairs of networks"
        )


@known_keywords
def compare_limits(first: Study, second: Study, *, narrowest: int = 1) -> LimitComparison:
    r"""Test whether the networks of two studies approach one function as :math:`n \to \infty`.

    Parameters
    ----------
    first, second : Study
        Studies of the same data on the same interval; runs of equal width and seed are paired.
    narrowest : int
        Leave out smaller widths, where features still move too much for a power law.

    Returns
    -------
    LimitComparison

    Raises
    ------
    DataError
        If they are no studies, or not of the same data and interval; if they share, or differ in, fewer than 8 runs at two
        widths.

    Notes
    -----
    The exponent comes from `fit_power`; the p-value is that of the one-sided t test of s <= -1/2.
    *Hypotheses, not checked:* pairs are independent (those of one grid are), and distances follow a power law from
    `narrowest` on: at widths where features move a lot they can also grow. A difference of the limits below the distance at
    the largest width goes unnoticed: `gap` says how large it may be.
    """
    for name, study in (("first", first), ("second", second)):
        if not isinstance(study, Study):
            raise DataError(f"`{name}` must be what sb.study hands back, got {study!r}")
    if first.problem.data != second.problem.data or first.interval != second.interval:
        raise DataError("`first` and `second` must be studies of the same data on the same interval, got others")
    narrowest = whole_number(narrowest, "narrowest", at_least=1)
    have = [{(row.width, row.seed) for row in study.rows if row.ok} for study in (first, second)]
    pairs = sorted(pair for pair in have[0] & have[1] if pair[0] >= narrowest)
    widths = tuple(sorted({width for width, _ in pairs}))
    if len(pairs) < _FEWEST or len(widths) < 2:
        raise DataError(
            f"`first` and `second` must share at least {_FEWEST} runs at two widths or more, got {len(pairs)} at "
            f"{len(widths)}; add seeds"
        )
    interval = first.interval
    distance = np.array([compare(first.function(*pair), second.function(*pair), interval).sup for pair in pairs])
    width = np.array([n for n, _ in pairs], dtype=float)
    gap = mean_estimate(distance[width == widths[-1]])
    if not distance.any():  # the same networks
        return LimitComparison(1.0, Undetermined(-math.inf, reason="all distances are 0"), gap, len(pairs), widths)
    return LimitComparison(*_slowness(width, distance), gap, len(pairs), widths)


def _slowness(width: Array, distance: Array) -> tuple[float, Estimate]:
    """The p-value of s <= -1/2, and s, of the distances that are not 0."""
    from scipy import stats

    width, distance = width[distance > 0], distance[distance > 0]
    if width.size < _FEWEST or np.unique(width).size < 2:
        raise DataError(
            f"`first` and `second` must differ in at least {_FEWEST} pairs of networks at two widths or more, got "
            f"{width.size}; add seeds"
        )
    exponent = fit_power(width, distance).exponent
    spread = (exponent.high - exponent.low) / 2 / stats.t.ppf((1 + exponent.level) / 2, width.size - 2)
    with np.errstate(divide="ignore", invalid="ignore"):  # no spread at all: whichever side of -1/2 it is on
        pvalue = float(stats.t.sf(np.float64(exponent.value + 0.5) / spread, width.size - 2))
    return pvalue, exponent
