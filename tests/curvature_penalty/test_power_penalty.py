"""The functional for powers of ReLU: D = f^(k+1)/k! in the place of f'', k + 1 coefficients in that of slope and offset."""

from __future__ import annotations

import math

import numpy as np
import pytest
from problems import LAWS, SET_A
from scipy.interpolate import PPoly, make_interp_spline

import splinebias as sb

LIGHT = [name for name in LAWS if name not in ("heavy-bias", "student-weights")]  # all moments are finite


def problem_of(law: str, power: int, affine: str = "network") -> sb.Problem:
    return sb.Problem(SET_A, LAWS[law], sb.ReLUPower(power), affine=affine)


@pytest.mark.parametrize("affine", ["network", "free"])
@pytest.mark.parametrize("power", [1, 2, 3, 5])
@pytest.mark.parametrize("law", LIGHT)
def test_value_at_the_solution_is_the_solvers(law: str, power: int, affine: str) -> None:
    problem = problem_of(law, power, affine)
    prediction = sb.predict(problem)
    assert sb.penalty(prediction.function, problem) == pytest.approx(prediction.penalty, rel=1e-8)
    half = sb.Problem(SET_A, LAWS[law], sb.ReLUPower(power), sb.Scaled(sb.Quadratic()), affine)
    assert sb.penalty(prediction.function, half) == pytest.approx(prediction.penalty / 2, rel=1e-8)


@pytest.mark.parametrize("power", [2, 3])
@pytest.mark.parametrize("law", LIGHT)
def test_the_solution_is_the_least_of_all_interpolants(law: str, power: int) -> None:
    """Up and down from it along a bump that is zero at the data, and the odd order of the two excesses vanishes."""
    problem = problem_of(law, power)
    best = sb.predict(problem)
    lo, hi = -1.0, -0.44
    t = np.polynomial.Polynomial([-(lo + hi), 2.0]) / (hi - lo)
    bump = (1 - t**2) ** (power + 2)

    class Sum:
        edges = np.union1d(best.function.edges, [lo, hi])

        def __init__(self, step: float) -> None:
            self.step = step

        def __call__(self, x: np.ndarray, nu: int = 0) -> np.ndarray:
            piece = (x >= lo) & (x <= hi)
            return best.function(x, nu) + self.step * np.where(piece, bump.deriv(nu)(x) if nu else bump(x), 0.0)

    excess = np.array([sb.penalty(Sum(step), problem) - best.penalty for step in (0.01, -0.01)])
    assert (excess > 1e-9 * best.penalty).all()
    assert abs(excess[0] - excess[1]) < 1e-6 * excess.sum()


@pytest.mark.parametrize("power", [1, 2, 3])
def test_polynomials_cost_what_the_sides_trade(power: int) -> None:
    r"""f = a x^k + b without D: \int (c - x)^k e dc with the least \int e^2/omega, omega = zeta_+ zeta_-/zeta = 1/8."""
    problem, degree = problem_of("uniform-bias", power), power
    coefficients = np.zeros(degree + 1)
    coefficients[[0, degree]] = 0.3, 2.0
    f = PPoly(coefficients[::-1, None], [0.0, 1.0])
    moments = [coefficients[degree - j] * (-1) ** (degree - j) / math.comb(degree, j) for j in range(degree + 1)]
    gram = [[(1 - (-1) ** (i + j + 1)) / (i + j + 1) / 8 for j in range(degree + 1)] for i in range(degree + 1)]
    assert sb.penalty(f, problem) == pytest.approx(float(moments @ np.linalg.solve(gram, moments)), rel=1e-12)


def test_a_free_line_costs_nothing() -> None:
    line, parabola = PPoly([[0.7], [-2.0]], [-1.0, 1.0]), PPoly([[1.0], [0.0], [0.0]], [-1.0, 1.0])
    problem = problem_of("gaussian", 2, "free")
    assert sb.penalty(line, problem) < 1e-25
    assert sb.penalty(parabola, problem) > 0.1
    assert sb.penalty(line, problem_of("gaussian", 2)) > 0.1


def test_functions_that_are_not_smooth_enough() -> None:
    """A spline of degree k has a jump in derivative number k: too rough for k, smooth enough for k - 1."""
    x = np.linspace(-1, 1, 8)
    for power in (2, 3):
        rough = PPoly.from_spline(make_interp_spline(x, np.sin(4 * x), k=power))
        assert sb.penalty(rough, problem_of("gaussian", power - 1)) < math.inf
        assert sb.penalty(rough, problem_of("gaussian", power)) == math.inf
    kinked = sb.PiecewiseLinear([-0.5, 0.5], [0.0, 1.0], 0.0, 0.0)
    assert sb.penalty(kinked, problem_of("gaussian", 2)) == math.inf


def test_one_sided_breakpoints_tie_the_polynomial() -> None:
    problem = problem_of("constant-bias", 2)
    f = sb.predict(problem).function

    class Lifted:
        edges = f.edges

        def __call__(self, x: np.ndarray, nu: int = 0) -> np.ndarray:
            return f(x, nu) + (1e-3 if nu == 0 else 0.0)

    assert sb.penalty(f, problem) < math.inf
    assert sb.penalty(Lifted(), problem) == math.inf


@pytest.mark.parametrize("power", [2, 3])
def test_sampled_networks_approach_the_minimum(power: int) -> None:
    """alpha(w, b)/n of the exact limit: smoothed, the penalty of such a network is n^(-1/2) from the minimum."""
    problem = problem_of("uniform-bias", power)
    limit, widths, deviation = sb.predict(problem), np.array([250, 1000, 4000, 16000]), []
    for width in widths.tolist():
        off = []
        for seed in range(8):
            w, b, _ = problem.initialization.sample(width, np.random.default_rng(seed))
            features = problem.activation.value(np.outer(w, SET_A.x) + b[:, None])
            network = sb.PiecewisePolynomial.from_power_units(w, b, features @ limit.multipliers / width, 0.0, power)
            off.append(sb.penalty(network, problem) / limit.penalty - 1)
        deviation.append(np.sqrt(np.mean(np.square(off))))
    assert -np.polyfit(np.log(widths), np.log(deviation), 1)[0] > 0.35
    assert deviation[-1] < 0.2
