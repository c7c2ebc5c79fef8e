"""Starts of Newton's method, and the dual function that it moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from problems import LAWS, random_data

import splinebias as sb
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.limit.dual.equations import DualEquations
from splinebias.limit.dual.newton import LineSearch, maximized
from splinebias.limit.dual.objective import IntegratedDual
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.quadratic import solve_quadratic

X = np.array([-1.0, -0.3, 0.1, 0.6, 1.2])
ACTIVATIONS = [sb.ReLU(), sb.Abs(), sb.LeakyReLU(0.3)]
UNIFORM = LAWS["uniform-bias"]


def some_function(activation: sb.activation.TwoSlope, *, free: bool = False) -> DualFunction:
    u = np.random.default_rng(4).normal(size=X.size - 2 if free else X.size)
    return DualFunction.of(X, u, activation, free=free)


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_dual_function_is_known_by_one_side_and_its_line(activation: sb.activation.TwoSlope, free: bool) -> None:
    f = some_function(activation, free=free)
    for g in f.sides:
        again = f.through(g.nodal, f.line_ends, g.factors[1])
        np.testing.assert_allclose(again.values, f.values, rtol=0, atol=1e-15)
        assert again.beta == pytest.approx(f.beta, abs=1e-15)
        np.testing.assert_allclose(again.nodal, f.nodal, rtol=0, atol=1e-14)


@pytest.mark.parametrize("activation", [sb.ReLU(), sb.LeakyReLU(0.3)])
def test_sides_that_are_torn_are_seen(activation: sb.activation.TwoSlope) -> None:
    f = some_function(activation)
    assert f.torn == 0
    apart = f.nodal.copy()
    apart[0, 2] += 1e-6
    assert replace(f, nodal=apart).torn == pytest.approx(1e-6 / np.abs(apart[:, 2]).max(), rel=1e-3)


@pytest.mark.parametrize("activation", [sb.ReLU(), sb.LeakyReLU(0.3)])
def test_increments_that_are_larger_by_powers_of_ten_do_not_tear_the_sides(activation: sb.activation.TwoSlope) -> None:
    """There and back again by 1e13: digits are lost, but g_+ and g_- still belong to one function."""
    f = some_function(activation)
    assert replace(f, nodal=(f.nodal + 3e13 * f.nodal) - 3e13 * f.nodal).torn > 1e-5
    u = DualEquations(X, activation, free=False).unknowns(f)
    assert f.moved(3e13 * u).moved(-3e13 * u).torn <= 1e-12


@pytest.mark.parametrize("law", ["uniform-bias", "gaussian-bias"])
@pytest.mark.parametrize("affine", ["network", "free"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_one_step_reaches_the_solution_of_a_square(activation: sb.activation.TwoSlope, affine: str, law: str) -> None:
    """phi = 2u^2 has a linear response: Newton's method is exact, from anywhere."""
    data = random_data(3, 7)
    problem = sb.Problem(data, LAWS[law], activation, sb.Scaled(sb.Power(2, quadratic=1)), affine=affine)
    posed = PosedProblem(problem)
    dual, start = IntegratedDual.of(posed)
    state = dual.at(dual.equations.function(np.ones_like(posed.system.unknowns(start))))
    step = LineSearch(state, 1e-10).step
    exact = posed.system.unknowns(solve_quadratic(posed.system, posed.zeta / 4, dual.y).function)
    np.testing.assert_allclose(posed.system.unknowns(state.function) + step, exact, rtol=0, atol=1e-9 * np.abs(exact).max())


@pytest.mark.parametrize(
    "phi", [sb.Power(1.1), sb.Power(1.5), sb.Power(3), sb.Power(4, quadratic=1), sb.Power(10), sb.Hypentropy(0.1)]
)
@pytest.mark.parametrize("activation", [sb.ReLU(), sb.Abs()])
def test_the_answer_does_not_depend_on_the_start(phi: sb.Potential, activation: sb.activation.TwoSlope) -> None:
    problem = sb.Problem(random_data(5, 9), UNIFORM, activation, sb.Scaled(phi))
    with np.errstate(all="ignore"):
        dual, start = IntegratedDual.of(PosedProblem(problem))
        states = [maximized(dual.at(start.times(k)), 1e-10, 200).state for k in (1.0, 1.3)]
    assert max(state.misfit for state in states) < 1e-10
    near, far = (dual.equations.unknowns(state.function) for state in states)
    np.testing.assert_allclose(near, far, rtol=0, atol=1e-9 * np.abs(near).max())


def test_a_step_that_gains_digits_counts_though_its_rise_is_below_the_rounding_of_the_dual() -> None:
    """Integrals over |w| are off by 1e-13: a dual that falls by as much along Newton's step is no reason to halve it."""
    problem = sb.Problem(random_data(5, 9), UNIFORM, sb.Abs(), sb.Scaled(sb.Power(4, quadratic=1)))
    dual, start = IntegratedDual.of(PosedProblem(problem))
    state = dual.at(start)
    while (search := LineSearch(state, 1e-10)).visible:
        before, (state, _) = state, search.taken()
    search, after = LineSearch(before, 1e-10), state
    assert after.misfit < 0.01 * before.misfit and search.visible
    for fall, counts in ((0.5 * search._rounding, True), (1e3 * search.gain, False)):
        assert search._is_progress(replace(after, objective=before.objective - fall), 1.0) is counts


def test_a_dual_that_rises_more_than_a_concave_function_can_is_not_believed() -> None:
    """Where masses underflow and what they multiply overflows, terms are lost: the dual seems to rise without end."""
    problem = sb.Problem(random_data(5, 9), UNIFORM, sb.Abs(), sb.Scaled(sb.Hypentropy(0.1)))
    dual, start = IntegratedDual.of(PosedProblem(problem))
    search = LineSearch(dual.at(start), 1e-10)
    new, length = search.taken()
    assert search._is_progress(new, length)
    towards = search._slope_towards(new)
    assert new.objective - search.state.objective <= towards
    for rise, counts in ((1.5 * towards, True), (3 * towards, False)):
        assert search._is_progress(replace(new, objective=search.state.objective + rise), length) is counts
