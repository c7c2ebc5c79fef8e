"""Descent at infinite width with a finite learning rate: the flow, finite networks, the edge of stability."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.stats as st
from problems import SET_A

import splinebias as sb


def problem(richness=2.0, **parts):
    """Set A with normal hidden parameters and output weights 0."""
    return sb.Problem(SET_A, sb.Initialization.gaussian(), parameterization=sb.MeanField(richness), **parts)


def networks(case, width, step, steps, seeds=4):
    """Networks of a width after so many steps of descent of the same training time."""
    rate = step * case.parameterization.richness**2 * width
    method = sb.MirrorDescent(learning_rate=rate, max_steps=steps)
    runs = sb.train_ensemble(case, width, range(seeds), method=method, loss_tol=1e-14)
    assert runs[0].time == pytest.approx(step * steps)
    return runs


def sharpness(run, step, richness):
    """Step times the largest eigenvalue of the tangent kernel of a network, from its parameters."""
    network = run.network
    w, b, a = (part.numpy() for part in (network.w, network.b, network.a))
    a, x = a * richness * network.width, SET_A.x
    z = np.outer(x, w) + b
    on = z > 0
    kernel = np.maximum(z, 0) @ np.maximum(z, 0).T + (on * a**2) @ on.T * (np.outer(x, x) + 1)
    return step * np.linalg.eigvalsh(kernel / network.width / x.size)[-1]


def test_small_steps_follow_the_flow_to_first_order():
    flow = sb.predict(problem(), time=2.0)(SET_A.x)
    gaps = [np.abs(sb.mean_field_descent(problem(), h, round(2 / h)).values[-1] - flow).max() for h in (0.2, 0.1, 0.05)]
    assert gaps[0] < 0.01
    for one, half in pairwise(gaps):
        assert 1.7 < one / half < 2.3


def test_networks_are_near_their_limit_step_by_step():
    """At rate n^-1/2, also with steps that are no flow: sharpness 0.5 to 0.6."""
    case, step, steps = problem(), 0.9, 100
    limit = sb.mean_field_descent(case, step, steps)
    gaps = []
    for width in (400, 6400):
        values = np.array([run.function(SET_A.x) for run in networks(case, width, step, steps)])
        gaps.append(np.sqrt(((values - limit.values[-1]) ** 2).mean()))
    assert gaps[1] < 0.002
    assert 2 < gaps[0] / gaps[1] < 8
    flow = sb.predict(case, time=step * steps)(SET_A.x)
    np.testing.assert_allclose(limit.function(SET_A.x), limit.values[-1], atol=1e-12)
    assert np.abs(limit.values[-1] - flow).max() > 1e-4


def test_sharpness_grows_to_the_edge_of_stability_and_stays_there():
    """From 1.5; the mean of the last hundred steps is within 10 % of 2, and so it is for finite networks."""
    case, steps = problem(), 300
    step = 1.5 / sb.mean_field_descent(case, 1.0, 1).sharpness[0]
    found = sb.mean_field_descent(case, step, steps)
    assert found.outcome is sb.Outcome.REACHED_TIME
    assert found.sharpness[0] == pytest.approx(1.5)
    first = int(np.argmax(found.sharpness > 2))
    assert 0 < first < steps
    assert (np.diff(found.losses[:10]) < 0).all()
    assert (np.diff(found.losses[first:]) > 0).mean() > 0.3
    assert found.sharpness[-100:].mean() == pytest.approx(2, rel=0.1)
    measured = [sharpness(run, step, 2.0) for run in networks(case, 1000, step, steps)]
    assert np.mean(measured) == pytest.approx(2, rel=0.1)
    small = sb.mean_field_descent(case, step / 30, 10)
    assert (np.diff(small.losses) < 0).all()


def test_large_steps_diverge():
    found = sb.mean_field_descent(problem(activation=sb.Abs()), 200.0, 50)
    assert found.outcome is sb.Outcome.DIVERGED
    assert found.losses.size < 51
    assert found.losses[-1] > 1e6 * found.losses[0]
    assert "DIVERGED" in repr(found)


REFUSALS = {
    "lazy": (lambda: sb.mean_field_descent(sb.Problem(SET_A, sb.Initialization.gaussian()), 0.1, 5), "is for sb.MeanField"),
    "step": (lambda: sb.mean_field_descent(problem(), 0.0, 5), "`step` must be a finite real number > 0"),
    "steps": (lambda: sb.mean_field_descent(problem(), 0.1, 0), "`steps` must be a whole number >= 1"),
    "few": (lambda: sb.mean_field_descent(problem(), 0.1, 5, particles=3), "`particles` must be a whole number >= 64"),
    "line": (lambda: sb.mean_field_descent(problem(affine="free"), 0.1, 5), 'take affine="network"'),
    "power": (lambda: sb.mean_field_descent(problem(activation=sb.ReLUPower(2)), 0.1, 5), "need a two-slope activation"),
    "potential": (
        lambda: sb.mean_field_descent(problem(potential=sb.Power(4, quadratic=1)), 0.1, 5),
        "need a quadratic potential",
    ),
    "tails": (
        lambda: sb.mean_field_descent(
            sb.Problem(SET_A, sb.Initialization(st.cauchy(), st.norm()), parameterization=sb.MeanField(1.0)), 0.1, 5
        ),
        "moment",
    ),
    "no problem": (lambda: sb.mean_field_descent("A", 0.1, 5), "`problem` must be an sb.Problem"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_refused_and_how(name):
    call, message = REFUSALS[name]
    with pytest.raises((sb.DataError, sb.CapabilityError), match=message):
        call()
