"""train_ensemble: every network is the one that `train` gives, whatever the method; refusals."""

import numpy as np
import pytest
import scipy.stats as st
import torch

import splinebias as sb
from splinebias.dynamics import base
from splinebias.dynamics.base import Run
from splinebias.network import Network

INIT = sb.Initialization.rademacher(st.uniform(-1.5, 3))
PAIRS = sb.Initialization(sb.Rademacher(), st.uniform(-1.5, 3), st.norm())
DATA = sb.Dataset([-1, -0.2, 0.3, 1], [0.2, -0.1, 0.4, 0.0])
SCALED = sb.Scaled(sb.Power(3, quadratic=1))
PROBLEMS = {
    "relu": sb.Problem(DATA, INIT),
    "scaled": sb.Problem(DATA, INIT, sb.Abs(), SCALED),
    "free": sb.Problem(DATA, INIT, affine="free"),
    "power": sb.Problem(DATA, INIT, sb.ReLUPower(2)),
    "ntk": sb.Problem(DATA, PAIRS, parameterization=sb.NTK()),
}
METHODS = [
    sb.MirrorFlow(),
    sb.MirrorFlow(time=50.0, saveat=[5.0, 50.0]),
    sb.MirrorDescent(max_steps=200),
    sb.MirrorDescent(0.002, max_steps=100),
    sb.StochasticMirrorDescent(batch_size=2, max_steps=200),
]
X = np.linspace(-2, 2, 201)


class OneByOne(base.TrainingMethod):
    """A method that knows nothing of batches: it notes the start."""

    def run(self, start, loss, mirror, *, loss_tol, rng, record):
        record(0, 1.0, 0.0)
        shift = torch.tensor(rng.random())
        network = Network(start.theta + shift, start.activation, start.skip)
        return Run(network, 1.0, 0, 0.0, sb.Outcome.STALLED, "noted", {"centre": float(mirror.centre is not None)})


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
@pytest.mark.parametrize("method", [*METHODS, OneByOne()], ids=lambda method: type(method).__name__)
def test_members_are_single_runs(problem, method, monkeypatch):
    """Also when the batch is cut into pieces; width 200 is narrow enough for breakpoints to reach samples."""
    seeds, options = [4, 0, 7], {"method": method, "loss_tol": 1e-8}
    singles = [sb.train(problem, 200, seed, progress=False, **options) for seed in seeds]
    for units in (100_000, 400):
        monkeypatch.setattr(base, "UNITS_AT_ONCE", units)
        runs = sb.train_ensemble(problem, 200, seeds, **options)
        for seed, run, single in zip(seeds, runs, singles, strict=True):
            assert (run.seed, run.width, run.outcome, run.steps) == (seed, 200, single.outcome, single.steps)
            np.testing.assert_allclose(run.function(X), single.function(X), rtol=0, atol=1e-9)
            np.testing.assert_allclose(run.history.loss, single.history.loss, rtol=1e-6)
            np.testing.assert_allclose(run.history.time, single.history.time, rtol=1e-6)
            assert [s.time for s in run.snapshots] == [s.time for s in single.snapshots]
            assert run.time == pytest.approx(single.time, rel=1e-6)


def test_descents_leave_the_batch_when_they_are_done():
    """Each with its own outcome, steps and rate: one converges early, one diverges, one runs out of steps."""
    problem = sb.Problem(DATA, INIT, sb.Abs(), SCALED)
    method = sb.MirrorDescent(max_steps=3000)
    runs = sb.train_ensemble(problem, 60, range(6), method=method, loss_tol=1e-4)
    singles = [sb.train(problem, 60, seed, method=method, loss_tol=1e-4, progress=False) for seed in range(6)]
    assert [run.steps for run in runs] == [run.steps for run in singles]
    assert len({run.steps for run in runs}) > 1
    wild = sb.train_ensemble(problem, 60, range(3), method=sb.MirrorDescent(1e3))
    assert {run.outcome for run in wild} == {sb.Outcome.DIVERGED}
    assert all(np.isfinite(run.function(X)).all() for run in wild)


def test_torch_threads_are_restored_and_seconds_are_shared():
    before = torch.get_num_threads()
    runs = sb.train_ensemble(PROBLEMS["relu"], 100, range(3), loss_tol=1e-6)
    assert torch.get_num_threads() == before
    assert len({run.seconds for run in runs}) == 1 and runs[0].seconds > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": 3}, "`seeds` must be a sequence of whole numbers, got 3; use e.g. range"),
        ({"seeds": "12"}, "`seeds` must be a sequence of whole numbers, got '12'"),
        ({"seeds": []}, "`seeds` must hold at least one seed, got none"),
        ({"seeds": [1, 2, 1]}, "`seeds` must be distinct"),
        ({"seeds": [0, -1]}, "must be a whole number >= 0, got -1"),
        ({"seeds": [0.5]}, "must be a whole number >= 0, got 0.5"),
        ({"width": 0}, "`width` must be a whole number >= 1, got 0"),
        ({"loss_tol": 0}, "`loss_tol` must be a finite real number > 0"),
        ({"method": "flow"}, "`method` must be a training method"),
        ({"device": "nowhere"}, "`device` must be one that torch can use here"),
        ({"problem": sb.Problem(DATA, INIT, potential=sb.Power(4))}, "add a quadratic part"),
        ({"problem": DATA}, "`problem` must be an sb.Problem"),
    ],
)
def test_refusals(options, message):
    options = {"problem": PROBLEMS["relu"], "width": 20, "seeds": range(3)} | options
    with pytest.raises(sb.DataError, match=message):
        sb.train_ensemble(**options)
