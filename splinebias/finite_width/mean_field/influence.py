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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from splinebias._array import Array
from splinebias.finite_width.mean_field.observables import End, Observable, Values
from splinebias.finite_width.mean_field.response import response
from splinebias.finite_width.mean_field.tangents import differentiated
from splinebias.limit.mean_field.particles import Particles
from splinebias.limit.mean_field.path import MeanFieldPath
from splinebias.limit.mean_field.population import Step


@dataclass(frozen=True, eq=False)
class Influences:
    r"""The u of all neurons of a path, at some of its nodes.

    Attributes
    ----------
    path : MeanFieldPath
        The path.
    forces : Array, shape (S, M, N)
        The time h of each step times the mean of :math:`\delta r` over it, per neuron.
    ends : dict
        Answers at the nodes.
    """

    path: MeanFieldPath
    forces: Array
    ends: Mapping[int, End]

    @classmethod
    def on(cls, path: MeanFieldPath, particles: Particles, nodes: Sequence[int], turn: float) -> Influences:
        """The influences at `nodes`; `turn` is the angle of impulses, where particles are no nodes on the circle."""
        if not max(nodes):
            return cls(path, np.empty((0, path.population.y.size, path.population.mass.size)), {})
        smooth = particles.turn is not None
        answers = differentiated(path, particles, nodes, turn) if smooth else response(path, nodes, turn)
        return cls(path, _forces(path, answers.data), answers.ends)

    def of(self, node: int, observable: Observable) -> Array:
        """The u on what is observed at a node, without a free line, shape (K, N)."""
        u = observable.each(self.path.population, self.path.nodes[node])
        return u + self.ends[node].answer(observable) @ self.forces[:node].reshape(-1, u.shape[1]) if node else u

    def values(self, node: int, x: Array) -> Array:
        """The u on f(x), a free line included, shape (len(x), N)."""
        population = self.path.population
        if not population.free:
            return self.of(node, Values(x))
        both = self.of(node, Values(np.concatenate([x, population.sectors.x])))
        return np.asarray(both[: x.size] - population.line(x) @ both[x.size :])


def _forces(path: MeanFieldPath, answers: Sequence[Array]) -> Array:
    r"""The time h of each step times the mean of :math:`\delta r` over it, per neuron, shape (S, M, N)."""
    population, steps = path.population, path.steps
    keep, identity, count = population.project, np.eye(population.y.size), population.mass.size
    size = population.y.size
    forces = np.empty((len(answers), size, count))
    disturbed: Array = keep @ population.each_at_data(path.nodes[0])
    for m, answer in enumerate(answers):
        source = population.each_at_data(path.nodes[m + 1])
        if m:
            source = source + answer[:, : m * size] @ forces[:m].reshape(-1, count)
        theta = _share_of_end(steps[m], population.weights)
        begun, ended = steps[m].size * (identity - theta) @ disturbed, steps[m].size * theta
        own = keep @ answer[:, m * size :]
        disturbed = np.asarray(np.linalg.solve(identity - own @ ended, keep @ source + own @ begun), dtype=float)
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
