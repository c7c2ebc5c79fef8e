"""Many data: cells that need no test of their own, repeated integrals over stretches of one cell, precision."""

import itertools

import numpy as np
import pytest
from marks import nightly
from problems import SET_B
from scipy import stats
from scipy.interpolate import BPoly, PPoly

import splinebias as sb
from splinebias.initialization import zeta_cells
from splinebias.initialization.zeta_cells import integration_cells
from splinebias.limit.discretization import Discretization
from splinebias.limit.dual.newton import maximized
from splinebias.limit.dual.objective import IntegratedDual
from splinebias.limit.posed_problem import PosedProblem
from splinebias.numerics.cells import Cells, panel_nodes, with_points
from splinebias.numerics.legendre import gauss_legendre
from splinebias.numerics.repeated_integrals import integrate_through

LAWS = {
    "gaussian": sb.Initialization.gaussian(),
    "narrow": sb.Initialization.rademacher(stats.norm(0.3, 0.05)),
    "laplace": sb.Initialization(stats.laplace(), stats.norm()),
    "student": sb.Initialization.rademacher(stats.t(5, 0.1, 0.5)),
    "constant bias": sb.Initialization.constant_bias(0.5, stats.norm()),
    "singular": sb.Initialization.rademacher(stats.gamma(0.5, -0.5)),
    "unit circle": sb.Initialization.unit_circle(),
}


def crowd(size, seed=0):
    """Points whose gaps range over many decades, with wide holes too."""
    rng = np.random.default_rng(seed)
    return np.unique(np.r_[-1, rng.uniform(-1, 0.2, size // 2), 0.21 + rng.gamma(0.1, 0.1, size // 2), 1])


def masses(law, left, right, order):
    """Integrals of zeta_+ + zeta_- over panels."""
    nodes, weights = panel_nodes(left, right, order)
    return (weights * (law.zeta(nodes, 1) + law.zeta(nodes, -1))).sum(axis=1)


@pytest.mark.parametrize("name", [nightly(name) if name == "laplace" else name for name in LAWS])
def test_cells_among_many_data_resolve_the_law(name):
    """A rule of 8 nodes agrees with one of 20 nodes on the halves of cells, in units of the larger ones."""
    law, x = LAWS[name].breakpoint_law, crowd(10_000)
    cells = integration_cells(law, x, 8)
    assert cells.resolved and np.isin(x, cells.edges).all() and cells.edges.size < x.size + 2000
    left, right = cells.panels
    middle = (left + right) / 2
    exact = masses(law, left, middle, 20) + masses(law, middle, right, 20)
    found = masses(law, left, right, 8)
    assert np.abs(found - exact).max() < 1e-12 * exact.sum()
    among = (left >= x[0]) & (right <= x[-1]) & (exact > 1e-12 * exact.max())
    error = np.abs(found[among] / exact[among] - 1)
    assert np.median(error) < 1e-13 and np.quantile(error, 0.999) < 1e-7


@pytest.mark.parametrize(
    ("name", "affine"),
    [
        *itertools.product(["gaussian", "student", "unit circle", "narrow"], ["network", "free"]),
        nightly("laplace", "network"),
    ],
)
def test_predictions_for_many_data_do_not_depend_on_how_cells_are_found(name, affine, monkeypatch):
    """Cells that need no test give what cells give that were all tested."""
    x = np.sort(np.random.default_rng(1).uniform(-0.9, 1, 6000))
    problem, found = sb.Problem(sb.Dataset(x, np.sin(5 * x)), LAWS[name], affine=affine), []
    for threshold in (2, 10**9):
        monkeypatch.setattr(zeta_cells, "_DENSE", threshold)
        found.append(sb.predict(problem))
    one, other = found
    if (name, affine) == ("narrow", "network"):  # slopes from one narrow place: ill-conditioned, and said so
        assert one.outcome is other.outcome is sb.Outcome.INACCURATE
        return
    assert one.outcome is other.outcome is sb.Outcome.CONVERGED
    query = np.linspace(-1.5, 1.5, 20_001)
    scale = np.abs(other.function(query)).max()
    assert np.abs(one.function(query) - other.function(query)).max() < 1e-10 * scale
    np.testing.assert_allclose(one.penalty, other.penalty, rtol=1e-9)


def test_points_within_rounding_of_an_edge_are_left_out():
    edges = np.array([0.0, 1.0, 2.0])
    assert with_points(edges, np.array([1.0, 1 + 2e-16, 1.5, 1.5, -1.0, 3.0])).tolist() == [-1, 0, 1, 1.5, 2, 3]
    assert with_points(edges, np.zeros(0)).tolist() == edges.tolist()
    assert Cells(edges, 2).split(np.array([-1.0, 0.5])).edges.tolist() == [0, 0.5, 1, 2]


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("cut", ["nothing", "a stretch", "the first and the last", "before and after", "everywhere"])
def test_repeated_integrals_recover_piecewise_polynomials(order, cut):
    """Stretches of one cell, of several, and cells beyond the data, in all combinations."""
    rng, x = np.random.default_rng(2), np.array([-1.0, -0.4, 0.1, 0.15, 0.9, 1.3])
    extra = {
        "nothing": [],
        "a stretch": [0.3, 0.5],
        "the first and the last": [-0.9, 1.0, 1.1],
        "before and after": [-3.0, -1.5, 2.0, 2.5],
        "everywhere": [-2.0, -0.7, 0.0, 0.12, 0.4, 0.6, 1.2, 5.0],
    }[cut]
    edges = np.union1d(x, extra)
    highest = PPoly(rng.normal(size=(3, edges.size - 1)), edges)
    exact = highest
    for _ in range(order):
        exact = exact.antiderivative()
    place = edges[:-1, None] + np.diff(edges)[:, None] * gauss_legendre(3)[0]
    found = integrate_through(edges, highest(place), order, x, exact(x))
    query = np.linspace(edges[0], edges[-1], 101)
    assert np.abs(found(query) - exact(query)).max() < 1e-11 * max(1, np.abs(exact(query)).max())
    assert np.abs(found(query[:-1], order) - highest(query[:-1])).max() < 1e-11
    assert isinstance(BPoly.from_power_basis(found), BPoly)  # increasing ends, finite coefficients


@pytest.mark.parametrize("order", [1, 2, 3])
def test_repeated_integrals_of_what_is_linear_need_its_ends_only(order):
    """The same function as from its values at nodes, cells beside the data included."""
    rng, x = np.random.default_rng(3), np.array([-1.0, -0.4, 0.1, 0.9])
    edges, values = np.union1d(x, [-2.0, 0.5, 1.5]), rng.normal(size=4)
    ends = rng.normal(size=(edges.size - 1, 2))
    at_nodes = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * gauss_legendre(3)[0]
    found, twin = (integrate_through(edges, of, order, x, values, linear=of is ends) for of in (ends, at_nodes))
    query = np.linspace(-2.5, 2, 101)
    for nu in range(order + 2):
        np.testing.assert_allclose(found(query, nu), twin(query, nu), rtol=1e-12, atol=1e-12)
    assert np.abs(found(x) - values).max() < 1e-14


@pytest.mark.parametrize("gap", [0.0, 2e-16, 0.01])
def test_densities_that_are_constant_between_knots_are_known_on_all_cells(gap):
    """As in the middle of every one, also where a knot is next to a data point up to rounding."""
    law = sb.Initialization(sb.Discrete((-1.0, 1.0, 2.0), (0.3, 0.3, 0.4)), stats.uniform(-1, 1.5)).breakpoint_law
    x = np.union1d(np.linspace(-1.2, 1.1, 30), law.knots[1:3] + gap)
    grid = Discretization.of(law, x, 2)
    left, right = grid.cells.panels
    assert len(np.unique(grid.zeta)) == 3  # with a step where both atoms of w > 0 have breakpoints
    for side, zeta in zip(law.sides, grid.zeta[..., 0], strict=True):
        np.testing.assert_array_equal(zeta, side.zeta((left + right) / 2))


@pytest.mark.parametrize("quadratic", [0.0, 0.7])
@pytest.mark.parametrize("activation", [sb.ReLU(), sb.Abs(), sb.LeakyReLU(0.3), sb.ReLUPower(2)])
def test_a_scaled_square_is_solved_as_the_quadratic_problem_it_is(activation, quadratic):
    r""":math:`(1 + \varepsilon) u^2`, not :math:`u^2/2`: the same function at :math:`2 + 2\varepsilon` times the cost."""
    init, stiffness = sb.Initialization.gaussian(), 2 + 2 * quadratic
    phi = sb.Power(2, quadratic=quadratic)
    problem = sb.Problem(SET_B, init, activation, sb.Scaled(phi))
    found = sb.predict(problem)
    plain = sb.predict(sb.Problem(SET_B, init, activation, sb.Scaled(sb.Quadratic())))
    assert found.problem == problem and phi.stiffness == stiffness and phi.stiffness == phi.hess_at_zero
    assert (found.function(np.linspace(-2, 2, 9)) == plain.function(np.linspace(-2, 2, 9))).all()
    np.testing.assert_allclose(found.penalty, stiffness * plain.penalty, rtol=1e-14)
    np.testing.assert_allclose(found.multipliers, stiffness * plain.multipliers, rtol=1e-14)
    assert sb.Power(3).stiffness is None and sb.Power(2.5, quadratic=1).stiffness is None


@pytest.mark.parametrize("activation", [sb.ReLU(), sb.Abs(), sb.LeakyReLU(0.2)])
@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("affine", ["network", "free"])
def test_many_data_are_solved_as_precisely_as_few(activation, noise, affine):
    """The conditions of optimality hold to rounding, as computed from scratch."""
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, 20_000)
    data = sb.Dataset(x, np.sin(5 * x) + noise * rng.normal(size=x.size))
    init = sb.Initialization.rademacher(stats.uniform(-2, 4))
    problem = sb.Problem(data, init, activation, sb.Scaled(sb.Power(4, quadratic=1)), affine=affine)
    with np.errstate(all="ignore"):
        dual, start = IntegratedDual.of(PosedProblem(problem))
        best = maximized(dual.at(start), 1e-10, 200).state
        fresh = dual.at(best.function)
    assert max(best.misfit, fresh.misfit) < 1e-11
    np.testing.assert_allclose(best.objective, fresh.objective, rtol=1e-13)
