"""diagnose of several inputs: parts that add up and shrink as they should, torch modules, reports."""

import numpy as np
import pytest
import scipy.stats as st
import torch
from torch import nn

import splinebias as sb

X = np.array([(-0.8, -0.6), (-0.7, 0.5), (-0.1, -0.2), (0.4, 0.3), (0.7, -0.4)])
POINTS = sb.Points(X, [0.2, -0.1, 0.3, 0.2, 0.1])
SPHERE = sb.Initialization.sphere(st.uniform(-2, 4), dim=2)
NOISY = sb.Initialization(pair=SPHERE.pair, output=st.norm(), antisymmetric=False)
AT = np.random.default_rng(1).uniform(-1, 1, (40, 2))


@pytest.mark.parametrize("affine", ["network", "free"])
@pytest.mark.parametrize(
    "method", [sb.MirrorFlow(rtol=1e-6), sb.MirrorDescent(1e-3, max_steps=300)], ids=["flow", "descent"]
)
def test_the_parts_add_up(affine, method):
    run = sb.train(sb.Problem(POINTS, NOISY, affine=affine), 300, 2, method=method, loss_tol=1e-8)
    found = sb.diagnose(run)
    total = sum(part.function(AT) for part in found.parts)
    np.testing.assert_allclose(total, run.function(AT) - sb.predict(run.problem).function(AT), atol=1e-10)
    np.testing.assert_allclose(found.total.function(AT), total, atol=1e-10)
    names = [part.name for part in found.parts]
    assert ("step size" in names) == isinstance(method, sb.MirrorDescent)
    assert found.total.sup <= 1.05 * sum(part.sup for part in found.parts)  # sups are found by a search
    assert "x [" in str(found)
    assert found.largest.name in found.advice or "rounding" in found.advice


def test_parts_shrink_as_they_should():
    """Sampling, hidden kernel, moving features: n^-1/2, n^-1 and n^-2, from the median of five networks."""
    problem, sizes = sb.Problem(POINTS, NOISY), []
    for width in (1000, 8000):
        runs = sb.train_ensemble(problem, width, range(5), method=sb.MirrorFlow(rtol=1e-7), loss_tol=1e-16)
        chains = []
        for run in runs:
            every, outputs = (run.start.linearized(problem, run.time, hidden=hidden)(AT) for hidden in (True, False))
            begun = sb.predict(problem, time=run.time, start=run.start.function()).function(AT)
            chains.append(np.abs(np.diff([begun, outputs, every, run.function(AT)], axis=0)).max(axis=1))
        sizes.append(np.median(chains, axis=0))
    powers = np.log(sizes[1] / sizes[0]) / np.log(8)
    assert (np.abs(powers - [-0.5, -1, -2]) < [0.3, 0.4, 0.7]).all()


def test_a_real_torch_script_of_two_inputs():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(2, 500), nn.ReLU(), nn.Linear(500, 1)).double()
    points = sb.Points(0.6 * X, POINTS.y)  # all data have a closed form
    problem = sb.Problem(points, sb.Initialization.pytorch_default(dim=2, both_layers=True))
    start = sb.from_torch(module)
    x, y = torch.tensor(points.x), torch.tensor(points.y)[:, None]
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.mse_loss(module(x), y).backward()
        optimizer.step()
    box = [(-0.5, 0.5)] * 2
    found = sb.diagnose(sb.from_torch(module), problem, start=start, learning_rate=2e-3, steps=200, interval=box)
    assert found.time == pytest.approx(500 * 2e-3 * 200)
    total = sum(part.function(AT / 2) for part in found.parts)
    limit = sb.predict(problem).function(AT / 2)
    np.testing.assert_allclose(total, sb.from_torch(module).function()(AT / 2) - limit, atol=1e-10)
    assert found["start"].sup > 3 * found["moving features"].sup  # part of the start function stays at every width


def test_a_network_without_its_start_gets_a_report():
    problem = sb.Problem(POINTS, SPHERE)
    run = sb.train(problem, 200)
    report = sb.diagnose(run.network, problem)
    assert report.residual == pytest.approx(np.abs(run.function(POINTS.x) - POINTS.y).max())
    assert 0.1 < report.in_bands < 6
    assert np.isnan(report.penalty)
    w, b = run.network.w.numpy(), run.network.b.numpy()
    active = POINTS.x @ w.T + b > 0
    assert report.dead == (~active.any(axis=0)).sum()
    assert report.outside == (active.all(axis=0) | ~active.any(axis=0)).sum()
    assert "distance to the limit on [" in str(report)


def test_pictures_are_of_one_input_and_boxes_have_to_fit():
    run = sb.train(sb.Problem(POINTS, SPHERE), 50, loss_tol=1e-2)
    with pytest.raises(sb.CapabilityError, match="one input"):
        sb.diagnose(run, interval=[(-1, 1), (-1, 1)]).plot()
    with pytest.raises(sb.DataError, match="low < high"):
        sb.diagnose(run, interval=[(1, -1), (-1, 1)])
