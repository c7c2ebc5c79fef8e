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
from splinebias.finite_width.mean_field.observables import Asked
from splinebias.limit.mean_field.path import MeanFieldPath
from splinebias.limit.mean_field.population import Step
from splinebias.finite_width.mean_field.response import response
from splinebias.finite_width.mean_field.tangents import differentiated
from splinebias.limit.mean_field.particles import Particles


def influences(path: MeanFieldPath, particles: Particles, asked: Sequence[Asked], turn: float) -> list[Array]:
    """The u of all neurons on what is `asked` for, without a free line, each of shape (K, N).

    `turn` is the angle of impulses where there are any: where particles are no nodes on curves.
    """
    if particles.curve is None:
        answers = response(path, asked, turn)
    else:
        answers = differentiated(path, particles, asked, turn)
    forces = _forces(path, answers.data)
    found = []
    for (node, observable), answer in zip(asked, answers.asked, strict=True):
        u = observable.each(path.population, path.nodes[node])
        found.append(u + answer @ forces[:node].reshape(-1, u.shape[1]) if node else u)
    return found


def _forces(path: MeanFieldPath, answers: Sequence[Array]) -> Array:
    r"""The time h of each step times the mean of :math:`\delta r` over it, per neuron, shape (S, M, N)."""
    population, steps = path.population, path.steps
    keep, identity, count = population.project, np.eye(population.y.size), population.mass.size
    size = population.y.size
    forces = np.empty((len(answers), size, count))
    disturbed = keep @ population.each_at_data(path.nodes[0])
    for m, answer in enumerate(answers):
        source = population.each_at_data(path.nodes[m + 1])
        if m:
            source = source + answer[:, : m * size] @ forces[:m].reshape(-1, count)
        theta = _share_of_end(steps[m], population.weights)
        begun, ended = steps[m].size * (identity - theta) @ disturbed, steps[m].size * theta
        own = keep @ answer[:, m * size :]
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
