r"""Gradient descent with a finite learning rate at infinite width, where features are learned.

A step of learning rate :math:`\eta` is one of size :math:`h = \eta/(\gamma^2 n)` in training time, and moves all particles
at once along their gradients at its start. Residuals then obey :math:`r \to (1 - h K W) r + O(h^2)`: descent follows the
flow to first order in h while :math:`h \lambda < 2`, with :math:`\lambda` the largest eigenvalue of
:math:`W^{1/2} K W^{1/2}`. Where features that grow carry :math:`\lambda` to 2/h, the loss no longer falls at every step and
:math:`\lambda` stays about there, or the loss grows without bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splinebias._arguments import known_keywords, real_number, whole_number
from splinebias._array import Array
from splinebias._result import Printed
from splinebias.errors import CapabilityError, Outcome
from splinebias.functions.piecewise import PiecewiseLinear
from splinebias.limit.hypotheses import require_moments, require_range
from splinebias.limit.mean_field.particles import fewest, needs_volume
from splinebias.limit.mean_field.population import Population
from splinebias.limit.mean_field.predict import check_mean_field, function_of, population_of, training_time
from splinebias.neurons.population import Neurons
from splinebias.parameterization import MeanField
from splinebias.problem import Problem, require_problem

_IN_PLANE, _IN_SPACE = 1280, 16384  # particles
_DIVERGED = 1e6  # times the first loss


@dataclass(frozen=True, eq=False)
class MeanFieldDescent(Printed):
    r"""Gradient descent of an infinitely wide network, see `mean_field_descent`.

    Attributes
    ----------
    problem : Problem
        What is fitted.
    step : float
        The h above: training time of a step.
    function : PiecewiseLinear
        The function after the last step, that of the particles.
    values : Array, shape (S + 1, M)
        Values at the data before the first step, and after each.
    losses : Array, shape (S + 1,)
        Their losses.
    sharpness : Array, shape (S + 1,)
        :math:`h \lambda`: 2 is the edge of stability.
    outcome : Outcome
        REACHED_TIME after all steps, or DIVERGED: the loss was a million times the first one, and the rest was not done.
    """

    problem: Problem
    step: float
    function: PiecewiseLinear
    values: Array
    losses: Array
    sharpness: Array
    outcome: Outcome

    def __repr__(self) -> str:
        return (
            f"MeanFieldDescent({self.problem.describe()}; {self.losses.size - 1} steps of {self.step:g}, loss "
            f"{self.losses[-1]:.2e}, sharpness {self.sharpness[-1]:.3g} of 2, {self.outcome})"
        )


@known_keywords
def mean_field_descent(
    problem: Problem, step: float, steps: int, *, particles: int | None = None, seed: int = 0
) -> MeanFieldDescent:
    r"""What gradient descent with a finite learning rate does at infinite width, features learned.

    Parameters
    ----------
    problem : Problem
        With ``parameterization=sb.MeanField(richness)`` and a quadratic potential; without a skip connection.
    step : float
        The training time :math:`h = \eta/(\gamma^2 n)` of a step, > 0, for the learning rate :math:`\eta` of a network of
        width n (``sb.MirrorDescent(learning_rate=...)``, full batches).
    steps : int
        How many, >= 1.
    particles, seed : int
        As in `fluctuations`.

    Returns
    -------
    MeanFieldDescent
        With losses, `sharpness` and `outcome`.

    Raises
    ------
    DataError
        For a `step` <= 0 or fewer than one step; if a law lacks second moments.
    CapabilityError
        For another parameterization, a potential that is not quadratic, an activation without two slopes, a skip connection.

    Notes
    -----
    Cost: some 0.2 microseconds times particles and points for each step. Not checked: that a finite network is wide enough;
    measured, networks of width n are :math:`O(n^{-1/2})` away also at the edge of stability, for as many steps as their
    oscillations keep in phase. Source: derived here; the edge of stability is the finding of Cohen et al. (ICLR 2021).

    Examples
    --------
    >>> import splinebias as sb
    >>> data = sb.Dataset([-1, 0, 1], [0, 1, 0])
    >>> problem = sb.Problem(data, sb.Initialization.gaussian(), parameterization=sb.MeanField(1.0))
    >>> descent = sb.mean_field_descent(problem, 0.5, 100)
    >>> bool(descent.losses[-1] < descent.losses[0]), descent.outcome.name
    (True, 'REACHED_TIME')
    """
    require_problem(problem)
    if not isinstance(problem.parameterization, MeanField):
        raise CapabilityError(
            f"mean_field_descent is for sb.MeanField(richness) networks, got {problem.parameterization}; in others descent "
            "is linear: take sb.predict_path, or network.linearized with steps, or give parameterization=sb.MeanField(1.0)"
        )
    check_mean_field(problem, "steps of descent")
    if problem.free:
        raise CapabilityError('descent at infinite width has no skip connection; take affine="network"')
    step = real_number(step, "step", above=0, fix="it is the learning rate over richness^2 times the width")
    steps = whole_number(steps, "steps", at_least=1)
    require_range(problem.line_data)
    require_moments(problem, 2, "descent needs", "the tangent kernel is infinite; use lighter tails")
    kinks, law = problem.line_data.x, problem.initialization
    count = (_IN_SPACE if needs_volume(law) else _IN_PLANE) if particles is None else particles
    count = max(whole_number(count, "particles", at_least=64), fewest(law, kinks))
    drawn, population = population_of(problem, kinks, count, seed, spread=True)
    return _descend(problem, population, population.start(drawn), step, steps)


def _descend(problem: Problem, population: Population, neurons: Neurons, step: float, steps: int) -> MeanFieldDescent:
    """All steps, or those before the loss is out of bounds."""
    size = float(training_time(problem, step))
    values, losses, sharpness = list[Array](), list[float](), list[float]()
    outcome = Outcome.REACHED_TIME
    for number in range(steps + 1):
        residual = population.residual(neurons)
        values.append(residual + population.y)
        losses.append(population.loss(residual))
        sharpness.append(size * float(np.linalg.eigvalsh(population.operator(neurons))[-1]))
        if not losses[-1] <= _DIVERGED * max(losses[0], np.finfo(float).tiny):
            outcome = Outcome.DIVERGED
            break
        if number < steps:
            neurons = _stepped(population, neurons, residual, size)
    function = function_of(population, neurons)
    return MeanFieldDescent(problem, step, function, np.array(values), np.array(losses), np.array(sharpness), outcome)


def _stepped(population: Population, neurons: Neurons, residual: Array, size: float) -> Neurons:
    """The neurons after one step of descent of this size in all of their parameters, residuals as they were before."""
    drives = population.sectors.drives((population.richness * population.weights * residual)[None])[0]
    drive = size * drives[neurons.sector[0]]
    a, w, b = neurons.a[0], neurons.w[0], neurons.b[0]
    moved = a - drive[:, 0] * w - drive[:, 1] * b, w - a * drive[:, 0], b - a * drive[:, 1]
    return Neurons.at(population.sectors, *(part[None] for part in moved))
