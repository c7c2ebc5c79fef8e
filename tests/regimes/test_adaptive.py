"""The adaptive regime: its axes, the reduced system of radii and angles, measures by definition, both ends, refusals."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats as st
import torch
from problems import SET_A
from scipy.integrate import solve_ivp

import splinebias as sb
from splinebias.networks.network import Network
from splinebias.regimes.adaptive import lazy_problem

D7 = sb.Dataset([-1, -0.7, -0.3, 0.1, 0.3, 0.6, 1], [0.5, 0.1, -0.25, -0.3, -0.05, 0.3, 1])
SHORT = sb.NeuronFlow(1e-3, time=1e-3)


def trained(problem, width=60, seed=0, **options):
    return sb.train(problem, width, seed, method=sb.NeuronFlow(1e-4, **options), loss_tol=1e-8, progress=False)


def with_network(run, w, b, a, d=0.0):
    """The run as if it had started and ended at these parameters, a with its scale."""
    network = Network(torch.tensor(np.r_[w, b, a, d], dtype=torch.float64), sb.ReLU(), torch.zeros(2, dtype=torch.float64))
    return replace(run, network=network, start=network, function=network.function())


@pytest.fixture(scope="module")
def run():
    return trained(sb.adaptive_problem(D7, 0.3, 0.0), 100)


# -- axes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [D7, sb.Dataset(100 + 3 * D7.x, 1e-3 * D7.y)], ids=["plain", "far and flat"])
@pytest.mark.parametrize("size", [1e-6, 0.1, 10.0, 1e4])
@pytest.mark.parametrize("imbalance", [-1e5, -1.0, 0.0, 1.0, 1e5])
def test_networks_start_where_they_were_asked_to(data, size, imbalance):
    """By the definitions, for every neuron; f starts at 0."""
    problem = sb.adaptive_problem(data, size, imbalance)
    start, n = Network.sample(problem, 20, 3), 20
    least = sb.minimum_norm(data, penalize_bias=True, affine="network").norm
    alpha = n * problem.parameterization.richness
    w, b, a = start.w.numpy(), start.b.numpy(), start.a.numpy() * alpha
    assert np.abs(a) @ np.hypot(w, b) / alpha / least == pytest.approx(size, rel=1e-9)
    delta = n * (a**2 - w**2 - b**2) / (alpha * least)
    np.testing.assert_allclose(delta, imbalance, atol=1e-9 * np.max(n * (a**2 + w**2 + b**2) / (alpha * least)))
    assert np.abs(start(torch.tensor(data.x)).numpy()).max() < 1e-12 * size * least


def test_axes_do_not_change_with_the_width_and_are_those_of_the_papers_scalings():
    """alpha = n stays where it is, alpha = sqrt(n) goes to the kernel end."""
    law = sb.Initialization(st.norm(), st.norm(), output=st.norm(0, 0.1), antisymmetric=False)
    rich, lazy = sb.Problem(D7, law, parameterization=sb.MeanField(1.0)), sb.Problem(D7, law, parameterization=sb.NTK())
    sizes, imbalances = [], []
    for problem in (rich, lazy):
        found = [sb.adaptive_measures(sb.train(problem, n, method=SHORT, progress=False)) for n in (40_000, 160_000)]
        sizes.append(found[1].size / found[0].size)
        imbalances.append(found[1].imbalance / found[0].imbalance)
        assert found[1].imbalance < 0
    np.testing.assert_allclose([sizes[0], imbalances[0]], 1, rtol=0.03)
    np.testing.assert_allclose([sizes[1], imbalances[1]], 2, rtol=0.03)


# -- the reduced system -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "imbalance", "time"), [(1.0, -2.0, 10.0), (0.5, 0.0, 0.8), (1.0, 3.0, 0.1)])
def test_radii_and_angles_follow_the_reduced_system(size, imbalance, time):
    r"""r' = -(delta^2 + 4r^2)^(1/2) g(theta), theta' = -2r / ((delta^2 + 4r^2)^(1/2) - delta) g'(theta), alpha = gamma n."""
    problem = sb.adaptive_problem(D7, size, imbalance)
    n, gamma, x = 24, problem.parameterization.richness, D7.x
    start = Network.sample(problem, n, 5)
    w, b, a = start.w.numpy(), start.b.numpy(), start.a.numpy() * gamma * n
    delta = a**2 - w**2 - b**2

    def velocity(_, state):
        r, theta, d = state[:n], state[n:-1], state[-1]
        z = np.outer(x, np.cos(theta)) + np.sin(theta)
        active = z > 0
        miss = ((active * z) @ r + d) / (gamma * n) - D7.y
        g = miss @ (active * z) / x.size
        turn = miss @ (active * (np.cos(theta) - np.outer(x, np.sin(theta)))) / x.size
        root = np.sqrt(delta**2 + 4 * r**2)
        return gamma * np.r_[-root * g, -2 * r / (root - delta) * turn, -miss.mean()]

    begin = np.r_[a * np.hypot(w, b), np.arctan2(b, w), 0.0]
    end = solve_ivp(velocity, (0, time), begin, rtol=1e-8, atol=1e-10, max_step=time / 100).y[:, -1]
    method = sb.NeuronFlow(1e-7, time=time)
    run = sb.train(problem, start=start, method=method, loss_tol=1e-14, progress=False)
    theta = np.arctan2(run.network.b.numpy(), run.network.w.numpy())
    radius = run.network.a.numpy() * gamma * n * np.hypot(run.network.w.numpy(), run.network.b.numpy())
    turned = np.abs(np.angle(np.exp(1j * (theta - begin[n:-1]))))
    assert turned.max() > 0.02  # features moved
    assert run.stats["sliding"] == 0  # where an explicit method would stall
    np.testing.assert_allclose(np.angle(np.exp(1j * (theta - end[n:-1]))), 0, atol=2e-4)
    np.testing.assert_allclose(radius, end[:n], atol=2e-4 * np.abs(end[:n]).max())
    assert sb.adaptive_measures(run).drift < 1e-11


# -- measures by their definitions ------------------------------------------------------------------------------------


def test_measures_of_random_networks_are_those_of_their_definitions(run):
    rng = np.random.default_rng(0)
    for _ in range(5):
        w, b, a = rng.normal(size=(3, 40))
        found = sb.adaptive_measures(with_network(run, w, b, a))
        c = -b / w
        inside = (c > -1) & (c < 1)
        assert found.curvature == pytest.approx(np.abs(a * w)[inside].sum())
        values = np.maximum(np.outer(D7.x, w) + b, 0) @ a
        slopes = np.diff(values) / np.diff(D7.x)
        assert found.curvature_ratio == pytest.approx(found.curvature / np.abs(np.diff(slopes)).sum())
        nearest = np.abs(c[inside, None] - D7.x).min(axis=1)
        assert found.knot_distance == pytest.approx(np.average(nearest, weights=np.abs(a * w)[inside]))
        assert found.dead == np.sum(~(np.outer(D7.x, w) + b > 0).any(axis=0))
        grid = np.linspace(-1, 1, 20_001)
        f = np.maximum(np.outer(grid, w) + b, 0) @ a
        assert found.to_interpolant == pytest.approx(np.abs(f - np.interp(grid, D7.x, values)).max(), rel=1e-3)
        outside = np.maximum(f - found.fitted.upper(grid), found.fitted.lower(grid) - f).max()
        assert found.to_minimizers == pytest.approx(max(outside, 0), rel=1e-3)


def test_minimizers_are_at_the_adaptive_end_and_only_one_of_them_connects_the_dots(run):
    least = sb.minimum_norm(D7)
    for function, connects in ((least.function, True), (least.sparsest, False)):
        knots, kinks = function.knots, function.kinks
        left = function.derivative()(-2.0)
        w, b = np.r_[np.ones(knots.size), 1.0, -1.0], np.r_[-knots, 3.0, 3.0]  # two units make the line
        line = np.array([left / 2, -left / 2])
        made = with_network(run, w, b, np.r_[kinks, line], float(function(-2.0) + 2 * left))
        found = sb.adaptive_measures(made)
        np.testing.assert_allclose(made.function(D7.x), D7.y, atol=1e-12)
        assert found.curvature_ratio == pytest.approx(1)
        assert found.to_minimizers < 1e-12
        assert (found.to_interpolant < 1e-12) == connects
        assert (found.knot_distance < 1e-12) == connects


def test_bends_that_cancel_at_one_sample_are_none(run):
    """Two neurons that arrived from both sides; bends on the outermost samples are not between them."""
    w, b = np.array([1.0, 1.0, 1.0, 1.0]), np.array([-0.1, np.nextafter(-0.1, 0), 1.0 - 1e-15, 0.3])
    found = sb.adaptive_measures(with_network(run, w, b, np.array([5.0, -5.0, 2.0, 1.0])))
    assert found.curvature == pytest.approx(1.0)
    apart = sb.adaptive_measures(with_network(run, w, b - [0, 1e-6, 0, 0], np.array([5.0, -5.0, 2.0, 1.0])))
    assert apart.curvature == pytest.approx(11.0)


def test_a_line_needs_no_bend(run):
    w, b, a = np.ones(2), np.array([2.0, 0.0]), np.array([1.0, 0.0])
    assert sb.adaptive_measures(with_network(run, w, b, a)).curvature_ratio == 1.0


# -- both ends --------------------------------------------------------------------------------------------------------


def test_the_adaptive_end_bends_least_and_the_kernel_end_is_predicted():
    rich = sb.adaptive_measures(trained(sb.adaptive_problem(D7, 0.1, 0.0), 300))
    lazy = sb.adaptive_measures(trained(sb.adaptive_problem(D7, 100.0, -1000.0), 2000))
    assert rich.curvature_ratio < 1.06
    assert rich.to_kernel > 0.02
    assert rich.interpolates
    assert rich.dead_at_start > 0
    assert lazy.curvature_ratio > 5
    assert lazy.to_kernel < 0.02
    assert lazy.to_interpolant > 0.04
    assert max(rich.drift, lazy.drift) < 1e-9


def test_small_starts_that_do_not_interpolate_are_said_not_to():
    found = sb.adaptive_measures(trained(sb.adaptive_problem(D7, 0.1, 100.0), 100))
    assert not found.interpolates
    assert found.curvature_ratio < 1.06
    assert "does not interpolate" in repr(found)


def test_the_lazy_problem_of_a_lazy_one_is_itself(run):
    problem = sb.Problem(SET_A, sb.Initialization.gaussian())
    assert lazy_problem(problem) is problem
    assert lazy_problem(run.problem).parameterization == sb.NTK()
    measures = sb.adaptive_measures(sb.train(problem, 2000, loss_tol=1e-8, progress=False))
    assert measures.to_kernel < 0.1
    np.testing.assert_array_equal(measures.kernel_limit.function(D7.x), sb.predict(problem).function(D7.x))


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, -1.0, np.inf, "large"])
def test_sizes_that_are_none_are_refused(size):
    with pytest.raises(sb.DataError, match="`size` must be"):
        sb.adaptive_problem(D7, size, 0.0)


def test_what_has_no_axes_is_refused(run):
    with pytest.raises(sb.DataError, match="`imbalance` must be"):
        sb.adaptive_problem(D7, 1.0, np.nan)
    with pytest.raises(sb.DataError, match="`data` must be a Dataset, got int"):
        sb.adaptive_problem(3, 1.0, 0.0)
    with pytest.raises(sb.DataError, match="`data` must be a Dataset, got Points"):
        sb.adaptive_problem(sb.Points([[0, 0], [1, 0], [0, 1]], [0, 1, 2]), 1.0, 0.0)
    with pytest.raises(sb.DataError, match="must ask for more than a constant"):
        sb.adaptive_problem(sb.Dataset([0, 1, 2], [3, 3, 3]), 1.0, 0.0)
    with pytest.raises(sb.DataError, match="`run` must be a Training, got Dataset"):
        sb.adaptive_measures(D7)
    labels = sb.Dataset(D7.x, np.sign(D7.y + 1e-9))
    classified = sb.train(sb.Problem(labels, sb.Initialization.gaussian()), 60, loss=sb.Logistic(), loss_tol=0.5)
    with pytest.raises(sb.CapabilityError, match="the adaptive regime is about the squared loss"):
        sb.adaptive_measures(classified)
    for change in ({"activation": sb.Abs()}, {"affine": "free"}):
        with pytest.raises(sb.CapabilityError, match="ReLU networks without skip connection"):
            sb.adaptive_measures(replace(run, problem=replace(run.problem, **change)))
