"""Laws of weights and biases: discrete ones draw what they say, scipy.stats ones are read as they are, bad ones refused."""

import math
import pickle
import time

import numpy as np
import pytest
from marks import nightly
from scipy import stats

import splinebias as sb
from splinebias.initialization.densities.formulas import density_of
from splinebias.initialization.laws import Continuous, as_law, describe_law
from splinebias.initialization.tables.law_tables import law_from_table, law_to_table


def test_rademacher_and_constant_are_discrete_laws():
    assert sb.Rademacher().second_moment == 1
    assert sb.Constant(-3.0).second_moment == 9
    assert (sb.Constant(2).values, sb.Constant(2).probabilities) == ((2.0,), (1.0,))


def test_probabilities_are_normalized_exactly():
    assert math.fsum(sb.Discrete((1, 2, 3), (1 / 3, 1 / 3, 1 / 3 + 1e-12)).probabilities) == pytest.approx(1, abs=2e-16)


def test_discrete_draws_have_the_stated_frequencies():
    law = sb.Discrete((-2.0, 0.5, 3.0), (0.2, 0.3, 0.5))
    draws = law.sample(4000, np.random.default_rng(0))
    counts = [np.count_nonzero(draws == v) for v in law.values]
    assert sum(counts) == draws.size
    assert stats.chisquare(counts, 4000 * np.array(law.probabilities)).pvalue > 1e-3


@pytest.mark.parametrize("law", [stats.norm(1, 2), stats.uniform(-1, 2), stats.laplace(0.3), stats.t(4), stats.gamma(2)])
def test_scipy_laws_are_read_as_they_are(law):
    read = as_law(law, "weight")
    assert isinstance(read, Continuous)
    assert read.second_moment == pytest.approx(law.var() + law.mean() ** 2, rel=1e-12)
    assert read.support == law.support()
    x = np.linspace(-3, 3, 31)
    np.testing.assert_allclose(read.pdf(x), law.pdf(x), rtol=1e-13)
    assert stats.kstest(read.sample(1000, np.random.default_rng(0)), law.cdf).pvalue > 1e-3


def test_new_style_scipy_laws_are_taken():
    law = as_law(2 * stats.Normal() + 1, "bias")
    assert isinstance(law, Continuous)
    assert law.second_moment == pytest.approx(5)
    assert stats.kstest(law.sample(1000, np.random.default_rng(0)), stats.norm(1, 2).cdf).pvalue > 1e-3


def test_finite_scipy_laws_become_atoms():
    law = as_law(stats.binom(3, 0.5), "weight")
    assert law == sb.Discrete((0.0, 1.0, 2.0, 3.0), law.probabilities)
    np.testing.assert_allclose(law.probabilities, [1 / 8, 3 / 8, 3 / 8, 1 / 8], rtol=1e-14)


def test_the_same_seed_draws_the_same_bits():
    for law in (stats.norm(0, 1), sb.Rademacher(), stats.uniform(-1, 2)):
        first, second = (as_law(law, "weight").sample(50, np.random.default_rng(7)) for _ in range(2))
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("law", "knots"),
    [
        (stats.uniform(-1, 3), (-1, 2)),
        (stats.laplace(1, 2), (1,)),
        (stats.triang(0.25, 0, 4), (0, 1, 4)),
        (stats.norm(), ()),
    ],
)
def test_points_where_the_density_is_not_smooth_are_known(law, knots):
    assert as_law(law, "bias").knots == pytest.approx(knots)


@pytest.mark.parametrize(
    "law",
    [
        sb.Rademacher(),
        sb.Constant(-0.1),
        sb.Discrete((1.0, 2.5), (0.25, 0.75)),
        stats.uniform(-1, 2),
        stats.norm(loc=0.1, scale=2),
        stats.t(5, scale=3),
    ],
    ids=describe_law,
)
def test_tables_give_the_same_law_back(law):
    table = law_to_table(law)
    again = law_from_table(table, "weight")
    assert law_to_table(again) == table
    draws = [as_law(each, "weight").sample(5, np.random.default_rng(0)) for each in (law, again)]
    np.testing.assert_array_equal(*draws)


def test_laws_describe_themselves():
    assert describe_law(stats.uniform(-1, 2)) == "uniform(-1, 2)"
    assert describe_law(stats.norm(0, scale=0.5)) == "norm(0, scale=0.5)"
    assert describe_law(sb.Constant(2)) == "Constant(2)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sb.Discrete((), ()), "`values` must be distinct and as many as `probabilities`"),
        (lambda: sb.Discrete((1, 1), (0.5, 0.5)), "`values` must be distinct"),
        (lambda: sb.Discrete((1, 2), (1.0,)), "got 2 and 1"),
        (lambda: sb.Discrete((1, 2), (0.5, 0.4)), "`probabilities` must be positive with sum 1, got sum 0.9"),
        (lambda: sb.Discrete((1, 2), (1.5, -0.5)), "`probabilities` must be positive"),
        (lambda: sb.Discrete((1, math.nan), (0.5, 0.5)), "`values` must be finite"),
        (lambda: sb.Constant(math.inf), "`value` must be a finite real number"),
        (lambda: sb.Constant("1"), "`value` must be a finite real number, got '1'"),
        (lambda: as_law(0.5, "weight"), r"`weight` must be a law such as scipy.stats.norm\(0, 1\).* got 0.5"),
        (lambda: as_law(stats.norm, "bias"), "`bias` must be a frozen law.* call it"),
        (lambda: as_law(stats.cauchy(), "weight"), "`weight` must have a finite second moment.*cauchy"),
        (lambda: as_law(stats.t(2), "bias"), "`bias` must have a finite second moment, got E = inf for t"),
        (lambda: as_law(stats.norm(0, -1), "bias"), r"`bias` must be a law with valid parameters, got norm\(0, -1\)"),
        (lambda: as_law(stats.gamma(-2), "bias"), r"`bias` must be a law with valid parameters, got gamma\(-2\)"),
        (lambda: as_law(stats.norm([0, 1], 1), "weight"), r"`weight` must be the law of one number, .* norm\(\[0, 1\], 1\)"),
        (lambda: as_law(stats.multivariate_normal([0, 0]), "bias"), "`bias` must be a law such as"),
        (lambda: as_law(stats.gaussian_kde(np.eye(3)[:2]), "bias"), "`bias` must be a frozen law"),
        (
            lambda: law_from_table({"name": "nrom"}, "weight"),
            "`weight.name` must be a scipy.stats law.* got 'nrom'; did you mean 'norm'",
        ),
        (lambda: law_from_table({"name": "Rademacher"}, "weight"), "did you mean 'rademacher'"),
        (
            lambda: law_from_table({"name": "uniform", "low": -1}, "bias"),
            "`bias` has parameters that uniform does not take: low; it takes loc, scale",
        ),
        (lambda: law_from_table({"name": "t"}, "bias"), "`bias` needs the parameter df of t"),
        (lambda: law_from_table({"name": "norm", "args": [0, 1, 2]}, "bias"), "`bias.args` must be a list of at most 2"),
        (lambda: law_from_table({"name": "norm", "args": 3}, "bias"), "`bias.args` must be a list"),
        (lambda: law_from_table({"name": "norm", "args": [0.0], "loc": 1.0}, "bias"), "`bias` gives loc twice"),
        (lambda: law_from_table({"name": "norm", "args": [True]}, "bias"), "`bias.args` must be a finite real number"),
        (lambda: law_from_table({"name": "constant", "v": 1.0}, "bias"), "constant does not take: v; it takes value"),
        (lambda: law_from_table({"name": "rademacher", "p": 0.5}, "bias"), "rademacher does not take: p; it takes none"),
        (lambda: law_from_table({"name": "constant"}, "bias"), "`bias` needs the parameter value of constant"),
        (lambda: law_from_table({"name": "norm", "sd": 1.0}, "weight"), "`weight` has parameters that norm does not take"),
        (lambda: law_from_table({"name": "linregress"}, "weight"), "`weight.name` must be a scipy.stats law"),
        (lambda: law_from_table("norm", "bias"), "`bias` must be a table with a `name`"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(sb.DataError, match=message):
        make()


def test_laws_beyond_reach_name_what_can_be_used():
    with pytest.raises(sb.CapabilityError, match="`weight` may have at most 1000 values, got poisson.*use sb.Discrete"):
        as_law(stats.poisson(3), "weight")
    with pytest.raises(sb.CapabilityError, match="use a continuous law"):
        as_law(stats.randint(0, 5000), "weight")

    class Home:
        def pdf(self, x):
            return x

    with pytest.raises(sb.CapabilityError, match="only sb.* and frozen scipy.stats laws can be written to TOML"):
        law_to_table(Home())


@pytest.mark.parametrize("table", [{"name": "norm", "scale": "a"}, {"name": "norm", "scale": [1.0, 2.0]}])
def test_parameters_that_are_no_numbers_are_refused(table):
    with pytest.raises(sb.DataError, match="`bias.scale` must be a finite real number, got"):
        law_from_table(table, "bias")


class RaisedCosine:
    """A law of the user's own: everything that is needed of one."""

    def pdf(self, x):
        return np.where(np.abs(x) <= np.pi, (1 + np.cos(x)) / (2 * np.pi), 0.0)

    def support(self):
        return -np.pi, np.pi

    def mean(self):
        return 0.0

    def var(self):
        return np.pi**2 / 3 - 2

    def ppf(self, q):
        return stats.cosine.ppf(q)

    def rvs(self, size, random_state):
        return self.ppf(random_state.random(size))


@pytest.mark.parametrize("weight", [sb.Rademacher(), stats.norm()], ids=["discrete", "continuous"])
def test_laws_of_the_users_own_are_read_like_those_of_scipy(weight):
    own, scipys = (sb.Initialization(weight, law) for law in (RaisedCosine(), stats.cosine()))
    c = np.linspace(-4, 4, 17)
    np.testing.assert_allclose(own.zeta(c), scipys.zeta(c), rtol=1e-12, atol=1e-15)
    assert own.second_moments == pytest.approx(scipys.second_moments)
    assert stats.kstest(own.sample(1000, np.random.default_rng(0))[1], stats.cosine.cdf).pvalue > 1e-3
    data = sb.Dataset([-1, 0, 1], [0, 1, 0])
    of_own, of_scipys = (sb.predict(sb.Problem(data, init)).function for init in (own, scipys))
    np.testing.assert_allclose(of_own(c), of_scipys(c), rtol=0, atol=1e-11)


def test_a_law_that_lacks_a_method_is_told_which():
    class Mute(RaisedCosine):
        rvs = property()

    with pytest.raises(sb.DataError, match="`bias` must be a law such as .* which lacks rvs"):
        as_law(Mute(), "bias")


def test_laws_without_parameters_need_no_freezing():
    edges = np.array([-1.0, 0.0, 1.0])
    histogram, table = stats.rv_histogram((np.array([1, 3]), edges)), stats.rv_discrete(values=([1, 2], [0.25, 0.75]))
    for law in (histogram, histogram()):
        assert as_law(law, "bias").knots == (-1, 0, 1)
        assert as_law(law, "bias").degree == 0
    for law in (table, table()):
        assert as_law(law, "weight") == sb.Discrete((1.0, 2.0), (0.25, 0.75))


def test_histograms_are_told_apart():
    """scipy gives every histogram the same name: they must not be taken for equal, nor written to TOML."""
    edges = np.array([-1.0, 0.0, 1.0])
    one, other = (sb.Initialization.rademacher(stats.rv_histogram((np.array(h), edges))()) for h in ([1, 1], [1, 3]))
    assert one != other
    with pytest.raises(sb.CapabilityError, match="can be written to TOML"):
        one.to_table()


class Tabled(stats.rv_continuous):
    """A density that is searched for again at every value."""

    def _pdf(self, x):
        time.sleep(0.02)
        return stats.norm.pdf(x)

    def _cdf(self, x):
        return stats.norm.cdf(x)

    def _ppf(self, q):
        return stats.norm.ppf(q)

    def _stats(self):
        return 0.0, 1.0, 0.0, 0.0


@pytest.mark.parametrize(
    "law",
    [
        pytest.param(stats.gaussian_kde([0.1, 0.5, 1.0]), id="gaussian_kde"),
        pytest.param(Tabled(name="tabled")(), id="own"),
        nightly(stats.ksone(1000), id="ksone"),
        nightly(stats.studentized_range(3, 10), id="studentized_range"),
    ],
)
def test_laws_with_which_limits_take_minutes_are_refused_at_once_and_name_the_way_out(law):
    """Networks can be drawn from them; a limit of such draws is that of `from_samples`."""
    init = sb.Initialization(stats.norm(0, 1), law)
    w, b, _ = init.sample(20, np.random.default_rng(0))
    with pytest.raises(sb.CapabilityError, match=r"quick to evaluate, got .*; draw w and b once, and use .*from_samples"):
        sb.predict(sb.Problem(sb.Dataset([-1, 0, 1], [0, 1, 0]), init))
    assert sb.predict(sb.Problem(sb.Dataset([-1, 0, 1], [0, 1, 0]), sb.Initialization.from_samples(w, b))).outcome.ok


def test_kernel_densities_beside_discrete_weights_are_taken():
    init = sb.Initialization.rademacher(stats.gaussian_kde(np.linspace(-2, 2, 50)))
    assert sb.predict(sb.Problem(sb.Dataset([-1, 0, 1], [0, 1, 0]), init)).outcome.ok


class Waves(stats.rv_continuous):
    """A density and nothing else, with moments that are known: E[V] = 3 exp(-9/2)/2, E[V^2] = 1."""

    def _pdf(self, x):
        return np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi) * (1 + np.sin(3 * x) / 2)


class Parabola(stats.rv_continuous):
    """P(V < x) = (2 + 3x - x^3)/4 on [-1, 1]."""

    def _pdf(self, x):
        return 0.75 * (1 - x**2)


class Root(stats.rv_continuous):
    """A density that is infinite at the end of its support, which a table does not resolve."""

    def _pdf(self, x):
        return 0.5 / np.sqrt(1 - x)


def test_laws_that_are_densities_only_are_exact():
    waves = as_law(Waves()(loc=2, scale=0.5), "bias")
    mean = 1.5 * math.exp(-4.5)
    assert waves.second_moment == pytest.approx(2**2 + 2 * mean + 0.25, rel=1e-12)
    parabola = as_law(Parabola(a=-1, b=1)(), "bias")
    marks = np.array(parabola.landmarks)
    levels = np.array([1e-9, 1e-5, 1e-2, 0.15, 0.5, 0.85, 0.99, 1 - 1e-5, 1 - 1e-9])
    np.testing.assert_allclose((2 + 3 * marks - marks**3) / 4, levels, rtol=1e-9, atol=1e-15)
    assert (parabola.second_moment, parabola.support) == (pytest.approx(0.2, rel=1e-13), (-1, 1))


def test_laws_that_are_densities_only_are_drawn_as_scipy_draws_them():
    law = Parabola(a=-1, b=1)()
    expected = law.rvs(size=5, random_state=np.random.default_rng(3))
    np.testing.assert_allclose(as_law(law, "weight").sample(5, np.random.default_rng(3)), expected, rtol=0, atol=1e-8)
    draws = as_law(Waves()(), "weight").sample(4000, np.random.default_rng(0))
    assert stats.kstest(draws, lambda x: as_law(Waves()(), "weight").frozen.cdf(x)).pvalue > 1e-3


def test_a_density_that_a_table_does_not_resolve_is_left_to_scipy():
    law = Root(a=0, b=1)()
    assert as_law(law, "bias").frozen is law
    assert type(as_law(Waves()(), "bias").frozen) is not type(law)


class Double(stats.rv_continuous):
    """Integrates to 2."""

    def _pdf(self, x):
        return 2 * np.exp(-x)


def test_a_density_that_does_not_integrate_to_one_is_refused():
    with pytest.raises(sb.DataError, match="the density of .* must integrate to 1, got 2; divide it by that"):
        sb.Initialization.rademacher(Double(a=0)())


def test_laws_whose_quantiles_scipy_does_not_find_are_taken_from_their_density():
    """The distribution function of norminvgauss, an integral, ends at 1 - 2e-9 in doubles: no search gets to 1 - 1e-9."""
    frozen = stats.norminvgauss(1.0804221297915955, -0.2262668777185347, -0.2, 1.9)
    with pytest.raises(ValueError, match="NaN"):
        frozen.ppf(1 - 1e-9)
    law = as_law(frozen, "bias")
    assert law.second_moment == pytest.approx(frozen.var() + frozen.mean() ** 2, rel=1e-10)
    assert frozen.cdf(law.landmarks[1:-1]) == pytest.approx([1e-5, 1e-2, 0.15, 0.5, 0.85, 0.99, 1 - 1e-5], rel=1e-8)
    problem = sb.Problem(sb.Dataset([-1, 0, 1], [0, 1, 0]), sb.Initialization.rademacher(frozen))
    assert sb.predict(problem).outcome is sb.Outcome.CONVERGED
    assert sb.Problem.from_toml(problem.to_toml()) == problem


def test_formulas_without_scipys_machinery_say_what_scipy_says():
    """At the ends, far outside and where a formula makes no sense as well; whoever wants arrays keeps scipy's way."""
    shapes = {
        "alpha": (2,), "argus": (1.5,), "beta": (0.6, 3), "betaprime": (5, 6), "burr": (3, 2), "chi": (3,), "chi2": (3,),
        "dgamma": (1.5,), "dweibull": (1.7,), "erlang": (2,), "exponnorm": (1.5,), "exponpow": (2,), "f": (5, 7),
        "foldnorm": (1,), "gamma": (0.7,), "gengamma": (2, 1.5), "genextreme": (0.1,), "genlogistic": (0.5,),
        "gennorm": (1.3,), "genpareto": (0.1,), "gompertz": (1,), "invgauss": (1,), "johnsonsb": (1, 2),
        "johnsonsu": (1, 2), "kappa4": (0.1, 0.2), "loggamma": (2,), "lognorm": (0.5,), "loguniform": (0.1, 2),
        "nakagami": (2,), "ncx2": (3, 1), "norminvgauss": (1, 0.5), "pareto": (6,), "pearson3": (0.5,), "powerlaw": (0.7,),
        "rdist": (3,), "rice": (1,), "skewnorm": (3,), "t": (5,), "trapezoid": (0.2, 0.8), "triang": (0.3,),
        "truncexpon": (3,), "truncnorm": (-1, 2), "vonmises_line": (2,), "weibull_max": (1.5,), "weibull_min": (0.8,),
        "wrapcauchy": (0.3,),
    }  # fmt: skip
    without = "anglit arcsine bradford cosine expon gumbel_l gumbel_r halfnorm hypsecant laplace logistic moyal rayleigh"
    shapes |= dict.fromkeys(f"{without} norm semicircular uniform".split(), ()) | {"bradford": (1.5,)}
    for name, arguments in shapes.items():
        frozen = getattr(stats, name)(*arguments, loc=-0.4, scale=1.7)
        ends = [end for end in frozen.support() if np.isfinite(end)]
        x = np.r_[np.linspace(-2, 5, 29), ends, np.add(ends, 1e-9), -1e3, 1e5]
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(density_of(frozen)(x), frozen.pdf(x), rtol=1e-13, atol=1e-300, err_msg=name)
        assert pickle.loads(pickle.dumps(density_of(frozen)))(np.array([0.7])) == pytest.approx(frozen.pdf(0.7), rel=1e-13)
