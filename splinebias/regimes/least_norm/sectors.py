r"""Directions of hidden weights, in sectors on which what a unit does at the data is linear.

A unit with :math:`|(w, b)| = 1` is the angle :math:`\psi` of :math:`(w, -b)`: it is
:math:`\kappa_i [\sin(\theta_i - \psi)]_+` at :math:`x_i = \tan \theta_i`, and its breakpoint is :math:`c = \tan \psi`; w
> 0 for :math:`|\psi| < \pi/2`, and :math:`\psi = -\pi/2` is the constant 1. Sectors end where a datum begins or ceases
to be active, at :math:`\theta_i` and :math:`\theta_i + \pi`. For multipliers :math:`\lambda` the dual function
:math:`G(\psi) = \sum_i \lambda_i \kappa_i [\sin(\theta_i - \psi)]_+` is a sinusoid on each.

Angles are measured from that of the middle of the data, which is exact for data far from zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array

Indices = NDArray[np.intp]
_FEW = 400  # edges at which G is made of units as they are, rounding of their angles included: units of x may be extreme


class Peaks(NamedTuple):
    """Local maxima of \\|G\\|: their angles, their sectors (-1: the edge of one), and G there."""

    angles: Array
    sectors: Indices
    values: Array


@dataclass(frozen=True, eq=False)
class Sectors:
    """The sectors of a data set.

    Attributes
    ----------
    x, y, d : Array, shape (M,)
        Abscissae; ordinates; S/m_i with the weights m_i.
    middle : float
        The abscissa with angle 0.
    angles, kappa : Array, shape (M,)
        The angles and the kappa_i above.
    lows, highs : Array, shape (P,)
        Where sectors begin and end.
    first, last : Array of int, shape (P,)
        Data first <= i < last are active.
    edges : Array
        Angles where sectors meet and G need not vanish.
    linear : Array, shape (M, L)
        What costs nothing: lines, or constants, or no column at all.
    """

    x: Array
    y: Array
    d: Array
    middle: float
    angles: Array
    kappa: Array
    lows: Array
    highs: Array
    first: Indices
    last: Indices
    edges: Array
    linear: Array

    @classmethod
    def of(cls, x: Array, y: Array, m: Array, *, free: bool, constant: bool) -> Sectors:
        """The sectors of data: of units with w > 0 alone if lines are `free`, since others differ from them by a line."""
        middle = float(0.5 * (x[0] + x[-1]))
        size, kappa = x.size, np.hypot(1.0, x)
        angles = np.arctan2(x - middle, 1 + x * middle)
        between = np.arange(1, size)
        lows, highs, first, last = angles[:-1], angles[1:], between, np.full(size - 1, size)
        edges = angles[1:-1]
        if free:
            linear = np.stack([np.ones(size), (x - middle) / np.abs(x - middle).max()], axis=1)
        else:
            lows = np.r_[angles[-1] - np.pi, lows, angles[:-1] + np.pi]
            highs = np.r_[angles[0], highs, angles[1:] + np.pi]
            first, last = np.r_[0, first, np.zeros(size - 1, dtype=int)], np.r_[size, last, between]
            edges = np.r_[angles[:-1], angles[1:] + np.pi]
            linear = np.ones((size, 1)) if constant else np.zeros((size, 0))
        return cls(x, y, m.sum() / m, middle, angles, kappa, lows, highs, first, last, edges, linear)

    def features(self, psi: Array) -> Array:
        """Units at the data, shape (M, K)."""
        return np.asarray(self.kappa[:, None] * np.maximum(np.sin(self.angles[:, None] - psi), 0.0))

    def active(self, psi: Array) -> NDArray[np.bool_]:
        """Whether units do anything at the data: those at the very end of the last sector do not."""
        least = 1e-12 * (self.x[-1] - self.x[0]) / self.kappa.max()
        return np.asarray(self.features(psi).max(axis=0, initial=0.0) > least)

    def plane(self, sectors: Indices) -> Array:
        r"""What the two coordinates :math:`a(\cos\psi, \sin\psi)` of units in these sectors do, shape (M, K, 2)."""
        number = np.arange(self.x.size)[:, None]
        active = (number >= self.first[sectors]) & (number < self.last[sectors])
        both = np.stack([np.sin(self.angles), -np.cos(self.angles)], axis=1) * self.kappa[:, None]
        return np.asarray(active[:, :, None] * both[:, None, :])

    def peaks(self, multipliers: Array) -> Peaks:
        """All local maxima of \\|G\\| in the closed sectors, in closed form."""
        pull = multipliers * self.kappa
        sums = np.zeros((2, self.x.size + 1), dtype=np.longdouble)  # where the machine has them: few digits are lost below
        np.cumsum(pull * np.stack([np.sin(self.angles), np.cos(self.angles)]), axis=1, out=sums[:, 1:])
        total = (sums[:, self.last] - sums[:, self.first]).astype(float)
        peak = np.arctan2(-total[1], total[0])
        size = np.hypot(total[0], total[1])
        angles, sectors, values = [], [], []
        for turn, sign in ((0.0, 1.0), (np.pi, -1.0)):
            into = self.lows + np.mod(peak + turn - self.lows, 2 * np.pi)
            inside = np.flatnonzero((into > self.lows) & (into < self.highs))
            angles.append(into[inside])
            sectors.append(inside)
            values.append(sign * size[inside])
        angles.append(self.edges)
        sectors.append(np.full(self.edges.size, -1))
        values.append(multipliers @ self.features(self.edges) if self.edges.size <= _FEW else self._at_edges(multipliers))
        return Peaks(np.concatenate(angles), np.concatenate(sectors), np.concatenate(values))

    def _at_edges(self, multipliers: Array) -> Array:
        r"""G at the edges in O(M): since :math:`\kappa_i \kappa_j \sin(\theta_i - \theta_j) = x_i - x_j`, sums of sums times
        distances between neighbours, where no digits cancel.
        """
        gaps = np.diff(self.x)
        right = np.cumsum(np.cumsum(multipliers[:0:-1], dtype=np.longdouble) * gaps[::-1])[::-1] / self.kappa[:-1]
        if self.linear.shape[1] == 2:
            return np.asarray(right[1:], dtype=float)
        left = np.cumsum(np.cumsum(multipliers[:-1], dtype=np.longdouble) * gaps) / self.kappa[1:]
        return np.concatenate([right, left]).astype(float)

    def sector_of(self, psi: Array) -> Indices:
        """The sector that holds each angle."""
        return np.asarray(np.searchsorted(self.lows, psi, side="right") - 1, dtype=np.intp)

    def breakpoints(self, psi: Array) -> tuple[Array, Array, Array]:
        """Weights w, biases b of the units with these angles, and breakpoints -b/w (infinite for constants)."""
        shift = np.arctan(self.middle)
        w, minus_b = np.cos(psi + shift), np.sin(psi + shift)
        with np.errstate(divide="ignore", invalid="ignore"):
            tangent = np.tan(psi)
            c = self.middle + tangent * (1 + self.middle**2) / (1 - tangent * self.middle)
        return w, -minus_b, c
