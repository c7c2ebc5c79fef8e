"""laziness: conservation, order in n, trained networks; refusals."""

import math

import numpy as np
import pytest
import scipy.stats as st
from marks import nightly
from problems import LAWS, PUBLISHED, SET_A, UNIFORM

import splinebias as sb
from splinebias.finite_width.movement.laziness import Laziness, roughly
from splinebias.finite_width.movement.pulled_units import PullAlongPath
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.trajectory.linear_flow import LinearFlow

A, QUARTIC = PUBLISHED["A"][0], PUBLISHED["B-u4"][0]
FINE = sb.MirrorFlow(rtol=1e-6)  # hidden weights move by less than the default tolerance


def units(problem, count=500):
    return problem.initialization.pair_law.sample(count, np.random.default_rng(1))


@pytest.mark.parametrize("affine", ["network", "free"])
@pytest.mark.parametrize("activation", [sb.ReLU(), sb.Abs(), sb.LeakyReLU(0.3)], ids=str)
def test_growth_is_what_conservation_says(activation, affine):
    """a^2 - w^2 - b^2 is conserved by gradient flow, and a ends at alpha/n."""
    problem = sb.Problem(SET_A, sb.Initialization.pytorch_default(), activation, affine=affine)
    w, b = units(problem)
    alpha = activation.value(np.outer(w, SET_A.x) + b[:, None]) @ sb.predict(problem).multipliers
    expected = alpha**2 / (2 * 3000**2 * (w**2 + b**2))
    found = sb.laziness(problem, 3000).growth(w, b)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * expected.max())


def test_the_path_of_a_scaled_quadratic_potential_is_that_of_the_modes():
    """|u|^p with p close to 2 goes the way of stiff potentials."""
    near = sb.Problem(SET_A, UNIFORM, potential=sb.Scaled(sb.Power(2.001)))
    exact = sb.Problem(SET_A, UNIFORM, potential=sb.Scaled(sb.Power(2)))
    w, b = units(exact, 100)
    np.testing.assert_allclose(
        sb.laziness(near, 1000).movement(w, b), sb.laziness(exact, 1000).movement(w, b), rtol=0.05, atol=1e-9
    )


@pytest.mark.parametrize(("problem", "width"), [(A, 2000), (A, 8000), (QUARTIC, 2000)], ids=["A-2000", "A-8000", "u4"])
def test_trained_networks_move_as_predicted(problem, width):
    run = sb.train(problem, width, 3, method=FINE, loss_tol=1e-10, progress=False)
    found = sb.laziness(problem, width).measured(run)
    assert found.overall == pytest.approx(found.predicted_overall, rel=0.25)
    assert np.corrcoef(found.movement, found.predicted)[0, 1] > 0.97


def test_movement_is_measured_from_the_start_of_the_run():
    start = sb.Network.sample(A, 50, seed=99)
    given, drawn = sb.train(A, start=start, loss_tol=1e-4), sb.train(A, 50, seed=99, loss_tol=1e-4)
    own, same = (sb.laziness(A, 50).measured(run) for run in (given, drawn))
    np.testing.assert_array_equal(own.movement, same.movement)
    np.testing.assert_array_equal(own.predicted, same.predicted)


def test_movement_falls_like_the_square_of_the_width():
    narrow, wide = sb.laziness(A, 100), sb.laziness(A, 1000)
    assert narrow.overall == pytest.approx(100 * wide.overall, rel=1e-12)
    assert narrow.lazy_width == pytest.approx(wide.lazy_width, abs=1)
    assert "hidden weights move by" in narrow.advice
    assert sb.laziness(A, narrow.lazy_width).advice == ""
    assert str(wide).startswith("width 1000: hidden weights move by")


@pytest.mark.parametrize("phi", [*(nightly(sb.Power(p, quadratic=1)) for p in (3, 4)), sb.Hypentropy(0.05)], ids=repr)
def test_the_lazy_width_does_not_depend_on_the_width_it_is_asked_at(phi):
    """With a scaled potential movement does not fall like a power of the width: overflow far from the limit included."""
    problem = sb.Problem(sb.Dataset([-1, -0.9, 0.1, 1], [0.3, -0.3, 0.2, 0]), UNIFORM, potential=sb.Scaled(phi))
    narrow, wide = sb.laziness(problem, 3), sb.laziness(problem, 3000)
    assert narrow.lazy_width == wide.lazy_width > 3
    assert len(str(narrow)) < 300 and "inf%" not in str(narrow)
    assert sb.laziness(problem, narrow.lazy_width).advice == ""
    assert sb.laziness(problem, narrow.lazy_width - 1).advice != ""


def test_unscaled_potentials_slow_hidden_weights_by_their_second_derivative():
    """phi'' of |u|^4 + u^2 is 2 at zero and 14 at |w| = 1."""
    init = sb.Initialization.rademacher(st.uniform(-1, 2))
    w, b = units(A, 50)
    plain = sb.laziness(sb.Problem(SET_A, init), 500).change(w, b)
    slow = sb.laziness(sb.Problem(SET_A, init, potential=sb.Power(4, quadratic=1)), 500).change(w, b)
    np.testing.assert_allclose(slow, plain * 2 / (12 * np.stack([w, b]) ** 2 + 2), rtol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sb.laziness(SET_A, 50), "`problem` must be an sb.Problem"),
        (lambda: sb.laziness(A, 0), "`width` must be a whole number >= 1"),
        (lambda: sb.laziness(sb.Problem(SET_A, UNIFORM, sb.ReLUPower(2)), 50), "two slopes"),
        (
            lambda: sb.laziness(sb.Problem(SET_A, sb.Initialization(sb.Rademacher(), st.norm(), st.norm())), 50),
            "output weights that start at 0",
        ),
        (lambda: sb.laziness(A, 50).movement([1.0], [1.0, 2.0]), "`w` and `b` must be as many, got 1 and 2"),
        (
            lambda: sb.laziness(A, 50).measured(sb.train(A, 20, loss_tol=1e-2, progress=False)),
            "must be a network of this problem and width 50",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises((sb.DataError, sb.CapabilityError), match=message):
        call()


# -- where leading order does not hold -----------------------------------------------------------------------------


def sliver(seed, gap=0.006):
    """Twelve points in [-1, 1], two of them this close together."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, 11)
    return sb.Problem(sb.Dataset([*x, x[5] + gap], rng.normal(size=12)), sb.Initialization.gaussian())


@pytest.mark.parametrize("seed", range(2))
def test_units_between_close_points_do_not_move_a_thousand_times_their_size(seed):
    problem = sliver(seed)
    found = sb.laziness(problem, 1000)
    assert found._leading_order_at(1000) > 10
    assert 0.1 < found.overall < 5
    assert found.quantile(0.1) <= found.quantile(0.5) <= found.quantile(0.9) <= found.largest < 30
    assert not found.holds
    assert "leading order does not hold: hidden weights move by up to" in found.advice
    assert "leading order does not hold" in sb.error_band(problem, 1000).advice
    wide = sb.laziness(problem, found.lazy_width)
    assert wide.holds and wide.advice == ""


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [0, 1])
def test_trained_units_between_close_points_move_no_farther_than_is_said(seed):
    problem = sliver(seed)
    run = sb.train(problem, 1000, 0, loss_tol=1e-4, progress=False)
    found = sb.laziness(problem, 1000)
    measured = found.measured(run)
    assert measured.overall < found.overall < 10 * measured.overall
    for share in (0.9, 0.99, 1.0):
        assert np.quantile(measured.movement, share) < np.quantile(measured.predicted, share)


def test_the_bound_is_what_conservation_and_the_contribution_say():
    problem = sliver(0)
    w, b = units(problem, 200)
    alpha = np.abs(np.maximum(np.outer(w, problem.data.x) + b[:, None], 0) @ sb.predict(problem).multipliers)
    for width in (10, 1000, 10**6):
        s = sb.laziness(problem, width).bound(w, b) - 1
        size = np.hypot(w, b)
        output = np.sqrt(s**2 - 1) * size  # a^2 = |(w, b)|^2 - |(w_0, b_0)|^2
        np.testing.assert_allclose(output * s * size, alpha / width * size, rtol=1e-6, atol=1e-7 * size.max() ** 2)
        assert (sb.laziness(problem, width).movement(w, b) <= (1 + s) * (1 + 1e-12)).all()


def test_a_straight_path_of_multipliers_is_nearly_as_good():
    for problem in (A, QUARTIC, PUBLISHED["A-pytorch"][0]):
        exact, straight = sb.laziness(problem, 4000), roughly(sb.predict(problem), 4000)
        assert straight.overall == pytest.approx(exact.overall, rel=0.05)
        assert straight.lazy_width == pytest.approx(exact.lazy_width, rel=0.05)


CHEAP = [LAWS[name] for name in ("uniform-bias", "laplace-bias", "gaussian", "unit-circle", "constant-bias")]
EXTREME = [sb.Quadratic(), sb.Power(4, quadratic=1), *(sb.Scaled(sb.Hypentropy(beta)) for beta in (1.0, 1e-3))]
EXTREME += [sb.Scaled(sb.Power(p)) for p in (1.05, 1.5, 6)]


@pytest.mark.parametrize("potential", EXTREME, ids=repr)
def test_no_number_is_nan(potential):
    """Close points, steep data, every kind of law, multipliers up to where curvature overflows; units at the origin."""
    rng = np.random.default_rng(0)
    for trial in range(8):
        size = int(rng.integers(2, 9))
        x = np.cumsum(10 ** rng.uniform(-9, 0, size))
        law = CHEAP[trial % len(CHEAP)]
        activation = (sb.ReLU(), sb.Abs(), sb.LeakyReLU(0.3))[trial % 3]
        problem = sb.Problem(sb.Dataset(x, rng.normal(size=size)), law, activation, potential)
        multipliers = rng.normal(size=size) * 10 ** rng.uniform(-3, 12)
        path = np.linspace(0, 1, 5)[:, None] * multipliers
        width = int(10 ** rng.uniform(0, 12))
        found = Laziness(problem, width, 0, multipliers, PullAlongPath(path, problem.limit_potential))
        w, b = units(problem, 50)
        w[0] = b[0] = 0.0
        numbers = [found.overall, found.largest, found.quantile(0.5)]
        for values in (numbers, found.change(w, b), found.movement(w, b), found.growth(w, b), found.bound(w, b)):
            assert np.isfinite(np.array(values, dtype=float)).all()
        assert found.movement(w, b)[0] == 0
        assert not np.isnan(found._leading_order_at(width))


def test_modes_whose_rates_have_no_squares_leave_a_verdict_and_no_warning():
    law, x = sb.Initialization.rademacher(st.norm(0, 0.08)), np.array([-1.2, 0.0, 0.3, 0.9, 2.6, 3.3, 3.5])
    problem = sb.Problem(sb.Dataset(x, np.sin(5 * x)), law)
    assert LinearFlow.of(PosedProblem(problem)).modes.rates.min() ** 2 == 0
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        found = sb.laziness(problem, 1000)
    assert not found.holds and math.isfinite(found.overall)


def test_two_points_on_a_free_line_move_nothing():
    assert sb.laziness(sb.Problem(sb.Dataset([0, 1], [0, 1]), UNIFORM, affine="free"), 100).overall == 0
