"""Predictions that start from a neighbour, and predictions that are asked to be less exact: the same function, for less."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats as st
from problems import SET_A

import splinebias as sb

GAUSSIAN, PYTORCH = sb.Initialization.gaussian(), sb.Initialization.pytorch_default()
UNIT = sb.Initialization.rademacher(st.uniform(-1.5, 3))
POTENTIALS = [sb.Power(1.5), sb.Power(3, quadratic=1), sb.Power(4), sb.Hypentropy(1.0)]
X = np.linspace(-1.4, 1.4, 57)


def problem(data=SET_A, law=GAUSSIAN, activation=None, potential=POTENTIALS[1], affine="network"):
    return sb.Problem(data, law, activation or sb.ReLU(), sb.Scaled(potential), affine=affine)


def noisy(size=12, seed=1):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(-1, 1, size))
    return sb.Dataset(x, np.sin(4 * x) + 0.1 * rng.normal(size=size))


def moved(data, seed=0, by=0.02, along=True):
    rng = np.random.default_rng(seed)
    step = by * np.diff(data.x).min() if along else 0.0
    return sb.Dataset(data.x + step * rng.uniform(-1, 1, data.size), data.y + by * rng.normal(size=data.size))


def assert_same(one, other, tolerance=1e-11):
    scale = max(np.abs(other.problem.data.y).max(), np.abs(other(X)).max())
    assert one.outcome is other.outcome is sb.Outcome.CONVERGED
    assert np.abs(one(X) - other(X)).max() <= tolerance * scale
    assert abs(one(X[0], 1) - other(X[0], 1)) <= 100 * tolerance * max(scale, abs(other(X[0], 1)))
    assert one.penalty == pytest.approx(other.penalty, rel=tolerance)


@pytest.mark.parametrize("potential", POTENTIALS, ids=str)
@pytest.mark.parametrize("law", [GAUSSIAN, UNIT], ids=["gaussian", "unit"])
def test_a_neighbour_leads_to_the_same_function_in_fewer_steps(law, potential):
    first = sb.predict(problem(noisy(), law, potential=potential))
    for along in (True, False):
        task = problem(moved(noisy(), by=0.003, along=along), law, potential=potential)
        warm, cold = sb.predict(task, warm=first), sb.predict(task)
        assert warm.stats["warm"] == "start and grid"
        assert warm.stats["iterations"] <= cold.stats["iterations"] + warm.stats["refinements"]
        assert_same(warm, cold)


def test_sliders_of_potential_and_law_start_from_there():
    first = sb.predict(problem(law=PYTORCH))
    slid = problem(law=PYTORCH, potential=sb.Power(3.1, quadratic=0.9))
    assert_same(sb.predict(slid, warm=first), sb.predict(slid))
    other = problem(law=sb.Initialization.gaussian(1.1, 0.9))
    found = sb.predict(other, warm=first)
    assert found.stats["warm"] == "start" and "second_opinion" in found.stats  # the cells of that law were not tried yet
    assert_same(found, sb.predict(other))


def test_a_chain_of_neighbours_neither_drifts_nor_gathers_cells():
    data, found, cells = noisy(), sb.predict(problem(noisy())), []
    for step in range(12):
        data = moved(data, seed=step)
        found = sb.predict(problem(data), warm=found)
        cells.append(found.reached.grid.cells.edges.size)
    assert_same(found, sb.predict(problem(data)))
    assert max(cells) <= 2.5 * found.reached.fresh


def test_a_line_known_far_away_and_both_affine_parts():
    far = sb.Dataset(SET_A.x + 3000.0, SET_A.y)
    first = sb.predict(problem(far))
    scaled = problem(sb.Dataset(far.x, 1.1 * far.y))
    assert_same(sb.predict(scaled, warm=first), sb.predict(scaled))
    assert sb.predict(problem(moved(far)), warm=first).stats["warm"].startswith("nothing: the points moved")
    free = sb.predict(problem(affine="free"))
    task = problem(moved(SET_A), affine="free")
    assert_same(sb.predict(task, warm=free), sb.predict(task))


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (problem(noisy(5)), ""),
        (problem(noisy(6)), "6 points, not 5"),
        (problem(activation=sb.Abs()), "another activation"),
        (problem(affine="free"), "affine part"),
        (problem(sb.Dataset(SET_A.x, 100 * SET_A.y)), "another size"),
        (sb.Problem(SET_A, GAUSSIAN), "not solved on the dual"),
    ],
    ids=["other points", "number", "activation", "affine", "size", "quadratic"],
)
def test_what_does_not_help_is_left_out_and_named(first, reason):
    found = sb.predict(problem(), warm=sb.predict(first))
    assert reason in found.stats["warm"]
    assert_same(found, sb.predict(problem()))


def test_a_misleading_neighbour_is_given_up():
    first = sb.predict(problem(potential=sb.Power(1.5)))
    nowhere = replace(first.reached, function=first.reached.function.times(np.nan))
    found = sb.predict(problem(potential=sb.Power(1.5)), warm=replace(first, reached=nowhere))
    assert "did not converge" in found.stats["warm"] and "second_opinion" in found.stats
    assert_same(found, first)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6])
@pytest.mark.parametrize("potential", POTENTIALS, ids=str)
def test_a_coarser_prediction_is_as_good_as_it_says(potential, tolerance):
    task = problem(noisy(), PYTORCH, potential=potential)
    exact, loose = sb.predict(task), sb.predict(task, tolerance=tolerance)
    assert loose.outcome is sb.Outcome.CONVERGED
    assert 0.1 * tolerance <= loose.residual <= tolerance
    assert np.abs(loose(X) - exact(X)).max() <= loose.residual * np.abs(task.data.y).max()
    assert loose.penalty == pytest.approx(exact.penalty, rel=tolerance)
    nodes, more = (found.stats["cells"] * found.reached.grid.cells.order for found in (loose, exact))
    assert nodes < more


def test_a_severe_tolerance_judges_and_changes_nothing_else():
    task = problem()
    exact = sb.predict(task)
    severe = sb.predict(task, tolerance=max(1e-14, exact.residual / 2))
    assert severe.outcome is sb.Outcome.INACCURATE or exact.residual < 1e-14
    assert (severe(X) == exact(X)).all()
    assert sb.predict(sb.Problem(SET_A, GAUSSIAN), tolerance=1e-3).outcome is sb.Outcome.CONVERGED


def test_the_two_go_together_and_with_a_start_function():
    first = sb.predict(problem(), start=np.sin, tolerance=1e-5)
    task = problem(moved(SET_A, along=False))
    found = sb.predict(task, start=np.sin, warm=first, tolerance=1e-5)
    assert found.stats["warm"] == "start and grid"
    assert np.abs(found(X) - sb.predict(task, start=np.sin)(X)).max() < 1e-5


@pytest.mark.parametrize("tolerance", [1e-15, 0.02, 0.0, -1e-6, np.nan, "1e-6", True])
def test_tolerances_out_of_range_are_refused(tolerance):
    with pytest.raises(sb.DataError, match="tolerance"):
        sb.predict(problem(), tolerance=tolerance)


def test_neighbours_that_are_none_are_refused():
    with pytest.raises(sb.DataError, match="must be a Prediction"):
        sb.predict(problem(), warm=problem())
    for hint in ({"tolerance": 1e-6}, {"warm": sb.predict(problem())}):
        with pytest.raises(sb.CapabilityError, match="leave it out"):
            sb.predict(sb.Problem(SET_A, GAUSSIAN), time=3.0, **hint)
        several = sb.Problem(sb.Points(np.eye(3), np.arange(3.0)), sb.Initialization.gaussian(dim=3))
        with pytest.raises(sb.CapabilityError, match="one input"):
            sb.predict(several, **hint)


def test_smooth_activations_and_moving_features_take_neither():
    with pytest.raises(sb.CapabilityError, match="powers of ReLU"):
        sb.predict(sb.Problem(SET_A, GAUSSIAN, sb.Tanh()), tolerance=1e-6)
    with pytest.raises(sb.CapabilityError, match="features that stay"):
        moving = sb.Initialization(st.norm(), st.norm(), output=st.norm())
        sb.predict(sb.Problem(SET_A, moving, parameterization=sb.MeanField(1.0)), tolerance=1e-6)
