"""laziness of several inputs: conservation, one input as a limit of two, trained networks."""

import numpy as np
import pytest
import scipy.stats as st
from test_band_of_points import POINTS, PROBLEMS, SPHERE

import splinebias as sb


@pytest.mark.parametrize("law", PROBLEMS)
def test_growth_is_what_conservation_says(law):
    """a^2 - |w|^2 - b^2 is conserved by gradient flow, and a ends at alpha/n."""
    problem = PROBLEMS[law]
    w, b = problem.initialization.pair_law.sample(200, np.random.default_rng(1))
    alpha = np.maximum(w @ POINTS.x.T + b[:, None], 0) @ sb.predict(problem).multipliers
    expected = alpha**2 / (2 * 3000**2 * ((w**2).sum(axis=1) + b**2))
    found = sb.laziness(problem, 3000)
    np.testing.assert_allclose(found.growth(w, b), expected, rtol=0, atol=1e-9 * expected.max())
    assert found.change(w, b).shape == (3, 200)


def test_trained_networks_move_as_predicted():
    problem, width = PROBLEMS["sphere"], 4000
    run = sb.train(problem, width, 3, method=sb.MirrorFlow(rtol=1e-8))  # hidden weights move by 1e-5
    found = sb.laziness(problem, width).measured(run)
    assert found.overall == pytest.approx(found.predicted_overall, rel=0.1)
    assert np.corrcoef(found.movement, found.predicted)[0, 1] > 0.99


def test_an_input_that_no_weight_sees_changes_nothing():
    """With w_2 tiny, two inputs are one: the laziness of the line is a twin that shares no code up to the modes."""

    class Flat:
        def sample(self, width, rng):
            w = rng.standard_normal(width)
            return np.c_[w, 1e-9 * rng.standard_normal(width)], rng.standard_normal(width)

    x, y = np.array([-1.0, -0.3, 0.4, 1.0]), [0.2, -0.1, 0.3, 0.0]
    two = sb.Problem(sb.Points(np.c_[x, 0 * x], y), sb.Initialization.from_sampler(Flat()))
    one = sb.Problem(sb.Dataset(x, y), sb.Initialization.gaussian())
    w, b = np.random.default_rng(0).standard_normal((2, 100))
    line, plane = sb.laziness(one, 300).change(w, b), sb.laziness(two, 300).change(np.c_[w, 0 * w], b)
    size = np.abs(line).max()
    assert np.abs(plane[[0, 2]] - line).max() < 0.05 * size  # kernels from samples
    assert sb.laziness(two, 300).lazy_width == pytest.approx(sb.laziness(one, 300).lazy_width, rel=0.05)


def test_movement_falls_like_the_square_of_the_width_and_advice_says_where_it_matters():
    narrow, wide = sb.laziness(PROBLEMS["spline"], 100), sb.laziness(PROBLEMS["spline"], 1000)
    assert narrow.overall == pytest.approx(100 * wide.overall, rel=1e-12)
    assert "hidden weights move by" in narrow.advice
    assert sb.laziness(PROBLEMS["spline"], narrow.lazy_width).advice == ""


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sb.laziness(PROBLEMS["sphere"], 50).movement([1.0, 2.0], [1.0]), "must have a row for each of 1"),
        (lambda: sb.laziness(PROBLEMS["sphere"], 50).movement(np.ones((2, 3)), [1.0, 2.0]), r"shape \(\.\.\., 2\)"),
        (lambda: sb.laziness(sb.Problem(POINTS, SPHERE, sb.ReLUPower(2)), 50), "two-slope activations"),
        (lambda: sb.laziness(sb.Problem(POINTS, SPHERE, potential=sb.Scaled(sb.Power(4, quadratic=1))), 50), "quadratic"),
        (
            lambda: sb.laziness(sb.Problem(POINTS, sb.Initialization.sphere(st.norm(), st.norm(), dim=2)), 50),
            "output weights that start at 0",
        ),
        (lambda: sb.laziness(sb.Problem(sb.Points([[0], [1]], [0, 1]), sb.Initialization.gaussian()), 50), "sb.Dataset"),
    ],
)
def test_refusals(call, message):
    with pytest.raises((sb.DataError, sb.CapabilityError), match=message):
        call()
