"""Potentials far from the square, or written by hand; data far from 1."""

import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest
from marks import nightly
from problems import SET_A
from scipy import integrate, stats

import splinebias as sb
from splinebias._arguments import namespace
from splinebias.limit.dual import integrals
from splinebias.limit.dual.objective import IntegratedDual
from splinebias.limit.dual.responses.response import _average
from splinebias.limit.posed_problem import PosedProblem
from splinebias.potential import Potential

QUERY = np.linspace(-1.6, 1.6, 41)
RADEMACHER = sb.Initialization.rademacher(stats.uniform(-2, 4))


class ByHand(Potential):
    """`Hypentropy(0.5)` with nothing but what must be there; phi(0) is not 0."""

    def value(self, u):
        return u * np.arcsinh(2 * u) - np.sqrt(u * u + 0.25)

    def grad(self, u):
        return np.arcsinh(2 * u)

    def hess(self, u):
        return 1 / np.sqrt(u * u + 0.25)

    def grad_inverse(self, z):
        return np.sinh(z) / 2


class Steep(ByHand):
    """The same, which says that its conjugate grows exponentially, and does not overflow before it must."""

    moment_order = float("inf")

    def value(self, u):
        return u * np.arcsinh(2 * u) - np.hypot(u, 0.5)

    def hess(self, u):
        return 1 / np.hypot(u, 0.5)


@pytest.mark.parametrize("activation", [sb.ReLU(), sb.Abs()])
@pytest.mark.parametrize("law", [stats.uniform(-1.2, 2.4), stats.norm(), stats.laplace()], ids=lambda law: law.dist.name)
def test_an_exponential_conjugate_by_hand(law, activation):
    """What is said to grow exponentially is integrated in the dual value itself, like the potential of this library."""
    data = sb.Dataset(SET_A.x, 30 * SET_A.y)
    init = sb.Initialization.rademacher(law)
    ours, own = (sb.predict(sb.Problem(data, init, activation, sb.Scaled(phi))) for phi in (sb.Hypentropy(0.5), Steep()))
    assert ours.outcome is own.outcome is sb.Outcome.CONVERGED
    np.testing.assert_allclose(own.function(QUERY), ours.function(QUERY), rtol=0, atol=1e-10)
    np.testing.assert_allclose(own.function(data.x), data.y, rtol=0, atol=1e-10)


@pytest.mark.parametrize("init", [RADEMACHER, sb.Initialization.unit_circle()])
@pytest.mark.parametrize("potential", [sb.Hypentropy(1.0), sb.Power(4, quadratic=0.5)])
@pytest.mark.parametrize("size", [1e-16, 1e-9])
def test_small_data_make_every_smooth_potential_a_square(init, potential, size):
    r"""With :math:`\phi''(0) = 1` all that is left are relative errors of order :math:`\alpha^2`."""
    data = sb.Dataset(SET_A.x, size * SET_A.y)
    found = sb.predict(sb.Problem(data, init, potential=sb.Scaled(potential)))
    plain = sb.predict(sb.Problem(data, init, potential=sb.Scaled(sb.Quadratic())))
    assert found.outcome is sb.Outcome.CONVERGED
    np.testing.assert_allclose(found.function(QUERY), plain.function(QUERY), rtol=0, atol=1e-12 * size)
    np.testing.assert_allclose(found.penalty, plain.penalty, rtol=1e-12)
    np.testing.assert_allclose(found.multipliers, plain.multipliers, rtol=1e-12)


@pytest.mark.parametrize("p", [8.0, 10.0])
def test_steep_powers_are_homogeneous(p):
    """Three times the data make three times the function, and as g ranges over 26 decades: all the way to the optimum."""
    x = [-0.93, -0.61, -0.31, -0.28, -0.25, -0.056, 0.087, 0.12, 0.125, 0.156, 0.29, 0.96]
    y = np.array([0, 0, 0.53, 0, 0, 0, 0, 0.25, -0.058, -0.16, 0, -0.95])
    init = sb.Initialization.constant_bias(0.7, stats.norm())
    one, three = (sb.predict(sb.Problem(sb.Dataset(x, k * y), init, sb.Abs(), sb.Scaled(sb.Power(p)))) for k in (1, 3))
    assert one.outcome is three.outcome is sb.Outcome.CONVERGED
    scale = np.abs(one.function(QUERY)).max()
    assert np.abs(three.function(QUERY) - 3 * one.function(QUERY)).max() < 1e-9 * scale


def test_a_potential_may_have_any_value_at_zero():
    r"""The penalty is :math:`E[D_\phi(\alpha, 0)]`, not :math:`E[\phi(\alpha)]`."""
    by_hand = sb.predict(sb.Problem(SET_A, RADEMACHER, potential=sb.Scaled(ByHand())))
    known = sb.predict(sb.Problem(SET_A, RADEMACHER, potential=sb.Scaled(sb.Hypentropy(0.5))))
    assert by_hand.outcome is known.outcome is sb.Outcome.CONVERGED
    np.testing.assert_allclose(by_hand.penalty, known.penalty, rtol=1e-11)
    np.testing.assert_allclose(by_hand.function(QUERY), known.function(QUERY), rtol=0, atol=1e-12)
    assert ByHand().cost(np.float64(0.0)) == 0.0


def _cells(problem):
    found = sb.predict(problem)
    assert found.outcome is sb.Outcome.CONVERGED
    return found.stats["cells"]


@pytest.mark.parametrize("potential", [nightly(sb.Power(4, quadratic=1)), sb.Power(2.5, quadratic=1)])
def test_refinement_does_not_depend_on_blocks(potential, monkeypatch):
    problem, cells = sb.Problem(SET_A, sb.Initialization.gaussian(), potential=sb.Scaled(potential)), []
    for block in (1 << 10, 1 << 24):
        monkeypatch.setattr(integrals, "_BLOCK", block)
        cells.append(_cells(problem))
    assert cells[0] == cells[1]


def test_zeros_are_cut_before_panels_where_many_are_not_resolved():
    r"""Several \|w\| at a breakpoint: :math:`(\phi')^{-1}(v z(s))` turns sharply in s; with one, it is a polynomial in s."""
    x = np.sort(np.random.default_rng(10).uniform(-1, 1, 10))
    data = sb.Dataset(x, np.sin(5 * x) + 0.1 * np.random.default_rng(1).normal(size=10))
    cut = {}
    several = sb.Initialization(stats.norm(), stats.uniform(-3, 6))  # no scale family, which would have one size
    for init in (several, RADEMACHER):
        problem = sb.Problem(data, init, potential=sb.Scaled(sb.Power(4, quadratic=1)))
        panels = []
        for split in (False, True):
            dual, start = IntegratedDual.of(PosedProblem(problem))
            assert dual.grid.split == (init is not RADEMACHER)  # several sizes at a breakpoint: cut from the start
            dual = dual.on(dataclasses.replace(dual.grid, split=split))
            finer = dual.refined(dual.at(start), 1e-10).finer or dual
            panels.append(finer.grid.breaks.tolist())
            cut[init, split] = finer.grid.split
        assert panels[0] == panels[1]  # cells that straddled zeros first need no more panels than others
        assert not cut[init, False]  # the first rule resolves both


def test_functions_are_finite_where_powers_of_the_dual_function_underflow():
    r""":math:`(\phi')^{-1}(z) \sim z^{20}`: early in training there are intervals without any curvature a double holds."""
    x = np.array([-1.0, -0.4, 0.1, 0.3, 0.8])
    init = sb.Initialization.rademacher(stats.uniform(-2, 4))
    problem = sb.Problem(sb.Dataset(x, [1, 0, 1, -1, 1e-300]), init, potential=sb.Scaled(sb.Power(1.05, quadratic=1)))
    for shift in (1e-14, 1e-16, 1e-17):
        path = sb.predict_path(problem, [shift, 0.1])
        assert path.outcome.ok and np.isfinite(path(QUERY)).all()


@pytest.mark.parametrize("offset", [1e4, 1e8])
def test_the_law_may_reach_far_beyond_the_data(offset):
    """A cell beyond the data is 1e8 of them wide; the line has its zero next to them."""
    x = np.array([-1, -0.3, 0.2, 0.6, 1.0]) + offset
    init = sb.Initialization.rademacher(stats.uniform(-offset - 2, 2 * offset + 4))
    data = sb.Dataset(x, [0.3, -0.1, 0.5, 0.0, 0.2])
    found = sb.predict(sb.Problem(data, init, potential=sb.Scaled(sb.Power(4, quadratic=1))))
    assert found.outcome is sb.Outcome.CONVERGED


@dataclasses.dataclass
class Mutable(Potential):
    """As a user would write it at first: a plain dataclass, which has no hash."""

    beta: float

    def value(self, u):
        xp = namespace(u)
        return u * xp.asinh(u / self.beta) - xp.sqrt(u * u + self.beta**2)

    def grad(self, u):
        return namespace(u).asinh(u / self.beta)

    def hess(self, u):
        return 1 / namespace(u).sqrt(u * u + self.beta**2)

    def grad_inverse(self, z):
        return self.beta * namespace(z).sinh(z)


def test_a_potential_that_cannot_be_hashed_is_predicted_trained_and_has_bands():
    known, own = (
        sb.Problem(sb.Dataset([-1, 0, 1], [0, 1, 0]), RADEMACHER, potential=sb.Scaled(phi))
        for phi in (sb.Hypentropy(0.5), Mutable(0.5))
    )
    with pytest.raises(TypeError, match="unhashable"):
        hash(own.potential)
    for of in (
        lambda problem: sb.predict(problem).function(QUERY),
        lambda problem: sb.predict(problem, time=3.0).function(QUERY),
        lambda problem: sb.error_band(problem, 400).std(QUERY),
        lambda problem: sb.error_band(problem, 400, time=3.0).std(QUERY),
        lambda problem: sb.train(problem, 40).function(QUERY),
    ):
        np.testing.assert_allclose(of(own), of(known), rtol=0, atol=1e-9)


class Lopsided(ByHand):
    """u^2/2 on one side and u^2 on the other."""

    def value(self, u):
        return np.where(np.asarray(u) > 0, 0.5, 1.0) * u * u


def test_a_potential_must_be_even():
    """The two halves are read as one: what is not even would be solved as something else."""
    with pytest.raises(sb.DataError, match=r"must be even, got .* phi\(1\) = 0.5 and phi\(-1\) = 1; symmetrize"):
        sb.Scaled(Lopsided())


def test_late_times_resolve_the_tails_that_the_limit_does():
    """The first grid hides a part of the tails that more nodes on it do not show."""
    init = sb.Initialization.rademacher(stats.laplace())
    data = sb.Dataset(SET_A.x, 100 * SET_A.y)
    problem = sb.Problem(data, init, sb.Abs(), sb.Scaled(sb.Hypentropy(0.1)))
    limit, late = sb.predict(problem), sb.predict(problem, time=1e12)
    assert limit.outcome is sb.Outcome.CONVERGED and late.outcome is sb.Outcome.REACHED_TIME
    np.testing.assert_allclose(late.penalty, limit.penalty, rtol=1e-9)
    np.testing.assert_allclose(late.function(QUERY), limit.function(QUERY), rtol=0, atol=1e-7)


def test_the_flow_stops_where_doubles_end():
    class Plain:
        """A Laplace law that does not know the logarithm of its density."""

        pdf, cdf, ppf, mean, var, support, rvs = (
            getattr(stats.laplace(), name) for name in ("pdf", "cdf", "ppf", "mean", "var", "support", "rvs")
        )

    init = sb.Initialization.rademacher(Plain())
    data = sb.Dataset(SET_A.x, 1e5 * SET_A.y)
    problem = sb.Problem(data, init, sb.Abs(), sb.Scaled(sb.Hypentropy(1e-3)))
    late = sb.predict(problem, time=1e12)
    assert late.outcome is sb.Outcome.STALLED and late.stats["time"] < 1e12


@pytest.mark.parametrize("init", [sb.Initialization.uniform(), sb.Initialization.gaussian()], ids=["uniform", "gaussian"])
def test_tiny_data_see_the_quadratic_part_only(init):
    """Beside u^2, u^6 is 1e-420 of it."""
    tiny = sb.Problem(sb.Dataset(SET_A.x, 1e-105 * SET_A.y), init, sb.Abs(), sb.Scaled(sb.Power(6, quadratic=1)))
    plain = sb.Problem(SET_A, init, sb.Abs())
    ours, known = sb.predict(tiny), sb.predict(plain)
    assert ours.outcome is sb.Outcome.CONVERGED
    np.testing.assert_allclose(ours.penalty / 1e-105**2, known.penalty, rtol=1e-12)
    np.testing.assert_allclose(ours.function(QUERY) / 1e-105, known.function(QUERY), rtol=0, atol=1e-13)
    np.testing.assert_allclose(ours.multipliers / 1e-105, 2 * known.multipliers, rtol=0, atol=1e-10)
    bands = [sb.error_band(problem, 100).std(QUERY) for problem in (tiny, plain)]
    np.testing.assert_allclose(bands[0] / 1e-105, bands[1], rtol=1e-10, atol=1e-15)


SHORT = (stats.uniform(-1, 2), stats.norm(), (-1, 1, 41))  # laws of W and B, and panels on which W has a density


@pytest.mark.parametrize(
    ("weight", "bias", "span", "p", "activation"),
    [
        (*SHORT, 1.05, sb.Abs()),
        nightly(*SHORT, 1.05, sb.ReLU()),
        nightly(*SHORT, 1.01, sb.Abs()),
        nightly(stats.norm(2, 1), stats.norm(), (-14, 18, 161), 1.02, sb.ReLU()),
        nightly(stats.norm(), stats.norm(), (-18, 18, 181), 1.01, sb.Abs()),
        nightly(stats.uniform(0.5, 1), stats.norm(3, 0.5), (0.5, 1.5, 21), 1.02, sb.ReLU()),
    ],
)
def test_powers_next_to_one_with_random_weights(weight, bias, span, p, activation):
    r"""Curvature goes with the power 1/(p - 1) of the dual value; far out the coordinate in which it is smooth overflows."""
    data = sb.Dataset(np.linspace(-1, 1, 5), np.sin(3 * np.linspace(-1, 1, 5)))
    law = weight, bias
    found = sb.predict(sb.Problem(data, sb.Initialization(*law), activation, sb.Scaled(sb.Power(p))))
    # not centred and p = 1.02 with ReLU: 1.4e-9 of the slope and offset that far neurons make, and INACCURATE
    assert found.outcome is sb.Outcome.CONVERGED or (p == 1.02 and found.residual < 1e-8)
    places, weights = np.polynomial.legendre.leggauss(16)

    def rule(edges):
        half = np.diff(edges)[:, None] / 2
        return (edges[:-1, None] + half * (1 + places)).ravel(), (half * weights).ravel()

    made = np.zeros(data.size)
    for w, share in zip(*rule(np.linspace(*span)), strict=True):
        grid = np.unique(np.r_[np.linspace(-25, 25, 2401), -w * data.x])
        g = found.multipliers @ activation.value(w * data.x[:, None] + grid)
        at = np.flatnonzero(g[:-1] * g[1:] < 0)
        zeros = grid[at] - g[at] * np.diff(grid)[at] / np.diff(g)[at]
        b, mass = rule(np.union1d(grid, zeros))
        features = activation.value(w * data.x[:, None] + b)
        g = found.multipliers @ features
        alpha = np.sign(g) * (np.abs(g) / p) ** (1 / (p - 1))
        made += share * (features * (alpha * law[0].pdf(w) * law[1].pdf(b) * mass)).sum(axis=1)
    np.testing.assert_allclose(made, data.y, rtol=0, atol=1e-9 if found.outcome.ok else 1e-7)


def test_masses_of_zero_count_nothing_where_curvature_overflows():
    """Warnings are errors here."""
    for masses, values in (([[0.0, 0.5]], [[math.inf, 4.0]]), ([[0.0], [0.5]], [[math.inf], [4.0]])):
        assert _average(np.array(masses), np.array(values)).sum() == 2.0


@pytest.mark.nightly
def test_nothing_is_printed_where_curvature_overflows_in_the_tails():
    """Coordinates of steep powers in `error_band`; warnings are errors here."""
    steep = sb.Initialization(stats.norm(), stats.uniform(-1.2, 2.4))
    data = sb.Dataset([0.18520551390942064, 0.5653973600093771], [-943.2254896086389, 1375.7948597156503])
    power = sb.Problem(data, steep, sb.Abs(), sb.Scaled(sb.Power(1.05)))
    assert np.isfinite(sb.error_band(power, 1000).std(data.x)).all()


@pytest.mark.parametrize("beta", [0.1, 10.0])
def test_hypentropy_where_one_side_has_no_weights(beta):
    """W > 0 and B = 0.7: one integral over w gives y back."""
    x = np.array([-0.9094, -0.8921, -0.4284, -0.2333, -0.1831])
    y = np.array([-0.4016, -0.4486, -0.9595, -0.6441, -0.5220])
    activation, weight = sb.LeakyReLU(0.1), stats.gamma(3)
    law = sb.Initialization.constant_bias(0.7, weight)
    found = sb.predict(sb.Problem(sb.Dataset(x, y), law, activation, sb.Scaled(sb.Hypentropy(beta))))
    assert found.outcome is sb.Outcome.CONVERGED

    def made(w, row):
        features = activation.value(w * x + 0.7)
        return features[row] * beta * math.sinh(found.multipliers @ features) * weight.pdf(w)

    zeros = np.sort(-0.7 / found.function.knots[found.function.knots != 0])
    edges = [0.0, *zeros[(zeros > 0) & (zeros < 60)], 60.0]
    for row, value in enumerate(y):
        parts = [integrate.quad(made, *pair, args=(row,), epsabs=1e-13)[0] for pair in pairwise(edges)]
        assert math.fsum(parts) == pytest.approx(value, abs=1e-9)


@pytest.mark.nightly
def test_hypentropy_with_exponential_tails_of_the_weights():
    r"""E[sigma_i alpha] = y_i on rays (w, b) = v (1, -c), of logarithms: the tail of W decides how large g may be."""
    law, beta = (stats.laplace(), stats.uniform(-1, 2)), 0.1
    found = sb.predict(sb.Problem(SET_A, sb.Initialization(*law), sb.Abs(), sb.Scaled(sb.Hypentropy(beta))))
    assert found.outcome is sb.Outcome.CONVERGED
    places, weights = np.polynomial.legendre.leggauss(10)

    def rule(edges):
        half = np.diff(edges)[:, None] / 2
        return (edges[:-1, None] + half * (1 + places)).ravel(), (half * weights).ravel()

    far, near = np.geomspace(1e-4, 1e5, 150), np.geomspace(1e-7, 0.5, 30)
    marks = np.concatenate([SET_A.x + side * step for side in (1, -1) for step in near] + [SET_A.x, found.function.knots])
    c, width = rule(np.unique(np.r_[-far, 0, far, marks[np.abs(marks) < 1e5]]))
    share, mass = rule(np.unique(np.r_[0, np.geomspace(1e-6, 1, 60)]))
    top = np.minimum(1 / np.abs(c), 1e5)[:, None]  # |b| <= 1
    features = np.abs(SET_A.x[:, None] - c)
    g, v = np.abs(found.multipliers @ features)[:, None], top * share
    log = -v - np.log(4) + np.log(v) + v * g + np.log(beta / 2) + np.log(-np.expm1(-2 * v * g))
    alpha = np.sign(found.multipliers @ features) * (np.exp(log) * v * top * mass).sum(axis=1)
    np.testing.assert_allclose(2 * (features * alpha * width).sum(axis=1), SET_A.y, rtol=0, atol=1e-5)


@pytest.mark.parametrize("potential", [sb.Power(1.3, 0.5), sb.Power(1.3)])
def test_curvature_whose_square_overflows_is_solved(potential):
    """Data near 0 under one bias, where the density is e^-1000 and smaller: only the penalty may be beyond doubles."""
    x, y = np.array([-3e-3, -2e-3, -1.6e-3, -1e-3, -6e-4]), np.array([0.3, -1.0, 0.5, 0.2, 1.3])
    law = sb.Initialization.constant_bias(0.7, stats.gamma(2.0))
    prediction = sb.predict(sb.Problem(sb.Dataset(x, y), law, sb.ReLU(), sb.Scaled(potential)))
    assert prediction.outcome is sb.Outcome.CONVERGED
    np.testing.assert_array_equal(prediction.function(x), y)
    assert np.isfinite(prediction.function(np.linspace(-3e-3, -1e-3, 50))).all()
    assert prediction.penalty > 1e50


@pytest.mark.parametrize(("p", "quadratic", "law"), [(12, 0.0, "uniform"), nightly(20, 1.0, "uniform"), (12, 1.0, "normal")])
def test_steep_powers_are_led_from_gentler_ones(p, quadratic, law):
    """Newton's method stalls on noisy data from the start that is good for p = 4; the curvature of smaller powers helps."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-1, 1, 300))
    init = RADEMACHER if law == "uniform" else sb.Initialization.rademacher(stats.norm())
    data = sb.Dataset(x, np.sin(5 * x) + 0.1 * rng.normal(size=x.size))
    found = sb.predict(sb.Problem(data, init, potential=sb.Scaled(sb.Power(p, quadratic=quadratic))))
    assert found.outcome is sb.Outcome.CONVERGED
    # the dual value by an independent route: Fenchel-Young equality with the penalty
    again = sb.penalty(found.function, found.problem) if law == "uniform" else found.penalty
    assert found.penalty == pytest.approx(again, rel=1e-6)


@pytest.mark.parametrize("p", [8, nightly(12)])
def test_steep_powers_on_many_noisy_points(p):
    """Dual values next to each other differ by twenty powers of ten there."""
    rng = np.random.default_rng(1)
    x = np.sort(rng.uniform(-1, 1, 10_000))
    data = sb.Dataset(x, np.sin(5 * x) + 0.1 * rng.normal(size=x.size))
    problem = sb.Problem(data, RADEMACHER, potential=sb.Scaled(sb.Power(p, quadratic=1)), affine="free")
    assert sb.predict(problem).outcome is sb.Outcome.CONVERGED


def test_a_steep_power_on_two_points():
    data = sb.Dataset([5.00429, 5.00884], [-2.0, 3.0])
    init = sb.Initialization.rademacher(stats.uniform(-0.00455, 0.0091))
    found = sb.predict(sb.Problem(data, init, sb.LeakyReLU(-3.0), sb.Scaled(sb.Power(15, quadratic=1.8))))
    assert found.outcome is sb.Outcome.CONVERGED


@pytest.mark.parametrize(("reach", "p"), [(1000, 4), (100, 8)])
def test_functions_are_smooth_beside_data_that_a_law_reaches_far_beyond(reach, p):
    """A cell hundreds of times as long as the data counts from the end next to them: third differences are rounding."""
    rng = np.random.default_rng(1)
    x = np.sort(rng.uniform(-1.4, 1.4, 30))
    data = sb.Dataset(x, np.cumsum(rng.normal(size=x.size)))
    init = sb.Initialization.rademacher(stats.uniform(-reach, 2 * reach))
    function = sb.predict(sb.Problem(data, init, potential=sb.Scaled(sb.Power(p, quadratic=1e-3)))).function
    for line in (x[0] - np.linspace(0.1, 0.11, 50), x[-1] + np.linspace(0.1, 0.11, 50)):
        values = function(line)
        assert np.abs(np.diff(values, 3)).max() < 1e-11 * np.abs(values).max()
