"""train: results, reproducibility, progress, and every refusal."""

import importlib
import math

import numpy as np
import pytest
import scipy.stats as st
import torch
from problems import PUBLISHED

import splinebias as sb
from splinebias.training.method import Recorder, Run, TrainingMethod

INIT = sb.Initialization.rademacher(st.uniform(-1.5, 3))
DATA = sb.Dataset([-1, -0.2, 0.3, 1], [0.2, -0.1, 0.4, 0.0])
PROBLEM = sb.Problem(DATA, INIT)
X = np.linspace(-2, 2, 201)


def quick(problem=PROBLEM, width=60, seed=0, **options):
    return sb.train(problem, width, seed, **({"loss_tol": 1e-6} | options))


# -- results --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", [sb.ReLU(), sb.Abs(), sb.LeakyReLU(0.1)], ids=str)
@pytest.mark.parametrize("affine", ["network", "free"])
def test_result_is_consistent(activation, affine):
    data = sb.Dataset(DATA.x, DATA.y, weights=[1, 2, 0.5, 3])
    run = quick(sb.Problem(data, INIT, activation, affine=affine))
    assert run.outcome is sb.Outcome.CONVERGED and run.advice == run.outcome.value
    residual = run.function(data.x) - data.y
    assert (data.weights @ residual**2) / (2 * data.weights.sum()) == pytest.approx(run.loss, rel=1e-6)
    np.testing.assert_allclose(run.function(X), run.network(torch.tensor(X)).numpy(), rtol=0, atol=1e-12)
    assert (run.width, run.seed, run.network.width) == (60, 0, 60)
    assert run.stats["passes"] >= run.steps > 0 and run.seconds > 0 and run.time > 0
    assert (affine == "free") == bool(run.network.skip.abs().max() > 0)


def test_history_is_thinned_and_ends_with_the_result():
    run = quick(loss_tol=1e-8, method=sb.MirrorDescent())
    history = run.history
    assert history.steps[0] == 0 and history.time[0] == 0
    assert history.loss[0] == pytest.approx(np.mean(DATA.y**2) / 2)  # the network starts at zero
    assert (history.steps[-1], history.loss[-1], history.time[-1]) == (run.steps, run.loss, run.time)
    assert (np.diff(history.steps) > 0).all() and (np.diff(history.time) > 0).all()
    assert (history.steps[:20] == np.arange(20)).all()
    assert history.steps.size < 25 + math.log(run.steps) / math.log(1.05)


def test_representation_says_what_was_run():
    assert repr(quick()).startswith("Training(4 points, W ~ Rademacher()") and "CONVERGED)" in repr(quick())


def test_default_method_is_the_integrated_flow():
    default, explicit = quick(), quick(method=sb.MirrorFlow())
    assert torch.equal(default.network.theta, explicit.network.theta)


def test_failures_are_outcomes():
    assert quick(method=sb.MirrorDescent(max_steps=1)).outcome is sb.Outcome.MAX_STEPS
    diverged = quick(method=sb.MirrorDescent(1e3))
    assert diverged.outcome is sb.Outcome.DIVERGED and "use one below" in diverged.advice
    assert np.isfinite(diverged.function(X)).all()


def test_smaller_data_and_a_law_that_covers_them_help_noisy_data():
    x, rng = np.linspace(-1, 1, 30), np.random.default_rng(0)
    y = np.sin(5 * (x + 1)) + 0.1 * rng.standard_normal(30)
    default, covering = sb.Initialization.pytorch_default(), sb.Initialization.rademacher(st.uniform(-1, 2))
    cases = [(default, y), (default, 0.1 * y), (covering, y)]
    outcomes = [sb.train(sb.Problem(sb.Dataset(x, y), law), 1000).outcome for law, y in cases]
    assert outcomes == [sb.Outcome.STALLED, sb.Outcome.CONVERGED, sb.Outcome.CONVERGED]


@pytest.mark.nightly
def test_each_thing_that_the_advice_names_helps_noisy_data():
    """Training moves the breakpoints of such networks out of gaps of the data, which then hold none."""
    x, rng = np.linspace(0, 10, 30), np.random.default_rng(0)
    y, default = np.sin(x) + 0.1 * rng.standard_normal(30), sb.Initialization.pytorch_default()

    def ends(width, law=default, size=1.0):
        data = sb.Dataset(x / 5 - 1, size * y)
        return [run.outcome for run in sb.train_ensemble(sb.Problem(data, law), width, range(3))]

    stalled, converged = 3 * [sb.Outcome.STALLED], 3 * [sb.Outcome.CONVERGED]
    assert ends(2000) == stalled
    run = sb.train(sb.Problem(sb.Dataset(x, y), default), 300)
    advice = "use a larger width, y scaled down, or a law whose breakpoints -b/w cover the data"
    assert run.outcome is sb.Outcome.STALLED and advice in run.advice
    assert (np.histogram(run.function.knots, x)[0] == 0).sum() > 10  # gaps without a breakpoint
    assert ends(50_000) == converged
    assert ends(2000, size=0.1) == converged
    assert ends(2000, sb.Initialization.rademacher(st.uniform(-1, 2))) == converged


def test_own_methods_are_taken():
    class Nothing(TrainingMethod):
        def run(self, start, field, *, loss_tol, rngs, records):
            records[0](0, 1.0, 0.0)
            return [Run(start[0], 1.0, 0, 0.0, sb.Outcome.STALLED, "nothing was tried", {})]

    run = quick(method=Nothing())
    assert run.outcome is sb.Outcome.STALLED and run.advice == "nothing was tried"
    np.testing.assert_array_equal(run.function(X), 0)


# -- reproducibility ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method", [sb.MirrorDescent(max_steps=200), sb.StochasticMirrorDescent(batch_size=2, max_steps=200)], ids=str
)
def test_same_seed_same_bits(method):
    first, again, other = (quick(seed=seed, method=method) for seed in (1, 1, 2))
    assert torch.equal(first.network.theta, again.network.theta) and first.loss == again.loss
    np.testing.assert_array_equal(first.history.loss, again.history.loss)
    assert not torch.equal(first.network.theta, other.network.theta)


def test_bits_do_not_depend_on_torch_threads():
    before, thetas = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            thetas.append(quick(width=20_000, method=sb.MirrorDescent(max_steps=20)).network.theta)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*thetas)


def test_float32_agrees_with_float64():
    single, double = quick(dtype="float32", method=sb.MirrorDescent()), quick(method=sb.MirrorDescent())
    assert single.network.theta.dtype is torch.float32 and double.network.theta.dtype is torch.float64
    assert single.outcome is sb.Outcome.CONVERGED
    np.testing.assert_allclose(single.function(X), double.function(X), atol=1e-3)
    named, given = (quick(dtype=dtype, method=sb.MirrorDescent(max_steps=5)) for dtype in ("float32", torch.float32))
    assert given.network.theta.dtype is torch.float32 and torch.equal(named.network.theta, given.network.theta)


@pytest.mark.nightly
def test_trained_networks_approach_the_prediction_at_rate_one_half():
    """Theory section 7: the sup-error on data set A of Liang & Montúfar falls like n^{-1/2}, with constant 1.16."""
    problem = PUBLISHED["A"][0]
    limit, x = sb.predict(problem).function, np.linspace(-1.5, 1.5, 601)
    widths, error = [100, 400, 1600], []
    for width in widths:
        runs = [sb.train(problem, width, seed, loss_tol=1e-8) for seed in range(10)]
        error.append(np.mean([np.abs(run.function(x) - limit(x)).max() for run in runs]))
    slope = np.polyfit(np.log(widths), np.log(error), 1)[0]
    assert -0.7 < slope < -0.35
    assert error[-1] * 1600**0.5 == pytest.approx(1.16, rel=0.3)  # 10 seeds: standard error about 10 %


# -- progress -------------------------------------------------------------------------------------------------------


def test_callback_sees_the_start_and_the_end():
    calls = []
    run = quick(progress=lambda *row: calls.append(row))
    assert calls[0] == (0, run.history.loss[0], 0.0)
    assert calls[-1] == (run.steps, run.loss, run.time)
    assert [row[0] for row in calls] == sorted(row[0] for row in calls)


def test_callback_is_called_at_most_ten_times_a_second(monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr("splinebias.training.method.time.perf_counter", lambda: next(clock) / 100)
    calls = []
    record = Recorder(lambda *row: calls.append(row))
    for step in range(1000):
        record(step, 1.0, 0.0)
    gaps = np.diff([step for step, _, _ in calls])
    assert calls[0][0] == 0 and gaps.min() >= 9


@pytest.mark.parametrize("progress, shown", [(None, False), (False, False), (True, True)])
def test_bar_is_silent_unless_asked_for_or_on_a_terminal(progress, shown, capsys):
    quick(progress=progress)
    output = capsys.readouterr()
    assert output.out == "" and ("of the decades of loss" in output.err) == shown


def test_bar_on_a_terminal_waits_for_a_long_run(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr(importlib.import_module("splinebias.training.train"), "_LONG", 1e6)
    quick()
    assert "of the decades" not in capsys.readouterr().err
    monkeypatch.setattr(importlib.import_module("splinebias.training.train"), "_LONG", 0.0)
    quick()
    assert "100% of the decades of loss" in capsys.readouterr().err


# -- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, message",
    [
        ({"width": 0}, "`width` must be a whole number >= 1, got 0"),
        ({"width": -5}, "`width` must be a whole number >= 1, got -5"),
        ({"width": 10.5}, "`width` must be a whole number >= 1, got 10.5"),
        ({"seed": -1}, "`seed` must be a whole number >= 0, got -1"),
        ({"seed": [0, 1]}, r"`seed` must be a whole number >= 0, got \[0, 1\]"),
        ({"loss_tol": 0}, "`loss_tol` must be a finite real number > 0, got 0"),
        ({"loss_tol": -1e-3}, "`loss_tol` must be a finite real number > 0"),
        ({"loss_tol": math.nan}, "`loss_tol` must be a finite real number > 0"),
        ({"dtype": "float16"}, "`dtype` must be"),
        ({"device": "nowhere"}, "`device` must be one that torch can use here"),
        ({"method": "gd"}, "`method` must be a training method such as"),
        ({"method": sb.MirrorDescent}, r"`method` must be a training method.*call it: add \(\)"),
        ({"progress": "yes"}, "`progress` must be None, True, False or a callable"),
        ({"problem": DATA}, "`problem` must be an sb.Problem"),
        ({"problem": sb.Problem(DATA, INIT, potential=sb.Power(4))}, r"0 < phi''\(0\) < inf, got phi''\(0\) = 0"),
        ({"problem": sb.Problem(DATA, INIT, potential=sb.Scaled(sb.Power(1.5)))}, r"got phi''\(0\) = inf"),
        (
            {"problem": sb.Problem(DATA, sb.Initialization.rademacher(st.uniform(3, 1)))},
            "no neuron can bend the function near",
        ),
    ],
)
def test_bad_input_is_refused_before_any_work(options, message, monkeypatch):
    monkeypatch.setattr(sb.MirrorFlow, "run", lambda *_, **__: pytest.fail("work was started"))
    with pytest.raises(sb.DataError, match=message) as caught:
        quick(**options)
    assert "\n" not in str(caught.value)


def test_absent_gpu_is_refused():
    with pytest.raises(sb.DataError, match="`device` must be one that torch can use here, got 'cuda:99'"):
        quick(device="cuda:99")


def test_odd_width_with_antisymmetric_pairs_is_refused():
    paired = sb.Initialization(sb.Rademacher(), st.uniform(-1.5, 3), st.norm(0, 0.1))
    with pytest.raises(sb.DataError, match="`width` must be even for antisymmetric pairs, got 61; use 62"):
        quick(sb.Problem(DATA, paired), width=61)
