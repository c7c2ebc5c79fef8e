"""Networks of several inputs: their Jacobian, the free affine part, and where flow and descent take them."""

import numpy as np
import pytest
import scipy.stats as st
import torch

import splinebias as sb

X = np.array([(-0.8, -0.6), (-0.7, 0.5), (-0.2, -0.1), (0, 0.8), (0.1, -0.9), (0.4, 0.3), (0.7, -0.4), (0.9, 0.6)])
Y = np.array([0.2, -0.1, 0.4, 0, -0.3, 0.5, 0.1, -0.2])
AT = np.random.default_rng(1).uniform(-1, 1, (40, 2))
POINTS = sb.Points(X, Y, [1, 2, 1, 1, 3, 1, 1, 1])
SPHERE = sb.Initialization.sphere(st.uniform(-1.5, 3), dim=2)


@pytest.mark.parametrize("activation", [sb.ReLU(), sb.LeakyReLU(0.2), sb.ReLUPower(2)], ids=str)
def test_first_order_is_that_of_automatic_differentiation(activation):
    problem = sb.Problem(POINTS, sb.Initialization.gaussian(dim=2), activation)
    network = sb.Network.sample(problem, 7, 0)
    theta = network.theta + 0.3 * torch.sin(torch.arange(29.0, dtype=torch.float64))  # output weights that are not 0
    x = torch.tensor(X)

    def values(parameters):
        w, b, a, d = parameters[:14].reshape(2, 7), parameters[14:21], parameters[21:28], parameters[28]
        return activation.value(x @ w + b) @ a + d

    found = sb.Network(theta, network.activation, network.skip)
    linear, jacobian = found.linearize(x), torch.autograd.functional.jacobian(values, theta)
    np.testing.assert_allclose(linear.value, values(theta), rtol=1e-13)
    np.testing.assert_allclose(found(x), values(theta), rtol=1e-13)
    np.testing.assert_allclose(found.function()(X), values(theta), rtol=1e-12)
    np.testing.assert_allclose(linear.dense(), jacobian, atol=1e-13)
    scale = torch.linspace(0.5, 2, 29, dtype=torch.float64)
    np.testing.assert_allclose(linear.gram(scale), jacobian * scale @ jacobian.mT, atol=1e-12)
    v = torch.cos(torch.arange(29.0, dtype=torch.float64))
    np.testing.assert_allclose(linear.jvp(v), jacobian @ v, atol=1e-12)


def test_network_has_rows_of_weights_and_a_gradient():
    network = sb.Network.sample(sb.Problem(POINTS, SPHERE), 6, [0, 1])
    assert network.w.shape == (2, 6, 2)
    assert network.inputs == 2
    np.testing.assert_allclose(network.w.norm(dim=-1), 1.0)
    w, b, _ = SPHERE.sample(6, np.random.default_rng(1))
    np.testing.assert_array_equal(network[1].w, w)
    np.testing.assert_array_equal(network[1].b, b)
    run = sb.train(sb.Problem(POINTS, SPHERE, affine="free"), 200, method=sb.MirrorFlow(time=1e3))
    f, h = run.function, 1e-6
    slopes = np.stack([(f(AT + h * e) - f(AT - h * e)) / (2 * h) for e in np.eye(2)], axis=1)
    assert np.median(np.abs(f.gradient(AT) - slopes)) < 1e-8
    assert f(np.zeros((3, 4, 2))).shape == (3, 4)
    with pytest.raises(sb.CapabilityError, match="gradient"):
        f(AT, 1)


@pytest.mark.parametrize("affine", ["network", "free"])
def test_wide_networks_follow_the_path_of_the_limit(affine):
    problem = sb.Problem(POINTS, SPHERE, affine=affine)
    times = (20.0, 500.0)
    run = sb.train(problem, 40_000, method=sb.MirrorFlow(saveat=times, rtol=1e-5))
    assert run.outcome is sb.Outcome.CONVERGED
    for snapshot, t in zip(run.snapshots, times, strict=True):
        limit = sb.predict(problem, time=t)
        assert np.abs(snapshot.function(AT) - limit.function(AT)).max() < 6 / np.sqrt(40_000)
        assert snapshot.loss == pytest.approx(limit.stats["loss"], rel=0.1)
    assert np.abs(run.function(AT) - sb.predict(problem).function(AT)).max() < 6 / np.sqrt(40_000)


def test_free_affine_part_is_least_squares_with_the_weights_of_the_data():
    run = sb.train(sb.Problem(POINTS, SPHERE, affine="free"), 300, method=sb.MirrorFlow(time=50.0))
    left = POINTS.weights * (run.function(POINTS.x) - POINTS.y)
    assert np.abs(left).max() > 1e-2
    assert np.abs(left @ np.c_[POINTS.x, np.ones(8)]).max() < 1e-12


def test_descent_with_small_steps_is_the_flow():
    problem = sb.Problem(POINTS, SPHERE, affine="free", potential=sb.Hypentropy(0.5))
    rate, steps = 2e-3, 2000
    with_steps = sb.train(problem, 100, method=sb.MirrorDescent(rate, max_steps=steps), loss_tol=1e-30)
    flow = sb.train(problem, 100, method=sb.MirrorFlow(1e-7, time=100 * rate * steps), loss_tol=1e-30)
    assert with_steps.time == pytest.approx(flow.time)
    size = np.abs(flow.function(AT)).max()
    assert np.abs(with_steps.function(AT) - flow.function(AT)).max() < 2e-3 * size


def test_an_ensemble_is_the_runs_one_by_one():
    problem = sb.Problem(POINTS, sb.Initialization.pytorch_default(dim=2, both_layers=True))
    ensemble = sb.train_ensemble(problem, 50, [3, 5], method=sb.MirrorFlow(time=100.0))
    alone = sb.train(problem, 50, 5, method=sb.MirrorFlow(time=100.0))
    np.testing.assert_allclose(ensemble[1].function(AT), alone.function(AT), atol=1e-9)


def test_one_input_as_a_matrix_trains_the_network_of_the_line():
    x, y = [-1.0, 0.0, 0.4, 1.0], [0.0, 1.0, 0.3, 0.0]
    line = sb.train(sb.Problem(sb.Dataset(x, y), sb.Initialization.gaussian()), 100)
    column = sb.train(sb.Problem(sb.Points(np.array(x)[:, None], y), sb.Initialization.gaussian()), 100)
    at = np.linspace(-2, 2, 9)
    np.testing.assert_array_equal(column.function(at[:, None]), line.function(at))


def test_a_start_of_other_inputs_is_refused():
    problem = sb.Problem(POINTS, SPHERE)
    network = sb.Network.sample(sb.Problem(sb.Dataset([0, 1], [0, 1]), sb.Initialization.gaussian()), 10)
    with pytest.raises(sb.DataError, match="must have the 2 inputs"):
        sb.train(problem, start=network)
    again = sb.train(problem, start=sb.Network.sample(problem, 400, 7))
    np.testing.assert_array_equal(again.function(AT), sb.train(problem, 400, 7).function(AT))


def test_points_in_a_plane_are_refused_if_affine_functions_are_free():
    flat = sb.Points(np.c_[X[:, 0], 2 * X[:, 0] + 1], Y)
    with pytest.raises(sb.DataError, match="no hyperplane holds"):
        sb.train(sb.Problem(flat, SPHERE, affine="free"), 10)


def test_stalled_networks_say_where():
    run = sb.train(sb.Problem(POINTS, SPHERE), 1)
    assert not run.outcome.ok
    assert "x = [" in run.advice
