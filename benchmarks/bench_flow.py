"""The integrated flow beside the published training loop, and at the sizes where only the flow can go.

The loop is written out from its description: autograd in float32, explicit Euler steps of mirror flow (gradient divided by
phi''), mean squared error, learning rate 1/n, until that loss is 1e-7. A full run takes minutes to hours, so its cost is
seconds per step (measured here) times steps, which follow from the training time at which the flow reaches the same loss:
with torch's mean squared error, twice our L, a step of 1/n advances t by 2. The flow runs in float64 to L = 1e-12.
"""

import time

import numpy as np
import pytest
import scipy.stats as st
import torch

import splinebias as sb
from splinebias.dynamics.mirror import MirrorMap
from splinebias.dynamics.objective import SquaredLoss
from splinebias.network import Network

UNIFORM = sb.Initialization.rademacher(st.uniform(-1, 2))
SET_A = sb.Dataset([-1, -0.2, 0, 0.2, 1], np.array([0, 0, 0.3, 0, 0]) - 0.15)
SET_B = sb.Dataset([-1, 0.35, 0.65, 1], np.array([0.3, 0.3, 0, 0.3]) - 0.15)
CUBIC, QUARTIC = sb.Power(3, quadratic=1), sb.Power(4, quadratic=1)
A = sb.Problem(SET_A, UNIFORM)
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
    run = benchmark.pedantic(
        sb.train, (problem, width), {"method": sb.MirrorFlow(), "progress": False}, rounds=7, warmup_rounds=2
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the flow, and faster at these sizes
    published_loop(problem, width, 50)
    began = time.perf_counter()
    taken, _ = published_loop(problem, width, 1000)
    per_step = (time.perf_counter() - began) / taken
    torch.set_num_threads(threads)
    steps = loop_steps(problem, width)
    report(benchmark, run, loop_steps=steps, loop_seconds=steps * per_step)
    benchmark.extra_info["times faster"] = steps * per_step / benchmark.stats.stats.min


def bench_a_million_units(benchmark):
    run = benchmark.pedantic(sb.train, (A, 1_000_000), {"method": sb.MirrorFlow(), "progress": False}, rounds=2)
    report(benchmark, run)


@pytest.mark.parametrize("problem", [A, CASES["B-abs-540-u4-scaled"][0]], ids=["A", "B-u4-scaled"])
def bench_an_ensemble_of_400(benchmark, problem):
    """400 networks of width 1000 to L = 1e-10."""

    def ensemble():
        start = Network.sample(problem, 1000, list(range(400)))
        loss, mirror = SquaredLoss.of(problem, start.theta), MirrorMap.of(problem, 1000, start.theta)
        return sb.MirrorFlow().run_batch(start, loss, mirror, loss_tol=1e-10)

    runs = benchmark.pedantic(ensemble, rounds=2)
    assert all(run.outcome is sb.Outcome.CONVERGED for run in runs)
    benchmark.extra_info["steps"] = float(np.median([run.steps for run in runs]))


@pytest.mark.parametrize("points", [100, 1000, 10_000])
def bench_many_points(benchmark, points):
    """20,000 units through a sine; eigenvectors up to 1,000 points, Krylov spaces beyond."""
    x = np.linspace(-0.95, 0.95, points)
    problem = sb.Problem(sb.Dataset(x, 0.3 * np.sin(4 * x)), UNIFORM)
    options = {"method": sb.MirrorFlow(), "progress": False, "loss_tol": 1e-8}
    report(benchmark, benchmark.pedantic(sb.train, (problem, 20_000), options, rounds=2))


def report(benchmark, run, **more):
    assert run.outcome is sb.Outcome.CONVERGED
    benchmark.extra_info.update({"steps": run.steps, "passes": run.stats["passes"], "loss": run.loss} | more)
