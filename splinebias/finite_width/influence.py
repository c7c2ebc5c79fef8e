"""What one neuron more or less does to the function of a wide network: its influence u, and covariances of it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.errors import CapabilityError
from splinebias.potential import Potential


class Influence(NamedTuple):
    r"""Influences at points x on a quadrature of the neurons.

    Attributes
    ----------
    rows : Array, shape (N, Q)
        u at the nodes times the square root of their mass: :math:`E[u(x) u(x')]` is a product of two rows.
    mean : Array, shape (N,)
        E[u].
    """

    rows: Array
    mean: Array

    def covariance(self) -> Array:
        r""":math:`\mathrm{Cov}(u(x), u(x'))`, shape (N, N)."""
        return np.asarray(self.rows @ self.rows.T - np.outer(self.mean, self.mean))

    def variance(self) -> Array:
        r""":math:`\mathrm{Var}(u(x))`, the diagonal of the covariance, shape (N,)."""
        return np.asarray(np.maximum((self.rows**2).sum(axis=1) - self.mean**2, 0.0))


class InfluenceSums(ABC):
    """Sums of influences at fixed points over neurons that are given, called as ``sums(w, b)``.

    Attributes
    ----------
    mean : Array, shape (N,)
        E[u] at the points.
    """

    mean: Array

    @abstractmethod
    def __call__(self, w: Array, b: Array) -> Array:
        r""":math:`\sum_k u(x; w_k, b_k)` at the points, shape (N,), for (w, b) of shape (K,) each."""


class InfluenceModel(ABC):
    """Influences of the neurons of one problem at one training time."""

    @abstractmethod
    def at(self, points: Array) -> Influence:
        """Influences at increasing `points`, shape (N,)."""

    def mean_shift(self, points: Array, copies: int = 1) -> Array:
        """The limit of n E[f_n - f] at increasing `points`, shape (N,), if `copies` units share one draw of (w, b).

        Raises
        ------
        CapabilityError
            If it is not known.
        """
        raise CapabilityError("the mean shift is known for infinite time, two slopes and Standard() networks only")

    def kurtosis(self, point: float) -> float:
        r""":math:`E[(u - E u)^4]/\mathrm{Var}(u)^2` at one point; infinite if the fourth moment is.

        Raises
        ------
        CapabilityError
            If it is not known.
        """
        raise CapabilityError("the effective number of neurons is known for infinite time, two slopes and Standard() only")

    def sums(self, points: Array) -> InfluenceSums:
        """Sums over given neurons, at increasing `points`.

        Raises
        ------
        CapabilityError
            If they are not known.
        """
        raise CapabilityError("networks are drawn for infinite time, two slopes and Standard() only")


def growth(potential: Potential) -> float:
    r"""The a of :math:`(\phi')^{-1}(z) \sim z^a` for large z; infinity if it grows faster than all powers."""
    with np.errstate(over="ignore"):
        low, high = (float(potential.grad_inverse(np.float64(z))) for z in (1e30, 1e60))
    return math.log(high / low) / math.log(1e30) if math.isfinite(high) else math.inf
