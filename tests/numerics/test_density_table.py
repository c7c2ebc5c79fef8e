"""A table of a density gives its distribution function, quantiles and moments, and says how far they may be off."""

import math

import numpy as np
import pytest
from scipy import stats

from splinebias.numerics.density_table import DensityTable, kinks

LEVELS = np.array([1e-9, 1e-4, 0.02, 0.3, 0.5, 0.8, 0.99, 1 - 1e-6])


def table(law, origin=0.0, unit=1.0):
    return DensityTable.of(law.pdf, tuple(map(float, law.support())), origin, unit)


@pytest.mark.parametrize(
    ("law", "error"),
    [
        (stats.norm(), 1e-13),
        (stats.norm(1000, 1), 1e-12),
        (stats.norm(3, 0.01), 1e-12),
        (stats.gamma(2.5), 1e-13),
        (stats.beta(2, 3), 1e-13),
        (stats.laplace(0.3, 1), 1e-12),  # a kink that is no edge at first
        (stats.uniform(-1, 2.3), 1e-13),
        (stats.t(5), 1e-12),
    ],
    ids=["normal", "far", "narrow", "gamma", "beta", "kink", "uniform", "student"],
)
def test_tables_are_the_closed_forms(law, error):
    found = table(law)
    assert found.error < error
    assert (found.total, found.mean) == (
        pytest.approx(1, abs=error),
        pytest.approx(law.mean(), abs=error * max(1, law.mean())),
    )
    assert found.var == pytest.approx(law.var(), rel=error)
    x = law.ppf(LEVELS)
    np.testing.assert_allclose(found.cdf(x), LEVELS, rtol=0, atol=error)
    np.testing.assert_allclose(found.sf(x), law.sf(x), rtol=1e-7 if law.dist.name == "uniform" else 1e-12)
    np.testing.assert_allclose(law.cdf(found.ppf(LEVELS)), LEVELS, rtol=1e-9, atol=error)


@pytest.mark.parametrize("law", [stats.beta(0.5, 0.5), stats.t(2.5), stats.cauchy()], ids=["infinite", "heavy", "no moment"])
def test_the_error_is_no_smaller_than_it_is(law):
    found = table(law)
    assert found.error > 1e-9
    if math.isfinite(law.var()):
        assert found.error >= abs(found.var / law.var() - 1)


def test_what_is_no_density_has_no_table():
    assert DensityTable.of(lambda x: np.full_like(x, np.nan), (0.0, 1.0), 0.0, 1.0).error == math.inf
    twice = DensityTable.of(lambda x: 2 * stats.norm.pdf(x), (-math.inf, math.inf), 0.0, 1.0)
    assert (twice.total, twice.error) == (pytest.approx(2, rel=1e-13), pytest.approx(1, rel=1e-13))


def test_quantiles_outside_the_unit_interval_are_not_numbers():
    assert np.isnan(table(stats.norm()).ppf(np.array([-0.1, 1.1, np.nan]))).all()


@pytest.mark.parametrize(
    ("density", "support", "places"),
    [
        (lambda x: np.maximum(1 - np.abs(x), 0), (-math.inf, math.inf), [-1, 0, 1]),
        (lambda x: np.maximum(1 - np.abs(x), 0), (-1.0, 1.0), [0]),
        (lambda x: np.exp(-np.abs(x - 0.3)) / 2, (-math.inf, math.inf), [0.3]),
        (lambda x: np.where(x < 0.2, 0.4, 0.65), (-1.0, 1.0), [0.2]),
        (lambda x: np.where(x < 5, np.exp(x - 5), 0), (-math.inf, math.inf), [5]),
        (lambda x: np.exp(-(x**2)) + 100 * np.exp(-((x - 1) ** 2) / 1e-6), (-math.inf, math.inf), []),  # narrow, but smooth
        (lambda x: np.exp(-np.sqrt(np.abs(x))) / 4, (-math.inf, math.inf), []),  # smooth on neither side
    ],
    ids=["triangle", "triangle on its support", "exponential", "jump", "end", "narrow", "cusp"],
)
def test_kinks_are_found_where_a_density_is_smooth_on_either_side(density, support, places):
    assert kinks(density, support, 0.0, 1.0) == pytest.approx(places, abs=1e-12)
