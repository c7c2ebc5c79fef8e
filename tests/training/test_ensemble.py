"""train_ensemble: every network is the one that `train` gives, whatever the method and the potential; refusals."""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest
import scipy.stats as st
import torch
from marks import nightly

import splinebias as sb
from splinebias.networks.network import Network
from splinebias.training import train as base
from splinebias.training.method import Run, TrainingMethod
from splinebias.training.mirror_map import MirrorMap

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
POTENTIALS = [
    sb.Quadratic(),
    SCALED,
    sb.Hypentropy(0.1),
    sb.Scaled(sb.Hypentropy(0.1)),
    sb.Power(2.5, quadratic=0.3),
    sb.Scaled(sb.Power(4, quadratic=1)),
]


class OneByOne(TrainingMethod):
    """A method of one's own: it notes the start, one network after the other."""

    def run(self, start, field, *, loss_tol, rngs, records):
        return [self.one(start[j], field, rngs[j], records[j]) for j in range(len(records))]

    def one(self, start, field, rng, record):
        record(0, 1.0, 0.0)
        network = Network(start.theta + torch.tensor(rng.random()), start.activation, start.skip)
        return Run(network, 1.0, 0, 0.0, sb.Outcome.STALLED, "noted", {"clock": field.mirror.clock})


def every_second(*lists):
    """Of all pairs: each item with every second one of the other list."""
    return [(one, other) for (i, one), (j, other) in itertools.product(*map(enumerate, lists)) if (i + j) % 2 == 0]


@pytest.mark.parametrize(
    ("problem", "method"),
    every_second(PROBLEMS.values(), [*METHODS, OneByOne()]),
    ids=lambda value: type(value).__name__,
)
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


def assert_twins(run, single):
    """The same run, up to rounding."""
    assert (run.problem, run.seed, run.width) == (single.problem, single.seed, single.width)
    assert (run.outcome, run.steps) == (single.outcome, single.steps)
    np.testing.assert_allclose(run.function(X), single.function(X), rtol=0, atol=1e-9)
    torch.testing.assert_close(run.network.theta, single.network.theta, rtol=0, atol=1e-9)
    assert run.loss == pytest.approx(single.loss, rel=1e-6, abs=1e-15)
    assert run.time == pytest.approx(single.time, rel=1e-6)
    assert [s.time for s in run.snapshots] == [s.time for s in single.snapshots]


@pytest.mark.parametrize(
    ("problem", "method"),
    every_second(
        [PROBLEMS["relu"], PROBLEMS["free"], PROBLEMS["ntk"]],
        [*METHODS[:-1], sb.StochasticMirrorDescent(0.002, batch_size=2, max_steps=200), OneByOne()],
    ),
    ids=lambda value: type(value).__name__,
)
def test_every_potential_and_seed_is_a_single_run(problem, method, monkeypatch):
    """Also when the batch is cut inside the networks of a potential, and when the problem's own potential cannot train.

    Small targets and rates: breakpoints at samples make descent chaotic, so that it amplifies rounding to any size.
    """
    problem = replace(problem, data=sb.Dataset(DATA.x, DATA.y / 10))
    seeds, options = [4, 0], {"method": method, "loss_tol": 1e-8}
    problems = [replace(problem, potential=potential) for potential in POTENTIALS]
    singles = [sb.train(each, 200, seed, progress=False, **options) for each in problems for seed in seeds]
    for units in (100_000, 1000):
        monkeypatch.setattr(base, "UNITS_AT_ONCE", units)
        unused = replace(problem, potential=sb.Power(4))
        runs = sb.train_ensemble(unused, 200, seeds, potentials=POTENTIALS, **options)
        for run, single in zip(runs, singles, strict=True):
            assert_twins(run, single)


@pytest.mark.parametrize("seeds", [[1], nightly([1, 2])], ids=str)
def test_breakpoints_slide_with_the_potential_of_their_network(seeds):
    """Narrow networks with large targets hold breakpoints at samples, at the same time for several potentials."""
    problem = replace(PROBLEMS["relu"], data=sb.Dataset(DATA.x, 10 * DATA.y))
    runs = sb.train_ensemble(problem, 40, seeds, potentials=POTENTIALS, loss_tol=1e-6)
    pairs = [(replace(problem, potential=potential), seed) for potential in POTENTIALS for seed in seeds]
    for run, (each, seed) in zip(runs, pairs, strict=True):
        assert_twins(run, sb.train(each, 40, seed, loss_tol=1e-6, progress=False))
        assert run.stats["held"] > 0  # otherwise nothing slides


@dataclass(frozen=True)
class Quartic(sb.Potential):
    """A potential of one's own: u^4 / 4 + u^2 / 2."""

    def value(self, u):
        return u**4 / 4 + u * u / 2

    def grad(self, u):
        return u**3 + u

    def hess(self, u):
        return 3 * u * u + 1

    def grad_inverse(self, z):
        sinh, asinh = (torch.sinh, torch.asinh) if isinstance(z, torch.Tensor) else (np.sinh, np.arcsinh)
        return 2 / 3**0.5 * sinh(asinh(27**0.5 / 2 * z) / 3)


def test_breakpoints_may_all_be_let_go():
    """A flow of several potentials in which the last held breakpoints leave their samples at once."""
    problem = sb.Problem(sb.Dataset([-1, 0, 1], [0, 1, 0]), sb.Initialization.rademacher(st.uniform(-2, 4)))
    scaled = [sb.Scaled(sb.Quadratic()), sb.Scaled(sb.Hypentropy(0.1))]
    runs = sb.train_ensemble(problem, 200, range(3), potentials=scaled, loss_tol=1e-8)
    for run in runs:
        assert_twins(run, sb.train(run.problem, 200, run.seed, loss_tol=1e-8, progress=False))


def test_potentials_may_be_of_ones_own_and_alone():
    """One potential is the problem with it, bit for bit; iterators will do."""
    own = sb.Scaled(Quartic())
    runs = sb.train_ensemble(PROBLEMS["relu"], 60, [3], potentials=iter([own, sb.Quadratic()]), loss_tol=1e-6)
    assert_twins(runs[0], sb.train(replace(PROBLEMS["relu"], potential=own), 60, 3, loss_tol=1e-6, progress=False))
    (alone,) = sb.train_ensemble(PROBLEMS["relu"], 60, [3], potentials=[own], loss_tol=1e-6)
    (same,) = sb.train_ensemble(replace(PROBLEMS["relu"], potential=own), 60, [3], loss_tol=1e-6)
    assert torch.equal(alone.network.theta, same.network.theta)


def test_maps_of_several_potentials_act_on_each_network_as_its_own():
    """Also after networks have left, in any subset, and for single hidden parameters in any order."""
    rng, seeds = np.random.default_rng(0), [0, 1, 2]
    problems = [replace(PROBLEMS["ntk"], potential=potential) for potential in POTENTIALS[:4]]
    start = Network.sample(PROBLEMS["ntk"], 10, seeds).theta.repeat(4, 1)
    theta = start + torch.tensor(0.1 * rng.normal(size=start.shape))
    maps = MirrorMap.of(problems, 10, start)
    singles = [MirrorMap.of([problems[j // 3]], 10, start[j]) for j in range(12)]
    for kept in (np.arange(12), np.array([0, 5, 6, 11]), np.array([3, 5]), np.array([7])):
        mask = torch.zeros(12, dtype=torch.bool)
        mask[kept] = True
        some = maps.of_networks(mask)
        row, column = torch.tensor(rng.integers(len(kept), size=(30, 1))), torch.tensor(rng.integers(20, size=(30, 2)))
        hidden = some.of_hidden(row, column)
        for name in ("to_dual", "inverse_hessian"):
            expected = torch.stack([getattr(singles[j], name)(theta[j]) for j in kept])
            torch.testing.assert_close(getattr(some, name)(theta[mask]), expected, rtol=1e-15, atol=0)
            found = getattr(hidden, name)(theta[mask][row, column])
            torch.testing.assert_close(found, expected[row, column], rtol=1e-15, atol=0)
        dual = some.to_dual(theta[mask])
        torch.testing.assert_close(some.to_primal(dual), theta[mask], rtol=1e-13, atol=1e-14)
        torch.testing.assert_close(hidden.to_primal(dual[row, column]), theta[mask][row, column], rtol=1e-13, atol=1e-14)
    none = torch.empty(0, 2, dtype=torch.long)
    assert maps.of_hidden(none[:, :1], none).to_primal(theta[none, none]).shape == (0, 2)


def test_descents_leave_the_batch_when_they_are_done():
    """Each with its own outcome, steps and rate: they converge at different steps, or diverge."""
    problem = sb.Problem(DATA, INIT, sb.Abs(), SCALED)
    method = sb.MirrorDescent(max_steps=3000)
    runs = sb.train_ensemble(problem, 60, range(3), method=method, loss_tol=1e-4)
    singles = [sb.train(problem, 60, seed, method=method, loss_tol=1e-4, progress=False) for seed in range(3)]
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
        ({"seeds": 3}, "`seeds` must be a sequence of whole numbers, got 3; one seed is .3., so many are range.3."),
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
        ({"problem": DATA, "potentials": POTENTIALS}, "`problem` must be an sb.Problem"),
        ({"potentials": SCALED}, "`potentials` must be a sequence of potentials, got Scaled"),
        ({"potentials": "quadratic"}, "`potentials` must be a sequence of potentials, got 'quadratic'"),
        ({"potentials": []}, "`potentials` must hold at least one potential, got none"),
        ({"potentials": [sb.Power(2), SCALED, sb.Power(2)]}, r"`potentials` must be distinct, got Power\(p=2.* twice"),
        ({"potentials": [sb.Quadratic(), "cubic"]}, "`potential` must be a potential such as .*, got 'cubic'"),
        ({"potentials": [sb.Quadratic(), sb.Hypentropy]}, "`potential` must be a potential .*call it: add"),
        ({"potentials": [sb.Quadratic(), sb.Scaled(sb.Power(4))]}, "add a quadratic part"),
    ],
)
def test_refusals(options, message):
    options = {"problem": PROBLEMS["relu"], "width": 20, "seeds": range(3)} | options
    with pytest.raises(sb.DataError, match=message):
        sb.train_ensemble(**options)
