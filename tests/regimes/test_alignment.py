"""Early alignment: the hypothesis with its worst pair, the rates, and networks that align."""

import math
from functools import cache

import numpy as np
import pytest
from scipy.optimize import minimize

import splinebias as sb
from splinebias import Exponential, Logistic, Squared
from splinebias.regimes.alignment import hull_distance

SIDE = np.linspace(1.5, 4, 8)
X = np.r_[-SIDE, SIDE]
Y = np.sign(X)
LOSSES = [Exponential(), Logistic(), Squared()]
FEW = np.array([[1, 0.2], [1.0, -0.2], [-0.9, 0.1], [-1, -0.3]]), [1, 1, -1, -1]


@cache
def run(scale=1e-4, loss=LOSSES[0], **options):
    return sb.alignment(X, Y, width=50, scale=scale, loss=loss, **options)


def test_the_worst_pair_is_that_of_all_pairs():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)), rng.choice([-1, 1], 30)
    found = sb.alignment_margin(x, y)
    every = {
        (i, k): y[i] * y[k] * x[i] @ x[k] / np.linalg.norm(x[i]) / np.linalg.norm(x[k])
        for i in range(30)
        for k in range(i + 1, 30)
    }
    assert found.worst_pair == min(every, key=every.get)
    assert abs(found.margin - every[found.worst_pair]) < 1e-14
    assert found.violated == np.mean([value <= 0 for value in every.values()])
    assert not found.holds
    assert found.time_scale() == math.inf


def test_abscissae_are_points_with_a_second_coordinate_one():
    by_hand = sb.alignment_margin(np.stack([X, np.ones(16)], axis=1), Y)
    assert by_hand.margin == sb.alignment_margin(X, Y).margin == pytest.approx(5 / 13)  # (2.25 - 1)/(2.25 + 1)
    assert by_hand.growth[0] == pytest.approx(8 * math.hypot(2.75, 1) / 16)


@pytest.mark.parametrize("dimension", [2, 5])
def test_hull_distance_is_the_least_norm_of_means(dimension):
    points = np.random.default_rng(dimension).normal(1, 1, (7, dimension))

    def size(z):
        weights = np.exp(z - z.max())
        return np.linalg.norm(points.T @ (weights / weights.sum()))

    best = min(minimize(size, start, tol=1e-12).fun for start in np.random.default_rng(1).normal(size=(5, 7)))
    assert hull_distance(points) == pytest.approx(best, rel=1e-5)
    assert hull_distance(np.vstack([points, -points])) == 0


def test_alignment_time_does_not_depend_on_the_scale():
    times = [run(scale).alignment_time for scale in (1e-4, 1e-8, 1e-16)]
    np.testing.assert_allclose(times, times[0], rtol=1e-4)


def test_logistic_takes_twice_as_long_to_align():
    assert run(loss=Logistic()).alignment_time / run().alignment_time == pytest.approx(2, rel=1e-3)
    assert run(loss=Squared()).alignment_time / run().alignment_time == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_the_time_to_half_the_loss_grows_with_log_scale_at_the_predicted_rate(loss):
    early, late = run(1e-6, loss, loss_tol=0.2), run(1e-12, loss, loss_tol=0.2)
    found = late.predicted
    predicted = found.halving_time(1e-12, loss.first_pull) - found.halving_time(1e-6, loss.first_pull)
    assert late.halved_at - early.halved_at == pytest.approx(predicted, rel=1e-3)


def test_tiny_starts_take_few_steps():
    assert [len(run(scale).times) < 2000 for scale in (1e-2, 1e-16)] == [True, True]


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_stable_rank_is_at_most_two_once_aligned(loss):
    network = run(1e-8, loss)
    assert network.stable_ranks[0] > 1.5
    assert network.stable_ranks[network.times >= network.alignment_time].max() <= 2.01
    assert network.alignment_time < network.predicted.time_scale() / loss.first_pull  # far below: the bound is never tight


def test_the_bound_is_never_tight():
    """It grows 37-fold from 8 to 128 points, and as 1/sqrt(mu) in mu; measured times do neither."""
    rng, loss = np.random.default_rng(0), Exponential()
    times = {}
    for size, spread in ((8, 0.6), (128, 0.6), (40, 0.2), (40, 0.75)):
        angles, y = rng.uniform(-spread, spread, size), np.where(np.arange(size) % 2 == 0, 1, -1)
        x = y[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        network = sb.alignment(x, y, width=60, scale=1e-6, loss=loss, loss_tol=0.5)
        times[size, spread] = network.alignment_time, network.predicted.time_scale()
    (few, low), (many, high) = times[8, 0.6], times[128, 0.6]
    assert high > 30 * low
    assert many < 2 * few
    (near, low), (far, high) = times[40, 0.2], times[40, 0.75]
    assert high > 2 * low
    assert far < 1.8 * near


def test_neurons_align_or_die():
    """All but those of no class end active on their class alone, or on nothing."""
    network = run()
    assert 0.1 < network.dead.mean() < 0.5
    assert (np.isfinite(network.aligned_at) | network.dead).all()


@pytest.mark.parametrize(("points", "labels"), [(X, Y), FEW], ids=["line", "plane"])
def test_loss_falls_by_the_corrected_law(points, labels):
    """dt/d(1/L) ln(1/L) tends to 1/(4 gamma bar), like 1/ln(1/L); L t is not flat."""
    loss = Exponential()
    network = sb.alignment(points, labels, width=50, scale=1e-4, loss=loss, loss_tol=1e-40, max_time=1e45)
    predicted = 1 / (4 * network.predicted.late_rate)
    errors = [abs(network.late_slope(level) / predicted - 1) for level in (1e-5, 1e-20, 1e-39)]
    assert errors[0] < 0.05
    assert errors[2] < errors[1] < errors[0]
    first, last = np.searchsorted(-network.losses, [-1e-5, -1e-39])
    products = network.losses * network.times
    assert products[last] < 0.25 * products[first]
    assert products[last] * np.log(1 / network.losses[last]) == pytest.approx(predicted, rel=0.05)


def test_small_networks_follow_gradient_descent_on_the_parameters():
    """Beside plain Euler steps in v and w with PyTorch's gradient."""
    torch = pytest.importorskip("torch")
    network = sb.alignment(X, Y, width=6, scale=0.1, loss=Logistic(), seed=3, max_time=4.0, loss_tol=1e-9)
    rng = np.random.default_rng(3)
    u = rng.standard_normal((6, 2))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    w = torch.tensor(0.1 * u, requires_grad=True)
    v = torch.tensor(0.1 * rng.choice([-1.0, 1.0], 6), requires_grad=True)
    points, labels = torch.tensor(np.stack([X, np.ones(16)], axis=1)), torch.tensor(Y)
    for _ in range(800):
        value = torch.nn.functional.softplus(-labels * (torch.relu(points @ w.T) @ v)).mean()
        for part, slope in zip((w, v), torch.autograd.grad(value, (w, v)), strict=True):
            part.data -= 0.005 * slope
    assert network.losses[-1] == pytest.approx(value.item(), rel=0.03)
    np.testing.assert_allclose(network.sizes, np.linalg.norm(w.detach().numpy(), axis=1), rtol=0.05, atol=0.005)


def test_digits_violate_the_hypothesis_and_a_subset_does_not():
    datasets = pytest.importorskip("sklearn.datasets")
    images, digits = datasets.load_digits(return_X_y=True)
    x = images[digits < 2] - images[digits < 2].mean(axis=0)
    y = np.where(digits[digits < 2] == 0, 1, -1)
    found = sb.alignment_margin(x, y)
    assert not found.holds
    assert found.margin == pytest.approx(-0.718, abs=5e-4)
    assert found.violated == pytest.approx(0.067, abs=5e-4)
    kept = found.largest_subset()
    assert 250 <= kept.size <= 270 < y.size == 360
    assert sb.alignment_margin(x[kept], y[kept]).holds


def test_nothing_is_deleted_where_the_hypothesis_holds():
    np.testing.assert_array_equal(sb.alignment_margin(X, Y).largest_subset(), np.arange(16))


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_pulls_are_derivatives(loss):
    z = np.linspace(-2, 0.9, 9)
    np.testing.assert_allclose(loss.pull(z), -(loss.value(z + 1e-6) - loss.value(z - 1e-6)) / 2e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sb.alignment_margin([[1, 0], [0, 0]], [1, -1]), "got the zero vector at index 1"),
        (lambda: sb.alignment_margin([1, 2], [1, 1]), "must name two classes, got [+]1 for all 2 points"),
        (lambda: sb.alignment_margin([1, 2], [0, 1]), "must be [+]1 or -1, got 0 at index 0"),
        (lambda: sb.alignment_margin([1, 2], [1, -1, 1]), "one label a point"),
        (lambda: sb.alignment_margin([1, math.nan], [1, -1]), "`points` must be finite, got nan"),
        (lambda: run(scale=0), "`scale` must be a finite real number > 0"),
        (lambda: run(scale=2), "`scale` must be below 1"),
        (lambda: run(loss=sb.ReLU()), "`loss` must be sb.Squared"),
        (lambda: run().late_slope(1e-9), "at least three steps, got 0"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(sb.DataError, match=message):
        call()
