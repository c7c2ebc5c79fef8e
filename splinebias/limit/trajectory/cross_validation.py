r"""Generalized cross-validation: the strength of least score among filters of the residual, and how sure that is.

.. math:: V = \frac{\sum_i \omega_i r_i^2}{(\mathrm{tr}\,(I - H)/M)^2} .

As functions of log(strength), numerator and trace are convolutions of the spectrum with one smooth kernel; for training its
Fourier transform, :math:`\Gamma`, decays as :math:`e^{-\pi\omega/2}`: four values a decade show everything to 2e-4.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.polynomial import Chebyshev
from scipy.optimize import minimize_scalar

from splinebias._array import Array
from splinebias._result import Drawn, frame_of
from splinebias.errors import Outcome
from splinebias.limit.trajectory.banded_filters import BandedFilters, Poles
from splinebias.limit.trajectory.linear_flow import Filter, LinearFlow

_TOLERANCE = 1e-6  # relative, of a score: the strength of least score is then known to about its square root
_A_DECADE = 4  # strengths
_NODES = 13
_FEWEST = 0.5  # degrees of freedom that are left


@dataclass(frozen=True)
class Selection(Drawn):
    """What cross-validation chose.

    Attributes
    ----------
    value : float
        Training time, or regularization.
    score : float
        Generalized cross-validation score, in units of y squared: an estimate of the mean squared error of prediction at the
        data, plus the variance of the noise.
    degrees_of_freedom : float
        Trace of the hat matrix, between 0 (or 2, with a free affine part) and M.
    outcome : Outcome
        CONVERGED, or INACCURATE where, by an estimate, rounding is more than 1e-6 of the score, or cells do not resolve the
        law: then value, score and degrees of freedom may all be wrong.
    tried, scores : Array
        The powers of ten of times, or regularizations, that the search began with, and their scores; empty if all data are
        fitted without any.
    what : str
        "training time" or "regularization".
    """

    value: float
    score: float
    degrees_of_freedom: float
    outcome: Outcome
    tried: Array = field(default_factory=lambda: np.zeros(0), repr=False, compare=False)
    scores: Array = field(default_factory=lambda: np.zeros(0), repr=False, compare=False)
    what: str = field(default="training time", repr=False)

    @property
    def advice(self) -> str:
        """What an end of the range means, or what to do about an outcome; empty if there is nothing to say."""
        if not self.outcome.ok:
            return (
                "rounding, or a law that is not resolved, hides the least score: rescale the data (sb.rescaled), or "
                "leave out points that nearly coincide"
            )
        if 0 < self.value < math.inf or not self.score:
            return ""
        found = f"a {self.what} of {self.value:g} has the least score"
        if (self.value == 0) == (self.what == "regularization"):
            return f"{found}: no noise was found, the interpolant predicts data that are left out best"
        return f"{found}: no signal was found, and nothing of the data is fitted" + " but a line" * (
            self.degrees_of_freedom > 0
        )

    def to_frame(self) -> Any:
        """What was tried and the scores as a pandas DataFrame, in increasing order of what was tried."""
        order = np.argsort(self.tried)
        return frame_of({self.what: self.tried[order], "score": self.scores[order]})

    def __repr__(self) -> str:
        return (
            f"Selection({self.value:.4g}; score {self.score:.4g}, {self.degrees_of_freedom:.4g} degrees of freedom, "
            f"{self.outcome})"
        )


class Scored(ABC):
    """A family of filters of the residual, with scores."""

    @property
    @abstractmethod
    def size(self) -> int:
        """The number M of data."""

    @property
    @abstractmethod
    def lines(self) -> int:
        """Degrees of freedom of functions that are free."""

    @property
    @abstractmethod
    def unfitted(self) -> float:
        r""":math:`\sum_i \omega_i r_i^2` for strength 0."""

    @abstractmethod
    def exponents(self) -> Array:
        """Powers of ten, increasing, that hold all strengths at which anything happens, and at least `_A_DECADE` there."""

    @abstractmethod
    def scores(self, strengths: Array) -> tuple[Array, Array]:
        """V and the trace of H for strengths > 0, each of shape (K,)."""

    @abstractmethod
    def error(self, strength: float) -> float:
        """About the relative error of V at a strength > 0; infinity where nothing is known about it."""

    @property
    def score_of_nothing(self) -> float:
        """V for strength 0."""
        return self.unfitted / (1 - self.lines / self.size) ** 2 if self.size > self.lines else 0.0


@dataclass(frozen=True, eq=False)
class ScoredBands(Scored):
    """Filters in linear time, see `BandedFilters`.

    Attributes
    ----------
    filters : BandedFilters
        The problem.
    poles : Poles
        The family.
    resolved : bool
        Whether cells resolve the law.
    """

    filters: BandedFilters
    poles: Poles
    resolved: bool

    @property
    def size(self) -> int:
        return self.filters.omega.size

    @property
    def lines(self) -> int:
        return self.size - self.filters.target.size

    @property
    def unfitted(self) -> float:
        return float(self.filters.omega @ self.filters.start**2)

    def exponents(self) -> Array:
        t, p, unknowns = self.filters.t.diagonal, self.filters.p.diagonal, self.filters.target.size
        middle = round(math.log10(p.sum() / t.sum())) if t.sum() > 0 else 0
        decades = np.arange(middle - 200.0, middle + 60.0)
        made = self.filters.traces(10.0**decades)
        low, high = np.searchsorted(made, 1e-4), np.searchsorted(made, unknowns - _FEWEST)
        some = slice(max(int(low) - 1, 0), int(high) + 2)
        decades, made = decades[some], made[some]
        (busy,) = (np.diff(made) > 1e-3).nonzero()
        steps = np.concatenate([[0], np.unique(busy[:, None] + np.array([0, 1])), [decades.size - 1]])
        places = np.unique(np.clip(steps, 0, decades.size - 1))
        fine = decades[places][:, None] + np.arange(_A_DECADE) / _A_DECADE
        return np.unique(fine[fine <= decades[-1]]) - math.log10(self.filters.unit)

    def scores(self, strengths: Array) -> tuple[Array, Array]:
        residual, left, made = self.filters.filtered(self.poles, strengths * self.filters.unit)
        with np.errstate(divide="ignore", invalid="ignore"):  # where nothing is left
            return self.filters.omega @ residual**2 / (left / self.size) ** 2, made + self.lines

    def error(self, strength: float) -> float:
        if not self.resolved:
            return math.inf
        filters, strength = self.filters, strength * self.filters.unit
        residual, left, made = (of[..., 0] for of in filters.filtered(self.poles, np.array([strength])))
        correction = filters.correction(self.poles, strength)
        size = self._norm(residual)
        of_residual = self._norm(correction) + self.poles.rounding * self._norm(filters.start)
        of_trace = abs(left + made - filters.target.size) + self.poles.rounding * self.size
        return float(2 * (of_residual / size + of_trace / left)) if size > 0 else 0.0

    def _norm(self, residual: Array) -> float:
        return math.sqrt(float(self.filters.omega @ residual**2))


@dataclass(frozen=True, eq=False)
class ScoredModes(Scored):
    """Filters by decay modes, for any kernel.

    Attributes
    ----------
    flow : LinearFlow
        The problem in its modes.
    family : callable
        The filter of a strength.
    """

    flow: LinearFlow
    family: Callable[[float], Filter]

    @property
    def size(self) -> int:
        return self.flow.problem.data.size

    @property
    def lines(self) -> int:
        return self.size - self.flow.modes.rates.size

    @property
    def unfitted(self) -> float:
        return float(self.flow.start @ self.flow.start)

    def exponents(self) -> Array:
        begin = -math.log10(self.flow.modes.rates[0])
        end = begin + 1
        while (
            self.family(10**end).left(self.flow.modes.rates).sum() > _FEWEST and end < begin + 280
        ):  # near the range of doubles
            end += 1
        return np.linspace(begin - 4, end, _A_DECADE * math.ceil(end - begin + 4) + 1)

    def scores(self, strengths: Array) -> tuple[Array, Array]:
        found = [self._score(self.flow.modes.rates, strength) for strength in strengths.tolist()]
        scores, made = np.array(found).reshape(-1, 2).T
        return scores, made

    def error(self, strength: float) -> float:
        if not self.flow.filtered(self.family(strength)).outcome.ok:
            return math.inf
        modes = self.flow.modes
        here, _ = self._score(modes.rates, strength)
        around = [self._score(np.maximum(modes.rates + sign * modes.blur, 0.0), strength)[0] for sign in (-1, 1)]
        return max(abs(score / here - 1) for score in around) if here > 0 else 0.0

    def _score(self, rates: Array, strength: float) -> tuple[float, float]:
        left = self.family(strength).left(rates)
        made = self.size - left.sum()
        if left.max() == 0:  # the limit: only the slowest mode counts
            left = (rates == rates.min()).astype(float)
        left = left / left.max()
        residual = left * self.flow.start
        return float(residual @ residual / (left.sum() / self.size) ** 2), float(made)


def selected(filters: Scored) -> Selection:
    """The strength of least score, between 0 and infinity."""
    nothing, everything = float(filters.lines), float(filters.size)
    if not filters.unfitted > 0:
        return Selection(0.0, 0.0, nothing, Outcome.CONVERGED)  # the data are a line that is free
    exponents = filters.exponents()
    scores, made = filters.scores(10.0**exponents)
    end = int(np.argmax(np.append(filters.size - made <= _FEWEST, True))) + 1  # beyond, they are quotients of roundings
    exponents, scores = exponents[:end], scores[:end]
    known, tried = bool(np.isfinite(scores).all()), (10.0**exponents, scores)
    scores = np.where(np.isfinite(scores), scores, np.inf)
    best = int(np.argmin(scores))
    if best in (0, exponents.size - 1):
        ends = (0.0, filters.score_of_nothing, nothing) if best == 0 else (math.inf, float(scores[best]), everything)
        return Selection(*ends, _outcome(filters, float(10.0 ** exponents[best]), known=known), *tried)
    inner = np.arange(1, exponents.size - 1)
    around = np.minimum(scores[inner - 1], scores[inner + 1])
    low = inner[(scores[inner] <= around) & (scores[inner] <= 1.01 * scores[best])]
    found = [_minimum(filters, float(exponents[at - 1]), float(exponents[at + 1])) for at in low.tolist()]
    least = min(found, key=lambda one: one[1])
    return Selection(*least, _outcome(filters, least[0], known=known), *tried)


def _minimum(filters: Scored, low: float, high: float) -> tuple[float, float, float]:
    """The strength of least score between two powers of ten that hold one minimum, the score, and the trace of H.

    Between neighbours of `Scored.exponents` that is the minimum of the polynomial through `_NODES` scores, to 1e-11.
    """
    tried = (low + high) / 2 - np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES) * (high - low) / 2
    curve = Chebyshev.fit(tried, filters.scores(10.0**tried)[0], _NODES - 1, domain=[low, high])
    found = minimize_scalar(curve, bounds=(low, high), method="bounded", options={"xatol": 1e-10 * (high - low)})
    strength = 10.0 ** float(found.x)
    score, made = filters.scores(np.array([strength]))
    return strength, float(score[0]), float(made[0])


def _outcome(filters: Scored, strength: float, *, known: bool) -> Outcome:
    """CONVERGED if all scores are `known` and that of the strength is precise."""
    return Outcome.CONVERGED if known and filters.error(strength) <= _TOLERANCE else Outcome.INACCURATE
