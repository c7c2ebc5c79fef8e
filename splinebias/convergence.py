r"""What a study returns: every run, and how fast networks approach their limit.

At width n the difference to the limit is, to leading order, a Gaussian process divided by :math:`\sqrt n`, plus
:math:`O(1/n)` from moving features (theory section 7). Hence
:math:`E \sup|f_n - f| \approx \text{constant} \cdot n^{-1/2}`, and :math:`\log \sup|f_n - f|` has one spread at all
widths, which is what makes an unweighted fit on log-log axes the right one.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import numpy as np
from numpy.typing import NDArray

from splinebias._check import Array
from splinebias._files import write_atomically
from splinebias.errors import CapabilityError, Outcome
from splinebias.problem import Problem
from splinebias.solve.prediction import Prediction

_LEVEL = 0.95
_MARGIN = 0.25  # of the span of the data, on each side: how a limit extrapolates is part of the theory


class Row(NamedTuple):
    """One run of a study.

    `time` is the training time t = n * (sum of learning rates) and `seconds` the wall time, the only column that differs
    when a study is repeated. `penalty` is that of the limit, so that tables of several studies can be joined.
    `outcome` is the name of an `Outcome`.
    """

    width: int
    seed: int
    sup: float
    l2: float
    argmax: float
    penalty: float
    loss: float
    steps: int
    time: float
    seconds: float
    outcome: str


_ROW = np.dtype([(name, {int: "i8", float: "f8", str: "U16"}[kind]) for name, kind in get_type_hints(Row).items()])
_WIDTH = np.dtype([("width", "i8"), ("runs", "i8"), ("failed", "i8"), ("mean", "f8"), ("median", "f8"), ("sd", "f8")])


def default_interval(problem: Problem) -> tuple[float, float]:
    """The span of the data, wider by a quarter of its length on either side."""
    lo, hi = problem.data.span
    return lo - _MARGIN * (hi - lo), hi + _MARGIN * (hi - lo)


@dataclass(frozen=True)
class Estimate:
    """A fitted number and its confidence interval.

    Attributes
    ----------
    value : float
        The estimate; nan if the runs do not determine one.
    low, high : float
        Ends of the two-sided interval; infinite if there are too few runs to say.
    level : float
        Probability that the interval covers, under the hypotheses stated where the estimate is made.
    """

    value: float
    low: float = -math.inf
    high: float = math.inf
    level: float = _LEVEL

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "not determined (too few runs)"
        if math.isinf(self.low):
            return f"{self.value:.4g} (too few runs for an interval)"
        return f"{self.value:.4g} ({self.level:.0%} interval {self.low:.4g} to {self.high:.4g})"


@dataclass(frozen=True, eq=False)
class Study:
    """What `study` returns.

    Attributes
    ----------
    prediction : Prediction
        The limit that all networks were compared with.
    interval : tuple of float
        Where they were compared.
    loss_tol : float
        Loss they were trained to.
    rows : tuple of Row
        All runs, failures included, by width and then by seed.
    """

    prediction: Prediction
    interval: tuple[float, float]
    loss_tol: float
    rows: tuple[Row, ...] = field(repr=False)

    @property
    def problem(self) -> Problem:
        """What was studied."""
        return self.prediction.problem

    @cached_property
    def table(self) -> NDArray[np.void]:
        """The rows as a read-only structured array, shape (R,), with the fields of `Row`: ``table["sup"]``."""
        table = np.array(list(self.rows), dtype=_ROW)
        table.setflags(write=False)
        return table

    @cached_property
    def summary(self) -> NDArray[np.void]:
        """One row per width, read-only: width, runs, failed, mean, median, sd.

        `runs` counts those whose outcome is ok; the statistics are those of their sup. `sd` is the sample standard
        deviation, nan for a single run.
        """
        rows = []
        for width in np.unique(self.table["width"]):
            here = self.table["width"] == width
            sup = self.table["sup"][here & self._ok]
            mean, median = (float(sup.mean()), float(np.median(sup))) if sup.size else (math.nan, math.nan)
            sd = float(sup.std(ddof=1)) if sup.size > 1 else math.nan
            rows.append((width, sup.size, here.sum() - sup.size, mean, median, sd))
        summary = np.array(rows, dtype=_WIDTH)
        summary.setflags(write=False)
        return summary

    @cached_property
    def rate(self) -> Estimate:
        r"""The exponent s of :math:`\sup|f_n - f| \propto n^s`; theory: -1/2.

        Ordinary least squares of log sup on log n over the R runs whose outcome is ok, with the two-sided Student-t
        interval for R - 2 degrees of freedom. Hypotheses, not checked: the runs are independent (`study` makes them so), log
        sup is near normal with one variance at all widths, and all widths are large enough for a pure power.
        """
        from scipy import stats

        width, sup = self._fitted
        if np.unique(width).size < 2:
            return Estimate(math.nan)
        fit = stats.linregress(np.log(width), np.log(sup))
        if sup.size < 3:
            return Estimate(float(fit.slope))
        margin = float(stats.t.ppf((1 + _LEVEL) / 2, sup.size - 2) * fit.stderr)
        return Estimate(float(fit.slope), float(fit.slope) - margin, float(fit.slope) + margin)

    @cached_property
    def constant(self) -> Estimate:
        r"""The constant of :math:`E\sup|f_n - f| \approx \text{constant} \cdot n^{-1/2}`.

        Mean of :math:`\sqrt n \sup|f_n - f|` over the runs whose outcome is ok at the largest width that has any (the
        O(1/n) from moving features shows at smaller ones), with the two-sided Student-t interval for a mean. Hypotheses, not
        checked: that width is large enough, and the values are near normal.
        """
        from scipy import stats

        width, sup = self._fitted
        if sup.size == 0:
            return Estimate(math.nan)
        values = np.sqrt(width.max()) * sup[width == width.max()]
        mean = float(values.mean())
        if values.size < 2:
            return Estimate(mean)
        margin = float(stats.t.ppf((1 + _LEVEL) / 2, values.size - 1) * stats.sem(values))
        return Estimate(mean, mean - margin, mean + margin)

    @property
    def _ok(self) -> NDArray[np.bool_]:
        return np.array([Outcome[name].ok for name in self.table["outcome"]], dtype=bool)

    @property
    def _fitted(self) -> tuple[Array, Array]:
        """Width and sup of the runs that enter fits (a network that is the limit exactly, sup = 0, has no logarithm)."""
        rows = self.table[self._ok & (self.table["sup"] > 0)]
        return rows["width"].astype(float), rows["sup"]

    def to_csv(self, path: str | Path | None = None) -> str:
        """The table as CSV text with a header line, exact to the last bit; written atomically to `path` if one is given."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(self.rows)
        if path is not None:
            write_atomically(path, text.getvalue().encode())
        return text.getvalue()

    def to_dataframe(self) -> Any:
        """The table as a pandas DataFrame; CapabilityError if pandas is not installed."""
        try:
            import pandas
        except ImportError:
            raise CapabilityError("to_dataframe needs pandas, which is not installed; use `table` or to_csv()") from None
        return pandas.DataFrame.from_records(self.table)

    def __str__(self) -> str:
        lo, hi = self.interval
        lines = [
            self.problem.describe(),
            f"error = sup|f_n - f| on [{lo:g}, {hi:g}], networks trained to a loss of {self.loss_tol:g}",
            f"{'width':>8}{'runs':>6}{'failed':>8}{'mean':>12}{'median':>12}{'sd':>12}{'mean*sqrt(n)':>14}",
        ]
        for width, runs, failed, mean, median, sd in self.summary.tolist():
            cells = ((mean, 12, ".4g"), (median, 12, ".4g"), (sd, 12, ".2g"), (mean * math.sqrt(width), 14, ".4g"))
            numbers = "".join(("-" if math.isnan(value) else format(value, form)).rjust(size) for value, size, form in cells)
            lines.append(f"{width:>8}{runs:>6}{failed:>8}{numbers}")
        lines.append(f"error ~ n^s with s = {self.rate}")
        lines.append(f"error ~ c n^(-1/2) with c = {self.constant}, from the largest width")
        failures = Counter(self.table["outcome"][~self._ok].tolist())
        if failures:
            kinds = ", ".join(f"{count} {name}" for name, count in sorted(failures.items()))
            lines.append(f"left out: {kinds} of {len(self.rows)} runs")
        if not self.prediction.outcome.ok:
            lines.append(f"the limit itself is {self.prediction.outcome.name}: {self.prediction.outcome.value}")
        return "\n".join(lines)
