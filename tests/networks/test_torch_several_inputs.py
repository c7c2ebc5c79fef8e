"""Torch modules of several inputs, both ways; what is refused; networks frozen to first order."""

import copy

import numpy as np
import pytest
import scipy.stats as st
import torch
from torch import nn
from torch.nn import functional as F

import splinebias as sb

X = np.random.default_rng(0).uniform(-2, 2, (60, 3))
POINTS = sb.Points(X[:6], [0.2, -0.1, 0.4, 0, -0.3, 0.5], [1, 2, 1, 1, 3, 1])
LAW = sb.Initialization.gaussian(dim=3)


def sequential(layer=None, inputs=3, width=40):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, width), layer or nn.ReLU(), nn.Linear(width, 1))


class Smooth(nn.Module):
    """An activation that no part of a module names."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, z):
        return self.value(z)


class Skip(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        torch.manual_seed(1)
        self.skip, self.outer, self.inner = nn.Linear(3, 1), nn.Linear(width, 1), nn.Linear(3, width)

    def forward(self, x):
        return self.outer(F.leaky_relu(self.inner(x), 0.2)) + self.skip(x)


def values(module, x=X):
    with torch.no_grad():
        return module.double()(torch.tensor(x))[:, 0].numpy()


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.LeakyReLU(0.1)], ids=str)
@pytest.mark.parametrize("inputs", [2, 3, 17])
def test_sequences_are_read_exactly_and_written_back(layer, inputs):
    module = sequential(layer, inputs)
    network = sb.from_torch(module)
    x = np.random.default_rng(1).normal(size=(50, inputs))
    assert network.inputs == inputs
    np.testing.assert_allclose(network.function()(x), values(module, x), rtol=0, atol=1e-13)
    back = network.to_torch()
    for one, two in zip(back.parameters(), module.double().parameters(), strict=True):
        assert torch.equal(one, two)
    assert torch.equal(sb.from_torch(back).theta, network.theta)


@pytest.mark.parametrize("width", [1, 3, 8])
def test_layers_are_told_apart_by_what_they_do(width):
    """With as many units as inputs, output and skip connection have one shape."""
    module = Skip(width)
    network = sb.from_torch(module)
    np.testing.assert_allclose(network.function()(X), values(module), rtol=0, atol=1e-13)
    back = network.to_torch()
    np.testing.assert_allclose(values(back), values(module), rtol=0, atol=1e-13)
    assert torch.equal(sb.from_torch(back).skip, network.skip)


@pytest.mark.parametrize("inputs", [1, 3])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("activation", "known"),
    [
        (nn.Tanh(), sb.Tanh()),
        (nn.Sigmoid(), sb.Sigmoid()),
        (nn.Softplus(), sb.Softplus()),
        (Smooth(torch.tanh), sb.Tanh()),
        (Smooth(torch.nn.functional.softplus), sb.Softplus()),
        (Smooth(lambda z: z * torch.tanh(z)), sb.XTanh()),
        (Smooth(lambda z: z**2 * torch.tanh(z)), sb.X2Tanh()),
    ],
)
def test_smooth_activations_are_read_by_name_and_by_value(activation, known, kind, inputs):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(inputs, 30), activation, nn.Linear(30, 1)).to(kind)
    network = sb.from_torch(module)
    assert network.activation == known
    x = 3 * torch.randn(50, inputs, dtype=torch.float64)
    at = x.numpy() if inputs > 1 else x[:, 0].numpy()
    expected = copy.deepcopy(module).double()(x).detach().numpy()[:, 0]
    np.testing.assert_allclose(network.function()(at), expected, rtol=0, atol=1e-12)
    if not isinstance(known, sb.XTanh | sb.X2Tanh):  # which torch has no modules for
        assert sb.from_torch(network.to_torch()).activation == known


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)), "one output is meant, not 2"),
        (lambda: nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(4, 1)), "got 0: 3 to 5, 2: 4 to 1"),
        (lambda: sequential(nn.SiLU()), "known activation.*got SiLU"),
        (lambda: sequential(nn.Identity()), r"of ReLU\(\)|a known activation"),
        (lambda: nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 1)), "4: 5 to 1"),
    ],
)
def test_refusals_name_what_was_found(make, words):
    with pytest.raises(sb.DataError, match=words):
        sb.from_torch(make())


def test_training_goes_on_from_a_module_whose_limit_knows_its_start():
    module = sequential(width=4000)
    problem = sb.Problem(POINTS, sb.Initialization.pytorch_default(dim=3, both_layers=True))
    start = sb.from_torch(module)
    run = sb.train(problem, start=start)
    limit = sb.predict(problem, sb.PointsSolver(draws=2**10), start=start.function())
    at = X[:6] / 4
    apart = [np.abs(run.function(at) - f(at)).max() for f in (limit.function, start.function())]
    assert apart[0] < 0.2 * apart[1]
    np.testing.assert_allclose(values(run.network.to_torch()), run.function(X), rtol=0, atol=1e-12)


@pytest.mark.parametrize("activation", [sb.ReLU(), sb.ReLUPower(2)], ids=str)
@pytest.mark.parametrize("affine", ["network", "free"])
def test_linearized_networks_are_those_of_the_tangent_kernel(activation, affine):
    problem = sb.Problem(POINTS, LAW, activation, affine=affine)
    network = sb.from_torch(sb.Network.sample(problem, 30, 0).to_torch())
    network = sb.Network(network.theta + 0.1 * torch.sin(torch.arange(151.0, dtype=torch.float64)), activation, network.skip)
    m, y = POINTS.weights / POINTS.weights.sum(), POINTS.y
    for hidden in (True, False):
        x = torch.tensor(np.r_[POINTS.x, X[6:]])
        jacobian = network.linearize(x).dense().numpy()
        if not hidden:
            jacobian[:, : 4 * 30] = 0.0
        kernel = jacobian @ jacobian[:6].T
        start = network.function()(x.numpy())
        found = network.linearized(problem, (5.0 if affine == "network" else 0.01) * 30, hidden=hidden)
        if affine == "network":
            rates, v = np.linalg.eigh(np.sqrt(m)[:, None] * kernel[:6] * np.sqrt(m))
            moved = v * np.divide(-np.expm1(-5.0 * rates), rates) @ v.T @ (np.sqrt(m) * (y - start[:6]))
            expected = start + kernel @ (np.sqrt(m) * moved)
            np.testing.assert_allclose(found(x.numpy()), expected, atol=1e-9)
        else:
            left = m * (found(POINTS.x) - y)
            assert np.abs(left).max() > 1e-5
            assert np.abs(left @ np.c_[POINTS.x, np.ones(6)]).max() < 1e-13
        h = 1e-6
        slopes = np.stack([(found(X + h * e) - found(X - h * e)) / (2 * h) for e in np.eye(3)], axis=1)
        assert np.median(np.abs(found.gradient(X) - slopes)) < 1e-7
    with pytest.raises(sb.DataError, match="must have the 3 input"):
        network.linearized(sb.Dataset([0, 1], [0, 1]))


def test_linearized_steps_tend_to_the_flow():
    problem = sb.Problem(POINTS, LAW)
    network = sb.Network.sample(problem, 200, 1)
    flow = network.linearized(problem, 100.0)
    gaps = []
    for rate in (2e-3, 1e-3):
        steps = network.linearized(problem, learning_rate=rate, steps=round(0.5 / rate))
        gaps.append(np.abs(steps(X) - flow(X)).max())
    assert gaps[0] == pytest.approx(2 * gaps[1], rel=0.1)


def test_a_state_dict_of_several_inputs_is_read(tmp_path):
    from splinebias.networks.state_dict import network_from_state

    module = sequential().double()
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    found = network_from_state(tmp_path / "weights.pt", sb.ReLU())
    np.testing.assert_allclose(found.function()(X), values(module), rtol=0, atol=1e-13)


def test_a_law_for_the_weights_of_one_layer_alone_is_that_of_the_module():
    """nn.Linear(d, n) draws from U(-1/sqrt(d), 1/sqrt(d)), as pytorch_default(dim=d) does."""
    w, b, _ = sb.Initialization.pytorch_default(dim=3).sample(5000, np.random.default_rng(0))
    layer = nn.Linear(3, 5000)
    for drawn, own in ((w.ravel(), layer.weight), (b, layer.bias)):
        assert st.ks_2samp(drawn, own.detach().numpy().ravel()).pvalue > 1e-3
