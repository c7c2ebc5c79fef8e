r"""What a study returns: every run, and how fast networks approach their limit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import entry
from splinebias._array import Array
from splinebias.errors import CapabilityError, DataError
from splinebias.functions.compare_on_box import Place, place_text
from splinebias.limit.prediction import Prediction
from splinebias.numerics.estimate import Estimate
from splinebias.parameterization import MeanField
from splinebias.problem import Problem
from splinebias.studies.limit import limit_of, stopping_time
from splinebias.studies.rates import PowerLaw, fit_power
from splinebias.studies.row import Row, Tabulated, left_out, read_only, table_of
from splinebias.studies.statistics import by_width, mean_estimate, places, summary
from splinebias.studies.store.packing import NetworkFunction
from splinebias.studies.store.reading import StoredCase, read_cases

if TYPE_CHECKING:
    from splinebias.studies.agreement import Agreement

__all__ = ["Row", "Study", "StudyGrid"]


@dataclass(frozen=True, eq=False, repr=False)
class Study(Tabulated):
    """Networks of one problem beside their limit: what `study` returns, and a part of what `study_grid` does.

    Attributes
    ----------
    prediction : Prediction
        The limit that all networks were compared with.
    interval : tuple of float
        Where they were compared; of several inputs a box, a pair for each.
    loss_tol : float
        Loss they were trained to.
    rows : tuple of Row
        All runs, failures included, by width and then by seed.
    names : dict
        The names of this case on the axes of its grid.
    method : str
        How networks were trained, in words.
    functions : callable, optional
        Called as ``functions(width, seed)``: the trained network of one run, or None if there is none.
    """

    prediction: Prediction
    interval: Place
    loss_tol: float
    rows: tuple[Row, ...] = field(repr=False)
    names: dict[str, str] = field(default_factory=dict)
    method: str = ""
    functions: Callable[[int, int], NetworkFunction | None] | None = field(default=None, repr=False)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The study of the store at `path`, finished or not.

        Raises
        ------
        DataError
            If there is no intact store, or it holds several cases: `StudyGrid.load` takes those.
        """
        cases = read_cases(path)
        if len(cases) != 1:
            raise DataError(f"Study.load takes a store of one case, got {len(cases)} in {path}; use sb.StudyGrid.load")
        return cls.of(cases[0], limit_of(cases[0].problem, cases[0].method))

    @classmethod
    def of(cls, case: StoredCase, prediction: Prediction) -> Self:
        """The study of one case of a store."""
        return cls(prediction, case.interval, case.loss_tol, case.rows, case.names, case.method, case.function)

    @property
    def problem(self) -> Problem:
        """The problem that was studied."""
        return self.prediction.problem

    @property
    def time(self) -> float:
        """Training time of the limit; infinity: the end of training. Only that of `MeanField` networks is ever finite."""
        return stopping_time(self.method) if isinstance(self.problem.parameterization, MeanField) else math.inf

    @property
    def label(self) -> str:
        """The names of this case in one line."""
        return " / ".join(self.names.values()) or self.problem.describe()

    def function(self, width: int, seed: int) -> NetworkFunction:
        """The trained network of one run, exact; DataError if there is no such run or it failed."""
        if self.functions is None:
            raise DataError("this Study was made from rows alone and holds no networks; `study` and `Study.load` keep them")
        width, seed = entry(width), entry(seed)
        found = self.functions(width, seed)
        if found is None:
            raise DataError(f"`width`, `seed` must be those of a run that has a network, got {width}, {seed}; see `table`")
        return found

    def mean_shift(self, width: int, x: Any) -> tuple[Array, Array]:
        """The mean of f_n(x) - f(x) over the runs of a width whose outcome is ok, and its standard error.

        Both have the shape of x, and of d inputs, where x has shape (..., d), the shape (...). `ErrorBand.mean_shift`
        predicts the mean for hidden weights that do not move. DataError without two such runs, or if networks do not
        start at zero.
        """
        if not self.problem.initialization.starts_at_zero:
            raise DataError("the mean shift is that of networks that start at zero, and these start at random functions")
        seeds = [row.seed for row in self.rows if row.ok and row.width == width]
        if len(seeds) < 2:
            raise DataError(
                f"`width` must be one with two runs whose outcome is ok, got {width} with {len(seeds)}; see `table`"
            )
        x = np.asarray(x, dtype=float)
        errors = np.array([self.function(width, seed)(x) for seed in seeds]) - self.prediction.function(x)
        return errors.mean(axis=0), errors.std(axis=0, ddof=1) / math.sqrt(len(seeds))

    @cached_property
    def table(self) -> NDArray[np.void]:
        """The rows as a read-only structured array, shape (R,), with the fields of `Row` but `reason`: ``table["sup"]``."""
        return table_of(self.rows)

    @cached_property
    def summary(self) -> NDArray[np.void]:
        """One row per width, read-only: width, runs, failed, mean, median, sd.

        `runs` counts those whose outcome is ok; the statistics are those of their sup. `sd` is the sample standard
        deviation, nan for a single run. `statistics` has intervals.
        """
        return summary(self.table["width"], self._ok, self.table["sup"])

    @cached_property
    def statistics(self) -> NDArray[np.void]:
        """Mean, median and quantiles of sup per width with bootstrap intervals: see `by_width`; failed runs left out."""
        return by_width(*self.measured)

    @cached_property
    def penalties(self) -> NDArray[np.void]:
        r"""The second yardstick: the networks' own curvature penalty over that of the limit, per width, as `statistics`.

        The penalty of a network needs its Dirac curvature smoothed, which `penalty` does over :math:`\lceil\sqrt K\rceil`
        bins of equal breakpoint probability for K kinks. Ratios go to 1 when the width grows; a sampled network deviates by
        :math:`O(n^{-1/2})`. Runs whose penalty is infinite or undefined are left out.
        """
        good = self.table[self._ok]
        with np.errstate(divide="ignore", invalid="ignore"):
            return by_width(good["width"], good["network_penalty"] / good["penalty"])

    @cached_property
    def places(self) -> NDArray[np.void]:
        """Where the largest errors are: how many runs of each width have theirs in each data interval; see `places`.

        Raises
        ------
        CapabilityError
            Of several inputs, which have no data intervals.
        """
        data, (lo, hi) = self.problem.line_data, self.interval
        assert not isinstance(lo, tuple) and not isinstance(hi, tuple), "of one input"
        good = self.table[self._ok]
        return places(good["width"], good["argmax"], data.x, (lo, hi))

    @cached_property
    def power_law(self) -> PowerLaw:
        r"""The fit of :math:`\sup|f_n - f| \propto n^s` to the runs whose outcome is ok: see `fit_power`."""
        return fit_power(*self.measured)

    @property
    def rate(self) -> Estimate:
        r"""The exponent s of :math:`\sup|f_n - f| \propto n^s`; theory: -1/2. Whether a power law fits: `power_law`."""
        return self.power_law.exponent

    @cached_property
    def constant(self) -> Estimate:
        r"""The constant of :math:`E\sup|f_n - f| \approx \text{constant} \cdot n^{-1/2}`.

        Mean of :math:`\sqrt n \sup|f_n - f|` over the runs whose outcome is ok at the largest width that has any (the
        terms of order 1/n show at smaller ones), with the two-sided Student-t interval for a mean. Hypotheses, not
        checked: that width is large enough, and the values are near normal.
        """
        width, sup = self.measured
        return mean_estimate(np.sqrt(width.max()) * sup[width == width.max()] if sup.size else sup)

    @cached_property
    def predicted(self) -> Agreement | str:
        """The comparison with the predicted errors, see `agreement`; or why there is none, in words."""
        if self.problem.data.size > 1000:  # where it takes a second
            return "not computed by themselves for more than 1000 points; sb.agreement(study) does"
        from splinebias.studies.agreement import agreement

        try:
            return agreement(self)
        except (DataError, CapabilityError) as error:
            return str(error)

    @cached_property
    def _ok(self) -> NDArray[np.bool_]:
        return np.array([row.ok for row in self.rows], dtype=bool)

    @property
    def measured(self) -> tuple[Array, Array]:
        """Width and sup of the runs whose outcome is ok, each of shape (number of them,): what all fits are made of."""
        rows = self.table[self._ok]
        return rows["width"].astype(float), rows["sup"]

    @property
    def _named_rows(self) -> tuple[tuple[str, ...], tuple[Row, ...]]:
        return Row._fields, self.rows

    def __repr__(self) -> str:
        widths = ", ".join(str(width) for width in self.summary["width"])
        ok = sum(row.ok for row in self.rows)
        return f"Study({self.label}; widths {widths or 'none'}: {ok} of {len(self.rows)} runs are ok)"

    @property
    def _error_text(self) -> str:
        """The error, in which the limit is that from a network's own start."""
        own = not (self.problem.initialization.starts_at_zero or isinstance(self.problem.parameterization, MeanField))
        return "sup|f_n - f|, f the limit from its own start," if own else "sup|f_n - f|"

    def __str__(self) -> str:
        lines = [
            self.problem.describe(),
            f"error = {self._error_text} on {place_text(self.interval)}, networks trained to a loss of {self.loss_tol:g}",
            f"{'width':>8}{'runs':>6}{'failed':>8}{'mean':>12}{'median':>12}{'sd':>12}{'mean*sqrt(n)':>14}",
        ]
        for width, runs, failed, mean, median, sd in self.summary.tolist():
            shown = ((mean, 12, ".4g"), (median, 12, ".4g"), (sd, 12, ".2g"), (mean * math.sqrt(width), 14, ".4g"))
            numbers = "".join(("-" if math.isnan(value) else format(value, form)).rjust(size) for value, size, form in shown)
            lines.append(f"{width:>8}{runs:>6}{failed:>8}{numbers}")
        exact = int((self.measured[1] == 0).sum()) if math.isfinite(self.rate.value) else 0
        without = f", without {exact} runs whose error is 0" if exact else ""
        lines.append(f"error ~ n^s with s = {self.rate}{without}")
        if self.power_law.pvalue < 0.01:
            lines.append(f"no single power fits all widths (p = {self.power_law.pvalue:.2g}): judge by the largest ones")
        lines.append(f"error ~ c n^(-1/2) with c = {self.constant}, from the largest width")
        predicted = self.predicted
        lines.append(f"predicted errors: {predicted}" if isinstance(predicted, str) else str(predicted))
        lines += left_out(self.rows)
        if not self.prediction.outcome.ok:
            lines.append(f"the limit itself is {self.prediction.outcome.name}: {self.prediction.outcome.value}")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class StudyGrid(Tabulated):
    """Studies of all cases of a grid: what `study_grid` returns.

    Attributes
    ----------
    parts : tuple of Study
        One per case, in the order of the specification.
    """

    parts: tuple[Study, ...]

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The studies of the store at `path`, finished or not; DataError if there is no intact store."""
        return cls(tuple(Study.of(case, limit_of(case.problem, case.method)) for case in read_cases(path)))

    def part(self, **names: str) -> Study:
        """The one study with these names: ``grid.part(problem="A", potential="u2")``; DataError unless there is just one."""
        found = [part for part in self.parts if names.items() <= part.names.items()]
        if len(found) != 1:
            known = "; ".join(part.label for part in self.parts)
            raise DataError(f"part() must name one case, got {len(found)} for {names}; there are {known}")
        return found[0]

    @property
    def table(self) -> NDArray[np.void]:
        """The tables of all parts below each other, read-only, with the number of the part as field `case`."""
        rows = [(number, *row) for number, part in enumerate(self.parts) for row in part.table.tolist()]
        return read_only(rows, np.dtype([("case", "i8"), *self.parts[0].table.dtype.descr]))

    @property
    def _named_rows(self) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Columns and rows, names of the cases first."""
        names = tuple(dict.fromkeys(name for part in self.parts for name in part.names))  # a part may lack an empty one
        named = [(tuple(part.names.get(name, "") for name in names), part.rows) for part in self.parts]
        return (*names, *Row._fields), [(*labels, *row) for labels, rows in named for row in rows]

    def __repr__(self) -> str:
        return f"StudyGrid({len(self.parts)} studies of {sum(len(part.rows) for part in self.parts)} runs)"

    def __str__(self) -> str:
        return "\n\n".join(f"== {part.label}\n{part}" if part.names else str(part) for part in self.parts)
