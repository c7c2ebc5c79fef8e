"""Distances between functions: exact at knots and between them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy.interpolate import CubicSpline, PPoly

import splinebias as sb
from splinebias.activation import Smooth
from splinebias.functions.smooth_units import SmoothUnits

LINE = sb.PiecewiseLinear([0.0], [0.0], 0.0, 0.0)
ROUNDING = 1e-14


def random_network(seed, units):
    rng = np.random.default_rng(seed)
    w, b = rng.choice([-1.0, 1.0], units), rng.uniform(-1, 1, units)
    return sb.PiecewiseLinear.from_units(w, b, rng.normal(size=units) / np.sqrt(units), 0.0, sb.ReLU())


def random_spline(seed, knots):
    rng = np.random.default_rng(seed)
    return CubicSpline(np.sort(rng.uniform(-1, 1, knots)), rng.normal(size=knots))


@pytest.mark.parametrize("degree", range(1, 12))
def test_chebyshev_polynomials_have_sup_one(degree):
    coefficients = np.polynomial.Chebyshev.basis(degree).convert(kind=np.polynomial.Polynomial).coef[::-1]
    polynomial = PPoly(coefficients[:, None], [0, 1], extrapolate=True)
    found = sb.compare(polynomial, LINE, (-1, 1))
    assert found.sup == pytest.approx(1, abs=1e-12)
    assert abs(polynomial(found.argmax)) == pytest.approx(1, abs=1e-12)
    assert found.l2 == pytest.approx(np.sqrt(1 - 1 / (4 * degree**2 - 1)), rel=1e-12)


def test_maximum_between_knots_is_found_to_rounding():
    bump = PPoly([[-1.0], [2.0], [0.0]], [0.0, 2.0])  # 2x - x^2: maximum 1 at x = 1
    found = sb.compare(bump, LINE, (0, 1.9))
    assert found.sup == pytest.approx(1, abs=ROUNDING)
    assert found.argmax == pytest.approx(1, abs=1e-7)


def test_network_against_a_spline_is_no_grid_maximum():
    f, g, (lo, hi), size = random_network(0, 5000), random_spline(1, 6), (-1.5, 1.5), 1_000_000
    x = np.linspace(lo, hi, size)
    gaps = np.abs(f(x) - g(x))
    found = sb.compare(f, g, (lo, hi))
    # between grid points the difference cannot rise by more than its steepest slope times half a step
    slope = np.abs(f(f.edges, 1)).max() + np.abs(g(x, 1)).max()
    assert gaps.max() - ROUNDING <= found.sup <= gaps.max() + slope * (hi - lo) / size
    assert abs(f(found.argmax) - g(found.argmax)) == found.sup
    assert found.l2 == pytest.approx(np.sqrt((gaps**2).mean() * (hi - lo)), rel=1e-5)


def test_sharp_kink_between_grid_points_is_hit():
    spike = sb.PiecewiseLinear([0.1234567 - 1e-9, 0.1234567, 0.1234567 + 1e-9], [0, 3.0, 0], 0.0, 0.0)
    found = sb.compare(spike, LINE, (-1, 1))
    assert (found.sup, found.argmax) == (3.0, 0.1234567)
    assert found.l2 == pytest.approx(np.sqrt(9 * 2e-9 / 3), rel=1e-6)


def test_jumps_count_from_both_sides():
    step = sb.PiecewiseLinear([0.0, 1.0], [0.0, 5.0], 0.0, 0.0).derivative()  # 5 on (0, 1), else 0
    assert sb.compare(step, LINE, (-2, 0)).sup == 5.0  # the value at 0 belongs to the interval
    right = sb.compare(step, lambda x: 5.0 * (x >= 0), (0, 3))
    assert right.sup == 5.0
    assert right.l2 == pytest.approx(5 * np.sqrt(2), rel=1e-12)


@given(some.integers(0, 10_000), some.integers(2, 9), some.integers(1, 200))
def test_a_metric(seed, knots, units):
    f, g, h = random_spline(seed, knots), random_network(seed, units), random_spline(seed + 1, knots)
    interval = (-1.2, 0.9)
    fg, gf, gh, fh = (sb.compare(*pair, interval) for pair in ((f, g), (g, f), (g, h), (f, h)))
    assert (fg.sup, fg.l2) == (gf.sup, gf.l2)
    slack = 1 + 1e-12
    assert fh.sup <= (fg.sup + gh.sup) * slack
    assert fh.l2 <= (fg.l2 + gh.l2) * slack
    assert fg.l2 <= fg.sup * np.sqrt(2.1) * slack
    same = sb.compare(f, f, interval)
    assert (same.sup, same.l2) == (0.0, 0.0)


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_equivariance_in_both_units(factor):
    base = random_spline(3, 7)
    taller = PPoly(base.c * factor, base.x)
    wider = PPoly(base.c * factor ** -np.arange(3.0, -1, -1)[:, None], base.x * factor)
    reference = sb.compare(base, LINE, (-0.9, 0.8))
    high = sb.compare(taller, LINE, (-0.9, 0.8))
    wide = sb.compare(wider, LINE, (-0.9 * factor, 0.8 * factor))
    assert high.sup == pytest.approx(factor * reference.sup, rel=1e-12)
    assert high.l2 == pytest.approx(factor * reference.l2, rel=1e-12)
    assert wide.sup == pytest.approx(reference.sup, rel=1e-12)
    assert wide.l2 == pytest.approx(np.sqrt(factor) * reference.l2, rel=1e-12)
    assert wide.argmax == pytest.approx(factor * reference.argmax, rel=1e-6)


def test_functions_without_knots():
    found = sb.compare(np.sin, np.cos, (0, np.pi))
    assert found.sup == pytest.approx(np.sqrt(2), abs=ROUNDING)
    assert found.argmax == pytest.approx(3 * np.pi / 4, abs=1e-7)
    assert found.l2 == pytest.approx(np.sqrt(np.pi), rel=1e-12)
    assert found.interval == (0.0, np.pi)


@pytest.mark.parametrize("interval", [(1, 1), (2, 1), (0, np.inf), (np.nan, 1), (0, 1, 2), "ab", 3.0])
def test_interval_is_checked(interval):
    with pytest.raises(sb.DataError, match="`interval` must be a pair of finite numbers"):
        sb.compare(np.sin, np.cos, interval)


def test_arguments_are_checked():
    with pytest.raises(sb.DataError, match="`g` must be a function of x, or have one as its `function`, got 3"):
        sb.compare(np.sin, 3, (0, 1))
    with pytest.raises(sb.DataError, match="`g` must map an array on the interval to finite numbers of its shape"):
        sb.compare(np.sin, lambda x: x / np.where(x < 0.2, 1.0, np.nan), (0, 0.4))
    with pytest.raises(sb.DataError, match="`f` must map an array on the interval to finite numbers of its shape"):
        sb.compare(lambda x: x[:3], np.sin, (0, 1))


def test_a_constant_function_need_not_be_an_array():
    assert sb.compare(lambda x: 2.0, LINE, (0, 1)).sup == 2.0


@pytest.mark.parametrize("activation", [sb.Tanh(), sb.XTanh(), sb.Softplus()])
@pytest.mark.parametrize("steepest", [0.5, 30.0, 400.0])
def test_smooth_units_are_measured_on_fewer_pieces_that_resolve_them(activation, steepest):
    rng = np.random.default_rng(1)
    w = steepest * np.r_[1.0, rng.uniform(-1, 1, 9)]
    f = SmoothUnits(w, -w * rng.uniform(-1, 1, 10), rng.normal(size=10), 0.0, activation)
    found, expected = (sb.compare(of, np.cos, interval=(-1.5, 1.5)) for of in (f, f.__call__))
    assert f.pieces(-1.5, 1.5) < 1000
    assert found.sup == pytest.approx(expected.sup, rel=1e-11)
    assert found.l2 == pytest.approx(expected.l2, rel=1e-10)


def test_of_an_activation_of_ones_own_nothing_is_known():
    class Sharp(Smooth):
        multiplicity, leading = 1, 1000.0

        def value(self, z):
            return np.tanh(1000 * z)

        def derivative(self, z):
            return 1000 / np.cosh(1000 * z) ** 2

    assert SmoothUnits(np.ones(1), np.zeros(1), np.ones(1), 0.0, Sharp()).pieces(-1, 1) == 1000
