"""Kernels beyond the reach of uniform biases: what the closed form counts too much, unit by unit and as a mean."""

import numpy as np
import pytest
import scipy.stats as st

import splinebias as sb
from splinebias.limit.several_inputs.bias_moments import UniformBias
from splinebias.limit.several_inputs.kernel_beyond import KernelBeyond, TangentBeyond
from splinebias.limit.several_inputs.kernel_of import input_kernel
from splinebias.limit.several_inputs.sampled_kernel import SampledKernel

CUBE = sb.Initialization.pytorch_default(dim=3)
RNG = np.random.default_rng(0)
X, X2 = RNG.uniform(-1, 1, (7, 3)), RNG.uniform(-1.5, 1.5, (5, 3))


def beyond(law, draws=64, moment=None, activation=None):
    """The part of a kernel that is sampled."""
    found = input_kernel(law, sb.ReLU() if activation is None else activation, draws, 0, moment).other
    assert isinstance(found, KernelBeyond if moment is None else TangentBeyond)
    return found


@pytest.mark.parametrize("activation", [sb.ReLU(), sb.LeakyReLU(0.3)], ids=str)
def test_it_is_the_difference_of_the_mean_over_biases_and_its_form_within_reach_for_every_unit(activation):
    """For units and their mirror images, whose means have no sampling error in common with any other test."""
    act, half = activation, activation.kink / 2
    w = np.array([(0.5, -0.5, 0.4), (0.1, 0.55, -0.57), (0.2, 0.1, 0.0)])
    both, b = np.r_[w, -w], 3**-0.5
    kernel = beyond(CUBE, moment=1.0, activation=act)
    kernel.__dict__["_samples"] = [both] * 4
    u, u2 = (X @ both.T)[:, None], X2 @ both.T
    means = UniformBias(-b, b).products(act, u, u2)
    square = (act.right**2 + act.left**2) / 2
    form = square * (u * u2 + b * b / 3) + half**2 * np.abs(u - u2) ** 3 / (6 * b)
    moved = np.abs(u - u2) - np.abs(np.clip(u, -b, b) - np.clip(u2, -b, b))
    gates = half**2 / b * moved
    expected = (means - form).mean(axis=2) + (X @ X2.T + 1) * gates.mean(axis=2)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(kernel.excess(0, X, X2), expected, atol=1e-14)
    np.testing.assert_allclose(kernel.excess(0, X2, X2), kernel.excess(0, X2, X2.copy()), atol=1e-15)


@pytest.mark.parametrize("law", [CUBE, sb.Initialization.sphere(st.uniform(-0.5, 1), dim=4)], ids=["cube", "sphere"])
def test_it_is_more_precise_than_samples_of_the_kernel_and_agrees_with_them(law):
    x = np.random.default_rng(1).uniform(-1, 1, (12, law.inputs))
    made, plain = beyond(law, 2**12), SampledKernel(sb.ReLU(), law.pair_law, 2**12, 0)
    truth = beyond(law, 2**17).matrix(x, x)
    assert np.abs(made.matrix(x, x) - truth).max() < np.abs(plain.matrix(x, x) - truth).max() < 1e-2 * np.abs(truth).max()


def test_gradients_are_those_of_the_values_with_both_layers_too():
    kernel, weights, h = beyond(CUBE, 2**8, 1.0), RNG.standard_normal(5), 1e-5
    steps = h * np.eye(3)
    ends = [np.stack([kernel.combination(X + s * step, X2, weights) for step in steps], axis=1) for s in (1, -1)]
    slopes = (ends[0] - ends[1]) / (2 * h)
    np.testing.assert_allclose(kernel.gradient(X, X2, weights), slopes, atol=1e-4)  # lengths have kinks at samples


@pytest.mark.parametrize("affine", ["network", "free"])
def test_limits_in_a_box_say_how_sure_they_are(affine):
    """Against 16 times as many samples: the error between the data is what `residual` says."""
    x = np.random.default_rng(0).uniform(-1, 1, (30, 4))
    problem = sb.Problem(
        sb.Points(x, np.sin(2 * x[:, 0]) * x[:, 1]), sb.Initialization.pytorch_default(dim=4), affine=affine
    )
    places = (x[:10] + x[10:20] + x[20:]) / 3
    coarse, fine = (sb.predict(problem, sb.PointsSolver(draws=draws)) for draws in (2**10, 2**14))
    error = np.abs(coarse.function(places) - fine.function(places)).max() / np.abs(problem.data.y).max()
    assert 0.1 * coarse.residual < error < 4 * coarse.residual
    assert fine.residual < coarse.residual / 4
    np.testing.assert_allclose(coarse.function(problem.data.x), problem.data.y, atol=1e-9)
