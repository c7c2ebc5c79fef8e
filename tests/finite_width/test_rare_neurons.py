"""Bands whose variance belongs to rare neurons: kurtosis by definition, drawn neurons, networks that have only those."""

import math

import numpy as np
import pytest
import scipy.stats as st
from marks import nightly
from problems import LAWS, PUBLISHED, SCALED, SET_A, SET_B, UNIFORM
from test_band import BANDED, X, dense_influences

import splinebias as sb
from splinebias.finite_width.largest_error import DrawnErrors
from splinebias.studies.results import Row, Study

A = PUBLISHED["A"][0]
PLACES = np.array([-0.7, -0.5, -0.22, 0.03, 0.21, 0.44, 0.65])
HYPENTROPY = sb.Scaled(sb.Hypentropy(1.0))


def rare(seed, law=None, activation=None, size=0.5):
    """Seven points with ordinates of a size: with the Gaussian law, curvature grows exponentially in the tails."""
    data = sb.Dataset(PLACES, np.random.default_rng(seed).uniform(-size, size, PLACES.size))
    return sb.Problem(data, law or sb.Initialization.gaussian(), activation or sb.Abs(), HYPENTROPY)


CHECKED = ["gaussian-relu-network", "mixed", "three-weights-relu-u4+u2-free"]
SLOW = ["unit-circle-abs-free", "pytorch-leaky-network", "joint-scaled", "joint", "uniform-bias-relu-u3+u2-network"]
SLOW += ["gaussian-relu-u4+u2-network"]


@pytest.mark.parametrize("name", [*CHECKED, *map(nightly, SLOW)])
def test_kurtosis_and_sums_over_given_neurons_are_those_of_the_definition(name):
    problem, points = BANDED[name], X[[0, 1, 4, 6]]
    model = sb.error_band(problem, 100).model
    influences, mass, cardinal = dense_influences(problem, points)
    for point, u in zip(points, influences, strict=True):
        central = u - u @ mass
        expected = (central**4) @ mass / ((central**2) @ mass) ** 2
        assert model.kurtosis(point) == pytest.approx(expected, rel=1e-4)  # the definition's rule is made for squares
    w, b = problem.initialization.pair_law.sample(200, np.random.default_rng(3))
    at_data, at_points = (problem.activation.value(np.multiply.outer(x, w) + b) for x in (problem.data.x, points))
    alpha = problem.limit_potential.grad_inverse(sb.predict(problem).multipliers @ at_data)
    terms = (at_points - cardinal @ at_data) * alpha
    np.testing.assert_allclose(model.sums(points)(w, b), terms.sum(axis=1), rtol=0, atol=2e-6 * np.abs(terms).sum())


def test_the_effective_number_is_the_width_over_the_kurtosis_where_the_band_is_widest():
    band = sb.error_band(A, 200)
    where = np.linspace(*band.interval, 401)
    widest = where[band.std(where).argmax()]
    assert band.effective_number == pytest.approx(200 / band.model.kurtosis(widest), rel=1e-2)
    assert band.at_width(400).effective_number == pytest.approx(2 * band.effective_number, rel=1e-12)
    pairs = sb.Problem(SET_A, sb.Initialization(sb.Rademacher(), st.uniform(-1, 2), st.norm(0, 0.01)))
    assert sb.error_band(pairs, 200).effective_number == pytest.approx(band.effective_number / 2, rel=1e-9)


ORDINARY = {
    "A": A,
    "B-u4": PUBLISHED["B-u4"][0],
    "gaussian": sb.Problem(SET_A, sb.Initialization.gaussian()),
    "pytorch": PUBLISHED["A-pytorch"][0],
    "free": sb.Problem(SET_A, LAWS["one-sided"], affine="free"),
    "u3": sb.Problem(SET_B, LAWS["gaussian"], sb.ReLU(), sb.Scaled(SCALED["u3+u2"])),
    "hypentropy": sb.Problem(SET_B, UNIFORM, sb.Abs(), HYPENTROPY),
    "pairs": sb.Problem(SET_A, sb.Initialization(sb.Rademacher(), st.uniform(-1, 2), st.norm(0, 0.01))),
}


@pytest.mark.parametrize(
    "problem", [(pytest.param if name in ("A", "hypentropy") else nightly)(of, id=name) for name, of in ORDINARY.items()]
)
def test_drawn_networks_of_ordinary_problems_are_in_the_band(problem):
    """With enough neurons their errors are Gaussian: the two laws agree, by ways that share no integral."""
    band = sb.error_band(problem, 20_000)
    assert band.effective_number > 100
    drawn = band.drawn_errors
    assert abs(drawn.mean.value - band.expected_sup) < 4 * drawn.sups.std() / math.sqrt(drawn.networks)
    assert "rare neurons" not in band.advice


def frozen_errors(problem, width, count, points):
    """Largest errors of networks whose output weights alone are trained, to the end: damped Newton steps on their dual."""
    phi, act, data, limit = problem.limit_potential, problem.activation, problem.data, sb.predict(problem)
    expected, found = limit.function(points), []
    for seed in range(count):
        w, b, _ = problem.initialization.sample(width, np.random.default_rng([seed, 7]))
        features, multipliers = act.value(np.outer(data.x, w) + b), limit.multipliers

        def dual(multipliers, features=features):
            with np.errstate(over="ignore"):
                return multipliers @ data.y - phi.conjugate(multipliers @ features).mean()

        for _ in range(100):
            alpha = phi.grad_inverse(multipliers @ features)
            residual = data.y - features @ alpha / width
            if np.abs(residual).max() < 1e-10:
                break
            step, length = np.linalg.solve((features / phi.hess(alpha)) @ features.T / width, residual), 1.0
            while dual(multipliers + length * step) < dual(multipliers) + 1e-4 * length * residual @ step - 1e-13:
                length /= 2
            multipliers = multipliers + length * step
        assert np.abs(residual).max() < 1e-10
        found.append(np.abs(act.value(np.outer(points, w) + b) @ alpha / width - expected).max())
    return np.array(found)


RARE = {
    "abs-0": rare(0),
    "abs-1": rare(1),
    "relu": rare(2, activation=sb.ReLU(), size=0.2),
    "normal-uniform": rare(4, law=sb.Initialization(st.norm(), st.uniform(-1, 2)), size=0.3),
    "joint": rare(4, law=sb.Initialization.joint(st.multivariate_normal([0, 0], [[1, 0.4], [0.4, 1]]))),
}


@pytest.mark.parametrize(
    "problem", [(pytest.param if name == "abs-0" else nightly)(of, id=name) for name, of in RARE.items()]
)
def test_drawn_networks_have_the_errors_that_networks_have_where_the_band_is_too_wide(problem):
    band = sb.error_band(problem, 1000)
    measured = frozen_errors(problem, 1000, 40, band.largest.points)
    drawn = band.drawn_errors
    assert band.effective_number < 1
    assert measured.mean() < 0.8 * band.expected_sup
    assert np.median(measured) == pytest.approx(drawn.quantile(0.5).value, rel=0.3)  # to first order only
    assert drawn.mean.value < band.expected_sup
    assert "belongs to rare neurons: 1000 units count as" in band.advice or "no finite fourth moment" in band.advice
    assert f"below {drawn.quantile(0.5).value:.3g}" in band.advice


def test_errors_of_drawn_networks_come_from_the_seed_and_memory_stays_bounded():
    """Blocks of a network draw one after the other from its stream: the same bits again, and blocks do not show."""
    model, law, points = sb.error_band(A, 100).model, A.initialization.pair_law, np.array([0.1, 0.5])
    one, again, other = (DrawnErrors(model, law, points, 250_000, 1, 2, seed).sups for seed in (0, 0, 1))
    assert (one == again).all() and (one != other).any()
    rng, found = np.random.default_rng(0), []
    sums = model.sums(points)
    for _ in range(2):
        total = sum(sums(*law.sample(count, rng)) for count in (100_000, 100_000, 50_000))
        found.append(np.abs(total / 250_000 - sums.mean).max())
    np.testing.assert_allclose(one, np.sort(found), rtol=1e-12)


@pytest.mark.parametrize(
    "problem",
    [
        sb.Problem(SET_A, sb.Initialization.rademacher(st.t(5))),
        sb.Problem(SET_A, sb.Initialization.rademacher(st.laplace()), sb.Abs(), HYPENTROPY),
    ],
    ids=["moments", "tails"],
)
def test_an_infinite_fourth_moment_is_said_to_be_one(problem):
    """Of a bias law without a moment of order 8; of curvature that outgrows the fourth root of the law."""
    band = sb.error_band(problem, 1000)
    assert band.effective_number == 0
    assert "no finite fourth moment (effective_number is 0)" in band.advice
    assert 0 < band.drawn_errors.mean.value < math.inf
    flatter = sb.Problem(SET_A, problem.initialization, problem.activation, problem.potential, "free")
    assert sb.error_band(flatter, 1000).effective_number > 1  # breakpoints beyond the data do nothing


def test_no_error_has_no_rare_neurons():
    line = sb.Problem(sb.Dataset([0.0, 0.5, 1.0], [1.0, 2.0, 3.0]), UNIFORM, affine="free")
    zero = sb.Problem(sb.Dataset(SET_A.x, 0 * SET_A.y), UNIFORM)
    for problem in (line, zero):
        band = sb.error_band(problem, 50)
        assert (band.effective_number, band.advice) == (50, "")


@pytest.mark.parametrize(
    ("problem", "time"),
    [(A, 3.0), (PUBLISHED["B-u4"][0], 3.0), (sb.Problem(SET_A, UNIFORM, sb.ReLUPower(2)), math.inf)],
    ids=["time", "scaled-time", "power"],
)
def test_what_is_not_known_is_refused(problem, time):
    band = sb.error_band(problem, 100, time=time)
    with pytest.raises(sb.CapabilityError, match="the effective number of neurons is known for infinite time"):
        band.effective_number  # noqa: B018 (a property)
    with pytest.raises(sb.CapabilityError, match="networks are drawn for infinite time"):
        band.drawn_errors.sups  # noqa: B018
    assert "rare neurons" not in band.advice


def test_required_widths_and_studies_carry_it():
    problem = RARE["abs-1"]
    band = sb.error_band(problem, 1000)
    assert "belongs to rare neurons" in sb.required_width(problem, 0.3).advice
    rows = [
        Row(1000, k, s * band.expected_sup, 0.0, 0.0, 0.0, 0.0, 1, 1.0, 1.0, "CONVERGED") for k, s in enumerate((0.2, 0.3))
    ]
    study = Study(band.prediction, band.interval, 1e-12, tuple(rows))
    assert "errors at width 1000 are 0.25 times the predicted ones" in str(study)
    assert "the variance of the error belongs to rare neurons: 1000 units count as" in str(study)


def test_where_train_refuses_widths_and_bands_say_so():
    problem = sb.Problem(SET_B, UNIFORM, sb.Abs(), sb.Scaled(sb.Power(1.5)))
    with pytest.raises(sb.DataError, match="training needs 0 < phi''") as refusal:
        sb.train(problem, 134)
    said = f"no network of this problem can be trained: {refusal.value}"
    assert sb.required_width(problem, 0.05).advice.startswith(said)
    assert sb.error_band(problem, 134).advice == said


def test_networks_that_are_their_limit_have_no_rare_neurons():
    """Two points and a free line: the error is 0, of which nothing is a multiple."""
    law = sb.Initialization.rademacher(st.gumbel_r(-0.27, 1.9))
    problem = sb.Problem(
        sb.Dataset([-0.46, 0.92], [-1.8, -0.7]), law, potential=sb.Scaled(sb.Hypentropy(0.5)), affine="free"
    )
    assert sb.error_band(problem, 100).expected_sup == 0
    assert int(sb.required_width(problem, 0.1)) == 2
