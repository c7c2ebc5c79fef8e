"""Trained networks with large biases beside their kernel: residual, activity, flips, steps, widths."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from sets import C8

import splinebias as sb
from splinebias.regimes.large_bias.dense_step import DenseBiasNetwork
from splinebias.regimes.large_bias.widths import _crossing_width

LIFTED = np.stack([C8.x, np.ones(8)], axis=1)


def five_inputs():
    rng = np.random.default_rng(3)
    return rng.normal(size=(6, 5)), rng.normal(size=6)


@pytest.fixture(scope="module")
def run():
    return sb.large_bias(C8.x, C8.y, 1.0, width=30_000, seed=1)


def test_two_distances_of_the_notes_differ_in_when_one_stops():
    """At B = 2, m = 10^5 the residual is off by .142 up to t = 1000, and by .315 once the slowest mode has had five e-folds;
    at B = 1 the largest distance comes before t = 1000, so that both are one number."""
    runs = [sb.large_bias(C8.x, C8.y, 2.0, width=100_000, seed=seed) for seed in range(4)]
    early, whole = (np.array(found) for found in ([r.distance_until(1000) for r in runs], [r.distance for r in runs]))
    for numbers, own, other in ((early, 0.142, 0.315), (whole, 0.315, 0.142)):
        spread = 3 * numbers.std(ddof=1)
        assert abs(numbers.mean() - own) < spread < abs(numbers.mean() - other)
    before = sb.large_bias(C8.x, C8.y, 1.0, width=25_000)
    assert before.distance == before.distance_until(1000) > before.distance_until(100)


def test_the_step_does_not_make_that_distance():
    coarse, fine = (sb.large_bias(C8.x, C8.y, 1.0, width=8000, seed=1, step=step) for step in (1.0, 0.3))
    assert fine.distance == pytest.approx(coarse.distance, rel=0.03)


def test_predicted_descent_tends_to_the_exponential():
    kernel = sb.bias_generalized_kernel(C8.x, 1.0)
    errors = []
    for step in (0.1, 0.05):
        count = round(4 / step)
        found = kernel.descent(C8.y, kernel.rate(step), [count])[0]
        errors.append(np.linalg.norm(found - kernel.residual(C8.y, count * kernel.rate(step))))
    assert errors[1] == pytest.approx(errors[0] / 2, rel=0.1)


@pytest.mark.parametrize("bias", [0.0, 1.0, 2.0])
def test_steps_to_a_loss_are_the_first_that_reach_it(bias):
    kernel = sb.bias_generalized_kernel(C8.x, bias)
    losses = (kernel.descent(C8.y, kernel.rate(0.8), np.arange(2000)) ** 2).mean(axis=1) / 2
    for loss in (1.0, 0.05, 0.01, 1e-4):
        assert kernel.steps_to(C8.y, loss, 0.8) == int(np.flatnonzero(losses <= loss)[0])


def test_sparse_networks_take_fewer_steps_to_equal_loss_when_the_step_is_from_the_spectrum():
    counts = []
    for bias, width in ((0.0, 20_000), (1.0, 50_000), (2.0, 500_000)):
        found = sb.large_bias(C8.x, C8.y, bias, width=width, loss_tol=0.02)
        assert found.outcome is sb.Outcome.CONVERGED
        assert found.losses[-1] <= 0.02 < found.losses[-2]
        assert found.kernel.steps_to(found.residuals[0], 0.02) == pytest.approx(found.steps, rel=0.2)
        counts.append(found.steps)
    assert counts[0] > 1.8 * counts[1] > 2.5 * counts[2]


def test_spectrum_activity_and_flips(run):
    kernel = run.kernel
    np.testing.assert_allclose(run.start_eigenvalues, kernel.eigenvalues, rtol=0.1)
    assert run.end_eigenvalues[0] < 0.8 * run.start_eigenvalues[0]  # neurons that stay at thresholds: the kernel moves
    noise = 4 * math.sqrt(kernel.active_fraction / 30_000)
    np.testing.assert_allclose(run.active[0], kernel.active_fraction, atol=noise)
    np.testing.assert_allclose(run.active[-1], kernel.active_fraction, atol=noise + run.predicted_flips[-1].max())
    np.testing.assert_array_equal(run.flips[0], 0)
    assert run.looks[0] == 0
    assert run.looks[-1] == run.steps
    half = len(run.looks) // 2
    assert run.flips[half].mean() == pytest.approx(run.predicted_flips[half].mean(), rel=0.15)
    assert run.flips[-1].mean() == pytest.approx(run.predicted_flips[-1].mean(), rel=0.15)


def test_abscissae_are_points_in_the_plane_and_their_order_does_not_matter():
    options = {"width": 3000, "seed": 4, "time": 200.0}
    line = sb.large_bias(C8.x, C8.y, 1.0, **options)
    plane = sb.large_bias(LIFTED, C8.y, 1.0, **options)
    order = np.array([3, 0, 7, 1, 6, 2, 5, 4])
    shuffled = sb.large_bias(C8.x[order], C8.y[order], 1.0, **options)
    np.testing.assert_allclose(plane.residuals, line.residuals, atol=1e-9)
    np.testing.assert_allclose(shuffled.residuals, line.residuals[:, order], atol=1e-9)
    np.testing.assert_allclose(plane.active, line.active, atol=1e-12)
    np.testing.assert_allclose(plane.flips, line.flips, atol=1e-12)
    np.testing.assert_allclose(plane.start_eigenvalues, line.start_eigenvalues, atol=1e-12)


def test_a_network_answers_at_new_inputs_with_neurons_that_no_datum_activates(run):
    np.testing.assert_allclose(run(C8.x), C8.y + run.residuals[-1], atol=1e-9)
    rng = np.random.default_rng(1)
    w, a = rng.standard_normal((30_000, 2)), rng.choice([-1.0, 1.0], 30_000)
    far = np.array([-30.0, 30.0])  # directions in which most neurons are silent on the data
    u = np.stack([far, np.ones(2)], axis=1) / np.hypot(far, 1)[:, None]
    start = np.maximum(u @ w.T - 1, 0) @ a / math.sqrt(30_000)
    untrained = sb.large_bias(C8.x, C8.y, 1.0, width=30_000, seed=1, time=1e-9, step=1e-9)
    np.testing.assert_allclose(untrained(far), start, atol=1e-6)
    assert run.test_error(C8.x, C8.y) == pytest.approx(np.abs(run.residuals[-1]).mean(), abs=1e-9)
    assert run.test_error([0.3], [1e9]) == 1


def test_five_inputs_follow_their_kernel_and_the_gradient_of_autograd():
    x, y = five_inputs()
    network = DenseBiasNetwork.draw(x, y, 0.5, width=2000, seed=0)
    w, b = (torch.tensor(part, requires_grad=True) for part in (network.w, network.b))
    values = torch.relu(w @ torch.tensor(network.points).T - b[:, None]).T @ torch.tensor(network.a) / math.sqrt(2000)
    ((values - torch.tensor(network.y)) ** 2).mean().div(2).backward()
    stepped, residual = network.step(0.7)
    np.testing.assert_allclose(residual, values.detach().numpy() - network.y, atol=1e-12)
    np.testing.assert_allclose(stepped.w, network.w - 0.7 * w.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(stepped.b, network.b - 0.7 * b.grad.numpy(), atol=1e-12)
    found = [sb.large_bias(x, y, 1.0, width=width) for width in (3000, 48_000)]
    assert found[1].distance < min(0.06, found[0].distance / 2)
    assert np.isnan(found[0].predicted_flips).all()
    assert found[1].active[0] == pytest.approx(np.full(6, found[1].kernel.active_fraction), abs=0.008)


def test_measured_widths_grow_with_the_bias():
    found = sb.large_bias_widths(C8.x, C8.y, [0.0, 1.0], distance=0.25, seeds=(0, 1))
    assert found.widths[1] > 2 * found.widths[0]
    for bias, width in zip(found.biases, found.widths, strict=True):
        sizes, means = list(found.tried[bias]), [np.mean(one) for one in found.tried[bias].values()]
        assert means[-1] <= 0.25
        assert min(sizes) <= width <= max(sizes)
    np.testing.assert_allclose(found.effective_widths, found.widths * [0.5, 0.15865525])
    few = sb.large_bias_widths(C8.x, C8.y, [2.0], distance=0.05, seeds=(0,), largest=5000)
    assert np.isinf(few.widths).all()
    assert "inf at B = 2" in str(few)


def test_widths_lie_on_the_power_law_between_two_tried():
    tried = {w: (0.3 * (w / 100) ** -0.7,) for w in (100, 200, 400, 800)}
    assert _crossing_width(tried, 0.1) == pytest.approx(100 * 3 ** (1 / 0.7))
    assert _crossing_width({100: (0.05,)}, 0.1) == 100


def test_the_bound_on_new_errors_does_not_fall_with_sparsity():
    """H^-1 grows like exp(B^2/2), which cancels the factor exp(-B^2/2): what sparsity gives it takes back."""
    kernels = [sb.bias_generalized_kernel(C8.x, bias) for bias in (0.0, 1.0, 2.0, 3.0)]
    bounds = np.array([kernel.generalization_bound(C8.y) for kernel in kernels])
    np.testing.assert_allclose(bounds / bounds[0], 1, atol=0.03)


@pytest.mark.parametrize(("bias", "separation"), [(0.5, 0.90), (1.0, 1.37), (2.0, 1.05), (3.0, 0.89)])
def test_the_bound_by_separation_is_positive_for_points_far_apart_only(bias, separation):
    """Of two points; the formula is from memory of the paper."""
    for gap, positive in ((separation - 0.02, False), (separation + 0.02, True)):
        t = 2 * math.asin(gap / 2)
        kernel = sb.bias_generalized_kernel([[1, 0], [math.cos(t), math.sin(t)]], bias)
        assert (kernel.data_dependent_bound > 0) is positive
        assert kernel.data_dependent_bound < kernel.smallest


def test_results_print_draw_and_become_tables(run):
    pytest.importorskip("pandas")
    frame = run.to_frame()
    assert list(frame["step"]) == list(run.looks)
    assert frame["flips"].iloc[-1] == run.flips[-1].mean()
    assert frame["predicted_loss"].iloc[0] == pytest.approx(frame["loss"].iloc[0])
    assert "REACHED_TIME after" in str(run)
    kernel, widths = run.kernel, sb.large_bias_widths(C8.x, C8.y, [0.0], distance=0.5, seeds=(0,))
    assert repr(run).startswith("LargeBias(width ") and repr(widths).startswith("LargeBiasWidths(widths within 0.5")
    assert all(len(repr(found)) < 260 and "array(" not in repr(found) for found in (run, widths))
    assert list(kernel.to_frame()["eigenvalue"]) == list(kernel.eigenvalues)
    assert len(widths.to_frame()) == 1
    assert "unchecked, from memory" in str(kernel)
    axes = run.plot()
    measured, predicted = axes.get_lines()
    np.testing.assert_allclose(
        measured.get_ydata(), np.linalg.norm(run.residuals, axis=1) / np.linalg.norm(run.residuals[0])
    )
    assert (measured.get_linestyle(), predicted.get_linestyle()) == ("-", "--")
    for result in (kernel, widths):
        assert result.plot().get_ylabel()
    assert "<img" in run._repr_html_()
    plt.close("all")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sb.large_bias(C8.x, C8.y, -1, width=10), "`bias` must be a finite real number >= 0, got -1"),
        (lambda: sb.large_bias(C8.x, C8.y, 40, width=10), "no neuron is active on any point; lower it"),
        (lambda: sb.large_bias(C8.x, C8.y, 3.5, width=4000), r"none is on [1-7] of 8 points; lower B or widen"),
        (lambda: sb.large_bias([[1, 0], [0, 0]], [1, 2], 1, width=10), "no zero vector, got one at index 1"),
        (lambda: sb.large_bias([[1, 0]], [1], 1, width=10), "with M >= 2"),
        (lambda: sb.large_bias(np.eye(3), [1, 2], 1, width=10), "3 and 2; one y a point"),
        (lambda: sb.large_bias([0, 0, 1], [1, 2, 3], 1, width=10), "no two inputs of one direction"),
        (lambda: sb.large_bias(C8.x, C8.y, 1, width=0), "`width` must be a whole number >= 1"),
        (lambda: sb.large_bias(C8.x, C8.y, 1, width=10, step=2), "`step` must be below 2"),
        (lambda: sb.large_bias(C8.x, C8.y, 1, width=10, step=0), "`step` must be a finite real number > 0"),
        (lambda: sb.large_bias(C8.x, C8.y, 1, width=10, loss_tol=0), "`loss_tol` must be a finite real number > 0"),
        (lambda: sb.large_bias(C8.x, [1, math.nan] * 4, 1, width=10), "`y` must be finite"),
        (lambda: sb.large_bias_widths(C8.x, C8.y, 1, distance=1.5), "`distance` must be below 1"),
        (lambda: sb.large_bias_widths(C8.x, C8.y, 1, seeds=()), "`seeds` hold at least one"),
        (lambda: sb.large_bias_widths(C8.x, C8.y, 1, seeds=[None]), "`seeds` must be a whole number"),
        (lambda: sb.large_bias(C8.x, C8.y, 1, width=10, seed=None), "`seed` must be a whole number >= 0, got None"),
        (lambda: sb.bias_generalized_kernel([0, 0], 1).steps_to([1, 2], 1e-3), "the kernel is singular; raise `loss`"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(sb.errors.SplinebiasError, match=message):
        call()


def test_new_inputs_are_checked(run):
    with pytest.raises(sb.DataError, match="`x` must have 2 coordinates, got 3"):
        run(np.eye(3))
    with pytest.raises(sb.DataError, match="1 and 2; one y a point"):
        run.test_error([0.5], [1, 2])
