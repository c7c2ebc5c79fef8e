"""The gap of one network, taken apart: exact sums, the parts of the start page, words that name the largest."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats as st
import torch
from click.testing import CliRunner

import splinebias as sb
from splinebias.cli.main import main
from tests.problems import SET_A, SET_B, UNIFORM

TORCH = sb.Problem(SET_A, sb.Initialization.pytorch_default(both_layers=True))
PLANE = sb.Problem(sb.Points([[0.0, 1.0], [1.0, 0.0]], [1.0, 2.0]), sb.Initialization.gaussian(dim=2))
GRID = np.linspace(-1.5, 1.5, 31)


def torch_start(width: int, seed: int = 0) -> tuple[torch.nn.Module, sb.Network]:
    torch.manual_seed(seed)
    module = torch.nn.Sequential(torch.nn.Linear(1, width), torch.nn.ReLU(), torch.nn.Linear(width, 1)).double()
    theta = torch.cat([part.reshape(-1) for part in module.parameters()]).detach().clone()
    return module, sb.Network(theta, sb.ReLU(), theta.new_zeros(2))


def test_the_example_of_the_start_page():
    """torch seed 0, n = 10^4, t = 10^6: moving .00255, hidden .00376, sampling .0212, start .0998, total .0730."""
    torch.manual_seed(0)
    hidden, output = torch.nn.Linear(1, 10_000), torch.nn.Linear(10_000, 1)  # drawn in float32
    theta = torch.cat([hidden.weight.reshape(-1), hidden.bias, output.weight.reshape(-1), output.bias]).detach().double()
    start = sb.Network(theta, sb.ReLU(), theta.new_zeros(2))
    run = sb.train(TORCH, start=start, method=sb.MirrorFlow(time=1e6, rtol=1e-7), loss_tol=1e-30)
    found = sb.diagnose(run, interval=(-1.5, 1.5))
    for name, expected in {"start": 0.0998, "sampling": 0.0212, "hidden kernel": 0.00376, "total": 0.0730}.items():
        assert found[name].sup == pytest.approx(expected, rel=4e-3), name
    assert found["moving features"].sup == pytest.approx(0.00255, rel=0.02)
    assert found["unfinished"].sup < 1e-6
    assert found.largest.name == "start"
    assert "keeps part of its start function" in found.advice


@pytest.mark.parametrize(
    "problem",
    [
        TORCH,
        sb.Problem(SET_B, UNIFORM, sb.Abs(), sb.Scaled(sb.Power(3, quadratic=1))),
        sb.Problem(SET_A, replace(UNIFORM, output=st.norm(0, 0.5), antisymmetric=False), sb.LeakyReLU(0.2), affine="free"),
        sb.Problem(SET_A, sb.Initialization(st.norm(), st.norm(), output=st.norm()), parameterization=sb.NTK()),
    ],
    ids=["torch", "scaled", "free", "ntk"],
)
@pytest.mark.parametrize("method", [sb.MirrorFlow(), sb.MirrorFlow(time=30.0)], ids=["end", "early"])
def test_the_parts_add_up(problem, method):
    run = sb.train(problem, 60, 1, method=method, loss_tol=1e-6)
    found = sb.diagnose(run)
    gap = run.function(GRID) - sb.predict(problem).function(GRID)
    np.testing.assert_allclose(sum(part.function(GRID) for part in found.parts), gap, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.total.function(GRID), gap, rtol=0, atol=1e-12)
    assert all(part.sup >= np.abs(part.function(np.linspace(*found.interval, 200))).max() - 1e-9 for part in found.parts)
    assert found.largest.name in found.advice
    order = ("start", "sampling", "hidden kernel", "moving features", "unfinished")
    linear = not problem.scaled
    assert tuple(part.name for part in found.parts) == (order if linear else ("start", "unfinished", "finite width"))


def test_a_real_torch_script_with_its_steps():
    """Gradient descent written by hand: the step size is a part of its own, and what its closed form says."""
    width, rate, steps = 200, 0.01, 8
    module, start = torch_start(width, 3)
    optimizer = torch.optim.SGD(module.parameters(), lr=rate)
    x, y = torch.tensor(SET_A.x)[:, None], torch.tensor(SET_A.y)[:, None]
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(module(x), y).backward()
        optimizer.step()
    theta = torch.cat([part.reshape(-1) for part in module.parameters()]).detach()
    trained = sb.Network(theta, sb.ReLU(), theta.new_zeros(2))
    found = sb.diagnose(trained, TORCH, start=start, learning_rate=2 * rate, steps=steps)  # MSELoss is twice the loss
    assert found.time == pytest.approx(2 * width * rate * steps)
    np.testing.assert_allclose(
        sum(part.function(GRID) for part in found.parts), found.total.function(GRID), rtol=0, atol=1e-12
    )
    assert 1e-3 < found["step size"].sup < 0.1 * found["unfinished"].sup
    flow = sb.train(TORCH, start=start, method=sb.MirrorFlow(time=found.time, rtol=1e-8), loss_tol=1e-30)
    without = trained.function()(GRID) - flow.function(GRID)
    np.testing.assert_allclose(found["step size"].function(GRID), without, rtol=0, atol=0.05 * np.abs(without).max())
    wrong = sb.diagnose(trained, TORCH, start=start, time=found.time / 2)
    assert wrong["moving features"].sup > 2 * found["moving features"].sup  # a wrong time is no small thing


@pytest.mark.nightly
def test_parts_shrink_as_they_should():
    """From n to 8 n: the start stays, sampling falls 2.8 times, the hidden kernel 8 times, moving features faster still."""
    sizes = []
    for width in (1000, 8000):
        found = [
            sb.diagnose(sb.train(TORCH, width, seed, method=sb.MirrorFlow(time=2e4, rtol=1e-7), loss_tol=1e-30))
            for seed in range(2)
        ]
        sizes.append(
            {
                name: np.mean([one[name].l2 for one in found])
                for name in ("start", "sampling", "hidden kernel", "moving features")
            }
        )
    ratio = {name: sizes[0][name] / sizes[1][name] for name in sizes[0]}
    assert 0.3 < ratio["start"] < 3
    assert 1.4 < ratio["sampling"] < 6
    assert 3.5 < ratio["hidden kernel"] < 18
    assert ratio["moving features"] > 12


def test_a_network_without_its_start():
    trained = sb.train(TORCH, 300, 1, loss_tol=1e-8).network
    found = sb.diagnose(trained, TORCH)
    w, b = trained.w.numpy(), trained.b.numpy()
    assert found.residual == pytest.approx(np.abs(trained.function()(SET_A.x) - SET_A.y).max())
    assert found.outside == (np.abs(b / w) > 1).sum()
    assert found.dead == (np.multiply.outer(w, SET_A.x) + b[:, None] <= 0).all(axis=1).sum()
    assert 0.2 < found.in_bands < 10
    assert found.least_penalty == sb.predict(TORCH).penalty
    assert "give the network at the start" in str(found)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (lambda net: (net, None, {}), "`problem` must be what the network was trained on"),
        (lambda net: (net, TORCH, {"time": 3.0}), "needs the network at the start"),
        (lambda net: (net, TORCH, {"start": net}), "`time` must be the training time"),
        (lambda net: (net, TORCH, {"start": net, "learning_rate": 0.1}), "come together"),
        (lambda net: (net, TORCH, {"start": net, "learning_rate": 0.1, "steps": 5, "time": 1e9}), "contradicts"),
        (lambda net: (net, TORCH, {"start": sb.Network.sample(TORCH, 7), "time": 1.0}), "must be the network of width 30"),
        (lambda net: (net.function(), TORCH, {}), "must be a Training or an sb.Network"),
        (lambda net: (net, replace(TORCH, activation=sb.Abs()), {}), "`run` must have the activation of the problem, Abs"),
        (lambda net: (net, PLANE, {}), "`run` must have the 2 inputs of the problem, got 1"),
        (lambda net: (net, TORCH, {"start": sb.Network.sample(PLANE, 30), "time": 1.0}), "`start` must have the 1 input of"),
    ],
)
def test_what_does_not_fit_together(arguments, words):
    run, problem, options = arguments(sb.Network.sample(TORCH, 30))
    with pytest.raises(sb.DataError, match=words):
        sb.diagnose(run, problem, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"time": "1"}, "`time` must be"),
        ({"time": [1, 2]}, "`time` must be"),
        ({"learning_rate": "a", "steps": 5}, "`learning_rate` must be"),
        ({"learning_rate": 0.1, "steps": 10.9}, "`steps` must be a whole number"),
    ],
)
def test_training_times_are_numbers(options, words):
    net = sb.Network.sample(TORCH, 30)
    with pytest.raises(sb.DataError, match=words):
        sb.diagnose(net, TORCH, start=net, **options)


@pytest.mark.parametrize("bias", [torch.zeros(4), torch.tensor(2.5), torch.zeros(0)])
def test_states_have_one_output_bias(bias, tmp_path):
    from splinebias.networks.state_dict import network_from_state

    state = {"0.weight": torch.ones(30, 1), "0.bias": torch.zeros(30), "2.weight": torch.ones(1, 30), "2.bias": bias}
    torch.save(state, tmp_path / "state.pt")
    with pytest.raises(sb.DataError, match="a state_dict must hold the weights"):
        network_from_state(tmp_path / "state.pt", sb.ReLU())


def test_frozen_hidden_weights_have_no_parts():
    run = sb.train(TORCH, 50, trainable="output", loss_tol=1e-6)
    with pytest.raises(sb.CapabilityError, match=r"got a run that moved a.* alone; train with trainable"):
        sb.diagnose(run)


def test_a_training_knows_its_problem():
    run = sb.train(TORCH, 30, loss_tol=1e-2)
    with pytest.raises(sb.DataError, match="a Training knows its `problem`"):
        sb.diagnose(run, TORCH)


def test_the_command_line(tmp_path):
    path = tmp_path / "problem.toml"
    TORCH.to_toml(path)
    module, _ = torch_start(50, 1)
    torch.save(module.state_dict(), tmp_path / "start.pt")
    found = CliRunner().invoke(main, ["diagnose", str(path), "--width", "50", "--loss-tol", "1e-4"])
    assert found.exit_code == 0
    assert "most of the gap" in found.output
    state = ["--state", str(tmp_path / "start.pt")]
    report = CliRunner().invoke(main, ["diagnose", str(path), *state, "--json"])
    assert report.exit_code == 0
    assert '"dead"' in report.output
    picture = ["--plot", str(tmp_path / "parts.png")]
    parts = CliRunner().invoke(main, ["diagnose", str(path), *state, "--start", state[1], "--time", "0", *picture])
    assert parts.exit_code == 0
    assert (tmp_path / "parts.png").stat().st_size > 5000
    (tmp_path / "bad.pt").write_bytes(b"nothing")
    for wrong, words in (
        (["--state", str(tmp_path / "bad.pt")], "must hold a state_dict"),
        (["--state", str(tmp_path / "none.pt")], "cannot be read"),
        ([], "give either --width"),
        ([*state, "--width", "5"], "give either --width"),
    ):
        refused = CliRunner().invoke(main, ["diagnose", str(path), *wrong])
        assert refused.exit_code == 2, refused.output
        assert words in refused.output


@pytest.mark.parametrize(
    "state",
    [
        {"0.weight": torch.ones(3, 2), "0.bias": torch.ones(3), "2.weight": torch.ones(2, 3)},
        {"0.weight": torch.ones(3, 1), "2.weight": torch.ones(1, 3)},
        {"0.weight": torch.ones(3, 1) * math.nan, "0.bias": torch.ones(3), "2.weight": torch.ones(1, 3)},
        {"0.weight": torch.ones(3, 1), "0.bias": torch.ones(3), "1.weight": torch.ones(3, 3), "2.weight": torch.ones(1, 3)},
        {"0.weight": torch.ones(3, 1, dtype=torch.cfloat), "0.bias": torch.ones(3), "2.weight": torch.ones(1, 3)},
        {"n": 3},
    ],
)
def test_weights_that_are_no_network(state, tmp_path):
    from splinebias.networks.state_dict import network_from_state

    torch.save(state, tmp_path / "state.pt")
    with pytest.raises(sb.DataError, match="state_dict|weights must be finite"):
        network_from_state(tmp_path / "state.pt", sb.ReLU())


def test_a_network_of_smooth_units_is_reported_without_what_it_does_not_have():
    problem = sb.Problem(SET_A, sb.Initialization.gaussian(), sb.Tanh())
    run = sb.train(problem, 40, method=sb.MirrorDescent(0.01, max_steps=50), progress=False)
    found = sb.diagnose(run.network, problem)
    assert found.dead is None and found.outside is None
    assert "no datum" not in str(found) and "breakpoints" not in str(found) and "nan" not in str(found)
    assert found.advice in str(found)
    with pytest.raises(sb.CapabilityError, match="parts of a gap are known for units with kinks.*leave out `start`"):
        sb.diagnose(run.network, problem, start=run.start, time=1.0)
