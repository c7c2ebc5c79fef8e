"""Mirror maps, the loss, and descent: each step against its definition, each run against a law."""

import itertools
import math
import re

import numpy as np
import pytest
import scipy.stats as st
import torch

import splinebias as sb
from splinebias.limit.hypotheses import require_mobile
from splinebias.networks.network import Network
from splinebias.training.descent.batch import descend, mini_batches
from splinebias.training.descent.learning_rate import LearningRate, sharpness
from splinebias.training.field import Field
from splinebias.training.losses import SquaredLoss
from splinebias.training.method import Recorder
from splinebias.training.train import train

INIT = sb.Initialization.rademacher(st.uniform(-1.5, 3))
DATA = sb.Dataset([-1, -0.2, 0.3, 1], [0.2, -0.1, 0.4, 0.0])
BASES = [
    sb.Quadratic(),
    sb.Power(2),
    sb.Power(4, quadratic=1),
    sb.Power(3, quadratic=0.5),
    sb.Power(2.5, quadratic=0.3),
    sb.Hypentropy(0.1),
]
POTENTIALS = [*BASES, *map(sb.Scaled, BASES)]


def setting(problem, width=20, seed=0):
    """Start, loss, mirror map and field of a run, as `train` builds them."""
    start = Network.sample(problem, width, seed)
    field = Field.of([problem], start)
    return start, field.loss, field.mirror, field


def moved(start, seed=1, size=0.1):
    """Parameters near `start`, not at it."""
    return start.theta + size * torch.tensor(np.random.default_rng(seed).normal(size=start.theta.shape))


def autograd_gradient(problem, theta):
    """Gradient of L = sum m (f - y)^2 / (2 sum m) by the definition, with the loss written out in torch."""
    x, y, m = (torch.tensor(v) for v in (problem.data.x, problem.data.y, problem.data.weights))
    theta = theta.clone().requires_grad_()
    f = Network(theta, problem.activation, torch.zeros(2, dtype=theta.dtype))(x)
    return torch.autograd.grad((m * (f - y) ** 2).sum() / (2 * m.sum()), theta)[0]


def run_descent(method, problem, width=20, seed=0, loss_tol=1e-12):
    start, recorder = Network.sample(problem, width, [seed]), Recorder()
    rngs = [np.random.default_rng(9)]
    (run,) = method.run(start, Field.of([problem], start), loss_tol=loss_tol, rngs=rngs, records=[recorder])
    return run, recorder.finish(run)


# -- mirror map -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("potential", POTENTIALS, ids=str)
def test_mirror_maps_are_inverse_to_each_other(potential):
    start, _, mirror, _ = setting(sb.Problem(DATA, INIT, potential=potential))
    theta = moved(start)
    torch.testing.assert_close(mirror.to_primal(mirror.to_dual(theta)), theta, rtol=1e-12, atol=1e-12)
    z = mirror.to_dual(theta)
    torch.testing.assert_close(mirror.to_dual(mirror.to_primal(z)), z, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("potential", POTENTIALS, ids=str)
def test_inverse_hessian_is_the_derivative_of_the_inverse_mirror_map(potential):
    start, _, mirror, _ = setting(sb.Problem(DATA, INIT, potential=potential))
    theta = moved(start)
    z, h = mirror.to_dual(theta), 1e-6
    slope = (mirror.to_primal(z + h) - mirror.to_primal(z - h)) / (2 * h)
    torch.testing.assert_close(mirror.inverse_hessian(theta), slope, rtol=1e-5, atol=1e-8)


def test_scaled_potential_is_the_documented_function():
    start, _, mirror, _ = setting(sb.Problem(DATA, INIT, potential=sb.Scaled(sb.Power(4, quadratic=1))))
    theta = moved(start).requires_grad_()
    u = 20 * (theta - start.theta)
    (gradient,) = torch.autograd.grad((u**4 + u**2).sum() / 20**2, theta)
    torch.testing.assert_close(mirror.to_dual(theta.detach()), gradient, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("wrap", [lambda phi: phi, sb.Scaled], ids=["unscaled", "scaled"])
@pytest.mark.parametrize(
    "phi, message",
    [
        (sb.Power(4), r"0 < phi''\(0\) < inf, got phi''\(0\) = 0.*add a quadratic part, e.g. sb.Power\(4, quadratic=1\)"),
        (sb.Power(1.5), r"0 < phi''\(0\) < inf, got phi''\(0\) = inf.*use p >= 2 or sb.Hypentropy"),
        (sb.Power(1.5, quadratic=1), r"got phi''\(0\) = inf"),
    ],
    ids=str,
)
def test_potentials_that_cannot_leave_zero_are_refused(phi, message, wrap):
    with pytest.raises(sb.DataError, match=message):
        require_mobile(sb.Problem(DATA, INIT, potential=wrap(phi)).phi, "training")


@pytest.mark.parametrize("potential", POTENTIALS, ids=str)
def test_mobile_potentials_are_accepted(potential):
    assert require_mobile(sb.Problem(DATA, INIT, potential=potential).phi, "training") is None  # no refusal


# -- one step -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", [sb.ReLU(), sb.Abs(), sb.LeakyReLU(0.1)], ids=str)
@pytest.mark.parametrize("potential", POTENTIALS, ids=str)
def test_a_step_moves_the_mirror_gradient_by_the_loss_gradient(potential, activation):
    data = sb.Dataset(DATA.x, DATA.y, weights=[1, 2, 0.5, 3])
    problem = sb.Problem(data, INIT, activation, potential)
    start, _, mirror, field = setting(problem)
    state = field.at(mirror.to_dual(moved(start)))
    before = [part.clone() for part in (state.dual, state.theta, state.residual)]
    new = descend(state, 0.01)
    expected = mirror.to_dual(state.theta) - 0.01 * autograd_gradient(problem, state.theta)
    torch.testing.assert_close(mirror.to_dual(new.theta), expected, rtol=1e-11, atol=1e-11)
    for part, old in zip((state.dual, state.theta, state.residual), before, strict=True):
        assert torch.equal(part, old)  # the step is pure


@pytest.mark.parametrize("potential", POTENTIALS, ids=str)
def test_tangent_kernel_is_the_first_order_change_of_the_residual(potential):
    problem = sb.Problem(DATA, INIT, potential=potential)
    start, loss, mirror, field = setting(problem)
    state = field.at(mirror.to_dual(moved(start, size=0.02)))
    predicted = -state.kernel @ (loss.weights * state.residual)
    error = []
    for eta in (1e-4, 1e-5):
        change = (descend(state, eta).residual - state.residual) / eta
        error.append(float((change - predicted).abs().max() / predicted.abs().max()))
    assert error[1] < error[0] / 5 and error[1] < 0.01  # vanishes in proportion to eta


def test_quadratic_descent_is_torch_sgd_step_for_step():
    problem = sb.Problem(sb.Dataset(DATA.x, DATA.y, weights=[1, 2, 1, 4]), INIT)
    start, _, mirror, field = setting(problem)
    x, y, m = (torch.tensor(v) for v in (problem.data.x, problem.data.y, problem.data.weights))
    w, b, a = (part.clone().requires_grad_() for part in (start.w, start.b, start.a))
    d = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([w, b, a, d], lr=0.02)
    state = field.at(mirror.to_dual(start.theta))
    for _ in range(200):
        optimizer.zero_grad()
        f = torch.relu(x[:, None] * w + b) @ a + d
        ((m * (f - y) ** 2).sum() / (2 * m.sum())).backward()
        optimizer.step()
        state = descend(state, 0.02)
        torch.testing.assert_close(state.theta, torch.cat([w, b, a, d]).detach(), rtol=0, atol=1e-12)


def trajectory(problem, rate, steps=200, width=20):
    start, _, mirror, field = setting(problem, width)
    state = field.at(mirror.to_dual(start.theta))
    thetas = [state.theta]
    for _ in range(steps):
        state = descend(state, rate)
        thetas.append(state.theta)
    return torch.stack(thetas)


@pytest.mark.parametrize("potential", POTENTIALS, ids=str)
def test_a_run_takes_the_steps_at_its_rate(potential):
    """At a rate that single precision would round."""
    problem = sb.Problem(DATA, INIT, potential=potential)
    run, _ = run_descent(sb.MirrorDescent(0.01, max_steps=25), problem)
    assert run.steps == 25
    torch.testing.assert_close(run.network.theta, trajectory(problem, 0.01, 25)[-1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("affine", ["network", "free"])
def test_scaled_quadratic_is_the_unscaled_one(affine):
    paths = [trajectory(sb.Problem(DATA, INIT, potential=p, affine=affine), 0.02) for p in (POTENTIALS[0], POTENTIALS[6])]
    torch.testing.assert_close(paths[0], paths[1], rtol=0, atol=1e-12)


def test_curvature_of_the_potential_only_rescales_time():
    slow = trajectory(sb.Problem(DATA, INIT, potential=sb.Power(2)), 0.04)  # phi = u^2: phi'' = 2
    torch.testing.assert_close(slow, trajectory(sb.Problem(DATA, INIT), 0.02), rtol=0, atol=1e-12)


def test_grouped_replicates_follow_the_ungrouped_ones():
    x = np.array([-1.0, -1.0, -1.0, 0.2, 1.0, 1.0])
    y = np.array([0.1, 0.5, 0.3, -0.4, 0.6, 0.2])
    problem = sb.Problem(sb.Dataset.from_replicates(x, y), INIT, potential=sb.Hypentropy(0.1))
    start, grouped_loss, mirror, grouped = setting(problem)
    assert grouped_loss.weights.tolist() == [3 / 6, 1 / 6, 2 / 6]
    design = torch.stack([torch.tensor(x), torch.ones(6, dtype=torch.float64)])
    every = SquaredLoss(design, torch.tensor(y), torch.full((6,), 1 / 6, dtype=torch.float64))
    ungrouped = Field(problem.activation, every, mirror)
    one, two = (field.at(mirror.to_dual(start.theta)) for field in (grouped, ungrouped))
    for _ in range(200):
        one, two = descend(one, 0.02), descend(two, 0.02)
        torch.testing.assert_close(one.theta, two.theta, rtol=0, atol=1e-12)


# -- free affine part -----------------------------------------------------------------------------------------------

FREE = sb.Problem(sb.Dataset([-1, 0, 0.7, 2], [1, 0, 3, 1], weights=[1, 2, 0.5, 3]), INIT, affine="free")


def test_skip_part_is_the_weighted_least_squares_line():
    _, loss, _, _ = setting(FREE)
    h = torch.tensor(np.random.default_rng(0).normal(size=(3, 4)))
    x, y, m = FREE.data.x, FREE.data.y, FREE.data.weights
    for j in range(3):
        np.testing.assert_allclose(loss.skip(h)[j], np.polyfit(x, y - h[j].numpy(), 1, w=np.sqrt(m)), atol=1e-12)
    line = loss.skip(h) @ loss.points
    torch.testing.assert_close(loss.residual(h), h + line - loss.y, rtol=0, atol=1e-12)
    moments = (loss.weights * loss.residual(h)) @ loss.points.mT
    torch.testing.assert_close(moments, torch.zeros(3, 2, dtype=torch.float64), rtol=0, atol=1e-14)


def test_a_line_added_to_the_data_is_learnt_by_the_skip_part_alone():
    data = FREE.data
    tilted = sb.Problem(sb.Dataset(data.x, data.y + 2 * data.x - 3, data.weights), INIT, affine="free")
    torch.testing.assert_close(trajectory(FREE, 0.05), trajectory(tilted, 0.05), rtol=0, atol=1e-12)
    plain, moved_run = (run_descent(sb.MirrorDescent(0.05), problem)[0] for problem in (FREE, tilted))
    difference = moved_run.network.skip - plain.network.skip
    torch.testing.assert_close(difference, torch.tensor([2.0, -3.0], dtype=torch.float64), rtol=0, atol=1e-10)


def test_without_a_free_part_there_is_no_skip():
    run, _ = run_descent(sb.MirrorDescent(max_steps=5), sb.Problem(DATA, INIT))
    assert run.network.skip.tolist() == [0, 0]


def test_free_lines_do_not_decay_and_the_rest_is_slower_than_without():
    start, loss, _, field = setting(FREE)
    state = field.at(moved(start))
    operator = loss.operator(state.kernel)
    lines = loss.weights.sqrt() * loss.points
    torch.testing.assert_close(operator @ lines.mT, torch.zeros(4, 2, dtype=torch.float64), rtol=0, atol=1e-12)
    tied = setting(sb.Problem(FREE.data, INIT))[1].decay_rates(state.kernel)
    free = loss.decay_rates(state.kernel)
    assert free.shape == (2,) and (free <= tied[2:] + 1e-12).all() and (free >= tied[:2] - 1e-12).all()  # interlacing


def test_free_part_alone_fits_two_points_at_once():
    run, _ = run_descent(sb.MirrorDescent(), sb.Problem(sb.Dataset([0, 1], [5, 7]), INIT, affine="free"))
    assert run.outcome is sb.Outcome.CONVERGED and run.steps == 0
    torch.testing.assert_close(run.network.skip, torch.tensor([2.0, 5.0], dtype=torch.float64))


# -- runs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("potential", POTENTIALS, ids=str)
def test_automatic_rate_converges(potential):
    affine = ("network", "free")[POTENTIALS.index(potential) % 2]
    problem = sb.Problem(sb.Dataset(DATA.x, DATA.y / 10), INIT, potential=potential, affine=affine)
    run, history = run_descent(sb.MirrorDescent(), problem, width=100, loss_tol=1e-6)
    assert run.outcome is sb.Outcome.CONVERGED and run.loss <= 1e-6
    residual = run.network(torch.tensor(DATA.x)).numpy() - problem.data.y
    assert np.dot(residual, residual) / 8 == pytest.approx(run.loss, rel=1e-6)
    assert history.loss.max() <= 1.1 * history.loss[0]


@pytest.mark.nightly
def test_automatic_rate_passes_breakpoints_that_sit_at_a_sample():
    """At width 100 a breakpoint reaches a sample on the way, where no rate lowers the loss at every step."""
    problem = sb.Problem(DATA, INIT, potential=sb.Scaled(sb.Power(4, quadratic=1)))
    run, _ = run_descent(sb.MirrorDescent(), problem, width=100, loss_tol=1e-8)
    assert run.outcome is sb.Outcome.CONVERGED


@pytest.mark.parametrize("rate", [None, 2 / 1000])
def test_stable_rates_lower_the_loss_of_a_wide_network_at_every_step(rate):
    run, history = run_descent(sb.MirrorDescent(rate), sb.Problem(DATA, INIT), width=1000, loss_tol=1e-6)
    assert run.outcome is sb.Outcome.CONVERGED
    assert (np.diff(history.loss) < 0).all() and run.stats["passes"] == run.steps


def test_time_is_width_times_the_sum_of_learning_rates():
    run, history = run_descent(sb.MirrorDescent(0.01, max_steps=50), sb.Problem(DATA, INIT), width=30)
    assert run.steps == 50 and run.time == pytest.approx(30 * 0.01 * 50)
    np.testing.assert_allclose(history.time, 30 * 0.01 * history.steps)


def test_trajectories_of_wide_networks_agree_in_time():
    problem, gaps = sb.Problem(DATA, INIT), []
    for width in (100, 10_000):
        runs = [run_descent(sb.MirrorDescent(0.5 / n, max_steps=200), problem, n, seed=n)[0] for n in (width, 4 * width)]
        assert runs[0].time == pytest.approx(runs[1].time)
        gaps.append(abs(math.log(runs[0].loss / runs[1].loss)))
    assert gaps[1] < gaps[0] / 3  # n^{-1/2} would give 10


def test_divergence_is_an_outcome_whose_advice_converges():
    problem = sb.Problem(DATA, INIT)
    start, loss, mirror, field = setting(problem, 100)
    bound = 2 / float(loss.decay_rates(field.at(mirror.to_dual(start.theta)).kernel)[-1])
    run, _ = run_descent(sb.MirrorDescent(50 * bound), problem, 100)
    assert run.outcome is sb.Outcome.DIVERGED and not run.outcome.ok
    assert run.advice == f"the loss did not settle at learning_rate = {50 * bound:.3g}: use one below {bound:.3g}"
    assert math.isfinite(run.loss) and bool(torch.isfinite(run.network.theta).all())
    stable, _ = run_descent(sb.MirrorDescent(0.95 * bound), problem, 100, loss_tol=1e-6)
    assert stable.outcome is sb.Outcome.CONVERGED


def test_too_few_steps_is_an_outcome_that_says_how_many_more():
    problem = sb.Problem(DATA, INIT)
    run, _ = run_descent(sb.MirrorDescent(max_steps=100), problem, 100)
    assert run.outcome is sb.Outcome.MAX_STEPS and run.steps == 100
    more = float(run.advice.split("about ")[1].split(" more")[0])
    full, _ = run_descent(sb.MirrorDescent(), problem, 100)
    assert full.steps - 100 < 2 * more < 4 * (full.steps - 100)


@pytest.mark.parametrize("rate", [None, 0.01])
def test_a_tolerance_below_rounding_stalls(rate):
    problem = sb.Problem(sb.Dataset([-1, 0, 1], [0.1, 0.7, 0.3]), INIT)
    run, _ = run_descent(sb.MirrorDescent(rate, max_steps=200_000), problem, 50, loss_tol=1e-60)
    assert run.outcome is sb.Outcome.STALLED and run.loss < 1e-25


def test_automatic_rate_follows_the_sharpness():
    rate, measured = LearningRate(None), []
    for step in range(200):
        if rate.due:
            rate.update(4.0 if step < 100 else 8.0)
            measured.append(step)
        assert rate.judge(1.0, 0.9)
    assert measured == [0, 1, 3, 7, 15, 31, 63, 127, 128, 130, 134, 142, 158, 190]
    assert rate.value == 1 / 8


def test_automatic_rate_takes_back_what_raises_the_loss_and_recovers():
    rate = LearningRate(None)
    rate.update(8.0)
    for after in (1.2, math.nan, math.inf):
        assert not rate.judge(1.0, after) and rate.due
    assert rate.value == 1 / 64
    for _ in range(30):
        assert rate.judge(1.0, 0.9)
    assert rate.value == 1 / 8
    rate.update(8.0)
    assert not rate.due and rate.judge(1.0, 1.05) and rate.due  # a small increase is taken, and looked into


def test_fixed_and_noisy_rates_take_every_step():
    fixed, noisy = LearningRate(0.5), LearningRate(None, noisy=True)
    assert not fixed.due and fixed.judge(1.0, 100.0) and fixed.value == 0.5
    noisy.update(4.0)
    noisy.update(4.0)
    assert noisy.judge(1.0, 100.0) and not noisy.due and noisy.value == 0.25


def test_automatic_rate_follows_the_metric_and_stays_stable():
    problem = sb.Problem(DATA, INIT, potential=sb.Scaled(sb.Power(4, quadratic=1)), affine="free")
    run, _ = run_descent(sb.MirrorDescent(), problem, 100, loss_tol=1e-6)
    assert 0.5 < run.stats["learning_rate"] * run.stats["lambda_max"] < 2
    start_rate = run_descent(sb.MirrorDescent(max_steps=1), problem, 100)[0].stats["learning_rate"]
    assert run.stats["learning_rate"] > 2 * start_rate  # the mirror metric shrinks as |alpha| grows


# -- mini-batches ---------------------------------------------------------------------------------------------------


def test_full_batches_are_descent_bit_for_bit():
    problem = sb.Problem(DATA, INIT, potential=sb.Scaled(sb.Power(4, quadratic=1)))
    full, _ = run_descent(sb.MirrorDescent(0.02, max_steps=300), problem)
    batch, _ = run_descent(sb.StochasticMirrorDescent(0.02, batch_size=4, max_steps=300), problem)
    assert torch.equal(full.network.theta, batch.network.theta)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_batches_are_unbiased_and_of_the_right_size(size):
    loss = setting(sb.Problem(DATA, INIT))[1]
    draws = mini_batches(loss, size, np.random.default_rng(0))
    rows = torch.stack(list(itertools.islice(draws, 4000)))
    assert ((rows > 0).sum(1) == size).all() and torch.unique(rows[rows > 0]).tolist() == pytest.approx([4 / size])
    deviation = math.sqrt(4 / size - 1) / math.sqrt(4000)  # of the mean of one column
    assert float((rows.mean(0) - 1).abs().max()) < 5 * deviation


@pytest.mark.parametrize("affine", ["network", "free"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_automatic_batch_rate_is_stable_for_every_batch(size, affine):
    """The bound on the curvature holds for all batches: |I - eta S E| has no eigenvalue outside the unit disc."""
    start, loss, mirror, field = setting(sb.Problem(DATA, INIT, affine=affine), 50)
    kernel = field.at(mirror.to_dual(moved(start))).kernel
    operator, eta = loss.operator(kernel), 1 / float(sharpness(loss, kernel, size))
    for batch in itertools.combinations(range(4), size):
        emphasis = torch.zeros(4, dtype=torch.float64)
        emphasis[list(batch)] = 4 / size
        curvature = torch.linalg.eigvals(operator * emphasis).real
        assert float(curvature.max()) * eta <= 1 + 1e-12


def test_stochastic_descent_has_the_limit_of_full_batches():
    """Both end at the same function as n grows; the distance at finite width is due to moving features, O(1/n) or less."""
    problem = sb.Problem(sb.Dataset([-1, 0, 1], [0, 1, 0.5]), INIT)
    x, distance = np.linspace(-1.5, 1.5, 301), []
    for width in (50, 800):
        methods = (sb.MirrorDescent(), sb.StochasticMirrorDescent(batch_size=1))
        runs = [run_descent(method, problem, width, loss_tol=1e-14)[0] for method in methods]
        assert all(run.outcome is sb.Outcome.CONVERGED for run in runs)
        distance.append(np.abs(runs[0].network.function()(x) - runs[1].network.function()(x)).max())
    assert distance[1] < distance[0] * 50 / 800


def test_stochastic_descent_diverges_as_an_outcome():
    run, _ = run_descent(sb.StochasticMirrorDescent(10.0, batch_size=1), sb.Problem(DATA, INIT), 50)
    assert run.outcome is sb.Outcome.DIVERGED and "use one below" in run.advice


def test_infinite_loss_at_the_start_is_divergence():
    problem = sb.Problem(sb.Dataset([-1, 0, 1], [0, 1e200, 0]), INIT)
    run = sb.train(problem, 10, method=sb.MirrorDescent(), progress=False)
    assert run.outcome is sb.Outcome.DIVERGED and run.steps == 0


# -- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [sb.MirrorDescent, sb.StochasticMirrorDescent])
@pytest.mark.parametrize("rate", [0, -0.1, math.nan, math.inf, "fast", True])
def test_bad_learning_rate_is_refused(method, rate):
    with pytest.raises(sb.DataError, match="`learning_rate` must be a finite real number > 0.*leave it None"):
        method(rate)


@pytest.mark.parametrize("method", [sb.MirrorDescent, sb.StochasticMirrorDescent])
@pytest.mark.parametrize("steps", [0, -1, 1.5, None])
def test_bad_max_steps_is_refused(method, steps):
    with pytest.raises(sb.DataError, match="`max_steps` must be a whole number >= 1"):
        method(max_steps=steps)


@pytest.mark.parametrize("size", [0, -2, 1.5, None])
def test_bad_batch_size_is_refused(size):
    with pytest.raises(sb.DataError, match="`batch_size` must be a whole number >= 1"):
        sb.StochasticMirrorDescent(batch_size=size)


def test_batches_larger_than_the_data_are_refused():
    with pytest.raises(sb.CapabilityError, match="`batch_size` must be at most the number of points, got 5 for 4 points"):
        train(sb.Problem(DATA, INIT), 10, method=sb.StochasticMirrorDescent(batch_size=5))


@pytest.mark.parametrize("size", [1.0, 30.0])
def test_a_rate_above_the_stable_one_that_does_not_diverge_is_told_which_one_is(size):
    """Units that were killed leave a small kernel behind, whose slow decay is no reason for more steps."""
    data = sb.Dataset([-1, -0.2, 0, 0.2, 1], size * np.array([0.0, 0.0, 0.3, 0.0, 0.0]))
    problem = sb.Problem(data, sb.Initialization.pytorch_default())
    stats = sb.train(problem, 100, seed=0, method=sb.MirrorDescent(max_steps=1)).stats
    stable = 2 / stats["lambda_max"]
    run = sb.train(problem, 100, seed=0, method=sb.MirrorDescent(learning_rate=1.15 * stable, max_steps=300))
    assert run.outcome is sb.Outcome.MAX_STEPS
    assert "more steps are needed" not in run.advice
    told = float(re.search(r"above 2 / lambda_max of the tangent kernel, (\S+):", run.advice)[1])
    assert told == pytest.approx(stable, rel=0.05)
    calm = sb.train(problem, 100, seed=0, method=sb.MirrorDescent(learning_rate=0.5 * stable, max_steps=300))
    assert "lambda_max" not in calm.advice


def test_a_rate_that_becomes_unstable_on_the_way_is_told_so():
    """The kernel grows with the features: stable at the start is not stable later."""
    data = sb.Dataset([-1.0, -0.2, 0.0, 0.2, 1.0], 30 * np.array([0.0, 0.0, 0.3, 0.0, 0.0]))
    problem = sb.Problem(data, sb.Initialization.pytorch_default())
    stats = sb.train(problem, 30, seed=0, method=sb.MirrorDescent(max_steps=1)).stats
    run = sb.train(problem, 30, seed=0, method=sb.MirrorDescent(learning_rate=1.9 / stats["lambda_max"], max_steps=400))
    assert not run.outcome.ok
    assert "above 2 / lambda_max" in run.advice or run.outcome is sb.Outcome.DIVERGED
