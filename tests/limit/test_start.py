"""Networks that do not start at zero: the limit from a start function on, and the law over random starts."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats as st

import splinebias as sb
from tests.problems import QUERY, SET_A, SET_B, UNIFORM

TORCH = sb.Initialization.pytorch_default(both_layers=True)
PROBLEM = sb.Problem(SET_A, TORCH)
POTENTIALS = [
    sb.Quadratic(),
    sb.Hypentropy(0.3),
    sb.Scaled(sb.Quadratic()),
    sb.Scaled(sb.Power(3, quadratic=1)),
    sb.Scaled(sb.Hypentropy(1.0)),
]


def bump(x, nu=0):
    """A smooth start function with its derivatives."""
    x = np.asarray(x, dtype=float)
    return [np.sin(2 * x), 2 * np.cos(2 * x), -4 * np.sin(2 * x)][nu]


@pytest.mark.parametrize("potential", POTENTIALS, ids=str)
@pytest.mark.parametrize("affine", ["network", "free"])
@pytest.mark.parametrize("time", [math.inf, 30.0])
def test_the_residual_is_fitted_from_the_start(potential, affine, time):
    problem = sb.Problem(SET_B, UNIFORM, sb.Abs(), potential, affine=affine)
    found = sb.predict(problem, time=time, start=bump)
    residuals = replace(problem, data=sb.Dataset(SET_B.x, SET_B.y - bump(SET_B.x)))
    other = sb.predict(residuals, time=time)
    for nu in (0, 1):
        np.testing.assert_allclose(
            found.function(QUERY, nu), bump(QUERY, nu) + other.function(QUERY, nu), rtol=0, atol=1e-12
        )
    assert found.problem is problem
    assert found.penalty == other.penalty
    assert found.outcome is other.outcome
    if time == math.inf:
        np.testing.assert_allclose(found.function(SET_B.x), SET_B.y, rtol=0, atol=1e-12)


@pytest.mark.parametrize("solver", [sb.BandedSolver(), sb.DualSolver(), sb.KernelSolver()], ids=lambda s: type(s).__name__)
def test_all_solvers_take_a_start(solver):
    found = sb.predict(PROBLEM, solver, start=bump)
    np.testing.assert_allclose(found.function(QUERY), sb.predict(PROBLEM, start=bump).function(QUERY), rtol=0, atol=1e-9)


def test_a_start_on_the_limit_stays():
    """Training has nothing to do where the start fits: the function is the start, not the limit from zero."""
    elsewhere = sb.predict(sb.Problem(SET_A, UNIFORM))
    found = sb.predict(PROBLEM, start=elsewhere)
    np.testing.assert_allclose(found.function(QUERY), elsewhere.function(QUERY), rtol=0, atol=1e-13)
    assert found.penalty == pytest.approx(0, abs=1e-20)


def test_a_path_from_a_start_begins_there_and_ends_at_the_limit():
    path = sb.predict_path(PROBLEM, [0.0, 5.0, math.inf], start=bump)
    np.testing.assert_allclose(path(QUERY)[0], bump(QUERY), rtol=0, atol=1e-14)
    np.testing.assert_allclose(path(QUERY)[2], sb.predict(PROBLEM, start=bump).function(QUERY), rtol=0, atol=1e-12)
    assert (np.diff(path.losses) < 0).all()
    assert path.losses[0] == pytest.approx(((bump(SET_A.x) - SET_A.y) ** 2).mean() / 2)


@pytest.mark.parametrize("potential", [sb.Quadratic(), sb.Scaled(sb.Power(3, quadratic=1))], ids=str)
def test_wide_networks_end_at_their_own_limit(potential):
    """Each from its start function, which is not small, at the rate n^(-1/2)."""
    init = replace(UNIFORM, output=st.norm(0, 0.5), antisymmetric=False)
    problem = sb.Problem(SET_B, init, sb.Abs(), potential)
    errors = []
    for width in (500, 6000):
        runs = [sb.train(problem, width, seed, method=sb.MirrorFlow(rtol=1e-6)) for seed in range(4)]
        assert all(run.outcome.ok for run in runs)
        starts = [run.start.function() for run in runs]
        assert np.mean([np.abs(start(SET_B.x)).max() for start in starts]) > 0.2
        sups = [
            sb.compare(run.function, sb.predict(problem, start=start).function, interval=(-1, 1)).sup
            for run, start in zip(runs, starts, strict=True)
        ]
        errors.append(np.mean(sups))
    assert 1.7 < errors[0] / errors[1] < 8  # 3.5 to leading order


def test_training_goes_on_from_a_network():
    problem = sb.Problem(SET_A, sb.Initialization.pytorch_default())
    whole = sb.train(problem, 300, seed=3, method=sb.MirrorFlow(time=2000.0, rtol=1e-8))
    half = sb.train(problem, 300, seed=3, method=sb.MirrorFlow(time=1000.0, rtol=1e-8))
    rest = sb.train(problem, start=half.network, method=sb.MirrorFlow(time=1000.0, rtol=1e-8))
    np.testing.assert_allclose(rest.function(QUERY), whole.function(QUERY), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(rest.start.theta, half.network.theta)
    assert not np.array_equal(half.network.theta, rest.network.theta)


STD = [0.0300479861, 0.0151131166, 0.0021176752, 0.0131458844, 0.0125693205, 0.0300479861]
STD_LATE = [0.0305898605, 0.0163462264, 0.0028385267, 0.0147458042, 0.0130676359, 0.0305898605]


@pytest.mark.parametrize(("time", "expected"), [(math.inf, STD), (1e4, STD_LATE)])
def test_deviations_over_starts(time, expected):
    """The table of the start page: set A, torch's default in both layers."""
    law = sb.start_process(PROBLEM, time=time)
    np.testing.assert_allclose(law.std(QUERY), expected, rtol=0, atol=2e-10)
    np.testing.assert_allclose(law.mean(QUERY), sb.predict(PROBLEM, time=time).function(QUERY), rtol=0, atol=1e-13)


def test_the_start_process_is_a_posterior():
    r"""At infinity: the Gaussian process of kernel :math:`\sigma^2 K` given y, without noise; its deviation ignores y."""
    law = sb.start_process(PROBLEM)
    kernel = sb.tangent_kernel(PROBLEM, np.r_[SET_A.x, QUERY]) / 3
    gain = np.linalg.solve(kernel[:5, :5], kernel[:5, 5:])
    np.testing.assert_allclose(law.cov(QUERY), kernel[5:, 5:] - kernel[5:, :5] @ gain, rtol=0, atol=1e-11)
    np.testing.assert_allclose(law.mean(QUERY), gain.T @ SET_A.y, rtol=0, atol=1e-10)
    other = sb.start_process(replace(PROBLEM, data=sb.Dataset(SET_A.x, [1, 2, -3, 0, 5])))
    np.testing.assert_allclose(other.std(QUERY), law.std(QUERY), rtol=1e-9)


@pytest.mark.parametrize("time", [0.0, 20.0, math.inf])
@pytest.mark.parametrize("affine", ["network", "free"])
def test_samples_have_the_law(time, affine):
    init = replace(UNIFORM, output=st.norm(0, 0.7), antisymmetric=False)
    problem = sb.Problem(sb.Dataset([-0.5, 0.1, 0.6], [0.3, -0.2, 0.4], [1, 3, 1]), init, affine=affine)
    law = sb.start_process(problem, time=time)
    x = np.array([-0.8, -0.2, 0.1, 0.9])
    draws = np.stack([f(x) for f in law.sample(150, seed=1, width=1000)])
    std = law.std(x)
    assert (np.abs(draws.mean(axis=0) - law.mean(x)) < 4.5 * std / 12 + 1e-12).all()
    assert (np.abs(draws.std(axis=0) / np.where(std > 1e-9, std, 1) - (std > 1e-9)) < 0.26).all()
    inside = (draws > law.quantile(0.1, x)) & (draws < law.quantile(0.9, x))
    assert (np.abs(inside.mean(axis=0)[std > 1e-9] - 0.8) < 0.13).all()


def test_networks_that_start_at_zero_have_no_spread():
    for init in (UNIFORM, replace(UNIFORM, output=st.norm())):
        assert (sb.start_process(sb.Problem(SET_A, init)).std(QUERY) == 0).all()


def test_both_layers_start_too():
    init = sb.Initialization(st.norm(), st.norm(), output=st.norm(0, 0.8), antisymmetric=False)
    law = sb.start_process(sb.Problem(SET_A, init, parameterization=sb.NTK()), time=0.0)
    start = 0.64 * sb.tangent_kernel(sb.Problem(SET_A, init), QUERY)
    np.testing.assert_allclose(law.cov(QUERY), start, rtol=0, atol=1e-12)


class Huge:
    """A start function that is infinite at a datum."""

    def __call__(self, x, nu=0):
        return np.where(np.asarray(x) == 0.2, np.inf, 0.0)


@pytest.mark.parametrize(
    ("start", "error", "words"),
    [
        (3.0, sb.DataError, "`start` must be a function of x"),
        (Huge(), sb.DataError, r"`start` must be finite at the data, got inf at x = 0.2"),
        (lambda x: np.zeros((2, x.size)), sb.DataError, "got shape"),
        (np.sin, None, ""),
    ],
)
def test_what_is_no_start_function(start, error, words):
    if error is None:
        found = sb.predict(PROBLEM, start=start)
        with pytest.raises(sb.CapabilityError, match="takes x alone"):
            found.function(0.5, 1)
    else:
        with pytest.raises(error, match=words):
            sb.predict(PROBLEM, start=start)


def test_a_network_to_start_from_must_fit():
    problem = sb.Problem(SET_A, UNIFORM)
    network = sb.Network.sample(problem, 40, 1)
    with pytest.raises(sb.DataError, match="must have the activation of the problem"):
        sb.train(replace(problem, activation=sb.Abs()), start=network)
    with pytest.raises(sb.DataError, match="must be left out or be that of `start`, 40, got 41"):
        sb.train(problem, 41, start=network)
    with pytest.raises(sb.DataError, match=r"got a batch of shape \(2,\)"):
        sb.train(problem, start=sb.Network.sample(problem, 40, [1, 2]))
    with pytest.raises(sb.DataError, match="`width` must be the number of units"):
        sb.train(problem)
    broken = sb.Network(network.theta * np.nan, network.activation, network.skip)
    with pytest.raises(sb.DataError, match="finite parameters, got 121"):
        sb.train(problem, start=broken)
    with pytest.raises(sb.CapabilityError, match="no linear image|Gaussian for quadratic"):
        sb.start_process(sb.Problem(SET_A, TORCH, sb.ReLU(), sb.Scaled(sb.Power(4, quadratic=1))))


@pytest.mark.nightly
def test_a_hundred_torch_modules_have_the_law():
    """torch's own default initialization, trained to t = 100 at width 2000: mean and deviation of the start process."""
    import torch

    trained = []
    for seed in range(100):
        torch.manual_seed(seed)
        module = torch.nn.Sequential(torch.nn.Linear(1, 2000), torch.nn.ReLU(), torch.nn.Linear(2000, 1))
        run = sb.train(
            PROBLEM, start=sb.from_torch(module, dtype="float64"), method=sb.MirrorFlow(time=100.0), loss_tol=1e-30
        )
        trained.append(run.function(QUERY))
    law = sb.start_process(PROBLEM, time=100.0)
    mean, std = np.mean(trained, axis=0), np.std(trained, axis=0, ddof=1)
    assert (np.abs(mean - law.mean(QUERY)) < 4 * law.std(QUERY) / 100**0.5).all()
    np.testing.assert_allclose(std, law.std(QUERY), rtol=4 / 200**0.5)
