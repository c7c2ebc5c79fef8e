"""What is asked of a population: means over its particles of functions of degree 2 in their parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.neurons.population import Neurons
from splinebias.regimes.mean_field.population import Population


class Observable(ABC):
    """K means over particles."""

    @property
    @abstractmethod
    def size(self) -> int:
        """The number K."""

    @abstractmethod
    def total(self, population: Population, neurons: Neurons) -> Array:
        """The means for every row of neurons, shape (B, K)."""

    @abstractmethod
    def each(self, population: Population, neurons: Neurons) -> Array:
        """What each particle of the first row has, before masses, shape (K, N)."""


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


class Asked(NamedTuple):
    """An observable at a node of the path."""

    node: int
    observable: Observable
