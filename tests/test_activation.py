"""Laws of two-slope activations, on numpy arrays and torch tensors alike."""

import math

import numpy as np
import pytest
import torch

import splinebias as sb

ACTIVATIONS = [sb.ReLU(), sb.Abs(), sb.LeakyReLU(), sb.LeakyReLU(-0.5), sb.LeakyReLU(2.0)]
every_activation = pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
Z = np.r_[-np.logspace(-3, 3, 13), 0.0, np.logspace(-3, 3, 13)]


@every_activation
def test_two_slopes(activation):
    expected = np.where(Z > 0, activation.right, activation.left) * Z
    np.testing.assert_allclose(activation.value(Z), expected, rtol=1e-15)
    np.testing.assert_array_equal(activation.derivative(Z), np.where(Z > 0, activation.right, activation.left))
    assert activation.kink == activation.right - activation.left != 0


@every_activation
def test_positive_homogeneity(activation):
    """sigma(v z) = v^k sigma(z) for v > 0, hence sigma(wx + b) = |w|^k sigma(+-(x - c))."""
    v = 3.7
    np.testing.assert_allclose(activation.value(v * Z), v**activation.degree * activation.value(Z), rtol=1e-15)


@every_activation
def test_numpy_and_torch_run_the_same_body(activation):
    z = torch.from_numpy(Z)
    np.testing.assert_allclose(activation.value(z).numpy(), activation.value(Z), rtol=1e-15)
    np.testing.assert_array_equal(activation.derivative(z).numpy(), activation.derivative(Z))


def test_leaky_relu_contains_the_others():
    np.testing.assert_array_equal(sb.LeakyReLU(0).value(Z), sb.ReLU().value(Z))
    np.testing.assert_allclose(sb.LeakyReLU(-1).value(Z), sb.Abs().value(Z), rtol=1e-15)
    np.testing.assert_array_equal(sb.ReLU().value(Z) - sb.ReLU().value(-Z), Z)


@pytest.mark.parametrize(
    ("slope", "message"),
    [
        (1, "`slope` must differ from 1, got 1: such a network is linear"),
        (math.nan, "`slope` must be a finite real number, got nan"),
        ("0.1", "`slope` must be a finite real number, got '0.1'"),
        (None, "`slope` must be a finite real number, got None"),
    ],
)
def test_bad_slopes_are_refused(slope, message):
    with pytest.raises(sb.DataError, match=message):
        sb.LeakyReLU(slope)


SMOOTH = [sb.Tanh(), sb.XTanh(), sb.X2Tanh(), sb.Sigmoid(), sb.Softplus(), sb.Centred(sb.Softplus())]


@pytest.mark.parametrize("activation", SMOOTH, ids=str)
def test_smooth_activations_have_their_derivative_and_their_first_power(activation):
    z = np.linspace(-3, 3, 41)
    slope = (activation.value(z + 1e-6) - activation.value(z - 1e-6)) / 2e-6
    np.testing.assert_allclose(activation.derivative(z), slope, atol=1e-8)
    ratios = [(activation.value(h) - activation.at_zero) / h**activation.multiplicity for h in (1e-2, 1e-3)]
    assert abs(ratios[1] - activation.leading) < 2e-4
    assert abs(ratios[1] - activation.leading) <= abs(ratios[0] - activation.leading)


@pytest.mark.parametrize("activation", SMOOTH, ids=str)
def test_smooth_activations_run_on_tensors_and_far_out(activation):
    for body in (activation.value, activation.derivative):
        np.testing.assert_allclose(body(torch.from_numpy(Z)).numpy(), body(Z), rtol=1e-13, atol=1e-15)
    assert np.isfinite(activation.value(np.array([-1e4, 1e4]))).all()


def test_only_smooth_activations_are_centred():
    with pytest.raises(sb.DataError, match="`base` must be a smooth activation"):
        sb.Centred(sb.ReLU())
