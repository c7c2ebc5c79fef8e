"""NTK() networks of several inputs: one input as a twin, closed forms beside samples, gradients, trained networks."""

import numpy as np
import pytest
import scipy.stats as st

import splinebias as sb
from splinebias.limit.several_inputs.kernel_of import input_kernel
from splinebias.limit.several_inputs.tangent_kernels import TangentSampled

X = np.array([(-0.8, -0.6), (-0.7, 0.5), (-0.2, -0.1), (0, 0.8), (0.1, -0.9), (0.4, 0.3), (0.7, -0.4), (0.9, 0.6)])
Y = np.array([0.2, -0.1, 0.4, 0, -0.3, 0.5, 0.1, -0.2])
AT = np.array([(0, 0), (0.5, -0.5), (-0.5, 0.8), (0.9, 0.1)])
POINTS = sb.Points(X, Y)
OUTPUT = st.norm(0, 1.3)


def both_layers(law, points=POINTS, activation=None, affine="network"):
    activation = activation or sb.ReLU()
    init = sb.Initialization(pair=law.pair, output=OUTPUT)
    return sb.Problem(points, init, activation, affine=affine, parameterization=sb.NTK())


LAWS = {
    "gaussian": sb.Initialization.gaussian(0.7, 1.2, dim=2),
    "sphere": sb.Initialization.sphere(st.uniform(-1.5, 3), dim=2),
    "sphere, few reached": sb.Initialization.sphere(st.uniform(-0.5, 1), dim=2),
    "cube": sb.Initialization.pytorch_default(dim=2),
    "off centre": sb.Initialization.sphere(st.norm(0.3, 1), dim=2),
}


@pytest.mark.parametrize("activation", [sb.ReLU(), sb.LeakyReLU(0.3), sb.Abs()], ids=str)
@pytest.mark.parametrize("time", [np.inf, 7.0])
def test_on_a_line_two_inputs_are_one(activation, time):
    """Gaussian kernels of points (t, 0) are those of t, where another solver, in pieces between breakpoints, is a twin."""
    t, y = np.array([-1.0, -0.2, 0.0, 0.4, 1.0]), [0.1, -0.2, 0.4, 0.0, 0.3]
    init = sb.Initialization(st.norm(0, 0.7), st.norm(0, 1.2), OUTPUT)
    line = sb.Problem(sb.Dataset(t, y), init, activation, parameterization=sb.NTK())
    flat = both_layers(LAWS["gaussian"], sb.Points(np.c_[t, 0 * t], y), activation)
    at = np.linspace(-2, 2, 21)
    one, two = sb.predict(line, time=time), sb.predict(flat, time=time)
    np.testing.assert_allclose(two.function(np.c_[at, 0 * at]), one.function(at), atol=1e-8)
    assert two.penalty == pytest.approx(one.penalty, rel=1e-7)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("activation", [sb.ReLU(), sb.LeakyReLU(0.3)], ids=str)
def test_kernels_are_the_means_of_their_definition(law, activation):
    init = LAWS[law]
    kernel = input_kernel(init, activation, 2**12, 0, 1.69)
    w, b = init.pair_law.sample(400_000, np.random.default_rng(5))
    z, z2 = X[:4] @ w.T + b, AT @ w.T + b
    products = 1.69 * (X[:4] @ AT.T + 1)
    gates = activation.derivative(z)[:, None] * activation.derivative(z2)
    parts = activation.value(z)[:, None] * activation.value(z2) + products[..., None] * gates
    error = np.abs(kernel.matrix(X[:4], AT) - parts.mean(axis=2))
    assert (error < 5 * parts.std(axis=2) / np.sqrt(400_000) + (2e-3 if law == "off centre" else 0)).all()


@pytest.mark.parametrize("inputs", [3, 5])
@pytest.mark.parametrize("law", ["sphere", "cube"])
def test_closed_forms_agree_with_samples_in_more_inputs(inputs, law):
    rng = np.random.default_rng(0)
    init = (
        sb.Initialization.sphere(st.uniform(-2, 4), dim=inputs)
        if law == "sphere"
        else sb.Initialization.uniform(0.4, 2, dim=inputs)
    )
    x = rng.uniform(-0.6, 0.6, (6, inputs))
    x[1, 0] = x[0, 0]  # a difference that is 0 in one input
    exact = input_kernel(init, sb.ReLU(), 64, 0, 1.0)
    sampled = TangentSampled(sb.ReLU(), init.pair_law, 2**15, 0, 1.0)
    np.testing.assert_allclose(sampled.matrix(x, x), exact.matrix(x, x), rtol=1e-3)
    weights = rng.normal(size=6)
    h = 1e-5
    slopes = np.stack(
        [
            (exact.matrix(x + h * e, x[::-1] / 2) - exact.matrix(x - h * e, x[::-1] / 2)) @ weights / (2 * h)
            for e in np.eye(inputs)
        ],
        axis=1,
    )
    np.testing.assert_allclose(exact.slope(x, x[::-1] / 2, weights), slopes, atol=1e-8)


@pytest.mark.parametrize("affine", ["network", "free"])
@pytest.mark.parametrize("law", LAWS)
def test_limits_interpolate_and_have_a_gradient(law, affine):
    found = sb.predict(both_layers(LAWS[law], affine=affine), sb.PointsSolver(draws=2**10))
    np.testing.assert_allclose(found.function(POINTS.x), POINTS.y, atol=1e-9)
    h = 1e-5
    slopes = np.stack([(found.function(AT + h * e) - found.function(AT - h * e)) / (2 * h) for e in np.eye(2)], axis=1)
    np.testing.assert_allclose(found.function.gradient(AT), slopes, rtol=2e-2 if law == "off centre" else 1e-4, atol=1e-3)
    assert (found.stats["sampling_error"] > 0) == (law == "off centre")


@pytest.mark.parametrize("affine", ["network", "free"])
def test_wide_networks_train_both_layers_to_the_limit_and_follow_its_path(affine):
    problem, width, times = both_layers(LAWS["sphere"], affine=affine), 20_000, (3.0, 40.0)
    run = sb.train(problem, width, 1, method=sb.MirrorFlow(saveat=times, rtol=1e-4))
    assert run.outcome is sb.Outcome.CONVERGED
    limit, plain = sb.predict(problem), sb.predict(sb.Problem(POINTS, LAWS["sphere"], affine=affine))
    error = np.abs(run.function(AT) - limit.function(AT)).max()
    assert error < 10 / np.sqrt(width)
    assert error < 0.7 * np.abs(run.function(AT) - plain.function(AT)).max()  # the output layer alone ends elsewhere
    for snapshot, t in zip(run.snapshots, times, strict=True):
        assert np.abs(snapshot.function(AT) - sb.predict(problem, time=t).function(AT)).max() < 10 / np.sqrt(width)


def test_what_does_not_fit_and_laws_without_moments_are_refused():
    x = np.random.default_rng(0).uniform(-1, 1, (100_000, 2))
    with pytest.raises(sb.CapabilityError, match="100,000 points take 5.. GiB"):
        sb.predict(both_layers(LAWS["gaussian"], sb.Points(x, x[:, 0])))
    with pytest.raises(sb.DataError, match="lighter tails"):
        sb.predict(both_layers(sb.Initialization.sphere(st.t(2), dim=2)))
    points = sb.Points(x[:2000], x[:2000, 0])
    network = sb.Network.sample(both_layers(LAWS["gaussian"], points), 100_000)
    with pytest.raises(sb.CapabilityError, match="write the Jacobian out"):
        network.linearized(points)


def test_gradients_where_steps_of_a_sample_have_none_are_refused():
    class Own:
        def sample(self, width, rng):
            return rng.normal(size=(width, 2)), rng.normal(size=width)

    problem = both_layers(sb.Initialization.from_sampler(Own()))
    found = sb.predict(problem, sb.PointsSolver(draws=2**9))
    with pytest.raises(sb.CapabilityError, match="normal or uniform law of biases"):
        found.function.gradient(AT)
    with pytest.raises(sb.CapabilityError, match="meant to move"):
        sb.laziness(problem, 100)
