"""Networks of smooth neurons are trained like all others: by flow, descent and exact gradients, alone or many at once."""

import numpy as np
import pytest
import torch
from marks import nightly

import splinebias as sb

DATA = sb.Dataset([-1, -0.3, 0.4, 1], [0.2, -0.1, 0.1, 0.0], weights=[1, 2, 1, 0.5])
LAW = sb.Initialization.gaussian(2, 2)
SMOOTH = [sb.X2Tanh(), sb.Softplus(), *map(nightly, (sb.Tanh(), sb.XTanh(), sb.Sigmoid(), sb.Centred(sb.Softplus())))]


@pytest.mark.parametrize("activation", SMOOTH, ids=str)
def test_descent_follows_the_gradient_that_autograd_finds(activation):
    problem = sb.Problem(DATA, LAW, activation)
    run = sb.train(problem, 7, seed=3, method=sb.MirrorDescent(1e-3, max_steps=5))
    theta, x = run.start.theta.clone().requires_grad_(), torch.tensor(DATA.x)
    for _ in range(5):
        residual = sb.Network(theta, activation, torch.zeros(2, dtype=theta.dtype))(x) - torch.tensor(DATA.y)
        weights = torch.tensor(DATA.weights / DATA.weights.sum())
        (slope,) = torch.autograd.grad((weights * residual**2).sum() / 2, theta)
        theta = (theta - 1e-3 * slope).detach().requires_grad_()
    torch.testing.assert_close(run.network.theta, theta.detach(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("activation", SMOOTH, ids=str)
def test_flows_and_descent_agree(activation):
    problem = sb.Problem(DATA, LAW, activation)
    time, x = 2.0, np.linspace(-1, 1, 41)
    flow = sb.train(problem, 40, method=sb.MirrorFlow(1e-8, time=time))
    neurons = sb.train(problem, 40, method=sb.NeuronFlow(1e-7, time=time))
    assert flow.outcome is neurons.outcome is sb.Outcome.REACHED_TIME
    np.testing.assert_allclose(neurons(x), flow(x), atol=1e-6)
    steps = 2000
    descent = sb.train(problem, 40, method=sb.MirrorDescent(time / 40 / steps, max_steps=steps))
    np.testing.assert_allclose(descent(x), flow(x), atol=2e-3 * np.abs(flow(x)).max() + 1e-4)


@pytest.mark.parametrize("activation", [sb.XTanh(), nightly(sb.X2Tanh())], ids=str)
def test_flow_of_neurons_gets_below_its_tolerance(activation):
    """Steps at the limit of stability jitter by their tolerance, which falls with the misfit."""
    run = sb.train(sb.Problem(DATA, LAW, activation), 100, method=sb.NeuronFlow(), loss_tol=1e-7)
    assert run.outcome is sb.Outcome.CONVERGED


def test_ensembles_are_single_runs_and_inputs_may_be_several():
    problem = sb.Problem(DATA, LAW, sb.XTanh())
    method, x = sb.MirrorFlow(1e-6, time=3.0), np.linspace(-1, 1, 5)
    both = sb.train_ensemble(problem, 20, [0, 4], method=method)
    np.testing.assert_allclose(both[1](x), sb.train(problem, 20, 4, method=method)(x), atol=1e-9)
    points = sb.Points(np.random.default_rng(0).standard_normal((6, 2)), [1, 0, -1, 0.3, 0.2, 0.5])
    run = sb.train(
        sb.Problem(points, sb.Initialization.gaussian(dim=2), sb.Tanh()), 50, method=sb.NeuronFlow(), loss_tol=1e-3
    )
    assert run.outcome is sb.Outcome.CONVERGED
    np.testing.assert_allclose(run.function(points.x), points.y, atol=0.3)


def test_runs_are_saved_and_modules_compute_the_same(tmp_path):
    run = sb.train(sb.Problem(DATA, LAW, sb.Softplus()), 10, method=sb.MirrorFlow(time=1.0))
    run.save(tmp_path / "run.npz")
    again = sb.load(tmp_path / "run.npz")
    assert torch.equal(again.network.theta, run.network.theta) and again.problem == run.problem
    x = np.linspace(-1, 1, 7)
    with torch.no_grad():
        values = run.network.to_torch()(torch.tensor(x)[:, None])[:, 0].numpy()
    np.testing.assert_allclose(values, run(x), atol=1e-13)
    with pytest.raises(sb.CapabilityError, match="only activations of the library and of torch"):
        sb.Network.sample(sb.Problem(DATA, LAW, sb.XTanh()), 4).to_torch()
