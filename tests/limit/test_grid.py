"""The grid solver: an independent formulation that converges to the exact solutions at its order."""

import numpy as np
import pytest
import scipy.stats as st
from problems import (
    ACTIVATIONS,
    EACH_ACTIVATION_AND_POTENTIAL,
    EACH_LAW,
    LAWS,
    ONE_WEIGHT,
    PUBLISHED,
    QUADRATIC_PROBLEMS,
    SCALED,
    SCALED_PROBLEMS,
    SET_A,
    SET_B,
    UNIFORM,
)
from scipy.interpolate import CubicSpline

import splinebias as sb
from splinebias.potential import Potential

POINTS = [65, 129, 257, 513, 1025]
INTERVAL = (-1.5, 1.5)


def errors(problem, points=POINTS):
    """Sup-distance to the exact solution, and relative excess of the penalty, per number of points."""
    exact = sb.predict(problem)
    runs = [sb.GridSolver(n).solve(problem) for n in points]
    assert all(run.outcome is sb.Outcome.CONVERGED for run in runs)
    sup = [sb.compare(run.function, exact.function, INTERVAL).sup for run in runs]
    return np.array(sup), np.array([run.penalty / exact.penalty - 1 for run in runs])


def order(values, points=POINTS):
    return -np.polyfit(np.log(points), np.log(values), 1)[0]


@pytest.mark.parametrize("name", ["A", "A-translated", "A-pytorch", "B-u2", "B-u3"])
def test_published_problems_converge_at_second_order(name):
    problem, values, _ = PUBLISHED[name]
    sup, excess = errors(problem)
    assert order(sup) == pytest.approx(2, abs=0.1)
    assert order(excess) == pytest.approx(2, abs=0.1)
    query = sb.GridSolver(1025).solve(problem).function([-1.3, -0.6, -0.1, 0.5, 0.8, 1.3])
    assert np.abs(query - values).max() <= sup[-1] + 1e-8  # the published digits


def test_a_sign_change_of_alpha_costs_order_in_the_function_not_in_the_penalty():
    sup, excess = errors(PUBLISHED["B-u4"][0])
    assert order(excess) == pytest.approx(2, abs=0.1)
    assert order(sup) > 4 / 3  # alpha ~ g^(1/3) there, until the quadratic part takes over


@pytest.mark.parametrize(
    "problem",
    [
        sb.Problem(SET_B, LAWS[law], ACTIVATIONS[act], sb.Scaled(SCALED[phi]), affine)
        for law, act, phi, affine in [
            ("uniform-bias", "relu", "hypentropy", "network"),
            ("unit-circle", "abs", "u1.5", "network"),
            ("unit-circle", "leaky", "hypentropy", "free"),
            ("laplace-bias", "relu", "u3+u2", "network"),
            ("constant-bias", "relu", "u3+u2", "network"),
        ]
    ]
    + [sb.Problem(SET_A, LAWS["gaussian"], sb.LeakyReLU(0.3)), sb.Problem(SET_A, LAWS["constant-bias"])],
    ids=lambda p: p.describe(),
)
def test_penalty_converges_from_above_at_second_order(problem):
    _, excess = errors(problem, POINTS[:4])
    assert (excess > 0).all()  # a grid is a restriction of alpha
    assert order(excess, POINTS[:4]) == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize("name", [*EACH_LAW, *EACH_ACTIVATION_AND_POTENTIAL])
def test_catalogue(name):
    problem = (QUADRATIC_PROBLEMS | SCALED_PROBLEMS)[name]
    solver = sb.GridSolver(129)
    if solver.supports(problem) is not None:
        with pytest.raises(sb.CapabilityError, match=r"one magnitude \|w\| per breakpoint.*DualSolver"):
            solver.solve(problem)
        return
    exact, found = sb.predict(problem), solver.solve(problem)
    assert found.residual == pytest.approx(max(found.stats["misfit"], found.stats["gap"] / grid_cost(found)), rel=1e-9)
    assert found.outcome is (sb.Outcome.CONVERGED if found.residual <= solver.tolerance else sb.Outcome.INACCURATE)
    if name == "heavy-bias-relu-u4+u2-network":  # tails that the interior-point method cannot weigh; it says so
        assert found.outcome is sb.Outcome.INACCURATE and found.residual > 0.1
        return
    # coarse as the grid is, multipliers and penalty are those of the exact problem up to its error
    error = (
        0.1 if name == "constant-bias-abs-free" else 2e-3
    )  # where the density is exp(-1000) among the data, one cell counts
    assert 0 < found.penalty / exact.penalty - 1 < error
    np.testing.assert_allclose(found.function(problem.data.x), problem.data.y, atol=1e-9)
    scale = np.abs(exact.multipliers).max()
    np.testing.assert_allclose(found.multipliers, exact.multipliers, rtol=0, atol=error * scale)


def grid_cost(prediction):
    return prediction.penalty if prediction.problem.scaled else prediction.penalty / 2


def test_every_law_with_one_magnitude_is_taken():
    for law in ONE_WEIGHT:
        several = law in ("one-sided", "three-weights")
        problem = sb.Problem(SET_B, LAWS[law], sb.ReLU(), sb.Scaled(sb.Power(3)))
        assert (sb.GridSolver().supports(problem) is None) is not several


def test_w_of_two_sizes_is_taken_for_relu_but_not_for_abs():
    # one |w| per breakpoint and side; Abs has one alpha for both sides only if they agree
    init = sb.Initialization(sb.Discrete((-1.0, 2.0), (0.5, 0.5)), st.norm())
    for activation in (sb.ReLU(), sb.Abs()):
        problem = sb.Problem(SET_B, init, activation, sb.Scaled(sb.Power(3, quadratic=1)))
        _, excess = errors(problem, [65, 257])
        assert excess[1] < excess[0] / 12


@pytest.mark.parametrize(
    "potential", [sb.Quadratic(), sb.Scaled(sb.Power(2)), sb.Scaled(sb.Power(3)), sb.Scaled(sb.Power(1.5))]
)
@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_homogeneous_potentials_are_equivariant_in_y(potential, factor):
    base = sb.Problem(SET_B, UNIFORM, sb.Abs(), potential)
    scaled = sb.Problem(sb.Dataset(SET_B.x, factor * SET_B.y), UNIFORM, sb.Abs(), potential)
    one, other = (sb.GridSolver(129).solve(problem) for problem in (base, scaled))
    assert sb.compare(lambda x: other.function(x) / factor, one.function, INTERVAL).sup < 1e-8
    degree = potential.base.p if isinstance(potential, sb.Scaled) else 2
    assert other.penalty == pytest.approx(factor**degree * one.penalty, rel=1e-8)
    assert other.residual < 1e-8


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_other_potentials_are_equivariant_once_their_scale_follows(factor):
    for small, large in [
        (sb.Hypentropy(0.5), sb.Hypentropy(0.5 * factor)),
        (sb.Power(4, quadratic=1), sb.Power(4, quadratic=factor**2)),
    ]:
        one = sb.GridSolver(129).solve(sb.Problem(SET_B, UNIFORM, sb.ReLU(), sb.Scaled(small)))
        data = sb.Dataset(SET_B.x, factor * SET_B.y)
        other = sb.GridSolver(129).solve(sb.Problem(data, UNIFORM, sb.ReLU(), sb.Scaled(large)))
        # a relative gap of delta leaves the function open to order sqrt(delta)
        slack = np.sqrt(one.residual) + np.sqrt(other.residual)
        assert sb.compare(lambda x, f=other.function: f(x) / factor, one.function, INTERVAL).sup < slack < 1e-3


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_any_size_of_y_is_solved(factor):
    problem = sb.Problem(sb.Dataset(SET_B.x, factor * SET_B.y), UNIFORM, sb.Abs(), sb.Scaled(sb.Power(4, quadratic=1)))
    exact, found = sb.predict(problem), sb.GridSolver(513).solve(problem)
    assert found.outcome is sb.Outcome.CONVERGED
    assert sb.compare(found.function, exact.function, INTERVAL).sup < 1e-3 * factor


@pytest.mark.parametrize("factor,shift", [(1e-4, 0.0), (1e4, 0.0), (1.0, 100.0)])
def test_units_of_x_do_not_matter(factor, shift):
    law = st.uniform(-factor - shift, 2 * factor)  # B = -c for W = 1
    data = sb.Dataset(factor * SET_A.x + shift, SET_A.y)
    moved = sb.GridSolver(257).solve(sb.Problem(data, sb.Initialization(sb.Constant(1.0), law), affine="free"))
    base = sb.Initialization(sb.Constant(1.0), st.uniform(-1, 2))
    still = sb.GridSolver(257).solve(sb.Problem(SET_A, base, affine="free"))
    x = np.linspace(-1.2, 1.2, 101)
    np.testing.assert_allclose(moved.function(factor * x + shift), still.function(x), atol=1e-9)


def test_free_affine_part_and_uniform_law_give_the_natural_cubic_spline():
    rng = np.random.default_rng(5)
    data = sb.Dataset(np.sort(rng.uniform(-0.9, 0.9, 7)), rng.normal(size=7))
    spline = CubicSpline(data.x, data.y, bc_type="natural")
    problem = sb.Problem(data, UNIFORM, affine="free")
    sup = [sb.compare(sb.GridSolver(n).solve(problem).function, spline, data.span).sup for n in POINTS]
    assert order(sup) == pytest.approx(2, abs=0.1)


def test_data_are_knots_and_never_moved():
    data = sb.Dataset([-0.91234567, -0.912, 0.1, 1.03], [0.3, 0.31, -0.2, 0.4])
    found = sb.GridSolver(65).solve(sb.Problem(data, UNIFORM))
    assert np.isin(data.x, found.function.edges).all()
    np.testing.assert_allclose(found.function(data.x), data.y, atol=1e-12)
    inside = (found.function.edges > data.x[0]) & (found.function.edges < data.x[1])
    assert inside.sum() >= 3  # however close two points are


def test_zero_data_give_the_zero_function():
    found = sb.GridSolver(65).solve(sb.Problem(sb.Dataset(SET_A.x, 0 * SET_A.y), UNIFORM, sb.Abs(), sb.Scaled(sb.Power(3))))
    assert (found.penalty, found.residual) == (0.0, 0.0)
    assert sb.compare(found.function, lambda x: 0.0, INTERVAL).sup == 0.0


def test_unreachable_data_are_reported_not_hidden():
    # breakpoints in (2, 3) only: the function is a line among the data
    problem = sb.Problem(SET_A, sb.Initialization(sb.Constant(1.0), st.uniform(-3, 1)), affine="free")
    found = sb.GridSolver(65).solve(problem)
    assert found.outcome is sb.Outcome.INACCURATE
    assert found.residual > 0.1
    with pytest.raises(sb.DataError, match="no neuron can bend"):
        sb.predict(problem, sb.GridSolver(65))


class Quartic(Potential):
    """A potential that the conic formulation does not know."""

    def value(self, u):
        return u**4 + u**2

    def grad(self, u):
        return 4 * u**3 + 2 * u

    def hess(self, u):
        return 12 * u**2 + 2

    def grad_inverse(self, z):
        return sb.Power(4, quadratic=1).grad_inverse(z)


def test_refusals_name_what_can():
    gaussian = sb.Problem(SET_B, sb.Initialization.gaussian(), sb.ReLU(), sb.Scaled(sb.Power(4, quadratic=1)))
    with pytest.raises(sb.CapabilityError, match=r"one magnitude \|w\| per breakpoint.*DualSolver takes it"):
        sb.predict(gaussian, sb.GridSolver())
    with pytest.raises(sb.CapabilityError, match="cones of Quadratic, Power and Hypentropy only.*DualSolver"):
        sb.GridSolver().solve(sb.Problem(SET_B, UNIFORM, sb.Abs(), sb.Scaled(Quartic())))
    for points in (7, 100.5, True):
        with pytest.raises(sb.DataError, match="`points` must be a whole number >= 8"):
            sb.GridSolver(points)
    with pytest.raises(sb.DataError, match="`tolerance` must be a finite real number > 0"):
        sb.GridSolver(tolerance=0)
