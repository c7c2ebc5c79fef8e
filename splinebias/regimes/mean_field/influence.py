r"""The influence of single neurons on the network during training: the linear equation of fluctuations.

To leading order :math:`\sqrt n\,(f_n - f) = \delta f` with

.. math:: \delta f(x, t) = S(x, t) + \int_0^t \sum_j R(x, t; j, s)\, \delta r_j(s)\, ds,

S the fluctuation of a mean over neurons that move as if residuals were those of the limit. The equation is linear, so
:math:`\delta f` is the fluctuation of the mean of :math:`u = L G`, what it makes of the :math:`G = a\sigma/\gamma` of one
neuron. Within a step :math:`\delta r` is taken to bend as r does: the mean is :math:`\Theta \delta r_{n+1} + (1 - \Theta)
\delta r_n`, :math:`\Theta = 1/(1 - e^{-z}) - 1/z` on the eigenvalues z of hK.
Source: derived here; for the idea Bordelon & Pehlevan, NeurIPS 2023.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splinebias._array import Array
from splinebias.regimes.mean_field.observables import Asked
from splinebias.regimes.mean_field.path import MeanFieldPath
from splinebias.regimes.mean_field.population import Step
from splinebias.regimes.mean_field.response import Response, response


def influences(path: MeanFieldPath, asked: Sequence[Asked], turn: float) -> list[Array]:
    """The u of all neurons on what is `asked` for, without a free line, each of shape (K, N).

    `turn` is the angle of impulses.
    """
    answers = [response(path, n, asked, turn) for n in range(max(one.node for one in asked))]
    forces = _forces(path, answers)
    found = []
    for i, (node, observable) in enumerate(asked):
        u = observable.each(path.population, path.nodes[node])
        if node:
            past = np.concatenate([answers[n].asked[i] for n in range(node)], axis=1)
            u = u + past @ forces[:node].reshape(-1, u.shape[1])
        found.append(u)
    return found


def _forces(path: MeanFieldPath, answers: Sequence[Response]) -> Array:
    r"""The time h of each step times the mean of :math:`\delta r` over it, per neuron, shape (S, M, N)."""
    population, steps = path.population, path.steps
    keep, identity, count = population.project, np.eye(population.y.size), population.mass.size
    forces = np.empty((len(answers), population.y.size, count))
    disturbed = keep @ population.each_at_data(path.nodes[0])
    for m in range(len(answers)):
        source = population.each_at_data(path.nodes[m + 1])
        if m:
            past = np.concatenate([answers[n].data[m - n] for n in range(m)], axis=1)
            source = source + past @ forces[:m].reshape(-1, count)
        theta = _share_of_end(steps[m], population.weights)
        begun, ended = steps[m].size * (identity - theta) @ disturbed, steps[m].size * theta
        own = keep @ answers[m].data[0]
        disturbed = np.linalg.solve(identity - own @ ended, keep @ source + own @ begun)
        forces[m] = begun + ended @ disturbed
    return forces


def _share_of_end(step: Step, weights: Array) -> Array:
    r"""The :math:`\Theta` of a step, for residuals, shape (M, M)."""
    z = step.size * np.maximum(step.rates, 0.0)
    safe = np.maximum(z, 1e-3)
    theta = np.where(z < 1e-3, 0.5 + z / 12, -1 / np.expm1(-safe) - 1 / safe)
    root = np.sqrt(weights)
    share: Array = (step.vectors * theta) @ step.vectors.T * root / root[:, None]
    return share
