"""Why networks of a width may not be what leading order says of them, in words: what bands and required widths warn of."""

from __future__ import annotations

import contextlib
import math
from typing import Protocol

from splinebias.errors import CapabilityError, SplinebiasError
from splinebias.finite_width.influence_in_modes import crossing_share
from splinebias.finite_width.largest_error import DrawnErrors
from splinebias.finite_width.movement.laziness import roughly
from splinebias.limit.prediction import Prediction
from splinebias.parameterization import Standard
from splinebias.problem import Problem
from splinebias.training.flow.flow import MirrorFlow
from splinebias.training.method import checked_method

_FEW = 3.0  # effective neurons, below which networks are drawn to see what they are worth
_ALLOWED = (0.9, 1.1)  # of their errors over those of the band
_MOST = 2_000_000  # units of networks that are drawn unasked, which takes seconds


class JudgedPoints(Protocol):
    """What of a `PointsBand` is looked at."""

    @property
    def prediction(self) -> Prediction: ...

    @property
    def width(self) -> int: ...

    @property
    def effective_number(self) -> float: ...


class Judged(JudgedPoints, Protocol):
    """What of an `ErrorBand` is looked at."""

    @property
    def drawn_errors(self) -> DrawnErrors: ...

    def quantile(self, probability: float) -> float: ...


def advice_on(band: Judged) -> str:
    """Empty, or all that speaks against a band at its width; if no network can be trained at all, that alone."""
    if why := untrainable(band.prediction.problem):
        return why
    prediction, width = band.prediction, band.width
    found = (_of_movement(prediction, width), _of_rare_neurons(band), _of_crossings(prediction, width))
    return "; ".join(filter(None, found))


def advice_on_points(band: JudgedPoints) -> str:
    """Empty, or all that speaks against a band of several inputs at its width."""
    if why := untrainable(band.prediction.problem):
        return why
    number = band.effective_number
    rare = f"the variance of the error belongs to rare neurons: {band.width} units count as {number:.2g} (effective_number)"
    return "; ".join(filter(None, (_of_movement(band.prediction, band.width), rare if number < _FEW else "")))


def untrainable(problem: Problem) -> str:
    """Empty, or why no network of any width can be trained: what `train` says."""
    try:
        checked_method(problem, MirrorFlow())
    except SplinebiasError as error:
        return f"no network of this problem can be trained: {error}"
    return ""


def _of_movement(prediction: Prediction, width: int) -> str:
    """What `laziness` says of networks whose hidden weights the band takes to stay."""
    problem = prediction.problem
    stay = problem.activation.two_slopes is not None and isinstance(problem.parameterization, Standard)
    if not stay or problem.initialization.output is not None:
        return ""
    return roughly(prediction, width).advice


def _of_crossings(prediction: Prediction, width: int) -> str:
    """With `NTK`: whether breakpoints are carried to data."""
    share = crossing_share(prediction.problem, prediction.multipliers, width)
    if share <= (unseen := 0.005):  # of units whose breakpoints reach data
        return ""
    return (
        f"training carries the breakpoints of {share:.1%} of the units to data, which makes errors larger than "
        f"predicted: take a width of about {math.ceil(width * (share / unseen) ** 2):.1g}, or smaller data"
    )


def _of_rare_neurons(band: Judged) -> str:
    """Whether the variance belongs to neurons that networks of this width do not have, and what errors they have instead."""
    number = math.inf
    with contextlib.suppress(CapabilityError):
        number = band.effective_number
    if number >= _FEW:
        return ""
    why = (
        f"the variance of the error belongs to rare neurons: {band.width} units count as {number:.2g} (effective_number)"
        if number > 0
        else "one neuron's contribution has no finite fourth moment (effective_number is 0): rare neurons count for much"
    )
    if band.width > _MOST:
        return f"{why}; errors may be smaller than predicted, see drawn_errors"
    drawn, usual = band.drawn_errors.quantile(0.5), band.quantile(0.5)
    if usual == 0:  # two points and a free line: networks are their limit
        return ""
    ratio = drawn.value / usual
    if number > 0 and _ALLOWED[0] <= ratio <= _ALLOWED[1]:
        return ""
    return (
        f"{why}; half of {band.drawn_errors.networks} networks whose neurons are drawn have largest errors below "
        f"{drawn.value:.3g}, {ratio:.2f} times what the band says (drawn_errors has their law)"
    )
