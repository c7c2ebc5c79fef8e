"""The scikit-learn estimator of several columns: what predict gives, in pipelines, with replicates."""

import numpy as np
import pytest

import splinebias as sb

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (60, 3))
Y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2]


def test_all_columns_are_the_inputs_of_predict():
    found = sb.SplineBiasRegressor(features="all").fit(X, Y)
    direct = sb.predict(sb.Problem(sb.Points(X, Y), sb.Initialization.gaussian(dim=3)))
    np.testing.assert_allclose(found.predict(X[:5] / 2), direct.function(X[:5] / 2), rtol=1e-12)
    assert found.outcome_ is sb.Outcome.CONVERGED
    law = sb.Initialization.gaussian(0.5, 2.0, dim=3)
    other = clone(sb.SplineBiasRegressor(law, features="all", affine="free", time=50.0)).fit(X, Y)
    late = sb.predict(sb.Problem(sb.Points(X, Y), law, affine="free"), time=50.0)
    np.testing.assert_allclose(other.predict(X / 2), late.function(X / 2), rtol=1e-12)


def test_it_learns_in_a_pipeline_and_averages_replicates():
    pipeline = make_pipeline(StandardScaler(), sb.SplineBiasRegressor(features="all"))
    assert cross_val_score(pipeline, X, Y, cv=4).min() > 0.8
    twice = sb.SplineBiasRegressor(features="all").fit(np.r_[X, X], np.r_[Y - 1, Y + 1])
    np.testing.assert_allclose(twice.predict(X), Y, atol=1e-8)


def test_one_column_is_the_line_and_other_words_are_refused():
    line = sb.SplineBiasRegressor().fit(X[:, :1], Y)
    np.testing.assert_array_equal(
        sb.SplineBiasRegressor(features="all").fit(X[:, :1], Y).predict(X[:, :1]), line.predict(X[:, :1])
    )
    with pytest.raises(sb.DataError, match='"all" or None'):
        sb.SplineBiasRegressor(features="both").fit(X, Y)
