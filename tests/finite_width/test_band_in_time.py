"""error_band at finite training times with scaled potentials: the linearized flow against its definition and networks."""

import math

import numpy as np
import pytest
from marks import nightly
from problems import ACTIVATIONS, LAWS, PUBLISHED, SCALED, SET_A, SET_B, UNIFORM
from scipy import stats
from scipy.integrate import solve_ivp

import splinebias as sb
from splinebias.finite_width.influence_in_modes import ModeInfluence
from splinebias.finite_width.influence_on_path import PathInfluence
from splinebias.initialization.zeta_cells import integration_cells
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.trajectory.linear_flow import LinearFlow
from splinebias.numerics.cells import Cells
from splinebias.numerics.collocation import Collocation, propagated

WHERE = (-1.5, 1.5)
STAGES = 8
X = np.array([-1.4, -0.7, -0.1, 0.1, 0.5, 0.9, 1.2])
QUARTIC = PUBLISHED["B-u4"][0]
WEIGHTED = {"A": sb.Dataset(SET_A.x, SET_A.y, [1, 2, 1, 3, 1]), "B": sb.Dataset(SET_B.x, SET_B.y, [1, 2, 1, 3])}


def problem_of(law, activation, phi, affine="network", data="B"):
    return sb.Problem(WEIGHTED[data], LAWS[law], ACTIVATIONS[activation], sb.Scaled(SCALED[phi]), affine)


def neurons_of(problem, x):
    """All neurons of a fine rule: features at the data and at `x`, and masses."""
    law, act, data = problem.initialization.breakpoint_law, problem.activation, problem.data
    both = np.union1d(data.x, x)
    edges = np.unique(np.concatenate([integration_cells(law, both, 16, degree).edges for degree in (1, 2)]))
    edges = np.unique(np.linspace(edges[:-1], edges[1:], 4))
    cells = Cells(edges, 16)
    c, weights, found = cells.nodes.ravel(), cells.weights.ravel(), []
    for side in (1, -1):
        v, rho = law.slices(c, side)
        v = np.broadcast_to(v, rho.shape)
        for m in range(rho.shape[1]):
            at_data, values = (v[:, m] * act.value(side * (places[:, None] - c)) for places in (data.x, x))
            found.append((at_data, values, np.where(rho[:, m] > 0, weights * rho[:, m], 0.0)[None]))
    features, values, mass = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
    kept = mass[0] > 1e-14
    return features[:, kept], values[:, kept], mass[0, kept]


def line_fit(data, x):
    """The weighted least-squares line through ordinates at the data, as a matrix: at `x`, and what it leaves at the data."""
    basis, weights = np.stack([np.ones(data.size), data.x], axis=1), data.weights / data.weights.sum()
    fit = np.linalg.solve(basis.T @ (weights[:, None] * basis), basis.T * weights)
    return np.stack([np.ones(x.size), x], axis=1) @ fit, np.eye(data.size) - basis @ fit


def dense_covariance(problem, x, time):
    """The linearized flow of every neuron of a rule, all at once, by an explicit method on the multipliers themselves."""
    phi, data = problem.limit_potential, problem.data
    features, values, mass = neurons_of(problem, x)
    weights, size = data.weights / data.weights.sum(), data.size
    line, left = line_fit(data, x) if problem.affine == "free" else (np.zeros((x.size, size)), np.eye(size))

    def parts(state):
        alpha = phi.grad_inverse(state[:size] @ features)
        slope = mass / phi.hess(alpha)
        return alpha, slope, (features * slope) @ features.T @ state[size:].reshape(size, -1) + features * alpha

    def velocity(_, state):
        alpha, _, moved = parts(state)
        fitted = features @ (mass * alpha)
        return np.concatenate([-weights * (left @ (fitted - data.y)), (-weights[:, None] * (left @ moved)).ravel()])

    start = np.zeros(size * (1 + mass.size))
    state = solve_ivp(velocity, (0, time), start, method="DOP853", rtol=1e-9, atol=1e-11).y[:, -1]
    alpha, slope, moved = parts(state)
    u = values * alpha + (values * slope) @ features.T @ state[size:].reshape(size, -1) - line @ moved
    mean = u @ mass
    return (u * mass) @ u.T - np.outer(mean, mean)


@pytest.mark.parametrize(
    ("problem", "time"),
    [
        (problem_of("uniform-bias", "abs", "u4+u2"), 0.5),
        (problem_of("uniform-bias", "abs", "u4+u2"), 50.0),
        (problem_of("uniform-bias", "relu", "u3+u2"), 5.0),
        (problem_of("gaussian-bias", "leaky", "hypentropy"), 50.0),
        (problem_of("three-weights", "relu", "u4+u2", "free"), 20.0),
        (problem_of("three-weights", "relu", "u4+u2"), 20.0),
        (problem_of("uniform-bias", "abs", "u1.5", "free"), 20.0),
        (problem_of("unit-circle", "relu", "u3+u2"), 5.0),
        (problem_of("one-sided", "relu", "u4+u2"), 5.0),
        (problem_of("constant-bias", "abs", "hypentropy", "free"), 5.0),
        (problem_of("gaussian", "relu", "u4+u2"), 0.5),
    ],
    ids=lambda value: value.describe() if isinstance(value, sb.Problem) else f"t={value:g}",
)
def test_the_covariance_is_that_of_the_linearized_flow(problem, time):
    expected = dense_covariance(problem, X, time)
    found = sb.error_band(problem, 100, time=time).cov(X) * 100
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-7 * np.abs(expected).max())  # times are followed to 1e-7


QUADRATIC = {
    f"{law}-{act}-{affine}": sb.Problem(WEIGHTED["A"], LAWS[law], ACTIVATIONS[act], sb.Scaled(sb.Quadratic()), affine)
    for law, act, affine in [
        ("uniform-bias", "relu", "network"),
        ("uniform-bias", "abs", "network"),
        ("gaussian-bias", "leaky", "network"),
        ("three-weights", "relu", "free"),
        ("gaussian", "relu", "network"),
    ]
}


@pytest.mark.parametrize("time", [0.1, 30.0, 1e3, nightly(1e9)])
@pytest.mark.parametrize("name", [nightly(name) if name.startswith("gaussian-relu") else name for name in QUADRATIC])
def test_twins_collocation_and_decay_modes(name, time):
    """Where H is constant, the integral over the path is closed."""
    problem = QUADRATIC[name]
    posed = PosedProblem(problem)
    expected = ModeInfluence.of(LinearFlow.of(posed), time).at(X)
    found = PathInfluence.of(posed, sb.predict(problem, time=time).multipliers, time).at(X)
    size = np.abs(expected.covariance()).max()
    np.testing.assert_allclose(found.covariance(), expected.covariance(), rtol=0, atol=1e-6 * size)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=0, atol=1e-6 * math.sqrt(size))


def test_a_hypentropy_of_large_beta_becomes_the_quadratic_potential_at_its_rate():
    """phi'' = 1/sqrt(u^2 + beta^2) is 1/beta up to (u/beta)^2, and 1/beta is a unit of time."""
    expected = sb.error_band(sb.Problem(SET_A, UNIFORM), 100, time=30.0).cov(X)
    off = []
    for beta in (10.0, 100.0):
        problem = sb.Problem(SET_A, UNIFORM, potential=sb.Scaled(sb.Hypentropy(beta)))
        off.append(np.abs(sb.error_band(problem, 100, time=30.0 / beta).cov(X) - expected).max())
    assert off[0] / off[1] == pytest.approx(100, rel=0.05)
    assert off[0] < 1e-3 * np.abs(expected).max()


@pytest.mark.parametrize(
    "problem",
    [
        problem_of("uniform-bias", "abs", "u4+u2"),
        nightly(problem_of("uniform-bias", "abs", "u4")),
        problem_of("gaussian-bias", "leaky", "hypentropy"),
    ],
    ids=lambda problem: str(problem.phi),
)
def test_long_training_ends_in_the_band_of_the_limit(problem):
    limit = sb.error_band(problem, 100).cov(X)
    found = sb.error_band(problem, 100, time=1e12)
    np.testing.assert_allclose(found.cov(X), limit, rtol=0, atol=1e-6 * np.abs(limit).max())
    assert found.std(problem.data.x).max() < 1e-6 * found.std(X).max()


def test_early_training_fluctuates_in_proportion_to_time():
    """f_t = t K W y/phi''(0) to first order."""
    early = sb.error_band(QUARTIC, 100, time=1e-6)
    kernel = sb.error_band(sb.Problem(SET_B, UNIFORM, sb.Abs()), 100, time=1e-6)
    np.testing.assert_allclose(early.std(X), kernel.std(X) / QUARTIC.phi.hess_at_zero, rtol=1e-4)


@pytest.mark.parametrize(("width", "time"), [(3000, 5.0), nightly(3000, 100.0)])
def test_networks_in_training_stay_in_the_band(width, time):
    """150 networks: variances at seven points, each in its chi-square interval; one error in 1000 over all of them."""
    band, count = sb.error_band(QUARTIC, width, interval=WHERE, time=time), 150
    runs = sb.train_ensemble(QUARTIC, width, range(count), method=sb.MirrorFlow(time=time))
    values = np.array([run.function(X) for run in runs])
    ratio = (values.std(axis=0, ddof=1) / band.std(X)) ** 2 * (count - 1)
    low, high = stats.chi2.ppf([0.0005 / X.size, 1 - 0.0005 / X.size], count - 1)
    assert ((ratio > low) & (ratio < high)).all()
    sups = np.array([sb.compare(run.function, band.prediction.function, WHERE).sup for run in runs])
    assert abs((sups <= band.quantile(0.9)).mean() - 0.9) < 3.3 * math.sqrt(0.09 / count)


@pytest.mark.parametrize("time", [0.5, 20.0])
def test_data_so_small_that_the_quartic_part_is_lost_have_the_band_of_the_quadratic_one(time):
    """phi'' is 2: twice the time of gradient descent."""
    tiny = sb.Problem(sb.Dataset(SET_B.x, 1e-80 * SET_B.y), UNIFORM, sb.Abs(), sb.Scaled(sb.Power(4, quadratic=1)))
    quadratic = sb.Problem(SET_B, UNIFORM, sb.Abs())
    expected = sb.error_band(quadratic, 100, time=time / 2).std(X)
    np.testing.assert_allclose(1e80 * sb.error_band(tiny, 100, time=time).std(X), expected, rtol=1e-6)


def test_nothing_fluctuates_before_training_or_without_data_to_fit():
    zero = sb.Problem(sb.Dataset(SET_B.x, 0 * SET_B.y), UNIFORM, sb.Abs(), QUARTIC.potential)
    line = sb.Problem(sb.Dataset([0, 0.5, 1], [1, 2, 3]), UNIFORM, sb.Abs(), QUARTIC.potential, "free")
    for problem, time in [(QUARTIC, 0.0), (zero, 1.0), (line, 1.0)]:
        band = sb.error_band(problem, 50, time=time)
        assert (band.std(X) == 0).all()
        assert band.expected_sup == 0


def test_refusals():
    many = sb.Problem(sb.Dataset(np.linspace(-1, 1, 301), np.zeros(301)), UNIFORM, potential=QUARTIC.potential)
    with pytest.raises(sb.CapabilityError, match="take at most 300 points, got 301; group neighbours"):
        sb.error_band(many, 1000, time=1.0)
    with pytest.raises(sb.CapabilityError, match="the mean shift is known for infinite time"):
        sb.error_band(QUARTIC, 50, time=1.0).mean_shift(X)


# -- collocation ---------------------------------------------------------------------------------------------------


def test_stages_integrate_polynomials_exactly():
    rule = Collocation.of(STAGES)
    c, a = rule.points, rule.integral
    np.testing.assert_allclose(a @ rule.derivative, np.eye(STAGES), atol=1e-12)
    for power in range(STAGES):
        np.testing.assert_allclose(a @ c**power, c ** (power + 1) / (power + 1), atol=1e-12)
    weights = a[-1]  # the last stage is the end: a Gauss-Radau rule
    for power in range(2 * STAGES - 1):
        assert weights @ c**power == pytest.approx(1 / (power + 1), abs=1e-12)


def test_one_panel_of_any_length_forgets_all_but_the_end():
    """xi -> -K^-1 g where both have come to rest."""
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 4))
    operator, forcing = root @ root.T + np.eye(4), rng.normal(size=4)
    found = propagated(np.broadcast_to(operator, (2, STAGES, 4, 4)), np.array([1.0, 1e12]))
    np.testing.assert_allclose(found.sum(axis=(0, 1)) @ forcing, np.linalg.solve(operator, forcing), rtol=1e-9)


def test_a_changing_operator_is_followed():
    """xi' = -(2 t xi + 1): xi = -exp(-t^2) int_0^t exp(s^2) ds, which is minus Dawson's integral."""
    from scipy.special import dawsn

    ends = np.linspace(0, 2, 5)
    times = ends[:-1, None] + 0.5 * Collocation.of(STAGES).points
    found = propagated(2 * times[:, :, None, None], np.diff(ends))
    assert found.sum() == pytest.approx(dawsn(2.0), rel=1e-11)
