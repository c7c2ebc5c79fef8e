"""The law of samples: zeta is its formula, integrates to E[W^2], and limits tend to those of the law samples come from."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
import scipy.stats as st
from marks import nightly
from scipy.integrate import quad

import splinebias as sb
from tests.problems import SET_A, random_data

DATA = random_data(5)
X = np.linspace(-1.5, 1.5, 201)


def gaussian(n, seed=0, **options):
    """Samples of independent normal weights and biases."""
    w, b = np.random.default_rng(seed).standard_normal((2, n))
    return sb.Initialization.from_samples(w, 2 * b, **options)


def uniform(n, seed=0, **options):
    """Weights of +1 or -1, biases on an interval: breakpoints have gaps beyond it."""
    rng = np.random.default_rng(seed)
    return sb.Initialization.from_samples(rng.choice([-1.0, 1.0], n), rng.uniform(-2, 2, n), **options)


def shifted(n, seed=0, **options):
    """Weights that are all positive, biases that depend on them."""
    rng = np.random.default_rng(seed)
    w = rng.uniform(1, 2, n)
    return sb.Initialization.from_samples(w, w * rng.normal(0.3, 0.1, n), **options)


MAKERS = [gaussian, uniform, shifted]


@pytest.mark.parametrize("make", MAKERS)
def test_zeta_is_the_double_sum_over_angles_and_samples(make):
    init = make(300, bandwidth=0.2)
    law = init.pair_law
    angle, step = np.arctan2(law.b / law.scale, law.w), law.bandwidth
    nodes = np.arange(law.count) * step

    def hat(one, other):
        away = np.abs((one - other + np.pi) % (2 * np.pi) - np.pi)
        return np.maximum(1 - away / step, 0)

    c = np.r_[np.linspace(-4, 4, 41), -300.0, 1e5]
    for zeta, sign in ((init.zeta_plus, 1), (init.zeta_minus, -1)):
        at = np.arctan2(-sign * c / law.scale, sign)
        share = hat(at[:, None], nodes) @ hat(nodes[:, None], angle)  # of every sample
        squares = law.w**2 + (law.b / law.scale) ** 2
        expected = np.cos(at) ** 4 / (law.scale * step) * (share @ squares) / law.w.size
        np.testing.assert_allclose(zeta(c), expected, rtol=1e-11, atol=1e-14 * expected.max())


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("n", [20, 3000])
def test_zeta_integrates_to_the_second_moments(make, n):
    init = make(n)
    law = init.breakpoint_law
    for k, moment in zip((0, 2), init.second_moments, strict=True):  # c^2 v^2 = b^2
        cuts = np.unique(np.r_[-np.inf, np.clip(law.knots, -1e3, 1e3)[:: max(1, law.knots.size // 40)], np.inf])
        parts = [quad(lambda c, k=k: float(init.zeta(c) * c**k), a, b, limit=200)[0] for a, b in pairwise(cuts)]
        assert sum(parts) == pytest.approx(moment, rel=1e-6)


@pytest.mark.parametrize("make", MAKERS)
def test_second_moments_are_those_of_the_samples_for_narrow_bandwidths(make):
    init = make(500, bandwidth=1e-3)
    law = init.pair_law
    np.testing.assert_allclose(init.second_moments, [(law.w**2).mean(), (law.b**2).mean()], rtol=1e-4)


@pytest.mark.parametrize("make", MAKERS)
def test_slices_make_zeta_of_every_degree(make):
    law, c = make(20_000).breakpoint_law, np.linspace(-3, 3, 31)  # more samples at an angle than sizes are kept
    for side in law.sides:
        v, rho = side.slices(c)
        for degree in (0, 1, 2):
            np.testing.assert_allclose((rho * v ** (2 * degree)).sum(axis=-1), side.zeta(c, degree), rtol=1e-12, atol=1e-300)


def mean_error(make, law, potential, n, seeds, **options):
    """The mean over sets of n samples of the largest distance of their limit from that of the law."""
    truth, *found = (
        sb.predict(sb.Problem(SET_A, init, sb.Abs(), potential)).function(X)
        for init in [law, *(make(n, seed, **options) for seed in seeds)]
    )
    return np.mean([np.abs(values - truth).max() for values in found]) / np.abs(truth).max()


U4 = sb.Scaled(sb.Power(4, quadratic=1))


@pytest.mark.parametrize(("potential", "sets"), [(sb.Quadratic(), 16), nightly(U4, 4)], ids=["u2", "u4"])
def test_limits_tend_to_that_of_the_gaussian_law_at_rate_one_half(potential, sets):
    """Sixteen times the samples, a quarter of the error: a bandwidth that is kept does not change this law."""
    law = sb.Initialization.gaussian(1, 2)
    few, many = (mean_error(gaussian, law, potential, n, range(sets), bandwidth=0.1) for n in (500, 8000))
    assert 4 / 1.6 < few / many < 4 * 1.6


def test_bandwidths_follow_the_samples():
    """Edges of a law are smeared less and less: without a bandwidth of one's own the limit is that of the law in the end."""
    law = sb.Initialization.rademacher(st.uniform(-2, 4))
    few, many = (mean_error(uniform, law, sb.Quadratic(), n, range(4)) for n in (300, 30_000))
    assert few / many > 3
    assert many < 0.02


def test_ten_thousand_samples_with_another_potential():
    assert sb.predict(sb.Problem(SET_A, gaussian(10_000), sb.ReLU(), U4)).outcome is sb.Outcome.CONVERGED


@pytest.mark.parametrize("make", MAKERS[:2])
def test_solvers_are_twins(make):
    problem = sb.Problem(DATA, make(1000), sb.ReLU(), affine="free")
    banded, dense = (sb.predict(problem, solver).function for solver in (sb.BandedSolver(), sb.KernelSolver()))
    np.testing.assert_allclose(banded(X), dense(X), atol=1e-9 * np.abs(banded(X)).max())


def test_networks_get_the_samples_themselves():
    w, b = np.random.default_rng(1).standard_normal((2, 50))
    init, rng = sb.Initialization.from_samples(w, b), np.random.default_rng(0)
    np.testing.assert_array_equal(init.sample(50, rng)[:2], (w, b))
    few, many = set(zip(*init.sample(20, rng)[:2], strict=True)), set(zip(*init.sample(500, rng)[:2], strict=True))
    assert len(few) == 20 and few | many <= set(zip(w, b, strict=True))
    paired = sb.Initialization.from_samples(w, b, st.norm(0, 1)).sample(100, rng)
    np.testing.assert_array_equal(paired[0], np.repeat(w, 2))


def test_text_and_pickle_keep_the_law():
    init = gaussian(40, output=st.norm(0, 1))
    problem = sb.Problem(SET_A, init)
    for copy in (sb.Problem.from_toml(problem.to_toml()), pickle.loads(pickle.dumps(problem))):
        assert copy.initialization == init
        np.testing.assert_array_equal(copy.initialization.zeta(X), init.zeta(X))
        assert str(copy.initialization) == str(init)


def test_samples_take_part_in_mixtures():
    parts = [gaussian(100), sb.Initialization.unit_circle()]
    mixture = sb.Initialization.mixture([0.25, 0.75], parts)
    np.testing.assert_allclose(mixture.zeta(X), 0.25 * parts[0].zeta(X) + 0.75 * parts[1].zeta(X), rtol=1e-13)
    assert sb.Initialization.from_table(mixture.to_table()) == mixture


@pytest.mark.parametrize("scale", [1e-100, 1e100])
def test_units_do_not_matter(scale):
    init = gaussian(200)
    other = sb.Initialization.from_samples(init.pair_law.w * scale, init.pair_law.b * scale)
    np.testing.assert_allclose(other.zeta(X), init.zeta(X) * scale**2, rtol=1e-12)


@pytest.mark.parametrize(
    ("w", "b", "options", "message"),
    [
        (np.ones(9), np.ones(9), {}, "`w` and `b` must be as many, 10 at least, got 9 and 9"),
        (np.ones(20), np.ones(19), {}, "`w` and `b` must be as many"),
        (np.r_[0.0, np.ones(19)], np.ones(20), {}, "`w` must have no 0, got 1 of 20"),
        (np.ones(20), np.full(20, np.nan), {}, "`b` must be finite, got nan at index 0; leave such samples out"),
        (np.ones(20), np.zeros(20), {}, "`b / w` must be finite and not all 0"),
        (np.full(20, 1e200), np.ones(20), {}, "and so must squares; scale the samples"),
        (np.ones(200), np.ones(200), {}, "must have many distinct breakpoints .*, got 1 of 200; .*bandwidth=0.1"),
        (np.ones(20), np.arange(20.0), {"bandwidth": 3}, "`bandwidth` must be an angle from 1e-06 to pi/8, got 3"),
        (np.ones(20), np.arange(20.0), {"bandwidth": 0}, "`bandwidth` must be a finite real number > 0"),
    ],
)
def test_refusals(w, b, options, message):
    with pytest.raises(sb.DataError, match=message):
        sb.Initialization.from_samples(w, b, **options)
