"""Errors of networks that start at random functions: f_n - f_0 against the limit from the start."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats as st

import splinebias as sb
from splinebias.finite_width.random_start import start_directions
from tests.problems import QUERY, SET_A, UNIFORM

TORCH = sb.Problem(SET_A, sb.Initialization.pytorch_default(both_layers=True))
ZERO = sb.Problem(SET_A, sb.Initialization.pytorch_default())


def test_the_table_of_the_start_page():
    """From zero, and over starts: n Var(D) = E[v^2 alpha^2] + E[v^2 q]/3, the mean sup of sqrt(n) |D| 1.911 to 1.938."""
    band = sb.error_band(ZERO, 1000)
    expected = [0.96967457, 0.83800740, 0.29673578, 0.81827954, 0.54068019, 0.96967457]
    np.testing.assert_allclose(1000**0.5 * band.std(QUERY), expected, rtol=0, atol=1e-8)
    over = sb.error_band(TORCH, 1000, interval=(-1.5, 1.5), draws=10_000)
    assert over.constant.value == pytest.approx(1.92, abs=0.03)
    assert (over.std(QUERY) > band.std(QUERY)).all()


@pytest.mark.parametrize("affine", ["network", "free"])
@pytest.mark.parametrize("time", [15.0, float("inf")])
def test_the_band_over_starts_is_the_mean_over_single_starts(affine, time):
    init = replace(UNIFORM, output=st.norm(0, 1.5), antisymmetric=False)
    problem = sb.Problem(sb.Dataset([-0.6, -0.1, 0.5], [0.2, -0.3, 0.1], [1, 2, 1]), init, affine=affine)
    x = np.array([-0.9, -0.3, 0.2, 0.9])
    starts = [sb.Network.sample(problem, 4000, seed) for seed in range(60)]
    single = np.array([sb.error_band(problem, 100, time=time, start=start, draws=100).std(x) ** 2 for start in starts])
    over = sb.error_band(problem, 100, time=time).std(x) ** 2
    error = single.std(axis=0) / 60**0.5
    assert (np.abs(single.mean(axis=0) - over) < 4 * error).all()
    assert (single.max(axis=0) > 1.2 * over).all()  # starts differ


@pytest.mark.parametrize("time", [2.0, float("inf")])
def test_variances_of_the_directions_of_start_functions_add_up(time):
    """Each about its own mean, which is not 0 on the way."""
    x = np.array([-0.9, -0.3, 0.2, 0.9])
    over, own = (sb.error_band(problem, 100, time=time, draws=100).std(x) ** 2 for problem in (TORCH, ZERO))
    directions = [replace(found, initialization=ZERO.initialization) for found in start_directions(TORCH)]
    assert len(directions) == SET_A.size
    parts = [sb.error_band(found, 100, time=time, draws=100).std(x) ** 2 for found in directions]
    np.testing.assert_allclose(over, own + np.sum(parts, axis=0), rtol=1e-9)


def test_a_band_from_a_start_is_that_of_the_residual():
    start = sb.Network.sample(TORCH, 500, 2).function()
    band = sb.error_band(TORCH, 500, start=start, draws=500)
    other = sb.error_band(replace(ZERO, data=sb.Dataset(SET_A.x, SET_A.y - start(SET_A.x))), 500, draws=500)
    np.testing.assert_allclose(band.std(QUERY), other.std(QUERY), rtol=1e-12)
    assert band.expected_sup == other.expected_sup
    np.testing.assert_allclose(band.prediction.function(SET_A.x), SET_A.y, rtol=0, atol=1e-12)


def test_studies_compare_every_network_with_the_limit_from_its_own_start(tmp_path):
    found = sb.study(TORCH, [1000, 4000], range(5), loss_tol=1e-9, store=tmp_path)
    run = sb.train(TORCH, 1000, found_seed(1000, 3), loss_tol=1e-9)
    limit = sb.predict(TORCH, start=run.start)
    row = next(row for row in found.rows if (row.width, row.seed) == (1000, 3))
    assert row.sup == pytest.approx(sb.compare(run.function, limit.function, interval=found.interval).sup, rel=1e-3)
    assert row.penalty == limit.penalty
    zero = sb.predict(ZERO).function  # the distance to the limit from zero does not shrink
    floor = [sb.compare(found.function(4000, seed), zero, interval=found.interval).sup for seed in range(5)]
    assert np.mean(floor) > 1.5 * found.summary["mean"][1]
    assert found.summary["mean"][1] < 0.5 * found.summary["mean"][0]
    assert "predicted: error ~ c n^(-1/2)" in str(found)
    with pytest.raises(sb.DataError, match="these start at random functions"):
        found.mean_shift(1000, 0.5)


def found_seed(width: int, seed: int) -> int:
    from splinebias.studies.spec import run_seed

    return run_seed(seed, width, 0)


def test_what_is_not_known_over_starts_is_refused_with_the_way_out():
    scaled = replace(TORCH, potential=sb.Scaled(sb.Power(3, quadratic=1)))
    with pytest.raises(sb.CapabilityError, match="give one start function"):
        sb.error_band(scaled, 500)
    assert sb.error_band(scaled, 500, start=np.sin, draws=200).expected_sup > 0
    both = sb.Initialization(st.norm(), st.norm(), output=st.norm(), antisymmetric=False)
    with pytest.raises(sb.CapabilityError, match="antisymmetric pairs"):
        sb.error_band(sb.Problem(SET_A, both, parameterization=sb.NTK()), 500)


def test_bands_of_several_inputs_from_a_start():
    """The residual's band around the limit from the start; starts that are not given are refused, not ignored."""
    rng = np.random.default_rng(3)
    points = sb.Points(rng.normal(size=(5, 2)), rng.normal(size=5))
    problem = sb.Problem(points, sb.Initialization.gaussian(dim=2))

    def start(x):
        return np.sin(np.asarray(x)).sum(axis=-1)

    band = sb.error_band(problem, 300, start=start, draws=200)
    residual = sb.Problem(sb.Points(points.x, points.y - start(points.x)), problem.initialization)
    other = sb.error_band(residual, 300, draws=200)
    x = rng.normal(size=(4, 2))
    np.testing.assert_allclose(band.std(x), other.std(x), rtol=1e-9)
    assert not np.allclose(band.std(x), sb.error_band(problem, 300, draws=200).std(x), rtol=0.05)
    np.testing.assert_allclose(band.prediction.function(points.x), points.y, rtol=0, atol=1e-8)
    law = replace(problem.initialization, output=st.norm(), antisymmetric=False)
    over = sb.error_band(replace(problem, initialization=law), 300, draws=200).std(x)
    assert (over > sb.error_band(problem, 300, draws=200).std(x)).all()


def test_it_is_said_which_error_is_meant():
    assert "this is the error of f_n - f_0" in sb.required_width(TORCH, 0.1).advice
    assert "f_0" not in sb.required_width(ZERO, 0.1).advice
    assert "expected sup of f_n - f_0 " in repr(sb.error_band(TORCH, 100, draws=100))
    assert "f_0" not in repr(sb.error_band(ZERO, 100, draws=100))
    study = sb.study(TORCH, [40], range(2), loss_tol=1e-3)
    assert "f the limit from its own start" in str(study)
