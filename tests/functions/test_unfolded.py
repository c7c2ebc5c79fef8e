"""Scaled problems: the function is exact in a coordinate of its own, and Newton's method finds it at any size."""

import json
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.stats as st
from marks import nightly
from problems import SET_A, SET_B, UNIFORM
from scipy.optimize import brentq

import splinebias as sb
from splinebias.functions.unfolding import Unfolding
from splinebias.numerics.legendre import gauss_legendre

NORMAL = sb.Initialization.rademacher(st.norm())


def noisy(size, seed=0):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(-1, 1, size))
    return sb.Dataset(x, np.sin(5 * x) + 0.1 * rng.normal(size=size))


@dataclass(frozen=True)
class Quartic(sb.Potential):
    """|u|^4 + u^2, as a user would write it: only what is abstract, with the inverse by root finding."""

    def value(self, u):
        return u**4 + u**2

    def grad(self, u):
        return 4 * u**3 + 2 * u

    def hess(self, u):
        return 12 * u**2 + 2

    def grad_inverse(self, z):
        z = np.asarray(z, dtype=float)
        flat = [brentq(lambda u, goal=goal: self.grad(u) - goal, -1e4, 1e4, xtol=1e-15, rtol=1e-14) for goal in z.ravel()]
        return np.array(flat).reshape(z.shape)


@pytest.fixture(scope="module", params=["abs", "relu"])
def function(request):
    activation = {"abs": sb.Abs(), "relu": sb.ReLU()}[request.param]
    return sb.predict(sb.Problem(SET_B, NORMAL, activation, sb.Scaled(sb.Power(4, quadratic=1)))).function


def test_a_potential_of_ones_own():
    ours, theirs = (
        sb.predict(sb.Problem(SET_B, UNIFORM, sb.Abs(), sb.Scaled(phi))) for phi in (sb.Power(4, 1.0), Quartic())
    )
    assert theirs.outcome is sb.Outcome.CONVERGED
    x = np.linspace(-1.5, 1.5, 301)
    np.testing.assert_allclose(theirs.function(x), ours.function(x), atol=1e-11)
    assert theirs.penalty == pytest.approx(ours.penalty, rel=1e-11)
    np.testing.assert_allclose(theirs.multipliers, ours.multipliers, rtol=1e-9)
    with pytest.raises(sb.CapabilityError, match="pickle the function"):
        theirs.function.to_json()


def test_derivatives_belong_together(function):
    x = np.linspace(-1.4, 1.4, 57) + 1e-3
    h = 1e-5
    for nu in (0, 1):
        slope = (function(x + h, nu) - function(x - h, nu)) / (2 * h)
        size = np.abs(function(x, nu + 1)).max()
        near = np.abs(x[:, None] - function.knots).min(axis=1) < 2 * h  # f'' has roots there
        np.testing.assert_allclose(slope[~near], function(x, nu + 1)[~near], atol=1e-5 * size)


def test_pieces_represent_the_function(function):
    x = np.linspace(-3, 3, 2001)
    pieces = function.to_ppoly(resolved=True)
    for nu, tolerance in ((0, 1e-13), (1, 1e-11), (2, 1e-6)):  # a root of c is hard on polynomials
        size = np.abs(function(x, nu)).max()
        np.testing.assert_allclose(pieces(x, nu), function(x, nu), atol=tolerance * size)
    assert function.integrate(-1, 1) == pytest.approx(np.trapezoid(function(x[x**2 <= 1]), x[x**2 <= 1]), abs=1e-3)
    np.testing.assert_allclose(function(function.roots(0.05)), 0.05, atol=1e-12)
    with pytest.raises(sb.CapabilityError, match="resolved=True"):
        function.to_ppoly()


def test_curvature_at_a_zero_of_the_dual_is_the_root_it_should_be():
    """h'' = 2 p alpha with |alpha|^3 sign = g / 4: near its zero like the cube root of the distance."""
    prediction = sb.predict(sb.Problem(SET_B, UNIFORM, sb.Abs(), sb.Scaled(sb.Power(4))))
    f = prediction.function
    dual = lambda c: np.abs(c - SET_B.x[:, None]).T @ prediction.multipliers  # noqa: E731
    zero = brentq(lambda c: float(dual(np.array([c]))[0]), 0.36, 0.64, xtol=1e-16)
    distance = np.logspace(-9, -3, 13)
    np.testing.assert_allclose(f(zero + distance, 2), np.cbrt(dual(zero + distance) / 4), rtol=1e-5)
    rate = np.polyfit(np.log(distance), np.log(np.abs(f(zero + distance, 2))), 1)[0]
    assert rate == pytest.approx(1 / 3, abs=1e-3)


def test_text_and_pickle_keep_every_bit(function):
    x = np.linspace(-4, 4, 999)
    for copy in (type(function).from_json(function.to_json()), pickle.loads(pickle.dumps(function))):
        for nu in (0, 1, 2):
            np.testing.assert_array_equal(copy(x, nu), function(x, nu))
        np.testing.assert_array_equal(copy.knots, function.knots)
    broken = json.loads(function.to_json()) | {"potential": {"name": "Sextic"}}
    with pytest.raises(sb.DataError, match="not the JSON text"):
        type(function).from_json(json.dumps(broken))


def test_data_are_met_exactly_however_close():
    x = np.array([-1.0, 0.3, 0.3 + 1e-12, 0.9])
    y = np.array([0.0, 1.0, -1.0, 0.5])
    prediction = sb.predict(sb.Problem(sb.Dataset(x, y), NORMAL, sb.Abs(), sb.Scaled(sb.Power(3, quadratic=1))))
    assert prediction.outcome is sb.Outcome.CONVERGED
    np.testing.assert_array_equal(prediction.function(x), y)


@pytest.mark.parametrize("activation", [sb.Abs(), sb.ReLU(), sb.LeakyReLU(0.2)])
@pytest.mark.parametrize("p", [1.1, 1.5, 3, 4, 10])
def test_noisy_data_converge(p, activation):
    prediction = sb.predict(sb.Problem(noisy(60), NORMAL, activation, sb.Scaled(sb.Power(p))))
    assert prediction.outcome is sb.Outcome.CONVERGED
    assert prediction.residual < 1e-12
    assert prediction.stats["iterations"] < 100


@pytest.mark.parametrize("activation", [sb.Abs(), sb.ReLU()])
def test_iterations_do_not_grow_with_the_data(activation):
    iterations = []
    for size in (100, 1000, 10_000):
        prediction = sb.predict(sb.Problem(noisy(size), UNIFORM, activation, sb.Scaled(sb.Power(4, quadratic=1))))
        assert prediction.outcome is sb.Outcome.CONVERGED
        iterations.append(prediction.stats["iterations"])
    assert max(iterations) < 3 * min(iterations)


@pytest.mark.parametrize("size", [400, 6000])
@pytest.mark.parametrize("p", [1.25, 4 / 3, 1.5, 7 / 3, 2.5, 3, 4, 6])
@pytest.mark.parametrize("quadratic", [0, 1])
def test_no_cell_is_cut_where_the_curvature_unfolds_to_a_polynomial(p, quadratic, size):
    potential = sb.Power(p, quadratic=quadratic)
    assert Unfolding.of(potential).degrees is not None or (p, quadratic) == (7 / 3, 1)
    prediction = sb.predict(sb.Problem(noisy(size), UNIFORM, sb.ReLU(), sb.Scaled(potential)))
    assert prediction.outcome is sb.Outcome.CONVERGED
    assert prediction.stats["refinements"] == 0
    assert prediction.stats["cells"] < 4.1 * size  # two sides, cut at zeros at most


@pytest.mark.parametrize("phi", [sb.Power(10), sb.Power(1.1), sb.Power(4, quadratic=1), sb.Hypentropy(0.1)])
def test_rescaled_potentials_are_the_same_potential(phi):
    u = np.linspace(-3, 3, 25)
    for size in (1e-3, 7.0):
        other, factor = phi.rescaled(size)
        for name, power in (("cost", 0), ("grad", 1), ("hess", 2)):
            with np.errstate(divide="ignore"):
                ours, theirs = getattr(phi, name)(size * u) * size**power, factor * getattr(other, name)(u)
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize(
    "phi",
    [
        *(sb.Quadratic(), sb.Power(1.1), sb.Power(1.2, 1.0), sb.Power(1.5), sb.Power(1.7), sb.Power(7 / 3), sb.Power(2.5)),
        *(sb.Power(2.5, 0.1), sb.Power(3, 0.3), sb.Power(4, 1.0), sb.Power(6), sb.Hypentropy(0.1), Quartic()),
    ],
)
def test_unfolding_and_folding_are_inverse(phi):
    s = np.linspace(-2, 2, 41)
    unfolding = Unfolding.of(phi)
    z, slope = unfolding.unfold(s)
    np.testing.assert_allclose(unfolding.fold(z), s, atol=1e-12)
    np.testing.assert_allclose(unfolding.curvature(s), phi.grad_inverse(z), rtol=1e-12, atol=1e-14)
    if unfolding.degrees is not None:  # polynomials of these degrees on s > 0
        t = np.linspace(0.1, 2, 60)
        for values, degree in zip((unfolding.unfold(t)[0], unfolding.curvature(t)), unfolding.degrees, strict=True):
            fit = np.polynomial.Chebyshev.fit(t, values, degree)
            np.testing.assert_allclose(fit(t), values, rtol=0, atol=1e-12 * np.abs(values).max())
            assert degree == 0 or np.abs(fit.coef[-1]) > 1e-12 * np.abs(values).max()
    h = 1e-6
    away = np.abs(s) > 0.01
    numeric = (unfolding.unfold(s + h)[0] - unfolding.unfold(s - h)[0]) / (2 * h)
    np.testing.assert_allclose(slope[away], numeric[away], rtol=1e-6)


TAILS = {  # law of the bias, potential, tail weight: growth of phi* against the tail, or how far the cells must reach
    "exponential": (st.laplace(), sb.Hypentropy(0.1), 10.0),
    "nearly too heavy": (st.laplace(), sb.Hypentropy(0.01), 10.0),
    "algebraic": (st.t(5), sb.Power(1.5), 1.0),
    "one-sided": (st.expon(-2), sb.Hypentropy(0.3), 3.0),
}


@pytest.mark.parametrize("name", TAILS)
@pytest.mark.parametrize("activation", [sb.ReLU(), sb.Abs()])
def test_cells_reach_as_far_as_the_conjugate_asks(name, activation):
    r"""Interpolation by a quadrature of its own: :math:`E[\sigma_i \alpha] = y_i` counts the far tails of the law.

    With hypentropy and exponential tails the dual is finite for slopes below 1 only, where every start must lie.
    """
    law, phi, size = TAILS[name]
    found = sb.predict(drawn_out(law, phi, activation, size))
    assert found.outcome is sb.Outcome.CONVERGED
    assert misses(found, law) < 1e-9


def law_name(value):
    """Of a frozen distribution of scipy, for the name of a test; of all else, as it is printed."""
    return getattr(getattr(value, "dist", None), "name", str(value))


LOGARITHMS = {  # of densities, where scipy takes that of what underflows
    "laplace": lambda x: -np.abs(x) - np.log(2),
    "hypsecant": lambda x: -np.logaddexp(x, -x) - np.log(np.pi / 2),
    "moyal": lambda x: -0.5 * (x + np.exp(-x)) - 0.5 * np.log(2 * np.pi),
}


@pytest.mark.parametrize("activation", [nightly(sb.ReLU()), sb.Abs()], ids=str)
@pytest.mark.parametrize(
    "law", [st.laplace(), nightly(st.logistic()), st.gamma(2, -1), nightly(st.hypsecant()), st.moyal()], ids=law_name
)
def test_masses_that_underflow_count_by_their_logarithms(law, activation):
    """Near the end of the domain of the dual the curvature still matters where exp(-c) underflows."""
    for size in 10.0 ** np.arange(3, 8):
        found = sb.predict(drawn_out(law, sb.Hypentropy(0.1), activation, size))
        assert found.outcome is sb.Outcome.CONVERGED
        assert misses(found, law) < 1e-14 * size + 1e-9  # rounding of dual values grows with their size


class Plain:
    """A law that does not know the logarithm of its density."""

    def __init__(self, law):
        self.law = law

    def __getattr__(self, name):
        if name in ("logpdf", "dist") or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.law, name)


@pytest.mark.parametrize(
    ("law", "activation"),
    [
        (st.gamma(2, -1), sb.Abs()),
        nightly(st.gamma(2, -1), sb.ReLU()),
        nightly(st.laplace(), sb.ReLU()),
        nightly(st.logistic(), sb.Abs()),
    ],
    ids=law_name,
)
def test_what_doubles_cut_off_counts_as_residual(law, activation):
    """The same without logarithms."""
    honest = 0
    for size in (1e3, 1e4, 1e5) if np.isfinite(law.support()[0]) else (1e3, 1e4):
        found = sb.predict(drawn_out(Plain(law), sb.Hypentropy(0.1), activation, size))
        missed = misses(found, law)
        assert missed < 1e-9 or found.outcome is sb.Outcome.INACCURATE
        assert found.residual > min(missed, 0.01) / 30 or missed < 1e-9
        assert found.residual < 30 * max(missed, 1e-10)
        honest += found.outcome is sb.Outcome.INACCURATE
    assert honest >= 2


def drawn_out(law, phi, activation, size):
    """A problem with data so large that far breakpoints matter."""
    data = sb.Dataset(SET_A.x, size * SET_A.y)
    return sb.Problem(data, sb.Initialization.rademacher(law), activation, sb.Scaled(phi))


def misses(found, law):
    r"""max \|E[sigma_i alpha] - y_i\| / max \|y\| by another quadrature, of products made of logarithms."""
    data, activation, phi = found.problem.data, found.problem.activation, found.problem.potential.base
    far = 2.0 ** np.arange(0, 40, 0.2)
    kinks = np.r_[data.x, found.function.knots, -2.0, 2.0]
    near = np.linspace(-1, 1, 101)
    edges = np.unique(np.concatenate([-far, far, near, kinks[np.abs(kinks) < far[-1]]]))
    places, weights = gauss_legendre(20)
    c = (edges[:-1, None] + np.diff(edges)[:, None] * places).ravel()
    fitted, logpdf = np.zeros(data.size), LOGARITHMS.get(law.dist.name, law.logpdf)
    for sign in (1, -1):
        features = activation.value(sign * (data.x[:, None] - c))
        g, exponential = found.multipliers @ features, isinstance(phi, sb.Hypentropy)
        small = np.minimum(np.abs(g), 600.0) if exponential else np.abs(g)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            height = np.log(phi.grad_inverse(small)) + np.abs(g) - small + logpdf(-sign * c) - np.log(2)
            fitted += (features * np.sign(g) * np.exp(height) * (np.diff(edges)[:, None] * weights).ravel()).sum(axis=1)
    return np.abs(fitted - data.y).max() / np.abs(data.y).max()
