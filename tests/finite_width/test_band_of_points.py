"""Bands of several inputs: prototypes' numbers, trained networks, and what they refuse."""

import numpy as np
import pytest
import scipy.stats as st

import splinebias as sb

X = np.array([(-0.8, -0.6), (-0.7, 0.5), (-0.2, -0.1), (0, 0.8), (0.1, -0.9), (0.4, 0.3), (0.7, -0.4), (0.9, 0.6)])
Y = np.array([0.2, -0.1, 0.4, 0, -0.3, 0.5, 0.1, -0.2])
AT = np.array([(0, 0), (0.5, -0.5), (-0.5, 0.8), (1.2, 0)])
POINTS = sb.Points(X, Y)
SPHERE = sb.Initialization.sphere(st.uniform(-1.5, 3), dim=2)
PROBLEMS = {
    "spline": sb.Problem(POINTS, SPHERE, affine="free"),
    "sphere": sb.Problem(POINTS, SPHERE),
    "gaussian": sb.Problem(POINTS, sb.Initialization.gaussian(dim=2)),
}
NUMBERS = {  # sqrt(n) times the deviation at AT, from a prototype with its own quadrature
    "spline": [0.1959, 0.2556, 0.3666, 0.8574],
    "sphere": [0.2004, 0.2598, 0.3725, 0.8666],
    "gaussian": [0.2903, 0.3421, 0.4799, 1.0003],
}


@pytest.mark.parametrize("law", PROBLEMS)
def test_numbers_of_the_prototypes(law):
    band = sb.error_band(PROBLEMS[law], 900, draws=200)
    assert (band.std_error(AT) <= 0.02 * band.std(AT)).all()
    assert (np.abs(band.std(AT) - np.divide(NUMBERS[law], 30)) <= 4 * band.std_error(AT) + 2e-6).all()
    assert band.std(POINTS.x).max() < 1e-10 * 30
    np.testing.assert_allclose(np.diag(band.cov(AT)), band.std(AT) ** 2, rtol=1e-10)
    np.testing.assert_allclose(band.at_width(3600).std(AT), band.std(AT) / 2, rtol=1e-12)
    assert 10 < band.effective_number < 900


@pytest.mark.parametrize("law", ["spline", "gaussian"])
def test_trained_networks_scatter_as_the_band_says(law):
    problem, width, seeds = PROBLEMS[law], 2000, 40
    band = sb.error_band(problem, width, draws=2000)
    runs = sb.train_ensemble(problem, width, range(seeds))
    errors = np.array([run.function(AT) - band.prediction.function(AT) for run in runs])
    ratio = (errors**2).mean(axis=0) / band.std(AT) ** 2
    low, high = st.chi2.ppf([1e-4, 1 - 1e-4], seeds) / seeds
    assert ((low < ratio) & (ratio < high)).all()
    sups = [np.abs(run.function(band.largest.points) - band.prediction.function(band.largest.points)).max() for run in runs]
    assert np.mean(sups) == pytest.approx(band.expected_sup, rel=0.25)
    assert 0.5 < np.mean(np.array(sups) < band.quantile(0.8)) < 0.98


def test_antisymmetric_pairs_double_the_variance():
    paired = sb.Initialization.sphere(st.uniform(-1.5, 3), st.norm(), dim=2)
    one, two = sb.error_band(PROBLEMS["sphere"], 100, draws=100), sb.error_band(sb.Problem(POINTS, paired), 100, draws=100)
    np.testing.assert_allclose(two.std(AT), np.sqrt(2) * one.std(AT), rtol=1e-12)
    with pytest.raises(sb.DataError, match="even for antisymmetric"):
        two.at_width(101)


def test_required_width_is_where_the_quantile_of_the_band_is_the_error():
    found = sb.required_width(PROBLEMS["sphere"], 0.05, 0.9, draws=2000)
    band = sb.error_band(PROBLEMS["sphere"], found.width, draws=2000)
    assert band.quantile(0.9) == pytest.approx(0.05, rel=1e-3)
    assert found.correction == pytest.approx(np.abs(band.mean_shift(band.largest.points)).max() / 0.05, rel=1e-9)
    assert band.advice == found.advice == ""
    assert "hidden weights move by" in sb.error_band(PROBLEMS["sphere"], 10, draws=100).advice


def test_what_bands_refuse():
    problem = PROBLEMS["sphere"]
    with pytest.raises(sb.DataError, match="time"):
        sb.error_band(problem, 100, time=-1.0)
    with pytest.raises(sb.CapabilityError, match=r"E a = E a\^3 = 0"):
        both = sb.Initialization(pair=SPHERE.pair, output=st.expon(-1), antisymmetric=False)
        sb.error_band(sb.Problem(POINTS, both, parameterization=sb.NTK()), 100)
    with pytest.raises(sb.DataError, match="at least 8 for 8 points"):
        sb.error_band(problem, 7)
    with pytest.raises(sb.DataError, match="box of 2 rows"):
        sb.error_band(problem, 100, interval=[(0, 1)] * 3)
    with pytest.raises(sb.DataError, match="fourth moments"):
        sb.error_band(sb.Problem(POINTS, sb.Initialization.sphere(st.t(3), dim=2)), 100)
    with pytest.raises(sb.CapabilityError, match="two-slope"):
        sb.error_band(sb.Problem(POINTS, SPHERE, sb.ReLUPower(2)), 100)
