"""Statistics: intervals cover, tests have the level they claim, and what should be found is found."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats as st

import splinebias as sb
from splinebias.studies.rates import fit_power
from splinebias.studies.results import Study
from splinebias.studies.row import Row
from splinebias.studies.statistics import by_width, mean_estimate, places
from tests.problems import SET_A, SET_B, UNIFORM

LEVEL, REPEATS = 0.95, 200
SPREAD = np.sqrt(LEVEL * (1 - LEVEL) / REPEATS)


def runs(rng, widths=(20, 80, 320, 1280), seeds=25, spread=lambda n: 0.3, curve=lambda n: 1.2 / np.sqrt(n)):
    """Log-normal errors around a curve."""
    width = np.repeat(np.array(widths, dtype=float), seeds)
    return width, curve(width) * np.exp(spread(width) * rng.standard_normal(width.size))


def test_bootstrap_intervals_cover():
    rng = np.random.default_rng(0)
    truth = {"mean": np.exp(0.3**2 / 2), "median": 1.0, "q10": np.exp(0.3 * st.norm.ppf(0.1))}
    covered = dict.fromkeys(truth, 0)
    for _ in range(REPEATS):
        (found,) = by_width(np.full(60, 20.0), np.exp(0.3 * rng.standard_normal(60)))
        for name, value in truth.items():
            covered[name] += found[f"{name}_low"] <= value <= found[f"{name}_high"]
    assert covered["mean"] / REPEATS == pytest.approx(LEVEL, abs=4 * SPREAD)
    assert covered["median"] / REPEATS == pytest.approx(LEVEL, abs=4 * SPREAD)
    assert covered["q10"] / REPEATS > 0.88  # the tail of sixty runs: the percentile bootstrap is known to be a little short


def test_summaries_are_those_of_the_values_and_repeatable():
    width, error = runs(np.random.default_rng(1))
    error[3] = np.inf  # a penalty may be
    found = by_width(width, error)
    np.testing.assert_array_equal(found, by_width(width, error))
    assert found["runs"].tolist() == [24, 25, 25, 25]
    for row in found:
        values = error[(width == row["width"]) & np.isfinite(error)]
        assert row["mean"] == values.mean()
        assert row["median"] == np.median(values)
        assert row["q90"] == np.quantile(values, 0.9)
        assert row["mean_low"] < row["mean"] < row["mean_high"]
    with pytest.raises(ValueError, match="read-only"):
        found["mean"] = 0


def test_few_or_equal_values_have_no_or_point_intervals():
    one, equal, none = (by_width(np.full(len(v), 20.0), np.array(v))[0] for v in ([2.0], [2.0] * 4, [np.nan]))
    assert np.isnan([one["mean_low"], one["median_high"], none["mean"]]).all()
    assert (one["mean"], one["runs"], none["runs"]) == (2, 1, 0)
    assert (equal["mean_low"], equal["mean"], equal["q10_high"]) == (2, 2, 2)


def test_units_do_not_matter():
    width, error = runs(np.random.default_rng(6))
    found = by_width(width, error)
    for power in (-1000, 900):
        scaled = by_width(width, error * 2.0**power)
        for name in found.dtype.names[2:]:
            np.testing.assert_array_equal(scaled[name], found[name] * 2.0**power)


@pytest.mark.parametrize("spread", [lambda n: 0.3, lambda n: 0.05 + 5 / n], ids=["one-spread", "many-spreads"])
def test_the_exponent_is_covered_and_the_test_of_the_law_has_its_level(spread):
    rng = np.random.default_rng(2)
    covered, rejected = 0, 0
    for _ in range(REPEATS):
        law = fit_power(*runs(rng, spread=spread))
        assert law.weighted
        covered += law.exponent.low < -0.5 < law.exponent.high
        rejected += law.pvalue < 0.05
    assert covered / REPEATS == pytest.approx(LEVEL, abs=4 * SPREAD)
    assert 0.05 - 4 * SPREAD < rejected / REPEATS < 0.05 + 6 * SPREAD  # weights from 25 runs are a little off themselves


def test_unequal_spreads_are_used():
    """Weighted, the precise widths decide; the interval is shorter than without weights."""
    rng = np.random.default_rng(3)
    spread = lambda n: np.where(n < 100, 1.5, 0.02)  # noqa: E731
    many = fit_power(*runs(rng, spread=spread, seeds=20)).exponent
    few = fit_power(*runs(rng, spread=spread, seeds=19)).exponent  # too few to trust their variances
    assert many.high - many.low < (few.high - few.low) / 5
    assert many.value == pytest.approx(-0.5, abs=0.02)


def test_two_powers_are_not_one():
    law = fit_power(*runs(np.random.default_rng(4), spread=lambda n: 0.1, curve=lambda n: 1 / np.sqrt(n) + 20 / n))
    assert law.pvalue < 1e-3


def test_what_cannot_be_tested_is_not():
    width = np.array([20.0, 20, 80, 80])
    assert np.isnan(fit_power(width, 1 / width).pvalue)
    assert np.isnan(fit_power(np.array([20.0, 80, 320]), np.array([1.0, 0.6, 0.2])).pvalue)
    assert np.isnan(fit_power(np.full(3, 20.0), np.ones(3)).exponent.value)
    assert np.isnan(mean_estimate(np.array([])).value)


def test_rounding_is_no_spread_to_test_a_law_with():
    width = np.repeat([20.0, 80.0, 320.0], 25)
    law = fit_power(width, 1 / width * (1 + 1e-16 * np.arange(75)))
    assert (np.isnan(law.pvalue), law.weighted) == (True, False)
    np.testing.assert_allclose([law.exponent.low, law.exponent.value, law.exponent.high], -1)


def test_places_count_every_run_once():
    width, argmax = np.array([20, 20, 20, 80]), np.array([-1.5, -0.1, 0.2, 1.5])
    found = places(width, argmax, SET_A.x, (-1.5, 1.5))
    assert found["low"].tolist() == [-1.5, -1, -0.2, 0, 0.2, 1] * 2
    assert found["runs"].tolist() == [1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    np.testing.assert_allclose(found["share"][:6].sum(), 1)


# -- one limit or two -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grid():
    """Unscaled potentials have one limit, scaled ones their own (Liang & Montufar 2025)."""
    potentials = {
        "u2": sb.Quadratic(),
        "u4": sb.Power(4, quadratic=1),
        "scaled u4": sb.Scaled(sb.Power(4, quadratic=1)),
    }
    problem = sb.Problem(SET_A, UNIFORM)
    return sb.study_grid(sb.StudySpec(problem, [200, 400, 800], range(6), potentials=potentials, loss_tol=1e-9))


def test_unscaled_potentials_have_one_limit(grid):
    found = sb.compare_limits(grid.part(potential="u2"), grid.part(potential="u4"))
    assert found.pvalue > 0.05
    assert found.exponent.high < -0.5
    assert found.gap.high < 0.01
    assert (found.runs, found.widths) == (18, (200, 400, 800))


def test_scaled_potentials_have_limits_of_their_own(grid):
    found = sb.compare_limits(grid.part(potential="u2"), grid.part(potential="scaled u4"))
    assert found.pvalue < 1e-6
    limits = [grid.part(potential=name).prediction.function for name in ("u2", "scaled u4")]
    truth = sb.compare(*limits, interval=(-1.5, 1.5)).sup
    assert found.gap.value == pytest.approx(truth, rel=0.5)


def test_a_study_has_the_limit_of_itself(grid):
    found = sb.compare_limits(grid.parts[0], grid.parts[0], narrowest=400)
    assert (found.pvalue, found.gap.value, found.widths) == (1.0, 0.0, (400, 800))
    assert found.exponent.value == -np.inf
    assert "s = not determined (all distances are 0), 0 " in str(found)


SIX = {20: 6, 80: 6, 320: 6}


def levels(distance, seeds=SIX):
    """Two studies whose networks are constants, ``distance(n)`` apart; widths may have seeds of their own."""
    apart = {(n, seed): distance(n) for n, count in seeds.items() for seed in range(count)}
    limit = sb.predict(sb.Problem(SET_A, UNIFORM))
    rows = tuple(Row(*pair, 1.0, 1.0, 0.0, 1.0, 1e-12, 1, 1.0, 0.1, "CONVERGED") for pair in apart)

    def study(level):
        return Study(limit, (-1.5, 1.5), 1e-12, rows, functions=lambda *pair: sb.PiecewiseLinear([0], [level(pair)], 0, 0))

    return study(lambda pair: 0.0), study(lambda pair: apart[pair])


def test_under_the_null_p_values_are_uniform_and_intervals_cover():
    """Distances c n^(-1/2), the edge of the hypothesis, from numbers of seeds that differ between widths."""
    rng, pvalues, covered = np.random.default_rng(5), [], np.zeros(2)
    distance = lambda n: np.exp(0.3 * rng.standard_normal()) / np.sqrt(n)  # noqa: E731
    for _ in range(REPEATS):
        found = sb.compare_limits(*levels(distance, {20: 9, 80: 5, 320: 7}))
        pvalues.append(found.pvalue)
        truth = (-0.5, np.exp(0.3**2 / 2) / np.sqrt(320))
        covered += [e.low < value < e.high for e, value in zip((found.exponent, found.gap), truth, strict=True)]
    assert st.kstest(pvalues, "uniform").pvalue > 0.01
    assert np.abs(covered / REPEATS - LEVEL).max() < 4 * SPREAD


def test_seeds_that_only_one_study_has_are_left_out(grid):
    one, other = grid.part(potential="u2"), grid.part(potential="scaled u4")
    fewer = replace(other, rows=tuple(row for row in other.rows if (row.width, row.seed) not in {(200, 0), (800, 5)}))
    found = sb.compare_limits(one, fewer)
    assert (found.runs, found.widths) == (16, (200, 400, 800))
    assert (found.pvalue, found.gap) == (sb.compare_limits(fewer, one).pvalue, sb.compare_limits(fewer, one).gap)


def test_pairs_of_equal_networks_have_no_logarithm():
    equal = iter([True, False, False])
    some = sb.compare_limits(*levels(lambda n: 0.0 if next(equal, False) else 1 / n))
    assert some.exponent.value == pytest.approx(-1)
    assert (some.pvalue, some.runs) == (1.0, 18)
    assert sb.compare_limits(*levels(lambda n: 0.5)).pvalue < 1e-100
    many = iter([False] * 7 + [True] * 11)
    with pytest.raises(sb.DataError, match="must differ in at least 8 pairs of networks at two widths or more, got 7"):
        sb.compare_limits(*levels(lambda n: 0.0 if next(many) else 1 / n))


def test_studies_that_cannot_be_compared_are_refused(grid):
    other = sb.study(sb.Problem(SET_B, UNIFORM), [200], [0], loss_tol=1e-3)
    with pytest.raises(sb.DataError, match="`first` must be what sb.study hands back"):
        sb.compare_limits("studies", "studies")
    with pytest.raises(sb.DataError, match="must be studies of the same data on the same interval"):
        sb.compare_limits(grid.parts[0], other)
    with pytest.raises(sb.DataError, match="must share at least 8 runs at two widths or more, got 6 at 1; add seeds"):
        sb.compare_limits(grid.parts[0], grid.parts[1], narrowest=800)


def test_networks_approach_the_penalty_of_the_limit(grid):
    ratio = grid.part(potential="u2").penalties["mean"]
    assert abs(ratio[-1] - 1) < abs(ratio[0] - 1) < 0.5
    assert abs(ratio[-1] - 1) < 0.1
