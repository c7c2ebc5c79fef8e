"""Losses of labels, and frozen parameters: gradients by definition, runs beside plain loops, where they end, refusals."""

import math

import numpy as np
import pytest
import scipy.stats as st
import torch

import splinebias as sb
from splinebias.loss import loss_named
from splinebias.networks.network import Network
from splinebias.training.descent.batch import gradient
from splinebias.training.field import Field
from splinebias.training.neuron_flow.state import Medium
from splinebias.training.neuron_flow.step import NeuronStep

X = [-2, -1.2, -0.4, 0.6, 1.4, 2]
DATA = sb.Dataset(X, [1, 1, -1, -1, -1, 1], weights=[1, 2, 1, 0.5, 1, 1])
LAW = sb.Initialization(st.norm(0, 1), st.norm(0, 1), output=st.norm(0, 1))
PROBLEM = sb.Problem(DATA, LAW)
LOSSES = [sb.Logistic(), sb.Exponential()]
SMALL = sb.Initialization(st.norm(0, 1e-4), st.norm(0, 1e-4), output=st.norm(0, 1e-4))


def by_torch(loss, margins):
    """The loss by functions of torch alone."""
    return torch.nn.functional.softplus(-margins) if loss == sb.Logistic() else torch.exp(-margins)


def descended(loss, theta, rate, steps, moves=1.0):
    """Plain gradient descent on the defining formula, with torch's gradient."""
    x, y, m = (torch.tensor(np.asarray(v, dtype=float)) for v in (DATA.x, DATA.y, DATA.weights))
    theta = theta.clone()
    for _ in range(steps):
        theta = theta.requires_grad_()
        f = Network(theta, sb.ReLU(), torch.zeros(2, dtype=theta.dtype))(x)
        value = (m * by_torch(loss, y * f)).sum() / m.sum()
        theta = (theta - rate * moves * torch.autograd.grad(value, theta)[0]).detach()
    return theta


@pytest.mark.parametrize("loss", [*LOSSES, sb.Squared()], ids=str)
def test_pulls_and_curvatures_are_derivatives_on_arrays_and_tensors(loss):
    z, h = np.linspace(-3, 3, 13), 1e-5
    np.testing.assert_allclose(loss.pull(z), (loss.value(z - h) - loss.value(z + h)) / (2 * h), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(loss.curvature(z), (loss.pull(z - h) - loss.pull(z + h)) / (2 * h), rtol=1e-8, atol=1e-9)
    for name in ("value", "pull", "curvature"):
        of_tensor = getattr(loss, name)(torch.tensor(z))
        np.testing.assert_allclose(of_tensor.numpy(), getattr(loss, name)(z), rtol=1e-15)


def test_the_logistic_loss_keeps_its_digits_where_it_is_small():
    assert sb.Logistic().value(np.array([800.0, 700.0]))[1] == pytest.approx(math.exp(-700), rel=1e-12)
    assert sb.Logistic().pull(np.array([-800.0])) == 1


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_runs_are_plain_descent_step_for_step(loss):
    run = sb.train(PROBLEM, 30, 1, loss=loss, method=sb.MirrorDescent(0.02, max_steps=50))
    theta = descended(loss, run.start.theta, 0.02, 50)
    torch.testing.assert_close(run.network.theta, theta, rtol=1e-11, atol=1e-12)
    margins = DATA.y * run.function(DATA.x)
    assert run.stats["margin"] == pytest.approx(margins.min(), abs=1e-12)
    assert run.stats["wrong"] == (margins <= 0).sum()
    assert run.loss == pytest.approx(float(DATA.weights @ loss.value(margins) / DATA.weights.sum()), rel=1e-12)


@pytest.mark.parametrize("moves", ["hidden", "output", {"w", "a"}, {"b"}], ids=["hidden", "output", "w and a", "b"])
def test_what_is_frozen_stays_and_the_rest_moves_as_it_would(moves):
    run = sb.train(PROBLEM, 30, loss=sb.Logistic(), trainable=moves, method=sb.MirrorDescent(0.02, max_steps=20))
    moving = torch.tensor([float(name in run.trainable) for name in "wbad"], dtype=torch.float64)
    mask = moving.repeat_interleave(torch.tensor([30, 30, 30, 1]))
    theta = descended(sb.Logistic(), run.start.theta, 0.02, 20, mask)
    torch.testing.assert_close(run.network.theta, theta, rtol=1e-11, atol=1e-12)
    for name in "wbad":
        assert torch.equal(getattr(run.network, name), getattr(run.start, name)) != (name in run.trainable)


def test_a_gradient_of_frozen_parameters_is_zero_and_they_leave_the_kernel():
    start = Network.sample(PROBLEM, 20, [0])
    state = Field.of([PROBLEM], start, sb.Squared(), ("w", "b")).at(start.theta)
    assert not gradient(state)[0, 40:].any()
    jacobian = state.linear.dense()[0][:, :40]
    torch.testing.assert_close(state.kernel[0], jacobian @ jacobian.T)


@pytest.mark.parametrize("law", [LAW, SMALL], ids=["wide start", "small start"])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_the_default_tolerance_puts_every_label_on_its_side(loss, law):
    data = DATA if law is LAW else sb.Dataset(np.r_[-4:-1, 2:5], np.repeat([-1, 1], 3))
    run = sb.train(sb.Problem(data, law), 60, loss=loss)
    assert run.outcome is sb.Outcome.CONVERGED
    assert run.loss <= loss.at_zero / 2 * (data.weights.min() / data.weights.sum())
    assert run.stats["wrong"] == 0
    assert (data.y * run.function(data.x) > 0).all()
    assert (np.diff(run.history.loss) <= 1e-9).all()


def test_a_loss_without_minimum_falls_far_below_rounding_of_the_first():
    data = sb.Dataset([-2, -1, 1, 2], [-1, -1, 1, 1])
    run = sb.train(sb.Problem(data, LAW), 40, loss=sb.Exponential(), loss_tol=1e-40)
    assert run.outcome is sb.Outcome.CONVERGED
    assert run.stats["margin"] > 80
    assert run.steps < 3000


def test_labels_that_no_small_network_separates_are_counted_in_the_advice():
    data = sb.Dataset(np.linspace(-1, 1, 12), [1, -1] * 6)
    run = sb.train(sb.Problem(data, LAW), 4, loss=sb.Logistic(), method=sb.MirrorDescent(max_steps=300))
    assert run.outcome is sb.Outcome.MAX_STEPS
    assert f"with {run.stats['wrong']:.0f} of 12 labels on the wrong side" in run.advice
    assert run.stats["wrong"] > 0


def test_the_squared_loss_is_what_it_was():
    with_name, without = (sb.train(PROBLEM, 30, loss_tol=1e-3, **more) for more in ({"loss": sb.Squared()}, {}))
    assert torch.equal(with_name.network.theta, without.network.theta)
    assert with_name.stats == without.stats


def test_flow_and_descent_of_some_parameters_agree():
    for moves in ("hidden", "output"):
        flow = sb.train(PROBLEM, 60, trainable=moves, method=sb.MirrorFlow(1e-6, time=200.0))
        rate = flow.time / 60 / 400
        descent = sb.train(PROBLEM, 60, trainable=moves, method=sb.MirrorDescent(rate, max_steps=400))
        assert flow.outcome is sb.Outcome.REACHED_TIME
        assert sb.compare(flow, descent).sup < 0.01
        assert sb.compare(flow, flow.start.function()).sup > 0.2
        frozen = flow.network.a if moves == "hidden" else flow.network.w
        assert torch.equal(frozen, flow.start.a if moves == "hidden" else flow.start.w)


def test_several_inputs_and_ensembles():
    rng = np.random.default_rng(0)
    points = sb.Points(rng.normal(size=(8, 3)), np.repeat([1, -1], 4))
    problem = sb.Problem(points, sb.Initialization.gaussian(1, 1, dim=3))
    runs = sb.train_ensemble(problem, 60, range(2), loss=sb.Logistic(), trainable="all")
    assert [run.stats["wrong"] for run in runs] == [0, 0]
    alone = sb.train(problem, 60, 1, loss=sb.Logistic())
    torch.testing.assert_close(runs[1].network.theta, alone.network.theta, rtol=1e-8, atol=1e-9)


# -- the flow of neurons ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_the_flow_of_neurons_is_descent_in_small_steps(loss):
    steps, rate = 1000, 1e-3
    descent = sb.train(PROBLEM, 30, loss=loss, method=sb.MirrorDescent([rate] * steps))
    flow = sb.train(PROBLEM, 30, loss=loss, method=sb.NeuronFlow(1e-4, time=descent.time))
    assert flow.steps < 60
    assert flow.loss == pytest.approx(descent.loss, rel=1e-4)
    assert sb.compare(flow, descent).sup < 1e-3


def test_fixed_steps_of_neurons_converge_with_order_two_for_labels():
    start = Network.sample(PROBLEM, 40, [2])
    field, counts, found = Field.of([PROBLEM], start, sb.Exponential()), [8, 16, 32], []
    for count in [*counts, 256]:
        state = Medium.of(start, field, 0.0).at(start)
        for _ in range(count):
            state = NeuronStep(state).attempt(np.array([2.0 / count])).end
        found.append(np.stack([state.neurons.a, state.neurons.w, state.neurons.b]))
    errors = [np.abs(z - found[-1]).max() for z in found[:-1]]
    assert errors[0] > 1e-4
    assert np.polyfit(np.log(counts), np.log(errors), 1)[0] < -1.8


def test_neurons_cross_the_plateau_of_a_tiny_start_and_the_loss_falls_without_end():
    law = sb.Initialization(st.norm(0, 1e-16), st.norm(0, 1e-16), output=st.norm(0, 1e-16), antisymmetric=False)
    data = sb.Dataset(np.r_[-4:-1, 2:5], np.repeat([-1, 1], 3))
    run = sb.train(sb.Problem(data, law, parameterization=sb.MeanField(1.0)), 50, loss=sb.Exponential(), loss_tol=1e-13)
    assert run.outcome is sb.Outcome.CONVERGED  # by the default method, the flow of neurons
    assert run.stats["growth"] > 0
    assert run.steps < 1500
    assert run.stats["margin"] > 25
    balance = lambda net: net.a**2 * 50**2 - net.w**2 - net.b**2  # noqa: E731
    drift = (balance(run.network) - balance(run.start)).abs().max() / (run.network.w**2).max()
    assert drift < 1e-9


def test_several_inputs_are_refused_by_the_flow_of_neurons_and_descended_on():
    points = sb.Points([[0, 1], [1, 0], [-1, -1]], [1, 1, -1])
    problem = sb.Problem(points, sb.Initialization.gaussian(1, 1, dim=2), parameterization=sb.MeanField(1.0))
    with pytest.raises(sb.CapabilityError, match="NeuronFlow cannot take this.* neurons of one input, got 2"):
        sb.train(problem, 20, method=sb.NeuronFlow())
    assert sb.train(problem, 20, loss=sb.Logistic()).stats["wrong"] == 0


def test_dead_networks_are_at_rest_and_the_advice_counts_their_labels():
    law = sb.Initialization(sb.Constant(1.0), st.uniform(-5.5, 0.5), output=st.norm(0, 1))
    data = sb.Dataset([-1, 0, 1], [1, -1, 1])
    run = sb.train(sb.Problem(data, law, parameterization=sb.MeanField(1.0)), 10, loss=sb.Logistic())
    assert run.outcome is sb.Outcome.STALLED
    assert "with 1 of 3 labels on the wrong side and least margin -0.693" in run.advice  # the output bias is ln 2


def test_a_batch_of_neuron_flows_is_single_runs():
    options = {"loss": sb.Exponential(), "method": sb.NeuronFlow(), "loss_tol": 0.3}
    for seed, run in enumerate(sb.train_ensemble(PROBLEM, 20, range(2), **options)):
        alone = sb.train(PROBLEM, 20, seed, **options)
        torch.testing.assert_close(run.network.theta, alone.network.theta, rtol=1e-9, atol=1e-9)
        assert run.stats["margin"] == pytest.approx(alone.stats["margin"])


@pytest.mark.parametrize(
    "options",
    [
        {"method": sb.StochasticMirrorDescent(batch_size=2)},
        {"method": sb.MirrorDescent(momentum=0.9)},
        {"dtype": "float32"},
    ],
    ids=["mini-batches", "momentum", "float32"],
)
def test_every_descent_separates_labels(options):
    run = sb.train(PROBLEM, 60, loss=sb.Logistic(), **options)
    assert run.outcome is sb.Outcome.CONVERGED
    assert run.stats["wrong"] == 0


class Smoothed(sb.Loss):
    """A loss of one's own: log(1 + e^-z) of half the margin."""

    def value(self, margin):
        return sb.Logistic().value(margin / 2)

    def pull(self, margin):
        return sb.Logistic().pull(margin / 2) / 2

    def curvature(self, margin):
        return sb.Logistic().curvature(margin / 2) / 4


def test_a_loss_of_ones_own_is_trained_and_has_no_name_in_files(tmp_path):
    run = sb.train(PROBLEM, 30, loss=Smoothed())
    assert run.stats["wrong"] == 0
    with pytest.raises(sb.CapabilityError, match="own losses have a name in files"):
        run.save(tmp_path / "run.npz")


def test_files_keep_loss_and_parameters(tmp_path):
    run = sb.train(PROBLEM, 20, loss=sb.Logistic(), trainable="hidden", loss_tol=0.5, method=sb.MirrorDescent(max_steps=5))
    run.save(tmp_path / "run.npz")
    again = sb.load(tmp_path / "run.npz")
    assert (again.loss_function, again.trainable) == (sb.Logistic(), ("w", "b"))
    assert torch.equal(again.network.theta, run.network.theta)
    assert "Quadratic(), Logistic(), w, b trained; width 20" in repr(again)


RUN = {"loss": sb.Logistic(), "method": sb.MirrorDescent(max_steps=3)}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sb.predict(PROBLEM, loss=sb.Logistic()), sb.CapabilityError, r"about the squared loss, got Logistic\(\)"),
        (
            lambda: sb.compare(sb.predict(PROBLEM), sb.train(PROBLEM, 20, **RUN)),
            sb.CapabilityError,
            r"the limit of predict is about the squared loss, got Logistic\(\)",
        ),
        (
            lambda: sb.compare(sb.train(PROBLEM, 20, trainable="hidden", loss_tol=1), sb.predict(PROBLEM)),
            sb.CapabilityError,
            "trained output weights, got a run that moved w, b alone",
        ),
        (lambda: sb.diagnose(sb.train(PROBLEM, 20, **RUN)), sb.CapabilityError, "a diagnosis is about the squared loss"),
        (
            lambda: sb.train(PROBLEM, 20, loss=sb.Logistic(), method=sb.MirrorFlow()),
            sb.CapabilityError,
            "MirrorFlow cannot train that: its steps solve the decay of residuals of the squared loss",
        ),
        (
            lambda: sb.train(PROBLEM, 20, loss=sb.Exponential(), method=sb.NeuronFlow(weight_decay=0.1, time=1.0)),
            sb.CapabilityError,
            r"NeuronFlow cannot train that: weight decay is for the squared loss, got Exponential\(\)",
        ),
        (
            lambda: sb.train(PROBLEM, 20, trainable="hidden", method=sb.NeuronFlow()),
            sb.CapabilityError,
            "moves all parameters at once, got w, b alone",
        ),
        (
            lambda: sb.train(PROBLEM, 20, trainable={"w", "a"}, method=sb.MirrorFlow()),
            sb.CapabilityError,
            "units slide along samples by w and b together, got w, a",
        ),
        (
            lambda: sb.train(sb.Problem(DATA, LAW, affine="free"), 20, loss=sb.Logistic()),
            sb.CapabilityError,
            'Logistic.* has no minimum; take affine="network"',
        ),
        (
            lambda: sb.train(sb.Problem(DATA.with_ordinates(2 * DATA.y), LAW), 20, loss=sb.Logistic()),
            sb.DataError,
            r"`y` must be \+1 or -1, got 2 at index 0",
        ),
        (
            lambda: sb.train(sb.Problem(DATA.with_ordinates(DATA.y**2), LAW), 20, loss=sb.Logistic()),
            sb.DataError,
            r"`y` must name two classes, got \+1 for all 6 points",
        ),
        (lambda: sb.train(PROBLEM, 20, loss=sb.Logistic), sb.DataError, r"`loss` must be sb.Squared\(\).*call it: add \(\)"),
        (lambda: sb.train(PROBLEM, 20, loss="logistic"), sb.DataError, "`loss` must be sb.Squared.*got 'logistic'"),
        (lambda: sb.train(PROBLEM, 20, trainable="weights"), sb.DataError, "`trainable` must be .*got 'weights'"),
        (lambda: sb.train(PROBLEM, 20, trainable=()), sb.DataError, "`trainable` must be"),
        (lambda: sb.train(PROBLEM, 20, trainable=3), sb.DataError, "`trainable` must be"),
        (
            lambda: sb.train(sb.Problem(DATA, sb.Initialization.gaussian(1, 1)), 20, trainable="hidden"),
            sb.DataError,
            "freezes output weights, and they are 0",
        ),
        (lambda: loss_named("logstic"), sb.DataError, "must be one of squared, logistic, exponential.*did you mean"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
