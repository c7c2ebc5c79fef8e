"""The limit and its fluctuations for one set of particles and steps, and the same with fewer of either."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from splinebias._array import Array
from splinebias.finite_width.mean_field import response
from splinebias.finite_width.mean_field.influence import Influences
from splinebias.finite_width.mean_field.observables import Kernel, Values
from splinebias.limit.mean_field.particles import Particles, fewest
from splinebias.limit.mean_field.path import MeanFieldPath, again, follow, merged
from splinebias.limit.mean_field.predict import population_of, training_time
from splinebias.problem import Problem


@dataclass(frozen=True, eq=False)
class Solution:
    """What particles and steps say.

    Attributes
    ----------
    problem : Problem
        What is fitted.
    x : Array, shape (Q,)
        Points.
    particles : Particles
        The particles.
    path : MeanFieldPath
        Their path.
    influence : Array, shape (T, Q, N)
        Influences u of all neurons on f.
    kernel_influence : Array, shape (M^2, N)
        Those on the kernel at the last time.
    regular : tuple of bool, T
        Whether influences at a time have regular errors, see `End`.
    """

    problem: Problem
    x: Array
    particles: Particles
    path: MeanFieldPath
    influence: Array
    kernel_influence: Array
    regular: tuple[bool, ...]

    @classmethod
    def on(cls, problem: Problem, x: Array, particles: Particles, path: MeanFieldPath, turn: float) -> Solution:
        """The solution on a path, with impulses that turn neurons by an angle."""
        found = Influences.on(path, particles, path.outputs, turn)
        influence = np.array([found.values(node, x) for node in path.outputs])
        regular = tuple(node == 0 or found.ends[node].regular for node in path.outputs)
        kernel = found.of(path.outputs[-1], Kernel(problem.line_data.x.size))
        return cls(problem, x, particles, path, influence, kernel, regular)

    @cached_property
    def mean(self) -> Array:
        """f at the times and points, shape (T, Q)."""
        population, path = self.path.population, self.path
        mean = []
        for node in path.outputs:
            neurons = path.nodes[node]
            values = Values(self.x).total(population, neurons)[0]
            if population.free:
                values = values + population.line(self.x) @ (population.y - population.values(neurons)[0])
            mean.append(values)
        return np.array(mean)

    @cached_property
    def cov(self) -> Array:
        """n times the covariance at each time, shape (T, Q, Q)."""
        return np.array([self.particles.covariance(u) for u in self.influence])

    @cached_property
    def std(self) -> Array:
        """Standard deviations: the roots of the diagonal of the covariance, shape (T, Q)."""
        return np.asarray(np.sqrt(np.maximum(np.einsum("tqq->tq", self.cov), 0.0)))

    @property
    def losses(self) -> Array:
        """The loss of the limit at each time, shape (T,)."""
        population, path = self.path.population, self.path
        residuals = np.array([population.residual(path.nodes[node]) for node in path.outputs])
        return np.asarray(residuals**2 @ population.weights / 2)

    @property
    def kernel(self) -> Array:
        """The tangent kernel at the data at the last time, shape (M, M)."""
        return np.asarray(self.path.population.kernel(self.path.nodes[self.path.outputs[-1]])[0])

    @property
    def kernel_std(self) -> Array:
        """Root of n times the variances of its entries, shape (M, M)."""
        count = self.problem.data.size
        variance = np.diag(self.particles.covariance(self.kernel_influence))
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)).reshape(count, count))

    @property
    def undetermined(self) -> float:
        """Share of neurons that left a line where more than one motion solves the flow."""
        return self.path.undetermined / self.path.population.mass.size

    def coarser(self) -> Solution:
        """The solution for the same particles with steps twice as long and impulses twice as large."""
        path = self.path
        longer = again(path.population, path.nodes[0], *merged(path))
        return Solution.on(self.problem, self.x, self.particles, longer, 2 * response.IMPULSE)

    def extrapolated(self, coarse: Solution) -> Solution:
        """This one with influences freed of their error of second order in steps and impulses; covariances stay positive.

        Where it is regular: elsewhere what steps twice as long change is no multiple of the error.
        """
        third = np.where(self.regular, 1 / 3, 0.0)
        influence = self.influence + third[:, None, None] * (self.influence - coarse.influence)
        kernel = self.kernel_influence + third[-1] * (self.kernel_influence - coarse.kernel_influence)
        return replace(self, influence=influence, kernel_influence=kernel)


def _kinks(problem: Problem, x: Array) -> Array:
    return np.unique(np.concatenate([problem.data.x, x]))


def solve(problem: Problem, times: Array, x: Array, count: int, rtol: float, seed: int) -> Solution:
    """The solution with about `count` particles, more if its rule needs them, and steps by their error."""
    kinks = _kinks(problem, x)
    particles, population = population_of(problem, kinks, max(count, fewest(problem.initialization, kinks)), seed)
    path = follow(population, population.start(particles), training_time(problem, times), rtol)
    return Solution.on(problem, x, particles, path, response.IMPULSE)


def halved_particles(fine: Solution, seed: int) -> Solution:
    """The solution with half the particles and the same steps."""
    problem, x, path = fine.problem, fine.x, fine.path
    particles, population = population_of(problem, _kinks(problem, x), fine.particles.neurons[0].size // 2, seed)
    fewer = again(population, population.start(particles), path.sizes, path.outputs)
    return Solution.on(problem, x, particles, fewer, response.IMPULSE)
