r"""Laws of the largest error on an interval, from samples: of the Gaussian process of the error, and of drawn networks.

To leading order :math:`\sqrt n (f_n - f)` is a sum of n influences u over :math:`\sqrt n`. How near that is to a Gaussian of
variance Var(u) is a matter of

.. math:: \kappa(x) = E[(u - E u)^4]/\mathrm{Var}(u)^2, \qquad \text{effective number} = n/\kappa(x) :

the variance that n neurons have among themselves deviates from Var(u) by :math:`((\kappa - 1)/n)^{1/2}`, relative. Where
:math:`n < \kappa` most networks hold none of the neurons that the variance comes from, and their errors are smaller than the
band says. What such networks have is found by drawing their neurons. (Derived here.)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from splinebias._arguments import real_number
from splinebias._array import Array
from splinebias.errors import DataError, SolveError
from splinebias.finite_width.influence import InfluenceModel
from splinebias.initialization.breakpoints import PairLaw
from splinebias.numerics.estimate import LEVEL, Estimate

_AT_ONCE = 100_000  # neurons of a network that are held together
_NORMAL = 1.96  # the normal quantile that belongs to `LEVEL`, for Monte-Carlo errors


class LawOfSups(ABC):
    """A law of largest errors that is known from samples of them."""

    @property
    @abstractmethod
    def sups(self) -> Array:
        """The samples, sorted, shape (R,)."""

    @property
    def mean(self) -> Estimate:
        """The expectation, with the interval of its Monte-Carlo error."""
        mean, margin = float(self.sups.mean()), _NORMAL * float(self.sups.std()) / math.sqrt(self.sups.size)
        return Estimate(mean, mean - margin, mean + margin, LEVEL)

    def quantile(self, probability: float) -> Estimate:
        """What the largest error stays below with this probability, in (0, 1); an interval from order statistics."""
        p, size = check_probability(probability), self.sups.size
        margin = _NORMAL * math.sqrt(p * (1 - p) * size)
        ends = np.clip([math.floor(p * size - margin), math.ceil(p * size + margin)], 0, size - 1)
        low, high = self.sups[ends].tolist()
        return Estimate(float(np.quantile(self.sups, p)), low, high, LEVEL)

    def probability(self, bound: float) -> float:
        """The probability that the largest error is at most `bound`."""
        return float(np.searchsorted(self.sups, bound, side="right")) / self.sups.size


@dataclass(frozen=True, eq=False)
class SupsOfProcess(LawOfSups):
    """The law of the largest value of a Gaussian process, from samples at points.

    Attributes
    ----------
    model : InfluenceModel or PointInfluence
        The influences of the neurons.
    points : Array, shape (N,) or (N, d)
        Where the process is sampled.
    copies : int
        How many units share one draw of (w, b).
    draws, seed : int
        Samples, and where their randomness comes from.
    """

    model: Any
    points: Array
    copies: int
    draws: int
    seed: int

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.draws} draws at {len(self.points)} points)"

    @property
    @abstractmethod
    def covariance(self) -> Array:
        r"""The covariance of :math:`\sqrt n\,(f_n - f)` at the points, shape (N, N)."""

    @cached_property
    def sups(self) -> Array:
        """The samples, sorted, shape (draws,)."""
        return sampled_sups(self.covariance, self.draws, self.seed)


@dataclass(frozen=True, eq=False, repr=False)
class LargestError(SupsOfProcess):
    """The law of the largest error of the Gaussian process, the same for all widths; points of shape (N,)."""

    model: InfluenceModel

    @staticmethod
    def places(x: Array, interval: tuple[float, float]) -> Array:
        """An even grid of 401 points, and the middles of the 100 widest gaps between data x."""
        middles = ((x[1:] + x[:-1]) / 2)[np.argsort(-np.diff(x), kind="stable")[:100]]
        lo, hi = interval
        return np.unique(np.r_[np.linspace(lo, hi, 401), middles[(middles > lo) & (middles < hi)]])

    @cached_property
    def covariance(self) -> Array:
        return np.asarray(self.copies * self.model.at(self.points).covariance())

    @cached_property
    def kurtosis(self) -> float:
        r"""The :math:`\kappa` above at the point of the largest variance; infinite without a fourth moment.

        1, the least there is, where no error is predicted at all.
        """
        variance = np.diag(self.covariance)
        return self.model.kurtosis(float(self.points[variance.argmax()])) if variance.max() > 0 else 1.0


@dataclass(frozen=True, eq=False)
class SupsOfNetworks(LawOfSups):
    """The largest errors of networks whose neurons are drawn.

    Attributes
    ----------
    model : InfluenceModel or PointInfluence
        The influences u.
    law : PairLaw or SeveralInputs
        Where (w, b) are drawn from.
    points : Array, shape (N,) or (N, d)
        Where errors are looked at.
    width, copies : int
        Units of a network, and how many of them share one draw.
    networks : int
        How many are drawn.
    seed : int
        Where their randomness comes from.
    """

    model: Any
    law: Any
    points: Array
    width: int
    copies: int
    networks: int
    seed: int

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.networks} networks of width {self.width} at {len(self.points)} points)"

    @abstractmethod
    def _errors(self, draws: int, rng: np.random.Generator) -> Iterator[Array]:
        """The errors of one network after another at the points, each shape (N,), of `draws` different neurons each."""

    @cached_property
    def sups(self) -> Array:
        """The largest errors themselves, not times :math:`n^{1/2}`, sorted, shape (networks,)."""
        errors = self._errors(self.width // self.copies, np.random.default_rng(self.seed))
        found = np.sort([np.abs(error).max(initial=0.0) for error in islice(errors, self.networks)])
        found.setflags(write=False)
        return found


@dataclass(frozen=True, eq=False, repr=False)
class DrawnErrors(SupsOfNetworks):
    r"""The largest error of networks whose neurons are drawn: :math:`\sup_x |n^{-1} \sum_k u(x; w_k, b_k) - E u(x)|`.

    Attributes as of `SupsOfNetworks`, with points of shape (N,).

    Notes
    -----
    First order in the difference between the drawn neurons and their law, like the band, but with the neurons that a
    network of this width has. About half a microsecond a neuron with seven points, in blocks of 100,000 neurons: memory
    does not grow with the width.
    """

    model: InfluenceModel
    law: PairLaw

    def _errors(self, draws: int, rng: np.random.Generator) -> Iterator[Array]:
        sums = self.model.sums(self.points)
        while True:
            total = np.zeros(self.points.size)
            for start in range(0, draws, _AT_ONCE):
                total += sums(*self.law.sample(min(_AT_ONCE, draws - start), rng))
            yield total / draws - sums.mean


def sampled_sups(covariance: Array, draws: int, seed: int) -> Array:
    """Samples of the largest value of a centred Gaussian process of this covariance, sorted, shape (draws,).

    Raises
    ------
    SolveError
        If the covariance is not finite.
    """
    if not np.isfinite(covariance).all():
        raise SolveError("the covariance of the errors is beyond all floats; take other units of x and y")
    values, vectors = np.linalg.eigh(covariance)
    kept = np.cumsum(np.maximum(values, 0.0)) > 1e-6 * np.maximum(values, 0.0).sum()  # all but that of the variance
    root = (vectors[:, kept] * np.sqrt(values[kept])).T
    unit = float(np.abs(root).max(initial=0.0)) or 1.0
    single = (root / unit).astype(np.float32)  # seven digits, twice as fast
    rng, found, at_once = np.random.default_rng(seed), [], 4000
    for start in range(0, draws, at_once):
        normal = rng.standard_normal((min(at_once, draws - start), root.shape[0]))
        drawn = normal.astype(np.float32) @ single
        found.append(np.maximum(drawn.max(axis=1, initial=0.0), -drawn.min(axis=1, initial=0.0)))
    sups = unit * np.sort(np.concatenate(found)).astype(float)
    sups.setflags(write=False)
    return sups


def check_probability(value: Any) -> float:
    """`value` as a float in (0, 1), or a DataError."""
    number = real_number(value, "probability", above=0, fix="it is the chance that the error stays below; take e.g. 0.95")
    if number >= 1:
        raise DataError(
            f"`probability` must be below 1, got {value!r}; the largest error has no upper bound, take e.g. 0.95"
        )
    return number


class ErrorsOfWidth:
    r"""What a band says of the largest error of networks of its width: that of all widths over :math:`\sqrt n`.

    Attributes
    ----------
    width : int
        The n of a band.
    largest : LawOfSups
        The law of the largest error times :math:`\sqrt n`.
    """

    width: int
    largest: LawOfSups

    @property
    def constant(self) -> Estimate:
        r"""The constant of :math:`E \sup|f_n - f| \approx \mathrm{constant} \cdot n^{-1/2}`; interval: Monte-Carlo error."""
        return self.largest.mean

    @property
    def expected_sup(self) -> float:
        r""":math:`E \sup|f_n - f|` on the interval, in units of y; relative Monte-Carlo error: that of `constant`."""
        return self.constant.value / math.sqrt(self.width)

    def quantile(self, probability: float) -> float:
        """The error that the largest one stays below with this probability, in (0, 1)."""
        return self.largest.quantile(probability).value / math.sqrt(self.width)

    def quantile_interval(self, probability: float) -> tuple[float, float]:
        """A 95 % interval for the Monte-Carlo error of `quantile`, from order statistics."""
        found = self.largest.quantile(probability)
        return found.low / math.sqrt(self.width), found.high / math.sqrt(self.width)

    def probability(self, sup_error: float) -> float:
        """The probability that the largest error is at most `sup_error` > 0."""
        return self.largest.probability(real_number(sup_error, "sup_error", above=0) * math.sqrt(self.width))
