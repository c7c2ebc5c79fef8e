"""Joint laws of (W, B) and mixtures: curvature densities against polar integrals, predictions against brute force, draws."""

import itertools
import math
import pickle
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from dense import assert_mean_over_neurons, independent_nodes, joint_nodes
from marks import nightly
from problems import SET_A, SET_B
from scipy import integrate, stats

import splinebias as sb
from splinebias.initialization.joint_laws import as_joint

CORRELATED = stats.multivariate_normal([0.0, 0.0], [[1.0, 0.8], [0.8, 1.5]])
SHIFTED = stats.multivariate_normal([1.0, -0.5], [[1.0, 0.4], [0.4, 2.0]])
STUDENT = stats.multivariate_t([0.3, 0.1], [[1.0, 0.5], [0.5, 0.7]], df=5)
RADII = {"gauss": np.linspace(0, 14, 8), "student": np.r_[np.linspace(0, 8, 6), 2.0 ** np.arange(4, 48)]}
SCALED = sb.Scaled(sb.Power(4, quadratic=1))
C = np.array([-3.1, -0.6, -0.07, 0.0, 0.4, 1.3, 5.2])


class TwoHumps:
    """A density of the user's own: two round normal laws, equally likely."""

    parts = (stats.multivariate_normal([1, 0], 0.3 * np.eye(2)), stats.multivariate_normal([-1, 0.5], 0.5 * np.eye(2)))

    def pdf(self, points):
        return sum(part.pdf(points) for part in self.parts) / 2

    def rvs(self, size, random_state):
        first, second = (part.rvs(size=size, random_state=random_state) for part in self.parts)
        return np.where(random_state.random(size)[:, None] < 0.5, first, second)


JOINT = {
    "correlated": sb.Initialization.joint(CORRELATED),
    "shifted": sb.Initialization.joint(SHIFTED),
    "student": sb.Initialization.joint(STUDENT),
    "own": sb.Initialization.joint(TwoHumps()),
}
MIXTURES = {
    "preset and joint": sb.Initialization.mixture([0.3, 0.7], [sb.Initialization.pytorch_default(), JOINT["shifted"]]),
    "discrete and circle": sb.Initialization.mixture(
        [0.25, 0.75], [sb.Initialization.rademacher(stats.uniform(-2, 4)), sb.Initialization.unit_circle()]
    ),
}
ALL = JOINT | MIXTURES


def defining_integral(density, c, side, power=3):
    r""":math:`\int_{sw > 0} |w|^{power} p(w, -wc)\, dw`."""
    edges = [0.0, 0.3, 1.0, 2.0, 4.0, 8.0, 30.0, math.inf]
    point = lambda v: density(np.array([side * v, -side * v * c]))  # noqa: E731
    return sum(
        integrate.quad(lambda v: v**power * point(v), *ends, epsabs=1e-15, epsrel=1e-12)[0] for ends in pairwise(edges)
    )


@pytest.mark.parametrize("name", JOINT)
@pytest.mark.parametrize("side", [1, -1], ids=["right", "left"])
def test_zeta_and_density_are_their_defining_integrals(name, side):
    init = JOINT[name]
    density, law = init.pair.density.law.pdf, init.breakpoint_law
    for power, found in ((3, law.zeta(C, side)), (1, law.density(C, side)), (5, law.zeta(C, side, 2))):
        expected = [defining_integral(density, c, side, power) for c in C]
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", ALL)
def test_slices_are_one_quadrature_for_density_and_zeta(name):
    law = ALL[name].breakpoint_law
    for side in (1, -1):
        v, rho = law.slices(C, side)
        assert v.shape == rho.shape
        assert (rho >= 0).all()
        np.testing.assert_allclose((rho * v**2).sum(axis=-1), law.zeta(C, side), rtol=1e-11, atol=1e-14)
        np.testing.assert_allclose(rho.sum(axis=-1), law.density(C, side), rtol=2e-8, atol=1e-14)


def test_no_correlation_is_independence():
    joint = sb.Initialization.joint(stats.multivariate_normal([0, 0], [[0.49, 0], [0, 3.61]]))
    for side in (1, -1):
        np.testing.assert_allclose(
            joint.breakpoint_law.zeta(C, side), sb.Initialization.gaussian(0.7, 1.9).breakpoint_law.zeta(C, side), rtol=1e-12
        )


def test_correlation_tilts_the_data():
    """B = B' + rho W has breakpoints c' - rho: f is the solution for uncorrelated biases and data moved by rho."""
    joint = sb.Initialization.joint(stats.multivariate_normal([0, 0], [[1.0, 0.6], [0.6, 0.36 + 0.49]]))
    moved = sb.Dataset(SET_A.x + 0.6, SET_A.y)
    x = np.linspace(-2, 2, 41)
    for potential in (sb.Quadratic(), SCALED):
        tilted = sb.predict(sb.Problem(SET_A, joint, sb.ReLU(), potential)).function
        straight = sb.predict(sb.Problem(moved, sb.Initialization.gaussian(1.0, 0.7), sb.ReLU(), potential)).function
        np.testing.assert_allclose(tilted(x), straight(x + 0.6), rtol=0, atol=1e-9)


COMBINED = {
    "relu": (sb.ReLU(), sb.Quadratic(), SET_A),
    "leaky": (sb.LeakyReLU(0.3), sb.Quadratic(), SET_B),
    "abs": (sb.Abs(), sb.Quadratic(), SET_A),
    "abs scaled": (sb.Abs(), SCALED, SET_B),
}
COSTLY = {("student", "abs scaled"), ("own", "abs scaled")}


@pytest.mark.parametrize(
    ("name", "combined"),
    [
        nightly(*case) if case in COSTLY else case
        for k, case in enumerate(itertools.product(["correlated", "shifted", "student", "own"], COMBINED))
        if (k + k // 4) % 2  # every law with two combinations, every combination with two laws
    ],
)
def test_predictions_are_means_over_neurons(name, combined):
    activation, potential, data = COMBINED[combined]
    init = JOINT[name]
    radii = RADII["student" if name == "student" else "gauss"]
    nodes = partial(joint_nodes, init.pair.density.law.pdf, radii=radii)
    assert_mean_over_neurons(sb.Problem(data, init, activation, potential), nodes, [-0.6, 1.7], 2e-9)


def test_mixtures_add_and_predict():
    """Components: Laplace weights beside uniform biases, and a joint law."""
    laplace = (stats.laplace(), stats.norm(0.3, 1))
    init = sb.Initialization.mixture([0.4, 0.6], [sb.Initialization(*laplace), JOINT["shifted"]])
    np.testing.assert_allclose(
        init.zeta_plus(C), 0.4 * sb.Initialization(*laplace).zeta_plus(C) + 0.6 * JOINT["shifted"].zeta_plus(C), rtol=1e-13
    )

    def nodes(x):
        parts = (independent_nodes(*laplace, x), joint_nodes(SHIFTED.pdf, x, RADII["gauss"]))
        w, b, p = (np.concatenate(pair) for pair in zip(*parts, strict=True))
        return w, b, p * np.repeat([0.4, 0.6], [part[0].size for part in parts])

    assert_mean_over_neurons(sb.Problem(SET_A, init), nodes, [-0.6, 1.7], 2e-9)


@pytest.mark.parametrize("name", ALL)
def test_draws_have_zeta_and_second_moments(name):
    """E[W^2; C <= t] of draws against the integral of zeta; E[W^2] and E[B^2] as stated; within five standard errors."""
    init, size = ALL[name], 20_000
    w, b, _ = init.sample(size, np.random.default_rng(8))
    for drawn, moment in zip((w**2, b**2), init.second_moments, strict=True):
        assert abs(drawn.mean() - moment) <= 5 * drawn.std() / math.sqrt(size)
    c = -b / w
    for lo, hi in ((-2.0, -0.5), (-0.5, 0.1), (0.1, 2.5)):
        for side in (1, -1):
            inside = (c > lo) & (c < hi) & (w * side > 0)
            mass = integrate.quad(lambda t, s=side: init.breakpoint_law.zeta(np.array(t), s), lo, hi, points=(0.0,))[0]
            drawn = w**2 * inside
            assert abs(drawn.mean() - mass) <= 5 * drawn.std() / math.sqrt(size) + 1e-9
    again = init.sample(50, np.random.default_rng(3)), init.sample(50, np.random.default_rng(3))
    np.testing.assert_array_equal(*again)


@pytest.mark.parametrize("name", [name for name in ALL if name != "own"])
def test_problems_with_them_survive_toml_and_pickle(name):
    problem = sb.Problem(SET_B, ALL[name], sb.Abs(), SCALED)
    again = sb.Problem.from_toml(problem.to_toml())
    for other in (again.initialization, pickle.loads(pickle.dumps(problem.initialization))):
        assert other == problem.initialization
        np.testing.assert_array_equal(other.zeta(C), problem.initialization.zeta(C))


def test_an_output_law_survives_too():
    init = sb.Initialization.joint(CORRELATED, output=stats.norm(0, 0.5))
    again = sb.Initialization.from_table(init.to_table())
    assert again == init
    assert again.output_second_moment == pytest.approx(0.25)
    w, _, a = init.sample(6, np.random.default_rng(0))
    np.testing.assert_array_equal(w[::2], w[1::2])
    np.testing.assert_array_equal(a[::2], -a[1::2])


def test_they_describe_themselves():
    assert JOINT["correlated"].describe() == "(W, B) ~ multivariate_normal([0, 0], [[1, 0.8], [0.8, 1.5]])"
    assert JOINT["student"].describe() == "(W, B) ~ multivariate_t([0.3, 0.1], [[1, 0.5], [0.5, 0.7]], df=5)"
    text = "mixture of 0.25 x [W ~ Rademacher(), B ~ uniform(-2, 4)] and 0.75 x [(W, B) on the unit circle]"
    assert MIXTURES["discrete and circle"].describe() == text
    assert repr(MIXTURES["discrete and circle"]) == f"Initialization({text})"


class Blunt:
    """Not a density: mass 2."""

    def pdf(self, points):
        return 2 * CORRELATED.pdf(points)

    def rvs(self, size, random_state):
        return CORRELATED.rvs(size=size, random_state=random_state)


class Disc:
    """Uniform on a disc: a density with an edge."""

    def pdf(self, points):
        return np.where((points**2).sum(axis=-1) < 1, 1 / np.pi, 0.0)

    def rvs(self, size, random_state):
        radius, angle = np.sqrt(random_state.random(size)), 2 * np.pi * random_state.random(size)
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


singular = stats.multivariate_normal([0, 0], [[1, 1], [1, 1]], allow_singular=True)
joint, mixture = sb.Initialization.joint, sb.Initialization.mixture


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: joint(singular), "the covariance of `law` must be positive definite"),
        (
            lambda: joint(stats.multivariate_normal([0, 0, 0])),
            r"must be a law of pairs \(w, b\), got a mean of shape \(3,\)",
        ),
        (lambda: joint(stats.multivariate_normal([0, np.nan], np.eye(2))), "`law` must have a finite mean and covariance"),
        (
            lambda: joint(stats.multivariate_t([0, 0], np.eye(2), df=2)),
            "finite second moments, got multivariate_t with df = 2",
        ),
        (lambda: joint(stats.norm(0, 1)), "`law` must be a frozen law of the pair"),
        (lambda: joint(stats.multivariate_normal), "`law` must be a frozen law of the pair"),
        (lambda: joint(1.0), "`law` must be a frozen law of the pair"),
        (lambda: joint(Blunt()), "must have mass 1, got 2"),
        (lambda: joint(CORRELATED, output=stats.cauchy()), "`output` must have a finite second moment"),
        (
            lambda: mixture([0.5, 0.4], [JOINT["own"], JOINT["own"]]),
            "`probabilities` must be positive with sum 1, got sum 0.9",
        ),
        (lambda: mixture([1.0], [JOINT["own"], JOINT["own"]]), "must be as many as `components`, got 1 and 2"),
        (lambda: mixture([], []), "`probabilities` must be positive with sum 1"),
        (lambda: mixture([1.0], [stats.norm()]), r"`components\[0\]` must be an sb.Initialization"),
        (lambda: mixture([1.0], [joint(CORRELATED, output=stats.norm())]), r"`components\[0\]` must have output=None"),
        (lambda: sb.Initialization.from_table({"joint": {"name": "wishart"}}), "`joint.name` must be mixture or one of"),
        (
            lambda: sb.Initialization.from_table({"joint": {"name": "multivariate_normal", "mean": [0, 0]}}),
            "`joint` of multivariate_normal takes cov, mean",
        ),
        (
            lambda: sb.Initialization.from_table(
                {"joint": {"name": "multivariate_normal", "mean": [0, 0], "cov": [[1, 2]]}}
            ),
            "`joint` has parameters that multivariate_normal does not take",
        ),
        (lambda: sb.Initialization.from_table({"joint": {"name": "mixture"}}), "takes `probabilities` and `components`"),
        (
            lambda: sb.Initialization.from_table({"joint": "unit_circle", "weight": {"name": "norm"}}),
            "`joint` fixes `weight` and `bias`",
        ),
    ],
)
def test_refusals(make, message):
    with pytest.raises(sb.DataError, match=message):
        make()


def test_rough_densities_are_beyond_reach():
    with pytest.raises(sb.CapabilityError, match="is not smooth enough to be integrated"):
        joint(Disc())
    with pytest.raises(sb.CapabilityError, match="only multivariate_normal and multivariate_t can be written to TOML"):
        joint(TwoHumps()).to_table()


@pytest.mark.parametrize("degrees", [2.5, 9.0, math.inf])
def test_densities_are_those_of_scipy(degrees):
    rng = np.random.default_rng(0)
    root = rng.normal(size=(2, 2))
    centre, scatter = rng.normal(size=2), root @ root.T + 1e-3 * np.eye(2)
    w, b = 30 * rng.normal(size=(5, 1)), 30 * rng.normal(size=(1, 7))
    points = np.stack(np.broadcast_arrays(w, b), axis=-1)
    for law in (stats.multivariate_normal(centre, scatter), stats.multivariate_t(centre, scatter, df=degrees)):
        joint = as_joint(law)
        np.testing.assert_allclose(joint.logpdf(w, b), law.logpdf(points), rtol=1e-12)
        np.testing.assert_allclose(joint.pdf(w, b), law.pdf(points), rtol=1e-9)
