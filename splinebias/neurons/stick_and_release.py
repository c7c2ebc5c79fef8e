r"""Neurons on a line: whether they cross it or slide along it, and how they slide.

On the line between sectors s and s + 1, whose drives differ, :math:`h \cdot \tilde x_j` moves by
:math:`-a N`, :math:`N = D \cdot \tilde x_j`. If both sides push towards the line, the neuron stays: the slope of the
sample is the :math:`q + \lambda (p - q)`, :math:`\lambda \in [0, 1]`, that makes N vanish (Filippov), and h = :math:`\eta e`
moves along the ray :math:`e \perp \tilde x_j` with the drive :math:`D \cdot e`, which is that of both sides.
If one side pushes towards the line and the other does not, it goes over to that one. If both push away, or
one does and the other does nothing, more than one motion solves the flow: the neuron then goes where
:math:`wx_j + b > 0`, and is counted.

While residuals are constant, a neuron leaves its line only where its output weight changes sign (its line repels from then
on) or where it reaches the origin, h = 0.
Source: derived here; Filippov, Differential Equations with Discontinuous Righthand Sides, Kluwer 1988, sections 4 and 10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.neurons.sectors import Flags, Sectors, Whole


class Pushes(NamedTuple):
    """How neurons with output weight 1 are driven on the line after each sector, arrays of shape (..., 2M).

    Attributes
    ----------
    along : Array
        :math:`D \\cdot e`, e the direction of the ray.
    here, there : Array
        How the sector and the next one push to the line: > 0 towards it.
    """

    along: Array
    here: Array
    there: Array

    @classmethod
    def of(cls, sectors: Sectors, drives: Array) -> Pushes:
        """For the drives of all sectors, shape (2, ..., 2M)."""
        wall = sectors.walls[:, 0]
        along = drives[0] * sectors.rays[0] + drives[1] * sectors.rays[1]
        here = drives[0] * wall[0] + drives[1] * wall[1]
        after = np.concatenate([drives[..., 1:], drives[..., :1]], axis=-1)
        return cls(along, here, -(after[0] * wall[0] + after[1] * wall[1]))


@dataclass(frozen=True, eq=False)
class OnLine:
    """Neurons on the lines after their sectors, and what drives them there; any shape.

    Attributes
    ----------
    along : Array
        :math:`D \\cdot e`, e the direction of the ray.
    here, there : Array
        How sectors s and s + 1 push to the line: > 0 towards it.
    right : Array of bool
        Whether :math:`wx_j + b > 0` in sector s + 1.
    """

    along: Array
    here: Array
    there: Array
    right: Flags

    @classmethod
    def of(cls, sectors: Sectors, sector: Whole, a: Array, pushes: Pushes) -> OnLine:
        """Neurons with output weights `a`, and what pushes each of them."""
        a = np.where(a == 0, -pushes.along, a)  # its sign in a moment
        return cls(pushes.along, a * pushes.here, a * pushes.there, sectors.line_side[sector] < 0)

    @property
    def held(self) -> Flags:
        """Whether both sides push towards the line."""
        return np.asarray((self.here > 0) & (self.there > 0))

    @property
    def undetermined(self) -> Flags:
        """Whether leaving is a solution of the flow, but not the only one."""
        here, there = self.here, self.there
        return np.asarray((here <= 0) & (there <= 0) & ((here < 0) | (there < 0)))

    @property
    def goes_on(self) -> Flags:
        """Whether a neuron that is not held goes to sector s + 1 rather than s."""
        here, there = self.here, self.there
        over = (there <= 0) & self.right & ~((here < 0) & (there == 0))
        return np.asarray((here > 0) | ((there < 0) & (here == 0)) | over)


class Emergence(NamedTuple):
    """Where neurons at h = 0 go: a sector, or the line after it; `moves` is False where they stay."""

    sector: Whole
    on_line: Flags
    moves: Flags


def leave_origin(sectors: Sectors, a: Array, drives: Array) -> Emergence:
    """Where neurons with h = 0, output weights `a`, (K,), and the drives of all sectors, (K, 2M, 2), go: fastest way out.

    A way out is a sector that holds its own velocity :math:`-a D`, or a ray along which it slides outwards.
    """
    drives = np.moveaxis(drives, -1, 0)
    velocity, (after, before) = -a[:, None] * drives, np.moveaxis(sectors.walls, 1, 0)
    out = (velocity[0] * after[0] + velocity[1] * after[1] < 0) | (velocity[0] * before[0] + velocity[1] * before[1] < 0)
    speed = np.where(out, 0.0, np.hypot(*velocity))
    outer = np.broadcast_to(a[:, None], speed.shape)
    on = OnLine.of(sectors, np.broadcast_to(np.arange(sectors.count), speed.shape), outer, Pushes.of(sectors, drives))
    sliding = np.where(on.held, -outer * on.along, 0.0)
    ways = np.maximum(np.concatenate([speed, sliding], axis=1), 0.0)
    best = ways.argmax(axis=1)
    return Emergence(best % sectors.count, best >= sectors.count, ways.max(axis=1, initial=0.0) > 0)
