"""What one neuron more or less does to the function of a wide network: its influence u, and covariances of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.errors import CapabilityError


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
