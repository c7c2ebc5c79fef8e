"""Quadrature over the size of a weight: rules against closed forms and against each other, and how many nodes they take."""

import math

import numpy as np
import pytest
from scipy import special, stats

import splinebias as sb
from splinebias.initialization.laws import as_law
from splinebias.initialization.weight_quadrature import WeightRule
from splinebias.numerics.half_line import double_exponential, gaussian_moment, gaussian_ray, log_ray, tanh_sinh

CENTRES = np.array([-6.0, -3.0, -1.0, -0.2, 0.0, 0.4, 1.7, 3.0, 5.5, 7.9, 8.1, 20.0])


@pytest.mark.parametrize("power", [2, 10 / 3, 4, 6])
def test_gaussian_rays_integrate_powers(power):
    r"""int_0^inf u^a exp(-u^2/2 + m u) du = Gamma(a + 1) exp(m^2/4) D_{-a-1}(-m), relative to the same of \|m\|."""
    u, du = gaussian_ray(CENTRES)
    found = (u**power * np.exp(-((u - CENTRES[:, None]) ** 2) / 2) * du).sum(axis=-1)

    def exact(m):
        return special.gamma(power + 1) * math.exp(-(m**2) / 4) * special.pbdv(-power - 1, -m)[0]

    for m, value in zip(CENTRES, found, strict=True):
        assert abs(value - exact(m)) <= 1e-10 * exact(abs(m))


def test_gaussian_rays_take_changes_of_power_at_any_scale():
    """u sinh(asinh(g u)/3), which is u^2 below 1/g and u^(4/3) above: 50 nodes against 4,000."""
    centres = np.array([0.0, 1.0, 4.0])
    t = np.linspace(-30, 4, 4000)
    fine, weights = np.exp(t), np.exp(t) * (t[1] - t[0])
    u, du = gaussian_ray(centres)
    assert u.shape == (3, 50)
    for scale in 10.0 ** np.arange(-2, 7):
        for m, nodes, dv in zip(centres, u, du, strict=True):
            found, exact = (
                (x**2 * np.sinh(np.arcsinh(scale * x) / 3) * np.exp(-((x - m) ** 2) / 2) * dx).sum()
                for x, dx in ((nodes, dv), (fine, weights))
            )
            assert found == pytest.approx(exact, rel=5e-12)


@pytest.mark.parametrize("fine", [False, True])
@pytest.mark.parametrize(
    ("order", "function"),
    [(6, lambda v: v**8), (51, lambda v: v**53), (101, lambda v: v**103)]
    + [(math.inf, lambda v, k=k: v**2 * np.sinh(k * v)) for k in (0.1, 3.0, 8.0)],
)
def test_gaussian_rays_of_steep_functions_are_as_good_on_either_side(order, function, fine):
    """Relative to the very integral, wherever the centre is: 40,000 nodes on 0 ... 60, in logarithms near 0."""
    t = np.linspace(-30, math.log(60), 40_000)
    v, dv = np.exp(t), np.exp(t) * (t[1] - t[0])
    u, du = gaussian_ray(CENTRES, order, fine=fine)
    for m, nodes, weights in zip(CENTRES, u, du, strict=True):
        found, exact = ((function(x) * np.exp(-((x - m) ** 2) / 2) * dx).sum() for x, dx in ((nodes, weights), (v, dv)))
        assert found == pytest.approx(exact, rel=1e-10)


@pytest.mark.parametrize("order", range(6))
def test_gaussian_moments(order):
    """Half-moments of N(m, 1) from scipy's incomplete gamma functions at m = 0, and by recurrence in m elsewhere."""
    at_zero = 2 ** ((order - 1) / 2) * special.gamma((order + 1) / 2)
    assert gaussian_moment(order, np.zeros(1))[0] == pytest.approx(at_zero, rel=1e-14)
    if order >= 2:
        m = np.array([-2.5, -0.5, 0.5, 3.0])
        lower = m * gaussian_moment(order - 1, m) + (order - 1) * gaussian_moment(order - 2, m)
        assert (np.abs(gaussian_moment(order, m) - lower) <= 1e-11 * gaussian_moment(order, np.abs(m))).all()


@pytest.mark.parametrize(
    ("rule", "function", "exact"),
    [
        (tanh_sinh(0.12), lambda v: v ** (1 / 3), 0.75),
        (tanh_sinh(0.12), lambda v: 1 / np.sqrt(v), 2.0),
        (log_ray(0.2), lambda v: v / (1 + v**2) ** 2, 0.5),
        (log_ray(0.2), lambda v: v**2 * (1 + v) ** -3.5, special.beta(3, 0.5)),
    ],
)
def test_double_exponential_rules(rule, function, exact):
    v, dv = rule
    assert (function(v) * dv).sum() == pytest.approx(exact, rel=1e-10)


def test_light_tails_are_cut_and_heavy_ones_are_not():
    laws = {law: as_law(law, "weight") for law in (stats.norm(1, 2), stats.t(4), stats.uniform(-1, 3), stats.expon())}
    ends = {law.dist.name: read.reach(3.0) for law, read in laws.items()}
    assert 15 < ends["norm"][1] < 60
    assert ends["t"] == (-math.inf, math.inf)
    assert ends["uniform"] == (-1, 2)
    assert ends["expon"][0] == 0
    assert 40 < ends["expon"][1] < 200


PAIRS = {
    "laplace x normal": (stats.laplace(), stats.norm(), 100),
    "laplace x laplace": (stats.laplace(), stats.laplace(), 100),
    "student x student": (stats.t(5), stats.t(3), 120),
    "logistic x vonmises": (stats.logistic(), stats.vonmises(2.0), 120),
    "one sign x uniform": (stats.uniform(0.5, 1), stats.uniform(-2, 4), 60),
    "far x laplace": (stats.norm(40, 1), stats.laplace(), 300),
    "normal x arcsine": (stats.norm(), stats.arcsine(-1, 2), 300),
}


@pytest.mark.parametrize("name", PAIRS)
def test_chosen_rules_are_small_and_as_good_as_large_ones(name):
    """Sums of F(v) = v alpha(v g) with the inverse mirror map of u^4 + u^2, at breakpoints on all scales."""
    weight, bias, most = PAIRS[name]
    law = sb.Initialization(weight, bias).breakpoint_law
    fine = WeightRule(law, (0, 2, 4, 6, 8), 0.03)
    phi = sb.Power(4, quadratic=1)
    c = np.r_[-(10.0 ** np.arange(-3, 4)), 10.0 ** np.arange(-3, 4)] * 0.7
    for side in (1, -1):
        assert law.slices(c[:1], side)[0].shape[-1] <= most
        for g in (0.1, 10.0, 1e4):
            found, exact = (
                (rho * v * phi.grad_inverse(v * g)).sum(-1) for v, rho in (law.slices(c, side), fine.slices(c, side))
            )
            np.testing.assert_allclose(found, exact, rtol=1e-10, atol=1e-40)


@pytest.mark.parametrize("length", [0.3, 5.0, 1e3, 1e6])
@pytest.mark.parametrize("rate", [1.0, 0.02, 1e-4])
def test_rules_for_exponential_tails_see_all_of_them(length, rate):
    """On a panel and on the ray beyond it, for tails that are almost outgrown, too: e^(-rate v) in units of v."""
    left, width = np.array([[0.0, length]]), np.array([[length, np.inf]])
    v, dv = double_exponential(left, width, np.ones(1), 0.07, falling=True)
    half = v.shape[-1] // 2
    panel, ray = ((np.exp(-rate * v) * dv)[0, part].sum() * rate for part in (slice(half), slice(half, None)))
    assert panel == pytest.approx(-np.expm1(-rate * length), rel=1e-12)
    assert ray == pytest.approx(np.exp(-rate * length), rel=1e-12, abs=1e-300)
