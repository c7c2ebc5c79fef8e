r"""The law of the largest error on an interval, sampled from the Gaussian process of the error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from splinebias._arguments import real_number
from splinebias._array import Array
from splinebias.errors import DataError, SolveError
from splinebias.finite_width.influence import InfluenceModel
from splinebias.numerics.estimate import LEVEL, Estimate

_NORMAL = 1.96  # the normal quantile that belongs to `LEVEL`, for Monte-Carlo errors


@dataclass(frozen=True, eq=False)
class LargestError:
    """The law of the largest error, the same for all widths.

    Attributes
    ----------
    model : InfluenceModel
        The influences of the neurons.
    points : Array, shape (N,)
        Where the process is sampled.
    copies : int
        How many units share one draw of (w, b).
    draws, seed : int
        Samples, and where their randomness comes from.
    """

    model: InfluenceModel
    points: Array
    copies: int
    draws: int
    seed: int

    @staticmethod
    def places(x: Array, interval: tuple[float, float]) -> Array:
        """An even grid of 401 points, and the middles of the 100 widest gaps between data x."""
        middles = ((x[1:] + x[:-1]) / 2)[np.argsort(-np.diff(x), kind="stable")[:100]]
        lo, hi = interval
        return np.unique(np.r_[np.linspace(lo, hi, 401), middles[(middles > lo) & (middles < hi)]])

    @cached_property
    def sups(self) -> Array:
        """The samples, sorted, shape (draws,)."""
        covariance = self.copies * self.model.at(self.points).covariance()
        if not np.isfinite(covariance).all():
            raise SolveError("the covariance of the errors is beyond all floats; take other units of x and y")
        values, vectors = np.linalg.eigh(covariance)
        kept = np.cumsum(np.maximum(values, 0.0)) > 1e-6 * np.maximum(values, 0.0).sum()  # all but that of the variance
        root = (vectors[:, kept] * np.sqrt(values[kept])).T
        rng, found, at_once = np.random.default_rng(self.seed), [], 4000
        for start in range(0, self.draws, at_once):
            normal = rng.standard_normal((min(at_once, self.draws - start), root.shape[0]))
            found.append(np.abs(normal @ root).max(axis=1, initial=0.0))
        sups = np.sort(np.concatenate(found))
        sups.setflags(write=False)
        return sups

    @property
    def mean(self) -> Estimate:
        """The expectation, with the interval of its Monte-Carlo error."""
        mean, margin = float(self.sups.mean()), _NORMAL * float(self.sups.std()) / math.sqrt(self.draws)
        return Estimate(mean, mean - margin, mean + margin, LEVEL)

    def quantile(self, probability: float) -> Estimate:
        """What the largest error stays below with this probability, in (0, 1); an interval from order statistics."""
        p = check_probability(probability)
        margin = _NORMAL * math.sqrt(p * (1 - p) * self.draws)
        ends = np.clip([math.floor(p * self.draws - margin), math.ceil(p * self.draws + margin)], 0, self.draws - 1)
        low, high = self.sups[ends].tolist()
        return Estimate(float(np.quantile(self.sups, p)), low, high, LEVEL)

    def probability(self, bound: float) -> float:
        """The probability that the largest error is at most `bound`."""
        return float(np.searchsorted(self.sups, bound, side="right")) / self.draws


def check_probability(value: Any) -> float:
    """`value` as a float in (0, 1), or a DataError."""
    number = real_number(value, "probability", above=0, fix="it is the chance that the error stays below; take e.g. 0.95")
    if number >= 1:
        raise DataError(
            f"`probability` must be below 1, got {value!r}; the largest error has no upper bound, take e.g. 0.95"
        )
    return number
