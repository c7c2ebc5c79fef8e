"""A number that was fitted or averaged, with its confidence interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

LEVEL = 0.95


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
    level: float = LEVEL

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "not determined (too few runs)"
        if math.isinf(self.low):
            return f"{self.value:.4g} (too few runs for an interval)"
        return f"{self.value:.4g} ({self.level:.0%} interval {self.low:.4g} to {self.high:.4g})"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"


@dataclass(frozen=True, repr=False)
class Undetermined(Estimate):
    """An `Estimate` that is not one number, and its `reason`."""

    value: float = math.nan
    reason: str = "too few runs"

    def __str__(self) -> str:
        return f"not determined ({self.reason})"
