"""predict and error_band where features are learned: the lazy end, networks, the end of training, refusals."""

import numpy as np
import pytest
import scipy.stats as st
from marks import nightly
from problems import SET_A

import splinebias as sb

NORMAL = st.norm(0, 1)
ZERO = sb.Initialization(NORMAL, NORMAL)
PAIRS = sb.Initialization(NORMAL, NORMAL, output=NORMAL)
X = np.linspace(-1.4, 1.4, 15)


def problem(law=ZERO, richness=1.0, data=SET_A, **parts):
    """Set A with neurons that start at a = 0, unless told otherwise."""
    return sb.Problem(data, law, parameterization=sb.MeanField(richness), **parts)


LAZY = {
    "unscaled": (ZERO, sb.Standard(), {}),
    "scaled": (ZERO, sb.Standard(), {"potential": sb.Scaled(sb.Power(2, quadratic=1))}),
    "free line": (ZERO, sb.Standard(), {"affine": "free"}),
    "signs": (sb.Initialization.rademacher(st.uniform(-2, 4)), sb.Standard(), {"activation": sb.Abs()}),
    "pairs": (PAIRS, sb.NTK(), {}),
}


@pytest.mark.parametrize("name", LAZY)
def test_poor_networks_are_lazy_and_so_are_their_penalty_and_multipliers(name):
    law, parameterization, parts = LAZY[name]
    found = sb.predict(problem(law, 1e-3, **parts), time=5.0)
    lazy = sb.predict(sb.Problem(SET_A, law, parameterization=parameterization, **parts), time=5.0)
    assert np.abs(found(X) - lazy(X)).max() <= found.residual * 0.6 < 0.01
    assert found.penalty == pytest.approx(lazy.penalty, rel=1e-5)
    np.testing.assert_allclose(found.multipliers, lazy.multipliers, atol=1e-6)
    assert found.stats["loss"] == pytest.approx(lazy.stats["loss"], rel=1e-5)


def test_functions_are_the_means_of_fluctuations_at_any_point_and_time():
    case = problem(richness=2.0)
    path = sb.predict_path(case, [30.0, 3.0])
    assert path.outcome is sb.Outcome.REACHED_TIME
    means = sb.fluctuations(case, [3.0, 30.0], x=X, particles=400)
    for values, mean, error in zip(path(X)[::-1], means.mean, means.mean_error, strict=True):
        assert np.abs(values - mean).max() < 1.5 * error.max() + 1e-4
    np.testing.assert_allclose(path.losses[::-1], means.losses, rtol=2e-3)
    np.testing.assert_allclose(sb.predict(case, time=3.0)(X), path(X)[1], atol=2e-4)
    assert max(one.residual for one in path.predictions) < 1e-3


def test_time_infinity_ends_where_the_loss_is_a_ten_billionth_of_the_first():
    found = sb.predict(problem())
    assert found.outcome is sb.Outcome.CONVERGED
    first = float((SET_A.y**2).mean() / 2)
    assert found.stats["loss"] <= 1e-10 * first
    assert found.stats["time"] > 100
    np.testing.assert_allclose(found(SET_A.x), SET_A.y, atol=5e-5)
    assert found.advice == ""
    assert f"loss {found.stats['loss']:.1e}" in repr(found)
    lazy = sb.predict(sb.Problem(SET_A, ZERO))
    assert np.abs(found(X) - lazy(X)).max() > 0.05  # features moved
    assert found.penalty < lazy.penalty
    assert sb.compare(found, lazy, (-1, 1)).sup > 0.05
    assert found.plot().lines
    assert found.change is found.function


def test_data_that_neurons_do_not_see_are_an_outcome():
    """All neurons bend between the two points and see the right one only; that is fitted, and then nothing moves."""
    law = sb.Initialization(sb.Constant(1.0), st.uniform(-0.6, 0.3))
    found = sb.predict(problem(law, data=sb.Dataset([-1, 1], [0.5, 0.2])))
    assert found.outcome is sb.Outcome.STALLED
    assert "the data are out of reach of this law" in found.advice
    np.testing.assert_allclose(found([-1.0, 1.0]), [0, 0.2], atol=1e-6)
    assert found.stats["loss"] == pytest.approx(0.5**2 / 4)


def test_sliders_that_turn_are_an_outcome():
    law = sb.Initialization(st.uniform(-1, 2), st.uniform(-1, 2), output=sb.Rademacher())
    found = sb.predict(problem(law, 3.0), time=20.0)
    assert found.outcome is sb.Outcome.INACCURATE
    assert "until their output weight changed sign" in found.advice


ALONE = sb.Initialization(NORMAL, NORMAL, output=NORMAL, antisymmetric=False)


@pytest.mark.parametrize("law", [ZERO, nightly(ALONE)], ids=["zero", "alone"])
def test_bands_are_those_of_fluctuations(law):
    case, x = problem(law), np.array([-1.3, -0.6, 0.0, 0.5])
    band = sb.error_band(case, 400, time=3.0, draws=1000)
    found = sb.fluctuations(case, [3.0], x=x)
    np.testing.assert_allclose(20 * band.std(x), found.std[0], rtol=0.006)
    assert np.abs(400 * band.cov(x) - found.cov[0]).max() < 0.006 * found.cov.max()
    assert band.expected_sup > band.std(0.5)
    assert band.at_width(1600).std(0.5) == pytest.approx(band.std(0.5) / 2)
    assert band.plot().collections


def test_what_a_band_says_of_itself(monkeypatch):
    band = sb.error_band(problem(), 400, time=1.0, draws=1000)
    assert 0 < band.model.error < 0.01
    assert band.advice == ""
    monkeypatch.setattr("splinebias.finite_width.mean_field.band._MUCH", 1e-9)
    assert "the error of the band is estimated at" in band.at_width(800).advice


BLIND = sb.Initialization(sb.Constant(1.0), st.uniform(-9, 1))  # breakpoints from 8 on


REFUSALS = {
    "blind": (lambda: sb.predict(problem(BLIND), time=1.0), sb.DataError, "no neuron of this law sees any of the data"),
    "blind band": (lambda: sb.fluctuations(problem(BLIND), [1.0]), sb.DataError, "no neuron of this law sees"),
    "start": (lambda: sb.predict(problem(), start=np.sin), sb.CapabilityError, "move their features.*leave `start` out"),
    "path start": (lambda: sb.predict_path(problem(), [1.0], start=np.sin), sb.CapabilityError, "leave `start` out"),
    "band start": (lambda: sb.error_band(problem(), 100, start=np.sin), sb.CapabilityError, "leave `start` out"),
    "solver": (lambda: sb.predict(problem(), sb.KernelSolver()), sb.CapabilityError, "sb.predict.*follow it in time"),
    "time": (lambda: sb.predict(problem(), time=-1.0), sb.DataError, "`time` must be a number >= 0"),
    "times": (lambda: sb.predict_path(problem(), []), sb.DataError, "`times` must be one number >= 0 or a vector"),
    "potential": (
        lambda: sb.predict(problem(potential=sb.Power(4, quadratic=1))),
        sb.CapabilityError,
        "need a quadratic potential.*its metric acts on all",
    ),
    "power": (lambda: sb.predict(problem(activation=sb.ReLUPower(2))), sb.CapabilityError, "two-slope activation"),
    "tails": (
        lambda: sb.error_band(problem(sb.Initialization(st.t(3.5), NORMAL)), 100, time=1.0),
        sb.DataError,
        "moment of order 4 .*lighter tails",
    ),
    "width": (lambda: sb.error_band(problem(), 3, time=1.0), sb.DataError, "`width` must be at least 5"),
    "shift": (
        lambda: sb.error_band(problem(), 100, time=1.0).mean_shift(0.0),
        sb.CapabilityError,
        "the mean shift is known for",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_refused_and_how(name):
    call, kind, message = REFUSALS[name]
    with pytest.raises(kind, match=message):
        call()


def test_steps_that_leave_the_range_of_doubles_are_taken_back():
    large = sb.Problem(
        sb.Dataset([-1, -0.4, 0.1, 0.5, 1], np.array([0.2, -0.3, 0.4, -0.1, 0.3]) * 1e6), sb.Initialization.gaussian()
    )
    found = sb.predict(large.replace(parameterization=sb.MeanField(1.0)), time=5.0)
    assert found.outcome.name in ("REACHED_TIME", "INACCURATE") and found.residual < 1e-5
