"""Rules for |w| at a breakpoint: Gauss rules on panels away from zero, and the rule of normal beside Laplace laws."""

import numpy as np
import pytest
import scipy.stats as st
from problems import SET_A
from scipy.integrate import quad

import splinebias as sb
from splinebias.initialization.continuous_breakpoints import ContinuousWeight, NormalBesideLaplace
from splinebias.initialization.laws import as_law
from splinebias.initialization.weight_quadrature import WeightRule
from splinebias.limit.dual.objective import IntegratedDual
from splinebias.limit.dual.responses.moments import MomentTable, moment
from splinebias.limit.posed_problem import PosedProblem

CASES = {
    "normal weight": (st.norm(0, 1), st.laplace(0, 0.8)),
    "normal weight off zero": (st.norm(1.0, 0.7), st.laplace(0, 0.8)),
    "laplace weight": (st.laplace(0, 0.6), st.norm(0, 1.3)),
    "laplace weight, bias off zero": (st.laplace(0, 0.6), st.norm(1.0, 1.3)),
}
PLACES = np.r_[-np.logspace(-5, 3, 9), 0.0, np.logspace(-5, 3, 9)]
HISTOGRAM = st.rv_histogram(np.histogram(np.random.default_rng(0).normal(size=500), bins=40))


def averages(law, side, of):
    v, rho = law.slices(PLACES, side)
    return np.where(rho > 0, rho * of(v), 0.0).sum(axis=-1)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("name", CASES)
def test_normal_beside_laplace_is_the_finest_rule_of_their_densities(name, side):
    laws = [as_law(law, "law") for law in CASES[name]]
    own, searched = NormalBesideLaplace(*laws).steep(np.inf), ContinuousWeight(*laws).finest()
    for of in (np.square, lambda v: v ** (4 / 3), lambda v: v * np.sinh(np.arcsinh(1e3 * v) / 3)):
        assert averages(own, side, of) == pytest.approx(averages(searched, side, of), rel=1e-11)
        assert averages(own.finest(), side, of) == pytest.approx(averages(searched, side, of), rel=1e-12)
    assert 3 * own.slices(PLACES, side)[0].shape[-1] < searched.slices(PLACES, side)[0].shape[-1]


@pytest.mark.parametrize("c", [0.0, 1e-3, 0.3, 5.0])
def test_normal_beside_laplace_takes_exponentials(c):
    law = NormalBesideLaplace(*(as_law(of, "law") for of in CASES["laplace weight"])).steep(np.inf)
    v, rho = law.slices(np.array([c]), 1)
    bias = st.norm(0, 1.3)

    def integrand(u):
        return u * (np.exp(-u / 0.6 + u) - np.exp(-u / 0.6 - u)) / 2 / 1.2 * bias.pdf(u * c)

    exact = quad(integrand, 0, 90, epsrel=1e-13, limit=200)[0]
    found = (rho * np.sinh(np.minimum(v, 600.0)))[rho > 0].sum()
    assert found == pytest.approx(exact, rel=1e-11)
    faint = law.log_masses(np.array([c]), 1)
    assert np.exp(faint[rho > 1e-250]) == pytest.approx(rho[rho > 1e-250], rel=1e-10)


def test_laws_get_that_rule_if_they_are_of_that_kind():
    def rule(*laws):
        return type(sb.Initialization(*laws).breakpoint_law)

    assert rule(st.norm(), st.laplace()) is NormalBesideLaplace
    assert rule(st.laplace(), st.norm(1, 2)) is NormalBesideLaplace
    assert rule(st.norm(), st.laplace(0.1)) is ContinuousWeight
    assert rule(st.norm(), st.t(5)) is ContinuousWeight


def test_a_histogram_of_weights_takes_gauss_rules_where_nothing_is_singular():
    law = sb.Initialization(HISTOGRAM, st.norm()).breakpoint_law
    rule = law._rule
    assert rule.nodes > 0
    plain = WeightRule(law, rule.cuts, rule.step)
    assert 2 * rule.size(PLACES) < plain.size(PLACES)
    for side in (1, -1):
        for of in (np.square, lambda v: v ** (4 / 3)):
            exact = averages(WeightRule(law, law.cuts[-1], 0.04), side, of)
            assert averages(rule, side, of) == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize("order", [3.0, np.inf])
def test_densities_that_are_infinite_at_their_ends_get_a_rule_of_few_nodes(order):
    """What lies in the sliver next to such an end is known to few digits: no reason to take the finest rule everywhere."""
    low, wide = -0.54, 0.21
    weight, bias = as_law(st.beta(2, 2, 0.2, 1), "weight"), as_law(st.arcsine(low, wide), "bias")
    law = ContinuousWeight(weight, bias).steep(order)
    assert law._rule.step > 0.05

    def exact(c):
        """By the angle theta of b = middle + half sin(theta), of which the law is uniform."""
        ends = [(-v * c - low - wide / 2) / (wide / 2) for v in (0.2, 1.2)]
        left, right = (np.arcsin(np.clip(end, -1, 1)) for end in sorted(ends))

        def density(theta):
            b = low + wide / 2 * (1 + np.sin(theta))
            return weight.pdf(-b / c) * np.abs(b) ** 3 / c**4 / np.pi

        return quad(density, left, right, epsabs=0, epsrel=1e-12, limit=200)[0]

    places = np.array([0.3, 0.5, 0.9, 2.0])
    assert law.zeta(places, 1) == pytest.approx([exact(c) for c in places], rel=1e-9)


def test_rough_rules_have_few_nodes_and_some_digits():
    weights = {"uniform": st.uniform(-1.5, 0.8), "normal": st.norm(0.3), "laplace": st.laplace(0.3)}
    for weight in weights.values():
        for order in (3.0, 6.0, np.inf):
            law = ContinuousWeight(as_law(weight, "weight"), as_law(st.beta(0.6, 3, -0.4, 1.3), "bias")).steep(order)
            rough, places = law.rough(), PLACES[np.abs(PLACES) < 50]
            assert rough.slices(places, -1)[0].shape[-1] < 0.8 * law.slices(places, -1)[0].shape[-1]
            zeta = law.zeta(places, -1)
            assert rough.zeta(places, -1) == pytest.approx(zeta, rel=1e-3, abs=1e-4 * zeta.max())


@pytest.mark.nightly
def test_steep_problems_of_a_normal_and_a_laplace_law_end():
    """They took minutes: every breakpoint had 567 sizes."""
    law = sb.Initialization(st.norm(), st.laplace())
    found = sb.predict(sb.Problem(SET_A, law, sb.ReLU(), sb.Scaled(sb.Hypentropy(1.0))))
    assert found.outcome is sb.Outcome.CONVERGED and found.residual < 1e-11


def tilted(nodes, rate):
    """Of v^2 e^(rate v) times the law, by logarithms."""
    v, log = nodes
    with np.errstate(divide="ignore"):
        return np.logaddexp.reduce(log + 2 * np.log(v) + rate[:, None] * v, axis=-1)


@pytest.mark.parametrize(("weight", "bias"), [(st.laplace(0.3), st.laplace(-0.2)), (st.gamma(2), st.laplace(0.5))])
def test_exponentials_that_nearly_outgrow_a_density_have_a_rule(weight, bias):
    laws = weight, bias
    law = ContinuousWeight(*(as_law(of, "law") for of in laws)).steep(np.inf)
    places = np.array([-30.0, -2.0, -0.1, 0.02, 0.7, 5.0])
    v, _ = law.slices(places, 1)
    finest = WeightRule(law, law.cuts[-1], 0.04).log_terms(places, 1)
    rate = 1 + np.abs(places)
    for slack in (1.0, 0.1, 1e-3):
        apart = tilted((v, law.log_masses(places, 1)), (1 - slack) * rate) - tilted(finest, (1 - slack) * rate)
        assert np.abs(apart).max() < 2e-10
    assert v.shape[-1] <= 600


@pytest.mark.parametrize("q", [1.5, 3.0, 51.0])
@pytest.mark.parametrize("weight", [st.norm(), st.uniform(-1, 2)])
def test_tables_of_moments_are_the_moments(weight, q):
    """Between data, at the singular ends of the law, in the tails and beyond the last cell."""
    law = sb.Initialization(weight, st.beta(0.6, 3, -0.84, 1.2))
    problem = sb.Problem(SET_A, law, sb.ReLU(), sb.Scaled(sb.Power(q / (q - 1))))
    posed = PosedProblem(problem)
    dual, _ = IntegratedDual.of(posed)
    edges = dual.grid.cells.edges
    inside = np.linspace(edges[:-1], edges[1:], 7, endpoint=False)
    for side in posed.sides:
        table = MomentTable(side, q, dual.grid.cells)
        found, exact = table(inside), moment(side, inside, q)
        assert (np.abs(found - exact) <= 1e-10 * exact.max(axis=0) + 1e-300).all()
        assert table._known.mean() > 0.5
        far = np.array([2 * edges[0] - 1, 2 * edges[-1] + 1])
        assert (table(far) == moment(side, far, q)).all()
