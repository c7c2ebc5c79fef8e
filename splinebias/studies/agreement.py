r"""A study beside its predicted error band: measured over predicted errors, and whether they agree (theory section 7)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from splinebias._arguments import known_keywords
from splinebias._array import Array
from splinebias._result import Drawn, frame_of
from splinebias.errors import DataError
from splinebias.finite_width.band import ErrorBand, error_band
from splinebias.finite_width.several_inputs.band_of_points import PointsBand
from splinebias.functions.compare_on_box import Place
from splinebias.numerics.estimate import Estimate, Undetermined
from splinebias.problem import Problem
from splinebias.studies.statistics import mean_estimate

_ALLOWED = (0.9, 1.1)


class Measured(Protocol):
    """What of a `Study` is compared."""

    @property
    def problem(self) -> Problem: ...

    @property
    def interval(self) -> Place: ...

    @property
    def time(self) -> float: ...

    @property
    def measured(self) -> tuple[Array, Array]: ...


@dataclass(frozen=True, eq=False)
class Agreement(Drawn):
    r"""Measured over predicted :math:`E \sup|f_n - f|` of a study, width by width, see `agreement`.

    Attributes
    ----------
    band : ErrorBand or PointsBand
        The band of the largest width. Of several inputs its largest errors are those at some points of the box: ratios come
        out a little too large.
    widths : tuple of int
        Widths with a run whose outcome is ok.
    ratios : tuple of Estimate
        One per width, with the two-sided Student-t interval of the mean over seeds.
    """

    band: ErrorBand | PointsBand
    widths: tuple[int, ...]
    ratios: tuple[Estimate, ...]

    @property
    def ratio(self) -> Estimate:
        """The ratio at the largest width."""
        return self.ratios[-1]

    @property
    def disagrees(self) -> bool:
        """Whether the interval at the largest width lies outside [0.9, 1.1] altogether."""
        return self.ratio.low > _ALLOWED[1] or self.ratio.high < _ALLOWED[0]

    @property
    def advice(self) -> str:
        """Empty if the ratio at the largest width is in [0.9, 1.1], else what may be wrong."""
        ratio, width = self.ratio, self.widths[-1]
        if math.isnan(ratio.value) or _ALLOWED[0] <= ratio.value <= _ALLOWED[1]:
            return ""
        outside = f"errors at width {width} are {ratio.value:.2f} times the predicted ones"
        if math.isinf(ratio.low):
            return f"{outside}, and one run has no interval that says by how much: more seeds would tell"
        if not self.disagrees:
            allowed = f"{outside}, but their 95 % interval allows a ratio in [0.9, 1.1]: more seeds would tell"
            return f"{allowed}; {self.band.advice}" if self.band.advice else allowed
        if self.band.advice:
            return f"{outside}: {self.band.advice}"
        return (
            f"{outside}: the width is too small for the leading order (see sb.laziness), or training stopped too early "
            "(lower `loss_tol`)"
        )

    def to_frame(self) -> Any:
        """A pandas DataFrame with a row a width: its ratio and the ends of its interval."""
        ends = {name: [getattr(ratio, name) for ratio in self.ratios] for name in ("value", "low", "high")}
        return frame_of({"width": self.widths, "ratio": ends.pop("value"), **ends})

    def __repr__(self) -> str:
        warned = ", with advice" if self.advice else ""
        return f"Agreement(measured/predicted {self.ratio} at width {self.widths[-1]}{warned})"

    def __str__(self) -> str:
        lines = [f"predicted: error ~ c n^(-1/2) with c = {self.band.constant.value:.4g} (sb.error_band)"]
        lines += [f"{'width':>8}  measured/predicted"]
        lines += [f"{width:>8}  {ratio}" for width, ratio in zip(self.widths, self.ratios, strict=True)]
        return "\n".join(lines + ([self.advice] if self.advice else []))


@known_keywords
def agreement(study: Measured, *, draws: int = 20_000, seed: int = 0) -> Agreement:
    r"""Compare the errors that a study has measured with those that `error_band` predicts.

    Parameters
    ----------
    study : Study
        Its problem, interval and runs are used; runs that failed are left out.
    draws : int
        Random functions that the band's quantiles come from, as in `error_band`.
    seed : int
        Where their randomness comes from.

    Raises
    ------
    DataError
        If no run reached its loss; whatever `error_band` refuses.

    Notes
    -----
    *Hypotheses, not checked:* runs of one width are independent, and the mean of their errors near normal.
    """
    if not hasattr(study, "measured"):
        raise DataError(f"`study` must be what sb.study or sb.study_grid hands back, got {study!r}")
    width, sup = study.measured
    if width.size == 0:
        raise DataError("`study` must have a run whose outcome is ok, got none; the reasons of its rows say what to change")
    widths = np.unique(width)
    band = error_band(study.problem, int(widths[-1]), time=study.time, interval=study.interval, draws=draws, seed=seed)
    constant = band.constant.value
    ratios = [
        mean_estimate(sup[width == n] / (constant / math.sqrt(n)))
        if constant > 0
        else Undetermined(reason="the predicted error is 0")
        for n in widths
    ]
    return Agreement(band, tuple(map(int, widths)), tuple(ratios))
