"""The functional of any function: the solvers' value at their solution, larger elsewhere."""

import math

import numpy as np
import pytest
import scipy.stats as st
from marks import nightly
from problems import (
    ACTIVATIONS,
    EACH_ACTIVATION_AND_POTENTIAL,
    EACH_LAW,
    LAWS,
    PUBLISHED,
    QUADRATIC_PROBLEMS,
    RANDOM_WEIGHT_PROBLEMS,
    SCALED,
    SCALED_PROBLEMS,
    SET_A,
    SET_B,
    UNIFORM,
)
from scipy.integrate import quad
from scipy.interpolate import CubicSpline, PPoly, make_interp_spline

import splinebias as sb
from splinebias.curvature_penalty.measured_curvature import Reader
from splinebias.curvature_penalty.slope_terms import Demand
from splinebias.limit.dual.responses.effective_response import SideResponse
from splinebias.limit.dual.responses.response import ResponseModel
from splinebias.limit.kernels.features import FeatureKernel

CATALOGUE = QUADRATIC_PROBLEMS | SCALED_PROBLEMS | RANDOM_WEIGHT_PROBLEMS
SAMPLE = [*EACH_LAW, *EACH_ACTIVATION_AND_POTENTIAL, "pytorch-abs-hypentropy"]


class Combination:
    """a f + b g of two functions that know their pieces."""

    def __init__(self, a, f, b, g):
        self.a, self.f, self.b, self.g = a, f, b, g
        self.edges = np.union1d(f.edges, g.edges)

    def __call__(self, x, nu=0):
        return self.a * self.f(x, nu) + self.b * self.g(x, nu)


class Bump:
    """(x - lo)^3 (hi - x)^3 between lo and hi, else 0: twice differentiable, no slope or offset at either end."""

    def __init__(self, lo, hi):
        self.edges = np.array([lo, hi])
        half = (hi - lo) / 2
        t = np.polynomial.Polynomial([-(lo + hi) / 2 / half, 1 / half])
        self.polynomial = (1 - t**2) ** 3

    def __call__(self, x, nu=0):
        inside = (x >= self.edges[0]) & (x <= self.edges[1])
        return np.where(inside, self.polynomial.deriv(nu)(x) if nu else self.polynomial(x), 0.0)


@pytest.mark.parametrize("name", [name if name in SAMPLE else nightly(name) for name in CATALOGUE])
def test_value_at_the_solution_is_the_solvers(name):
    problem = CATALOGUE[name]
    prediction = sb.predict(problem)
    assert sb.penalty(prediction.function, problem) == pytest.approx(prediction.penalty, rel=1e-8)


@pytest.mark.parametrize(
    ("law", "act", "potential"),
    [
        (sb.Initialization.gaussian(1.3, 0.7), sb.ReLU(), sb.Power(1.5)),
        (sb.Initialization.pytorch_default(), sb.Abs(), sb.Power(3, quadratic=1)),
    ],
    ids=str,
)
def test_effective_potentials_and_sizes_of_weights_are_twins(law, act, potential, monkeypatch):
    """Of a function that is no solution: by functions of one variable, and integrated over |w| at every breakpoint."""
    problem = sb.Problem(SET_A, law, act, sb.Scaled(potential))
    function = Combination(1.0, sb.predict(problem).function, 0.3, Bump(-0.7, 0.4))
    found = sb.penalty(function, problem)
    monkeypatch.setattr(SideResponse, "at", lambda of, c: ResponseModel.at(of.side, of.potential, c))
    assert found == pytest.approx(sb.penalty(function, problem), rel=1e-12)


@pytest.mark.parametrize("affine", ["network", "free"])
@pytest.mark.parametrize("deviation", [1e-3, 0.01, 0.03])
def test_breakpoints_in_a_narrow_bunch(deviation, affine):
    """The function is all but straight between the data and bends within 0.001 of one of them."""
    problem = sb.Problem(SET_A, sb.Initialization.rademacher(st.norm(0, deviation)), affine=affine)
    prediction = sb.predict(problem)
    assert sb.penalty(prediction.function, problem) == pytest.approx(prediction.penalty, rel=1e-10)


@pytest.mark.parametrize("potential", [sb.Quadratic(), sb.Scaled(sb.Power(3, quadratic=1))], ids=str)
@pytest.mark.parametrize("act", ACTIVATIONS)
@pytest.mark.parametrize("gap", [1e-6, 1e-8, 1e-10, 1e-12])
def test_points_close_together(gap, act, potential):
    """The solution rises by 0.01 on the gap: slopes of 1e10 and curvature of 1e20 are no kinks."""
    data = sb.Dataset([-1, -0.2, 0, gap, 0.2, 1], [0, 0, 0.3, 0.31, 0, 0])
    for law in ("uniform-bias", "unit-circle"):
        problem = sb.Problem(data, LAWS[law], ACTIVATIONS[act], potential)
        prediction = sb.predict(problem)
        assert sb.penalty(prediction.function, problem) == pytest.approx(prediction.penalty, rel=1e-10)


def drawn_problem(seed, potentials):
    """Random data, a few with a close pair, at a random scale of y and of x, the breakpoints scaled along."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-1, 1, rng.integers(3, 12)), rng.normal(size=12)
    x = np.r_[x, x[0] + 10 ** rng.uniform(-9, -3)] if rng.random() < 0.25 else x
    unit = 10 ** rng.uniform(-6, 8)
    bias = [st.uniform(-1, 2), st.norm(0.2, 0.6), st.t(5), st.laplace(0.1, 0.4), st.gamma(2, -1.5, 0.7)][rng.integers(5)]
    shape, loc, scale = bias.dist._parse_args(*bias.args, **bias.kwds)
    weight = [sb.Rademacher(), sb.Discrete((0.7, -1.5), (0.4, 0.6)), sb.Discrete((-2.0, 1.0, 3.0), (0.2, 0.5, 0.3))]
    law = sb.Initialization(weight[rng.integers(3)], bias.dist(*shape, loc=loc * unit, scale=scale * unit))
    activation = [sb.ReLU(), sb.Abs(), sb.LeakyReLU(0.3), sb.LeakyReLU(-0.5)][rng.integers(4)]
    data = sb.Dataset(unit * x, 10 ** rng.uniform(-6, 6) * y[: x.size])
    return sb.Problem(data, law, activation, potentials[rng.integers(len(potentials))], str(rng.choice(["network", "free"])))


DRAWN = {
    "quadratic": ([sb.Quadratic()], 20),
    "powers": ([sb.Scaled(sb.Power(p)) for p in (1.1, 1.5, 2, 3, 10)] + [sb.Scaled(sb.Power(4, quadratic=1))], 6),
    "hypentropy": ([sb.Scaled(sb.Hypentropy(beta)) for beta in (1e-2, 1.0, 10.0)], 6),
}


@pytest.mark.parametrize("kind", DRAWN)
def test_value_at_the_solution_for_drawn_problems(kind):
    potentials, count = DRAWN[kind]
    for seed in range(count):
        problem = drawn_problem(seed, potentials)
        prediction = sb.predict(problem)
        assert prediction.outcome is sb.Outcome.CONVERGED, (seed, problem)
        assert sb.penalty(prediction.function, problem) == pytest.approx(prediction.penalty, rel=1e-8), (seed, problem)


def test_published_minimum():
    problem, _, minimum = PUBLISHED["A"]
    assert sb.penalty(sb.predict(problem).function, problem) == pytest.approx(minimum, abs=5e-10)
    for points, digits in [(129, 2e-3), (1025, 4e-5)]:
        assert sb.penalty(sb.GridSolver(points).solve(problem).function, problem) == pytest.approx(minimum, rel=digits)


@pytest.mark.parametrize("name", [name for name in SAMPLE if not name.startswith(("gaussian-relu-u4", "student"))])
def test_the_solution_is_the_least_of_all_interpolants(name):
    problem = CATALOGUE[name]
    x = problem.data.x
    best = sb.predict(problem)
    bump = Bump(x[0], 0.7 * x[0] + 0.3 * x[1])  # zero at all data
    above, below = (sb.penalty(Combination(1, best.function, step, bump), problem) for step in (0.01, -0.01))
    assert above > best.penalty * (1 + 1e-9)
    assert below > best.penalty * (1 + 1e-9)
    # first-order optimality: the two excesses differ by the third order in the step, which squares do not have
    excess = above + below - 2 * best.penalty
    assert abs(above - below) < (0.25 if problem.scaled else 1e-8) * excess


def literal(f, bias, points):
    """G1 and G2 + G3 of Liang & Montufar (2025) for W = +-1 and an even law of B, by scipy's quadrature."""
    lo, hi = bias.support()
    cuts = [p for p in points if lo < p < hi]
    g1 = quad(lambda c: float(f(np.array(c), 2)) ** 2 / bias.pdf(c), lo, hi, points=cuts, limit=400, epsabs=1e-12)[0]
    tie = quad(lambda c: float(f(np.array(c), 2)) * abs(c), lo, hi, points=[*cuts, 0.0], limit=400, epsabs=1e-12)[0]
    slopes = float(f(np.array(hi), 1) + f(np.array(lo), 1))
    return g1, slopes**2 + (tie - 2 * float(f(np.array(0.0)))) ** 2 / bias.moment(2)


@pytest.mark.parametrize("bias", [st.uniform(-1, 2), st.uniform(-2, 4), st.triang(0.5, -1.5, 3)], ids=["1", "2", "triangle"])
def test_the_functional_for_any_law_reduces_to_the_published_one(bias):
    problem = sb.Problem(SET_A, sb.Initialization.rademacher(bias))
    solution = sb.predict(problem).function
    line = PPoly([[0.7], [-2.0]], [-1.0, 1.0])
    natural = CubicSpline(SET_A.x, SET_A.y + 3, bc_type="natural")
    tangent = sb.WeightedSpline.from_curvature(  # the same function, continued by its tangents
        SET_A.x,
        natural(SET_A.x[:-1, None] + np.diff(SET_A.x)[:, None] * (0.5 + np.array([-1, 1]) / np.sqrt(12)), 2),
        SET_A.x,
        SET_A.y + 3,
        SET_A.x,
        exact=True,
    )
    for f, read in [(solution, solution), (natural, tangent), (line, line)]:
        assert sb.penalty(f, problem) == pytest.approx(sum(literal(read, bias, getattr(f, "edges", SET_A.x))), rel=1e-7)


@pytest.mark.parametrize("affine", ["network", "free"])
def test_bends_and_slope_terms_are_told_apart(affine):
    """The first is G1 of Liang & Montufar (2025), the second G2 + G3: none if slope and offset are free."""
    problem = sb.Problem(SET_A, UNIFORM, affine=affine)
    f = sb.predict(problem).function
    reader = Reader(UNIFORM.breakpoint_law, 1, SET_A.x)
    measured = reader.smooth(f, FeatureKernel(reader.law, sb.ReLU()).cells(SET_A.x))
    demand = Demand(reader, measured, sb.ReLU(), 0 if problem.free else 2).met(1e-6)
    bends, slopes = literal(f, st.uniform(-1, 2), f.edges)
    assert demand.bending_cost() == pytest.approx(bends, rel=1e-7)
    assert demand.slope_cost() == pytest.approx(0.0 if problem.free else slopes, rel=1e-7)


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_lines_cost_what_the_affine_part_costs(act):
    # f = 0.7 x - 2 without any curvature in total: only sides that trade curvature can make it
    problem = sb.Problem(SET_A, UNIFORM, ACTIVATIONS[act])
    line = PPoly([[0.7], [-2.7]], [-1.0, 1.0])  # coefficients in powers of x + 1
    if act == "abs":
        assert sb.penalty(line, problem) == math.inf
        return
    # zeta_+ zeta_-/zeta = 1/8 on (-1, 1), hence G = (p + q)^2 diag(1/4, 1/12), and d = (0.7, 2)
    cost = (0.7**2 * 4 + 2**2 * 12) / (1 + ACTIVATIONS[act].left) ** 2
    assert sb.penalty(line, problem) == pytest.approx(cost, rel=1e-12)
    assert sb.penalty(line, sb.Problem(SET_A, UNIFORM, ACTIVATIONS[act], affine="free")) == 0.0


def test_free_affine_part_and_constant_zeta_measure_bending_energy():
    problem = sb.Problem(SET_A, UNIFORM, affine="free")
    for bc in ("natural", "clamped", "not-a-knot"):
        f = CubicSpline(SET_A.x, SET_A.y, bc_type=bc)
        energy = PPoly(f.derivative(2).c, f.x)
        square = sum(  # Simpson's rule is exact for a quadratic
            (b - a) / 6 * (energy(a) ** 2 + 4 * energy((a + b) / 2) ** 2 + energy(b - 1e-12) ** 2)
            for a, b in zip(f.x[:-1], f.x[1:], strict=True)
        )
        assert sb.penalty(f, problem) == pytest.approx(2 * square, rel=1e-9)  # zeta = p_B = 1/2


@pytest.mark.parametrize("law", ["unit-circle", "gaussian-bias", "constant-bias", "one-sided"])
@pytest.mark.parametrize(
    "potential", [sb.Quadratic(), sb.Scaled(sb.Quadratic()), sb.Scaled(sb.Power(2)), sb.Scaled(sb.Power(3))]
)
def test_homogeneity(law, potential):
    problem = sb.Problem(SET_A, LAWS[law], sb.ReLU(), potential)
    f = sb.predict(sb.Problem(SET_A, LAWS[law])).function
    zero = PPoly([[0.0]], [-1.0, 1.0])
    degree = 3 if potential == sb.Scaled(sb.Power(3)) else 2
    one = sb.penalty(f, problem)
    assert 0 < one < math.inf
    for factor in (-1.0, 1e-3, 20.0):
        scaled = sb.penalty(Combination(factor, f, 0.0, Bump(0.0, 1.0)), problem)
        assert scaled == pytest.approx(abs(factor) ** degree * one, rel=1e-7)
    assert sb.penalty(zero, problem) == 0.0


@pytest.mark.parametrize("law", ["gaussian", "uniform-bias", "one-sided"])
def test_three_ways_to_write_the_quadratic_potential(law):
    f = sb.predict(sb.Problem(SET_A, LAWS[law])).function
    unscaled, half, whole = (
        sb.penalty(f, sb.Problem(SET_A, LAWS[law], sb.ReLU(), potential))
        for potential in (sb.Power(4, quadratic=1), sb.Scaled(sb.Quadratic()), sb.Scaled(sb.Power(2)))
    )
    assert half == pytest.approx(unscaled / 2, rel=1e-12)
    assert whole == pytest.approx(unscaled, rel=1e-9)  # through the dual, |u|^2 = 2 u^2/2


@pytest.mark.parametrize("name", ["gaussian-relu-network", "pytorch-leaky-network"])
def test_reflection(name):
    problem = QUADRATIC_PROBLEMS[name]
    f = sb.predict(problem).function
    mirrored = sb.Problem(sb.Dataset(-problem.data.x, problem.data.y), problem.initialization, problem.activation)

    class Mirror:
        edges = -f.edges[::-1]

        def __call__(self, x, nu=0):
            return (-1) ** nu * f(-x, nu)

    assert sb.penalty(Mirror(), mirrored) == pytest.approx(sb.penalty(f, problem), rel=1e-9)


def test_smooth_functions_without_pieces():
    problem = sb.Problem(SET_A, sb.Initialization.gaussian(), affine="free")

    def gaussian(x, nu=0):  # derivatives by Hermite polynomials
        return np.exp(-(x**2)) * (1.0, -2 * x, 4 * x**2 - 2)[nu]

    exact = quad(lambda c: gaussian(c, 2) ** 2 / problem.initialization.zeta(c), -12, 12, limit=400, epsabs=1e-12)[0]
    assert sb.penalty(gaussian, problem) == pytest.approx(exact, rel=1e-10)


# -- infinite values -----------------------------------------------------------------------------------------------------


def test_functions_that_no_density_of_neurons_makes():
    wide = sb.Problem(SET_A, sb.Initialization.gaussian())
    natural = CubicSpline(2 * SET_A.x, SET_A.y, bc_type="natural")
    assert sb.penalty(natural, sb.Problem(SET_A, UNIFORM)) == math.inf  # curves where no breakpoint is
    assert sb.penalty(natural, wide) < math.inf
    assert sb.penalty(natural, sb.Problem(SET_A, sb.Initialization.gaussian(), sb.Abs())) == math.inf  # no symmetry
    assert sb.penalty(make_interp_spline(SET_A.x, SET_A.y, k=3), wide) == math.inf  # cubic for ever
    corner = PPoly([[-1.0, 1.0], [1.0, 0.0]], [-1.0, 0.0, 1.0])
    assert sb.penalty(corner, wide) == math.inf  # a kink
    jump = PPoly([[0.0, 1.0]], [-1.0, 0.0, 1.0])
    assert sb.penalty(jump, wide) == math.inf
    assert sb.penalty(lambda x, nu=0: (np.cos(x), -np.sin(x), -np.cos(x))[nu], wide) == math.inf  # does not decay


def test_one_sided_breakpoints_tie_slope_and_offset_to_the_curvature():
    problem = QUADRATIC_PROBLEMS["constant-bias-relu-network"]
    f = sb.predict(problem).function
    line = PPoly([[1.0], [0.0]], [-1.0, 1.0])
    line.edges = line.x
    assert sb.penalty(f, problem) < math.inf
    assert sb.penalty(Combination(1.0, f, 1e-3, line), problem) == math.inf
    free = sb.Problem(problem.data, problem.initialization, affine="free")
    assert sb.penalty(Combination(1.0, f, 1e-3, line), free) == pytest.approx(sb.penalty(f, free), rel=1e-9)


# -- networks ------------------------------------------------------------------------------------------------------------


def sampled_network(problem, width, seed):
    """A network whose output weights are those of the exact limit: alpha(w, b) / width."""
    w, b, _ = problem.initialization.sample(width, np.random.default_rng(seed))
    prediction = sb.predict(problem)
    features = problem.activation.value(np.outer(w, problem.data.x) + b[:, None])
    a = problem.limit_potential.grad_inverse(features @ prediction.multipliers) / width
    return sb.PiecewiseLinear.from_units(w, b, a, 0.0, problem.activation), prediction.penalty


@pytest.mark.parametrize(
    "problem",
    [
        sb.Problem(SET_A, UNIFORM),
        sb.Problem(SET_A, sb.Initialization.gaussian()),
        sb.Problem(SET_B, UNIFORM, sb.Abs(), sb.Scaled(SCALED["u3+u2"])),
    ],
    ids=["relu", "gaussian", "abs-u3"],
)
def test_sampled_networks_approach_the_minimum(problem):
    widths = [250, 1000, 4000, 16000]
    deviation = []
    for width in widths:
        runs = [sampled_network(problem, width, seed) for seed in range(8)]
        values = np.array([sb.penalty(f, problem) / minimum - 1 for f, minimum in runs])
        deviation.append(np.sqrt((values**2).mean()))
    assert -np.polyfit(np.log(widths), np.log(deviation), 1)[0] > 0.35  # the sampling rate is 1/2, bins add no slower term
    assert deviation[-1] < 0.2


def test_more_bins_than_kinks_cost_without_bound_and_one_bin_costs_little():
    problem = sb.Problem(SET_A, UNIFORM, affine="free")
    network, minimum = sampled_network(sb.Problem(SET_A, UNIFORM), 400, 0)
    costs = [sb.penalty(network, problem, smoothing=bins) for bins in 4 ** np.arange(9)]
    assert (np.diff(costs) >= -1e-12 * costs[-1]).all()  # nested bins: Jensen's inequality
    assert costs[0] < minimum < costs[-1]
    assert costs[-1] / costs[-2] == pytest.approx(4, rel=0.1)  # one kink per bin: one over its width


def test_kinks_outside_the_support():
    problem = sb.Problem(SET_A, UNIFORM)
    near = sb.PiecewiseLinear([-0.5, 1.001], [0.0, 1.0], 0.0, 0.0)
    far = sb.PiecewiseLinear([-0.5, 1.7], [0.0, 1.0], 0.0, 0.0)
    assert sb.penalty(near, problem, smoothing=4) < math.inf
    assert sb.penalty(far, problem, smoothing=4) == math.inf


def test_a_linear_network_has_no_kinks_to_smooth():
    line = sb.PiecewiseLinear([0.0], [0.0], 1.0, 1.0)
    assert sb.penalty(line, sb.Problem(SET_A, UNIFORM)) == pytest.approx(4.0, rel=1e-12)  # slope^2 / (1/4)


# -- refusals ------------------------------------------------------------------------------------------------------------


def test_arguments_are_checked():
    problem = sb.Problem(SET_A, UNIFORM)
    with pytest.raises(sb.DataError, match=r"`problem` must be an sb.Problem"):
        sb.penalty(np.sin, SET_A)
    for wrong in (np.sin, lambda x: x, lambda x, nu=0: (x, 1 + 0 * x)[nu], np.polynomial.Polynomial([1, 2])):
        with pytest.raises(sb.DataError, match=r"`f` must answer f\(x, nu\) .* at nu = 2\); give its derivatives too"):
            sb.penalty(wrong, problem)
    for wrong in ("f", None, 3.0):
        with pytest.raises(sb.DataError, match="`f` must be a function of x, or have one as its `function`, got"):
            sb.penalty(wrong, problem)
    for wrong in (lambda x, nu=0: 0.0, lambda x, nu=0: x[1:], lambda x, nu=0: x + 0j):
        with pytest.raises(sb.DataError, match="`f` must give real numbers of the shape of x, got .*use numpy functions"):
            sb.penalty(wrong, problem)
    with pytest.raises(sb.DataError, match="`f` must give finite numbers, got nan at x = "):
        sb.penalty(lambda x, nu=0: x * np.nan, problem)
    heavy = sb.Initialization.rademacher(st.t(2.5))
    with pytest.raises(sb.DataError, match="needs an exponential moment of the `bias` law"):
        sb.penalty(np.sin, sb.Problem(SET_A, heavy, potential=sb.Scaled(sb.Hypentropy(1.0))))
    with pytest.raises(sb.DataError, match="needs a finite moment of order 4 of the `bias` law"):
        sb.penalty(np.sin, sb.Problem(SET_A, heavy, sb.ReLUPower(2)))
    with pytest.raises(sb.CapabilityError, match=r"with ReLUPower\(power=2\) is for quadratic problems only"):
        sb.penalty(np.sin, sb.Problem(SET_A, UNIFORM, sb.ReLUPower(2), sb.Scaled(sb.Power(3))))
    with pytest.raises(sb.DataError, match="`smoothing` is for networks .* only, got 5"):
        sb.penalty(CubicSpline(SET_A.x, SET_A.y), problem, smoothing=5)
    network, _ = sampled_network(problem, 100, 0)
    for bins in (0, 2.5, True):
        with pytest.raises(sb.DataError, match="`smoothing` must be a whole number >= 1"):
            sb.penalty(network, problem, smoothing=bins)
