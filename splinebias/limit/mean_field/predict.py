r"""predict for networks that learn features: the function of particles at finite times, and where it goes.

Derived here. To leading order of the lazy limit :math:`\gamma \to 0` all numbers are those of `Standard` networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from splinebias._array import Array
from splinebias.errors import CapabilityError, DataError, Outcome
from splinebias.functions.piecewise import PiecewiseLinear
from splinebias.limit.hypotheses import require_moments, require_range
from splinebias.limit.mean_field.particles import Particles, fewest, lost_mass, needs_volume, particles_of
from splinebias.limit.mean_field.path import MeanFieldPath, again, follow, merged
from splinebias.limit.mean_field.population import Population
from splinebias.limit.prediction import Prediction
from splinebias.neurons.population import Neurons
from splinebias.parameterization import MeanField
from splinebias.problem import Problem

LOSS = 1e-10  # of that of the start: what time = inf stands for
_RTOL, _TOLERANCE = 1e-4, 3e-3  # of a step; of the function, relative to max |y|
_IN_PLANE, _IN_SPACE = 2560, 16384  # particles
_POINTS = 101  # at which functions are compared


@dataclass(frozen=True, eq=False, repr=False)
class MeanFieldPrediction(Prediction):
    r"""What infinitely wide networks that learn features compute at a training time.

    `function` is that of the particles, piecewise linear; between their breakpoints it is off by what `residual` says.
    `penalty` is :math:`E[|\theta_t - \theta_0|^2]/\gamma^2`, how far neurons move; `multipliers` are
    :math:`-\int_0^t \omega_j r_j\,ds`, the forces that moved them. As :math:`\gamma \to 0` these are the penalty and the
    multipliers of quadratic problems with `Standard` (a = 0 at the start) or `NTK`.

    `residual` is an estimate of the error: what half the particles change on the default interval and a third of what
    steps twice as long do, relative to max \|y\|; and the share of :math:`E[a^2 + w^2 + b^2]` that the particles miss.
    ``stats["time"]`` and ``stats["loss"]`` are the time reached and the loss there, ``stats["undetermined"]`` the share of
    particles that left a sample where more than one motion solves the flow.
    """

    @property
    def change(self) -> PiecewiseLinear:  # type: ignore[override]
        """What training adds to the start function, which is 0: the function."""
        assert isinstance(self.function, PiecewiseLinear)
        return self.function

    def __repr__(self) -> str:
        return (
            f"MeanFieldPrediction({self.problem.describe()}; time {self.stats['time']:.6g}, loss {self.stats['loss']:.1e}, "
            f"error {self.residual:.1e}, {self.outcome})"
        )

    @property
    def advice(self) -> str:
        """Empty, or what makes the function doubtful and what can be done."""
        found = []
        if self.outcome is Outcome.STALLED:
            found.append(
                f"the loss stays at {self.stats['loss']:.2g} however long training takes: no neuron moves any more; the "
                "data are out of reach of this law"
            )
        if self.residual > _TOLERANCE:
            found.append(
                f"the error is estimated at {self.residual:.1%} of max|y|, above {_TOLERANCE:.1%}; ask for an earlier time, "
                "or sb.fluctuations for more `particles`"
            )
        if share := self.stats["undetermined"]:
            found.append(
                f"{share:.1%} of the neurons slid along a sample until their output weight changed sign: from then on more "
                "than one motion solves the flow, and finite networks may take another; ask for earlier times"
            )
        return "; ".join(found)


def predict_mean_field(problem: Problem, times: list[float]) -> list[MeanFieldPrediction]:
    r"""Predictions at `times` >= 0 in any order; infinity stands for the time at which the loss is `LOSS` of the first one.

    Raises
    ------
    CapabilityError
        For a potential that is not quadratic, an activation without two slopes.
    DataError
        If a law lacks second moments, or none of its neurons sees any of the data; for data out of the range of doubles.
    """
    check_mean_field(problem, "predictions of sb.MeanField networks")
    require_range(problem.line_data)
    require_moments(problem, 2, "predictions need", "the tangent kernel is infinite; use lighter tails")
    distinct = np.unique(times)
    (fine, coarse, fewer), missed = _paths(problem, distinct)
    x = np.union1d(np.linspace(*problem.default_interval, _POINTS), problem.line_data.x)
    scale = max(float(np.abs(problem.line_data.y).max()), np.finfo(float).tiny)
    found = {}
    for i, time in enumerate(distinct.tolist()):
        one, other, half = (function_of(path.population, path.nodes[path.outputs[i]]) for path in (fine, coarse, fewer))
        error = (np.abs(half(x) - one(x)) + np.abs(other(x) - one(x)) / 3).max() / scale
        found[time] = _prediction(problem, fine, i, time, one, max(float(error), missed))
    return [found[time] for time in times]


def check_mean_field(problem: Problem, who: str) -> None:
    """Raise CapabilityError if the neurons of a `MeanField` problem do not move in closed form; `who` need that."""
    if problem.activation.two_slopes is None:
        raise CapabilityError(
            f"{who} need a two-slope activation such as sb.ReLU(), got {problem.activation}: other neurons do not "
            "move in closed form; train networks with sb.train_ensemble"
        )
    if problem.phi.stiffness is None:
        raise CapabilityError(
            f"{who} need a quadratic potential, got {problem.phi}: where features move, its metric acts on all "
            "parameters and neurons do not move in closed form; take sb.Quadratic(), or train some with sb.train_ensemble"
        )


def population_of(
    problem: Problem, kinks: Array, count: int, seed: int, *, spread: bool = False
) -> tuple[Particles, Population]:
    """About `count` particles for a problem, and their population.

    Raises
    ------
    DataError
        If no neuron sees any of the data: nothing ever moves.
    """
    parameterization, activation = problem.parameterization, problem.activation.two_slopes
    assert isinstance(parameterization, MeanField)
    assert activation is not None
    particles = particles_of(problem.initialization, kinks, count, seed, spread=spread)
    population = Population.of(problem.line_data, activation, parameterization.richness, particles, problem.free)
    if not np.diag(population.kernel(population.start(particles))[0]).any():
        raise DataError(
            "no neuron of this law sees any of the data, so nothing ever moves; use a law of (w, b) with w x + b > 0 at the "
            "data, or move the data (sb.rescaled)"
        )
    return particles, population


def training_time(problem: Problem, times: Any) -> Any:
    """Times of a flow with the potential :math:`u^2/2`, for those of a problem with :math:`\\kappa u^2/2`."""
    stiffness = problem.phi.stiffness
    assert stiffness is not None
    return times / stiffness


def _paths(problem: Problem, times: Array) -> tuple[tuple[MeanFieldPath, MeanFieldPath, MeanFieldPath], float]:
    """The path, that with steps twice as long, and that with half the particles; the moments that particles miss."""
    count = _IN_SPACE if needs_volume(problem.initialization) else _IN_PLANE
    kinks = problem.line_data.x
    count = max(count, fewest(problem.initialization, kinks))
    particles, population = population_of(problem, kinks, count, 0, spread=True)
    fine = follow(population, population.start(particles), training_time(problem, times), _RTOL, LOSS)
    coarse = again(population, fine.nodes[0], *merged(fine))
    half, few = population_of(problem, kinks, population.mass.size // 2, 0, spread=True)
    fewer = again(few, few.start(half), fine.sizes, fine.outputs)
    return (fine, coarse, fewer), lost_mass(particles, problem.initialization)


def function_of(population: Population, neurons: Neurons) -> PiecewiseLinear:
    """The function of the particles."""
    a, w, b = (part[0] for part in (neurons.a, neurons.w, neurons.b))
    skip = (0.0, 0.0)
    if population.free:
        at = np.array([0.0, 1.0])
        first, second = population.line(at) @ (population.y - population.values(neurons)[0])
        skip = (float(second - first), float(first))
    scaled = a * population.mass / population.richness
    return PiecewiseLinear.from_units(w, b, scaled, 0.0, population.sectors.activation, skip=skip)


def _prediction(
    problem: Problem, path: MeanFieldPath, output: int, time: float, function: PiecewiseLinear, error: float
) -> MeanFieldPrediction:
    """The prediction at one of the times of a path."""
    population, node, stiffness = path.population, path.outputs[output], problem.phi.stiffness
    assert stiffness is not None
    start, end = path.nodes[0], path.nodes[node]
    moved = sum(((getattr(end, name) - getattr(start, name))[0] ** 2 for name in "awb"), start=np.zeros(1))
    forces = sum((step.size * step.mean for step in path.steps[:node]), start=np.zeros(population.y.size))
    first, loss = (population.loss(population.residual(neurons)) for neurons in (start, end))
    reached = float(sum(path.sizes[:node])) * stiffness if math.isinf(time) else time
    cost = stiffness / 2 if problem.scaled else 1.0
    outcome = Outcome.REACHED_TIME if math.isfinite(time) else Outcome.CONVERGED
    if math.isinf(time) and loss > LOSS * first:
        outcome = Outcome.STALLED
    elif error > _TOLERANCE or path.undetermined:
        outcome = Outcome.INACCURATE
    return MeanFieldPrediction(
        problem,
        function,
        cost * float(moved @ population.mass) / population.richness**2,
        error,
        outcome,
        -stiffness * population.weights * forces,
        {
            "solver": "particles",
            "particles": population.mass.size,
            "steps": node,
            "time": reached,
            "loss": loss,
            "undetermined": path.undetermined / population.mass.size,
        },
    )
