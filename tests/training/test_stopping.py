"""Why a run ends: the order of the rules, and that flow and descent say the same of the same end."""

import math

import pytest
import scipy.stats as st

import splinebias as sb
from splinebias.training import stopping
from splinebias.training.stopping import Limits, Progress

LIMITS = Limits(loss_tol=1e-6, max_steps=50, patience=10, out_of_steps=stopping.FLOW_STEPS, horizon=100.0)
INIT = sb.Initialization.rademacher(st.uniform(-1.5, 3))


def after(steps=1, loss=0.5, h=1.0, refused=0, **flags):
    """A network that started at loss 1 and took `steps` steps to `loss`, then had some refused."""
    progress = Progress(0, 1.0)
    for _ in range(steps):
        progress.advance(h, loss, LIMITS.horizon)
    for _ in range(refused):
        progress.refuse()
    for name, value in flags.items():
        setattr(progress, name, value)
    return progress


@pytest.mark.parametrize(
    ("progress", "reason"),
    [
        (after(), None),
        (Progress(0, math.inf), stopping.OVERFLOW),
        (after(broken=True, loss=1e-9), stopping.OVERFLOW),
        (after(refused=60, overflowed=True), stopping.OVERFLOW),
        (after(refused=59, overflowed=True), None),
        (after(loss=1.1e4), stopping.UNSTABLE),
        (after(loss=math.nan), stopping.UNSTABLE),
        (after(loss=9.9e3), None),
        (after(loss=1e-6, critical=True), stopping.CONVERGED),
        (after(h=100.0, loss=1e-7), stopping.CONVERGED),
        (after(h=100.0, critical=True), stopping.REACHED_TIME),
        (after(critical=True, refused=60), stopping.FLAT),
        (after(refused=60), stopping.NO_STEP),
        (after(steps=10), None),
        (after(steps=11), stopping.AT_REST),
        (after(steps=11, unstable=True), stopping.UNSTABLE),
        (after(steps=50, loss=0.5), stopping.AT_REST),
    ],
)
def test_first_rule_that_holds_is_the_reason(progress, reason):
    assert progress.reason(LIMITS) == reason


def test_rounding_is_told_from_rest_by_what_is_left():
    limits = Limits(1e-30, 50, 10, stopping.FLOW_STEPS)
    assert after(steps=11, loss=1e-13).reason(limits) == stopping.ROUNDING
    assert after(steps=11, loss=1e-11).reason(limits) == stopping.AT_REST


def test_steps_taken_back_count_if_they_shall():
    for counted, reason in ((False, None), (True, stopping.DESCENT_STEPS)):
        limits = Limits(1e-6, 20, 100, stopping.DESCENT_STEPS, counts_rejected=counted)
        assert after(steps=5, refused=15).reason(limits) == reason


def test_an_exploded_step_is_not_taken():
    progress = after(steps=3, loss=0.5, h=2.0)
    progress.advance(2.0, math.inf, LIMITS.horizon)
    assert (progress.loss, progress.steps, progress.tau, progress.exploded) == (0.5, 3, 6.0, True)


@pytest.mark.parametrize("method", [sb.MirrorFlow(), sb.MirrorDescent()], ids=lambda method: type(method).__name__)
def test_every_method_says_what_stands_in_the_way(method):
    """One unit cannot bend three times; a tolerance below rounding is out of reach."""
    data = sb.Dataset([-1, -0.2, 0, 0.2, 1], [-0.15, -0.15, 0.15, -0.15, -0.15])
    run = sb.train(sb.Problem(data, INIT), 1, method=method, progress=False)
    assert run.outcome is sb.Outcome.STALLED and "f misses y by" in run.advice and "use a larger width" in run.advice
    run = sb.train(
        sb.Problem(sb.Dataset([-1, 0, 1], [0.1, 0.7, 0.3]), INIT), 50, method=method, loss_tol=1e-60, progress=False
    )
    assert run.outcome is sb.Outcome.STALLED and "the loss is down to rounding" in run.advice
    run = sb.train(sb.Problem(sb.Dataset([-1, 0, 1], [0, 1e200, 0]), INIT), 10, method=method, progress=False)
    assert run.outcome is sb.Outcome.DIVERGED and "numbers overflowed at loss inf" in run.advice
