r"""How the infinitely wide network answers to a disturbance of its residuals, by disturbing the whole population.

:math:`R(x, t; j, s)` is the change of :math:`f(x, t)` per impulse of :math:`r_j` at time s, the residuals of the path being
given: a central difference of two populations, of neurons that see :math:`\bar r \pm \epsilon e_j / h` during one step.

The mean over neurons of their own derivatives is another number: where a neuron grazes a sample that repels it, its flow
jumps, and the neurons that a disturbance moves across contribute as much as the smooth ones. The impulse turns neurons by a
set angle, which has to be larger than the distance of particles. Source: derived here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splinebias._array import Array
from splinebias.finite_width.mean_field.observables import Answers, Asked, impulses
from splinebias.limit.mean_field.path import MeanFieldPath
from splinebias.limit.mean_field.population import repeated

IMPULSE = 0.03  # the angle by which it turns neurons; R has an error of second order in it


def response(path: MeanFieldPath, asked: Sequence[Asked], turn: float) -> Answers:
    """Answers to impulses that `turn` neurons by an angle."""
    last = max(one.node for one in asked)
    found = [_to_step(path, n, asked, turn) for n in range(last)]
    data = [np.concatenate([found[n][0][m - n] for n in range(m + 1)], axis=1) for m in range(last)]
    none = [np.empty((one.observable.size, 0)) for one in asked]
    parts = [[none[i], *(found[n][1][i] for n in range(one.node))] for i, one in enumerate(asked)]
    return Answers(data, [np.concatenate(part, axis=1) for part in parts])


def _to_step(path: MeanFieldPath, n: int, asked: Sequence[Asked], turn: float) -> tuple[list[Array], list[Array]]:
    """Answers to impulses during step number `n`: at the data at later nodes, (M, M) each; of what is `asked` for, (K, M)."""
    population, steps = path.population, path.steps
    count = population.y.size
    impulse = impulses(path, turn)
    signed = np.concatenate([np.diag(impulse), -np.diag(impulse)])

    def difference(values: Array) -> Array:
        """Rows of the two signs to a matrix [place, j]."""
        return np.asarray(((values[:count] - values[count:]) / (2 * impulse[:, None])).T)

    rows = repeated(path.nodes[n], 2 * count)
    data, found = [], [np.zeros((one.observable.size, count)) for one in asked]
    for m in range(n, max(one.node for one in asked)):
        step = steps[m]
        residuals = np.broadcast_to(step.mean, signed.shape)
        rows = population.flown(rows, residuals + signed / step.size if m == n else residuals, step.size).end
        data.append(difference(population.values(rows)))
        for i, one in enumerate(asked):
            if one.node == m + 1:
                found[i] = difference(one.observable.total(population, rows))
    return data, found
