"""The integrated flow beside the published training loop, and at the sizes where only the flow can go.

The loop is written out from its description: autograd in float32, explicit Euler steps of mirror flow (gradient divided by
phi''), mean squared error, learning rate 1/n, until that loss is 1e-7. A full run takes minutes to hours, so its cost is
seconds per step (measured here) times steps, which follow from the training time at which the flow reaches the same loss:
with torch's mean squared error, twice our L, a step of 1/n advances t by 2. The flow runs in float64 to L = 1e-12.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import splinebias as sb
from benchmarks._timing import duration, paired, ratio, table, times
from splinebias.networks.network import Network
from splinebias.training.train import one_thread
from tests.problems import SET_A, SET_B, UNIFORM

CUBIC, QUARTIC = sb.Power(3, quadratic=1), sb.Power(4, quadratic=1)
A = sb.Problem(SET_A, UNIFORM, potential=sb.Power(2))
CASES = {
    "A-relu-4860-u2": (A, 4860),
    "A-relu-4860-u4": (sb.Problem(SET_A, UNIFORM, potential=QUARTIC), 4860),
    "B-abs-540-u3-scaled": (sb.Problem(SET_B, UNIFORM, sb.Abs(), sb.Scaled(CUBIC)), 540),
    "B-abs-540-u4-scaled": (sb.Problem(SET_B, UNIFORM, sb.Abs(), sb.Scaled(QUARTIC)), 540),
    "B-abs-4860-u3-scaled": (sb.Problem(SET_B, UNIFORM, sb.Abs(), sb.Scaled(CUBIC)), 4860),
    "B-abs-4860-u4-scaled": (sb.Problem(SET_B, UNIFORM, sb.Abs(), sb.Scaled(QUARTIC)), 4860),
}


class PublishedNetwork(torch.nn.Module):
    """Two linear layers with the weights of a `Network` at the start."""

    def __init__(self, start, activation):
        super().__init__()
        self.hidden, self.output, self.activation = (
            torch.nn.Linear(1, start.width),
            torch.nn.Linear(start.width, 1),
            activation,
        )
        with torch.no_grad():
            self.hidden.weight.copy_(start.w[:, None])
            self.hidden.bias.copy_(start.b)
            self.output.weight.copy_(start.a[None])
            self.output.bias.zero_()

    def forward(self, x):
        return self.output(self.activation.value(self.hidden(x)))


def published_loop(problem, width, max_steps, *, tolerance=1e-7):
    """Train as published; the number of steps taken and the last loss."""
    model = PublishedNetwork(Network.sample(problem, width, dtype=torch.float32), problem.activation)
    centres = [p.detach().clone() for p in model.parameters()]
    x, y = (torch.tensor(v, dtype=torch.float32)[:, None] for v in (problem.data.x, problem.data.y))
    criterion, rate = torch.nn.MSELoss(), 1 / width
    for step in range(max_steps):
        loss = criterion(model(x), y)
        if loss.item() < tolerance:
            return step, loss.item()
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for p, centre in zip(model.parameters(), centres, strict=True):
                p.sub_(rate * p.grad / problem.phi.hess(width * (p - centre) if problem.scaled else p))
    return max_steps, loss.item()


def loop_steps(problem, width, *, tolerance=1e-7):
    """Steps of the published loop, from the training time at which the flow has the same loss."""
    run = sb.train(problem, width, method=sb.MirrorFlow(time=1e15), loss_tol=tolerance / 4, progress=False)
    log_loss = np.log(2 * run.history.loss)
    return float(np.interp(-np.log(tolerance), -log_loss, run.history.time)) / 2


@pytest.mark.parametrize(("problem", "width"), CASES.values(), ids=CASES)
def bench_flow_and_published_loop(benchmark, problem, width):
    run = benchmark.pedantic(flow, (problem, width), rounds=7, warmup_rounds=2)
    seconds, steps = paired_with_loop(problem, width, rounds=3, sample=300)
    report(benchmark, run, loop_steps=steps, loop_seconds=np.median(seconds[:, 1]))
    benchmark.extra_info["times faster"] = ratio(seconds, 1)


def flow(problem, width, loss_tol=1e-12):
    """The default method to L = 1e-12."""
    return sb.train(problem, width, loss_tol=loss_tol, progress=False)


def paired_with_loop(problem, width, *, rounds, sample):
    """Seconds of the flow and of the whole loop, shape (rounds, 2), from `sample` of its steps per round; its steps."""
    steps = loop_steps(problem, width)
    with one_thread():  # as in the flow, and faster at these sizes
        seconds = paired(rounds, lambda: flow(problem, width), lambda: published_loop(problem, width, sample))
    seconds[:, 1] *= steps / sample
    return seconds, steps


def tabulate(*, full):
    """The flow to 1e-12 beside the published loop to 1e-7."""
    rows = []
    for name, (problem, width) in CASES.items():
        seconds, steps = paired_with_loop(problem, width, rounds=7 if full else 2, sample=1000 if full else 100)
        mine, other = np.median(seconds, axis=0)
        run = flow(problem, width)
        cells = [f"{run.stats['passes']:.0f}", duration(mine), f"{steps:,.0f}", duration(other), times(ratio(seconds, 1))]
        rows.append([name, *cells])
    return table(["network", "passes", "flow to 1e-12", "steps of the loop", "loop to 1e-7", "ratio"], rows)


def tabulate_sizes(*, full):
    """The flow where a loop would take days: a wide network, and many networks."""
    width, count = (1_000_000, 400) if full else (100_000, 40)
    wide = lambda problem: lambda: flow(problem, width)  # noqa: E731
    many = lambda problem: lambda: sb.train_ensemble(problem, 1000, range(count), loss_tol=1e-10)  # noqa: E731
    scaled = CASES["B-abs-540-u4-scaled"][0]
    calls = {
        f"A, ReLU, u², width {width:,}, to 1e-12": wide(A),
        f"B, Abs, scaled u⁴ + u², width {width:,}, to 1e-12": wide(scaled),
        f"A, ReLU, u², {count} networks of width 1000, to 1e-10": many(A),
        f"B, Abs, scaled u⁴ + u², {count} networks of width 1000, to 1e-10": many(scaled),
    }
    rows = []
    for name, call in calls.items():
        found = []
        seconds = paired(2, lambda call=call, found=found: found.append(call()))
        runs = found[-1] if isinstance(found[-1], tuple) else [found[-1]]
        assert all(run.outcome is sb.Outcome.CONVERGED for run in runs)
        passes = np.median([run.stats["passes"] for run in runs])
        rows.append([name, f"{passes:.0f}", duration(float(np.median(seconds)))])
    return table(["networks", "median passes", "time"], rows)


def bench_a_million_units(benchmark):
    run = benchmark.pedantic(flow, (A, 1_000_000), rounds=2)
    report(benchmark, run)


@pytest.mark.parametrize("problem", [A, CASES["B-abs-540-u4-scaled"][0]], ids=["A", "B-u4-scaled"])
def bench_an_ensemble_of_400(benchmark, problem):
    """400 networks of width 1000 to L = 1e-10."""

    options = {"loss_tol": 1e-10}
    runs = benchmark.pedantic(sb.train_ensemble, (problem, 1000, range(400)), options, rounds=2)
    assert all(run.outcome is sb.Outcome.CONVERGED for run in runs)
    benchmark.extra_info["steps"] = float(np.median([run.steps for run in runs]))


@pytest.mark.parametrize("points", [100, 1000, 10_000])
def bench_many_points(benchmark, points):
    """20,000 units through a sine; eigenvectors up to 1,000 points, Krylov spaces beyond."""
    x = np.linspace(-0.95, 0.95, points)
    problem = sb.Problem(sb.Dataset(x, 0.3 * np.sin(4 * x)), UNIFORM)
    report(benchmark, benchmark.pedantic(flow, (problem, 20_000, 1e-8), rounds=2))


def report(benchmark, run, **more):
    assert run.outcome is sb.Outcome.CONVERGED
    benchmark.extra_info.update({"steps": run.steps, "passes": run.stats["passes"], "loss": run.loss} | more)
