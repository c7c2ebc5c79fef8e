r"""Verdicts on Bordelon & Pehlevan (NeurIPS 2023): fluctuations of wide networks that learn features.

Theirs are deep and convolutional networks and online learning as well; here two layers and full batches, the limit and the
influences derived here. Functions and their keyword arguments: as in `jin_montufar`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.stats as st

from splinebias._array import Array
from splinebias.finite_width.mean_field.fluctuations import Fluctuations, fluctuations
from splinebias.initialization.initialization import Initialization
from splinebias.limit.predict import predict_path
from splinebias.parameterization import MeanField, Standard
from splinebias.problem import Problem
from splinebias.theorems.verdict import DERIVED, Claim, Hypothesis, Status, Verdict, at_least, at_most, equal
from splinebias.theorems.wide_networks import SET_A, SIGMAS
from splinebias.training.ensemble import train_ensemble
from splinebias.training.neuron_flow.neuron_flow import NeuronFlow

Predicted = Callable[..., Fluctuations]  # of a problem, times and x

_SOURCE = f"Bordelon & Pehlevan 2023 for the finding; two layers, full batches: {DERIVED}"
_X = np.array([-1.0, -0.6, 0.0, 0.5])
_TIMES = (1.0, 30.0, 100.0)
_POOR = 1e-3
_ALLOWED = 0.1  # of a variance: what leading order may be off by; part of the claim
_ZERO = Initialization.gaussian()
_PAIRS = Initialization(st.norm(0, 1), st.norm(0, 1), output=st.norm(0, 1))


def variance(*, fast: bool, predicted: Predicted = fluctuations) -> tuple[Verdict, ...]:
    """Variances of networks are predicted; in the end they fall with richness, and before that they need not."""
    width, count, gammas = 400, 100 if fast else 800, (_POOR, 1.0, 2.0)
    theory = [predicted(_problem(gamma), _TIMES, x=_X) for gamma in gammas]
    values = np.array([_values(_problem(gamma), width, count, _TIMES, _X) for gamma in gammas])  # (richness, network, T, Q)
    measured, expected = width * values.var(axis=1, ddof=1), np.array([found.std**2 for found in theory])
    sampling = SIGMAS * float(np.sqrt(2 / (count - 1)))
    where = f"{count} networks, n = {width}, a = 0 at the start"
    trusted = Hypothesis.tested(
        "predictions are accurate", "Fluctuations.residual", holds=all(f.residual < 0.1 for f in theory)
    )
    wide = Hypothesis("the width is large", Status.NOT_CHECKED, f"n = {width}")
    at_middle = int(np.flatnonzero(_X == 0)[0])
    rise = expected[1, 1, at_middle] / expected[0, 1, at_middle]
    found_rise, rise_error = _ratio(values[1, :, 1, at_middle, None], values[0, :, 1, at_middle, None])
    fall = float(expected[2, -1].mean() / expected[0, -1].mean())
    found_fall, fall_error = _ratio(values[2, :, -1], values[0, :, -1])
    return (
        Verdict(
            "BP variance",
            "sqrt(n) (f_n - f) has the variance that is computed without training a network, for richness up to 2",
            _SOURCE,
            (wide, trusted),
            f"largest |variance / predicted - 1|, t = 1, 30, 100, four points, richness {_POOR:g}, 1, 2; {where}",
            *at_most(0.0, float(np.abs(measured / expected - 1).max()), _ALLOWED + sampling),
        ),
        Verdict(
            "BP final",
            "late in training, the richer networks are, the less they fluctuate",
            _SOURCE,
            (wide, trusted, Hypothesis.tested("the prediction says so", f"ratio {fall:.2g}", holds=fall < 1)),
            f"variance at richness 2 / at {_POOR:g}, t = 100, mean of four points; {where}",
            *equal(fall, found_fall, _ALLOWED * fall + SIGMAS * fall_error),
        ),
        Verdict(
            "BP not monotone",
            "at an equal finite time, richer networks may fluctuate more",
            f"{DERIVED}",
            (wide, trusted, Hypothesis.tested("the prediction says so", f"ratio {rise:.3g}", holds=bool(rise > 1))),
            f"variance at richness 1 / at {_POOR:g}, t = 30, x = 0; {where}",
            *equal(float(rise), found_rise, SIGMAS * rise_error),
        ),
    )


def lazy(*, fast: bool, richness: float = _POOR) -> Verdict:
    """As richness vanishes, the band is the lazy one at every time."""
    from splinebias.finite_width.band import error_band

    times = (1.0, 10.0, 100.0) if fast else (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
    found = fluctuations(_problem(richness), times, x=_X)
    standard = Problem(SET_A, _ZERO, parameterization=Standard())
    bands = np.array([10 * error_band(standard, 100, time=time, draws=100).std(_X) for time in times])
    return Verdict(
        "BP lazy",
        "as richness vanishes, fluctuations are those of fixed features, at every time",
        _SOURCE,
        (Hypothesis.tested("the prediction is accurate", "Fluctuations.residual", holds=found.residual < 0.01),),
        f"largest |std / that of the lazy band - 1|, {len(times)} times up to {times[-1]:g}, richness {richness:g}",
        *at_most(0.0, float(np.abs(found.std / bands - 1).max()), 0.01),
    )


def slower(*, fast: bool, law: Initialization = _PAIRS, times: Sequence[float] = (3.0, 10.0, 30.0)) -> Verdict:
    """With random output weights, finite networks are behind their limit."""
    width, count = 100, 800 if fast else 3200
    problem = _problem(1.0, law)
    path = predict_path(problem, times)
    f = path(SET_A.x)
    missing = f - SET_A.y
    behind = _values(problem, width, count, times, SET_A.x) - f
    shares = width * ((behind * missing).sum(-1) / (missing**2).sum(-1)).mean(axis=1)
    error = float(shares.std(ddof=1)) / np.sqrt(count)
    return Verdict(
        "BP slower",
        "with output weights that start at random, networks of finite width learn more slowly than their limit, by O(1/n)",
        f"Bordelon & Pehlevan 2023 for online learning; full batches: {DERIVED}, from experiments",
        (Hypothesis.tested("the limit is accurate", "Path.outcome", holds=path.outcome.ok),),
        f"n E[(f_n - f) . r] / |r|^2, r = f - y, mean of t = {', '.join(f'{time:g}' for time in times)}, less "
        f"{SIGMAS:g} standard errors; {count} networks, n = {width}, antisymmetric pairs",
        *at_least(0.0, float(shares.mean()) - SIGMAS * error),
    )


CLAIMS: tuple[Claim, ...] = (variance, lazy, slower)


def _problem(richness: float, law: Initialization = _ZERO) -> Problem:
    return Problem(SET_A, law, parameterization=MeanField(richness))


def _values(problem: Problem, width: int, count: int, times: Sequence[float], x: Array) -> Array:
    """Values of trained networks at times and points, shape (count, T, Q)."""
    method = NeuronFlow(1e-3, time=times[-1], saveat=tuple(times))
    runs = train_ensemble(problem, width, range(count), method=method, loss_tol=1e-14)
    return np.array([[snapshot.function(x) for snapshot in run.snapshots] for run in runs])


def _ratio(one: Array, other: Array) -> tuple[float, float]:
    """The ratio of mean variances of networks from the same starts, (count, Q) each, and its error, by leaving one out."""

    def square(values: Array) -> Array:
        return np.asarray(((values - values.mean(0)) ** 2).mean(-1))

    top, bottom = square(one), square(other)
    count = top.size
    ratios = (top.sum() - top) / (bottom.sum() - bottom)
    return float(top.sum() / bottom.sum()), float(np.sqrt((count - 1) / count * ((ratios - ratios.mean()) ** 2).sum()))
