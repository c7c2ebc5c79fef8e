r"""Losses of labels :math:`y = \pm 1` as functions of the output f, with the pull :math:`-\ell'` that drives the neurons.

.. math:: L = \frac1M \sum_i \ell(y_i, f_i).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from splinebias._array import Array


class MarginLoss(ABC):
    r"""A loss of the margin :math:`z = y f`, decreasing up to z = 1 at least."""

    @abstractmethod
    def value(self, margin: Array) -> Array:
        r""":math:`\ell(z)`, shape of `margin`."""

    @abstractmethod
    def pull(self, margin: Array) -> Array:
        r""":math:`-\ell'(z)`, shape of `margin`; at z = 0 it is the speed of the early phase."""

    @property
    def first_pull(self) -> float:
        r""":math:`-\ell'(0)`: times measured from a small start are inversely proportional to it."""
        return float(self.pull(np.zeros(1))[0])


@dataclass(frozen=True)
class Exponential(MarginLoss):
    r"""The exponential loss, :math:`\ell(z) = e^{-z}`."""

    def value(self, margin: Array) -> Array:
        return np.asarray(np.exp(-margin))

    def pull(self, margin: Array) -> Array:
        return np.asarray(np.exp(-margin))


@dataclass(frozen=True)
class Logistic(MarginLoss):
    r"""The logistic loss, :math:`\ell(z) = \log(1 + e^{-z})`; :math:`-\ell'(0) = 1/2`."""

    def value(self, margin: Array) -> Array:
        return np.asarray(np.logaddexp(0, -margin))

    def pull(self, margin: Array) -> Array:
        return np.asarray(expit(-margin))


@dataclass(frozen=True)
class Squared(MarginLoss):
    r"""The squared loss, :math:`\ell = (f - y)^2/2 = (1 - z)^2/2` for labels :math:`\pm 1`."""

    def value(self, margin: Array) -> Array:
        return np.asarray((1 - margin) ** 2 / 2)

    def pull(self, margin: Array) -> Array:
        return np.asarray(1 - margin)
