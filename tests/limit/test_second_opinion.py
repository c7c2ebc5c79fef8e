"""The second opinion: silent where solvers are right, loud where any part of a solver were wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats as st

import splinebias as sb
from splinebias.limit.second_opinion.opinion import second_opinion
from tests.marks import nightly
from tests.problems import EACH_LAW, EACH_LAW_AND_POTENTIAL, LAWS, PUBLISHED, QUADRATIC_PROBLEMS, SCALED_PROBLEMS, SET_A

RANDOM_WEIGHTS = sb.Initialization(st.norm(0, 1.2), st.laplace(0.1, 0.8))


@pytest.mark.parametrize("name", [*EACH_LAW, *EACH_LAW_AND_POTENTIAL])
def test_solvers_and_the_second_opinion_agree(name):
    problem = (QUADRATIC_PROBLEMS | SCALED_PROBLEMS)[name]
    prediction = sb.predict(problem)
    opinion = second_opinion(prediction)
    assert opinion.misfit < 1e-11
    # slope and offset of Student weights or biases hang on tails that no rule sums well
    assert opinion.bound < (0.2 if "heavy" in name or "student" in name else 1e-3)


@pytest.mark.parametrize("activation", [sb.ReLUPower(2), sb.ReLUPower(3)], ids=str)
@pytest.mark.parametrize("affine", ["network", "free"])
def test_powers_of_relu(activation, affine):
    prediction = sb.predict(sb.Problem(SET_A, sb.Initialization.gaussian(), activation, affine=affine))
    opinion = second_opinion(prediction)
    assert opinion.misfit < 1e-12
    assert opinion.bound < 1e-5
    wrong = replace(prediction, multipliers=prediction.multipliers * (1 + 1e-4 * np.arange(5)))
    assert second_opinion(wrong).misfit > 1e-5


def test_both_layers():
    init = sb.Initialization(st.norm(0, 1), st.norm(0, 0.7), output=st.norm(0, 0.8))
    prediction = sb.predict(sb.Problem(SET_A, init, parameterization=sb.NTK()))
    assert second_opinion(prediction).misfit < 1e-12
    other = replace(prediction.problem, initialization=replace(init, output=st.norm(0, 0.81)))
    assert second_opinion(replace(prediction, problem=other)).misfit > 1e-4


CASES = {
    "quadratic": PUBLISHED["A"][0],
    "scaled": PUBLISHED["B-u4"][0],
    "random weights": sb.Problem(SET_A, RANDOM_WEIGHTS),
    "random weights, scaled": sb.Problem(SET_A, sb.Initialization.gaussian(), sb.Abs(), sb.Scaled(sb.Power(3))),
    "free": sb.Problem(SET_A, RANDOM_WEIGHTS, affine="free"),
}


@pytest.fixture(scope="module")
def predictions():
    return {name: sb.predict(problem) for name, problem in CASES.items()}


class Bent:
    """A function with more curvature on one side of a point."""

    def __init__(self, function, start: float, size: float) -> None:
        self.function, self.start, self.size = function, start, size

    def __call__(self, x, nu=0):
        beyond = np.maximum(np.asarray(x) - self.start, 0)
        return self.function(x, nu) + self.size * (beyond**2 if nu == 0 else 2 * beyond)


@pytest.mark.parametrize("name", CASES)
def test_curvature_that_no_multiplier_asks_for_is_seen(name, predictions):
    found = predictions[name]
    end = found.problem.data.x[-1]
    assert second_opinion(replace(found, function=Bent(found.function, end, 1e-2))).misfit > 1e-3
    if not found.problem.free:
        turned = replace(found, function=Bent(found.function, found.problem.data.x[0] - 1e9, 1e-9))
        assert second_opinion(turned).misfit > 1e-3  # nearly a line: slope and offset


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_dual_function_is_seen(name, predictions):
    found = predictions[name]
    assert second_opinion(replace(found, dual_function=found.dual_function.times(1.001))).misfit > 1e-5
    from_multipliers = replace(found, dual_function=None)
    assert second_opinion(from_multipliers).misfit < 1e-11
    assert second_opinion(replace(from_multipliers, multipliers=1.001 * found.multipliers)).misfit > 1e-5


@pytest.mark.parametrize("affine", ["network", "free"])
def test_a_law_with_less_in_the_tail_is_seen(affine):
    """What happened to data in far tails: the solver saw no breakpoints there, and all solvers agreed."""
    data = sb.Dataset(25 + np.array([0, 0.05, 0.08, 0.1]), [1.0, 0.0, 0.5, 0.2])
    whole, light = (sb.Initialization(sb.Constant(-1), law) for law in (st.laplace(), st.laplace(0, 0.9)))
    found = sb.predict(sb.Problem(data, light, affine=affine))
    assert found.stats["second_opinion"] < 1e-11
    assert second_opinion(replace(found, problem=sb.Problem(data, whole, affine=affine))).misfit > 0.1


def test_the_misfit_is_part_of_residual_and_outcome():
    class Off(sb.DualSolver):
        def solve_posed(self, posed):
            found = super().solve_posed(posed)
            return replace(found, function=Bent(found.function, 1.0, 1e-3))

    right, wrong = (sb.predict(CASES["scaled"], solver) for solver in (sb.DualSolver(), Off()))
    assert right.outcome is sb.Outcome.CONVERGED
    assert right.stats["second_opinion"] <= right.residual
    assert wrong.outcome is sb.Outcome.INACCURATE
    assert wrong.residual > 1e-4


@pytest.mark.parametrize("size", [61, 300, nightly(3000), nightly(30_000)])
@pytest.mark.parametrize("affine", ["network", "free"])
@pytest.mark.parametrize("law", ["uniform-bias", "gaussian"])
def test_many_points_noisy_and_close(size, affine, law):
    rng = np.random.default_rng(size)
    x = np.sort(rng.uniform(-0.9, 0.9, size))
    data = sb.Dataset(x, np.sin(5 * x) + 0.1 * rng.normal(size=size))
    found = sb.predict(sb.Problem(data, LAWS[law], affine=affine))
    assert found.stats["second_opinion"] < 1e-11
    if size <= 300:
        assert found.stats["second_opinion_bound"] < 0.01
        bent = replace(found, function=Bent(found.function, 0.9, 0.1))
        assert second_opinion(bent).misfit > 1e-3


@pytest.mark.parametrize("name", CASES)
def test_functions_at_finite_times_are_checked_too(name):
    path = sb.predict_path(CASES[name], [3.0, 300.0])
    for found in path.predictions:
        assert found.outcome is sb.Outcome.REACHED_TIME
        assert found.stats["second_opinion"] <= found.residual <= 1e-8
        bent = replace(found, function=Bent(found.function, found.problem.data.x[-1], 1e-2))
        assert second_opinion(bent).misfit > 1e-3
