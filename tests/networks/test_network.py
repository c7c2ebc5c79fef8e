"""The finite network: first-order structure against autograd, exact export, batches, seeds, refusals."""

import numpy as np
import pytest
import scipy.stats as st
import torch

import splinebias as sb
from splinebias.networks.activation_pattern import DensePattern, SortedPattern
from splinebias.networks.network import Linearization, Network

RELU = sb.ReLU()
ACTIVATIONS = [RELU, sb.Abs(), sb.LeakyReLU(0.1), sb.LeakyReLU(-0.5)]
FEW, MANY = 6, 40  # matrix products, prefix sums


def make_problem(activation=RELU, size=5, **options):
    x = np.linspace(-1, 1, size)
    return sb.Problem(sb.Dataset(x, np.sin(3 * x)), sb.Initialization.gaussian(), activation, **options)


def random_network(activation=RELU, width=30, seed=0, batch=()):
    """A network away from its start: every block of parameters is nonzero."""
    rng = np.random.default_rng(seed)
    theta = torch.tensor(rng.normal(size=(*batch, 3 * width + 1)))
    return Network(theta, activation, torch.tensor(rng.normal(size=(*batch, 2))))


def points(size, seed=1):
    return torch.tensor(np.sort(np.random.default_rng(seed).uniform(-2, 2, size)))


def without_skip(network):
    return Network(network.theta, network.activation, torch.zeros_like(network.skip))


def test_a_network_takes_arrays_as_other_answers_do():
    network, x = random_network(), points(20)
    np.testing.assert_allclose(network(x.numpy()), network(x).numpy(), rtol=1e-12)
    assert network(0.3) == pytest.approx(network([0.3])[0]) and np.isnan(network(np.nan))
    np.testing.assert_array_equal(network([0.3, 0.7], 1), network.function()([0.3, 0.7], 1))
    with pytest.raises(sb.CapabilityError, match="derivatives are taken of arrays"):
        network(torch.tensor([0.3]), 1)


@pytest.mark.parametrize("batch", [(), (3,), (2, 2)], ids=str)
@pytest.mark.parametrize("size", [FEW, MANY])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_hand_gradient_equals_autograd(activation, size, batch):
    network, x = without_skip(random_network(activation, batch=batch)), points(size)
    u = torch.tensor(np.random.default_rng(2).normal(size=(*batch, size)))
    theta = network.theta.clone().requires_grad_()
    (expected,) = torch.autograd.grad((Network(theta, activation, network.skip)(x) * u).sum(), theta)
    linear = network.linearize(x)
    torch.testing.assert_close(linear.vjp(u), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(linear.value, network(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [FEW, MANY])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_dense_jacobian_equals_autograd(activation, size):
    network, x = without_skip(random_network(activation)), points(size)
    expected = torch.autograd.functional.jacobian(lambda t: Network(t, activation, network.skip)(x), network.theta)
    torch.testing.assert_close(network.linearize(x).dense(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("batch", [(), (3,)], ids=str)
@pytest.mark.parametrize("size", [FEW, MANY])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_structured_products_equal_dense_ones(activation, size, batch):
    network, x, rng = random_network(activation, batch=batch), points(size), np.random.default_rng(3)
    linear = network.linearize(x)
    jacobian = linear.dense()
    v, scale = torch.tensor(rng.normal(size=network.theta.shape)), torch.tensor(rng.uniform(0.1, 2, network.theta.shape))
    torch.testing.assert_close(linear.jvp(v), (jacobian @ v.unsqueeze(-1)).squeeze(-1), rtol=1e-12, atol=1e-11)
    kernel = (jacobian * scale.unsqueeze(-2)) @ jacobian.mT
    torch.testing.assert_close(linear.gram(scale), kernel, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("batch", [(), (3,)], ids=str)
def test_pattern_twins_agree(batch):
    rng = np.random.default_rng(4)
    lines = torch.tensor(rng.normal(size=(*batch, 2, 50)))
    lines[..., 0, :4] = torch.tensor([0.0, -0.0, 0.0, -0.0])  # units without a breakpoint: always on or always off
    lines[..., 1, :4] = torch.tensor([1.0, 1.0, -1.0, -1.0])
    lines[..., 1, 4:8] = 100.0  # breakpoints far outside the points
    x = points(FEW)
    design = torch.stack([x, torch.ones_like(x)])
    dense, fast = DensePattern(lines, design), SortedPattern(lines, design)
    v, u = torch.tensor(rng.normal(size=(*batch, 3, 50))), torch.tensor(rng.normal(size=(*batch, 3, FEW)))
    for name, argument in (("over_units", v), ("over_points", u), ("pairs", v)):
        torch.testing.assert_close(getattr(fast, name)(argument), getattr(dense, name)(argument), rtol=1e-13, atol=1e-13)
    matrix = (lines[..., 0, None, :] * x[:, None] + lines[..., 1, None, :] > 0).double()
    torch.testing.assert_close(dense.matrix, matrix, rtol=0, atol=0)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_exported_function_equals_forward(activation):
    network = random_network(activation, width=200)
    x = np.random.default_rng(5).uniform(-3, 3, 500)
    scale = float(network.a.abs() @ (network.w.abs() + network.b.abs()))  # what the rounding of either sum is relative to
    np.testing.assert_allclose(network.function()(x), network(torch.tensor(x)).numpy(), rtol=0, atol=1e-14 * scale)
    assert network.function().knots.size == 200


def test_float32_export_is_exact_in_float64():
    double = random_network(width=50)
    single = Network(double.theta.float(), double.activation, double.skip.float())
    rounded = Network(single.theta.double(), double.activation, single.skip.double())
    x = np.linspace(-2, 2, 50)
    np.testing.assert_array_equal(single.function()(x), rounded.function()(x))


def test_batch_equals_its_members():
    network, x = random_network(batch=(3,)), points(MANY)
    u = torch.tensor(np.random.default_rng(6).normal(size=(3, MANY)))
    for j in range(3):
        torch.testing.assert_close(network(x)[j], network[j](x), rtol=1e-13, atol=1e-12)
        torch.testing.assert_close(network.linearize(x).vjp(u)[j], network[j].linearize(x).vjp(u[j]), rtol=1e-13, atol=1e-12)


def test_blocks_are_in_the_documented_order():
    network = Network(torch.arange(10, dtype=torch.float64), sb.ReLU(), torch.tensor([2.0, 5.0]))
    parts = [part.tolist() for part in (network.w, network.b, network.a)]
    assert parts == [[0, 1, 2], [3, 4, 5], [6, 7, 8]] and float(network.d) == 9 and network.width == 3
    at_one = sum(a * max(w + b, 0) for w, b, a in zip(*parts, strict=True)) + 9 + 2 + 5
    assert float(network(torch.tensor([1.0], dtype=torch.float64))) == at_one


def test_samples_follow_the_initialization_and_the_seed():
    problem = make_problem()
    network = Network.sample(problem, 7, seed=3)
    w, b, a = problem.initialization.sample(7, np.random.default_rng(3))
    assert torch.equal(network.theta, torch.tensor(np.concatenate([w, b, a, [0.0]])))
    assert torch.equal(network.skip, torch.zeros(2, dtype=torch.float64))
    assert torch.equal(network.theta, Network.sample(problem, 7, seed=np.int64(3)).theta)
    assert not torch.equal(network.theta, Network.sample(problem, 7, seed=4).theta)
    batch = Network.sample(problem, 7, seed=range(2, 5))
    assert torch.equal(batch[1].theta, network.theta) and batch.skip.shape == (3, 2)


def test_float32_sample_is_the_rounded_float64_one():
    problem = make_problem()
    single = Network.sample(problem, 9, seed=1, dtype="float32")
    assert single.theta.dtype is torch.float32
    assert torch.equal(single.theta, Network.sample(problem, 9, seed=1).theta.float())


def test_antisymmetric_pairs_start_at_zero():
    init = sb.Initialization(sb.Rademacher(), st.uniform(-1, 2), st.norm(0, 0.1))
    problem = sb.Problem(sb.Dataset([-1, 1], [0, 1]), init)
    network = Network.sample(problem, 20)
    assert float(network.a.abs().max()) > 0
    torch.testing.assert_close(network(points(FEW)), torch.zeros(FEW, dtype=torch.float64), rtol=0, atol=1e-15)
    with pytest.raises(sb.DataError, match="`width` must be even"):
        Network.sample(problem, 21)


@pytest.mark.parametrize("width", [0, -3, 2.5, True, None, "10"])
def test_bad_width_is_refused(width):
    with pytest.raises(sb.DataError, match="`width` must be a whole number >= 1"):
        Network.sample(make_problem(), width)


@pytest.mark.parametrize("seed", [-1, 1.5, None, "a", [0, -1]])
def test_bad_seed_is_refused(seed):
    with pytest.raises(sb.DataError, match="`seed` must be a whole number >= 0"):
        Network.sample(make_problem(), 5, seed)


def test_no_seed_at_all_is_refused():
    with pytest.raises(sb.DataError, match="at least one seed"):
        Network.sample(make_problem(), 5, [])


@pytest.mark.parametrize("dtype", ["float16", "double", torch.int64, torch.complex128, None, np.float64])
def test_bad_dtype_is_refused(dtype):
    with pytest.raises(sb.DataError, match='`dtype` must be "float64" or "float32"'):
        Network.sample(make_problem(), 5, dtype=dtype)


@pytest.mark.parametrize("device", ["gpu", "meta", 1.5, None])
def test_bad_device_is_refused(device):
    with pytest.raises(sb.DataError, match="`device` must be one that torch can use here"):
        Network.sample(make_problem(), 5, device=device)


def test_absent_gpu_is_refused():
    with pytest.raises(sb.DataError, match='`device` must be one that torch can use here.*use "cpu"'):
        Network.sample(make_problem(), 5, device="cuda:99")


def test_batch_and_single_are_not_confused():
    with pytest.raises(sb.DataError, match=r"batch of 2 networks; take network\[j\]"):
        random_network(batch=(2,)).function()
    with pytest.raises(sb.DataError, match="single network"):
        random_network()[0]


def test_linearization_ignores_the_skip_part():
    network, x = random_network(), points(FEW)
    linear = network.linearize(x)
    assert isinstance(linear, Linearization)
    expected = network(x) - network.skip[0] * x - network.skip[1]
    torch.testing.assert_close(linear.value, expected, rtol=1e-12, atol=1e-12)


def test_networks_print_in_a_line():
    problem = make_problem()
    assert repr(sb.Network.sample(problem, 2000)) == "Network(width 2000, 1 input, ReLU())"
    assert repr(sb.Network.sample(problem, 20, seed=range(3))) == "Network(3 x width 20, 1 input, ReLU())"


def test_draws_take_a_generator():
    with pytest.raises(sb.DataError, match="`rng` must be a numpy Generator, got 0; take numpy.random.default_rng"):
        sb.Initialization.gaussian().sample(5, 0)


def test_modules_are_no_functions():
    module = torch.nn.Sequential(torch.nn.Linear(1, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    problem = make_problem()
    for call in (lambda: sb.predict(problem, start=module), lambda: sb.compare(module, sb.predict(problem))):
        with pytest.raises(sb.DataError, match="got a torch module; take sb.from_torch"):
            call()
