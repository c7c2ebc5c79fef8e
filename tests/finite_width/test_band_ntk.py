"""error_band for networks that train both layers: the tangent kernel at the start, and what training changes of it."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats as st
from marks import nightly
from problems import SET_A, UNIFORM

import splinebias as sb
from splinebias.finite_width.influence_in_modes import crossing_share

X = np.array([-1.4, -0.7, -0.1, 0.1, 0.5, 0.9, 1.2])
NORMAL = sb.Initialization(st.norm(), st.norm(), st.norm())


def fitted(factor, activation=None):
    """Data set A, its ordinates times `factor`."""
    return sb.Problem(sb.Dataset(SET_A.x, factor * SET_A.y), NORMAL, activation or sb.ReLU(), parameterization=sb.NTK())


def least_pvalue(values, predicted):
    """Of two-sided chi-square tests that N columns of draws, shape (K, N), have the predicted deviations; times N."""
    count, places = values.shape
    ratio = (values.std(axis=0, ddof=1) / predicted) ** 2 * (count - 1)
    return 2 * places * np.minimum(st.chi2.cdf(ratio, count - 1), st.chi2.sf(ratio, count - 1)).min()


def test_kernels_at_the_start_have_the_predicted_fluctuation():
    """f = K_n(., X) K_n(X, X)^-1 y for 300 tangent kernels of 16,000 units, written out."""
    rng, width, found = np.random.default_rng(0), 16_000, []
    x = np.r_[SET_A.x, X]
    for _ in range(300):
        w, b, a = rng.normal(size=(3, width // 2))
        z = np.outer(x, w) + b
        outer, hidden = np.maximum(z, 0), (z > 0) * a
        kernel = 2 / width * (outer @ outer.T + (np.outer(x, x) + 1) * (hidden @ hidden.T)) + 1 / width
        found.append(kernel[5:, :5] @ np.linalg.solve(kernel[:5, :5], SET_A.y))
    assert least_pvalue(np.array(found), sb.error_band(fitted(1.0), width).std(X)) > 1e-3


@pytest.mark.parametrize(("factor", "inside"), [(0.1, True), nightly(1.0, False)])
def test_trained_networks_stay_in_the_band_where_few_breakpoints_reach_data(factor, inside):
    """At infinite time and one width: small data move hidden weights little."""
    problem, width = fitted(factor), 4000
    band = sb.error_band(problem, width)
    runs = sb.train_ensemble(problem, width, range(80), loss_tol=1e-12 * factor**2)
    values = np.array([run.function(X) for run in runs])
    assert (band.advice == "") == inside
    assert (least_pvalue(values, band.std(X)) > 1e-3) == inside
    share = crossing_share(problem, band.prediction.multipliers, width)
    reached = np.mean([reached_in(problem, run) for run in runs[:20]])
    counted = 4 * np.sqrt(share / (20 * width))  # standard errors of a share
    assert share - counted < reached < 3 * share  # those that stay are not foreseen


def reached_in(problem, run):
    """The share of units of a trained network whose breakpoints crossed data or rest there."""
    w, b, _ = problem.initialization.sample(run.width, np.random.default_rng(run.seed))
    start = np.outer(w, SET_A.x) + b[:, None]
    end = np.outer(run.network.w.numpy(), SET_A.x) + run.network.b.numpy()[:, None]
    return ((start * end < 0) | (np.abs(end) < 1e-9)).any(axis=1).mean()


def test_the_share_falls_like_the_inverse_root_of_the_width_and_grows_with_the_data():
    multipliers = sb.predict(fitted(1.0)).multipliers
    narrow, wide = (crossing_share(fitted(1.0), multipliers, width) for width in (10_000, 1_000_000))
    assert narrow / wide == pytest.approx(10, rel=0.15)
    assert crossing_share(fitted(1.0), 0.1 * multipliers, 10_000) == wide  # the same movement


def test_advice():
    band = sb.error_band(fitted(1.0), 4000)
    assert "carries the breakpoints of 4.1% of the units to data" in band.advice
    assert "take a width of about 3e+05" in band.advice
    assert "carries the breakpoints of" in sb.required_width(fitted(1.0), 0.02).advice
    assert band.at_width(400_000).advice == ""
    assert sb.error_band(fitted(1.0, sb.ReLUPower(2)), 100).advice == ""  # no kink
    assert sb.error_band(sb.Problem(SET_A, UNIFORM), 1000).advice == ""
    still = replace(fitted(1.0), data=sb.Dataset(SET_A.x, 0 * SET_A.y))
    assert sb.error_band(still, 100).advice == ""
