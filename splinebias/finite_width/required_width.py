r"""How wide a network has to be to stay within an error of its infinite-width limit (theory section 7)."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass

import numpy as np

from splinebias._arguments import known_keywords, real_number
from splinebias._result import Drawn
from splinebias.data import Dataset
from splinebias.errors import CapabilityError, DataError, SolveError
from splinebias.finite_width.band import ErrorBand, copies_of, error_band, starts_count
from splinebias.finite_width.largest_error import check_probability
from splinebias.finite_width.several_inputs.band_of_points import PointsBand
from splinebias.problem import Problem, require_problem


@dataclass(frozen=True)
class RequiredWidth(Drawn):
    r"""What `required_width` returns; ``int(result)`` is the width.

    Attributes
    ----------
    width : int
        The smallest n for which the largest error stays below `sup_error` with `probability`, to leading order.
    low, high : int
        The same for the ends of the Monte-Carlo interval of the quantile.
    sup_error, probability : float
        What was asked for.
    correction : float
        Largest |mean shift| of order 1/n on the interval at that width, relative to `sup_error`; nan if not known.
    advice : str
        A warning if no network of that width can be trained, or the leading order cannot be trusted at it, else empty.
    """

    width: int
    low: int
    high: int
    sup_error: float
    probability: float
    correction: float
    advice: str = ""

    def __index__(self) -> int:
        return self.width

    def __str__(self) -> str:
        text = f"width {self.width} for an error below {self.sup_error:g} with probability {self.probability:g}"
        return f"{text}; {self.advice}" if self.advice else text

    def __repr__(self) -> str:
        warned = ", with advice" if self.advice else ""
        return f"RequiredWidth({self.width} for an error below {self.sup_error:g} in {self.probability:.3g}{warned})"


@known_keywords
def required_width(
    problem: Problem,
    sup_error: float,
    probability: float = 0.95,
    *,
    interval: tuple[float, float] | None = None,
    draws: int = 20_000,
    seed: int = 0,
) -> RequiredWidth:
    r"""The width at which networks are within `sup_error` of their limit with this probability.

    With q the quantile of :math:`\sqrt n \sup|f_n - f|` that is :math:`n = \lceil (q/\text{sup\_error})^2 \rceil`. Of
    networks that start at random functions :math:`f_0` the error of :math:`f_n - f_0` is meant, as in `error_band`.

    Parameters
    ----------
    problem : Problem
        What is fitted.
    sup_error : float
        Largest |f_n - f| on the interval, in units of y, > 0.
    probability : float
        In (0, 1), over the random starts.
    interval, draws, seed
        As in `error_band`.

    Returns
    -------
    RequiredWidth
        With a warning in `advice` if `train` refuses the problem at any width; the width is above ten million, out of reach
        of training; the O(1/n) part exceeds a tenth of `sup_error`; the width is below ten units a point; and all that
        `ErrorBand.advice` says of it: hidden weights that move too far, a variance that belongs to rare neurons.

    Raises
    ------
    DataError, CapabilityError
        As `error_band`; for a `sup_error` <= 0 and a probability outside (0, 1).

    Examples
    --------
    >>> import scipy.stats as st, splinebias as sb
    >>> data = sb.Dataset([-1, 0, 1], [0, 1, 0])
    >>> problem = sb.Problem(data, sb.Initialization.rademacher(st.uniform(-2, 4)))
    >>> tenth, hundredth = (int(sb.required_width(problem, error)) for error in (0.1, 0.01))
    >>> 99 < hundredth / tenth < 101
    True
    """
    sup_error = real_number(sup_error, "sup_error", above=0, fix="no finite width has an error of 0")
    probability = check_probability(probability)
    require_problem(problem)
    if isinstance(problem.data, Dataset) and problem.without_breakpoints is not None:
        raise CapabilityError(f"required_width cannot take the problem: {problem.without_breakpoints}")
    copies = copies_of(problem)
    least = copies * problem.data.size
    band = error_band(problem, least, interval=interval, draws=draws, seed=seed)

    def width_for(constant: float) -> int:
        if not constant / sup_error < 1e100:
            raise DataError(f"`sup_error` = {sup_error:g} is out of reach of any number of units; take a larger one")
        return max(least, copies * math.ceil((constant / sup_error) ** 2 / copies))

    quantile = band.largest.quantile(probability)
    width, low, high = (width_for(constant) for constant in (quantile.value, quantile.low, quantile.high))
    band, correction = band.at_width(width), math.nan
    with contextlib.suppress(CapabilityError, SolveError):
        correction = float(np.abs(band.mean_shift(band.largest.points)).max()) / sup_error
    return RequiredWidth(width, low, high, sup_error, probability, correction, _advice_at(band, correction))


def _advice_at(band: ErrorBand | PointsBand, correction: float) -> str:
    """All that speaks against the width of a band."""
    return "; ".join(
        filter(None, (_of_starts(band.problem), band.advice, _of_expansion(band.problem, band.width, correction)))
    )


def _of_starts(problem: Problem) -> str:
    """What error is meant, where networks start at random functions."""
    if starts_count(problem):
        return ""
    return (
        "networks start at random functions f_0: this is the error of f_n - f_0, beside the limit from their own start "
        "(sb.start_process has the law of f_0, which no width makes smaller)"
    )


def _of_expansion(problem: Problem, width: int, correction: float) -> str:
    """A warning if no network of this width can be trained, or the O(1/n) part is not small."""
    if width > 10_000_000:  # a million units take seconds and a gigabyte with 49 points
        return (
            "no network this wide can be trained: ask for a larger error (the width falls like its inverse square), an "
            "`interval` within the data, fewer or less noisy points, or a law whose breakpoints -b/w cover the data"
        )
    if correction > 1:
        return (
            f"at this width the O(1/n) part of the error is {correction:.2g} times what was asked for: the expansion in 1/n "
            "does not hold yet, the leading order may or may not; train some networks (sb.study), or ask for a smaller error"
        )
    if correction > 0.1:
        return (
            f"at this width the O(1/n) part of the error is {correction:.0%} of what was asked for, and the leading order "
            "may be wrong by as much: train some networks (sb.study), or ask for a smaller error"
        )
    rough = 10 * copies_of(problem) * problem.data.size
    if width < rough:
        return f"this is less than {rough} units, ten a point, where O(1/n) effects rule: treat it as a rough guess"
    return ""
