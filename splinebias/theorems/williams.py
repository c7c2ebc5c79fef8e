r"""Verdicts on Williams et al. (NeurIPS 2019): the adaptive regime and the kernel regime, on two scale-free axes.

Which of them a network is in is a matter of :math:`R_0` and D (`adaptive_problem`). Functions and their keyword arguments:
as in `jin_montufar`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import scipy.stats as st

from splinebias._array import Array
from splinebias.data import Dataset
from splinebias.functions.compare import compare
from splinebias.initialization.initialization import Initialization
from splinebias.parameterization import NTK, MeanField, Parameterization
from splinebias.problem import Problem
from splinebias.regimes.adaptive import AdaptiveMeasures, adaptive_measures, adaptive_problem, lazy_problem
from splinebias.regimes.minimum_norm import minimum_norm
from splinebias.theorems.verdict import DERIVED, Claim, Hypothesis, Status, Verdict, at_least, at_most, equal
from splinebias.theorems.wide_networks import EIGHT, SIGMAS, Limit, limit_function, loss_reached
from splinebias.training.ensemble import train_ensemble
from splinebias.training.method import TrainingMethod
from splinebias.training.neuron_flow.neuron_flow import NeuronFlow

_SOURCE = "Williams et al. 2019"
_MEASURED = f"{_SOURCE} for the regimes; this statement of it: {DERIVED}, from experiments"
_METHOD = NeuronFlow(1e-3)
_WIDTH = 300
_MOST = 0.06  # by how much more than needed networks bend at the adaptive end: part of the claim, from other data sets
SEVEN = Dataset(np.array([-1, -0.7, -0.3, 0.1, 0.3, 0.6, 1]), np.array([0.5, 0.1, -0.25, -0.3, -0.05, 0.3, 1]))
_HULL = (-0.9, 0.95)  # of EIGHT
_SIZE, _MEETING = 0.3, 50  # the R0 at the width at which both scalings are one
_HALF_WAY = 0.25  # between the exponents of the two scalings, 0 and -1/2
_FIXED = "with parameters of fixed scales"
SQUARE_ROOT, LINEAR = NTK(), MeanField(_MEETING**-0.5)  # alpha = n^1/2, and n / 50^1/2
UNEVEN = Dataset(np.array([-0.7, -0.59, -0.36, 0.62, 0.87, 0.97]), np.array([0.66, -0.51, 0.05, -0.05, -0.57, 0.38]))


def adaptive_end(*, fast: bool, size: float = 0.1) -> Verdict:
    r"""At small starts networks bend as little as their own values at the data allow."""
    found = [
        measures
        for data in (SEVEN, EIGHT, UNEVEN)
        for imbalance in (0.0, 100.0)
        for measures in _measured(adaptive_problem(data, size, imbalance), 2 if fast else 8)
    ]
    fitting = sum(measures.interpolates for measures in found)
    return Verdict(
        "W adaptive",
        f"with R0 = {size:g}, D = 0 or 100, networks have the least int |f''| between the data among interpolants of "
        f"their own values there ({fitting} of {len(found)} interpolate the data)",
        _MEASURED,
        (
            _same_signs(SEVEN, EIGHT, UNEVEN),
            _bend(found),
            Hypothesis("the width is large", Status.NOT_CHECKED, f"n = {_WIDTH}"),
        ),
        f"largest int |f''| / least of {len(found)} networks",
        *equal(1.0, max(measures.curvature_ratio for measures in found), _MOST),
    )


def boundary(*, fast: bool, size: float = 1.0) -> Verdict:
    """At R0 = 1 that is over."""
    found = _measured(adaptive_problem(UNEVEN, size, 0.0), 4 if fast else 16)
    return Verdict(
        "W boundary",
        f"with R0 = {size:g}, D = 0, networks that interpolate bend more than that on some data",
        _MEASURED,
        (
            _same_signs(UNEVEN),
            Hypothesis.tested(
                "networks interpolate", "AdaptiveMeasures.interpolates", holds=all(one.interpolates for one in found)
            ),
        ),
        f"mean of int |f''| / least of {len(found)} networks",
        *at_least(1 + _MOST, float(np.mean([measures.curvature_ratio for measures in found]))),
    )


def no_interpolant(*, fast: bool, data: Dataset = SEVEN) -> Verdict:
    """The adaptive end is a set of functions, and not the one that connects the dots."""
    found = _measured(adaptive_problem(data, 0.1, 0.0), 4 if fast else 16)
    return Verdict(
        "W no interpolant",
        "at the adaptive end networks do not connect the dots where neighbouring changes of slope have one sign",
        _MEASURED,
        (_same_signs(data),),
        f"least sup-distance to the linear interpolant of {len(found)} networks, over the range of y",
        *at_least(0.01, min(measures.to_interpolant for measures in found) / float(np.ptp(data.y))),
    )


def kernel_end(*, fast: bool, function: Limit = limit_function, size: float = 100.0, imbalance: float = -1000.0) -> Verdict:
    """At large starts with D << -1 networks are at the kernel limit, with the errors of its band."""
    from splinebias.finite_width.band import error_band

    problem, width, count = adaptive_problem(SEVEN, size, imbalance), (1000 if fast else 4000), 16 if fast else 48
    lazy = lazy_problem(problem)
    hull = (float(SEVEN.x[0]), float(SEVEN.x[-1]))
    runs = train_ensemble(problem, width, range(count), method=_METHOD, loss_tol=1e-10)
    band, limit = error_band(lazy, width, interval=hull), function(lazy)
    errors = [compare(run.function, limit, hull).sup for run in runs]
    spread = float(band.largest.sups.std()) / math.sqrt(width)
    moved = max(_movement(measures) for measures in map(adaptive_measures, runs))
    return Verdict(
        "W kernel",
        f"with R0 = {size:g}, D = {imbalance:g}, networks are at the limit of predict, not at the natural cubic spline",
        f"{_SOURCE}; the constant: {DERIVED}",
        (
            loss_reached(runs),
            Hypothesis.tested("features stay", f"(w, b) move by {moved:.1g} of their size", holds=moved < 0.05),
        ),
        f"mean of sup|f_n - f| of {count} networks, n = {width}, between the data",
        *equal(band.expected_sup, float(np.mean(errors)), SIGMAS * spread / math.sqrt(count)),
    )


def conservation(*, fast: bool, method: TrainingMethod = _METHOD) -> Verdict:
    """Every neuron keeps a^2 - w^2 - b^2."""
    found = [
        measures
        for size, imbalance in ((0.1, 0.0), (1.0, 10.0))
        for measures in _measured(adaptive_problem(SEVEN, size, imbalance), 2 if fast else 8, method)
    ]
    return Verdict(
        "W conservation",
        "gradient flow keeps a^2 - w^2 - b^2 of every neuron",
        _SOURCE,
        (Hypothesis.tested("features move", "(w, b)", holds=all(_movement(measures) > 0.5 for measures in found)),),
        f"largest change over the largest a^2 + w^2 + b^2, {len(found)} networks",
        *equal(0.0, max(measures.drift for measures in found), 1e-9),
    )


def kernel_survives(
    *, fast: bool, scaling: Parameterization = SQUARE_ROOT, function: Limit = limit_function
) -> tuple[Verdict, Verdict]:
    r"""Parameters of fixed scales, :math:`\alpha = \sqrt n`: of two regimes the kernel regime survives."""
    problem, widths, count = (
        fixed_scales(scaling),
        ((800, 3200, 12_800) if fast else (3200, 12_800, 51_200)),
        6 if fast else 24,
    )
    limit = function(lazy_problem(problem))
    found = [_measured(problem, count, width=width) for width in (_MEETING, *widths)]
    wide = found[1:]
    distances = [np.mean([compare(one.run.function, limit, _HULL).sup for one in row]) for row in wide]
    ratios = [float(np.mean([one.curvature_ratio for one in row])) for row in found]
    hypotheses = (
        loss_reached(one.run for row in wide for one in row),
        Hypothesis.tested(
            f"narrow networks are adaptive, n = {_MEETING}",
            f"mean of int |f''| / least, {count} networks",
            holds=ratios[0] <= 1 + _MOST,
        ),
    )
    claim, shown = f"{_FIXED}, alpha = n^1/2, as n grows", ", ".join(map(str, widths))
    return (
        Verdict(
            "W sqrt n limit",
            f"{claim} networks go to the limit of predict: the kernel regime survives",
            f"{_SOURCE}; the exponent: {DERIVED}",
            hypotheses,
            f"exponent s of mean sup|f_n - f| ~ n^s, {count} networks each, n = {shown}; 0 if they stayed away",
            *equal(-0.5, float(np.polyfit(np.log(widths), np.log(distances), 1)[0]), _HALF_WAY),
        ),
        Verdict(
            "W sqrt n curvature",
            f"{claim} they bend ever more than their own values at the data ask for",
            _MEASURED,
            hypotheses,
            f"mean of int |f''| / least, n = {widths[-1]} over n = {_MEETING}",
            *at_least(1 + _MOST, ratios[-1] / ratios[0]),
        ),
    )


def adaptive_survives(*, fast: bool, scaling: Parameterization = LINEAR) -> tuple[Verdict, Verdict]:
    r"""Parameters of fixed scales, :math:`\alpha \propto n`: the adaptive regime survives."""
    problem, widths, count = fixed_scales(scaling), (800, 3200, 12_800), 4 if fast else 16
    found = [_measured(problem, count, width=width) for width in widths]
    sizes = [np.mean([one.size for one in row]) for row in found]
    hypotheses = (
        _bend(one for row in found for one in row),
        Hypothesis.tested("R0 stays", "AdaptiveMeasures.size", holds=max(sizes) <= 1.5 * min(sizes)),
    )
    claim, shown = f"{_FIXED}, alpha = c n, as n grows", ", ".join(map(str, widths))
    slope = np.polyfit(np.log(widths), np.log([np.mean([one.to_kernel for one in row]) for row in found]), 1)[0]
    return (
        Verdict(
            "W n curvature",
            f"{claim} networks bend as little as their own values at the data allow",
            _MEASURED,
            hypotheses,
            f"largest int |f''| / least of {count} networks each, n = {shown}",
            *at_most(1.0, max(one.curvature_ratio for row in found for one in row), _MOST),
        ),
        Verdict(
            "W n limit",
            f"{claim} networks stay as far from the limit of predict as they are",
            _MEASURED,
            hypotheses,
            f"exponent s of mean sup|f_n - f| ~ n^s, {count} networks each, n = {shown}; -1/2 if they went there",
            *equal(0.0, float(slope), _HALF_WAY),
        ),
    )


def fixed_scales(scaling: Parameterization) -> Problem:
    """ReLU networks whose hidden parameters are ten times their output weights, all of one scale whatever the width."""
    least = minimum_norm(EIGHT, penalize_bias=True, affine="network").norm
    output = math.sqrt(_SIZE * least / (10 * math.sqrt(_MEETING)))
    hidden = st.norm(0, 10 * output)
    law = Initialization(hidden, hidden, output=st.norm(0, output))
    return Problem(EIGHT, law, parameterization=scaling)


CLAIMS: tuple[Claim, ...] = (
    adaptive_end,
    boundary,
    no_interpolant,
    kernel_end,
    conservation,
    kernel_survives,
    adaptive_survives,
)


def _measured(
    problem: Problem, count: int, method: TrainingMethod = _METHOD, *, width: int = _WIDTH
) -> list[AdaptiveMeasures]:
    """The measures of `count` networks."""
    runs = train_ensemble(problem, width, range(count), method=method, loss_tol=1e-7)
    return [adaptive_measures(run) for run in runs]


def _bend(found: Iterable[AdaptiveMeasures]) -> Hypothesis:
    """That networks are no lines."""
    return Hypothesis.tested("networks bend at all", "int |f''| > 0", holds=all(one.curvature > 0 for one in found))


def _same_signs(*sets: Dataset) -> Hypothesis:
    """That minimizers are not unique: neighbouring changes of slope have one sign somewhere in each data set."""
    changes: Sequence[Array] = [np.diff(np.diff(data.y) / np.diff(data.x)) for data in sets]
    holds = all(bool((change[1:] * change[:-1] > 0).any()) for change in changes)
    return Hypothesis.tested(
        "signs of the changes of slope do not alternate throughout", "differences of the data", holds=holds
    )


def _movement(measures: AdaptiveMeasures) -> float:
    """The largest movement of the (w, b) of a neuron, over the largest at the start."""
    start, end = measures.run.start, measures.run.network
    moved = np.hypot((end.w - start.w).numpy(), (end.b - start.b).numpy())
    return float(moved.max() / np.hypot(start.w.numpy(), start.b.numpy()).max())
