r"""How the infinitely wide network answers to a disturbance of its residuals, by disturbing the whole population.

:math:`R(x, t; j, s)` is the change of :math:`f(x, t)` per impulse of :math:`r_j` at time s, the residuals of the path being
given: a central difference of two populations, of neurons that see :math:`\bar r \pm \epsilon e_j / h` during one step.

The mean over neurons of their own derivatives is another number: where a neuron grazes a sample that repels it, its flow
jumps, and the neurons that a disturbance moves across contribute as much as the smooth ones. The impulse turns neurons by a
set angle, which has to be larger than the distance of particles. Source: derived here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from splinebias._array import Array
from splinebias.finite_width.mean_field.observables import Answers, End, Observable, impulses
from splinebias.limit.mean_field.path import MeanFieldPath
from splinebias.limit.mean_field.population import Population, repeated
from splinebias.neurons.population import Neurons

IMPULSE = 0.03  # the angle by which it turns neurons; R has an error of second order in it


def response(path: MeanFieldPath, nodes: Sequence[int], turn: float) -> Answers:
    """Answers to impulses that `turn` neurons by an angle, up to the last of `nodes`."""
    last, impulse = max(nodes), impulses(path, turn)
    kept: dict[int, list[Neurons]] = {node: [] for node in nodes if node}
    data: list[list[Array]] = [[] for _ in range(last)]
    population, count = path.population, path.population.y.size
    signed = np.concatenate([np.diag(impulse), -np.diag(impulse)])
    for n in range(last):
        rows = repeated(path.nodes[n], 2 * count)
        for m in range(n, last):
            step = path.steps[m]
            residuals = np.broadcast_to(step.mean, signed.shape) + (signed / step.size if m == n else 0.0)
            rows = population.flown(rows, residuals, step.size).end
            data[m].append(_difference(population.values(rows), impulse))
            if m + 1 in kept:
                kept[m + 1].append(rows)
    ends: dict[int, End] = {node: _Disturbed(population, tuple(rows), impulse) for node, rows in kept.items()}
    return Answers([np.concatenate(parts, axis=1) for parts in data], ends)


@dataclass(frozen=True, eq=False)
class _Disturbed(End):
    """Populations at a node, disturbed during one step each: rows of both signs for each sample."""

    population: Population
    rows: tuple[Neurons, ...]
    impulse: Array

    def answer(self, observable: Observable) -> Array:
        parts = [_difference(observable.total(self.population, rows), self.impulse) for rows in self.rows]
        return np.concatenate(parts, axis=1)


def _difference(values: Array, impulse: Array) -> Array:
    """Values of rows of both signs, (2M, K), to a matrix [place, j]."""
    count = impulse.size
    return np.asarray(((values[:count] - values[count:]) / (2 * impulse[:, None])).T)
