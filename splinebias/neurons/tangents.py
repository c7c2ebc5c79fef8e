r"""Derivatives of the exact motion of neurons, by where they start and by the forces, through all events.

With the drive D, :math:`\kappa = |D|`, :math:`u = D/\kappa`, :math:`z = \kappa \tau` and :math:`v = h \cdot u`, a change E
of the drive has :math:`d\kappa = u \cdot E` and :math:`\kappa\, du = E_\perp`, the part of E across u:

.. math:: da = (a \sinh z - v \cosh z)\, \tau\, d\kappa - \tfrac{\sinh z}{\kappa}\, h \cdot E_\perp, \qquad
          dh = \tfrac{(\cosh z - 1) v - a \sinh z}{\kappa}\, E_\perp
               + \bigl[(v \sinh z - a \cosh z)\, \tau\, d\kappa + \tfrac{\cosh z - 1}{\kappa}\, h \cdot E_\perp\bigr] u .

Where a neuron crosses a line, the part of dh across the line is multiplied by the ratio of the speeds across it, after over
before; a neuron that is caught loses that part. What jumps, neurons at a line that repels them to both sides, is no
derivative of single neurons: see `finite_width.mean_field.tangents`. Source: derived here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.neurons.population import Journey, Neurons, Walk
from splinebias.neurons.sectors import Sectors, Whole


class Tangents(NamedTuple):
    """Where N neurons of one network are after a step, and derivatives of that; parameters in the order a, w, b.

    Attributes
    ----------
    journey : Journey
        Where they are.
    start : Array, shape (3, 3, N)
        By the parameters at the start: [parameter, by which, neuron].
    force : Array, shape (3, M, N)
        By the forces at the samples.
    """

    journey: Journey
    start: Array
    force: Array


def differentiate(neurons: Neurons, sectors: Sectors, force: Array, span: float) -> Tangents:
    """`advance` for one network, force of shape (M,), with derivatives."""
    walk = _TangentWalk(neurons, sectors, sectors.drives(force[None]), np.array([span]))
    journey = walk.through()
    return Tangents(journey, walk.change[:, :3], walk.change[:, 3:])


class _TangentWalk(Walk):
    """A walk that carries `change`, (3, 3 + M, N): derivatives by three parameters and M forces."""

    def __init__(self, neurons: Neurons, sectors: Sectors, drives: Array, span: Array) -> None:
        super().__init__(neurons, sectors, drives, span)
        self._speed = np.zeros(neurons.a.size)  # D x~ with which a neuron arrived at its line; 0: it was there before
        size, count = sectors.x.size, neurons.a.size
        self.change = np.zeros((3, 3 + size, count))
        self.change[0, 0] = self.change[1, 1] = self.change[2, 2] = 1.0
        j, s = np.arange(size), np.arange(sectors.count)[:, None]
        right = np.where(s <= size, j >= s, j < s - size)
        slope = sectors.activation.left + sectors.activation.kink * right  # of each sample in each sector
        self._each = np.stack([slope * sectors.x, slope]).transpose(0, 2, 1)  # drives of unit forces, (2, M, 2M)

    def flown(self, k: Whole, place: Whole, angle: Array, left: Array) -> None:
        self._move(k, self._u[:, place], angle, self._left[k] - left, across=True)

    def slid(self, k: Whole, ray: Array, angle: Array, span: Array) -> None:
        self._across(k, self._sector[k], np.zeros(k.size))  # what is caught keeps nothing across its line
        self._speed[k] = 0.0
        self._move(k, ray, angle, span, across=False)

    def arrived(self, k: Whole, line: Whole, place: Whole) -> None:
        drive = self._drives[:, place]
        x = self._sectors.x[line % self._sectors.x.size]
        self._speed[k] = drive[0] * x + drive[1]

    def wake(self, k: Whole | None = None) -> None:
        super().wake(k)
        at = np.flatnonzero((self._h[0] == 0) & (self._h[1] == 0)) if k is None else k
        if at.size:  # they stay, or leave in another direction: not determined
            self.change[1:][:, :, at] = 0.0

    def departs(self, k: Whole, line: Whole, place: Whole) -> None:
        drive = self._drives[:, place]
        x = self._sectors.x[line % self._sectors.x.size]
        before = self._speed[k]
        moving = before != 0
        ratio = np.where(moving, (drive[0] * x + drive[1]) / np.where(moving, before, 1.0), 1.0)
        self._across(k, line, np.maximum(ratio, 0.0))
        self._speed[k] = 0.0

    def _across(self, k: Whole, line: Whole, ratio: Array) -> None:
        """Multiply the part of dh across lines."""
        j = line % self._sectors.x.size
        x, square = self._sectors.x[j], self._sectors.lengths[j] ** 2
        w, b = self.change[1][:, k], self.change[2][:, k]
        part = (ratio - 1) * (w * x + b) / square
        self.change[1][:, k] = w + part * x
        self.change[2][:, k] = b + part

    def _move(self, k: Whole, u: Array, angle: Array, span: Array, *, across: bool) -> None:
        """Carry derivatives through a motion along u, (2, K); `across`: forces across u count as well."""
        whole = k.size == self._a.size  # then without copies
        a, h = (self._a, self._h) if whole else (self._a[k], self._h[:, k])
        d = self.change if whole else self.change[:, :, k]
        v = h[0] * u[0] + h[1] * u[1]
        sinh, half = np.sinh(angle), np.sinh(angle / 2)
        growth = 2 * half * half
        cosh = 1 + growth
        dv = d[1] * u[0] + d[2] * u[1]
        part = growth * dv - sinh * d[0]
        new = np.empty_like(d)
        new[0] = cosh * d[0] - sinh * dv
        new[1], new[2] = d[1] + part * u[0], d[2] + part * u[1]
        each = self._each[:, :, self._sector[k]]
        dz = span * (each[0] * u[0] + each[1] * u[1])
        new[0, 3:] += (a * sinh - v * cosh) * dz
        gain = (v * sinh - a * cosh) * dz
        if across:
            safe = np.where(angle > 0, angle, 1.0)
            one, two = np.where(angle > 0, sinh / safe, 1.0) * span, np.where(angle > 0, growth / safe, 0.0) * span
            side = each[1] * u[0] - each[0] * u[1]  # E_perp = side * (-u_2, u_1)
            turn = side * (h[1] * u[0] - h[0] * u[1])
            new[0, 3:] -= one * turn
            gain += two * turn
            shift = (two * v - one * a) * side
            new[1, 3:] -= shift * u[1]
            new[2, 3:] += shift * u[0]
        new[1, 3:] += gain * u[0]
        new[2, 3:] += gain * u[1]
        if whole:
            self.change = new
        else:
            self.change[:, :, k] = new
