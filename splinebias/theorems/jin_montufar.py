r"""Verdicts on Jin & Montúfar (JMLR 24(137), 2023): wide networks end at least weighted curvature.

Every function here returns a verdict or several. Its keyword arguments other than `fast` are the theory that is put to the
test, so that a wrong one can be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.stats as st
from scipy.interpolate import CubicSpline

from splinebias.activation import ReLUPower
from splinebias.data import Dataset
from splinebias.initialization.initialization import Initialization
from splinebias.initialization.laws import Rademacher
from splinebias.limit.predict import predict
from splinebias.problem import Problem
from splinebias.theorems.verdict import DERIVED, Hypothesis, Verdict
from splinebias.theorems.wide_networks import (
    SET_A,
    UNIFORM,
    CostOfNeurons,
    Limit,
    WideNetworks,
    limit_function,
    rate_and_constant,
)
from splinebias.training.descent.descent import StochasticMirrorDescent
from splinebias.training.flow.flow import MirrorFlow

_SOURCE = "Jin & Montúfar 2023"
_BESIDE = f"{_SOURCE}; the constant: {DERIVED}"
DATA = SET_A
FLAT = DATA.with_ordinates(DATA.y / 10)  # features move a hundredth as far, and narrow networks are lazy


def limit(*, fast: bool, function: Limit = limit_function) -> Verdict:
    """Gradient descent ends at the interpolant of least weighted curvature, for Gaussian w and b."""
    networks = WideNetworks(Problem(DATA, Initialization.gaussian()), 6400, 12 if fast else 48)
    return networks.beside(
        "JM limit",
        "networks with w, b ~ N(0, 1), trained by gradient flow, are O(n^-1/2) from the interpolant of least E[alpha^2]",
        _BESIDE,
        function,
    )


def rate(*, fast: bool, exponent: float = -0.5, scale: float = 1.0) -> tuple[Verdict, ...]:
    """The distance to the limit is c n^s with s = `exponent`, and c is `scale` times that of `error_band`."""
    widths, count = (100, 400, 1600, 6400), 24 if fast else 100
    many = [WideNetworks(Problem(FLAT, UNIFORM), n, count, loss_tol=1e-12) for n in widths]
    function = limit_function(many[0].problem)
    errors = np.array([networks.errors([function] * count) for networks in many])
    return rate_and_constant(widths, errors, many[0].band, _joined(many), source=_SOURCE, exponent=exponent, scale=scale)


def stochastic(*, fast: bool, function: Limit = limit_function) -> Verdict:
    """Batches of one point end where gradient descent ends."""
    problem = Problem(Dataset(np.array([-1, 0, 1]), np.array([0, 0.1, 0])), UNIFORM)
    networks = WideNetworks(problem, 1600, 12 if fast else 48, StochasticMirrorDescent(), 1e-9)
    return networks.beside(
        "JM stochastic",
        "stochastic gradient descent, one point a step, has the limit of gradient descent",
        _BESIDE,
        function,
    )


def natural_spline(problem: Problem) -> CubicSpline:
    """The natural cubic spline through the data, by SciPy."""
    return CubicSpline(problem.line_data.x, problem.line_data.y, bc_type="natural")


def free_affine(*, fast: bool, spline: Callable[[Problem], Any] = natural_spline) -> tuple[Verdict, ...]:
    """With a skip connection and constant zeta the limit is the natural cubic spline, at the cost of its curvature."""
    problem = Problem(DATA, UNIFORM, affine="free")
    networks = WideNetworks(problem, 6400, 16 if fast else 64)
    function, (lo, hi) = spline(problem), problem.line_data.x[[0, -1]]
    square = _square_of_curvature(function, problem.line_data.x) / 0.5  # zeta = 1/2 on [-1, 1], which the data span
    cost = CostOfNeurons(networks, np.square, lambda z: z / 2)
    linear_ends = _with_linear_ends(function, lo, hi)
    return (
        networks.beside(
            "JM free affine",
            "with a free affine part and constant zeta networks end at the natural cubic spline",
            _BESIDE,
            lambda _: linear_ends,
        ),
        cost.verdict(
            "JM curvature",
            "what they minimize is the curvature, int f''^2/zeta",
            f"{_SOURCE}; the deviation at finite width: {DERIVED}",
            square,
            2 * predict(problem).multipliers,
        ),
    )


def trajectory(*, fast: bool, at: float = 1.0) -> Verdict:
    """Networks at time t are at the function that infinitely wide ones are at then (`at` times t, to be wrong)."""
    time = 50.0
    networks = WideNetworks(Problem(DATA, UNIFORM), 6400, 16 if fast else 64, MirrorFlow(time=time), 1e-14, time)
    return networks.beside(
        "JM trajectory",
        "at training time t = 50 networks are at K(., X) K^-1 (I - e^(-tK/M)) y, with errors of the band of that time",
        _BESIDE,
        lambda problem: predict(problem, time=at * time).function,
    )


def powers(*, fast: bool, function: Limit = limit_function) -> Verdict:
    """Squares of ReLU penalize the third derivative."""
    law = Initialization.rademacher(st.uniform(-1.5, 3))
    networks = WideNetworks(Problem(DATA, law, ReLUPower(2)), 6400, 16 if fast else 64)
    return networks.beside(
        "JM powers",
        "with the activation max(z, 0)^2 the third derivative takes the place of the curvature",
        f"{_SOURCE}, other activations; the constant: {DERIVED}",
        function,
    )


def start(*, fast: bool, function: Callable[[Problem, Any], Any] | None = None) -> Verdict:
    """Of networks with random output weights, f - f_0 is what the theorem is about."""
    law = Initialization(Rademacher(), st.uniform(-1, 2), output=st.norm(), antisymmetric=False)
    networks = WideNetworks(Problem(DATA, law), 6400, 12 if fast else 48)
    made = function or (lambda problem, start: predict(problem, start=start).function)
    return networks.verdict(
        "JM start",
        "networks that start at f_0 end at f_0 + h with h the limit for the data y - f_0(x)",
        _BESIDE,
        [made(networks.problem, run.start) for run in networks.runs],
    )


CLAIMS = (limit, rate, stochastic, free_affine, trajectory, powers, start)


def _joined(many: list[WideNetworks]) -> tuple[Hypothesis, ...]:
    """The hypotheses of networks of several widths: violated if they are at one of them."""
    of_each = zip(*(networks.hypotheses for networks in many), strict=True)
    return tuple(max(same, key=lambda hypothesis: hypothesis.status.value) for same in of_each)


def _square_of_curvature(spline: CubicSpline, x: Any) -> float:
    """The integral of the squared second derivative, linear between data: Simpson's rule is exact."""
    left, middle, right = (spline(points, 2) for points in (x[:-1], (x[1:] + x[:-1]) / 2, x[1:]))
    # one-sided values of a continuous second derivative
    return float(np.sum(np.diff(x) * (left**2 + 4 * middle**2 + right**2) / 6))


def _with_linear_ends(spline: CubicSpline, lo: float, hi: float) -> Callable[[Any], Any]:
    """The spline, straight beyond the data."""

    def function(x: Any) -> Any:
        inside = np.clip(x, lo, hi)
        return spline(inside) + spline(inside, 1) * (np.asarray(x) - inside)

    return function
