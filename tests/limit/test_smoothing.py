"""Smoothing splines beside training, cross-validation of both, and the figure that shows them."""

from __future__ import annotations

import contextlib
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats as st
from problems import LAWS, SET_A, UNIFORM, random_data
from scipy.interpolate import make_smoothing_spline

import splinebias as sb
from experiments import jm_trajectory
from splinebias.limit.kernels.features import FeatureKernel
from splinebias.limit.trajectory.training_time_gcv import (
    gcv_regularization,
    gcv_score,
    gcv_time,
    leave_one_out,
    smoothing_spline,
)

LINE = np.linspace(-2.0, 2.0, 81)
WEIGHTS = np.array([1.0, 3.0, 0.5, 2.0, 4.0])
WEIGHTED_A = sb.Dataset(SET_A.x, SET_A.y + 0.1 * SET_A.x, WEIGHTS)
NOISY = random_data(5, 12)


def omega(data: sb.Dataset) -> np.ndarray:
    return np.asarray(data.weights / data.weights.sum())


@pytest.mark.parametrize("law", ["uniform-bias", "gaussian"])
def test_smoothing_spline_twin(law: str) -> None:
    """K(., X) (K + lambda W^{-1})^{-1} y, dense."""
    problem = sb.Problem(WEIGHTED_A, LAWS[law])
    inner = FeatureKernel(LAWS[law].breakpoint_law, sb.ReLU()).matrix(SET_A.x, SET_A.x)
    outer = FeatureKernel(LAWS[law].breakpoint_law, sb.ReLU()).matrix(LINE, SET_A.x)
    for reg in (1e-4, 1e-1, 10.0):
        expected = outer @ np.linalg.solve(inner + np.diag(reg / omega(WEIGHTED_A)), WEIGHTED_A.y)
        np.testing.assert_allclose(smoothing_spline(problem, reg).function(LINE), expected, rtol=0, atol=1e-13)


def test_cubic_smoothing_spline_is_the_case_of_constant_zeta() -> None:
    """SciPy minimizes sum m r^2 + lam int f''^2; here zeta = 1/3 on the data, both signs together."""
    wide = sb.Initialization.rademacher(st.uniform(-1.5, 3))
    data = sb.Dataset(NOISY.x, NOISY.y, np.arange(1.0, 13.0))
    for reg in (1e-6, 1e-3):
        ours = smoothing_spline(sb.Problem(data, wide, affine="free"), reg).function
        theirs = make_smoothing_spline(data.x, data.y, data.weights, lam=3 * reg * data.weights.sum())
        np.testing.assert_allclose(ours(data.x), theirs(data.x), rtol=0, atol=1e-9)


def test_training_is_smoothing_to_first_order() -> None:
    """1 - e^{-s} and s/(1 + s) differ by s^2/2: a rate, in t and with the time scale of the potential."""
    problem = sb.Problem(WEIGHTED_A, UNIFORM, potential=sb.Power(2, quadratic=1))
    gaps = [
        sb.compare(sb.predict(problem, time=t).function, smoothing_spline(problem, 4 / t).function, (-2, 2)).sup
        for t in (0.2, 0.1)
    ]
    assert gaps[0] / gaps[1] == pytest.approx(4, rel=0.03)


@pytest.mark.parametrize("affine", ["network", "free"])
def test_leaving_one_out_is_refitting(affine: str) -> None:
    data = sb.Dataset(NOISY.x, NOISY.y, np.arange(1.0, 13.0))
    problem, total = sb.Problem(data, UNIFORM, affine=affine), data.weights.sum()
    residuals = leave_one_out(problem, 1e-4)
    for i in (0, 5, 11):
        kept = np.arange(data.size) != i
        rest = sb.Dataset(data.x[kept], data.y[kept], data.weights[kept])
        refitted = smoothing_spline(replace(problem, data=rest), 1e-4 * total / rest.weights.sum())
        assert residuals[i] == pytest.approx(float(refitted.function(data.x[i])) - data.y[i], rel=1e-9)


@pytest.mark.parametrize("affine", ["network", "free"])
def test_cross_validation_score_by_its_definition(affine: str) -> None:
    """The hat matrix column by column, from trajectories on unit vectors."""
    problem = sb.Problem(WEIGHTED_A, UNIFORM, affine=affine, potential=sb.Power(2))
    for t in (0.3, 20.0, 3e3):
        columns = [
            sb.predict(replace(problem, data=sb.Dataset(SET_A.x, unit, WEIGHTS)), time=t).function(SET_A.x)
            for unit in np.eye(5)
        ]
        hat = np.stack(columns, axis=1)
        residual = hat @ WEIGHTED_A.y - WEIGHTED_A.y
        expected = omega(WEIGHTED_A) @ residual**2 / (1 - np.trace(hat) / 5) ** 2
        assert gcv_score(problem, t) == pytest.approx(expected, rel=1e-10)


def test_the_chosen_time_has_the_least_score() -> None:
    rng = np.random.default_rng(2)
    x = np.linspace(-1, 1, 60)
    problem = sb.Problem(sb.Dataset(x, np.sin(4 * x) + 0.3 * rng.normal(size=60)), UNIFORM)
    chosen = gcv_time(problem)
    scores = gcv_score(problem, np.geomspace(1e-2, 1e12, 1000))
    assert scores.min() >= chosen.score * (1 - 1e-12)
    assert gcv_score(problem, chosen.value) == pytest.approx(chosen.score)
    assert chosen.score == pytest.approx(0.09, rel=0.5)  # noise variance, plus the error of prediction
    best = gcv_regularization(problem)
    splines = [smoothing_spline(problem, factor * best.value).stats for factor in (1.0, 0.9, 1.1)]
    at_best, *around = [2 * stats["loss"] / (1 - stats["degrees_of_freedom"] / 60) ** 2 for stats in splines]
    assert at_best == pytest.approx(best.score) and min(around) > at_best
    assert splines[0]["degrees_of_freedom"] == pytest.approx(best.degrees_of_freedom)
    error = sb.predict(problem, time=chosen.value).function(x) - np.sin(4 * x)
    assert np.mean(error**2) < 0.09 / 4  # interpolation, the limit, keeps all of the noise


def test_cross_validation_at_its_ends() -> None:
    x = np.linspace(-1, 1, 30)
    law = sb.Initialization.rademacher(st.uniform(-1.5, 3))
    exact = sb.Problem(sb.Dataset(x, 1.0 + x), law, affine="free")
    assert gcv_time(exact).value == 0 and gcv_time(exact).degrees_of_freedom == 2
    kernel_section = FeatureKernel(law.breakpoint_law, sb.ReLU()).matrix(x, np.array([0.3]))[:, 0]
    smooth = sb.Problem(sb.Dataset(x, kernel_section), law)
    assert gcv_time(smooth).degrees_of_freedom > 25
    alternating = sb.Problem(sb.Dataset(x, (-1.0) ** np.arange(30)), law)
    assert gcv_time(alternating).value == 0 and gcv_regularization(alternating).value == math.inf


def test_smoothing_refusals() -> None:
    problem = sb.Problem(WEIGHTED_A, UNIFORM)
    scaled = replace(problem, potential=sb.Scaled(sb.Power(4, quadratic=1)))
    for bad in (0, -1.0, math.nan, math.inf, "1"):
        with pytest.raises(sb.DataError, match="`regularization` must be a finite real number > 0"):
            smoothing_spline(problem, bad)
    for call in (gcv_time, gcv_regularization, lambda p: smoothing_spline(p, 1.0), lambda p: leave_one_out(p, 1.0)):
        with pytest.raises(sb.CapabilityError, match="quadratic or unscaled potential, got scaled Power"):
            call(scaled)
    for call in (gcv_time, lambda p: smoothing_spline(p, 1.0)):
        with pytest.raises(sb.DataError, match="0 < phi''\\(0\\) < inf, got phi''\\(0\\) = 0"):
            call(replace(problem, potential=sb.Power(3)))


# -- the figure -------------------------------------------------------------------------------------------------------


@pytest.mark.nightly
def test_the_figure_holds_what_it_shows(tmp_path: Path) -> None:
    config = jm_trajectory.Config(widths=(40,), points=12, out=tmp_path)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        document = jm_trajectory.main(config)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".pdf", ".png"]
    assert json.loads((tmp_path / "jm_trajectory.json").read_text(encoding="utf-8")) == document
    assert [path["data"] for path in document["paths"]] == ["set A", "titanium", "mcycle"]
    for path in document["paths"]:
        assert len(path["distance"]) == 12 and 0 < max(path["distance"]) < 0.2
    chosen = document["chosen"]["training time"]
    assert 10 < chosen["degrees_of_freedom"] < 13  # about 12 in the literature on these data
    assert f"chosen time {chosen['value']:.4g}" in printed.getvalue()


def test_standardized_data() -> None:
    for data in list(jm_trajectory.load().values())[1:]:
        assert data.span == (-1, 1)
        assert omega(data) @ data.y == pytest.approx(0, abs=1e-14) and omega(data) @ data.y**2 == pytest.approx(1)
    assert jm_trajectory.load()["mcycle"].weights.sum() == 133
