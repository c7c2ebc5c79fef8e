"""Bands of several inputs at finite times, with NTK() and over random starts: one input as a twin, trained networks."""

import numpy as np
import pytest
import scipy.stats as st
from marks import nightly

import splinebias as sb

X = np.array([(-0.8, -0.6), (-0.7, 0.5), (-0.1, -0.2), (0.4, 0.3), (0.7, -0.4)])
POINTS = sb.Points(X, [0.2, -0.1, 0.3, 0.2, 0.1], [1, 2, 1, 1, 1])
AT = np.array([(0, 0), (0.5, -0.5), (-0.5, 0.8), (1.2, 0)])
SPHERE = sb.Initialization.sphere(st.uniform(-1.5, 3), dim=2)
RANDOM = sb.Initialization(pair=SPHERE.pair, output=st.norm(0, 0.8), antisymmetric=False)
PAIRS = sb.Initialization(pair=SPHERE.pair, output=st.norm())
_GIVEN = 30  # start functions
T, LINE_Y, PLACES = np.array([-1.0, -0.2, 0.4, 1.0]), [0.1, -0.2, 0.4, 0.3], np.array([-1.3, -0.5, 0.1, 0.7, 1.4])


def twins(output, antisymmetric, parameterization):
    """One problem of one input, and the same in a plane of which the weights of the other input see nothing."""
    law = sb.Initialization(st.norm(), st.norm(), output, antisymmetric=antisymmetric)
    flat = sb.Initialization(pair=sb.Initialization.gaussian(dim=2).pair, output=output, antisymmetric=antisymmetric)
    points = sb.Points(np.c_[T, 0 * T], LINE_Y, [1, 2, 1, 1])
    return (
        sb.Problem(sb.Dataset(T, LINE_Y, [1, 2, 1, 1]), law, parameterization=parameterization),
        sb.Problem(points, flat, parameterization=parameterization),
    )


@pytest.mark.parametrize("time", [3.0, 40.0, np.inf])
@pytest.mark.parametrize(
    ("output", "antisymmetric", "parameterization"),
    [
        (None, True, sb.Standard()),
        (st.norm(0, 0.8), False, sb.Standard()),
        (st.norm(), True, sb.NTK()),
    ],
    ids=["standard", "random start", "ntk"],
)
def test_on_a_line_two_inputs_have_the_band_of_one(output, antisymmetric, parameterization, time):
    line, plane = twins(output, antisymmetric, parameterization)
    one, two = (sb.error_band(problem, 100, time=time, draws=100) for problem in (line, plane))
    at = np.c_[PLACES, 0 * PLACES]
    assert (two.std_error(at) < 0.1 * two.std(at)).all()
    assert (np.abs(two.std(at) - one.std(PLACES)) < 4 * two.std_error(at) + 3e-3 * one.std(PLACES)).all()
    np.testing.assert_allclose(np.diag(two.cov(at)), two.std(at) ** 2, rtol=1e-9)


@pytest.mark.parametrize("affine", ["network", "free"])
def test_the_way_ends_at_the_limit(affine):
    problem = sb.Problem(POINTS, RANDOM, affine=affine)
    late, end = (sb.error_band(problem, 100, time=time, draws=100) for time in (1e9, np.inf))
    np.testing.assert_allclose(late.std(AT), end.std(AT), rtol=0.1)  # fewer units on the way
    zero = sb.Problem(POINTS, SPHERE, affine=affine)
    late, end = (sb.error_band(zero, 100, time=time, draws=100) for time in (1e9, np.inf))
    np.testing.assert_allclose(late.std(AT), end.std(AT), rtol=1e-5)


@pytest.mark.parametrize(
    ("problem", "time"),
    [
        (sb.Problem(POINTS, SPHERE, affine="free"), 20.0),
        (sb.Problem(POINTS, RANDOM), np.inf),
        (sb.Problem(POINTS, PAIRS, parameterization=sb.NTK()), 5.0),
        nightly(sb.Problem(POINTS, RANDOM, parameterization=sb.NTK()), np.inf),
    ],
    ids=["early", "random start", "ntk", "ntk, random start"],
)
def test_trained_networks_scatter_as_the_band_says(problem, time):
    width, seeds = 8000, 30
    band = sb.error_band(problem, width, time=time, draws=100)
    method = sb.MirrorFlow() if time == np.inf else sb.MirrorFlow(time=time)
    runs = sb.train_ensemble(problem, width, range(seeds), method=method)
    errors = []
    for run in runs:
        start = None if problem.initialization.starts_at_zero else run.start.function()
        errors.append(run.function(AT) - sb.predict(problem, time=time, start=start).function(AT))
    ratio = (np.array(errors) ** 2).mean(axis=0) / band.std(AT) ** 2
    low, high = st.chi2.ppf([1e-4, 1 - 1e-4], seeds) / seeds
    assert ((low < ratio) & (ratio < high)).all()


@pytest.mark.parametrize(("parameterization", "time"), [(sb.Standard(), np.inf), (sb.NTK(), 10.0)], ids=["standard", "ntk"])
def test_a_band_over_random_starts_is_the_mean_of_those_given_the_start(parameterization, time):
    problem = sb.Problem(POINTS, RANDOM, parameterization=parameterization)
    networks = sb.Network.sample(problem, 20_000, list(range(_GIVEN)))
    starts = [networks[k].function() for k in range(_GIVEN)]
    given = [sb.error_band(problem, 100, time=time, start=start, draws=100).std(AT) ** 2 for start in starts]
    mean, error = np.mean(given, axis=0), np.std(given, axis=0) / np.sqrt(_GIVEN)
    assert (np.abs(sb.error_band(problem, 100, time=time, draws=100).std(AT) ** 2 - mean) < 4 * error).all()


@pytest.mark.parametrize("output", [None, st.norm()], ids=["zero", "pairs"])
def test_on_a_line_two_inputs_have_the_mean_shift_of_one(output):
    line, plane = twins(output, True, sb.Standard())
    one, two = (sb.error_band(problem, 100, draws=100) for problem in (line, plane))
    at = np.c_[PLACES, 0 * PLACES]
    error = two.model.mean_shift(at, two.copies)[1] / 100
    shift = one.mean_shift(PLACES)
    assert (error < 0.05 * np.abs(shift).max()).all()
    assert (np.abs(two.mean_shift(at) - shift) < 5 * error + 3e-3 * np.abs(shift).max()).all()
    assert np.isnan(two.mean_shift([(np.inf, 0.0)])).all()


@pytest.mark.parametrize("affine", ["network", "free"])
def test_the_mean_shift_is_the_second_order_of_networks_that_are_solved(affine):
    """Output weights alone, in closed form, less the sum of influences, which has mean 0."""
    problem = sb.Problem(POINTS, SPHERE, affine=affine)
    band, rng, n = sb.error_band(problem, 400, draws=100), np.random.default_rng(0), 400
    x, y, m = problem.data.x, problem.data.y, problem.data.size
    found, prepared, limit = [], band.model.prepared(AT), band.prediction.function(AT)
    for _ in range(2000):
        w, b, _ = SPHERE.sample(n, rng)
        s, here = (np.maximum(points @ w.T + b, 0.0) for points in (x, AT))
        system, right = (s @ s.T + 1) / n, (here @ s.T + 1) / n
        if affine == "free":
            plane = np.c_[x, np.ones(m)]
            system = np.block([[system, plane], [plane.T, np.zeros((3, 3))]])
            right = np.c_[right, AT, np.ones(len(AT))]
        values = right @ np.linalg.solve(system, np.r_[y, np.zeros(len(system) - m)])
        found.append(n * (values - limit) - band.model.drawn(w, b, rng).total(AT, prepared))
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(len(found))
    shift = n * band.mean_shift(AT)
    assert (np.abs(mean - shift) < 4 * error + 0.05 * np.abs(shift).max()).all()  # and the third order
    assert (np.abs(shift) > 4 * error).any()


@pytest.mark.parametrize(
    ("problem", "time"),
    [
        (sb.Problem(POINTS, SPHERE, affine="free"), np.inf),
        nightly(sb.Problem(POINTS, RANDOM), np.inf),
        nightly(sb.Problem(POINTS, PAIRS, parameterization=sb.NTK()), 5.0),
        (sb.Problem(POINTS, RANDOM, parameterization=sb.NTK()), 5.0),
    ],
    ids=["limit", "random start", "ntk", "ntk, random start"],
)
def test_drawn_networks_have_the_largest_errors_of_the_band_where_they_are_wide(problem, time):
    band = sb.error_band(problem, 400, time=time, draws=4000)
    drawn, rng = band.drawn_errors, np.random.default_rng(0)
    assert drawn.networks == 200
    units, prepared = band.model.drawn(*SPHERE.pair_law.sample(50, rng), rng), band.model.prepared(AT)
    np.testing.assert_allclose(units.total(AT, prepared), units.at(AT, prepared, slice(None)).sum(axis=-1), atol=1e-10)
    assert abs(drawn.mean.value - band.expected_sup) < 2.5 * (drawn.mean.high - drawn.mean.value) + 0.02 * band.expected_sup


def test_the_mean_shift_is_refused_where_it_is_not_known():
    for problem, time in ((sb.Problem(POINTS, SPHERE), 3.0), (sb.Problem(POINTS, RANDOM), np.inf)):
        with pytest.raises(sb.CapabilityError, match="Study.mean_shift measures it"):
            sb.error_band(problem, 100, time=time, draws=100).mean_shift(AT)
