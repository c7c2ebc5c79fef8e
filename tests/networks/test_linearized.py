"""The linearization of one network, against its definition with Jacobians of autograd, and against training."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats as st
import torch

import splinebias as sb
from splinebias.training.field import Field
from tests.problems import SET_A, UNIFORM

ACTIVATIONS = [sb.ReLU(), sb.Abs(), sb.LeakyReLU(0.1), sb.ReLUPower(2), sb.ReLUPower(3)]
DATA = sb.Dataset([-1, -0.3, 0.1, 0.4, 1.2], [0.2, -0.1, 0.5, 0.0, 0.3], [1, 2, 0.5, 3, 1])
X = np.linspace(-2.5, 2.5, 61)
LAW = sb.Initialization(st.norm(), st.norm(), output=st.norm(0, 1), antisymmetric=False, output_bias=st.norm())
EVERY = [
    sb.Problem(DATA, LAW),
    sb.Problem(DATA, LAW, parameterization=sb.NTK()),
    sb.Problem(DATA, LAW, affine="free"),
    sb.Problem(DATA, LAW, potential=sb.Hypentropy(0.3)),
    sb.Problem(DATA, LAW, potential=sb.Scaled(sb.Quadratic())),
]


def trained_rows(width, *, hidden):
    """Which parameters are trained."""
    return np.r_[np.full(2 * width, hidden), np.ones(width + 1, dtype=bool)]


def by_definition(network, problem, time, x, *, hidden, left=lambda rates, tau: np.exp(-tau * rates)):
    """f0 + K(x, X) K^-1 (1 - left(KW)) (y - f0), with the Jacobian of autograd and the metric of the mirror map."""
    data, width = problem.data, network.width
    points = torch.tensor(np.r_[data.x, x])
    plain = torch.zeros(2, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(
        lambda theta: sb.Network(theta, network.activation, plain)(points), network.theta
    ).numpy()
    value = sb.Network(network.theta, network.activation, plain)(points).numpy()
    mirror = Field.of([problem], sb.Network(network.theta[None], network.activation, network.skip[None])).mirror
    metric = mirror.inverse_hessian(network.theta[None])[0].numpy() * trained_rows(width, hidden=hidden)
    kernel = (jacobian * metric) @ jacobian.T
    weights, size = data.weights / data.weights.sum(), data.size
    root = np.sqrt(weights)
    project = np.eye(size)
    if problem.free:
        lines = np.linalg.qr(np.stack([root, root * data.x], axis=1))[0]
        project -= lines @ lines.T
    rates, modes = np.linalg.eigh(project @ (root[:, None] * kernel[:size, :size] * root) @ project)
    moved = np.zeros(size)
    real = rates > 1e-10 * rates[-1]
    moved[real] = (1 - left(rates[real], time / mirror.clock)) / rates[real]
    multipliers = project @ modes @ (moved * (modes.T @ project @ (root * (data.y - value[:size])))) * root
    found = value + kernel[:, :size] @ multipliers
    if problem.free:
        slope, intercept = np.polyfit(data.x, data.y - found[:size], 1, w=root)
        found = found + slope * np.r_[data.x, x] + intercept
    return found[size:]


@pytest.mark.parametrize("hidden", [True, False])
@pytest.mark.parametrize("time", [0.0, 3.0, math.inf])
@pytest.mark.parametrize("problem", EVERY, ids=lambda p: p.describe()[-25:])
def test_it_is_its_definition(problem, time, hidden):
    network = sb.Network.sample(problem, 25, 3)
    found = network.linearized(problem, time, hidden=hidden)
    np.testing.assert_allclose(found(X), by_definition(network, problem, time, X, hidden=hidden), rtol=0, atol=1e-7)


@pytest.mark.parametrize("hidden", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_every_activation(activation, hidden):
    problem = replace(EVERY[0], activation=activation)
    network = sb.Network.sample(problem, 30, 4)
    for time in (0.0, 5.0):
        found = network.linearized(DATA, time, hidden=hidden)
        expected = by_definition(network, problem, time, X, hidden=hidden)
        np.testing.assert_allclose(found(X), expected, rtol=0, atol=1e-11 * (1 + np.abs(expected).max()))
    np.testing.assert_allclose(network.linearized(DATA, hidden=hidden)(DATA.x), DATA.y, rtol=0, atol=1e-8)


def test_it_begins_as_the_network():
    network = sb.Network.sample(EVERY[0], 50, 1)
    found, start = network.linearized(DATA, 0.0), network.function()
    np.testing.assert_allclose(found(X), start(X), rtol=0, atol=1e-13)
    np.testing.assert_array_equal(found.knots, start.knots)


def test_hidden_parameters_make_jumps_at_breakpoints_and_nothing_else_does():
    r"""A unit moves by :math:`a_k (x \Delta w_k + \Delta b_k)` from its breakpoint on, which is not zero there."""
    network = sb.Network.sample(EVERY[0], 12, 1)
    both, outer = network.linearized(DATA, 5.0), network.linearized(DATA, 5.0, hidden=False)
    w, b, c = network.w.numpy(), network.b.numpy(), both.knots
    order = np.argsort(-b / w)
    np.testing.assert_allclose(c, (-b / w)[order], rtol=1e-14)
    seen = (w[order, None] * DATA.x + b[order, None] > 0).any(axis=1)  # units that are off at all data do not move
    jumps = np.abs(both(c) - both(np.nextafter(c, -np.inf)))
    assert 0 < seen.sum() < 12
    assert (jumps[seen] > 1e-6).all() and (jumps[~seen] < 1e-13).all()
    np.testing.assert_allclose(outer(c), outer(np.nextafter(c, -np.inf)), rtol=0, atol=1e-12)
    inside = np.sort(np.r_[c, (c[1:] + c[:-1]) / 2])
    assert np.abs(both(inside, 2)).max() == 0


@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e5])
def test_close_points_keep_their_digits(scale):
    """The kernel of these data has a condition of 1e18 and more; its root one that leaves seven digits."""
    data = sb.Dataset(scale * np.array([-1.0, 0.3, 0.3 + 1e-9, 1.0]), [0.1, 0.2, 0.2 + 1e-8, 0.4])
    law = sb.Initialization(st.norm(), st.norm(0, scale), output=st.norm(), antisymmetric=False)
    network = sb.Network.sample(sb.Problem(data, law), 400, 2)
    np.testing.assert_allclose(network.linearized(data)(data.x), data.y, rtol=0, atol=1e-9)


def test_far_from_the_origin():
    x = np.array([-1.0, -0.2, 0.5, 1.0])
    rng = np.random.default_rng(0)
    w, c, a = rng.normal(size=40), rng.uniform(-1.5, 1.5, 40), rng.normal(size=40) / 40

    def made(offset):
        theta = torch.tensor(np.r_[w, -w * (c + offset), a, 0.1])
        return sb.Network(theta, sb.ReLU(), torch.zeros(2, dtype=torch.float64))

    near = made(0.0).linearized(sb.Dataset(x, x**2), hidden=False)
    far = made(1024.0).linearized(sb.Dataset(x + 1024, x**2), hidden=False)
    np.testing.assert_allclose(far(X + 1024), near(X), rtol=0, atol=1e-9)


def test_more_points_than_parameters_are_fitted_by_least_squares():
    """Modes that the kernel does not reach stay, and the others are those of weighted least squares."""
    x = np.linspace(-1, 1, 9)
    data = sb.Dataset(x, np.sin(5 * x), np.arange(1.0, 10.0))
    network = sb.Network(
        torch.tensor([1.0, -1.0, 0.1, 0.2, 0.3, -0.4, 0.5], dtype=torch.float64), sb.ReLU(), torch.zeros(2).double()
    )
    found = network.linearized(data, hidden=False)
    root = np.sqrt(data.weights)
    features = np.stack([np.maximum(x + 0.1, 0), np.maximum(-x + 0.2, 0), np.ones(9)], axis=1)
    best = np.linalg.lstsq(root[:, None] * features, root * data.y, rcond=None)[0]
    np.testing.assert_allclose(found(x), features @ best, rtol=0, atol=1e-13)


def test_dead_and_flat_units():
    """Units without a breakpoint, and with one far outside, count as what they are on the data."""
    w = np.array([0.0, -0.0, 0.0, 1e-14, 1.0, -1.0, 0.7])
    b = np.array([1.0, -1.0, 0.0, 1.0, -50.0, 0.3, 0.1])
    theta = torch.tensor(np.r_[w, b, np.linspace(-1, 1, 7), 0.2])
    network = sb.Network(theta, sb.ReLU(), torch.zeros(2, dtype=torch.float64))
    for hidden in (True, False):
        expected = by_definition(network, EVERY[0], 2.0, X, hidden=hidden)
        np.testing.assert_allclose(network.linearized(DATA, 2.0, hidden=hidden)(X), expected, rtol=0, atol=1e-12)


def test_a_breakpoint_at_a_datum_is_fitted_from_the_right():
    theta = torch.tensor([1.0, -1.0, 0.5, -0.2, 0.3, -0.0, 0.6, 0.7, -0.8, 0.0], dtype=torch.float64)
    network = sb.Network(theta, sb.ReLU(), torch.zeros(2, dtype=torch.float64))
    data = sb.Dataset([-0.5, 0.2, 0.3, 1.0], [1, 0, 2, 1])  # breakpoints 0.2, 0.3, 0
    np.testing.assert_allclose(network.linearized(data)(data.x), data.y, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rates", [[0.01] * 40, list(np.linspace(0.02, 0.0, 40)), [0.005, 0.02, 0.0, 0.01] * 10])
def test_steps_are_those_of_descent_on_the_linear_model(rates):
    """Against a loop over its parameters; for the output weights alone also against real descent."""
    network = sb.Network.sample(EVERY[0], 20, 5)
    weights = DATA.weights / DATA.weights.sum()
    plain = torch.zeros(2, dtype=torch.float64)
    points = torch.tensor(np.r_[DATA.x, X])
    jacobian = torch.autograd.functional.jacobian(lambda t: sb.Network(t, sb.ReLU(), plain)(points), network.theta).numpy()
    start = network(points).numpy()
    for hidden in (True, False):
        j, moves = jacobian * trained_rows(20, hidden=hidden), np.zeros(61)
        for rate in rates:
            moves -= rate * j[:5].T @ (weights * (start[:5] + j[:5] @ moves - DATA.y))
        found = network.linearized(DATA, learning_rate=rates, hidden=hidden)
        np.testing.assert_allclose(found(X), (start + j @ moves)[5:], rtol=0, atol=1e-11)
    if len(set(rates)) == 1:
        same = [
            network.linearized(DATA, learning_rate=0.01, steps=40),
            network.linearized(DATA, learning_rate=lambda s: 0.01, steps=40),
        ]
        for other in same:
            np.testing.assert_array_equal(other(X), network.linearized(DATA, learning_rate=rates)(X))


def test_small_steps_are_the_flow():
    network = sb.Network.sample(EVERY[0], 20, 5)
    flow = network.linearized(DATA, 8.0)
    gaps = []
    for steps in (100, 200):
        found = network.linearized(DATA, learning_rate=8.0 / 20 / steps, steps=steps, time=8.0)
        gaps.append(sb.compare(found, flow, (-1, 1)).sup)
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.1)


def test_moving_features_vanish_like_the_square_of_the_width():
    """Trained minus linearized with all parameters is O(1/n^2); with the output layer alone it is O(1/n)."""
    problem = sb.Problem(SET_A, replace(sb.Initialization.gaussian(), output=st.norm(), antisymmetric=False))
    gaps = {True: [], False: []}
    for width in (1000, 4000):
        runs = [sb.train(problem, width, seed, method=sb.MirrorFlow(time=300.0, rtol=1e-7)) for seed in range(4)]
        for hidden, found in gaps.items():
            each = [
                sb.compare(r.function, r.start.linearized(problem, r.time, hidden=hidden), (-1.5, 1.5)).sup for r in runs
            ]
            found.append(np.mean(each))
    assert math.log(gaps[True][0] / gaps[True][1], 4) > 1.5
    assert math.log(gaps[False][0] / gaps[False][1], 4) == pytest.approx(1, abs=0.5)
    assert gaps[True][1] < 0.2 * gaps[False][1]


def torch_network(width):
    """The network of the start page: torch's default, seed 0."""
    torch.manual_seed(0)
    return sb.from_torch(torch.nn.Sequential(torch.nn.Linear(1, width), torch.nn.ReLU(), torch.nn.Linear(width, 1)))


TORCH = sb.Problem(SET_A, sb.Initialization.pytorch_default(both_layers=True))
LATE = 1e6


@pytest.mark.parametrize(
    ("width", "hidden", "sampling"), [(100, 0.396, 0.328), (1000, 0.0364, 0.0369), (10_000, 0.00376, 0.0212)]
)
def test_hidden_kernel_and_sampling_of_one_torch_network_are_those_of_the_start_page(width, hidden, sampling):
    network = torch_network(width)
    functions = [network.linearized(TORCH, LATE, hidden=both) for both in (True, False)]
    functions.append(sb.predict(TORCH, start=network, time=LATE).function)
    sups = [sb.compare(f, g, (-1.5, 1.5)).sup for f, g in itertools.pairwise(functions)]
    np.testing.assert_allclose(sups, [hidden, sampling], rtol=0.01)


@pytest.mark.nightly
def test_moving_features_of_one_torch_network_are_those_of_the_start_page():
    """Width 1000: .0726; in all, with the start function, .110 from the limit."""
    network = torch_network(1000)
    run = sb.train(TORCH, start=network, method=sb.MirrorFlow(time=LATE, rtol=1e-7), loss_tol=1e-16)
    assert sb.compare(run.function, network.linearized(TORCH, LATE), (-1.5, 1.5)).sup == pytest.approx(0.0726, rel=0.01)
    assert sb.compare(run.function, sb.predict(TORCH).function, (-1.5, 1.5)).sup == pytest.approx(0.110, rel=0.01)


def test_wide_networks_have_the_flow_of_infinite_width():
    problem = sb.Problem(SET_A, UNIFORM)
    gap = sb.compare(
        sb.Network.sample(problem, 100_000, 0).linearized(problem, 50.0),
        sb.predict(problem, time=50.0).function,
        (-1.5, 1.5),
    )
    assert gap.sup < 3e-3


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        (([1, 2],), {}, sb.DataError, "`data` must be an sb.Dataset or an sb.Problem"),
        ((DATA, -1.0), {}, sb.DataError, "`time` must be a number >= 0"),
        ((DATA, math.nan), {}, sb.DataError, "`time` must be a number >= 0"),
        ((DATA, "late"), {}, sb.DataError, "`time` must be a number >= 0"),
        ((DATA,), {"hidden": 1}, sb.DataError, "`hidden` must be True or False"),
        ((DATA,), {"steps": 5}, sb.DataError, "needs a `learning_rate`"),
        ((DATA,), {"learning_rate": 0.1}, sb.DataError, "`steps` must be a whole number"),
        ((DATA,), {"learning_rate": [0.1, -0.1]}, sb.DataError, ">= 0, got -0.1"),
        ((DATA,), {"learning_rate": [0.1, 0.1], "steps": 3}, sb.DataError, "`steps` must be left out"),
        ((DATA,), {"learning_rate": "fast", "steps": 3}, sb.DataError, "`learning_rate` must be"),
        ((DATA,), {"learning_rate": lambda s: math.nan, "steps": 3}, sb.DataError, "what the function says for step 0"),
        ((DATA, 5.0), {"learning_rate": 0.1, "steps": 3}, sb.DataError, "contradict each other, got time = 5.0.*time 6"),
        ((DATA,), {"learning_rate": 50.0, "steps": 1000}, sb.DataError, "below 2 / lambda_max"),
        ((replace(EVERY[0], activation=sb.Abs()),), {}, sb.DataError, r"got Abs\(\)"),
        ((replace(EVERY[0], potential=sb.Scaled(sb.Hypentropy(1.0))),), {}, sb.CapabilityError, "closed form for quadratic"),
        ((replace(EVERY[0], potential=sb.Power(1.5)),), {}, sb.DataError, None),
    ],
)
def test_what_is_refused(arguments, options, error, words):
    network = sb.Network.sample(EVERY[0], 20, 5)
    if words is None:  # finite at these parameters: the metric is that of the network, not of zero
        assert np.isfinite(network.linearized(*arguments, **options)(X)).all()
        return
    with pytest.raises(error, match=words):
        network.linearized(*arguments, **options)


def test_networks_that_cannot_be_linearized_are_refused():
    network = sb.Network.sample(EVERY[0], 20, 5)
    with pytest.raises(sb.DataError, match="batch of 2 networks"):
        sb.Network.sample(EVERY[0], 20, [1, 2]).linearized(DATA)
    with pytest.raises(sb.DataError, match="finite parameters, got 61"):
        sb.Network(network.theta * math.nan, network.activation, network.skip).linearized(DATA)
    with pytest.raises(sb.DataError, match='needs a problem with affine="free"'):
        sb.Network(network.theta, network.activation, torch.ones(2).double()).linearized(DATA)
    still = sb.Network.sample(sb.Problem(DATA, UNIFORM), 20, 5)
    with pytest.raises(sb.DataError, match="0 < phi'' < inf at all parameters"):
        still.linearized(sb.Problem(DATA, UNIFORM, potential=sb.Power(4)))
