"""Torch modules as networks and back: exact, checked against what they compute, refused by what was found."""

import copy
import math
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import splinebias as sb
from splinebias.networks.torch_layers import AbsLayer, ReLUPowerLayer, SkipConnection

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
X = np.linspace(-3, 3, 101)


def sequential(layer=None, width=40, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(1, width), nn.ReLU() if layer is None else layer, nn.Linear(width, 1))


class Custom(nn.Module):
    """A module whose forward is a function of itself and x."""

    def __init__(self, forward, width=40, **parts):
        super().__init__()
        torch.manual_seed(1)
        self.inner, self.outer = nn.Linear(1, width), nn.Linear(width, 1)
        self.computed = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.computed(self, x)


def values(module, x=X):
    """What a module computes in float64."""
    with torch.no_grad():
        return copy.deepcopy(module).double().eval()(torch.tensor(x)[:, None]).numpy().reshape(x.shape)


def matches(network, module):
    np.testing.assert_allclose(network.function()(X), values(module), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("layer", "activation"),
    [
        (nn.ReLU(), sb.ReLU()),
        (nn.ReLU(inplace=True), sb.ReLU()),
        (nn.LeakyReLU(), sb.LeakyReLU(0.01)),
        (nn.LeakyReLU(1 / 3), sb.LeakyReLU(1 / 3)),
        (nn.LeakyReLU(0.0), sb.ReLU()),
        (nn.LeakyReLU(-1.0), sb.Abs()),
        (nn.LeakyReLU(-2.5), sb.LeakyReLU(-2.5)),
        (nn.Threshold(0.0, 0.0), sb.ReLU()),
        (AbsLayer(), sb.Abs()),
        (ReLUPowerLayer(3), sb.ReLUPower(3)),
    ],
    ids=str,
)
def test_sequences_are_read_exactly(layer, activation, dtype):
    module = sequential(layer).to(dtype)
    network = sb.from_torch(module)
    assert network.activation == activation and network.theta.dtype is torch.float64
    for part, own in ((network.w, module[0].weight), (network.b, module[0].bias), (network.a, module[2].weight)):
        assert torch.equal(part, own.detach().double().flatten())
    assert network.d.item() == module[2].bias.item() and not network.skip.any()
    matches(network, module)


@pytest.mark.parametrize(
    ("forward", "activation"),
    [
        (lambda m, x: m.outer(torch.relu(m.inner(x))), sb.ReLU()),
        (lambda m, x: m.outer(m.inner(x).clamp(min=0)).squeeze(-1), sb.ReLU()),
        (lambda m, x: m.outer(torch.abs(m.inner(x))), sb.Abs()),
        (lambda m, x: m.outer(F.leaky_relu(m.inner(x), 0.2)), sb.LeakyReLU(0.2)),
        (lambda m, x: m.outer(F.leaky_relu(m.inner(x), math.pi)), sb.LeakyReLU(math.pi)),
        (lambda m, x: m.outer(torch.relu(m.inner(x)) ** 2), sb.ReLUPower(2)),
        (lambda m, x: m.outer(torch.where(m.inner(x) > 0, m.inner(x), 0)), sb.ReLU()),
        (lambda m, x: F.linear(F.relu(F.linear(x, m.inner.weight, m.inner.bias)), m.outer.weight, m.outer.bias), sb.ReLU()),
    ],
)
@pytest.mark.parametrize("silent", [False, True], ids=["random", "zero output weights"])
def test_functions_of_torch_are_recognized_by_their_values(forward, activation, silent):
    """Also where output weights are zero, so that the function says nothing of the activation."""
    module = Custom(forward)
    if silent:
        nn.init.zeros_(module.outer.weight)
    network = sb.from_torch(module)
    if isinstance(activation, sb.LeakyReLU):
        assert network.activation.slope == pytest.approx(activation.slope, rel=1e-14)
    else:
        assert network.activation == activation
    matches(network, module)


@pytest.mark.parametrize("width", [1, 2, 40])
def test_skip_connections(width):
    for forward in (
        lambda m, x: m.skip(x) + m.outer(F.relu(m.inner(x))),
        lambda m, x: m.outer(m.inner(x).abs()) + m.skip(x),
    ):
        module = Custom(forward, width, skip=nn.Linear(1, 1))
        network = sb.from_torch(module)
        assert network.skip.tolist() == [module.skip.weight.item(), module.skip.bias.item()]
        matches(network, module)


def test_layers_in_another_order_are_told_apart_by_what_they_do():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.skip, self.last, self.first = nn.Linear(1, 1), nn.Linear(1, 1), nn.Linear(1, 1)

        def forward(self, x):
            return self.last(F.relu(self.first(x))) + self.skip(x)

    module = Backwards()
    network = sb.from_torch(module)
    assert network.w.item() == module.first.weight.item() and network.skip[0].item() == module.skip.weight.item()


def test_layers_without_biases():
    module = nn.Sequential(nn.Linear(1, 30, bias=False), nn.ReLU(), nn.Linear(30, 1, bias=False))
    network = sb.from_torch(module)
    assert not network.b.any() and float(network.d) == 0
    matches(network, module)


def test_dead_and_huge_and_tiny_parameters():
    module = sequential(width=6).double()
    with torch.no_grad():
        module[0].weight.copy_(torch.tensor([[0.0], [1e-30], [1e8], [-1e8], [1.0], [-0.0]]))
        module[0].bias.copy_(torch.tensor([1.0, 1.0, 1e8, 0.0, -1e6, -1.0]))
    network = sb.from_torch(module)
    np.testing.assert_allclose(network.function()(X), values(module), rtol=1e-12, atol=1e-6)


def test_computed_weights_are_read_as_the_numbers_they_are():
    module = sequential()
    nn.utils.parametrizations.weight_norm(module[0])
    network = sb.from_torch(module)
    assert torch.equal(network.w, module[0].weight.detach().double().flatten())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        old = sequential()
        nn.utils.weight_norm(old[2])  # deepcopy refuses its tensors: checked in its own precision
    network = sb.from_torch(old)
    assert torch.equal(network.a, old[2].weight.detach().double().flatten())
    tied = sequential(width=5)
    tied[2].weight.data = tied[0].weight.data.T
    assert torch.equal(sb.from_torch(tied).a, sb.from_torch(tied).w)


def test_the_module_is_left_as_it_is():
    module = sequential().half()
    module[1].eval()
    before, state = copy.deepcopy(module.state_dict()), torch.get_rng_state()
    network = sb.from_torch(module)
    assert [part.training for part in module.modules()] == [True, True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    network.theta.zero_()
    assert module[0].weight.any()
    assert all(parameter.grad is None and parameter.requires_grad for parameter in module.parameters())


def test_dtype_is_that_asked_for_unless_it_rounds():
    assert sb.from_torch(sequential(), dtype="float32").theta.dtype is torch.float32
    with pytest.raises(sb.DataError, match='`dtype` = "float32" would round'):
        sb.from_torch(doubled(), dtype="float32")


def doubled():
    module = sequential().double()
    with torch.no_grad():
        module[0].weight.add_(1e-12)
    return module


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("activation", [sb.ReLU(), sb.Abs(), sb.LeakyReLU(0.3), sb.ReLUPower(2)], ids=str)
def test_round_trips_keep_every_bit(activation, dtype, skip):
    rng = np.random.default_rng(0)
    theta = torch.tensor(rng.normal(size=31), dtype=dtype)
    network = sb.Network(theta, activation, torch.tensor(rng.normal(size=2) * skip, dtype=dtype))
    module = network.to_torch()
    back = sb.from_torch(module, dtype=dtype)
    assert torch.equal(back.theta, theta) and torch.equal(back.skip, network.skip) and back.activation == activation
    assert isinstance(module, SkipConnection if skip else nn.Sequential)
    assert {parameter.dtype for parameter in module.parameters()} == {dtype}
    loaded = copy.deepcopy(module)
    loaded.load_state_dict(module.state_dict())
    matches(network, loaded)
    module.zero_grad()
    module(torch.ones(3, 1, dtype=dtype)).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())
    with torch.no_grad():
        next(module.parameters()).zero_()
    assert theta[0] != 0  # copies


def test_batches_have_no_module():
    network = sb.Network(torch.zeros(2, 4).double(), sb.ReLU(), torch.zeros(2, 2).double())
    with pytest.raises(sb.DataError, match="batch of 2 networks"):
        network.to_torch()


def nan_module():
    module = sequential()
    with torch.no_grad():
        module[2].weight[0, 3] = math.nan
    return module


def complex_module():
    module = sequential()
    module[0].weight = nn.Parameter(module[0].weight.detach() + 0j)
    return module


def plain(m, x):
    return m.outer(F.relu(m.inner(x)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: 3, "must be a torch.nn.Module such as nn.Sequential.*got int"),
        (lambda: nn.ReLU, "call it: add"),
        (
            lambda: nn.Sequential(nn.Linear(1, 5), nn.ReLU(), nn.Dropout(0.1), nn.Linear(5, 1)),
            "the same every time, got Dropout at '2'",
        ),
        (
            lambda: nn.Sequential(nn.Linear(1, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 1)),
            "not normalize, got BatchNorm1d",
        ),
        (
            lambda: nn.Sequential(nn.Linear(1, 5), nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 1)),
            "not normalize, got LayerNorm",
        ),
        (
            lambda: nn.Sequential(nn.Linear(1, 5), nn.ReLU(), nn.Linear(5, 2)),
            "got 0: 1 to 5, 2: 5 to 2; one output is meant",
        ),
        (lambda: nn.Sequential(nn.Linear(1, 5), nn.ReLU()), "got 1 linear layers"),
        (lambda: nn.Linear(1, 1), r"got 1 linear layers \(itself: 1 to 1\)"),
        (nn.ReLU, "got 0 linear layers"),
        (lambda: nn.Sequential(*[nn.Linear(1, 1)] * 1, *[nn.Linear(1, 1) for _ in range(3)]), "got 4 linear layers"),
        (
            lambda: nn.Sequential(nn.Linear(1, 5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 1)),
            "got 0: 1 to 5, 2: 5 to 5, 4: 5 to 1",
        ),
        (lambda: sequential(nn.GELU()), "known activation.*Tanh, Sigmoid or Softplus.*got GELU at '1'"),
        (lambda: sequential(nn.Softplus(beta=2.0)), "must compute what its linear layers make.*of Softplus"),
        (lambda: sequential(nn.PReLU()), "known activation.*got PReLU"),
        (lambda: sequential(nn.ReLU6()), "known activation.*got ReLU6"),
        (lambda: sequential(nn.Identity()), "with a known activation"),
        (lambda: sequential(nn.RReLU()), "the same every time, got RReLU"),
        (lambda: Custom(lambda m, x: m.outer(torch.sin(m.inner(x)))), "must compute what its linear layers make"),
        (lambda: Custom(lambda m, x: plain(m, x) + x), "must compute what its linear layers make"),
        (lambda: Custom(lambda m, x: plain(m, x) * (1 + 1e-9)), "must compute what its linear layers make"),
        (lambda: Custom(lambda m, x: plain(m, 2 * x)), "must compute what its linear layers make"),
        (lambda: Custom(lambda m, x: plain(m, x) / 40**0.5), "must compute what its linear layers make"),
        (lambda: Custom(lambda m, x: plain(m, x), skip=nn.Linear(1, 1)), "must compute what its linear layers make"),
        (lambda: Custom(lambda m, x: m.outer(F.dropout(F.relu(m.inner(x)), 0.1, m.training))), "got dropout or noise"),
        (lambda: Custom(lambda m, x: plain(m, x) + 1e-6 * torch.randn(())), "got dropout or noise"),
        (lambda: Custom(lambda m, x: plain(m, x).sum()), "must map x of shape"),
        (lambda: Custom(lambda m, x: (plain(m, x), x)), "got tuple; one output is meant"),
        (lambda: Custom(lambda m, x: 1 / 0), "got ZeroDivisionError"),
        (lambda: Custom(lambda m, x: m.outer(F.relu(m.inner(x)).log())), "finite values"),
        (nan_module, "must have finite parameters, got 1 in the weight of '2'"),
        (complex_module, "must be real, got '0.weight' of torch.complex64"),
        (lambda: nn.Sequential(nn.LazyLinear(5), nn.ReLU(), nn.Linear(5, 1)), "has none yet; call the module once"),
        (lambda: sequential().to("meta"), "on the meta device"),
        (lambda: nn.Sequential(nn.Conv1d(1, 5, 1), nn.ReLU(), nn.Linear(5, 1)), "no others with weights, got Conv1d"),
    ],
)
def test_refusals_name_what_was_found(make, words):
    with pytest.raises(sb.DataError, match=words):
        sb.from_torch(make())


def test_half_precision_that_cannot_be_copied_cannot_be_told_apart():
    module = Custom(lambda m, x: plain(m, x.to(m.inner.weight.dtype if m.inner.weight.dtype == torch.bfloat16 else None)))
    module = module.to(torch.bfloat16)
    module.__deepcopy__ = lambda memo: 1 / 0
    with pytest.raises(sb.DataError, match="neither copied nor checked in torch.bfloat16"):
        sb.from_torch(module)


def test_a_network_of_torch_is_where_training_starts():
    data = sb.Dataset([-1, 0, 1], [0, 1, 0])
    problem = sb.Problem(data, sb.Initialization.pytorch_default(both_layers=True))
    module = sequential(width=500)
    run = sb.train(problem, start=sb.from_torch(module))
    np.testing.assert_allclose(run.start.function()(X), values(module), rtol=0, atol=1e-13)
    np.testing.assert_allclose(run.function(data.x), data.y, rtol=0, atol=1e-5)
    back = run.network.to_torch()
    np.testing.assert_allclose(values(back), run.function(X), rtol=0, atol=1e-12)
