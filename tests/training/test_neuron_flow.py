"""NeuronFlow: event-located reference, order, twins, conservation, weight decay, small starts, sizes, failures."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats as st
import torch
from event_reference import Reference
from fuzz import fuzz_problem
from marks import nightly
from problems import SET_A, SET_B, UNIFORM
from scipy.integrate import solve_ivp

import splinebias as sb
from splinebias.networks.network import Network
from splinebias.training import train as base
from splinebias.training.field import Field
from splinebias.training.neuron_flow import neuron_flow
from splinebias.training.neuron_flow.state import Medium
from splinebias.training.neuron_flow.step import NeuronStep

X = np.linspace(-1.5, 1.5, 301)
C8 = sb.Dataset([-0.9, -0.65, -0.4, -0.1, 0.15, 0.45, 0.7, 0.95], [0.4, -0.3, 0.2, 0.6, -0.1, -0.5, 0.1, 0.3])
D7 = sb.Dataset([-1, -0.7, -0.3, 0.1, 0.3, 0.6, 1], [0.5, 0.1, -0.25, -0.3, -0.05, 0.3, 1])
GAUSSIAN = sb.Initialization.gaussian()
LARGEST_STRENGTH = 0.019102404643449  # beyond it the least-squares line is the penalized minimum for C8


def paired(scale=1.0):
    """Antisymmetric pairs, all parameters normal."""
    law = st.norm(0, scale)
    return sb.Initialization(law, law, output=law)


def rich(data=C8, law=GAUSSIAN, activation=sb.ReLU(), richness=1.0, **parts):  # noqa: B008 (frozen)
    return sb.Problem(data, law, activation, parameterization=sb.MeanField(richness), **parts)


def train(problem, width, seed=0, *, loss_tol=1e-10, **options):
    return sb.train(problem, width, seed, method=sb.NeuronFlow(**options), loss_tol=loss_tol, progress=False)


def distance(f, g):
    return sb.compare(f, g, (X[0], X[-1])).sup


def parameters(network, problem):
    """(a, w, b), each (n,), in the units of the parameterization, and d."""
    scale = problem.parameterization.output_scale(network.width)
    return np.stack([network.a.numpy() / scale, network.w.numpy(), network.b.numpy()]), float(network.d)


def at_start(problem, width, seed):
    return parameters(Network.sample(problem, width, [seed])[0], problem)[0]


# -- against integration that locates events ------------------------------------------------------------------------

COUPLED = {
    "relu": (rich(D7, paired(0.7)), 6, 3, 30.0, 0.0),
    "abs": (rich(C8, paired(0.7), sb.Abs()), 6, 3, 30.0, 0.0),
    "leaky, decay": (rich(C8, paired(0.7), sb.LeakyReLU(0.3), 2.0), 8, 3, 60.0, 0.002),
    "relu, decay": (rich(C8, paired(0.7), richness=2.0), 10, 0, 200.0, 0.001),
    "standard": (sb.Problem(D7, replace(paired(0.7), output=st.norm(0, 0.7 * 6**0.5))), 6, 0, 10.0, 0.0),
}


@pytest.mark.parametrize(
    "case",
    [nightly(case) if name != "relu" else case for name, case in COUPLED.items()],
    ids=COUPLED,
)
def test_networks_end_where_event_located_integration_ends_and_none_else_dies(case):
    problem, width, seed, time, decay = case
    (a, w, b), data = at_start(problem, width, seed), problem.data
    activation, clock = problem.activation, problem.parameterization.clock(width)
    reference = Reference(
        data.x,
        (activation.right, activation.left),
        a,
        w,
        b,
        force=lambda values: (values - data.y) / data.size,
        scale=problem.parameterization.output_scale(width),
        decay=decay,
    ).run(time / clock, rtol=1e-9)
    assert reference.arrests + reference.crossings >= 4
    assert reference.arrests > 0
    errors = []
    for rtol in (1e-4, 1e-6):
        run = train(problem, width, seed, rtol=rtol, time=time, weight_decay=decay, loss_tol=1e-14)
        found, bias = parameters(run.network, problem)
        errors.append(np.abs(found - [reference.a, reference.w, reference.b]).max())
        alive = np.outer(found[1], data.x) + found[2][:, None] > 1e-9
        alive_there = np.outer(reference.w, data.x) + reference.b[:, None] > 1e-9
        np.testing.assert_array_equal(alive.any(1), alive_there.any(1))
        assert abs(bias - reference.d) < 10 * rtol
    assert errors[0] < 2e-3
    assert errors[1] < 1e-4
    assert errors[1] < errors[0] / 3


@pytest.mark.parametrize("activation", [nightly(sb.ReLU()), sb.Abs()], ids=str)
def test_fixed_steps_converge_with_order_two(activation):
    """In all parameters, over crossings and arrests."""
    problem, width, counts, found, events = rich(C8, paired(), activation, 2.0), 60, [8, 16, 32, 64], [], 0
    start = Network.sample(problem, width, [2])
    field, end = Field.of([problem], start), 8.0 / problem.parameterization.clock(width)
    for count in [*counts, 512]:
        state, events = Medium.of(start, field, 0.0).at(start), 0
        for _ in range(count):
            attempt = NeuronStep(state).attempt(np.array([end / count]))
            state, events = attempt.end, events + int(attempt.events.sum())
        found.append(np.stack([state.neurons.a, state.neurons.w, state.neurons.b]))
    assert events > 20
    errors = [np.abs(z - found[-1]).max() for z in found[:-1]]
    assert np.polyfit(np.log(counts), np.log(errors), 1)[0] < -1.9


@pytest.mark.parametrize(
    "problem", [rich(C8, paired(), richness=2.0), rich(C8, paired(), sb.Abs(), 2.0, affine="free")], ids=str
)
def test_the_mean_operator_of_a_step_is_the_mean_over_time_though_neurons_cross_and_slide(problem):
    """By the midpoint rule on a thousand short ways; that of both ends alone is ten times as far from it."""
    start = Network.sample(problem, 300, [2])
    state, count = Medium.of(start, Field.of([problem], start), 0.0).at(start), 1000
    rho, span = state.rho, np.array([0.1 / problem.parameterization.clock(300)])
    end, way = state.flown(rho, span)
    mean = sum(state.flown(rho, span * (i + 0.5) / count)[0].operator for i in range(count)) / count
    assert 4 < (way.late != 0.5).sum() < 100
    assert end.neurons.on_line.any()
    found = np.abs(state.operator_until(end, way.late) - mean).max()
    of_ends = np.abs((state.operator + end.operator) / 2 - mean).max()
    assert found < of_ends / 10


# -- twins ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "problem",
    [
        sb.Problem(SET_A, UNIFORM),
        sb.Problem(SET_B, UNIFORM, sb.Abs(), sb.Scaled(sb.Power(2))),
        sb.Problem(SET_A, paired(), parameterization=sb.NTK()),
        sb.Problem(C8, GAUSSIAN, sb.LeakyReLU(0.2), affine="free"),
        rich(SET_A, GAUSSIAN, richness=0.05),
    ],
    ids=["standard", "scaled", "ntk", "free", "mean-field"],
)
def test_lazy_networks_are_those_of_mirror_flow(problem):
    run = train(problem, 400, rtol=1e-6, time=20.0)
    other = sb.train(problem, 400, method=sb.MirrorFlow(1e-6, time=20.0), loss_tol=1e-10, progress=False)
    assert distance(run.function, other.function) < 5e-6 * np.ptp(problem.data.y)  # NTK: units cross samples
    assert abs(run.loss - other.loss) < 1e-5 * other.loss


@pytest.mark.parametrize(
    ("problem", "width", "seed", "time", "most"),
    [
        (sb.Problem(SET_A, paired(), parameterization=sb.NTK()), 60, 0, 20.0, 3),
        (sb.Problem(SET_A, UNIFORM), 50, 1, 2000.0, 10),
    ],
    ids=["ntk", "slides"],
)
def test_errors_of_mirror_flow_fall_with_its_tolerance_though_units_cross_samples_or_stay_there(
    problem, width, seed, time, most
):
    """At most `most` times rtol of the span of the data; located in the middle of steps, not at their ends."""
    run, errors = train(problem, width, seed, rtol=1e-8, time=time), []
    assert run.stats["events"] > 0
    tolerances = [1e-3, 1e-4, 1e-5, 1e-6]
    for rtol in tolerances:
        other = sb.train(problem, width, seed, method=sb.MirrorFlow(rtol, time=time), loss_tol=1e-10, progress=False)
        errors.append(distance(run.function, other.function) / np.ptp(problem.data.y))
    assert (np.array(errors) < most * np.array(tolerances)).all()
    assert errors[3] < errors[0] / 200


def test_mirror_flow_feels_residuals_that_its_kernel_cannot_reach():
    """Here they are nearly all of the loss when a unit gets to a sample; without them it was thrown back, for good."""
    problem = fuzz_problem(86)[1]
    run = train(problem, 24, rtol=1e-4, time=260.0)
    other = sb.train(problem, 24, method=sb.MirrorFlow(time=260.0), progress=False)
    assert run.loss == pytest.approx(other.loss, rel=0.01)  # 0.256, and 0.338 when it was thrown back
    before = sb.train(problem, 24, method=sb.MirrorFlow(time=200.0), progress=False)
    assert before.loss > 0.34 and before.stats["rank"] == 4 < problem.data.size


@pytest.mark.parametrize("richness", [0.3, 3.0])
def test_networks_approach_those_of_descent_with_small_steps(richness):
    problem = rich(C8, paired(), richness=richness)
    run, end = train(problem, 40, rtol=1e-6, time=5.0), 5.0 / problem.parameterization.clock(40)
    errors = []
    for steps in (300, 1200):
        method = sb.MirrorDescent(learning_rate=end / steps, max_steps=steps)
        descent = sb.train(problem, 40, method=method, loss_tol=1e-14, progress=False)
        errors.append(distance(run.function, descent.function))
    assert errors[1] < 2e-3
    assert errors[1] < errors[0] / 2.5


def test_angles_and_radii_obey_the_reduced_equations():
    """r = a rho and the angle of (w, b), with delta = a^2 - w^2 - b^2 (regimes, section 2): no event on the way, d aside."""
    width, time, richness = 4, 2.0, 1.5
    problem = rich(D7, paired(), richness=richness)
    a, w, b = at_start(problem, width, 2)
    delta, x, y = a**2 - w**2 - b**2, D7.x, D7.y

    def velocity(_, z):
        r, theta, d = z[:width], z[width : 2 * width], z[-1]
        u = np.cos(theta)[:, None] * x + np.sin(theta)[:, None]
        du = np.cos(theta)[:, None] - np.sin(theta)[:, None] * x
        residual = (r[:, None] * np.maximum(u, 0)).sum(0) / (richness * width) + d - y
        g, slope = (residual * np.maximum(u, 0)).mean(1), (residual * du * (u > 0)).mean(1)
        root = np.sqrt(delta**2 + 4 * r**2)
        turn = 2 * r / (root - delta) * slope
        return np.concatenate([-richness * root * g, -richness * turn, [-residual.mean() / width]])

    z = np.concatenate([a * np.hypot(w, b), np.arctan2(b, w), [0.0]])
    exact = solve_ivp(velocity, (0, time), z, "DOP853", rtol=1e-11, atol=1e-13).y[:, -1]
    run = train(problem, width, 2, rtol=1e-7, time=time)
    (a, w, b), d = parameters(run.network, problem)
    assert run.stats["events"] == 0
    np.testing.assert_allclose(a * np.hypot(w, b), exact[:width], atol=3e-7)
    np.testing.assert_allclose(np.arctan2(b, w), exact[width:-1], atol=3e-7)
    np.testing.assert_allclose(d, exact[-1], atol=1e-7)


def test_mean_field_networks_are_ntk_networks_in_other_units():
    """Parameters times (gamma sqrt n)^(-1/2), times times gamma sqrt n; the output bias, which a free line makes, aside."""
    richness, width, time = 2.0, 50, 3.0
    factor = richness * np.sqrt(width)
    one = rich(C8, paired(), richness=richness, affine="free")
    other = sb.Problem(C8, paired(factor**-0.5), parameterization=sb.NTK(), affine="free")
    runs = train(one, width, rtol=1e-6, time=time), train(other, width, rtol=1e-6, time=factor * time)
    assert distance(runs[0].function, runs[1].function) < 1e-5


def test_ensembles_are_single_runs():
    problem, options = rich(C8, paired(), sb.Abs(), 2.0), {"time": 10.0, "saveat": (1.0, 10.0)}
    runs = sb.train_ensemble(problem, 30, range(3), method=sb.NeuronFlow(**options))
    for seed, run in enumerate(runs):
        alone = train(problem, 30, seed, **options, loss_tol=1e-12)
        assert run.outcome is alone.outcome
        assert distance(run.function, alone.function) < 1e-4
        assert distance(run.snapshots[1].function, run.function) == 0
        assert distance(run.snapshots[0].function, train(problem, 30, seed, time=1.0).function) < 1e-4


def test_potentials_that_are_gradient_flow_differ_by_their_speed():
    potentials = [sb.Quadratic(), sb.Power(2), sb.Scaled(sb.Power(2))]
    for half, potential in zip((1, 2, 2), potentials, strict=True):
        runs = sb.train_ensemble(rich(), 20, [0], potentials=[potential], method=sb.NeuronFlow(1e-6, time=2.0 * half))
        assert distance(runs[0].function, train(rich(), 20, rtol=1e-6, time=2.0).function) < 1e-5


# -- laws of the flow -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decay", [0.0, 1e-4])
@pytest.mark.parametrize(
    "problem",
    [
        rich(C8, paired(), richness=3.0),
        sb.Problem(C8, replace(paired(), output=st.norm(0, 10)), sb.Abs()),  # output weights of order 1 at width 100
        sb.Problem(D7, paired(), sb.LeakyReLU(0.1), parameterization=sb.NTK()),
    ],
    ids=["mean-field", "standard", "ntk"],
)
def test_gradient_flow_conserves_a2_minus_w2_minus_b2_of_every_neuron(problem, decay):
    width, time = 100, 50.0
    before = at_start(problem, width, 0)
    run = train(problem, width, time=time, weight_decay=decay, loss_tol=1e-13)
    after, _ = parameters(run.network, problem)
    factor = np.exp(-2 * decay * run.time / problem.parameterization.clock(width))
    signs = np.array([[1], [-1], [-1]])
    drift = (signs * after**2).sum(0) - factor * (signs * before**2).sum(0)
    assert run.stats["events"] > 5
    assert np.abs(drift).max() < 1e-9


@pytest.mark.parametrize(("share", "objective"), [(0.1, 0.025018818941), nightly(0.01, 0.003343824647)])
def test_weight_decay_ends_at_the_penalized_minimum(share, objective):
    """min L + s int sqrt(1 + c^2) |f''|, free affine part: stored minima of a solver that knows no network."""
    decay = share * LARGEST_STRENGTH
    law = replace(paired(0.3), output=st.norm(0, 0.3 * 60**0.5))  # all parameters alike at width 60
    run = train(sb.Problem(C8, law, affine="free"), 60, weight_decay=decay, time=3e6)
    norms = (parameters(run.network, run.problem)[0] ** 2).sum()
    assert abs(run.loss + decay / 2 * norms - objective) < 2e-11
    assert run.outcome is sb.Outcome.REACHED_TIME


@pytest.mark.parametrize("activation", [sb.ReLU(), sb.ReLUPower(2)], ids=str)
def test_weight_decay_is_that_of_descent(activation):
    problem, width, decay, time = rich(C8, paired(), activation, 2.0), 20, 1e-3, 2.0
    (a, w, b), d, steps = at_start(problem, width, 0), 0.0, 8000
    scale, h = problem.parameterization.output_scale(width), time / problem.parameterization.clock(width) / 8000
    for _ in range(steps):
        z = w[:, None] * C8.x + b[:, None]
        value, r = activation.value(z), scale * (a @ activation.value(z)) + d - C8.y
        slope = activation.derivative(z) * a[:, None] * r
        steps_of = [scale * value @ r, scale * slope @ C8.x, scale * slope.sum(1)]
        a, w, b = (v - h * (g / 8 + decay * v) for v, g in zip((a, w, b), steps_of, strict=True))
        d -= h * scale**2 * r.mean()
    run = train(problem, width, rtol=1e-6, weight_decay=decay, time=time)
    found, bias = parameters(run.network, problem)
    np.testing.assert_allclose(found, [a, w, b], atol=3e-4)
    np.testing.assert_allclose(bias, d, atol=1e-4)


def test_small_starts_cross_the_plateau_in_few_steps_and_in_logarithmic_time():
    """Neurons grow as e^(rate t) until f is seen: that takes a time linear in log(1/scale); a free line leaves d no part."""
    times, steps = [], []
    for scale in (1e-4, 1e-8, 1e-16):
        run = train(rich(D7, paired(scale), affine="free"), 40, max_steps=800)
        half = np.argmax(run.history.loss < 0.5 * run.history.loss[0])
        assert run.outcome is not sb.Outcome.MAX_STEPS
        assert run.loss < 0.05 * run.history.loss[0]
        times.append(run.history.time[half])
        steps.append(run.history.steps[half])
    assert max(steps) < 150
    np.testing.assert_allclose(times[2] - times[1], 2 * (times[1] - times[0]), rtol=0.1)


def test_a_plateau_is_no_rest():
    run = train(rich(D7, paired(1e-60)), 20, max_steps=3000, loss_tol=0.009)
    assert run.outcome is sb.Outcome.CONVERGED


def test_richness_is_what_moves_features():
    moves = []
    for richness in (0.01, 0.1, 1.0):
        run = train(rich(SET_A, richness=richness), 200, time=10.0)
        moves.append(np.abs(run.network.w.numpy() - at_start(run.problem, 200, 0)[1]).mean())
    assert moves[0] < 0.15 * moves[1] < 0.03 * moves[2]


def test_ensembles_have_the_mean_and_the_spread_of_the_mean_field():
    """Set A, output weights 0, gamma = 1, t = 10 (regimes, section 6): a Volterra equation for the infinite population."""
    x = np.array([-1, -0.2, 0, -1.3, -0.6, -0.1, 0.5, 0.8])
    mean = [-0.10967, -0.08119, -0.07901, -0.12371, -0.09276, -0.07969, -0.08918, -0.10083]
    spread = [0.06317, 0.02326, 0.02494, 0.08871, 0.03539, 0.02388, 0.03145, 0.0480]
    runs = sb.train_ensemble(rich(SET_A), 400, range(120), method=sb.NeuronFlow(1e-3, time=10.0))
    values = np.array([run.function(x) for run in runs])
    deviation = values.std(0, ddof=1)
    assert (np.abs(values.mean(0) - mean) < 4 * deviation / np.sqrt(120)).all()
    np.testing.assert_allclose(np.sqrt(400) * deviation, spread, rtol=0.25)  # 4 standard errors of a deviation


# -- hard cases -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("activation", "width"), [(sb.ReLU(), 3), (sb.Abs(), 1), (sb.LeakyReLU(-0.5), 2), (sb.Abs(), 10)])
def test_narrow_networks_end_where_mirror_flow_does(activation, width):
    run = train(rich(C8, GAUSSIAN, activation), width, loss_tol=1e-12)
    assert run.outcome is sb.Outcome.STALLED
    assert "no step" not in run.advice
    other = sb.train(run.problem, width, method=sb.MirrorFlow(1e-4, max_steps=1000), loss_tol=1e-12, progress=False)
    np.testing.assert_allclose(run.loss, other.loss, rtol=0.01)


@pytest.mark.parametrize("activation", [sb.ReLU(), sb.Abs(), sb.LeakyReLU(-0.5)], ids=str)
def test_kinks_at_samples_at_the_start_are_no_obstacle(activation):
    """Every neuron starts on a sample, exactly; half of those of ReLU could stay there."""
    problem = rich(C8, paired(), activation)
    start = Network.sample(problem, 64, [0])
    start.theta[:, 64:128] = -start.w * torch.tensor(C8.x).repeat(8)
    run = base.trained([problem], [0], start, sb.NeuronFlow(), 1e-6)[0]
    assert run.loss < 0.5 * run.history.loss[0]
    assert run.outcome in (sb.Outcome.CONVERGED, sb.Outcome.STALLED)
    assert np.isfinite(run.function(X)).all()


def test_where_all_neurons_are_dead_the_output_bias_finds_the_mean():
    law = sb.Initialization(st.norm(0, 0.1), sb.Constant(-5.0))
    run = train(rich(C8, law), 30)
    assert run.outcome is sb.Outcome.STALLED
    np.testing.assert_allclose(run.function(X), C8.y.mean(), atol=1e-9)
    assert "rank 1" in run.advice
    assert "30 of 30 neurons are active at no datum" in run.advice
    leaky = train(rich(C8, law, sb.LeakyReLU(0.1)), 30)
    assert leaky.stats["dead"] == 0
    assert "active at no datum" not in leaky.advice


def test_a_sliding_neuron_whose_output_weight_changes_sign_is_said_to_leave_the_flow_undetermined():
    problem = rich(D7, paired())
    runs = sb.train_ensemble(problem, 20, range(3), method=sb.NeuronFlow(1e-3, time=200.0))
    counts = [run.stats["undetermined"] for run in runs]
    assert sum(counts) > 0
    for run, count in zip(runs, counts, strict=True):
        said = f"{count:.0f} of 20 neurons left a sample, or w = b = 0, though more than one motion solved the flow"
        assert (said in run.advice) == (count > 0)
        assert run.outcome is sb.Outcome.REACHED_TIME


def test_dead_neurons_are_those_that_no_datum_activates():
    for seed in range(3):
        run = train(rich(C8, paired()), 40, seed, time=50.0)
        w, b = run.network.w.numpy(), run.network.b.numpy()
        z = np.outer(w, C8.x) + b[:, None]
        rounding = 1e-12 * (np.abs(np.outer(w, C8.x)) + np.abs(b)[:, None])
        assert (z <= -rounding).all(1).sum() <= run.stats["dead"] <= (z <= rounding).all(1).sum()


def test_weights_of_data_are_relative_and_replicates_are_weights():
    twice = sb.Dataset.from_replicates(np.repeat(C8.x, 2), np.repeat(C8.y, 2))
    one, other = (train(rich(data, paired()), 30, time=20.0) for data in (C8, twice))
    assert distance(one.function, other.function) < 1e-6
    uneven = sb.Dataset(C8.x, C8.y, weights=[1, 5, 1, 1, 1, 1, 1, 1])
    assert distance(train(rich(uneven, paired()), 30, time=20.0).function, one.function) > 1e-3


def test_activations_without_two_slopes_are_integrated_explicitly():
    for problem in (rich(C8, GAUSSIAN, sb.ReLUPower(2)), sb.Problem(C8, GAUSSIAN, sb.ReLUPower(2))):
        run = train(problem, 30, time=5.0, saveat=(3.0, 5.0))
        other = sb.train(problem, 30, method=sb.MirrorFlow(1e-6, time=5.0, saveat=(3.0, 5.0)), loss_tol=1e-12)
        for one, two in zip(run.snapshots, other.snapshots, strict=True):
            assert distance(one.function, two.function) < 1e-4


# -- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rtol": 0}, "`rtol` must be a finite real number > 0, got 0"),
        ({"weight_decay": -1}, "`weight_decay` must be a finite real number >= 0, got -1"),
        ({"weight_decay": 0.1}, "`time` must be finite with weight decay, got inf"),
        ({"max_steps": 0}, "`max_steps` must be a whole number >= 1"),
        ({"time": -1}, "`time` must be a finite real number > 0"),
        ({"saveat": [2, 1]}, "`saveat` must hold increasing times"),
    ],
)
def test_settings_outside_their_range_are_refused(options, message):
    with pytest.raises(sb.DataError, match=message):
        sb.NeuronFlow(**options)


def test_other_metrics_and_too_many_points_are_refused():
    with pytest.raises(sb.CapabilityError, match=r"it follows gradient flow, and Power\(p=4, quadratic=1\)"):
        train(rich(potential=sb.Power(4, quadratic=1)), 10)
    many = np.linspace(0, 1, 2001)
    with pytest.raises(sb.CapabilityError, match=r"at most 2000 points, got 2001; MirrorFlow takes more"):
        train(rich(sb.Dataset(many, many)), 10)


def test_other_precisions_are_refused():
    with pytest.raises(sb.CapabilityError, match="computes in float64 on the CPU"):
        sb.train(rich(), 10, dtype="float32")


def test_widths_that_do_not_fit_are_refused_with_how_many_do(monkeypatch):
    with pytest.raises(sb.CapabilityError, match=r"units fit into the memory that is left, got 1,000,000,000,000"):
        train(rich(), 10**12)
    monkeypatch.setattr(neuron_flow, "memory_left", lambda: 1e6)
    with pytest.raises(sb.CapabilityError, match=r"cannot take this width: 1,666 units fit"):
        sb.train_ensemble(rich(), 2000, [0, 1])
    assert train(rich(), 1000, max_steps=1).steps <= 1
