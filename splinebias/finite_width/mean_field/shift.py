r"""By how much finite networks are ahead of or behind their limit on average: n (E[L_n] - L), to leading order.

The loss is a function L of the measure of neurons at the start and, through the trained output bias, whose kernel is 1/n, of
:math:`\epsilon = 1/n`. For n independent neurons

.. math:: n\,(E[L_n] - L) \to \tfrac12 \bigl(E_\theta[L''(\delta_\theta, \delta_\theta)] - L''(\mu, \mu)\bigr)
          + \frac{\partial L}{\partial \epsilon},

the second order of the delta method; it holds half the variance of the values at the data and their mean shift. Second
derivatives are central differences of whole paths: a population for each particle whose mass is more, or less, by a part
:math:`\epsilon_1` of all masses. Where neurons graze samples, paths have kinks in :math:`\epsilon_1`, which the stated
error shows. Source: derived here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.errors import CapabilityError
from splinebias.limit.mean_field.particles import Particles, fewest
from splinebias.limit.mean_field.path import MeanFieldPath, again, follow
from splinebias.limit.mean_field.population import Population, phi, repeated
from splinebias.limit.mean_field.predict import population_of, training_time
from splinebias.neurons.population import Neurons
from splinebias.problem import Problem

_PARTICLES, _RTOL = 160, 1e-3
_PART, _BIAS = 0.05, 1e-3  # of all masses that a particle is given; the kernel of the output bias


class MeanShift(NamedTuple):
    r"""The shift of the mean loss.

    Attributes
    ----------
    loss : Array, shape (T,)
        :math:`n\,(E[L_n] - L)` to leading order, the trained output bias included.
    error : Array, shape (T,)
        An estimate of its error: what differences twice as large change, and half the particles.
    """

    loss: Array
    error: Array


def mean_shift(problem: Problem, times: Array) -> MeanShift:
    """The shift at increasing finite times, for output weights that start at 0.

    Raises
    ------
    CapabilityError
        For other starts, and with a free line.
    """
    if problem.initialization.output is not None or problem.free:
        raise CapabilityError(
            "the mean shift is known where output weights start at 0 and no line is free: particles of other starts fill a "
            'volume, and each needs a path of its own; take output=None and affine="network", or train some with '
            "sb.train_ensemble"
        )
    kinks = problem.line_data.x
    count = max(_PARTICLES, 2 * fewest(problem.initialization, kinks))
    particles, population = population_of(problem, kinks, count, 0)
    path = follow(population, population.start(particles), training_time(problem, times), _RTOL)
    found, wider = (_shift(path, particles, part) for part in (_PART, 2 * _PART))
    half, few = population_of(problem, kinks, population.mass.size // 2, 0)
    fewer = _shift(again(few, few.start(half), path.sizes, path.outputs), half, _PART)
    return MeanShift(found, np.abs(found - wider) + np.abs(found - fewer))


def _shift(path: MeanFieldPath, particles: Particles, part: float) -> Array:
    """The shift at the times asked for, with differences over a part of all masses, shape (T,)."""
    mass = path.population.mass
    count, size = mass.size, part * mass.sum()
    single = size * np.eye(count)
    whole = part * mass
    rows = np.concatenate([mass + single, mass - single, np.stack([mass + whole, mass - whole, mass, mass, mass])])
    bias = np.zeros(rows.shape[0])
    bias[-2:] = _BIAS, -_BIAS
    losses = _losses(path, rows, bias)
    base = losses[:, 2 * count + 2]
    second = (losses[:, :count] + losses[:, count : 2 * count] - 2 * base[:, None]) / size**2
    own = (losses[:, 2 * count] + losses[:, 2 * count + 1] - 2 * base) / part**2
    shift: Array = (second @ particles.square - own) / 2 + (losses[:, -2] - losses[:, -1]) / (2 * _BIAS)
    return shift


def _losses(path: MeanFieldPath, mass: Array, bias: Array) -> Array:
    """Losses at the times asked for of populations with masses (B, N) and kernels of an output bias (B,), shape (T, B)."""
    population = replace(path.population, mass=mass)
    neurons, offset = repeated(path.nodes[0], mass.shape[0]), np.zeros(mass.shape[0])
    weights, root = population.weights, np.sqrt(population.weights)
    found = {0: _values(population, neurons, offset)}
    for node, step in enumerate(path.steps, start=1):
        residuals = found[node - 1]
        before = _operators(population, neurons, bias)
        mean = _means(root * residuals, before, step.size) / root
        middle = (before + _operators(population, population.flown(neurons, mean, step.size).end, bias)) / 2
        mean = _means(root * residuals, middle, step.size) / root
        neurons, offset = population.flown(neurons, mean, step.size).end, offset - step.size * bias * (mean @ weights)
        found[node] = _values(population, neurons, offset)
    return np.array([found[node] ** 2 @ weights / 2 for node in path.outputs])


def _values(population: Population, neurons: Neurons, offset: Array) -> Array:
    """Residuals of all populations, shape (B, M)."""
    residuals: Array = population.values(neurons) + offset[:, None] - population.y
    return residuals


def _operators(population: Population, neurons: Neurons, bias: Array) -> Array:
    """Symmetrized kernels of all populations, shape (B, M, M)."""
    root = np.sqrt(population.weights)
    operators: Array = root[:, None] * (population.kernel(neurons) + bias[:, None, None]) * root
    return operators


def _means(rho: Array, operators: Array, size: float) -> Array:
    """Means over a step of residuals (B, M) that decay by operators."""
    rates, vectors = np.linalg.eigh(operators)
    modes = np.einsum("bij,bi->bj", vectors, rho)
    means: Array = np.einsum("bij,bj->bi", vectors, phi(size * np.maximum(rates, 0.0)) * modes)
    return means
