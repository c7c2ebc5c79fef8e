r"""The error of a finite network, predicted: bands, constants and widths without training (theory section 7).

.. math:: \sqrt n\, (f_n - f) \to \mathrm{GP}(0, \mathrm{Cov}_\mu[u(x), u(x')])

with the influence u of one neuron (see `influence`). Covariances are integrals over the law of the neurons; the law of
the largest error on an interval is sampled from the Gaussian process, with a seed and a stated Monte-Carlo error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from splinebias._arguments import Array, real_number, whole_number
from splinebias._arguments import interval as check_interval
from splinebias.errors import CapabilityError, DataError
from splinebias.finite_width.band_at_limit import NO_SHIFT, BendInfluence
from splinebias.finite_width.data_crossings import crossing_share
from splinebias.finite_width.influence import InfluenceModel, check_spread, copies_of, influence_model
from splinebias.limit.hypotheses import require_mobile
from splinebias.limit.predict import Prediction, predict
from splinebias.numerics.estimate import Estimate
from splinebias.problem import Problem

_CHUNK = 400  # points whose influences are held at once
_GRID = 401  # points at which the process is sampled, besides middles of gaps between data
_GAPS = 100
_DROPPED = 1e-6  # part of the variance that is not sampled
_DRAWS_AT_ONCE = 4000
_LEVEL = 0.95
_CROSSING = 0.005  # share of units whose breakpoints reach data that is too small to see


@dataclass(frozen=True, eq=False)
class ErrorBand:
    r"""The law of :math:`f_n - f` to leading order: a Gaussian process of mean zero and size :math:`n^{-1/2}`.

    Attributes
    ----------
    prediction : Prediction
        The limit f; it knows the problem.
    width : int
        The n above.
    interval : tuple of float
        Where largest errors are meant.
    time : float
        Training time asked for; the band is that of the time reached, `prediction.outcome` says whether it is the same.
    draws, seed : int
        Samples of the largest error, and where their randomness comes from.
    model : InfluenceModel
        The influences u.
    copies : int
        How many units share their random (w, b): 2 with antisymmetric pairs, which doubles the variance.
    """

    prediction: Prediction
    width: int
    interval: tuple[float, float]
    time: float
    draws: int
    seed: int
    model: InfluenceModel = field(repr=False)
    copies: int = 1

    @property
    def problem(self) -> Problem:
        """The problem whose networks are meant."""
        return self.prediction.problem

    @property
    def _scale(self) -> float:
        return math.sqrt(self.copies / self.width)

    def std(self, x: Any) -> Array:
        r"""Standard deviation of :math:`f_n(x)`, any shape; 0 at the data if the training time is infinite."""
        x = np.asarray(x, dtype=float)
        _check_points(x, "x")
        points, back = np.unique(x, return_inverse=True)
        chunks = [points[start : start + _CHUNK] for start in range(0, points.size, _CHUNK)]
        variance = np.concatenate([self.model.at(chunk).variance() for chunk in chunks] or [np.zeros(0)])
        return np.asarray(self._scale * np.sqrt(variance)[back].reshape(x.shape))

    def cov(self, x: Any, x2: Any = None) -> Array:
        r"""Covariance of :math:`f_n(x)` and :math:`f_n(x')`, shape ``x.shape + x2.shape``; `x2` None: the same as `x`."""
        x = np.asarray(x, dtype=float)
        x2 = x if x2 is None else np.asarray(x2, dtype=float)
        _check_points(x, "x")
        _check_points(x2, "x2")
        points, back = np.unique(np.concatenate([x.ravel(), x2.ravel()]), return_inverse=True)
        covariance = self._scale**2 * self.model.at(points).covariance()
        return np.asarray(covariance[np.ix_(back[: x.size], back[x.size :])].reshape(x.shape + x2.shape))

    def mean_shift(self, x: Any) -> Array:
        r"""The O(1/n) part of :math:`E[f_n(x) - f(x)]`, any shape.

        The second order of the delta method and the output bias, for output weights that start at 0 and hidden weights that
        stay. What moving ones add is of higher order in 1/n, but with large factors: on data set B (u^2) it shows up to
        width 400, on set A it is several times the shift itself up to several thousand; `laziness` gives the movement and
        `Study.mean_shift` the measured shift. With scaled potentials that bend sharply where curvature is small (u^4 + u^2
        on noisy data) the expansion holds from far larger widths on only; a shift larger than `std` says that it does not.

        Raises
        ------
        CapabilityError
            For finite training times, activations without two slopes, `NTK`, and scaled potentials whose second derivative
            is 0 or infinite at 0: there is no expansion in powers of 1/n.
        """
        x = np.asarray(x, dtype=float)
        _check_points(x, "x")
        _require_second_order(self)
        points, back = np.unique(x, return_inverse=True)
        return np.asarray(self.model.mean_shift(points, self.copies)[back].reshape(x.shape) / self.width)

    # -- the largest error -----------------------------------------------------------------------------------------

    @cached_property
    def sampled_points(self) -> Array:
        """Where the process is sampled: an even grid, and the middles of the widest gaps between data."""
        x = self.problem.data.x
        middles, gaps = (x[1:] + x[:-1]) / 2, np.diff(x)
        middles = middles[np.argsort(-gaps, kind="stable")[:_GAPS]]
        lo, hi = self.interval
        return np.unique(np.r_[np.linspace(lo, hi, _GRID), middles[(middles > lo) & (middles < hi)]])

    @cached_property
    def sups(self) -> Array:
        r"""Samples of :math:`\sqrt n \sup|f_n - f|`, sorted, shape (draws,): the same for all widths."""
        covariance = self.copies * self.model.at(self.sampled_points).covariance()
        values, vectors = np.linalg.eigh(covariance)
        kept = np.cumsum(np.maximum(values, 0.0)) > _DROPPED * np.maximum(values, 0.0).sum()
        root = (vectors[:, kept] * np.sqrt(values[kept])).T
        rng, found = np.random.default_rng(self.seed), []
        for start in range(0, self.draws, _DRAWS_AT_ONCE):
            normal = rng.standard_normal((min(_DRAWS_AT_ONCE, self.draws - start), root.shape[0]))
            found.append(np.abs(normal @ root).max(axis=1, initial=0.0))
        sups = np.sort(np.concatenate(found))
        sups.setflags(write=False)
        return sups

    @property
    def constant(self) -> Estimate:
        r"""The constant of :math:`E \sup|f_n - f| \approx \mathrm{constant} \cdot n^{-1/2}`; interval: Monte-Carlo error."""
        mean, margin = float(self.sups.mean()), 1.96 * float(self.sups.std()) / math.sqrt(self.draws)
        return Estimate(mean, mean - margin, mean + margin, _LEVEL)

    @property
    def expected_sup(self) -> float:
        r""":math:`E \sup|f_n - f|` on the interval, in units of y; relative Monte-Carlo error: that of `constant`."""
        return self.constant.value / math.sqrt(self.width)

    def quantile(self, probability: float) -> float:
        """The error that the largest one stays below with this probability, in (0, 1)."""
        return float(np.quantile(self.sups, check_probability(probability))) / math.sqrt(self.width)

    def quantile_interval(self, probability: float) -> tuple[float, float]:
        """A 95 % interval for the Monte-Carlo error of `quantile`, from order statistics."""
        p = check_probability(probability)
        margin = 1.96 * math.sqrt(p * (1 - p) * self.draws)
        ends = np.clip([math.floor(p * self.draws - margin), math.ceil(p * self.draws + margin)], 0, self.draws - 1)
        low, high = self.sups[ends] / math.sqrt(self.width)
        return float(low), float(high)

    def probability(self, sup_error: float) -> float:
        """The probability that the largest error is at most `sup_error` > 0."""
        bound = real_number(sup_error, "sup_error", above=0) * math.sqrt(self.width)
        return float(np.searchsorted(self.sups, bound, side="right")) / self.draws

    @property
    def advice(self) -> str:
        """Empty, or why the leading order may not rule at this width (`NTK`; for `Standard` networks see `laziness`)."""
        share = crossing_share(self.problem, self.prediction.multipliers, self.width)
        if share <= _CROSSING:
            return ""
        return (
            f"training carries the breakpoints of {share:.1%} of the units to data, which makes errors larger than "
            f"predicted: take a width of about {math.ceil(self.width * (share / _CROSSING) ** 2):.1g}, or smaller data"
        )

    def at_width(self, width: int) -> ErrorBand:
        """The band of another width; nothing is computed again."""
        band = replace(self, width=_check_width(self.problem, width))
        for name in ("sampled_points", "sups"):
            if name in self.__dict__:
                band.__dict__[name] = self.__dict__[name]
        return band

    def __repr__(self) -> str:
        return f"ErrorBand({self.problem.describe()}; width {self.width}, interval {self.interval}, time {self.time:g})"


def error_band(
    problem: Problem,
    width: int,
    *,
    interval: tuple[float, float] | None = None,
    time: float = math.inf,
    draws: int = 20_000,
    seed: int = 0,
) -> ErrorBand:
    r"""How far networks of a width are from their infinite-width limit, without training one.

    Parameters
    ----------
    problem : Problem
        What is fitted.
    width : int
        The number n of units, at least the number of points (even, and twice that, for antisymmetric pairs).
    interval : (float, float), optional
        Where the largest error is meant. None: the span of the data and a quarter of it more on either side, as in `study`.
    time : float
        Training time, as in `predict`.
    draws, seed : int
        Samples of the largest error, at least 100, and the seed of their randomness. The relative Monte-Carlo error of
        `expected_sup` is about 0.5 / sqrt(draws).

    Returns
    -------
    ErrorBand
        ``std(x)``, ``cov(x, x2)``, ``expected_sup``, ``quantile(q)``, ``probability(e)``, ``constant``, ``mean_shift(x)``,
        ``advice``.

    Raises
    ------
    DataError
        If an argument is out of range; if the limit is not unique, because no neuron sees some direction; if the variance of
        one neuron's contribution is infinite.
    CapabilityError
        If the problem is not one that `predict` can take; at finite times, with a scaled potential that is not quadratic and
        more than 300 points.

    Notes
    -----
    With `NTK` the variance is that of the tangent kernel at the start. What training changes of it is of relative order
    n^(-1/2) in the variance for activations with a kink, see `crossing`: ``band.advice`` warns where it shows.

    *Hypotheses checked:* a unique limit, second moments of the influence (moments of order 4k of W and B for quadratic
    problems with activations of degree k). *Not checked:* that n is large enough for the leading order (`mean_shift`,
    `laziness`); with antisymmetric pairs and `Standard` networks, that output weights start at :math:`O(n^{-1/2})`.
    Sampling sees the process at some 400 points and on all but 1e-6 of its variance.
    At finite times with a scaled potential the flow of the multipliers is linearized along its path (`band_on_path`). If
    phi''(0) = 0, widths have to be larger around times at which the dual function is flat at zero.
    Source: delta method for the M-estimator of theory section 7.

    Examples
    --------
    >>> import scipy.stats as st, splinebias as sb
    >>> data = sb.Dataset([-1, 0, 1], [0, 1, 0])
    >>> problem = sb.Problem(data, sb.Initialization.rademacher(st.uniform(-2, 4)))
    >>> band = sb.error_band(problem, width=400)
    >>> bool(band.std(0.0) == 0), 0.02 < band.expected_sup < band.quantile(0.95) < 0.2
    (True, True)
    """
    if not isinstance(problem, Problem):
        raise DataError(f"`problem` must be an sb.Problem, got {problem!r}")
    width, draws = _check_width(problem, width), whole_number(draws, "draws", at_least=100)
    seed = whole_number(seed, "seed")
    where = problem.default_interval if interval is None else check_interval(interval)
    check_spread(problem)
    prediction = predict(problem, time=time)
    reached = prediction.stats.get("time", math.inf)  # less than asked for if the outcome says so
    model = influence_model(problem, prediction.multipliers, reached)
    return ErrorBand(prediction, width, where, float(time), draws, seed, model, copies_of(problem))


def check_probability(value: Any) -> float:
    """`value` as a float in (0, 1), or a DataError."""
    number = real_number(value, "probability", above=0, fix="it is the chance that the error stays below; take e.g. 0.95")
    if number >= 1:
        raise DataError(
            f"`probability` must be below 1, got {value!r}; the largest error has no upper bound, take e.g. 0.95"
        )
    return number


def _check_width(problem: Problem, width: Any) -> int:
    least: int = problem.data.size * copies_of(problem)
    checked = whole_number(width, "width", at_least=1)
    if checked < least:
        raise DataError(
            f"`width` must be at least {least} for {problem.data.size} points, got {width}: narrower networks cannot "
            "interpolate, let alone follow their limit"
        )
    if checked % copies_of(problem):
        raise DataError(f"`width` must be even for antisymmetric pairs, got {width}; use {width + 1}")
    return checked


def _check_points(x: Array, name: str) -> None:
    if not np.isfinite(x).all():
        raise DataError(f"`{name}` must be finite, got {np.count_nonzero(~np.isfinite(x))} entries that are not; drop them")


def _require_second_order(band: ErrorBand) -> None:
    phi = band.problem.limit_potential
    if band.time != math.inf or not isinstance(band.model, BendInfluence):
        raise CapabilityError(NO_SHIFT)
    require_mobile(phi, "the mean shift", error=CapabilityError)
