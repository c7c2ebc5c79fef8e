r"""Verdicts on Zhou et al. on condensation: networks that start at almost zero turn their neurons to a few directions.

Of the paper the abstract was read. What it claims, that the number of directions is at most twice the multiplicity of the
activation, holds of neurons that move alone; trained networks of multiplicity 2 and more show one. Functions and their
keyword arguments: as in `jin_montufar`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from splinebias.activation import Activation, ReLU, Smooth
from splinebias.data import Dataset, Points
from splinebias.regimes.condensation import Orientations, condensed_orientations
from splinebias.regimes.small_starts.condensed import Condensation, layer_condensation
from splinebias.regimes.small_starts.point_orientations import PointOrientations
from splinebias.regimes.small_starts.small_start import (
    SmallStart,
    expected_angle_error,
    flow_to_level,
    train_from_small_start,
)
from splinebias.smooth_activation import Softplus, Tanh, X2Tanh, XTanh
from splinebias.theorems.verdict import DERIVED, Claim, Hypothesis, Status, Verdict, at_least, at_most, equal
from splinebias.theorems.wide_networks import EIGHT as OFF_CENTRE
from splinebias.theorems.wide_networks import SIGMAS

_SOURCE = "Zhou et al., abstract"
_CLAIM = f"{_SOURCE}; the directions: {DERIVED}"
EIGHT = OFF_CENTRE.with_ordinates(np.array([0.2, 0, -0.5, -0.2, 0, 0.2, 0.6, -0.3]))  # 2, 4 and 6 directions exist; mean 0
_INPUTS = np.random.default_rng(0).standard_normal((40, 5))
_OUTPUTS = np.sin(_INPUTS @ [1, 0.5, 0, -0.3, 0.2]) + 0.1 * _INPUTS[:, 0] ** 2
FIVE_INPUTS = Points(_INPUTS, _OUTPUTS - _OUTPUTS.mean())
Predictor = Callable[[Dataset, Activation], Orientations]
PointPredictor = Callable[[Points, Activation], PointOrientations]
_DEGREE = 1.0  # how far a trained network may be from a predicted direction: part of the claim


def count(*, fast: bool, per_power: int = 2, orientations: Predictor = condensed_orientations) -> tuple[Verdict, ...]:
    """Of neurons that move alone, the residual frozen, all end at one of 2p directions, and all 2p are reached."""
    starts = np.random.default_rng(0).standard_normal((3, 1000 if fast else 3000))
    verdicts: list[Verdict] = []
    for activation in (Tanh(), XTanh(), X2Tanh()):
        p, predicted = activation.multiplicity, orientations(EIGHT, activation)
        ended = condensed_orientations(EIGHT, activation).decoupled(*starts)  # the flow does not know what was predicted
        angles = np.radians(ended.angles)
        alone = Condensation(np.stack([np.cos(angles), np.sin(angles)], axis=1), np.zeros(angles.size), np.ones(angles.size))
        away = predicted.distances(ended.angles, ended.signs)  # infinite where signs differ
        apart = max(float(away.min(axis=axis).max()) for axis in (0, 1))
        verdicts += [
            Verdict(
                f"Z count p = {p}",
                f"neurons alone end at 2p directions, p = {p} the multiplicity of {activation}",
                f"{_SOURCE} (at most 2p); that all are reached on these data: {DERIVED}",
                (_known_power(activation), _frozen()),
                f"number of directions of {angles.size} starts",
                *equal(float(per_power * p), float(len(alone.directions(within=1.0))), 0.0),
            ),
            Verdict(
                f"Z directions p = {p}",
                "they are the maxima of Q > 0 and the minima of Q < 0, Q(u) = sum y (u.(x, 1))^p",
                _CLAIM,
                (_known_power(activation), _frozen()),
                f"largest distance of {angles.size} ends to the nearest of their sign, and back, degrees",
                *equal(0.0, apart, 1e-3),
            ),
        ]
    return tuple(verdicts)


def error(*, fast: bool, constant: float = 1.0) -> Verdict:
    """Networks of multiplicity 1 condense with an error in proportion to the start, `constant` times the one derived."""
    options = {"width": 300, "scale": 1e-4, "stop": 2e-3}
    seeds = range(4 if fast else 16)
    runs = [train_from_small_start(EIGHT, Tanh(), seed=seed, **options) for seed in seeds]  # type: ignore[arg-type]
    expected = constant * expected_angle_error(EIGHT, Tanh(), **options)  # type: ignore[arg-type]
    spread = math.sqrt((math.pi / 2) ** 2 - 1) / math.sqrt(300 * len(runs))  # of |g||h| for normal g, h, over its mean
    return Verdict(
        "Z error",
        "tanh networks condense at the predicted directions with an error 2/pi eps (n/F)^1/2 in proportion to the start",
        f"condensation: {_SOURCE}; the error: {DERIVED}",
        (_known_power(Tanh()), _reached(runs), _small(1e-4)),
        f"angle error in degrees, weighted by mass, mean of {len(runs)} networks",
        *equal(expected, float(np.mean([run.angle_error for run in runs])), SIGMAS * spread * expected),
    )


def winner(*, fast: bool, neurons: float = 1.0, orientations: Predictor = condensed_orientations) -> tuple[Verdict, ...]:
    """Trained networks of multiplicity p >= 2 do not show 2p directions: the winner takes all."""
    verdicts: list[Verdict] = []
    for activation in (XTanh(), X2Tanh()):
        seeds = range(3 if fast else 12)
        predicted = orientations(EIGHT, activation)
        runs = [train_from_small_start(EIGHT, activation, width=100, scale=1e-5, seed=seed) for seed in seeds]
        hypotheses = (_known_power(activation), _reached(runs), _small(1e-5))
        verdicts += [
            Verdict(
                f"Z winner {activation}",
                "in trained networks of multiplicity p >= 2 one neuron carries the network, and not 2p directions",
                f"{DERIVED}, from experiments; the abstract's count is that of neurons alone",
                hypotheses,
                f"largest participation number of {len(runs)} networks",
                *equal(neurons, max(run.participation for run in runs), 0.1),
            ),
            Verdict(
                f"Z winner's direction {activation}",
                "that neuron is at one of the predicted directions",
                _CLAIM,
                hypotheses,
                f"largest angle error of {len(runs)} networks, degrees",
                *at_most(0.0, max(replace(run, predicted=predicted).angle_error for run in runs), _DEGREE),
            ),
        ]
    return tuple(verdicts)


def stop(*, fast: bool, fall: float = 0.2) -> Verdict:
    """For p >= 2 the error has a floor, which falls with the stop: it comes from the size of f, not from the start."""
    activation, seeds = X2Tanh(), range(2 if fast else 8)
    errors = []
    for level in (2e-2, 2e-4):
        options = {"width": 100, "scale": 1e-6, "stop": level}
        runs = [train_from_small_start(EIGHT, activation, seed=seed, **options) for seed in seeds]  # type: ignore[arg-type]
        errors.append(float(np.mean([run.angle_error for run in runs])))
    return Verdict(
        "Z stop",
        "with p >= 2 the angle error is that of a finite f: it falls when the network is stopped sooner",
        f"{DERIVED}, from experiments",
        (_known_power(activation), _small(1e-6)),
        f"angle error at a stop of .02 % over that at 2 %, {len(seeds)} networks each",
        *at_most(fall, errors[1] / errors[0]),
    )


def relu(*, fast: bool, orientations: Predictor = condensed_orientations, share: float = 0.5) -> tuple[Verdict, ...]:
    """ReLU: sector by sector, networks trained by exact steps of neurons."""
    seeds = range(2 if fast else 8)
    predicted = orientations(EIGHT, ReLU())
    runs = [train_from_small_start(EIGHT, ReLU(), width=300, scale=1e-5, seed=seed) for seed in seeds]
    hypotheses = (_reached(runs), _small(1e-5))
    shares = [replace(run, predicted=predicted).shares for run in runs]
    strongest = int(np.argmax(np.abs(predicted.strengths)))
    return (
        Verdict(
            "Z ReLU",
            "ReLU networks condense at the extrema of Q(u) = sum y [u.(x, 1)]_+, found sector by sector",
            f"condensation: {_SOURCE}; sectors: {DERIVED}",
            hypotheses,
            f"largest angle error of {len(runs)} networks, degrees",
            *equal(0.0, max(replace(run, predicted=predicted).angle_error for run in runs), 0.01),
        ),
        Verdict(
            "Z ReLU winner",
            "coupled, the direction of the largest |Q| carries most of the network at first",
            DERIVED,
            hypotheses,
            f"least share of mass there, {len(runs)} networks",
            *at_least(share, float(min(found[strongest] for found in shares))),
        ),
    )


def mean(*, fast: bool, data: Dataset = OFF_CENTRE, orientations: Predictor = condensed_orientations) -> tuple[Verdict, ...]:
    r"""With :math:`\sigma(0) \ne 0` f follows the mean of y before neurons turn, unless an output bias fits it."""
    activation, scale, off = Softplus(), 1e-4, abs(float(data.y.mean())) > 1e-12
    begin = scale * np.random.default_rng(0).standard_normal((3, 40 if fast else 200))
    end, _, _, outcome = flow_to_level(data, activation, begin, 0.02 * float(np.abs(data.y).max()), output_bias=False)
    start, turned = (Condensation(state[1:].T, np.sign(state[0]), np.ones(state.shape[1])) for state in (begin, end))
    turn = float(np.degrees(np.arccos(np.clip((start.unit * turned.unit).sum(axis=1), -1, 1))).mean())
    centred = data.with_ordinates(data.y - data.y.mean())
    biased = train_from_small_start(data, activation, width=12, scale=scale, stop=2e-3, output_bias=True)
    found = replace(biased, predicted=orientations(centred, activation))
    return (
        Verdict(
            "Z off centre",
            "with sigma(0) != 0 and a mean of y other than 0, networks without output bias fit the mean before neurons turn",
            DERIVED,
            (
                Hypothesis.tested("the mean of y is not 0", f"mean {data.y.mean():.3g}", holds=off),
                Hypothesis.tested("f is 2 % of y", "outcome", holds=outcome.ok),
            ),
            "mean turn of softplus neurons when f is 2 % of y, degrees",
            *at_most(0.0, turn, _DEGREE),
        ),
        Verdict(
            "Z output bias",
            "an output bias fits the mean first, and they condense at the orientations of y minus its mean",
            DERIVED,
            (_reached([biased]), _small(scale)),
            "angle error of one network, degrees",
            *at_most(0.0, found.angle_error, _DEGREE),
        ),
    )


def inputs(*, fast: bool, orientations: PointPredictor = condensed_orientations) -> tuple[Verdict, ...]:
    """Five inputs: the leading direction, proportional to sum y (x, 1)."""
    predicted = orientations(FIVE_INPUTS, Tanh())
    runs = [
        train_from_small_start(FIVE_INPUTS, Tanh(), width=100, scale=1e-5, seed=seed) for seed in range(2 if fast else 8)
    ]
    found = [replace(run, predicted=predicted) for run in runs]
    hypotheses = (_known_power(Tanh()), _reached(runs), _small(1e-5))
    return (
        Verdict(
            "Z inputs",
            "tanh networks of five inputs condense at +-v, v proportional to sum y (x, 1)",
            _CLAIM,
            hypotheses,
            f"largest angle error of {len(runs)} networks, degrees",
            *at_most(0.0, max(run.angle_error for run in found), _DEGREE),
        ),
        Verdict(
            "Z inputs count",
            "these are two directions",
            _SOURCE,
            hypotheses,
            f"largest number of directions of {len(runs)} networks",
            *equal(float(len(predicted.directions)), float(max(len(run.directions()) for run in found)), 0.0),
        ),
    )


def layers(*, fast: bool, scale: float = 1e-4) -> Verdict:
    """Three hidden layers: each condenses to one line, two opposite directions at most."""
    from splinebias.training.deep_start import train_deep_from_small_start  # torch, which no other claim here needs

    widths = (30, 30, 30) if fast else (50, 50, 50)
    found = train_deep_from_small_start(FIVE_INPUTS, widths, scale=scale)
    after = layer_condensation(found.module)
    before = layer_condensation(found.start)
    most = [len(layer.directions(within=10.0, share=0.0)) for layer in before]
    return Verdict(
        "Z layers",
        "in tanh networks of three hidden layers the neurons of each come to at most two directions, opposite ones",
        f"{_SOURCE} (deep networks as an observation); the count: {DERIVED}, from experiments",
        (
            Hypothesis.tested("it began to fit", "outcome", holds=found.outcome.ok),
            Hypothesis.tested("the start has many directions", f"{most} in the layers", holds=min(most) > 10),
            _small(scale),
        ),
        f"largest number of directions in a layer, hidden widths {widths}",
        *at_most(2.0, float(max(len(layer.directions(within=10.0)) for layer in after))),
    )


CLAIMS: tuple[Claim, ...] = (count, error, winner, stop, relu, mean, inputs, layers)


def _known_power(activation: Smooth) -> Hypothesis:
    """That the activation starts as it says, by its values near zero."""
    z = 1e-3
    found = (float(activation.value(z)) - activation.at_zero) / z**activation.multiplicity
    return Hypothesis.tested(
        f"{activation} has multiplicity {activation.multiplicity}",
        f"(sigma(z) - sigma(0)) / z^p = {found:.4g} at z = {z:g}",
        holds=abs(found - activation.leading) < 0.01 * abs(activation.leading),
    )


def _frozen() -> Hypothesis:
    return Hypothesis("the residual stays at -y", Status.CHECKED, "neurons are followed with it frozen there")


def _reached(runs: list[SmallStart]) -> Hypothesis:
    return Hypothesis.tested("networks have begun to fit", "SmallStart.outcome", holds=all(run.outcome.ok for run in runs))


def _small(scale: float) -> Hypothesis:
    return Hypothesis("the start is small enough", Status.NOT_CHECKED, f"eps = {scale:g}")
