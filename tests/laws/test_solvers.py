"""Laws that every infinite-width solution obeys, over the catalogue of problems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import scipy.stats as st
from marks import nightly
from problems import (
    ACTIVATIONS,
    EACH_ACTIVATION_AND_POTENTIAL,
    EACH_LAW,
    EACH_LAW_AND_POTENTIAL,
    LAWS,
    PUBLISHED,
    QUADRATIC_PROBLEMS,
    QUERY,
    RANDOM_WEIGHT_PROBLEMS,
    SCALED_PROBLEMS,
    SET_A,
    SET_B,
    UNIFORM,
    random_data,
)
from scipy.interpolate import CubicSpline

import splinebias as sb
from splinebias.initialization.laws import as_law
from splinebias.limit.hypotheses import require_reachable
from splinebias.limit.kernels.features import FeatureKernel
from splinebias.limit.posed_problem import PosedProblem
from splinebias.numerics.legendre import gauss_legendre

LINE = np.linspace(-2.5, 2.5, 101)
QUADRATIC = [nightly(name) if name.startswith("student") and name not in EACH_LAW else name for name in QUADRATIC_PROBLEMS]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_numbers(name: str) -> None:
    """Theory section 10 to 1e-8: quadratic problems by every exact solver, scaled ones by the one that takes them."""
    problem, values, minimum = PUBLISHED[name]
    exact = [sb.DualSolver()] if name in ("B-u3", "B-u4") else [sb.DualSolver(), sb.BandedSolver(), sb.KernelSolver()]
    for solver in exact:
        prediction = sb.predict(problem, solver)
        assert prediction.outcome is sb.Outcome.CONVERGED
        np.testing.assert_allclose(prediction.function(QUERY), values, rtol=0, atol=1e-8)
        assert minimum is None or prediction.penalty == pytest.approx(minimum, rel=1e-11)


@pytest.mark.parametrize("name", QUADRATIC)
def test_banded_and_kernel_are_twins(name: str) -> None:
    problem = QUADRATIC_PROBLEMS[name]
    fast, dense = sb.predict(problem, sb.BandedSolver()), sb.predict(problem, sb.KernelSolver())
    size = np.abs(dense.function(LINE)).max()
    matrix = FeatureKernel(problem.initialization.breakpoint_law, problem.activation).matrix(SET_A.x, SET_A.x)
    loss = 1e-15 * max(np.linalg.cond(matrix), 1e5)  # what the dense solve cannot know
    np.testing.assert_allclose(fast.function(LINE), dense.function(LINE), rtol=0, atol=loss * size)
    np.testing.assert_allclose(fast.function(LINE, 1), dense.function(LINE, 1), rtol=0, atol=10 * loss * size)
    assert fast.penalty == pytest.approx(dense.penalty, rel=loss)
    np.testing.assert_allclose(fast.multipliers, dense.multipliers, rtol=0, atol=10 * loss * np.abs(dense.multipliers).max())
    assert fast.residual < 1e-12


@pytest.mark.parametrize("name", QUADRATIC)
def test_minimum_is_the_pairing_of_data_and_multipliers(name: str) -> None:
    prediction = sb.predict(QUADRATIC_PROBLEMS[name])
    assert prediction.penalty == pytest.approx(prediction.multipliers @ SET_A.y, rel=1e-9)


class Neurons(NamedTuple):
    """The law of the neurons as a sum: breakpoint, side and |w| of each, sum_i lambda_i sigma(w x_i + b), and mass.

    A composite Gauss rule of its own. Panels double in width away from the data, are cut at data, law knots, `kinks` and
    zeros of the sum over i, and graded towards each cut.
    """

    problem: sb.Problem
    breakpoints: np.ndarray
    sides: np.ndarray
    weights: np.ndarray
    dual: np.ndarray
    mass: np.ndarray

    @classmethod
    def of(cls, problem: sb.Problem, multipliers: np.ndarray, kinks: Sequence[float] = ()) -> Neurons:
        law, act, data = problem.initialization.breakpoint_law, problem.activation, problem.data

        def g(c: np.ndarray, side: int) -> np.ndarray:
            return np.einsum("i,i...->...", multipliers, act.value(side * (data.x.reshape(-1, *[1] * c.ndim) - c)))

        free = problem.affine == "free"  # then g = 0 outside the data, up to rounding that far tails would magnify
        zeros = []
        for side in (1, -1):
            values = g(data.x, side)
            for lo, hi, a, b in zip(data.x, data.x[1:], values, values[1:], strict=False):
                if a * b < 0:
                    zeros.append(lo + (hi - lo) * a / (a - b))
            for end in () if free else (data.x[0] - 1, data.x[-1] + 1):  # g is affine beyond the data
                near, far = g(np.array([end, 3 * end]), side)
                if near != far:
                    zeros.append(end + 2 * end * near / (near - far))
        far = 2.0 ** np.arange(0, 120)
        cuts = np.unique(np.r_[data.x, kinks, law.knots, law.landmarks, zeros, -far - 1, far + 1])
        cuts = np.unique(np.clip(cuts, *(data.span if free else law.support)))
        grading = np.r_[0.0, 2.0 ** np.arange(-36, 0, 1.5), 1 - 2.0 ** -np.arange(1.5, 36, 1.5), 1.0]
        edges = np.unique(cuts[:-1, None] + np.diff(cuts)[:, None] * grading)
        places, rule = gauss_legendre(12)
        c = (edges[:-1, None] + np.diff(edges)[:, None] * places).ravel()
        panels = (np.diff(edges)[:, None] * rule).ravel()
        found = []
        for side in (1, -1):
            v, rho = np.broadcast_arrays(*law.slices(c, side))
            for atom in range(rho.shape[1]):
                dual = np.where(rho[:, atom] > 0, v[:, atom] * g(c, side), 0.0)
                found.append((c, np.full(c.shape, side), v[:, atom], dual, rho[:, atom] * panels))
        return cls(problem, *(np.concatenate(parts) for parts in zip(*found, strict=True)))

    def mean(self, x: float) -> float:
        """E[alpha sigma(wx + b)] with phi'(alpha) = sum_i lambda_i sigma(w x_i + b)."""
        alpha = self.problem.limit_potential.grad_inverse(self.dual)
        feature = self.weights * self.problem.activation.value(self.sides * (x - self.breakpoints))
        return float((self.mass * alpha * feature).sum())


@pytest.mark.parametrize("name", EACH_ACTIVATION_AND_POTENTIAL)
def test_solution_is_the_mean_over_neurons(name: str) -> None:
    """Optimality and interpolation, from the multipliers alone and by another quadrature."""
    problem = SCALED_PROBLEMS[name]
    prediction = sb.predict(problem)
    assert prediction.outcome is sb.Outcome.CONVERGED
    points = [*problem.data.x, -1.4, 0.1, 1.7]
    values = np.array([Neurons.of(problem, prediction.multipliers, [x]).mean(x) for x in points])
    rest = values - prediction.function(points)
    if problem.affine == "free":
        assert abs(prediction.multipliers.sum()) < 1e-9 * np.abs(prediction.multipliers).max()
        rest -= np.polyval(np.polyfit(points, rest, 1), points)
    assert np.abs(rest).max() < 1e-9


@pytest.mark.parametrize("name", RANDOM_WEIGHT_PROBLEMS)
def test_random_weights_against_monte_carlo(name: str) -> None:
    """E[alpha sigma] over a million draws of (W, B) meets the data at the Monte-Carlo rate: within five standard errors."""
    problem = RANDOM_WEIGHT_PROBLEMS[name]
    prediction = sb.predict(problem)
    assert prediction.outcome is sb.Outcome.CONVERGED
    w, b, _ = problem.initialization.sample(1_000_000, np.random.default_rng(7))
    features = problem.activation.value(np.outer(problem.data.x, w) + b)
    alpha = problem.limit_potential.grad_inverse(prediction.multipliers @ features)
    error = (features * alpha).std(axis=1) / 1e3
    assert (np.abs((features * alpha).mean(axis=1) - problem.data.y) < 5 * error).all()
    cost = problem.limit_potential.cost(alpha)
    assert abs(cost.mean() - prediction.penalty) < 5 * cost.std() / 1e3


def test_powers_and_hypentropy_need_moments() -> None:
    heavy = LAWS["heavy-bias"]
    for phi, words in ((sb.Hypentropy(1), "an exponential moment"), (sb.Power(1.5), "a finite moment of order 3")):
        with pytest.raises(sb.DataError, match=f"needs {words} of the `bias` law, and t\\(2.5\\) has none"):
            sb.predict(sb.Problem(SET_B, heavy, potential=sb.Scaled(phi)))
        free = sb.predict(sb.Problem(SET_B, heavy, potential=sb.Scaled(phi), affine="free"))
        assert free.outcome is sb.Outcome.CONVERGED
    for law in (st.norm(), st.laplace(0, 2), st.gamma(0.5), st.uniform(-1, 2), st.expon(-1)):
        assert as_law(law, "bias").has_moment(np.inf)
    for law in (st.lognorm(1), st.weibull_min(0.5), st.t(50), st.pareto(30)):
        assert not as_law(law, "bias").has_moment(np.inf)
    assert as_law(st.t(3.1), "bias").has_moment(3)
    assert not as_law(st.t(2.9), "bias").has_moment(3)


CONJUGATES = {  # phi*(z) for z >= 0, by the formula; for cubic and quartic z u - phi(u) at the root u of phi'(u) = z
    "u1.5": lambda z: 4 * z**3 / 27,
    "u3+u2": lambda z: z * _cubic(z) - _cubic(z) ** 3 - _cubic(z) ** 2,
    "u4+u2": lambda z: z * _quartic(z) - _quartic(z) ** 4 - _quartic(z) ** 2,
    "u4": lambda z: 3 * (z / 4) ** (4 / 3),
    "hypentropy": lambda z: np.cosh(z) - 1,
}


def _cubic(z: np.ndarray) -> np.ndarray:
    """3 u^2 + 2 u = z."""
    return np.asarray(z / (1 + np.sqrt(1 + 3 * z)))


def _quartic(z: np.ndarray) -> np.ndarray:
    """4 u^3 + 2 u = z, by the hyperbolic formula for cubics with one real root."""
    return np.asarray(np.sqrt(2 / 3) * np.sinh(np.arcsinh(z * np.sqrt(27 / 8)) / 3))


@pytest.mark.parametrize("name", EACH_LAW_AND_POTENTIAL)
def test_fenchel_equality_at_the_optimum(name: str) -> None:
    r"""Strong duality: the penalty equals lambda^T y - E[phi^*(g)], the conjugate by its formula and the mean by a rule."""
    problem = SCALED_PROBLEMS[name]
    prediction = sb.predict(problem)
    neurons = Neurons.of(problem, prediction.multipliers)
    conjugate = CONJUGATES[name.split("-")[-2]]
    dual = prediction.multipliers @ problem.data.y - float((neurons.mass * conjugate(np.abs(neurons.dual))).sum())
    assert prediction.penalty == pytest.approx(dual, rel=1e-9)


def test_scaled_quadratic_is_unscaled() -> None:
    for name in EACH_LAW:
        problem = QUADRATIC_PROBLEMS[name]
        scaled = sb.Problem(SET_A, problem.initialization, problem.activation, sb.Scaled(sb.Quadratic()), problem.affine)
        # Power(2, quadratic=0) is u^2: the same minimizer through the Newton solver
        newton = sb.Problem(SET_A, problem.initialization, problem.activation, sb.Scaled(sb.Power(2)), problem.affine)
        if name.startswith(("gaussian-relu", "pytorch", "student")):
            newton = scaled
        reference = sb.predict(problem).function(LINE)
        np.testing.assert_allclose(sb.predict(scaled).function(LINE), reference, rtol=0, atol=1e-12)
        np.testing.assert_allclose(sb.predict(newton).function(LINE), reference, rtol=0, atol=1e-10)


@pytest.mark.parametrize("size", [2, 3, 10, 1000])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_constant_zeta_and_free_affine_part_is_the_natural_cubic_spline(size: int, activation: str) -> None:
    data = random_data(size, size)
    f = sb.predict(sb.Problem(data, UNIFORM, ACTIVATIONS[activation], affine="free")).function
    inside = np.linspace(*data.span, 997)
    natural = CubicSpline(data.x, data.y, bc_type="natural") if size > 2 else CubicSpline(data.x, data.y)
    expected = natural(inside)
    np.testing.assert_allclose(f(inside), expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_free_affine_part_is_affine_outside_the_data() -> None:
    f = sb.predict(sb.Problem(SET_A, LAWS["gaussian"], affine="free")).function
    assert np.abs(f(np.array([-50.0, -1.01, 1.01, 70.0]), 2)).max() < 1e-13
    assert np.abs(sb.predict(sb.Problem(SET_A, LAWS["gaussian"])).function(1.2, 2)) > 1e-3


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("p", [1.1, 1.5, 2, 3, 4, 10])
@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_pure_powers_are_homogeneous(scale: float, p: float, activation: str) -> None:
    """phi = |u|^p: f is linear along rays of y although not in y, from the same cold start at every scale."""
    problem = sb.Problem(SET_B, UNIFORM, ACTIVATIONS[activation], sb.Scaled(sb.Power(p)))
    larger = sb.Problem(sb.Dataset(SET_B.x, scale * SET_B.y), UNIFORM, ACTIVATIONS[activation], problem.potential)
    one, other = sb.predict(problem), sb.predict(larger)
    assert one.outcome is sb.Outcome.CONVERGED
    assert other.outcome is sb.Outcome.CONVERGED
    np.testing.assert_allclose(other.function(LINE) / scale, one.function(LINE), rtol=0, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(
    "phi",
    [sb.Power(1.1, quadratic=1), sb.Power(4, quadratic=1), sb.Power(10, quadratic=0.1), *map(sb.Hypentropy, (10, 1, 1e-3))],
    ids=str,
)
@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_newton_converges_from_cold_at_any_scale(scale: float, phi: sb.Power, activation: str) -> None:
    data = sb.Dataset(SET_B.x, scale * SET_B.y)
    if isinstance(phi, sb.Hypentropy) and scale == 1e6:
        phi = sb.Hypentropy(phi.beta * 1e3)
    prediction = sb.predict(sb.Problem(data, UNIFORM, ACTIVATIONS[activation], sb.Scaled(phi)))
    assert prediction.outcome is sb.Outcome.CONVERGED, prediction
    assert prediction.residual < 1e-11


def test_small_beta_makes_curvature_sparse() -> None:
    """Hypentropy interpolates between the quadratic solution (large beta) and few bends (small beta): less total bend."""
    bends = []
    for beta in (100.0, 1.0, 1e-2, 1e-4):
        f = sb.predict(sb.Problem(SET_A, UNIFORM, sb.ReLU(), sb.Scaled(sb.Hypentropy(beta)))).function
        grid = np.linspace(-1, 1, 20001)
        bends.append(np.abs(np.diff(f(grid, 1))).sum())
    assert bends == sorted(bends, reverse=True)
    quadratic = sb.predict(sb.Problem(SET_A, UNIFORM)).function
    large = sb.predict(sb.Problem(SET_A, UNIFORM, sb.ReLU(), sb.Scaled(sb.Hypentropy(1e6)))).function
    np.testing.assert_allclose(large(LINE), quadratic(LINE), atol=1e-6)


def test_quadratic_solution_is_linear_in_y() -> None:
    other = np.array([0.3, -1.0, 2.0, 0.1, -0.5])

    def solve(y: np.ndarray) -> np.ndarray:
        return sb.predict(sb.Problem(sb.Dataset(SET_A.x, y), LAWS["gaussian"])).function(LINE)

    np.testing.assert_allclose(solve(2 * SET_A.y - 3 * other), 2 * solve(SET_A.y) - 3 * solve(other), atol=1e-10)


@pytest.mark.parametrize(("shift", "scale"), [(1e3, 1.0), (0.0, 1e8), (-5e-6, 1e-6)])
def test_moving_the_axis_and_the_law_together_changes_nothing(shift: float, scale: float) -> None:
    """x -> scale x + shift with B -> scale B - shift W keeps every breakpoint at its place among the data."""
    law = sb.Initialization(sb.Constant(1.0), st.norm(-0.2, 0.8))
    moved = sb.Initialization(sb.Constant(1.0), st.norm(-0.2 * scale - shift, 0.8 * scale))
    data = sb.Dataset(scale * SET_B.x + shift, SET_B.y)
    f = sb.predict(sb.Problem(SET_B, law)).function
    g = sb.predict(sb.Problem(data, moved)).function
    np.testing.assert_allclose(g(scale * LINE + shift), f(LINE), rtol=0, atol=1e-9)


def test_kernel_matches_the_formula_for_uniform_breakpoints() -> None:
    """K(x, x') = (1/2) int_{-1}^1 ... for W = +-1, B ~ U(-1, 1), integrated by hand for ReLU."""
    x = np.array([-0.7, 0.4])
    inside = FeatureKernel(UNIFORM.breakpoint_law, sb.ReLU()).matrix(x, x)
    for i, j in ((0, 0), (0, 1), (1, 1)):
        a, b = min(x[i], x[j]), max(x[i], x[j])
        left = ((a + 1) ** 2 * (3 * b - a + 2)) / 6  # int_{-1}^a (a - c)(b - c) dc
        right = ((1 - b) ** 2 * (2 - 3 * a + b)) / 6
        assert inside[i, j] == pytest.approx((left + right) / 4, rel=1e-13)


def test_banded_stays_exact_where_the_kernel_is_ill_conditioned() -> None:
    """M = 400: cond(K) is beyond 1e11, but the divided differences are as good as the data."""
    data = random_data(3, 400)
    problem = sb.Problem(data, UNIFORM)
    prediction = sb.predict(problem, sb.BandedSolver())
    assert np.linalg.cond(FeatureKernel(UNIFORM.breakpoint_law, sb.ReLU()).matrix(data.x, data.x)) > 1e11
    assert prediction.residual < 1e-11
    f = prediction.function
    assert np.abs(f(data.x) - data.y).max() < 1e-13 * np.abs(data.y).max()
    gap = np.minimum(np.diff(data.x)[:-1], np.diff(data.x)[1:])
    jump = f(data.x[1:-1], 1) - (f(data.x[1:-1] - 1e-9 * gap, 1) + 1e-9 * gap * f(data.x[1:-1], 2))
    assert np.abs(jump).max() < 1e-6 * np.abs(f(data.x, 1)).max()  # the slope is continuous


def test_refusals() -> None:
    problem = sb.Problem(SET_B, UNIFORM, sb.Abs(), sb.Scaled(sb.Power(4, quadratic=1)))
    for solver in (sb.BandedSolver(), sb.KernelSolver()):
        with pytest.raises(sb.CapabilityError, match="quadratic problems only.*DualSolver takes it"):
            sb.predict(problem, solver)
    with pytest.raises(sb.DataError, match="`problem` must be an sb.Problem"):
        sb.predict(SET_A)  # type: ignore[arg-type]
    for time in (-1.0, math.nan, "now"):
        with pytest.raises(sb.DataError, match="`time` must be a number >= 0"):
            sb.predict(problem, time=time)  # type: ignore[arg-type]
    for phi in (sb.Power(3), sb.Power(1.5)):
        with pytest.raises(sb.DataError, match="0 < phi''\\(0\\) < inf"):
            sb.predict(sb.Problem(SET_A, UNIFORM, potential=phi))


class TestReach:
    """Points that no neuron can bend at."""

    def test_points_beyond_the_support(self) -> None:
        data = sb.Dataset([-1, 0, 2, 3, 4], [0, 1, 0, 1, 0])
        with pytest.raises(sb.DataError, match="no neuron can bend the function near x = 3 "):
            sb.predict(sb.Problem(data, UNIFORM))

    def test_collinear_points_beyond_the_support_are_fine(self) -> None:
        data = sb.Dataset([-1, 0, 2, 3, 4], [0, 1, 0, 1, 2])
        prediction = sb.predict(sb.Problem(data, UNIFORM))
        assert prediction.outcome is sb.Outcome.CONVERGED
        assert prediction.function(3.5) == pytest.approx(1.5)

    def test_gap_inside_the_data(self) -> None:
        law = sb.Initialization.constant_bias(1.0, st.uniform(-1, 2))  # |c| >= 1: no breakpoints among the inner points
        with pytest.raises(sb.DataError, match="no neuron can bend the function near x = 0 "):
            sb.predict(sb.Problem(sb.Dataset([-0.5, 0, 0.5], [0, 1, 0]), law))
        straight = sb.Dataset([-2, -0.5, 0, 0.5, 3], [1, 0, 0.2, 0.4, -1])
        f = sb.predict(sb.Problem(straight, law)).function
        assert np.abs(f(np.linspace(-0.9, 0.9, 9), 2)).max() < 1e-9
        np.testing.assert_allclose(f(straight.x), straight.y, atol=1e-12)

    def test_one_sided_law_without_slope(self) -> None:
        law = sb.Initialization(sb.Constant(1.0), st.uniform(-1, 1))  # breakpoints in (0, 1), all units open to the right
        with pytest.raises(sb.DataError, match="no free slope or offset"):
            sb.predict(sb.Problem(sb.Dataset([-1, 0.5, 2], [1, 0, 1]), law))
        f = sb.predict(sb.Problem(sb.Dataset([-1, 0.5, 2], [1, 0, 1]), law, affine="free")).function
        assert f(0.5) == pytest.approx(0)

    def test_lines_on_either_side_of_the_law_that_are_tied(self) -> None:
        r"""Neurons with \|z\| make a line on the right of all breakpoints, and its negative on the left."""
        x = np.array([-1, -0.8, 0, 0.1, 0.9, 1.2])
        law = sb.Initialization(sb.Rademacher(), st.uniform(-0.5, 1))
        tied = np.where(x > 0.5, 2 * x - 1, np.where(x < -0.5, 1 - 2 * x, 0.3))
        for affine, added in (("network", 0.0), ("free", 3 * x - 2)):
            problem = sb.Problem(sb.Dataset(x, tied + added), law, sb.Abs(), affine=affine)
            assert sb.predict(problem).outcome is sb.Outcome.CONVERGED
        with pytest.raises(sb.DataError, match="no free slope or offset .* misses y"):
            sb.predict(replace(problem, affine="network"))
        off = sb.Problem(sb.Dataset(x, tied + 0.1 * (x == 1.2)), law, sb.Abs())
        for asked in (sb.predict, lambda problem: sb.train(problem, 100)):
            with pytest.raises(sb.DataError, match="misses y by up to 0.0"):
                asked(off)
        assert sb.predict(replace(off, affine="free")).outcome is sb.Outcome.CONVERGED

    @pytest.mark.parametrize("parameterization", [sb.Standard(), sb.NTK()])
    @pytest.mark.parametrize("activation", [sb.ReLU(), sb.LeakyReLU(0.3), sb.Abs(), sb.ReLUPower(2), sb.ReLUPower(3)])
    def test_what_neurons_of_the_law_make_is_in_reach(
        self, activation: sb.Homogeneous, parameterization: sb.Standard | sb.NTK
    ) -> None:
        """Values of sums of neurons drawn from laws with gaps pass; moved along what the draws leave out, they do not."""
        rng, moved = np.random.default_rng(3), 0
        gaps = sb.Initialization.mixture(
            [0.5, 0.5],
            [
                sb.Initialization(sb.Constant(1.0), st.uniform(-0.5, 0.2)),
                sb.Initialization(sb.Constant(-2.0), st.uniform(0.2, 0.6)),
            ],
        )
        for one in (sb.Initialization(sb.Constant(-1.0), st.uniform(-0.2, 0.6)), gaps):
            law = replace(one, output=st.norm())
            w, b, _ = law.sample(400, rng)
            for size in (2, 4, 6, 9) * 3:
                x = np.sort(rng.uniform(-1.2, 1.2, size))
                z = w * x[:, None] + b
                features = activation.value(z)
                y = features @ rng.normal(size=w.size) / w.size
                if not y.any():
                    continue
                problem = sb.Problem(sb.Dataset(x, y), law, activation, parameterization=parameterization)
                require_reachable(PosedProblem(problem))
                left, values, _ = np.linalg.svd(features)
                if values[-1] < 1e-12 * values[0]:  # the draws do not see the last direction
                    moved += 1
                    with pytest.raises(sb.DataError, match="no neuron can|no combination of neurons"):
                        require_reachable(PosedProblem(replace(problem, data=sb.Dataset(x, y + left[:, -1]))))
        assert moved > 3


def test_cells_all_of_whose_edges_are_needed() -> None:
    r"""Laws that are integrated over \|w\|, where no edge lies between two that are needed: there is nothing to merge."""
    apart = sb.Initialization(st.uniform(0.5, 0.5), st.uniform(-0.5, 0.1))
    both = sb.Initialization.mixture([0.5, 0.5], [sb.Initialization(sb.Constant(1.0), st.uniform(-0.33, 0.94)), apart])
    for law, x in ((apart, [0.6, 0.61]), (both, [0.2, 0.8])):
        prediction = sb.predict(sb.Problem(sb.Dataset(x, [1.0, 2.0]), law, sb.LeakyReLU(0.3)))
        kernel = FeatureKernel(law.breakpoint_law, sb.LeakyReLU(0.3))
        assert prediction.outcome is sb.Outcome.CONVERGED
        at, gram = np.linspace(-2, 2, 9), kernel.matrix(np.array(x), np.array(x))
        exact = kernel.matrix(at, np.array(x)) @ np.linalg.solve(gram, [1.0, 2.0])
        np.testing.assert_allclose(prediction.function(at), exact, rtol=0, atol=1e-9 * np.abs(exact).max())


def test_two_points_and_zero_ordinates() -> None:
    for law in ("uniform-bias", "gaussian"):
        f = sb.predict(sb.Problem(sb.Dataset([0.1, 0.4], [1.0, -1.0]), LAWS[law])).function
        np.testing.assert_allclose(f([0.1, 0.4]), [1, -1], atol=1e-13)
        flat = sb.predict(sb.Problem(sb.Dataset([0.1, 0.4], [0.0, 0.0]), LAWS[law], potential=sb.Scaled(sb.Power(3))))
        assert flat.outcome is sb.Outcome.CONVERGED
        assert np.abs(flat.function(LINE)).max() == 0
