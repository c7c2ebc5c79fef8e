"""Initialization: curvature densities against their defining integrals, against moments, and against draws."""

import math
import pickle
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

import splinebias as sb
from splinebias.initialization.laws import Discrete, as_law
from splinebias.initialization.zeta_cells import integration_cells

INITIALIZATIONS = {
    "rademacher x uniform": sb.Initialization.rademacher(stats.uniform(-1, 2)),
    "rademacher x shifted normal": sb.Initialization.rademacher(stats.norm(0.5, 1.3)),
    "rademacher x laplace": sb.Initialization.rademacher(stats.laplace(0.2)),
    "discrete x normal": sb.Initialization(sb.Discrete((-2.0, 0.5, 3.0), (0.2, 0.3, 0.5)), stats.norm(0.3, 1)),
    "constant x uniform": sb.Initialization(sb.Constant(2.0), stats.uniform(-1, 3)),
    "gaussian": sb.Initialization.gaussian(),
    "gaussian, scaled": sb.Initialization.gaussian(s_w=0.7, s_b=1.9),
    "pytorch default": sb.Initialization.pytorch_default(),
    "uniform, scaled": sb.Initialization.uniform(w_max=0.5, b_max=2.0),
    "unit circle": sb.Initialization.unit_circle(),
    "constant bias x normal": sb.Initialization.constant_bias(1.5, stats.norm(0, 1)),
    "negative constant bias x uniform": sb.Initialization.constant_bias(-0.7, stats.uniform(-1, 2)),
    "constant bias x uniform away from 0": sb.Initialization.constant_bias(1.0, stats.uniform(0.5, 1)),
    "two biases x normal": sb.Initialization(stats.norm(0.5, 1), sb.Discrete((-1.0, 2.0), (0.25, 0.75))),
    "laplace x uniform": sb.Initialization(stats.laplace(), stats.uniform(-1, 2)),
    "shifted normal x normal": sb.Initialization(stats.norm(1, 1), stats.norm(-0.5, 0.8)),
    "uniform away from 0 x uniform": sb.Initialization(stats.uniform(0.5, 1), stats.uniform(-1, 2)),
    "student x student": sb.Initialization(stats.t(5), stats.t(3)),
    "singular gamma x normal": sb.Initialization(stats.gamma(0.5), stats.norm(0, 1)),
}
every_initialization = pytest.mark.parametrize("init", INITIALIZATIONS.values(), ids=INITIALIZATIONS)
C = np.array([-4.1, -0.6, -0.07, 0.03, 0.9, 5.2])


def quad(function, lo, hi, points=()):
    """Adaptive Gauss-Kronrod, cut at `points`: independent of the quadrature under test."""
    cuts = [lo, *sorted(p for p in set(points) if lo < p < hi), hi]
    return sum(integrate.quad(function, a, b, epsabs=1e-14, epsrel=1e-11, limit=400)[0] for a, b in pairwise(cuts))


def has_densities(init):
    laws = [as_law(law, "law") for law in (init.weight, init.bias) if law is not None]
    return len(laws) == 2 and not any(isinstance(law, Discrete) for law in laws)


def below_grid(function, grid, points):
    """Integrals of `function` over (-infinity, t) for every t in `grid`."""
    first = quad(lambda c: float(function(c)), -math.inf, grid[0], [*points, -30.0])
    return first + np.r_[0, np.cumsum([quad(lambda c: float(function(c)), *ends, points) for ends in pairwise(grid)])]


def expectation(law, function, points):
    """E[function(V)] for V of a weight law, from its atoms or its scipy density; `points`: where `function` has jumps."""
    law = as_law(law, "weight")
    if isinstance(law, Discrete):
        return sum(p * function(v) for v, p in zip(law.values, law.probabilities, strict=True))
    scale = math.sqrt(law.second_moment)
    cuts = [*law.knots, *points, -5 * scale, 0, 5 * scale]
    return quad(lambda v: function(v) * law.frozen.pdf(v), *law.support, cuts)


def weighted_mass(init, lo, hi, side, power):
    """E[|W|^power; lo < -B/W < hi, sign W = side], straight from the law of (W, B)."""
    if init == sb.Initialization.unit_circle():
        # c = -tan(angle) on the right half-circle, and the same by symmetry on the left one
        return quad(lambda angle: np.cos(angle) ** power, -np.arctan(hi), -np.arctan(lo)) / (2 * np.pi)
    bias = as_law(init.bias, "bias")

    def given(w):
        if w * side <= 0:
            return 0.0
        ends = sorted((-w * lo, -w * hi))
        if isinstance(bias, Discrete):
            inside = sum(p for v, p in zip(bias.values, bias.probabilities, strict=True) if ends[0] < v < ends[1])
        else:
            inside = bias.frozen.cdf(ends[1]) - bias.frozen.cdf(ends[0])
        return abs(w) ** power * inside

    ends_of_bias = bias.values if isinstance(bias, Discrete) else bias.knots
    return expectation(init.weight, given, [-b / c for b in ends_of_bias for c in (lo, hi)])


@every_initialization
@pytest.mark.parametrize("side", [1, -1], ids=["right", "left"])
def test_zeta_integrates_to_the_second_moment_of_the_weights_with_those_breakpoints(init, side):
    r"""\int_lo^hi zeta_s = E[W^2; lo < -B/W < hi, sign W = s]: theory section 2 for every law, discrete ones included."""
    zeta = init.zeta_plus if side > 0 else init.zeta_minus
    for lo, hi in pairwise(C):
        found = quad(lambda c: float(zeta(c)), lo, hi, init.breakpoint_law.knots)
        assert found == pytest.approx(weighted_mass(init, lo, hi, side, 2), rel=1e-9, abs=1e-12)


@every_initialization
def test_breakpoint_density_integrates_to_the_probability_of_those_breakpoints(init):
    for lo, hi in pairwise(C):
        found = quad(lambda c: float(init.breakpoint_density(c)), lo, hi, init.breakpoint_law.knots)
        expected = weighted_mass(init, lo, hi, 1, 0) + weighted_mass(init, lo, hi, -1, 0)
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def defining_integral(init, c, side):
    r""":math:`\int_{sw > 0} |w|^3 p_W(w) p_B(-wc)\, dw` for laws with densities."""
    weight, bias = as_law(init.weight, "weight"), as_law(init.bias, "bias")
    lo, hi = np.clip(np.sort(side * np.array(weight.support)), 0, None)
    cuts = [abs(w) for w in (*weight.knots, *weight.landmarks)] + [abs(b / c) for b in (*bias.knots, *bias.landmarks)]
    return quad(lambda v: v**3 * weight.frozen.pdf(side * v) * bias.frozen.pdf(-side * v * c), lo, hi, cuts)


@pytest.mark.parametrize("name", [name for name, init in INITIALIZATIONS.items() if has_densities(init)])
@pytest.mark.parametrize("side", [1, -1], ids=["right", "left"])
def test_zeta_is_its_defining_integral(name, side):
    init = INITIALIZATIONS[name]
    found = (init.zeta_plus if side > 0 else init.zeta_minus)(C)
    expected = [defining_integral(init, c, side) for c in C]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize(
    ("init", "closed_form"),
    [
        (
            sb.Initialization.rademacher(stats.norm(0.5, 1.3)),
            lambda c: (stats.norm(0.5, 1.3).pdf(-c) / 2, stats.norm(0.5, 1.3).pdf(c) / 2),
        ),
        (sb.Initialization.gaussian(0.7, 1.9), lambda c: 2 * (0.7**3 * 1.9**3 / (np.pi * (1.9**2 + (0.7 * c) ** 2) ** 2),)),
        (sb.Initialization.uniform(0.5, 2), lambda c: 2 * (np.minimum(0.5, 2 / np.abs(c)) ** 4 / 16,)),
        (sb.Initialization.pytorch_default(), lambda c: 2 * (np.minimum(1, 1 / np.abs(c)) ** 4 / 16,)),
        (sb.Initialization.unit_circle(), lambda c: 2 * (1 / (2 * np.pi * (1 + c**2) ** 2),)),
        (
            sb.Initialization.constant_bias(-0.7, stats.norm(1, 2)),
            lambda c: tuple(0.7**3 / c**4 * stats.norm(1, 2).pdf(0.7 / c) * (side * c > 0) for side in (1, -1)),
        ),
    ],
    ids=["rademacher", "gaussian", "uniform", "pytorch", "circle", "constant bias"],
)
def test_zeta_has_the_closed_forms_of_the_table(init, closed_form):
    """Theory section 2, row by row."""
    plus, minus = closed_form(C)
    np.testing.assert_allclose(init.zeta_plus(C), plus, rtol=1e-13)
    np.testing.assert_allclose(init.zeta_minus(C), minus, rtol=1e-13)


@every_initialization
def test_moments_of_zeta_are_those_of_weight_and_bias(init):
    r"""\int zeta = E[W^2] and \int zeta c^2 = E[B^2], heavy tails included."""
    cells = integration_cells(init.breakpoint_law, np.array([-1.0, 0.3, 2.0]))
    zeta = init.zeta(cells.nodes)
    second = init.second_moments
    assert (cells.weights * zeta).sum() == pytest.approx(second[0], rel=1e-9)
    assert (cells.weights * zeta * cells.nodes**2).sum() == pytest.approx(second[1], rel=1e-9)


@every_initialization
def test_slices_are_one_quadrature_for_density_and_zeta(init):
    """zeta = sum of rho v^2 and density = sum of rho: what the nonquadratic solvers integrate with."""
    law = init.breakpoint_law
    for side, zeta in ((1, init.zeta_plus), (-1, init.zeta_minus)):
        v, rho = law.slices(C, side)
        assert v.shape == rho.shape
        assert (v >= 0).all()
        assert (rho >= 0).all()
        np.testing.assert_allclose((rho * v**2).sum(axis=-1), zeta(C), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(law.density(C, 1) + law.density(C, -1), init.breakpoint_density(C), rtol=1e-15)


@every_initialization
def test_draws_have_the_breakpoint_density_and_zeta(init):
    """Empirical P(C <= t) and E[W^2; C <= t] on a grid of t, within the bounds of Kolmogorov and of five standard errors."""
    size = 4000
    w, b, a = init.sample(size, np.random.default_rng(11))
    np.testing.assert_array_equal(a, 0)
    c = -b / w
    grid = np.linspace(-3, 3, 13)
    below = c[:, None] <= grid
    mass, moment = (below_grid(f, grid, init.breakpoint_law.knots) for f in (init.breakpoint_density, init.zeta))
    assert np.abs(below.mean(axis=0) - mass).max() < stats.kstwo.ppf(0.999, size)
    drawn = (w**2)[:, None] * below
    assert (np.abs(drawn.mean(axis=0) - moment) <= 5 * drawn.std(axis=0) / math.sqrt(size) + 1e-9).all()


@every_initialization
def test_support_holds_all_breakpoints(init):
    w, b, _ = init.sample(2000, np.random.default_rng(3))
    lo, hi = init.breakpoint_law.support
    assert ((-b / w >= lo - 1e-12 * abs(lo)) & (-b / w <= hi + 1e-12 * abs(hi))).all()
    outside = np.array([end + step for end, step in ((lo, -0.5), (hi, 0.5)) if math.isfinite(end)])
    np.testing.assert_array_equal(init.zeta(outside), 0)
    np.testing.assert_array_equal(init.curvature_penalty(outside), math.inf)


def test_any_shape_is_taken():
    init = sb.Initialization.pytorch_default()
    for function in (init.zeta_plus, init.zeta_minus, init.zeta, init.curvature_penalty, init.breakpoint_density):
        assert function(0.5).shape == ()
        assert function(np.zeros((2, 3))).shape == (2, 3)
    np.testing.assert_allclose(init.curvature_penalty(C) * init.zeta(C), 1, rtol=1e-15)


def test_antisymmetric_pairs_cancel():
    init = sb.Initialization(stats.norm(), stats.norm(), output=stats.norm(0, 0.1))
    w, b, a = init.sample(40, np.random.default_rng(5))
    z = np.linspace(-2, 2, 9)[:, None] * w + b
    np.testing.assert_allclose(np.maximum(z, 0) @ a, 0, atol=1e-14)
    assert np.unique(w).size == np.unique(b).size == 20
    assert (a != 0).all()


def test_the_same_seed_draws_the_same_bits():
    for init in INITIALIZATIONS.values():
        first, second = (init.sample(8, np.random.default_rng(2)) for _ in range(2))
        np.testing.assert_array_equal(first, second)


@every_initialization
def test_tables_and_pickles_give_the_same_initialization_back(init):
    init.breakpoint_law  # noqa: B018  # cached: must not get in the way of pickling
    for again in (sb.Initialization.from_table(init.to_table()), pickle.loads(pickle.dumps(init))):
        assert again == init
        assert hash(again) == hash(init)
        np.testing.assert_array_equal(again.zeta(C), init.zeta(C))


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"preset": "pytorch_default"}, sb.Initialization.pytorch_default()),
        ({"preset": "gaussian", "s_w": 2.0}, sb.Initialization.gaussian(2.0)),
        ({"preset": "uniform", "b_max": 3.0}, sb.Initialization.uniform(1.0, 3.0)),
        ({"preset": "unit_circle"}, sb.Initialization.unit_circle()),
        ({"preset": "rademacher", "bias_law": {"name": "norm"}}, sb.Initialization.rademacher(stats.norm())),
        (
            {"preset": "constant_bias", "beta": 0.2, "weight_law": {"name": "norm"}},
            sb.Initialization.constant_bias(0.2, stats.norm()),
        ),
        ({"preset": "kaiming", "bias": {"name": "norm"}}, sb.Initialization.kaiming(stats.norm())),
        ({"preset": "xavier", "width": 100, "bias": {"name": "norm"}}, sb.Initialization.xavier(100, stats.norm())),
        ({"preset": "sphere", "bias_law": {"name": "norm"}, "dim": 2}, sb.Initialization.sphere(stats.norm(), dim=2)),
    ],
)
def test_presets_are_read_by_name(table, expected):
    assert sb.Initialization.from_table(table) == expected


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sb.Initialization(), "`weight` must be a law"),
        (lambda: sb.Initialization(1.0, stats.norm()), "`weight` must be a law .* got 1.0"),
        (lambda: sb.Initialization(stats.cauchy(), stats.norm()), "`weight` must have a finite second moment"),
        (lambda: sb.Initialization.rademacher(stats.t(1.5)), "`bias` must have a finite second moment.*more than 2 degrees"),
        (lambda: sb.Initialization(sb.Discrete((0, 1), (0.5, 0.5)), stats.norm()), "`weight` must have no mass at 0"),
        (lambda: sb.Initialization(sb.Constant(0), stats.norm()), "`weight` must have no mass at 0"),
        (lambda: sb.Initialization(stats.binom(2, 0.5), stats.norm()), "`weight` must have no mass at 0"),
        (lambda: sb.Initialization.constant_bias(0.0, stats.norm()), "`bias` must have no mass at 0"),
        (lambda: sb.Initialization.constant_bias(math.nan, stats.norm()), "`value` must be a finite real number"),
        (lambda: sb.Initialization.gaussian(0), "`s_w` must be a finite real number > 0, got 0"),
        (lambda: sb.Initialization.gaussian(1, -1), "`s_b` must be .* > 0, got -1"),
        (lambda: sb.Initialization.uniform(math.inf), "`w_max` must be a finite real number"),
        (
            lambda: sb.Initialization(stats.norm(), pair=sb.Initialization.unit_circle().pair),
            r"`pair` \(\(W, B\) on the unit circle\) fixes `weight` and `bias`",
        ),
        (lambda: sb.Initialization.from_table({"joint": "normal"}), '`joint` must be "independent", .* or a table'),
        (lambda: sb.Initialization(stats.norm(), stats.norm(), stats.cauchy()), "`output` must have a finite second moment"),
        (lambda: sb.Initialization.from_table({"preset": "lecun"}), "`preset` must be one of .* got 'lecun'"),
        (lambda: sb.Initialization.from_table({"preset": "guassian"}), "did you mean 'gaussian'"),
        (
            lambda: sb.Initialization.from_table({"preset": "gaussian", "s": 1}),
            r"^\[initialization\] `Initialization.gaussian` takes s_w, s_b, dim, got 's'",
        ),
        (lambda: sb.Initialization.from_table({"weights": {"name": "norm"}}), "takes `weight`, `bias`, .* got .'weights'."),
        (lambda: sb.Initialization.from_table({"weight": {"name": "norm"}}), "`bias` must be a law"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(sb.DataError, match=message):
        make()


def test_two_discrete_laws_have_no_density():
    with pytest.raises(sb.CapabilityError, match="`weight` and `bias` are both discrete .* give one of them a density"):
        sb.Initialization(sb.Rademacher(), sb.Constant(1.0))


@pytest.mark.parametrize(
    ("width", "message"),
    [(0, ">= 1, got 0"), (-3, ">= 1, got -3"), (True, "got True"), ("8", "got '8'")],
)
def test_bad_widths_are_refused(width, message):
    with pytest.raises(sb.DataError, match=f"`width` must be a whole number .*{message}"):
        sb.Initialization.gaussian().sample(width, np.random.default_rng(0))


def test_pairs_need_an_even_width():
    with pytest.raises(sb.DataError, match="`width` must be even for antisymmetric pairs, got 7; use 8"):
        sb.Initialization(stats.norm(), stats.norm(), stats.norm()).sample(7, np.random.default_rng(0))
