"""Early alignment: the hypothesis with its worst pair, the rates, and networks that align."""

import math
from functools import cache
from itertools import combinations

import numpy as np
import pytest
import scipy.stats as st
import torch
from scipy.optimize import minimize

import splinebias as sb
from splinebias import Exponential, Logistic, Squared
from splinebias.regimes.small_starts.label_pairs import hull_distance

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
    x, y = sb.datasets.digits()
    x = x - x.mean(axis=0)
    found = sb.alignment_margin(x, y)
    assert not found.holds
    assert found.margin == pytest.approx(-0.718, abs=5e-4)
    assert found.violated == pytest.approx(0.067, abs=5e-4)
    kept = found.largest_subset()
    assert sb.alignment_margin(x[kept], y[kept]).holds


def test_digits_are_those_that_scikit_learn_brings_along():
    images, digits = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    x, y = sb.datasets.digits()
    np.testing.assert_array_equal(x, images[digits < 2])
    np.testing.assert_array_equal(y, np.where(digits[digits < 2] == 0, 1, -1))


def test_the_digits_that_greedy_deletion_leaves_depend_on_their_order_and_the_largest_subset_does_not():
    """259 in the order of the file; no order leaves more than the 260 that integer programming proves to be the most."""
    images, y = sb.datasets.digits()
    x = images - images.mean(axis=0)
    assert sb.alignment_margin(x, y).largest_subset().size == 259
    exact = sb.alignment_margin(x, y).largest_subset(exact=True)
    assert exact.size == 260
    assert sb.alignment_margin(x[exact], y[exact]).holds
    sizes = set()
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(360)
        sizes.add(sb.alignment_margin(x[order], y[order]).largest_subset().size)
    assert sizes <= {258, 259, 260}
    assert len(sizes) > 1


def test_the_largest_subset_is_that_of_all_subsets():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(0.3, 1, (9, 2)), rng.permutation(np.repeat([-1.0, 1.0], [4, 5]))
        found = sb.alignment_margin(x, y)
        good = {(i, k) for i, k in combinations(range(9), 2) if y[i] * y[k] * x[i] @ x[k] > 0}
        most = max(
            len(part) for size in range(1, 10) for part in combinations(range(9), size) if set(combinations(part, 2)) <= good
        )
        assert found.largest_subset(exact=True).size == most
        assert found.largest_subset().size <= most


def test_nothing_is_deleted_where_the_hypothesis_holds():
    for exact in (False, True):
        np.testing.assert_array_equal(sb.alignment_margin(X, Y).largest_subset(exact=exact), np.arange(16))


def test_data_sets_points_and_problems_are_taken_apart():
    data, arrays = sb.Dataset(X, Y), sb.alignment_margin(X, Y)
    assert sb.alignment_margin(data).margin == arrays.margin
    law = sb.Initialization.gaussian(1, 1)
    assert sb.alignment_margin(sb.Problem(data, law)).margin == arrays.margin
    rows = sb.Points(np.stack([X, 2 * X], axis=1), Y)
    plain = sb.alignment_margin(rows)
    assert plain.points.shape == (16, 2)
    assert plain.margin == pytest.approx(1)  # on a line through 0
    lifted = sb.alignment_margin(sb.Problem(rows, sb.Initialization.gaussian(1, 1, dim=2)))
    assert lifted.points.shape == (16, 3)
    assert lifted.margin == pytest.approx((5 * 1.5**2 - 1) / (5 * 1.5**2 + 1))
    runs = [sb.alignment(one, width=9, loss_tol=0.5) for one in (data, sb.Problem(data, law))]
    assert [run.signs.size for run in runs] == [9, 9]
    w, b, _ = law.sample(20, np.random.default_rng(0))
    angles = np.arctan2(b, w)[::2][:9]  # each direction of a pair once
    np.testing.assert_allclose(np.arctan2(*runs[1].start_directions.T[::-1]), angles)


# -- directions under constant pulls ----------------------------------------------------------------------------------


@pytest.mark.parametrize("points", [(X, Y), FEW], ids=["line", "plane"])
def test_small_starts_align_and_die_as_constant_pulls_say(points):
    run = sb.alignment(*points, width=100, scale=1e-10, loss=sb.Logistic(), loss_tol=1e-4)
    angles = np.arctan2(run.start_directions[:, 1], run.start_directions[:, 0])
    frozen = run.predicted.frozen(angles, run.signs)
    np.testing.assert_array_equal(frozen.dead, run.dead)
    np.testing.assert_array_equal(np.isfinite(frozen.aligned_at), np.isfinite(run.aligned_at))
    aligned = np.isfinite(frozen.aligned_at)
    late = run.aligned_at[aligned] - frozen.aligned_at[aligned] / 0.5
    step = np.diff(run.times[run.times <= run.alignment_time]).max()
    assert (np.abs(late) <= 2 * step).all()


def test_constant_pulls_are_those_of_a_fine_integration():
    """Beside Euler steps of angles, which know nothing of sectors."""
    angles = np.linspace(0.01, 6.2, 20)
    predicted = sb.alignment_margin(X, Y)
    for sign in (1.0, -1.0):
        frozen = predicted.frozen(angles, sign)
        theta, h = angles.copy(), 5e-4
        aligned_at = np.full(20, np.inf)
        for step in range(int(4 / h)):
            u = np.stack([np.cos(theta), np.sin(theta)], axis=1)
            active = u @ predicted.points.T > 0
            new = (active == (sign == Y)).all(axis=1) & np.isinf(aligned_at)
            aligned_at[new] = step * h
            drive = (active * Y) @ predicted.points / Y.size
            theta = theta + sign * h * (drive[:, 1] * u[:, 0] - drive[:, 0] * u[:, 1])
        within = frozen.aligned_at < 3.9
        np.testing.assert_allclose(aligned_at[within], frozen.aligned_at[within], atol=1e-2)
        assert np.isinf(aligned_at[np.isinf(frozen.aligned_at)]).all()


def test_networks_that_train_from_a_balanced_start_align_as_well():
    """Descent in small steps on w, b and a, beside the flow in directions and log sizes."""
    network = sb.alignment(X, Y, width=20, scale=0.01, loss=sb.Logistic(), seed=3, max_time=6.0, loss_tol=1e-9)
    problem = sb.Problem(sb.Dataset(X, Y), sb.Initialization.gaussian(1, 1))
    start = balanced_start(network, 0.01)
    steps = sb.MirrorDescent([0.004] * 1500)
    run = sb.train(problem, start=start, loss=sb.Logistic(), trainable={"w", "b", "a"}, method=steps)
    assert run.loss == pytest.approx(network.losses[-1], rel=0.02)
    w, b = run.network.w.numpy(), run.network.b.numpy()
    sizes = np.hypot(w, b)
    np.testing.assert_allclose(sizes, network.sizes, rtol=0.03, atol=2e-3)
    active = np.outer(w, X) + b[:, None] > 0
    np.testing.assert_array_equal(~active.any(axis=1), network.dead)


def balanced_start(network, size):
    w, b = size * network.start_directions.T
    theta = np.concatenate([w, b, size * network.signs, [0.0]])
    return sb.Network(torch.tensor(theta), sb.ReLU(), torch.zeros(2, dtype=torch.float64))


def test_trained_networks_are_measured_like_those_that_are_followed():
    """Classes of one size pull on the output bias as much as against it: it stays 0 as long as the loss does."""
    network = sb.alignment(X, Y, width=20, scale=1e-6, loss=sb.Logistic(), seed=3, loss_tol=0.3)
    problem = sb.Problem(sb.Dataset(X, Y), sb.Initialization.gaussian(1, 1))
    every, until = 0.1, 20 * network.halved_at  # t = 20 tau at width 20
    flow = sb.NeuronFlow(saveat=np.arange(20 * every, until, 20 * every))
    start = balanced_start(network, 1e-6)
    found = sb.alignment_measures(sb.train(problem, start=start, loss=sb.Logistic(), method=flow, loss_tol=0.3))
    np.testing.assert_array_equal(np.isfinite(found.aligned_at), np.isfinite(network.aligned_at))
    aligned = np.isfinite(found.aligned_at)
    late = found.aligned_at[aligned] - network.aligned_at[aligned]
    assert (late > -0.03).all()
    assert (late < every + 0.03).all()
    assert found.halved_at == pytest.approx(network.halved_at, abs=every)
    assert found.imbalance < 1e-12
    assert found.scale == pytest.approx(1e-6)
    assert found.rank_once_aligned == pytest.approx(network.rank_once_aligned, rel=0.05)


def test_a_start_that_is_not_balanced_is_said_to_be_none():
    law = sb.Initialization(*[st.norm(0, 1e-6)] * 2, output=st.norm(0, 1e-6), antisymmetric=False)
    problem = sb.Problem(sb.Dataset(X, Y), law, parameterization=sb.MeanField(1.0))
    saved = sb.NeuronFlow(saveat=np.linspace(1, 40, 20))
    run = sb.train(problem, 20, loss=sb.Exponential(), method=saved, loss_tol=0.1)
    found = sb.alignment_measures(run)
    assert found.imbalance > 0.5
    assert "balance     violated" in str(found)
    assert found.alignment_time < found.halved_at
    assert found.aligned_before_the_loss_moved < 1  # where |v| < |w| the output weight may change its sign
    with pytest.raises(sb.DataError, match="must have kept networks on the way"):
        sb.alignment_measures(sb.train(problem, 20, loss=sb.Exponential(), loss_tol=0.5))
    from_zero = sb.Problem(sb.Dataset(X, Y), sb.Initialization.gaussian(1, 1))
    with pytest.raises(sb.DataError, match="output weights other than 0"):
        sb.alignment_measures(sb.train(from_zero, 20, method=sb.NeuronFlow(saveat=[1.0], time=1.0)))


# -- what a run says of itself ----------------------------------------------------------------------------------------


def test_a_run_is_a_table_a_text_and_a_picture():
    pytest.importorskip("pandas")
    found = run(1e-8)
    frame = found.to_frame()
    assert list(frame.columns) == ["sign", "aligned_at", "dead", "size"]
    assert len(frame) == 50
    assert frame["dead"].mean() == found.dead.mean()
    assert list(found.history_frame()["loss"]) == list(found.losses)
    text = str(found)
    assert "holds: mu = 0.3846" in text
    assert f"at {found.alignment_time:.4g}" in text
    assert f"{found.halved_at:.4g}" in repr(found)
    axes = found.plot()
    labels = [line.get_label() for line in axes.lines]
    assert {"neurons aligned", "loss over first", "predicted: loss halved"} <= set(labels)
    shares = axes.lines[labels.index("neurons aligned")].get_ydata()
    assert shares[-1] == np.isfinite(found.aligned_at).mean()


def test_classes_that_add_up_to_nothing_have_no_predicted_halving():
    found = sb.alignment([[1, 0], [-1, 0], [0, 1]], [1, 1, -1], width=10, max_steps=50)
    assert found.predicted.growth[0] == 0
    assert found.facts()["halving_predicted"] == math.inf
    assert found.outcome is sb.Outcome.MAX_STEPS
    assert np.isfinite(found.plot().get_xlim()).all()


def test_neurons_align_before_the_loss_moves_where_the_hypothesis_holds():
    assert run(1e-8).aligned_before_the_loss_moved == 1
    images, y = sb.datasets.digits()
    found = sb.alignment(images - images.mean(axis=0), y, width=20, scale=1e-4, loss_tol=0.2)
    assert found.aligned_before_the_loss_moved < 0.5
    assert found.bound == math.inf
    assert "violated: mu = -0.7178 at points 76 and 305, and by 6.7% of the pairs" in str(found)


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
        (lambda: run(scale=-1e-8), "`scale` must be a finite real number > 0"),
        (lambda: run(scale=2), "`scale` must be below 1"),
        (lambda: sb.alignment([1, 2], [1, 1]), "must name two classes"),
        (lambda: sb.alignment(X, Y, width=0), "`width` must be a whole number >= 1"),
        (lambda: run(loss_tol=0), "`loss_tol` must be a finite real number > 0"),
        (lambda: run(max_steps=0), "`max_steps` must be a whole number >= 1"),
        (lambda: sb.alignment([[1, 0], [0, 0]], [1, -1]), "got the zero vector at index 1"),
        (lambda: sb.alignment_margin(sb.Dataset([1, 2], [1, -1]), [1, -1]), "`labels` must be left out"),
        (lambda: sb.alignment_margin(sb.Dataset([1, 2], [1, -1], weights=[1, 2])), "must count once, got weights"),
        (lambda: sb.alignment_margin(sb.Dataset([1, 2], [1, 0.5])), "must be [+]1 or -1, got 0.5 at index 1"),
        (lambda: sb.alignment_margin(X, Y).frozen([0.0], 2), "`signs` must be [+]1 or -1, got 2"),
        (lambda: run(loss=sb.ReLU()), "`loss` must be sb.Squared"),
        (lambda: run().late_slope(1e-9), "at least three steps, got 0"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(sb.DataError, match=message):
        call()


def test_what_is_out_of_reach_is_refused_by_name():
    for points, labels in ((np.eye(3), [1, 1, -1]), ([-1, 1, 2], [1, -1, 1])):
        with pytest.raises(sb.CapabilityError, match="in the plane and with mu > 0"):
            sb.alignment_margin(points, labels).frozen([0.0], 1)
    problem = sb.Problem(sb.Dataset(X, Y), sb.Initialization.gaussian(1, 1), sb.Abs())
    with pytest.raises(sb.CapabilityError, match="about ReLU, got Abs"):
        sb.alignment(problem)
