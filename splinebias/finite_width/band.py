r"""The error of a finite network, predicted: bands, constants and widths without training (theory section 7).

.. math:: \sqrt n\, (f_n - f) \to \mathrm{GP}(0, \mathrm{Cov}_\mu[u(x), u(x')])

with the influence u of one neuron (see `influence_at_limit`). Covariances are integrals over the law of the neurons; the law
of the largest error on an interval is sampled from the Gaussian process, with a seed and a stated Monte-Carlo error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from splinebias._arguments import at_finite, known_keywords, real_array, whole_number
from splinebias._arguments import interval as check_interval
from splinebias._array import Array
from splinebias._result import Drawn, frame_of, table_points
from splinebias.errors import DataError
from splinebias.finite_width.influence import InfluenceModel, check_second_moments, check_told_apart, check_unique
from splinebias.finite_width.influence_at_limit import LimitInfluence
from splinebias.finite_width.influence_in_modes import ModeInfluence
from splinebias.finite_width.largest_error import DrawnErrors, ErrorsOfWidth, LargestError
from splinebias.finite_width.mean_field.band import MeanFieldInfluence
from splinebias.finite_width.quadrature.neuron_quadrature import NeuronQuadrature
from splinebias.finite_width.random_start import RandomStartInfluence, start_directions
from splinebias.finite_width.several_inputs.band_of_points import PointsBand, band_of_points
from splinebias.limit.neighbour import Neighbour
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.predict import Prediction, predict
from splinebias.limit.prediction import beyond_bending
from splinebias.limit.start_function import residual_problem, shifted
from splinebias.limit.trajectory.linear_flow import LinearFlow
from splinebias.parameterization import MeanField
from splinebias.problem import Problem, require_problem

_MOST_DRAWS = 10_000_000  # 80 MB, a minute


@dataclass(frozen=True, eq=False)
class ErrorBand(ErrorsOfWidth, Drawn):
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
    model : InfluenceModel
        The influences u.
    copies : int
        How many units share their random (w, b): 2 with antisymmetric pairs, which doubles the variance.
    largest : LargestError
        The law of the largest error on the interval, for all widths.

    Notes
    -----
    Sampling sees the process at some 400 points and on all but 1e-6 of its variance. At finite times with a scaled potential
    the flow of the multipliers is linearized along its path; if phi''(0) = 0, widths have to be larger around times at which
    the dual function is flat at zero.
    """

    prediction: Prediction
    width: int
    interval: tuple[float, float]
    time: float
    model: InfluenceModel = field(repr=False)
    copies: int
    largest: LargestError = field(repr=False)

    @property
    def problem(self) -> Problem:
        """The problem whose networks are meant."""
        return self.prediction.problem

    @property
    def _scale(self) -> float:
        return math.sqrt(self.copies / self.width)

    def std(self, x: Any) -> Array:
        r"""Standard deviation of :math:`f_n(x)`, any shape; 0 at the data if the training time is infinite.

        nan where x is nan or infinite, as the functions themselves.
        """
        return at_finite(self._std, real_array(x, "x"))

    def _std(self, x: Array) -> Array:
        """`std` at finite `x`."""
        points = np.unique(x)
        variance, at_once = np.empty_like(points), 400  # points whose influences are held together
        for start in range(0, points.size, at_once):
            variance[start : start + at_once] = self.model.at(points[start : start + at_once]).variance()
        return np.asarray(self._scale * np.sqrt(variance)[np.searchsorted(points, x)])

    def cov(self, x: Any, x2: Any = None) -> Array:
        r"""Covariance of :math:`f_n(x)` and :math:`f_n(x')`, shape ``x.shape + x2.shape``; `x2` None: the same as `x`."""
        x = _finite(x, "x")
        x2 = x if x2 is None else _finite(x2, "x2")
        points = np.union1d(x, x2)
        covariance = self._scale**2 * self.model.at(points).covariance()
        at, at2 = (np.searchsorted(points, places.ravel()) for places in (x, x2))
        return np.asarray(covariance[np.ix_(at, at2)].reshape(x.shape + x2.shape))

    def mean_shift(self, x: Any) -> Array:
        r"""The O(1/n) part of :math:`E[f_n(x) - f(x)]`, any shape; nan where x is not finite.

        The second order of the delta method and the output bias, for output weights that start at 0 and hidden weights that
        stay. What moving ones add is of higher order in 1/n, but with large factors: on data set B (u^2) it shows up to
        width 400, on set A it is several times the shift itself up to several thousand; `laziness` gives the movement and
        `Study.mean_shift` the measured shift. With scaled potentials that bend sharply where curvature is small (u^4 + u^2
        on noisy data) the expansion holds from far larger widths on only; a shift larger than `std` says that it does not.
        The integral of A'' is checked by more nodes (u^4 + u^2, 20 and 40 noisy points: to 1e-6 or better).

        Raises
        ------
        CapabilityError
            For finite training times, activations without two slopes, `NTK`, and scaled potentials whose second derivative
            is 0 or infinite at 0: there is no expansion in powers of 1/n.
        SolveError
            If two rules differ by more than 1e-4 of the largest shift.
        """

        def shift(x: Array) -> Array:
            points = np.unique(x)
            return np.asarray(self.model.mean_shift(points, self.copies)[np.searchsorted(points, x)] / self.width)

        return at_finite(shift, real_array(x, "x"))

    # -- whether the leading order rules -----------------------------------------------------------------------------

    @property
    def effective_number(self) -> float:
        r"""How many neurons the variance comes from: :math:`n/\kappa` with the kurtosis of one neuron's influence,

        :math:`\kappa = E[(u - E u)^4]/\mathrm{Var}(u)^2`, at the point of the interval where `std` is largest; units that
        share their (w, b) count as one. Below 1, most networks hold none of the neurons that the variance comes from, and
        most errors are smaller than the band says: `drawn_errors`. 0 if the fourth moment is infinite, or beyond doubles. It
        is a sign to look, no measure: with exponential tails it stays tiny at widths at which most errors are predicted.

        Raises
        ------
        CapabilityError
            For finite training times, activations without two slopes, and `NTK`.
        """
        return self.width / (self.copies * self.largest.kurtosis)

    @cached_property
    def drawn_errors(self) -> DrawnErrors:
        r"""The largest errors of networks of this width with neurons that are drawn: ``mean``, ``quantile(q)``.

        To first order, like the band, but not Gaussian: with the neurons that such networks have. Drawn when first asked
        for, with the seed of the band: 20 to 200 networks, of 4 million neurons in all where that is enough, about half a
        second for each million. A rare neuron that a network does have moves it less than to first order: where
        `effective_number` is tiny, medians were within 30 % of those of networks that are trained to the end, means and high
        quantiles up to three times as large (the band's: up to ten times).

        Raises
        ------
        CapabilityError
            As `effective_number`.
        """
        count = max(20, min(200, 4_000_000 * self.copies // self.width))
        law, points = self.problem.initialization.pair_law, self.largest.points
        return DrawnErrors(self.model, law, points, self.width, self.copies, count, self.largest.seed)

    @cached_property
    def advice(self) -> str:
        """Empty, or why networks of this width may not be what the band says, worked out when first asked for.

        That none can be trained (what `train` refuses); that hidden weights move too far (`laziness`, up to the time of the
        band); that the variance belongs to rare neurons (`effective_number` below 3, and `drawn_errors` whose median is not
        within a tenth of that of the band, or an infinite fourth moment, where that is known); with `NTK`, that
        breakpoints reach data. Seconds where networks are drawn, more with laws that are slow to sample (Student).
        """
        if isinstance(self.problem.parameterization, MeanField):
            return "; ".join(filter(None, [self.prediction.advice, self.model.advice]))
        from splinebias.finite_width.advice import advice_on  # a band does without what trains networks

        return advice_on(self)

    def at_width(self, width: int) -> ErrorBand:
        """The band of another width; nothing is computed again."""
        return replace(self, width=_check_width(self.problem, width))

    def to_frame(self, x: Any = None) -> Any:
        """Limit and deviation as a pandas DataFrame with columns ``x``, ``f`` and ``std``; `x` as in `Prediction.to_frame`.

        Raises
        ------
        CapabilityError
            If pandas is not installed.
        """
        x = table_points(self.problem.data, x)
        return frame_of({"x": x, "f": self.prediction(x), "std": self.std(x)})

    def __repr__(self) -> str:
        lo, hi = self.interval
        where = f"width {self.width}, interval [{lo:g}, {hi:g}], time {self.time:g}"
        of = "" if starts_count(self.problem) else " of f_n - f_0"
        return f"ErrorBand({self.problem.describe()}; {where}: expected sup{of} {self.expected_sup:.3g})"


@known_keywords
def error_band(
    problem: Problem,
    width: int,
    *,
    interval: Any = None,
    time: float = math.inf,
    start: Any = None,
    draws: int = 20_000,
    seed: int = 0,
) -> ErrorBand | PointsBand:
    r"""How far networks of a width are from their infinite-width limit, without training one.

    Of networks that do not start at zero, from the limit that belongs to their start function: the band is that of
    :math:`f_n - f_0`.

    Parameters
    ----------
    problem : Problem
        What is fitted.
    width : int
        The number n of units, at least the number of points (even, and twice that, for antisymmetric pairs).
    interval : (float, float), optional
        Where the largest error is meant. None: the span of the data and a quarter of it more on either side, as in `study`.
        Of several inputs a box, shape (d, 2).
    time : float
        Training time, as in `predict`.
    start : function, optional
        The function at time 0 of the networks that are meant, as in `predict`. None: if the law of the problem makes
        networks start at random functions, the covariance averaged over these (see `random_start`).
    draws, seed : int
        Samples of the largest error, 100 to 10,000,000, and the seed of their randomness. The relative Monte-Carlo error of
        `expected_sup` is about 0.5 / sqrt(draws).

    Returns
    -------
    ErrorBand
        With ``std(x)``, ``cov(x, x2)``, ``expected_sup``, ``quantile(q)``, ``mean_shift(x)``, ``advice`` and more. Of
        several inputs a `PointsBand`: expectations are means over sampled units, with ``std_error(x)``, and largest errors
        those at 512 points of the box.

    Raises
    ------
    DataError
        If an argument is out of range; if the limit is not unique, because no neuron sees some direction; if the variance of
        one neuron's contribution is infinite.
    CapabilityError
        If the problem is not one that `predict` can take; without `start`, for random starts with `NTK` (of several inputs
        only if E a or E a^3 is not 0) or a scaled potential that is not quadratic; at finite times, with a scaled potential
        that is not quadratic and more than 300 points.
    SolveError
        With `MeanField`, if the error of the band is as large as its largest deviation.

    Notes
    -----
    With `MeanField` influences follow the moving features (`fluctuations` has their equation and the errors of both); time
    infinity is that of `predict`; the error of the band is estimated, which takes as long as the band: ``band.advice`` says
    it from 5 % on.

    With `NTK` the variance is that of the tangent kernel at the start. What training changes of it is of relative order
    n^(-1/2) in the variance for activations with a kink, see `crossing_share`: ``band.advice`` warns where it shows.

    *Hypotheses checked:* a unique limit, second moments of the influence (moments of order 4k of W and B for quadratic
    problems with activations of degree k); by ``band.advice``, when it is asked for, that n is large enough. *Not checked:*
    with a law of output weights, that what they add to the kernel, 1/n of it, is small.
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
    require_problem(problem)
    draws = whole_number(draws, "draws", at_least=100)
    if draws > _MOST_DRAWS:
        raise DataError(f"`draws` must be at most {_MOST_DRAWS:,}, got {draws}; the error falls like 0.5 / sqrt(draws)")
    seed = whole_number(seed, "seed")
    if problem.beyond_one_input is not None:
        if start is None:
            moment = 0.0 if problem.initialization.starts_at_zero else problem.initialization.output_second_moment
            return band_of_points(problem, width, interval, time, draws, seed, moment)
        found = band_of_points(residual_problem(problem, start)[0], width, interval, time, draws, seed)
        return replace(found, prediction=predict(problem, time=time, start=start))
    width = _check_width(problem, width)
    where = problem.default_interval if interval is None else check_interval(interval)
    if isinstance(problem.parameterization, MeanField):
        prediction = predict(problem, time=time, start=start)
        features = MeanFieldInfluence.of(problem, prediction.stats["time"])
        features.check()
        copies = copies_of(problem)
        largest = LargestError(features, LargestError.places(problem.line_data.x, where), copies, draws, seed)
        return ErrorBand(prediction, width, where, float(time), features, copies, largest)
    check_second_moments(problem)
    model: InfluenceModel
    if start is not None:
        residuals, function = residual_problem(problem, start)
        own = predict(residuals, time=time)
        prediction, model = shifted(own, problem, function), _influences(own)
    else:
        prediction = predict(problem, time=time)
        model = _influences(prediction)
        if not problem.initialization.starts_at_zero:
            others = [_influences(predict(other, time=time)) for other in start_directions(problem)]
            model = RandomStartInfluence((model, *others))
    copies = copies_of(problem)
    largest = LargestError(model, LargestError.places(problem.data.x, where), copies, draws, seed)
    return ErrorBand(prediction, width, where, float(time), model, copies, largest)


def _influences(prediction: Prediction) -> InfluenceModel:
    """The influences of the neurons on a prediction, at the time that it reached."""
    problem, multipliers = prediction.problem, prediction.multipliers
    posed = PosedProblem(problem, near=Neighbour.of(problem, problem, prediction.reached)[0])
    time = prediction.stats.get("time", math.inf)
    if time == math.inf and beyond_bending(problem) is None:
        check_unique(posed)
        return LimitInfluence(NeuronQuadrature.of(posed, multipliers))
    if problem.linear:
        flow = LinearFlow.of(posed)
        if time == math.inf:
            check_told_apart(flow)
        return ModeInfluence.of(flow, time)
    from splinebias.finite_width.influence_on_path import PathInfluence  # a limit does without trajectories

    return PathInfluence.of(posed, multipliers, time)


def starts_count(problem: Problem) -> bool:
    """Whether the start functions of networks are 0, or among what is called their error."""
    return problem.initialization.starts_at_zero or isinstance(problem.parameterization, MeanField)


def copies_of(problem: Problem) -> int:
    """How many units share one draw of (w, b)."""
    return 2 if problem.initialization.paired else 1


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


def _finite(x: Any, name: str) -> Array:
    """`x` as an array of finite numbers, or a DataError."""
    array: Array = np.asarray(x, dtype=float)
    if not np.isfinite(array).all():
        bad = np.count_nonzero(~np.isfinite(array))
        raise DataError(f"`{name}` must be finite, got {bad} entries that are not; drop them")
    return array
