"""Smooth activations: the limit of their networks, who takes them, and that everything else refuses them with the reason."""

import numpy as np
import pytest
import scipy.stats as st

import splinebias as sb
from splinebias.activation import Activation
from splinebias.limit.kernels.neuron_rules import neuron_rules

DATA = sb.Dataset([-1, -0.3, 0.4, 1], [0.2, -0.1, 0.1, 0.0])
WIDE = sb.Initialization.gaussian(2, 2)
SAMPLES = np.random.default_rng(2).standard_normal((2, 30))
PROBLEM = sb.Problem(DATA, WIDE, sb.Tanh())
LAWS = {
    "gaussian": WIDE,
    "signs": sb.Initialization.rademacher(st.uniform(-1, 2)),
    "circle": sb.Initialization.unit_circle(),
    "heavy": sb.Initialization(st.t(7), st.laplace()),
    "joint": sb.Initialization.joint(st.multivariate_normal([0.5, 0], [[2, 0.3], [0.3, 1]])),
}


class Sine(Activation):
    """A smooth activation of one's own: value and derivative, no more."""

    def value(self, z):
        return np.sin(z) if isinstance(z, np.ndarray) else z.sin()

    def derivative(self, z):
        return np.cos(z) if isinstance(z, np.ndarray) else z.cos()


class Exp(Sine):
    """An activation that no law with a tail suits."""

    def value(self, z):
        return np.exp(z)


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_rules_have_the_means_of_samples(law):
    """E tanh(w + b)^2 and E w b, beside 4e5 draws: five standard errors."""
    *_, rule = (rule for rule, _ in zip(neuron_rules(LAWS[law].pair_law), range(3), strict=False))
    w, b = LAWS[law].pair_law.sample(400_000, np.random.default_rng(0))
    for of in (lambda w, b: np.tanh(w + b) ** 2, lambda w, b: np.sin(w) * b, lambda w, b: w**2 + b):
        drawn = of(w, b)
        assert abs(rule.mass @ of(rule.w, rule.b) - drawn.mean()) < 5 * drawn.std() / np.sqrt(drawn.size)


@pytest.mark.parametrize("affine", ["network", "free"])
@pytest.mark.parametrize("activation", [sb.X2Tanh(), Sine()], ids=lambda a: type(a).__name__)
def test_the_limit_is_the_function_of_its_kernel(activation, affine):
    """f = sum lambda_i K(., x_i) through the data, with K by draws of an independent sample, not by the rule."""
    problem = sb.Problem(DATA, WIDE, activation, affine=affine)
    found = sb.predict(problem)
    assert found.outcome is sb.Outcome.CONVERGED and found.residual < 1e-6
    np.testing.assert_allclose(found.function(DATA.x), DATA.y, atol=1e-9)
    w, b = WIDE.pair_law.sample(300_000, np.random.default_rng(1))
    at = np.array([-0.6, 0.1, 0.8])
    kernel = (
        activation.value(np.outer(at, w) + b) @ (activation.value(np.outer(DATA.x, w) + b).T @ found.multipliers) / w.size
    )
    line = np.polyval(found.function.skip, at)
    size = np.abs(found.multipliers).sum() * np.mean(activation.value(w) ** 2)
    np.testing.assert_allclose(kernel + line, found.function(at), atol=5e-3 * size)
    assert found.penalty == pytest.approx(float(DATA.y @ found.multipliers), rel=1e-6)
    if affine == "free":
        assert abs(found.multipliers.sum()) + abs(found.multipliers @ DATA.x) < 1e-9 * np.abs(found.multipliers).sum()


def test_homogeneous_kernels_are_those_of_their_own_solver():
    """A smooth activation that is ReLU in all but name goes another way to the same limit."""

    class Cubic(Sine):
        def value(self, z):
            return z**3

    cubes = sb.Dataset([-1, -0.3, 0.4], [0.2, -0.1, 0.1])
    moments = {0: 1.0, 2: 1.0, 4: 3.0, 6: 15.0}  # of N(0, 1)
    found = sb.predict(sb.Problem(cubes, sb.Initialization.gaussian(), Cubic()))
    z = [1.0, 3.0, 3.0, 1.0]  # (w x + b)^3
    kernel = sum(
        z[i] * z[j] * np.outer(cubes.x**i, cubes.x**j) * moments.get(i + j, 0.0) * moments.get(6 - i - j, 0.0)
        for i in range(4)
        for j in range(4)
    )
    np.testing.assert_allclose(kernel @ found.multipliers, cubes.y, atol=1e-8)


def test_networks_approach_the_function_of_their_time():
    """At rate n^-1/2, with an exponent from three widths and six seeds each."""
    time, widths = 20.0, (100, 400, 1600)
    limit = sb.predict(PROBLEM, time=time)
    method = sb.MirrorFlow(time=time, rtol=1e-6)
    x, means = np.linspace(-1.2, 1.2, 61), []
    for width in widths:
        runs = sb.train_ensemble(PROBLEM, width, range(6), method=method)
        means.append(np.sqrt(np.mean((runs(x) - limit.function(x)) ** 2)))
        assert {run.outcome for run in runs} == {sb.Outcome.REACHED_TIME}
    slope = np.polyfit(np.log(widths), np.log(means), 1)[0]
    assert -0.75 < slope < -0.3
    assert limit.stats["loss"] == pytest.approx(runs[0].loss, rel=0.1)


def test_times_lead_to_the_limit_and_start_functions_are_added():
    path = sb.predict_path(PROBLEM, [0, 1, 100, 1e12, np.inf])
    assert path.losses[0] == pytest.approx(np.mean(DATA.y**2) / 2)
    assert (np.diff(path.losses[:4]) < 0).all()
    x = np.linspace(-1, 1, 21)
    assert np.abs(path(x)[-1] - path(x)[-2]).max() < 1e-6
    start = sb.Network.sample(PROBLEM, 30, 3).function()
    moved = sb.predict(PROBLEM, start=lambda x: start(x) + 1)
    np.testing.assert_allclose(moved.function(DATA.x), DATA.y, atol=1e-9)


def test_functions_of_smooth_units_have_their_slope():
    run = sb.train(PROBLEM, 20, method=sb.NeuronFlow(time=1.0))
    x, h = np.linspace(-1, 1, 11), 1e-6
    np.testing.assert_allclose(run.function(x, 1), (run.function(x + h) - run.function(x - h)) / (2 * h), atol=1e-8)
    np.testing.assert_allclose(run.change(x), run.function(x) - run.start.function()(x), atol=1e-14)
    with pytest.raises(sb.CapabilityError, match="no derivative number 2 of smooth units"):
        run.function(x, 2)


REFUSED = {
    "KernelSolver": lambda: sb.predict(PROBLEM, sb.KernelSolver()),
    "error_band": lambda: sb.error_band(PROBLEM, 100),
    "required_width": lambda: sb.required_width(PROBLEM, 0.1),
    "laziness": lambda: sb.laziness(PROBLEM, 100),
    "start_process": lambda: sb.start_process(PROBLEM),
    "tangent_kernel": lambda: sb.tangent_kernel(PROBLEM, [0, 1]),
    "study": lambda: sb.study(PROBLEM, widths=[10, 20], seeds=range(2)),
    "penalty": lambda: sb.penalty(np.sin, PROBLEM),
}


@pytest.mark.parametrize("verb", REFUSED)
def test_what_works_along_breakpoints_refuses(verb):
    with pytest.raises(sb.CapabilityError, match=r"axis of breakpoints, and neurons of Tanh\(\) have none"):
        REFUSED[verb]()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: sb.predict(PROBLEM.replace(potential=sb.Scaled(sb.Hypentropy(1)))),
            sb.CapabilityError,
            "quadratic problems",
        ),
        (
            lambda: sb.predict(PROBLEM.replace(parameterization=sb.MeanField(1.0))),
            sb.CapabilityError,
            "do not move in closed form",
        ),
        (
            lambda: sb.predict(
                sb.Problem(
                    DATA, sb.Initialization(st.norm(), st.norm(), output=st.norm()), sb.Tanh(), parameterization=sb.NTK()
                )
            ),
            sb.CapabilityError,
            "kernel of their hidden layer is not integrated",
        ),
        (
            lambda: sb.predict(sb.Problem(DATA, sb.Initialization.from_samples(*SAMPLES), sb.Tanh())),
            sb.CapabilityError,
            "integrates over independent w and b",
        ),
        (lambda: sb.predict(sb.Problem(DATA, LAWS["heavy"], Exp())), sb.DataError, "faster than any power"),
        (
            lambda: sb.predict(sb.Problem(DATA, sb.Initialization(st.t(3), st.norm()), sb.X2Tanh())),
            sb.DataError,
            r"X2Tanh\(\) needs moments of order 4 of the `weight` law",
        ),
        (lambda: sb.predict(sb.Problem(DATA, WIDE), sb.SmoothSolver()), sb.CapabilityError, "takes smooth activations"),
        (lambda: sb.SmoothSolver(tolerance=0), sb.DataError, "`tolerance` must be"),
        (lambda: sb.predict(PROBLEM).change, sb.CapabilityError, "no spline; take `function`"),
        (lambda: sb.Network.sample(PROBLEM, 5).linearized(DATA), sb.CapabilityError, "as polynomials, got smooth units"),
    ],
)
def test_refusals_say_why(call, error, message):
    with pytest.raises(error, match=message):
        call()
