"""Norms of networks beside the least: definition, scaling of units, and networks that weight decay has trained."""

import numpy as np
import pytest
from marks import nightly

import splinebias as sb

C8 = sb.Dataset((-0.9, -0.65, -0.4, -0.1, 0.15, 0.45, 0.7, 0.95), (0.4, -0.3, 0.2, 0.6, -0.1, -0.5, 0.1, 0.3))


def random_network(rng, n=30):
    """Weights of a network, and its function."""
    w, b, a = rng.normal(size=(3, n))
    return (w, b, a), sb.PiecewiseLinear.from_units(w, b, a, 0.3, sb.ReLU())


@pytest.mark.parametrize("penalize_bias", [False, True])
@pytest.mark.parametrize(("affine", "output_bias"), [("network", True), ("network", False), ("free", True)])
def test_no_network_is_below_the_least(penalize_bias, affine, output_bias):
    rng = np.random.default_rng(4)
    for _ in range(5):
        weights, f = random_network(rng)
        values = sb.Dataset(C8.x, f(C8.x) - (0 if output_bias else 0.3))
        found = sb.network_norm(weights, values, penalize_bias=penalize_bias, affine=affine, output_bias=output_bias)
        assert found.ratio > 1
        w, b, a = weights
        size = np.hypot(w, b) if penalize_bias else np.abs(w)
        assert found.value == pytest.approx(np.sum(np.abs(a) * size))


def test_moving_scale_between_layers_changes_nothing():
    rng = np.random.default_rng(5)
    (w, b, a), f = random_network(rng)
    t = rng.uniform(0.1, 10, w.size)
    for penalize_bias in (False, True):
        one, two = (
            sb.network_norm(weights, sb.Dataset(C8.x, f(C8.x)), penalize_bias=penalize_bias)
            for weights in ((w, b, a), (t * w, t * b, a / t))
        )
        assert one.value == pytest.approx(two.value)


def test_a_minimizer_is_at_the_least():
    least = sb.minimum_norm(C8, affine="network")
    w, c, a = np.ones(least.knots.size), least.knots, least.jumps
    slope = least.function(-2, 1)  # made by units with w < 0 that bend at knots of either sign
    share = np.abs(least.jumps) / np.abs(least.jumps).sum()
    assert abs(slope) <= np.abs(least.jumps).sum()
    total, target = least.jumps.sum(), -float(slope)  # the part of the bends that units with w < 0 make
    fraction = np.clip((target - np.minimum(a, 0).sum()) / np.abs(a).sum(), 0, 1)
    left = np.where(a > 0, fraction, 1 - fraction) * a
    assert left.sum() == pytest.approx(target)
    weights = (np.r_[w, -w], np.r_[-c, c], np.r_[a - left, left])
    values = sb.Dataset(C8.x, C8.y)
    assert sb.network_norm(weights, values).ratio == pytest.approx(1)
    assert share.sum() == pytest.approx(1)
    assert total == pytest.approx(a.sum())


@pytest.mark.parametrize("penalize_bias", [nightly(False), True])
def test_networks_with_weight_decay_reach_the_optimum(penalize_bias):
    """Plain torch, MSELoss, SGD with weight decay on the weights (and hidden biases), none on the output bias."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    decay, n, steps = 4e-3, 60, 1200 if penalize_bias else 3500
    hidden, output = torch.nn.Linear(1, n).double(), torch.nn.Linear(n, 1).double()
    with torch.no_grad():
        for parameter in (hidden.weight, hidden.bias, output.weight):
            parameter.mul_(0.4)
    decaying = [hidden.weight, output.weight] + ([hidden.bias] if penalize_bias else [])
    free = [output.bias] + ([] if penalize_bias else [hidden.bias])
    optimizer = torch.optim.SGD([{"params": decaying, "weight_decay": decay}, {"params": free}], lr=0.05, momentum=0.95)
    x, y = (torch.tensor(v)[:, None] for v in (C8.x, C8.y))
    for step in range(steps):
        if step in (2 * steps // 3, 5 * steps // 6):
            for group in optimizer.param_groups:
                group["lr"] /= 4
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(output(torch.relu(hidden(x))), y).backward()
        optimizer.step()
    with torch.no_grad():
        loss = 0.5 * torch.nn.functional.mse_loss(output(torch.relu(hidden(x))), y).item()
        w, b, a = (v.detach().numpy().ravel() for v in (hidden.weight, hidden.bias, output.weight))
    size = np.hypot(w, b) if penalize_bias else np.abs(w)
    s = sb.sgd_strength(decay)
    best = sb.minimum_norm(C8, penalize_bias=penalize_bias, affine="network", strength=s)
    reached = loss + s * np.abs(a) @ size
    assert best.objective <= reached + 1e-12
    assert reached == pytest.approx(best.objective, abs=1e-4)


def test_what_is_refused():
    with pytest.raises(sb.DataError, match=r"`weights` must be a tuple \(w, b, a\), got int"):
        sb.network_norm(3, C8)
    with pytest.raises(sb.DataError, match="three vectors of one length, got 2, 2 and 1"):
        sb.network_norm(([1, 2], [0, 0], [1]), C8)
