"""Least norm: the minimum, the set of minimizers, certificates, symmetries, and what is refused."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import splinebias as sb
from splinebias.regimes.least_norm.bends import Bends
from splinebias.regimes.least_norm.certificate import largest_on_circle
from splinebias.regimes.least_norm.shortest_path import shortest_path

SETS = {
    "A": ((-1, -0.2, 0, 0.2, 1), (-0.15, -0.15, 0.15, -0.15, -0.15)),
    "B": ((-1, 0.35, 0.65, 1), (0.15, 0.15, -0.15, 0.15)),
    "C8": ((-0.9, -0.65, -0.4, -0.1, 0.15, 0.45, 0.7, 0.95), (0.4, -0.3, 0.2, 0.6, -0.1, -0.5, 0.1, 0.3)),
    "D7": ((-1, -0.7, -0.3, 0.1, 0.3, 0.6, 1), (0.5, 0.1, -0.25, -0.3, -0.05, 0.3, 1)),
    "parabola": ((-2, -1, 0, 1, 2), (4, 1, 0, 1, 4)),
}
# Least total curvature, least with penalized biases, knots and jumps of the latter, from prototypes that shared no code.
PUBLISHED = {
    "A": (6, 3 + 3 * 1.04**0.5, (-0.2, 0, 0.2), (1.5, -3, 1.5)),
    "B": (20 / 7, 3.274469372798, (0.35, 0.65), (-1, 13 / 7)),
    "C8": (16.4, 18.06211351708, (-0.65, -17 / 120, 19 / 52, 0.7), (4.8, -4.8, 5.2, -1.6)),
    "D7": (
        3.25,
        3.452494941448,
        (-0.621555481, -0.026801481, 0.3, 0.6),
        (0.57014526, 2.013188073, -1 / 12, 7 / 12),
    ),
    "parabola": (6, 2 * 13**0.5, (-2 / 3, 2 / 3), (3, 3)),
}


def of(name):
    """One of the sets above."""
    return sb.Dataset(*SETS[name])


def random_data(rng, size, scale=1.0):
    """Points with noise, convex stretches, and ties, in turn."""
    x = np.sort(scale * rng.uniform(-1, 1, size))
    slopes = np.cumsum(rng.exponential(size=size - 1) * np.sign(np.sin(np.arange(size - 1) / 3 + rng.uniform(0, 6))))
    return [
        sb.Dataset(x, rng.normal(size=size)),
        sb.Dataset(x, np.r_[0, np.cumsum(slopes * np.diff(x))]),
        sb.Dataset(x, rng.integers(-1, 2, size).astype(float)),
    ]


@pytest.mark.parametrize("name", SETS)
def test_numbers_of_the_page(name):
    free, biased, knots, jumps = PUBLISHED[name]
    assert sb.minimum_norm(of(name)).norm == pytest.approx(free, rel=1e-12)
    found = sb.minimum_norm(of(name), penalize_bias=True)
    assert found.norm == pytest.approx(biased, rel=1e-11)
    np.testing.assert_allclose(found.knots, knots, atol=1e-9)
    np.testing.assert_allclose(found.jumps, jumps, atol=1e-8)


def test_fewest_knots_of_the_page():
    np.testing.assert_allclose(sb.minimum_norm(of("D7")).sparsest.knots, [-0.4517241379, 0.1, 0.3, 0.6], atol=1e-9)


def test_knots_are_those_of_splineops():
    peer = pytest.importorskip("splineops.adaptive_regression_splines.sparsification")
    rng = np.random.default_rng(5)
    for size in (3, 8, 50, 3000):
        x, y = np.sort(rng.uniform(-1, 1, size)), rng.normal(size=size)
        knots, jumps, _ = peer.sparsest_interpolant(x, y)
        sparsest = sb.minimum_norm(sb.Dataset(x, y)).sparsest
        np.testing.assert_allclose(sparsest.knots, knots, rtol=0, atol=1e-13)
        np.testing.assert_allclose(sparsest.kinks, jumps, rtol=1e-5, atol=1e-8 * np.abs(jumps).max())


@pytest.mark.parametrize("affine", ["free", "network"])
@pytest.mark.parametrize("size", [2, 3, 5, 9, 40])
def test_members_of_the_set_interpolate_at_the_least_norm(size, affine):
    rng = np.random.default_rng(size)
    for data in random_data(rng, size, 3.0):
        least = sb.minimum_norm(data, affine=affine)
        for f in (least.function, least.sparsest):
            np.testing.assert_allclose(f(data.x), data.y, atol=1e-12)
            assert cost(f, affine) == pytest.approx(least.norm, rel=1e-9, abs=1e-9)
        inside = np.linspace(*data.span, 301)
        assert np.all(least.lower(inside) <= least.sparsest(inside) + 1e-11)
        assert np.all(least.sparsest(inside) <= least.upper(inside) + 1e-11)
        assert least.outcome is sb.Outcome.CONVERGED


def cost(f, affine):
    """The norm of a network that makes f, biases free."""
    bends, ends = np.abs(f.kinks).sum(), abs(f(f.knots[0] - 1, 1) + f(f.knots[-1] + 1, 1))
    return bends if affine == "free" else max(bends, float(ends))


@pytest.mark.parametrize("affine", ["free", "network"])
def test_both_envelopes_are_reached_and_nothing_beyond(affine):
    """A point on the envelope leaves the norm, one beyond it costs more, anywhere between and beside the data."""
    rng = np.random.default_rng(7)
    for data in [d for size in (3, 5, 9) for d in random_data(rng, size)]:
        least = sb.minimum_norm(data, affine=affine)
        for x in rng.uniform(data.x[0] - 0.5, data.x[-1] + 0.5, 6):
            for edge, away in ((least.lower, -1), (least.upper, 1)):
                at = float(edge(x))
                on = sb.Dataset(np.r_[data.x, x], np.r_[data.y, at])
                off = sb.Dataset(np.r_[data.x, x], np.r_[data.y, at + 0.01 * away])
                assert sb.minimum_norm(on, affine=affine).norm == pytest.approx(least.norm, rel=1e-9, abs=1e-9)
                assert sb.minimum_norm(off, affine=affine).norm > least.norm + 1e-6


def test_as_few_knots_as_the_runs_of_curvature_allow():
    rng = np.random.default_rng(3)
    for data in random_data(rng, 60):
        slopes = np.diff(data.y) / np.diff(data.x)
        sign = np.where(np.abs(np.diff(slopes)) < 1e-9, 0, np.sign(np.diff(slopes)))
        cuts = np.r_[0, np.flatnonzero(np.diff(sign)) + 1, sign.size]
        needed = sum(-(-(b - a) // 2) for a, b in pairwise(cuts) if sign[a])
        assert sb.minimum_norm(data).sparsest.knots.size == max(needed, 1)


@pytest.mark.parametrize("scale", [1e-3, 1, 30, 1e3])
@pytest.mark.parametrize("size", [3, 4, 7, 25, 300])
def test_penalized_biases_are_certified(size, scale):
    """No G, no minimizer: G is linear between data, stays below the bound, and proves the norm."""
    rng = np.random.default_rng(size)
    for data in random_data(rng, size, scale):
        least = sb.minimum_norm(data, penalize_bias=True)
        assert least.residual <= 1e-10
        assert least.unique
        bends = Bends.of(data.x, data.y)
        angles = shortest_path(bends).angles
        g = np.hypot(1, data.x) * np.cos(angles)
        c = np.linspace(*data.span, 4001)
        assert np.all(np.abs(np.interp(c, data.x, g)) <= np.hypot(1, c) * (1 + 1e-9))  # by brute force
        assert largest_on_circle(data.x, angles) <= 1 + 1e-10
        assert g[[0, -1]] == pytest.approx(0, abs=1e-10)
        assert g[1:-1] @ np.diff(np.diff(data.y) / np.diff(data.x)) == pytest.approx(least.norm, rel=1e-9, abs=1e-12)


def test_outer_segments_bend_where_the_data_reach_around_a_quarter_of_the_circle():
    """From x = -10 to 10 a knot near zero is cheaper than one at the datum."""
    least = sb.minimum_norm(sb.Dataset([-10, 10, 11], [0, 0, 1]), penalize_bias=True)
    np.testing.assert_allclose(least.knots, [0.1])
    assert least.norm == pytest.approx(1.01**0.5 * 20 / 10.1)


def test_long_convex_runs():
    for size, curve in ((300, np.exp), (300, lambda x: 1e-8 * x**2), (1000, lambda x: x**4 - x**2)):
        x = np.linspace(-1, 1, size)
        least = sb.minimum_norm(sb.Dataset(x, curve(x)), penalize_bias=True)
        assert least.residual <= 1e-11
        arc = np.trapezoid(np.hypot(1, x) * np.abs(np.gradient(np.gradient(curve(x), x), x)), x)
        assert least.norm == pytest.approx(arc, rel=0.05)


@pytest.mark.parametrize("penalize_bias", [False, True])
@pytest.mark.parametrize("name", SETS)
def test_a_point_on_a_minimizer_changes_nothing(name, penalize_bias):
    least = sb.minimum_norm(of(name), penalize_bias=penalize_bias)
    for x in (-1.7, -0.55, -0.05, 0.21, 0.83, 2.2):
        more = sb.Dataset(np.r_[least.data.x, x], np.r_[least.data.y, least.function(x)])
        again = sb.minimum_norm(more, penalize_bias=penalize_bias)
        if penalize_bias is False or least.data.x[0] < x < least.data.x[-1]:
            assert again.norm == pytest.approx(least.norm, rel=1e-9)
            assert sb.compare(again.function, least.function, (-2, 2)).sup < 1e-9


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), exponent=st.integers(-12, 12))
def test_scaling_reflection_translation(seed, exponent):
    data = random_data(np.random.default_rng(seed), 8)[seed % 3]
    x, y, factor = data.x, data.y, 10.0**exponent
    for penalize_bias in (False, True):
        norm = sb.minimum_norm(data, penalize_bias=penalize_bias).norm

        def again(x, y, penalize_bias=penalize_bias):
            return sb.minimum_norm(sb.Dataset(x, y), penalize_bias=penalize_bias).norm

        assert again(x, factor * y) == pytest.approx(factor * norm, rel=1e-10)
        assert again(-x, y) == pytest.approx(norm, rel=1e-10)
        assert again(x, 3 * x - y + 2) == pytest.approx(norm, rel=1e-9, abs=1e-9)
    assert again(factor * x, y, penalize_bias=False) == pytest.approx(sb.minimum_norm(data).norm / factor, rel=1e-10)
    turned = 0.3  # rotations of (w, b): x -> (x cos - sin)/(cos + x sin), y -> y/(cos + x sin)
    lower = np.cos(turned) + x * np.sin(turned)
    assert again((x * np.cos(turned) - np.sin(turned)) / lower, y / lower) == pytest.approx(norm, rel=1e-9)


def test_far_offsets_keep_their_digits():
    for offset in (2457000.5, 1e9):
        x = offset + np.linspace(0, 30, 61)
        least = sb.minimum_norm(sb.Dataset(x, np.sin(x - offset)), penalize_bias=True)
        assert least.residual <= 1e-9
        assert least.norm / offset == pytest.approx(sb.minimum_norm(least.data).norm, rel=1e-4)


@pytest.mark.parametrize("penalize_bias", [False, True])
def test_lines_cost_nothing(penalize_bias):
    for x in ([0, 1], np.linspace(-1, 3, 17), 1e-12 * np.arange(5), 1e6 + np.linspace(0, 1, 9)):
        data = sb.Dataset(x, 0.3 * np.asarray(x) + 0.1)
        least = sb.minimum_norm(data, penalize_bias=penalize_bias)
        assert least.norm == 0
        assert least.knots.size == 0
        np.testing.assert_allclose(least.function(data.x), data.y, rtol=1e-12)


def test_without_skip_connection_and_with_free_biases():
    assert sb.minimum_norm(sb.Dataset([0, 1], [0, 1]), affine="network").norm == 1
    rng = np.random.default_rng(2)
    for data in [d for size in (2, 4, 7) for d in random_data(rng, size)]:
        slopes = np.diff(data.y) / np.diff(data.x)
        turned, ends = np.abs(np.diff(slopes)).sum(), abs(slopes[0] + slopes[-1])
        assert sb.minimum_norm(data, affine="network").norm == pytest.approx((turned + max(turned, ends)) / 2)


def test_what_is_refused():
    data = of("A")
    with pytest.raises(sb.DataError, match=r"`data` must be a Dataset, got list; pass sb\.Dataset"):
        sb.minimum_norm([1, 2])
    with pytest.raises(sb.DataError, match="`affine` must be 'free' or 'network', got 'fre'; did you mean 'free'"):
        sb.minimum_norm(data, affine="fre")
    for name in ("penalize_bias", "output_bias"):
        with pytest.raises(sb.DataError, match=f"`{name}` must be True or False, got 1"):
            sb.minimum_norm(data, **{name: 1})
    for strength in (-1, np.nan, np.inf, "1", True):
        with pytest.raises(sb.DataError, match="`strength` must be a finite real number >= 0"):
            sb.minimum_norm(data, strength=strength)
    with pytest.raises(sb.DataError, match="slopes between neighbours and squares of data must stay finite"):
        sb.minimum_norm(sb.Dataset([0, 1e-200, 1], [0, 1e200, 1]))
    with pytest.raises(sb.DataError, match="average replicates"):
        sb.Dataset([0, 0, 1], [0, 1, 2])


def test_linear_programs_find_units_that_fits_of_little_strength_do_not_have():
    """Without them the residual is 3.5e-6 here."""
    x, y = [-23.2566, -18.6481, -5.8846, 5.8562, 8.1393, 8.1713, 24.9609], [-2, 3, -1, 2, 2, -1, 3]
    least = sb.minimum_norm(sb.Dataset(x, y), penalize_bias=True, affine="network", output_bias=False)
    assert least.outcome is sb.Outcome.CONVERGED
    assert least.residual < 1e-10
