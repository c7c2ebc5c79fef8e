"""Effective potentials: integrals over |w| as functions of one variable, and predictions with them beside the quadrature."""

import itertools

import numpy as np
import pytest
import scipy.stats as st
from problems import QUERY, SET_A, SET_B

import splinebias as sb
from splinebias.initialization.zeta import OneRadius, RadiusOfBox, RadiusOfExponential, RadiusOfStudent
from splinebias.limit.dual.responses.effective_potential import effective_potential
from splinebias.numerics.legendre import gauss_legendre
from splinebias.potential import Hypentropy, Power

NORMAL, PAIR_OF_LAPLACE = RadiusOfExponential(2.0, 2.0), RadiusOfExponential(2.0, 1.0)
BOX = RadiusOfBox()
PROFILES = [NORMAL, PAIR_OF_LAPLACE, RadiusOfExponential(1.4, 1.5), RadiusOfStudent(5.0), RadiusOfStudent(2.5), BOX]
POWERS = [Power(3, 1.0), Power(4, 0.3), Power(1.5, 2.0), Power(2.3, 1.0), Power(10, 1e-3), Power(30, 1.0), Power(1.1, 0.5)]
MULTIVARIATE_T = st.multivariate_t([0, 0], [[1.0, 0.4], [0.4, 0.7]], df=6)
MIXTURE = sb.Initialization.mixture([0.3, 0.7], [sb.Initialization.gaussian(1.0, 0.5), sb.Initialization.pytorch_default()])
STEPS = st.rv_histogram((np.array([1, 0, 3]) / 5.4, [-1, -0.2, 0.3, 1.8]), density=True)  # layers that count as negative
LAWS = {
    "steps": sb.Initialization(STEPS, st.uniform(-0.7, 1.6)),
    "gaussian": sb.Initialization.gaussian(1.3, 0.7),
    "pytorch": sb.Initialization.pytorch_default(),
    "correlated": sb.Initialization.joint(st.multivariate_normal([0, 0], [[1.0, -0.5], [-0.5, 0.8]])),
    "multivariate-t": sb.Initialization.joint(MULTIVARIATE_T),
    "laplace": sb.Initialization(st.laplace(0, 0.8), st.laplace(0, 1.1)),
    "generalized-normal": sb.Initialization(st.gennorm(1.5), st.gennorm(1.5, scale=0.6)),
    "box-off-centre": sb.Initialization(st.uniform(-0.5, 2), st.uniform(-1, 1.7)),
    "half": sb.Initialization(st.halfnorm(), st.norm(0, 0.8)),
    "weibull": sb.Initialization(st.dweibull(1.7), st.dweibull(1.7, scale=0.5)),
    "mixture": MIXTURE,
    "circle-and-gaussian": sb.Initialization.mixture(
        [0.5, 0.5], [sb.Initialization.unit_circle(), sb.Initialization.gaussian()]
    ),
}
BY_SEARCHED_RULES = (
    "multivariate-t",
    "laplace",
    "generalized-normal",
    "box-off-centre",
    "half",
    "weibull",
    "steps",
)  # to 1e-10
POTENTIALS = {
    "u3+u2": Power(3, quadratic=1),
    "u4+u2": Power(4, quadratic=1),
    "u1.5": Power(1.5),
    "u4": Power(4),
    "hypentropy": Hypentropy(1.0),
}


def averages(potential, profile, z):
    """Psi and its derivatives by Gauss-Legendre rules on pieces of log u, or of u on boxes."""
    node, weight = gauss_legendre(20)
    edges = np.arange(-45.0, 0.0, 0.1) if profile == BOX else np.arange(-45.0, 130.0 if profile.tail < 9 else 9.0, 0.1)
    if profile == BOX:
        edges = np.append(edges, 0.0)
    t = edges[:-1, None] + np.diff(edges)[:, None] * node
    u = np.exp(t)
    mass = np.diff(edges)[:, None] * weight * u * profile.density(u)
    mass, u = mass[mass > 0], u[mass > 0]
    y = u * z
    a = np.asarray(potential.grad_inverse(y))
    return np.array([(mass * of).sum() for of in (a * y - potential.cost(a), u * a, u**2 / potential.hess(a))])


@pytest.mark.parametrize("profile", PROFILES, ids=str)
def test_tables_and_closed_forms_are_averages_over_sizes(profile):
    z = np.array([1e-9, 0.03, 1.7, 1e4])
    found = 0
    for potential in POWERS if profile == NORMAL else POWERS[:4]:
        effective = effective_potential(potential, profile)
        if effective is None:
            assert profile.tail < potential.p / (potential.p - 1) + 0.2 or potential.p == 30, (potential, profile)
            continue
        exact = np.transpose([averages(potential, profile, value) for value in z])
        np.testing.assert_allclose(np.array(effective(z)), exact, rtol=1e-13, atol=0, err_msg=str(potential))
        found += 1
    assert found >= 3


@pytest.mark.parametrize("profile", [NORMAL, PAIR_OF_LAPLACE, RadiusOfExponential(0.8, 1.0), BOX, OneRadius()], ids=str)
def test_hypentropy_has_closed_forms(profile):
    potential, z = Hypentropy(0.3), np.array([1e-9, 1e-3, 0.2, 0.69, 0.71, 0.9])
    found = np.array(effective_potential(potential, profile)(z))
    if profile == OneRadius():
        exact = 0.3 * np.array([2 * np.sinh(z / 2) ** 2, np.sinh(z), np.cosh(z)])
    else:
        exact = np.transpose([averages(potential, profile, value) for value in z])
    np.testing.assert_allclose(found, exact, rtol=1e-13)


@pytest.mark.parametrize(("eps", "z"), [("1", "0.7"), ("1e-6", "2.5")])
def test_tables_against_thirty_digits(eps, z):
    import mpmath as mp

    with mp.workdps(30):
        eps, z = mp.mpf(eps), mp.mpf(z)

        def integrand(u):  # 3u^2 + 2 eps u = y is solved by A(y) = y/(eps + sqrt(eps^2 + 3y))
            return 2 * u * mp.exp(-(u**2)) * u * u * z / (eps + mp.sqrt(eps**2 + 3 * u * z))

        exact = mp.quad(integrand, [0, 1e-9, 1e-4, 0.1, 1, 3, 6, 12])
        found = effective_potential(Power(3, float(eps)), NORMAL)(np.array([float(z)])).first[0]
        assert abs(found / exact - 1) < 1e-14


@pytest.mark.parametrize(("potential", "profile"), [(Power(3, 1.0), NORMAL), (Power(1.5, 1.0), PAIR_OF_LAPLACE)], ids=str)
def test_far_from_where_the_two_parts_meet_one_power_is_left(potential, profile):
    p, q = potential.p, potential.p / (potential.p - 1)
    steep, flat = (1e-30, 1e60)[:: 1 if p < 2 else -1]
    effective = effective_potential(potential, profile)
    by_power = profile.moment(q) * (steep / p) ** (q - 1)
    by_square = profile.moment(2) * flat / (2 * potential.quadratic)
    np.testing.assert_allclose(effective(np.array([steep])).first, by_power, rtol=1e-13)
    np.testing.assert_allclose(effective(np.array([flat])).first, by_square, rtol=1e-13)
    assert [float(of[0]) for of in effective(np.zeros(1))[:2]] == [0.0, 0.0]


@pytest.mark.parametrize("quadratic", [1e-120, 1e-40, 1.0, 1e40])
def test_units_of_the_quadratic_part_do_not_matter(quadratic):
    unit = quadratic ** (1 / (3 - 2.0))  # |u|^3 + eps u^2 with u = eps v is eps^3 (|v|^3 + v^2)
    z = np.array([0.1, 2.0, 50.0])
    plain = effective_potential(Power(3, 1.0), NORMAL)(z)
    found = effective_potential(Power(3, quadratic), NORMAL)(z * unit**2)
    np.testing.assert_allclose(found.first, plain.first * unit, rtol=1e-12)
    np.testing.assert_allclose(found.second, plain.second / unit, rtol=1e-12)


@pytest.mark.parametrize("name", LAWS)
def test_families_are_the_law(name):
    """Their moments are those of the slices, on either side."""
    law, c = LAWS[name].breakpoint_law, np.array([-7.0, -0.61, -1e-3, 0.02, 0.5, 3.0])
    assert law.finest().scale_families(1) == () or name == "circle-and-gaussian"
    for side in law.sides:
        families = side.families
        assert families
        v, rho = side.slices(c)
        for order in (0.0, 1.0, 2.0, 3.0):
            by_slices = np.where(rho > 0, rho * v**order, 0.0).sum(axis=-1)
            by_family = sum(family.zeta(c, order) for family in families)
            np.testing.assert_allclose(by_family, by_slices, rtol=2e-11, atol=1e-300)


def assert_agreement(law, activation, data, potential):
    """Predictions with effective potentials and without."""
    problem = sb.Problem(data, LAWS[law], activation, sb.Scaled(potential))
    fast, exact = sb.predict(problem), sb.predict(problem, sb.DualSolver(over_sizes=True))
    assert fast.outcome.ok
    assert exact.outcome.ok
    size = np.abs(exact.function(QUERY)).max()
    assert np.abs(fast.function(QUERY) - exact.function(QUERY)).max() < 4e-13 * size
    if law not in BY_SEARCHED_RULES:
        assert abs(fast.penalty / exact.penalty - 1) < 3e-13
    if potential.hess_at_zero in (0.0, np.inf):  # p E[phi(alpha)] = lambda y where phi is a power
        assert abs(potential.p * fast.penalty / (fast.multipliers @ data.y) - 1) < 3e-13


FAST = [("steps", "u3+u2"), ("gaussian", "u3+u2"), ("pytorch", "u4+u2"), ("correlated", "u4"), ("mixture", "hypentropy")]


@pytest.mark.parametrize(("law", "potential"), FAST)
def test_predictions_are_those_of_the_quadrature(law, potential):
    assert_agreement(law, sb.ReLU(), SET_B, POTENTIALS[potential])


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("law", "potential"),  # a third of all pairs: every law with one potential at least, every potential with three laws
    [(law, phi) for (i, law), (j, phi) in itertools.product(enumerate(LAWS), enumerate(POTENTIALS)) if (i + j) % 3 == 0],
)
def test_predictions_are_those_of_the_quadrature_for_every_law(law, potential):
    if potential == "hypentropy" and law in ("multivariate-t", "laplace", "weibull"):
        pytest.skip("no exponential moments, or a quadrature that is coarser than this")
    odd = (list(LAWS).index(law) + list(POTENTIALS).index(potential)) % 2
    assert_agreement(law, *((sb.ReLU(), SET_A), (sb.Abs(), SET_B))[odd], POTENTIALS[potential])


class Ring:
    """A law of one's own that is a function of the length of (w, b) along every ray, times one of the direction."""

    def pdf(self, points):
        w, b = points[..., 0], points[..., 1]
        q = self.radius(points) ** 2
        return 2 * q * np.exp(-q) / np.pi * (1 + 0.5 * (w**2 - 4 * b**2) / np.where(q > 0, q, 1.0))

    def rvs(self, size, random_state):
        r, angle = np.sqrt(random_state.gamma(2, size=size)), random_state.uniform(0, 2 * np.pi, 4 * size)
        kept = angle[random_state.uniform(0, 1.5, 4 * size) < 1 + 0.5 * np.cos(2 * angle)][:size]
        return np.stack([r * np.cos(kept), r * np.sin(kept) / 2], axis=-1)

    def radius(self, points):
        return np.hypot(points[..., 0], 2 * points[..., 1])


class Silent(Ring):
    """The same law, which does not say so."""

    radius = None

    def pdf(self, points):
        return Ring().pdf(points)


class TooLong(Ring):
    """Claims that its density is a function of another length."""

    def pdf(self, points):
        return Ring().pdf(points)

    def radius(self, points):
        return np.hypot(points[..., 0], points[..., 1])


class Squared(TooLong):
    """Claims a length that is none."""

    def radius(self, points):
        return points[..., 0] ** 2 + points[..., 1] ** 2


@pytest.mark.parametrize("potential", [Power(4, 1.0), Power(3)], ids=str)
def test_a_law_of_ones_own_may_say_that_it_is_a_scale_family(potential):
    said, silent = (sb.Initialization.joint(law()) for law in (Ring, Silent))
    assert said.breakpoint_law.scale_families(1)
    assert not silent.breakpoint_law.scale_families(1)
    fast, slow = (sb.predict(sb.Problem(SET_B, law, potential=sb.Scaled(potential))) for law in (said, silent))
    assert fast.outcome.ok
    assert slow.outcome.ok
    np.testing.assert_allclose(fast.function(QUERY), slow.function(QUERY), atol=1e-9)


class Star(Ring):
    """A length with a symmetry of twelve, claimed to be a circle."""

    def pdf(self, points):
        w, b = points[..., 0], points[..., 1]
        size = 1 + 0.05 * np.cos(12 * np.arctan2(b, w))
        return np.exp(-(w**2 + b**2) / size**2) / (np.pi * (1 + 0.05**2 / 2))

    def rvs(self, size, random_state):
        return random_state.normal(0, np.sqrt(0.5), (size, 2))

    def radius(self, points):
        return np.hypot(points[..., 0], points[..., 1])


class WideTail(Star):
    """Round up to where a part of 1e-8 is, in one direction ten times as long: E[W^2] is that of no round law by 1e-6."""

    def pdf(self, points):
        w, b = points[..., 0], points[..., 1]
        return ((1 - 1e-8) * np.exp(-(w**2) - b**2) + 1e-9 * np.exp(-((w / 10) ** 2) - b**2)) / np.pi


class OnlySaidAtPowersOfThree(Star):
    """Claims a length that grows in proportion where the logarithm of a factor is whole."""

    def pdf(self, points):
        return np.exp(-(points[..., 0] ** 2) - points[..., 1] ** 2) / np.pi

    def radius(self, points):
        r = np.hypot(points[..., 0], points[..., 1])
        return r * (1 + 0.1 * np.sin(2 * np.pi * np.log(r) / np.log(3)))


def test_a_law_that_is_no_scale_family_is_refused():
    for law in (Star(), WideTail()):
        with pytest.raises(sb.DataError, match="one function of its `radius` times a number"):
            sb.Initialization.joint(law)
    with pytest.raises(sb.DataError, match="grow in proportion to"):
        sb.Initialization.joint(OnlySaidAtPowersOfThree())
    with pytest.raises(sb.DataError, match="one function of its `radius` times a number"):
        sb.Initialization.joint(TooLong())
    with pytest.raises(sb.DataError, match="grow in proportion to"):
        sb.Initialization.joint(Squared())
