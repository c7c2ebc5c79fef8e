"""The second opinion: silent where solvers are right, loud where any part of a solver were wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats as st

import splinebias as sb
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.second_opinion.checks import of_bends
from splinebias.limit.second_opinion.opinion import checked, second_opinion
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
    path = sb.predict_path(CASES[name], [3.0, 30.0])
    for found in path.predictions:
        assert found.outcome is sb.Outcome.REACHED_TIME
        assert found.stats["second_opinion"] <= found.residual <= 1e-8
        bent = replace(found, function=Bent(found.function, found.problem.data.x[-1], 1e-2))
        assert second_opinion(bent).misfit > 1e-3


def smooth(size: int) -> sb.Dataset:
    x = np.sort(np.random.default_rng(size).uniform(-0.9, 0.9, size))
    return sb.Dataset(x, np.sin(5 * x))


NOISY = sb.Dataset(smooth(20).x, smooth(20).y + 0.1 * np.random.default_rng(0).normal(size=20))
LATE_DIGITS = {  # each way that sums of the second opinion go
    "random weights": sb.Problem(SET_A, LAWS["gaussian"]),
    "polynomial density": CASES["quadratic"],
    "polynomial density, free": sb.Problem(SET_A, LAWS["uniform-bias"], affine="free"),
    "any density": sb.Problem(SET_A, LAWS["gaussian-bias"]),
    "scaled": CASES["scaled"],
    "scaled, random weights": CASES["random weights, scaled"],
    "scaled, bounded random weights": sb.Problem(SET_A, LAWS["pytorch"], potential=sb.Scaled(sb.Hypentropy(1.0))),
    "scaled, random weights, 20 points": sb.Problem(NOISY, LAWS["gaussian"], potential=sb.Scaled(sb.Power(4, quadratic=1))),
    "scaled, steep": sb.Problem(SET_A, LAWS["gaussian"], potential=sb.Scaled(sb.Power(1.02))),
    "scaled, steep, bounded": sb.Problem(NOISY, LAWS["pytorch"], potential=sb.Scaled(sb.Power(1.04))),
    "100 points": sb.Problem(smooth(100), LAWS["uniform-bias"]),
    "100 points, any density, free": sb.Problem(smooth(100), LAWS["gaussian"], affine="free"),
    "1000 points": sb.Problem(smooth(1000), LAWS["uniform-bias"]),
    "1000 points, any density": sb.Problem(smooth(1000), LAWS["pytorch"]),
}


@pytest.mark.parametrize("name", LATE_DIGITS)
def test_a_late_digit_of_one_multiplier_is_seen(name):
    """One part in 1e8: enough to make the outcome INACCURATE."""
    found = replace(sb.predict(LATE_DIGITS[name]), dual_function=None)
    assert second_opinion(found).misfit < 1e-13
    wrong = found.multipliers.copy()
    wrong[np.random.default_rng(7).integers(wrong.size)] *= 1 + 1e-8
    assert second_opinion(replace(found, multipliers=wrong)).misfit > sb.DualSolver().tolerance


@pytest.mark.parametrize("size", [100, 1000, 20_000])
@pytest.mark.parametrize("law", ["uniform-bias", "gaussian", "triangle"])
def test_a_late_digit_of_one_dual_value_among_many_is_seen_in_value_and_slope(size, law):
    init = sb.Initialization.rademacher(st.triang(0.4, -2, 4)) if law == "triangle" else LAWS[law]
    found = sb.predict(sb.Problem(smooth(size), init))
    dual, opinion = found.dual_function, second_opinion(found)
    assert opinion.misfit < 1e-13
    assert opinion.bound < 1e-9
    nodal = dual.nodal.copy()
    nodal[:, np.random.default_rng(7).integers(size)] *= 1 + max(1e-8, 1e-9 * size / 100)  # of M values, one counts 1/M
    assert second_opinion(replace(found, dual_function=replace(dual, nodal=nodal))).misfit > 1e-11
    assert second_opinion(replace(found, dual_function=dual.times(1 + 1e-8))).misfit > 1e-9
    free = sb.predict(sb.Problem(smooth(size), init, affine="free"))
    assert second_opinion(free).misfit < 1e-13
    assert second_opinion(replace(free, dual_function=free.dual_function.times(1 + 1e-8))).misfit > 1e-10


def test_a_density_that_is_not_constant_is_not_taken_for_one():
    """Many data see a density that is said to be constant at a few places only."""
    found = sb.predict(sb.Problem(smooth(100), LAWS["uniform-bias"]))
    law = found.problem.initialization.breakpoint_law

    class Tilted(type(law)):
        def zeta(self, c, side, degree=1):
            return super().zeta(c, side, degree) * (1 + 1e-6 * c)

    tilted = Tilted(law.weight, law.bias)
    init = replace(found.problem.initialization)
    init.__dict__["breakpoint_law"] = tilted
    opinion = second_opinion(replace(found, problem=replace(found.problem, initialization=init)))
    assert max(opinion.misfit, opinion.bound) > 1e-8


FLOWS = {
    "powers": {"activation": sb.ReLUPower(2)},
    "powers, free": {"activation": sb.ReLUPower(3), "affine": "free"},
    "both layers": {"parameterization": sb.NTK()},
    "both layers, free": {"parameterization": sb.NTK(), "affine": "free"},
}


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("size", [6, 60])
def test_powers_and_both_layers_at_finite_times(name, size):
    init = sb.Initialization(st.norm(0, 1), st.norm(0, 0.7), output=st.norm(0, 0.8) if "both" in name else None)
    path = sb.predict_path(sb.Problem(smooth(size), init, **FLOWS[name]), [10.0, 1e4, 1e10])
    for found in path.predictions:
        assert found.outcome is sb.Outcome.REACHED_TIME
        assert found.stats["second_opinion"] <= found.residual < 1e-10
        assert found.stats["second_opinion_bound"] < 1e-4
    early, late = path.predictions[:2]
    for now in (early, late):
        assert second_opinion(replace(now, multipliers=now.multipliers * (1 + 1e-6))).misfit > 1e-8
    assert second_opinion(replace(late, function=Bent(late.function, 0.9, 1e-5))).misfit > 1e-7


def test_late_multipliers_have_no_lines_in_them():
    """Rounding of late modes had: sums of kernel functions were lines of any size then, where the affine part is free."""
    path = sb.predict_path(sb.Problem(smooth(60), LAWS["gaussian"], sb.ReLUPower(2), affine="free"), [1e14])
    found = path.predictions[0]
    t = found.problem.data.x
    assert np.abs(np.array([np.ones_like(t), t]) @ found.multipliers).max() < 1e-14 * np.abs(found.multipliers).sum()


@pytest.mark.parametrize("law", ["gaussian", "uniform-bias"])
def test_warm_and_coarse_predictions_are_looked_at_briefly(law):
    problem = sb.Problem(NOISY, LAWS[law], potential=sb.Scaled(sb.Power(3, quadratic=1)))
    first = sb.predict(problem.replace(data=sb.Dataset(NOISY.x, 1.01 * NOISY.y)))
    for found, tolerance in ((sb.predict(problem, warm=first), 1e-10), (sb.predict(problem, tolerance=1e-6), 1e-6)):
        assert found.outcome is sb.Outcome.CONVERGED
        assert found.stats["second_opinion"] <= found.residual <= tolerance
        assert found.stats["second_opinion_bound"] < 1e-8
        wrong = replace(found, dual_function=found.dual_function.times(1 + 1e-6))
        assert second_opinion(wrong, brief=True).misfit > 1e-8
        bent = replace(found, function=Bent(found.function, found.problem.data.x[-1], 1e-4))
        assert checked(bent, tolerance, brief=True).outcome is sb.Outcome.INACCURATE


def test_many_data_with_scaled_potentials_and_no_wide_gap_at_the_ends():
    """Stretches began somewhere beyond the last datum, and right answers were called INACCURATE."""
    x = np.sort(np.random.default_rng(0).uniform(-0.9, 0.9, 100))
    found = sb.predict(
        sb.Problem(sb.Dataset(x, np.sin(5 * x)), LAWS["gaussian"], potential=sb.Scaled(sb.Power(3, quadratic=1)))
    )
    assert found.outcome is sb.Outcome.CONVERGED
    assert found.stats["second_opinion"] < 1e-12
    assert found.stats["second_opinion_bound"] < 1e-3


def test_dual_functions_that_are_small_differences_of_large_numbers_are_no_reason_to_call_a_right_answer_inaccurate():
    """Data beyond the end of a uniform law: g is 1e2 between the data, and the line that it is a part of 1e6."""
    x = np.array([-0.79182433, -0.77339877, -0.18570957, 0.46080796, 0.7365661, 0.74892473, 0.92270116, 0.92666664])
    init = sb.Initialization.rademacher(st.uniform(-0.88, 1.76))
    found = sb.predict(sb.Problem(sb.Dataset(x, np.random.default_rng(15).normal(size=8)), init, sb.Abs()))
    line = found.dual_function.line(x)
    assert np.abs(line).max() > 1e3 * np.abs(found.dual_function.nodal[:, 1:-1]).min()
    assert found.outcome is sb.Outcome.CONVERGED
    assert found.stats["second_opinion"] < 1e-12
    wrong = replace(found, dual_function=found.dual_function.times(1 + 1e-8))
    assert second_opinion(wrong).misfit > found.residual
    assert checked(wrong, sb.BandedSolver().tolerance).outcome is sb.Outcome.INACCURATE


def test_dual_functions_without_digits_are_no_excuse():
    """Lines on both sides of a law that no even functions make: refused; if solved (multipliers of 1e15), it is seen."""
    x = np.linspace(-1, 1, 9)
    problem = sb.Problem(
        sb.Dataset(x, np.cos(3 * x) + 0.1 * x), sb.Initialization.rademacher(st.uniform(-0.6, 1.2)), sb.Abs()
    )
    with pytest.raises(sb.DataError, match="no combination of neurons"):
        sb.predict(problem)
    found = checked(sb.BandedSolver().solve_posed(PosedProblem(problem)), sb.BandedSolver().tolerance)
    assert found.outcome is sb.Outcome.INACCURATE
    assert found.stats["second_opinion"] > 0.01


ONE_SIGN = {
    "uniform": sb.Initialization(st.uniform(0.5, 0.5), st.uniform(-1, 2)),
    "negative": sb.Initialization(st.uniform(-1.5, 0.8), st.beta(2, 0.8, -1, 2.5)),
    "gamma": sb.Initialization(st.gamma(3), st.norm()),
    "beta": sb.Initialization(st.beta(2, 2, 0.2, 1), st.arcsine(-0.5, 1.2)),
}
ONE_SIGN["mixture"] = sb.Initialization.mixture([0.5, 0.5], [ONE_SIGN["uniform"], ONE_SIGN["negative"]])


@pytest.mark.parametrize("potential", [sb.Quadratic(), sb.Scaled(sb.Power(4, quadratic=1)), sb.Scaled(sb.Power(3))])
@pytest.mark.parametrize("law", ONE_SIGN)
def test_weights_of_one_sign_have_an_opinion(law, potential):
    """And it sees multipliers that are off."""
    problem = sb.Problem(SET_A, ONE_SIGN[law], sb.ReLU(), potential)
    found = sb.predict(problem)
    with np.errstate(all="ignore"):  # nothing is caught here
        opinion = of_bends(found)
    assert np.isfinite(opinion.bound).sum() >= opinion.bound.size - 1
    assert found.outcome is sb.Outcome.CONVERGED
    wrong = replace(found, dual_function=None, multipliers=1.01 * found.multipliers)
    assert second_opinion(wrong).misfit > 1e-5


SMOOTH_LAWS = {
    "uniform": sb.Initialization.pytorch_default(),
    "normal": sb.Initialization.gaussian(),
    "two weights": sb.Initialization.rademacher(st.laplace(0, 0.7)),
    "joint": sb.Initialization.joint(st.multivariate_normal([0.3, 0.1], [[1, 0.5], [0.5, 1]])),
    "circle": sb.Initialization.unit_circle(),
    "mixture": sb.Initialization.mixture(
        [0.4, 0.6], [sb.Initialization.unit_circle(), sb.Initialization.rademacher(st.norm())]
    ),
}


@pytest.mark.parametrize("law", SMOOTH_LAWS)
def test_smooth_neurons(law):
    free = law in ("uniform", "circle", "mixture")
    activation, affine = (sb.Softplus(), "free") if free else (sb.Tanh(), "network")
    path = sb.predict_path(sb.Problem(SET_A, SMOOTH_LAWS[law], activation, affine=affine), [100.0])
    for found in path.predictions:
        assert found.outcome is sb.Outcome.REACHED_TIME
        assert found.stats["second_opinion"] <= found.residual < 1e-6
        assert found.stats["second_opinion_bound"] < 1e-3
        wrong = replace(found, multipliers=found.multipliers * (1 + 0.01 * np.arange(5)))
        assert second_opinion(wrong).misfit > 1e-4
        bent = replace(found, function=Bent(found.function, 1.0, 0.1))
        assert second_opinion(bent).misfit > 1e-3
    other = path.problem.replace(initialization=sb.Initialization.rademacher(st.norm(0, 3)))
    assert second_opinion(replace(found, problem=other)).misfit > 1e-3


def test_the_limit_of_smooth_neurons_and_its_multipliers_have_no_lines_in_them():
    found = sb.predict(sb.Problem(SET_A, SMOOTH_LAWS["uniform"], sb.Softplus(), affine="free"))
    lines = np.array([np.ones(5), SET_A.x]) @ found.multipliers
    assert np.abs(lines).max() < 1e-13 * np.abs(found.multipliers).max()
    assert found.outcome is sb.Outcome.CONVERGED
    assert found.stats["second_opinion"] < 1e-6


def test_of_a_grid_the_misfit_is_its_discretization_and_no_part_of_the_residual():
    coarse, fine = (sb.predict(CASES["quadratic"], sb.GridSolver(points)) for points in (50, 400))
    for found in (coarse, fine):
        assert found.outcome is sb.Outcome.CONVERGED
        assert found.residual < 1e-9 < found.stats["second_opinion"]
    assert fine.stats["second_opinion"] < coarse.stats["second_opinion"] / 10


@pytest.mark.parametrize("degrees", [2.5, 5.0])
def test_powers_with_heavy_biases_and_a_free_line_have_a_bound(degrees):
    init = sb.Initialization.rademacher(st.t(degrees, 0, 1.4))
    found = sb.predict(sb.Problem(SET_A, init, sb.ReLUPower(2), affine="free"))
    assert found.stats["second_opinion"] < 1e-12
    assert found.stats["second_opinion_bound"] < 1e-6
    wrong = replace(found, multipliers=found.multipliers * (1 + 1e-4 * np.arange(5)))
    assert second_opinion(wrong).misfit > 1e-5
