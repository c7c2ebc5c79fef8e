"""The optimizers of torch against our descents, step for step; momentum and schedules as maps of time."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from marks import nightly
from torch import nn

import splinebias as sb
from splinebias.training.descent.batch import mini_batches
from splinebias.training.descent.momentum import Momentum
from splinebias.training.losses import SquaredLoss
from tests.problems import SET_A

TORCH = sb.Initialization.pytorch_default(both_layers=True)
PROBLEM = sb.Problem(SET_A, TORCH)
MOMENTA = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.5, "dampening": 0.3},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.8, "dampening": 0.8},
]


def module_of(layer=None, width=60, seed=0):
    """An ordinary torch network with the default initialization."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(1, width), nn.ReLU() if layer is None else layer, nn.Linear(width, 1)).double()


def torch_loop(module, rates, batches=None, **options):
    """What people write: SGD on MSELoss, a scheduler, all points or mini-batches."""
    x, y = (torch.tensor(part)[:, None] for part in (SET_A.x, SET_A.y))
    optimizer, loss = torch.optim.SGD(module.parameters(), lr=1.0, **options), nn.MSELoss()
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rates[min(step, len(rates) - 1)])
    for _ in rates:
        some = slice(None) if batches is None else next(batches)
        optimizer.zero_grad()
        loss(module(x[some]), y[some]).backward()
        optimizer.step()
        scheduler.step()
    return sb.from_torch(module)


@pytest.mark.parametrize("options", MOMENTA, ids=str)
@pytest.mark.parametrize("layer", [nn.ReLU(), nn.LeakyReLU(0.2)], ids=str)
def test_a_real_training_loop_is_our_descent_step_for_step(layer, options):
    module, rate = module_of(layer), 0.002
    start = sb.from_torch(module)
    problem = replace(PROBLEM, activation=start.activation)
    run = sb.train(problem, start=start, method=sb.MirrorDescent(2 * rate, max_steps=300, **options))
    found = torch_loop(module, [rate] * 300, **options)
    torch.testing.assert_close(run.network.theta, found.theta, rtol=0, atol=1e-10)
    assert run.steps == 300 and (found.theta - start.theta).abs().max() > 0.01
    others = {name: value for name, value in options.items() if name != "nesterov"}
    time = sb.training_time(rate, 60, steps=300, mean_squared_error=True, **others)
    assert run.time == pytest.approx(time, rel=1e-12)


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9, "nesterov": True}], ids=str)
def test_schedules_are_those_of_torch(options):
    rates = [0.004 * (1 + math.cos(math.pi * step / 200)) / 2 for step in range(200)]
    module = module_of()
    start = sb.from_torch(module)
    ours = [2 * rate for rate in rates]
    runs = [
        sb.train(PROBLEM, start=start, method=sb.MirrorDescent(ours, **options)),
        sb.train(PROBLEM, start=start, method=sb.MirrorDescent(np.array(ours), **options)),
        sb.train(PROBLEM, start=start, method=sb.MirrorDescent(ours.__getitem__, max_steps=200, **options)),
    ]
    found = torch_loop(module, rates, **options)
    for run in runs:
        torch.testing.assert_close(run.network.theta, found.theta, rtol=0, atol=1e-10)
        assert run.steps == 200 and run.stats["learning_rate"] == ours[-1]
        assert run.time == pytest.approx(sb.training_time(ours, 60, momentum=options.get("momentum", 0.0)), rel=1e-12)
    assert [run.outcome for run in runs] == [sb.Outcome.REACHED_TIME, sb.Outcome.REACHED_TIME, sb.Outcome.MAX_STEPS]
    assert "the steps whose learning rates were given are taken" in runs[0].advice


def test_mini_batches_with_momentum_are_those_of_torch():
    module, rate, seed = module_of(), 0.002, 5
    start = sb.from_torch(module)
    draws = mini_batches(SquaredLoss.of(PROBLEM, start.theta), 2, np.random.default_rng([seed, 1]))
    method = sb.StochasticMirrorDescent(2 * rate, batch_size=2, max_steps=300, momentum=0.9)
    run = sb.train(PROBLEM, start=start, seed=seed, method=method)
    found = torch_loop(module, [rate] * 300, (draw > 0 for draw in draws), momentum=0.9)
    torch.testing.assert_close(run.network.theta, found.theta, rtol=0, atol=1e-10)


@pytest.mark.parametrize("options", [*MOMENTA[2:4], *map(nightly, [MOMENTA[1], MOMENTA[4]])], ids=str)
def test_momentum_is_the_flow_at_its_own_time_up_to_the_rate(options):
    """Half the rate and twice the steps: the same time, half the distance."""
    start = sb.from_torch(module_of(width=100))
    scale = (1 - options.get("dampening", 0.0)) / (1 - options["momentum"])
    gaps, time = [], 40.0
    flow = sb.train(PROBLEM, start=start, method=sb.MirrorFlow(time=time, rtol=1e-8))
    for steps in (200, 400, 800):
        rate = time / 100 / steps / scale
        run = sb.train(PROBLEM, start=start, method=sb.MirrorDescent(rate, max_steps=steps, **options))
        assert run.time == pytest.approx(time, rel=1e-12)
        gaps.append(sb.compare(run.function, flow.function, (-1.5, 1.5)).sup)
    assert gaps[0] < 0.02
    for before, after in itertools.pairwise(gaps):
        assert before / after == pytest.approx(2, rel=0.15)


CUBE = sb.Scaled(sb.Power(3, quadratic=1))


@pytest.mark.parametrize(
    ("options", "potential"),
    [
        *((options, sb.Quadratic()) for options in MOMENTA[1:4]),
        *(({"momentum": 0.9, "nesterov": on}, CUBE) for on in (False, True)),
    ],
    ids=str,
)
@pytest.mark.parametrize("batch_size", [None, nightly(3)])
def test_momentum_ends_where_the_flow_does(options, potential, batch_size):
    """At the automatic rate, for other potentials, with mini-batches: as near as the loss that is left says."""
    data = sb.Dataset([-1, -0.3, 0.4, 1], [0.1, -0.1, 0.2, 0.0])
    problem = sb.Problem(data, sb.Initialization.gaussian(), potential=potential)
    method = sb.MirrorDescent(**options) if batch_size is None else sb.StochasticMirrorDescent(batch_size=3, **options)
    run = sb.train(problem, 500, 1, method=method, loss_tol=1e-7)
    flow = sb.train(problem, 500, 1, loss_tol=1e-9)
    assert run.outcome is sb.Outcome.CONVERGED
    assert sb.compare(run.function, flow.function, (-1.2, 1.2)).sup < 5 * math.sqrt(2e-7)


def test_networks_of_a_batch_keep_their_own_momentum():
    """One that ends early takes nothing of the others with it."""
    method = sb.MirrorDescent(momentum=0.8)
    together = sb.train_ensemble(PROBLEM, 50, [1, 2, 3], method=method, loss_tol=4e-3)
    assert len({run.steps for run in together}) > 1
    for run in together:
        alone = sb.train(PROBLEM, 50, run.seed, method=method, loss_tol=4e-3)
        torch.testing.assert_close(run.network.theta, alone.network.theta, rtol=0, atol=1e-9)


@pytest.mark.parametrize("options", MOMENTA, ids=str)
def test_the_stable_rate_is_where_a_mode_begins_to_grow(options):
    """The recursion itself, on one mode: slightly below the rate it decays, slightly above it grows."""
    momentum = Momentum(options.get("momentum", 0.0), options.get("dampening", 0.0), options.get("nesterov", False))
    for share, grows in ((0.99, False), (1.01, True)):
        rate, x, velocity = share * momentum.stable(3.0), torch.ones(1, dtype=torch.float64), None
        for _ in range(4000):
            push, velocity = momentum.step(3.0 * x, velocity)
            x = x - rate * push
        assert (abs(float(x)) > 1e3) == grows and (grows or abs(float(x)) < 1e-3)


def test_a_rate_that_is_too_large_is_named_with_the_one_that_is_not():
    run = sb.train(PROBLEM, 400, method=sb.MirrorDescent(10.0, momentum=0.9))
    assert run.outcome is sb.Outcome.DIVERGED
    top = sb.train(PROBLEM, 400, method=sb.MirrorDescent([])).stats["lambda_max"]
    assert f"use one below {2 * 1.9 / top:.3g}" in run.advice


def test_methods_with_schedules_and_momentum_are_written_to_toml():
    methods = {
        "plain": sb.MirrorDescent(0.1),
        "heavy": sb.MirrorDescent(momentum=0.9, nesterov=True),
        "planned": sb.StochasticMirrorDescent([0.1, 0.05, 0.0], momentum=0.5, dampening=0.25),
    }
    problem = sb.Problem(SET_A, sb.Initialization.pytorch_default())
    spec = sb.StudySpec(problem, [20], [0], methods=methods)
    text = spec.to_toml()
    assert sb.StudySpec.from_toml(text) == spec
    assert "momentum" not in text.split("[methods.plain]")[1].split("[")[0]
    with pytest.raises(sb.CapabilityError, match="a function cannot be written to TOML, got one as `learning_rate`"):
        sb.StudySpec(problem, [20], [0], methods={"own": sb.MirrorDescent(lambda s: 0.1)}).to_toml()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"momentum": 1.0}, "`momentum` must be a finite real number >= 0 and < 1"),
        ({"momentum": -0.1}, "`momentum` must be"),
        ({"momentum": "0.9"}, "`momentum` must be"),
        ({"momentum": 0.5, "dampening": 1.5}, "`dampening` must be"),
        ({"dampening": 0.5}, "`dampening` is of gradients that join a momentum"),
        ({"nesterov": True}, "`nesterov` needs a momentum > 0 and no dampening"),
        ({"momentum": 0.9, "nesterov": True, "dampening": 0.1}, "`nesterov` needs"),
        ({"momentum": 0.9, "nesterov": 1}, "`nesterov` must be True or False"),
        ({"learning_rate": [0.1, -0.2]}, "`learning_rate` must hold numbers >= 0, got -0.2"),
        ({"learning_rate": [0.1, math.inf]}, "`learning_rate` must be finite"),
        ({"learning_rate": "constant"}, "`learning_rate` must be a finite real number > 0"),
    ],
)
def test_what_is_refused(options, words):
    for method in (sb.MirrorDescent, sb.StochasticMirrorDescent):
        with pytest.raises(sb.DataError, match=words):
            method(**options)


def test_a_schedule_that_says_no_rate_is_refused_when_it_does():
    with pytest.raises(sb.DataError, match="got -1.0; that is what the function says for step 3"):
        sb.train(PROBLEM, 20, method=sb.MirrorDescent(lambda step: 0.001 if step < 3 else -1.0))
    none = sb.train(PROBLEM, 20, method=sb.MirrorDescent([]))
    assert none.steps == 0 and none.time == 0 and none.outcome is sb.Outcome.REACHED_TIME
