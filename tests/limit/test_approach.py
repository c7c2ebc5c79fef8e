"""Starts of Newton's method, and the dual function that it moves."""

from __future__ import annotations

import numpy as np
import pytest
from problems import LAWS, SET_B, random_data

import splinebias as sb
from splinebias.limit.dual import objective as integrated_dual
from splinebias.limit.dual.approach import approached
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.limit.dual.newton_system import DualSystem, discretize

X = np.array([-1.0, -0.3, 0.1, 0.6, 1.2])
LINE = np.linspace(-1.5, 1.5, 61)
ACTIVATIONS = [sb.ReLU(), sb.Abs(), sb.LeakyReLU(0.3)]
UNIFORM = LAWS["uniform-bias"]


def some_function(activation: sb.activation.TwoSlope, *, free: bool = False) -> DualFunction:
    u = np.random.default_rng(4).normal(size=X.size - 2 if free else X.size)
    return DualFunction.of(X, u, activation, free=free)


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_dual_function_is_known_by_one_side_and_its_line(activation: sb.activation.TwoSlope, free: bool) -> None:
    f = some_function(activation, free=free)
    for side in (1, -1):
        again = DualFunction.through(X, f.nodal[side], f.line_ends, f.factor(side), activation)
        np.testing.assert_allclose(again.values, f.values, rtol=0, atol=1e-15)
        assert again.beta == pytest.approx(f.beta, abs=1e-15)
        for other in (1, -1):
            np.testing.assert_allclose(again.nodal[other], f.nodal[other], rtol=0, atol=1e-14)


@pytest.mark.parametrize("activation", [sb.ReLU(), sb.LeakyReLU(0.3)])
def test_sides_that_are_torn_are_seen(activation: sb.activation.TwoSlope) -> None:
    f = some_function(activation)
    assert f.torn == 0
    apart = f.nodal[1].copy()
    apart[2] += 1e-6
    torn = DualFunction(X, f.values, f.beta, activation, {1: apart, -1: f.nodal[-1]})
    assert torn.torn == pytest.approx(1e-6 / max(abs(apart[2]), abs(f.nodal[-1][2])), rel=1e-3)


@pytest.mark.parametrize("activation", [sb.ReLU(), sb.LeakyReLU(0.3)])
def test_increments_that_are_larger_by_powers_of_ten_do_not_tear_the_sides(activation: sb.activation.TwoSlope) -> None:
    """There and back again by 1e13: digits are lost, but g_+ and g_- still belong to one function."""
    f = some_function(activation)
    rounded = {s: (f.nodal[s] + 3e13 * f.nodal[s]) - 3e13 * f.nodal[s] for s in (1, -1)}
    assert DualFunction(X, f.values, f.beta, activation, rounded).torn > 1e-5
    assert f.moved(f.times(3e13)).moved(f.times(-3e13)).torn <= 1e-12


@pytest.mark.parametrize("law", ["uniform-bias", "gaussian-bias"])
@pytest.mark.parametrize("affine", ["network", "free"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_one_step_reaches_the_solution_of_a_square(activation: sb.activation.TwoSlope, affine: str, law: str) -> None:
    """phi = 2u^2 has a linear response: Newton's method is exact, from anywhere."""
    data, free = random_data(3, 7), affine == "free"
    problem = sb.Problem(data, LAWS[law], activation, affine=affine)
    system = DualSystem(data.x, grid := discretize(problem), activation, free=free)
    models = {
        side: integrated_dual.ResponseModel.at(problem.breakpoint_law(), sb.Power(2, quadratic=1), grid.nodes, (side,))
        for side in (1, -1)
    }
    target = system.target(data.y)
    found = approached(system, models, data.y, system.function(np.ones_like(target)))
    exact = system.curvature({side: rho / 4 for side, rho in grid.zeta.items()}).solve(target)
    np.testing.assert_allclose(found.unknowns(free=free), exact, rtol=0, atol=1e-9 * np.abs(exact).max())


@pytest.mark.parametrize(
    "phi", [sb.Power(1.1), sb.Power(1.5), sb.Power(3), sb.Power(4, quadratic=1), sb.Power(10), sb.Hypentropy(0.1)]
)
@pytest.mark.parametrize("activation", [sb.ReLU(), sb.Abs()])
def test_the_answer_does_not_depend_on_the_start(
    phi: sb.Potential, activation: sb.activation.TwoSlope, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = sb.Problem(random_data(5, 9), UNIFORM, activation, sb.Scaled(phi))
    found = sb.predict(problem)
    monkeypatch.setattr(integrated_dual, "approached", lambda system, models, y, start: start)
    plain = sb.predict(problem)
    assert found.outcome is plain.outcome is sb.Outcome.CONVERGED
    size = np.abs(plain.function(LINE)).max()
    np.testing.assert_allclose(found.function(LINE), plain.function(LINE), rtol=0, atol=1e-10 * size)


def test_a_better_start_saves_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = sb.Problem(SET_B, UNIFORM, sb.Abs(), sb.Scaled(sb.Power(4)))
    steps = sb.predict(problem).stats["iterations"]
    monkeypatch.setattr(integrated_dual, "approached", lambda system, models, y, start: start)
    assert steps <= 3 < sb.predict(problem).stats["iterations"]
