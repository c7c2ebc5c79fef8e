"""The scikit-learn facade passes scikit-learn's own checks and is the function of `predict`."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.stats as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import splinebias as sb

CHECKS = [
    pair
    for estimator in (sb.SplineBiasRegressor(), sb.SplineBiasRegressorCV())
    for pair in estimator_checks_generator(estimator)
    if pair[1].func.__name__ != "check_array_api_input"  # which skips itself unless SCIPY_ARRAY_API is set
]


@pytest.mark.filterwarnings("ignore")  # the checks feed several columns and provoke warnings on purpose
@pytest.mark.parametrize(
    ("estimator", "check"), CHECKS, ids=lambda item: getattr(getattr(item, "func", item), "__name__", "")
)
def test_own_checks_of_scikit_learn(estimator, check):
    assert check(estimator) is None  # a check asserts by itself


def test_is_the_function_of_predict():
    x = np.array([0.3, -1.0, 0.9, 0.3])
    y = np.array([1.0, 0.0, -1.0, 3.0])
    law = sb.Initialization.rademacher(st.norm(0, 1))
    fitted = sb.SplineBiasRegressor(law, sb.Scaled(sb.Power(4, quadratic=1)), sb.Abs()).fit(x[:, None], y)
    problem = sb.Problem(sb.Dataset.from_replicates(x, y), law, sb.Abs(), sb.Scaled(sb.Power(4, quadratic=1)))
    query = np.linspace(-2, 2, 31)
    np.testing.assert_array_equal(fitted.predict(query[:, None]), sb.predict(problem).function(query))
    assert fitted.predict([[0.3]]) == pytest.approx(2.0)  # the mean of the replicates


def test_other_columns_are_ignored_aloud():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    with pytest.warns(UserWarning, match="column 2 of 3 is used, the others are ignored"):
        several = sb.SplineBiasRegressor(feature=2).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one = sb.SplineBiasRegressor().fit(X[:, 2:], y)
    np.testing.assert_array_equal(several.predict(X), one.predict(X[:, 2:]))
    with pytest.raises(ValueError, match="`feature` must be a column number from 0 to 2, got 3"):
        sb.SplineBiasRegressor(feature=3).fit(X, y)
    with pytest.raises(ValueError, match="`feature` 0 must take at least two values, got the constant 1"):
        sb.SplineBiasRegressor().fit(np.ones((5, 1)), np.arange(5.0))


def test_training_time_is_chosen_by_cross_validation():
    """Early stopping on noisy data: some finite time beats interpolation."""
    rng = np.random.default_rng(1)
    x = np.sort(rng.uniform(-1, 1, 60))
    y = np.sin(4 * x) + 0.4 * rng.normal(size=60)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), sb.SplineBiasRegressor()),
        {"splinebiasregressor__time": [1e1, 1e2, 1e3, 1e4, math.inf]},
        cv=KFold(5, shuffle=True, random_state=0),  # neighbours of a left-out point stay
    ).fit(x[:, None], y)
    assert math.isfinite(search.best_params_["splinebiasregressor__time"])
    assert search.best_score_ > 0.5


@pytest.mark.parametrize("feature", [None, "a", True, [], 0.5])
def test_features_that_are_no_column_number_are_refused(feature):
    with pytest.raises(sb.DataError, match="`feature` must be a column number from 0 to 0, got"):
        sb.SplineBiasRegressor(feature=feature).fit([[0.0], [1.0], [2.0]], [0, 1, 0])


def test_an_inaccurate_fit_is_a_convergence_warning_and_an_outcome():
    x = np.array([[0.0], [1.0], [2.0], [3.0]])
    model = sb.SplineBiasRegressor()
    assert model.fit(x, [0.0, 1.0, 0.0, 1.0]).outcome_ is sb.Outcome.CONVERGED
    far = sb.SplineBiasRegressor()
    with pytest.warns(ConvergenceWarning, match=r"INACCURATE with residual \d"):
        far.fit([[-1e6], [0.0], [1e6]], [0.0, 1.0, 0.0])
    assert far.outcome_ is sb.Outcome.INACCURATE


@pytest.mark.parametrize(
    "dates",
    [
        np.array(["2026-01-01", "2026-01-02", "2026-01-04"], dtype="datetime64[D]")[:, None],
        pd.DataFrame({"day": pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-04"])}),
        pd.DataFrame({"day": pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-04"], utc=True)}),
    ],
    ids=["array", "frame", "time zone"],
)
def test_dates_are_refused_with_the_way_to_numbers(dates):
    with pytest.raises(sb.DataError, match=r"got dates or durations; subtract the first one and divide by a unit"):
        sb.SplineBiasRegressor().fit(dates, [0.0, 1.0, 0.0])


RNG = np.random.default_rng(2)
NOISY = np.sort(RNG.uniform(-1, 1, 40))[:, None]
VALUES = np.sin(4 * NOISY[:, 0]) + 0.3 * RNG.normal(size=40)


@pytest.mark.parametrize("model", [sb.SplineBiasRegressor(time=50.0), sb.SplineBiasRegressorCV()])
def test_weights_count_rows(model):
    """A row of weight 2 is two rows, one of weight 0 is none; at x that repeat and at those that do not."""
    X, y = np.r_[NOISY, NOISY[:10]], np.r_[VALUES, VALUES[:10] + 0.2]
    weights = RNG.integers(0, 4, y.size)
    weighted = model.fit(X, y, sample_weight=weights).predict(NOISY)
    time = model.time_
    repeated = model.fit(np.repeat(X, weights, axis=0), np.repeat(y, weights)).predict(NOISY)
    np.testing.assert_allclose(weighted, repeated, rtol=0, atol=1e-9)
    assert model.time_ == pytest.approx(time, rel=1e-6)
    plain = model.fit(X, y).predict(NOISY)
    assert np.abs(plain - weighted).max() > 1e-3


def test_weights_that_leave_one_x_are_refused():
    with pytest.raises(ValueError, match="`sample_weight` must leave at least two values of `feature` 0, got 1"):
        sb.SplineBiasRegressor().fit([[0.0], [1.0]], [0.0, 1.0], sample_weight=[1, 0])


def test_the_time_of_least_score_is_that_of_gcv_time():
    model = sb.SplineBiasRegressorCV().fit(NOISY, VALUES)
    problem = sb.Problem(sb.Dataset.from_replicates(NOISY[:, 0], VALUES), sb.Initialization.gaussian())
    assert model.time_ == model.selection_.value == sb.gcv_time(problem).value
    assert 0 < model.time_ < math.inf
    np.testing.assert_array_equal(model.predict(NOISY), sb.predict(problem, time=model.time_)(NOISY[:, 0]))
    assert "time" not in model.get_params()
    with pytest.raises(sb.CapabilityError, match="quadratic"):
        sb.SplineBiasRegressorCV(potential=sb.Scaled(sb.Hypentropy(0.1))).fit(NOISY, VALUES)


@pytest.mark.parametrize("time", [20.0, math.inf])
def test_deviations_are_those_of_starts_and_of_widths(time):
    X, y, query = [[-1.0], [0.0], [1.0]], [0.0, 1.0, 0.0], np.array([[-1.0], [-0.5], [0.3], [2.0]])
    random, zero = sb.Initialization.pytorch_default(both_layers=True), sb.Initialization.pytorch_default()
    problem = sb.Problem(sb.Dataset([-1, 0, 1], y), random)
    f, std = sb.SplineBiasRegressor(random, time=time).fit(X, y).predict(query, return_std=True)
    np.testing.assert_array_equal(std, sb.start_process(problem, time=time).std(query[:, 0]))
    np.testing.assert_array_equal(f, sb.predict(problem, time=time)(query[:, 0]))
    narrow = sb.SplineBiasRegressor(zero, time=time, width=400).fit(X, y).predict(query, return_std=True)[1]
    band = sb.error_band(problem.replace(initialization=zero), 400, time=time)
    np.testing.assert_allclose(narrow, band.std(query[:, 0]), rtol=1e-12)
    both = sb.SplineBiasRegressor(random, time=time, width=400).fit(X, y).predict(query, return_std=True)[1]
    assert (both >= std).all()
    assert (both[1:] > std[1:]).all()


def test_deviations_of_networks_that_are_all_the_same_are_refused():
    model = sb.SplineBiasRegressor().fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0])
    with pytest.raises(sb.DataError, match="`return_std` needs networks that differ: a `width`, or an `initialization`"):
        model.predict([[0.5]], return_std=True)
