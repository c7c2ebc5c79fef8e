"""What is asked of a population: means over its particles of functions of degree 2 in their parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.limit.mean_field.population import Population
from splinebias.neurons.population import Neurons

if TYPE_CHECKING:
    from splinebias.limit.mean_field.path import MeanFieldPath


class Observable(ABC):
    """K means over particles."""

    @property
    @abstractmethod
    def size(self) -> int:
        """How many numbers are observed."""

    @abstractmethod
    def total(self, population: Population, neurons: Neurons) -> Array:
        """The means for every row of neurons, shape (B, K)."""

    @abstractmethod
    def each(self, population: Population, neurons: Neurons) -> Array:
        """What each particle of the first row has, before masses, shape (K, N)."""

    @abstractmethod
    def change(self, population: Population, neurons: Neurons, tangents: Array, sizes: Array) -> Array:
        """Derivatives along C displacements of all particles of the first row, (3, C, N), to (K, C).

        Where there are none, differences over displacements times `sizes`, shape (C,).
        """


@dataclass(frozen=True, eq=False)
class Values(Observable):
    """Values at points `x`, shape (K,), without a free line."""

    x: Array

    @property
    def size(self) -> int:
        return self.x.size

    def total(self, population: Population, neurons: Neurons) -> Array:
        return np.stack([population.each(neurons, x) @ population.mass for x in self.x], axis=-1)

    def each(self, population: Population, neurons: Neurons) -> Array:
        return np.stack([population.each(neurons, x)[0] for x in self.x])

    def change(self, population: Population, neurons: Neurons, tangents: Array, sizes: Array) -> Array:
        a, w, b = (part[0] for part in (neurons.a, neurons.w, neurons.b))
        activation, scale = population.sectors.activation, population.mass / population.richness
        z = np.outer(self.x, w) + b
        slope = scale * (activation.left + activation.kink * (z > 0))
        found: Array = (slope * z) @ tangents[0].T + (slope * a) @ tangents[2].T
        found += (slope * a * self.x[:, None]) @ tangents[1].T
        return found


@dataclass(frozen=True, eq=False)
class Kernel(Observable):
    """The tangent kernel at the M data points, K = M^2."""

    count: int

    @property
    def size(self) -> int:
        return self.count**2

    def total(self, population: Population, neurons: Neurons) -> Array:
        return population.kernel(neurons).reshape(neurons.a.shape[0], -1)

    def each(self, population: Population, neurons: Neurons) -> Array:
        return population.kernels(neurons).reshape(-1, neurons.a.shape[1])

    def change(self, population: Population, neurons: Neurons, tangents: Array, sizes: Array) -> Array:
        found = np.empty((self.size, sizes.size))
        for begin in range(0, sizes.size, _AT_ONCE):  # neurons jump at lines: differences of the whole population
            part = slice(begin, begin + _AT_ONCE)
            step = tangents[:, part] * sizes[part, None]
            up, down = (self.total(population, _displaced(population, neurons, sign * step)) for sign in (1, -1))
            found[:, part] = ((up - down) / (2 * sizes[part, None])).T
        return found


def _displaced(population: Population, neurons: Neurons, step: Array) -> Neurons:
    """The first row of neurons, displaced, one row a column of (3, C, N); those on lines stay there."""
    here = neurons.a, neurons.w, neurons.b
    moved = Neurons.at(population.sectors, *(part + change for part, change in zip(here, step, strict=True)))
    stays = np.broadcast_to(neurons.on_line, moved.a.shape)
    return replace(moved, sector=np.where(stays, neurons.sector, moved.sector), on_line=stays)


_AT_ONCE = 64  # displacements


class End(ABC):
    """Answers at a node of the path, to impulses of residuals during all steps before it.

    Attributes
    ----------
    regular : bool
        Whether their errors fall with the squares of steps and impulses, each of them.
    """

    regular: bool = True

    @abstractmethod
    def answer(self, observable: Observable) -> Array:
        """Of what is observed there, sample by sample, shape (K, node * M)."""


class Answers(NamedTuple):
    """Answers to impulses of residuals during the steps of a path.

    Attributes
    ----------
    data : list of Array, (M, (m + 1) M)
        At the data at the ends of steps m, to impulses during steps 0 .. m, sample by sample.
    ends : dict
        The `End` of each node asked for.
    """

    data: list[Array]
    ends: dict[int, End]


def impulses(path: MeanFieldPath, turn: float) -> Array:
    """Impulses of single residuals that turn neurons by an angle, shape (M,)."""
    population = path.population
    sizes: Array = turn / (population.richness * population.weights * population.sectors.lengths)
    return sizes
