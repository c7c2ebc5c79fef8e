r"""How the infinitely wide network answers to a disturbance of its residuals, by disturbing the whole population.

:math:`R(x, t; j, s)` is the change of :math:`f(x, t)` per impulse of :math:`r_j` at time s, the residuals of the path being
given: a central difference of two populations, of neurons that see :math:`\bar r \pm \epsilon e_j / h` during one step.

The mean over neurons of their own derivatives is another number: where a neuron grazes a sample that repels it, its flow
jumps, and the neurons that a disturbance moves across contribute as much as the smooth ones. The impulse turns neurons by a
set angle, which has to be larger than the distance of particles. Source: derived here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.regimes.mean_field.observables import Asked
from splinebias.regimes.mean_field.path import MeanFieldPath
from splinebias.regimes.mean_field.population import repeated

IMPULSE = 0.03  # the angle by which it turns neurons; R has an error of second order in it


class Response(NamedTuple):
    """Answers to impulses during one step number n.

    Attributes
    ----------
    data : Array, shape (S - n, M, M)
        At the data at the nodes n + 1 .. S: [node, i, j].
    asked : tuple of Array, each of shape (K, M)
        Of what is asked for; 0 at nodes up to n.
    """

    data: Array
    asked: tuple[Array, ...]


def response(path: MeanFieldPath, n: int, asked: Sequence[Asked], turn: float) -> Response:
    """Answers to impulses that `turn` neurons by an angle during step number `n`: at the data, of what is `asked` for."""
    population, steps = path.population, path.steps
    count = population.y.size
    impulse = turn / (population.richness * population.weights * population.sectors.lengths)
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
    return Response(np.array(data), tuple(found))
