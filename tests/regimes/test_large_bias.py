"""Large bias: the kernel in closed form, its spectrum, and networks that follow it by sparse steps."""

import math

import numpy as np
import pytest
import scipy.stats as st
from sets import C8

import splinebias as sb
from splinebias.regimes.large_bias.dense_step import blocked_dense_step
from splinebias.regimes.large_bias.kernel import unit_inputs
from splinebias.regimes.large_bias.sparse_step import BiasNetwork

TABLE = {0.0: 3.380792e-2, 1.0: 2.045479e-2, 2.0: 4.566926e-3, 3.0: 3.760046e-4}


@pytest.mark.parametrize(("bias", "smallest"), TABLE.items())
def test_least_eigenvalues(bias, smallest):
    assert sb.bias_generalized_kernel(C8.x, bias).smallest == pytest.approx(smallest, rel=2e-6)


def test_the_least_eigenvalue_falls_like_the_density_and_the_condition_improves():
    kernels = [sb.bias_generalized_kernel(C8.x, bias) for bias in (0, 1, 2, 3)]
    scaled = np.array([kernel.smallest * math.exp(kernel.bias**2 / 2) for kernel in kernels])
    np.testing.assert_allclose(scaled, scaled.mean(), rtol=5e-3)
    conditions = [kernel.eigenvalues[-1] / kernel.smallest for kernel in kernels]
    assert conditions[0] == pytest.approx(173, abs=1)
    assert conditions[-1] == pytest.approx(24, abs=0.5)


@pytest.mark.parametrize("bias", [0.0, 1.0, 2.0])
def test_two_close_points(bias):
    """The least eigenvalue tends to t exp(-B^2/2)/pi as the angle t does to 0."""
    errors = []
    for t in (1e-2, 1e-3, 1e-4):
        kernel = sb.bias_generalized_kernel([[1, 0], [math.cos(t), math.sin(t)]], bias)
        errors.append(abs(kernel.smallest / (t * math.exp(-(bias**2) / 2) / math.pi) - 1))
    assert errors[0] < 0.01
    np.testing.assert_allclose(np.divide(errors[1:], errors[:-1]), 0.1, rtol=0.05)


@pytest.mark.parametrize("dimension", [2, 4])
@pytest.mark.parametrize("bias", [0.0, 0.7, 2.5])
def test_joint_activity_is_the_bivariate_normal_one(dimension, bias):
    x = np.random.default_rng(dimension).normal(size=(5, dimension))
    kernel = sb.bias_generalized_kernel(x, bias)
    for i in range(5):
        for j in range(i):
            rho = kernel.points[i] @ kernel.points[j]
            law = st.multivariate_normal([0, 0], [[1, rho], [rho, 1]], allow_singular=True)
            assert kernel.joint_activity[i, j] == pytest.approx(law.cdf([-bias, -bias]), rel=1e-5, abs=1e-9)
    np.testing.assert_allclose(kernel.matrix, (kernel.points @ kernel.points.T + 1) * kernel.joint_activity)
    np.testing.assert_allclose(np.diag(kernel.joint_activity), st.norm.sf(bias), rtol=1e-12)


def test_bounds_beside_the_exact_form():
    for bias in (0.5, 1, 2, 3):
        kernel = sb.bias_generalized_kernel(C8.x, bias)
        assert kernel.data_dependent_bound < 0 < kernel.worst_case_bound < kernel.exact_bound < kernel.smallest
        assert kernel.worst_case_bound < kernel.smallest / 500
        plain = math.sqrt(8 * math.exp(-(bias**2) / 2) * C8.y @ np.linalg.solve(kernel.matrix, C8.y) / 8)
        assert kernel.generalization_bound(C8.y) == pytest.approx(plain, rel=1e-9)


def test_the_residual_is_a_matrix_exponential():
    from scipy.linalg import expm

    kernel = sb.bias_generalized_kernel(C8.x, 1.0)
    np.testing.assert_allclose(kernel.residual(C8.y, 30.0), expm(-kernel.matrix * 30 / 8) @ C8.y, atol=1e-13)


@pytest.mark.parametrize("bias", [0.0, 0.05, 1.0, 2.0])
def test_sparse_steps_are_dense_steps(bias):
    """Biases below zero occur at B = 0 and .05: there the neuron is active outside its run."""
    network = BiasNetwork.draw(C8.x, C8.y, bias, width=4000, seed=0)
    w, b = network.w, network.b
    a = np.r_[network.a, np.zeros(4000 - network.a.size)]  # the neurons that were dropped, silent
    w, b = np.r_[w, np.zeros((a.size - len(w), 2))], np.r_[b, np.ones(a.size - len(b))]
    for _ in range(40):
        network, residual = network.step(8.0)
        w, b, other = blocked_dense_step(network.points, network.y, a, w, b, 8.0, block=999)
        np.testing.assert_allclose(residual, other, atol=1e-11)
    np.testing.assert_allclose(network.w, w[: network.a.size], atol=1e-11)
    np.testing.assert_allclose(network.active_fractions(), network.activity().sum(axis=0) / 4000, atol=1e-15)
    if bias < 0.1:
        assert (network.b < 0).any()


def test_neurons_that_were_dropped_are_silent():
    """A draw of all neurons by the same generator has the same outputs."""
    network = BiasNetwork.draw(C8.x, C8.y, 1.5, width=5000, seed=7)
    rng = np.random.default_rng(7)
    w, a = rng.standard_normal((5000, 2)), rng.choice([-1.0, 1.0], 5000)
    values = np.maximum(network.points @ w.T - 1.5, 0) @ a / math.sqrt(5000)
    np.testing.assert_allclose(network.step(1.0)[1] + network.y, values, atol=1e-13)
    assert network.a.size < 1500


def distance(bias, width):
    """Largest |r - exp(-Ht/M) r_0| relative to |r_0| while the first modes are learned; also network, its end and time."""
    network = BiasNetwork.draw(C8.x, C8.y, bias, width=width, seed=1)
    kernel = sb.bias_generalized_kernel(network.points, bias)
    rate, residuals = 0.8 / kernel.eigenvalues[-1], []
    end = network
    for _ in range(100):
        end, residual = end.step(rate)
        residuals.append(residual)
    expected = [kernel.residual(residuals[0], step * rate) for step in range(100)]
    gap = np.linalg.norm(np.array(residuals) - expected, axis=1).max() / np.linalg.norm(residuals[0])
    return gap, network, end, kernel, (residuals[0], 100 * rate)


def test_residuals_follow_the_kernel_and_the_effective_width_counts():
    gaps = {(bias, width): distance(bias, width)[0] for bias in (1.0, 2.0) for width in (3_000, 100_000)}
    assert gaps[1.0, 100_000] < 0.02
    assert gaps[1.0, 100_000] < 0.5 * gaps[1.0, 3_000]
    assert gaps[2.0, 100_000] < 0.5 * gaps[2.0, 3_000]
    assert gaps[2.0, 100_000] > gaps[1.0, 100_000]  # m Phi(-B) is seven times smaller


def test_no_more_than_all_neurons_flip_where_residuals_cannot_decay():
    kernel = sb.bias_generalized_kernel(np.array([[1.0, 0], [1, 0], [0, 1]]), 0.5)
    assert kernel.flips([1.0, -1, 0.5], 1e9, 100).max() == 1


def test_active_neurons_and_flips():
    _, network, end, kernel, (start, time) = distance(1.0, 100_000)
    noise = 4 * math.sqrt(kernel.active_fraction / 100_000)
    np.testing.assert_allclose(network.active_fractions(), kernel.active_fraction, atol=noise)
    flipped = (end.activity() != network.activity()).sum(axis=0) / 100_000
    predicted = kernel.flips(start, time, 100_000)
    assert flipped.mean() == pytest.approx(predicted.mean(), rel=0.1)  # 2 % is counting noise
    np.testing.assert_allclose(end.active_fractions(), kernel.active_fraction, atol=noise + predicted.max())
    np.testing.assert_allclose(kernel.flips(start, time, 400_000), predicted / 2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sb.bias_generalized_kernel(C8.x, -1), sb.DataError, "`bias` must be a finite real number >= 0, got -1"),
        (lambda: sb.bias_generalized_kernel(C8.x, 40), sb.DataError, "got 40: no neuron is active on any point; lower it"),
        (lambda: sb.bias_generalized_kernel([[1, 0], [0, 0]], 1), sb.DataError, "no zero vector, got one at index 1"),
        (lambda: sb.bias_generalized_kernel([1, math.inf], 1), sb.DataError, "`x` must be finite, got inf"),
        (lambda: sb.bias_generalized_kernel([1], 1), sb.DataError, "with M >= 2"),
        (lambda: sb.bias_generalized_kernel(C8.x, 1).residual([1, 2], 1), sb.DataError, "one residual a point, 8, got 2"),
        (
            lambda: sb.bias_generalized_kernel(np.eye(3), 1).flips([1, 2, 3], 1, 10),
            sb.CapabilityError,
            "flips are predicted for univariate data, got points of dimension 3",
        ),
        (lambda: BiasNetwork.draw(C8.x, C8.y, 9, width=10), sb.DataError, "none is on any point; lower B or widen"),
        (lambda: BiasNetwork.draw(C8.x, [1, 2], 1, width=10), sb.DataError, "one y a point"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_inputs_are_scaled_to_length_one():
    np.testing.assert_allclose(np.linalg.norm(unit_inputs(C8.x), axis=1), 1)
    kernels = [sb.bias_generalized_kernel(x, 1.0) for x in (np.eye(3), 7 * np.eye(3))]
    np.testing.assert_array_equal(kernels[0].matrix, kernels[1].matrix)
