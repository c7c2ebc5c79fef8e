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
from splinebias.neurons.events import Line, line_after
from splinebias.neurons.sectors import Flags, Sectors, Whole


@dataclass(frozen=True, eq=False)
class OnLine:
    """Neurons on the lines after their sectors, and what drives them there.

    Attributes
    ----------
    line : Line
        The lines.
    along : Array, shape (K,)
        :math:`D \\cdot e`, e the direction of the ray.
    ray : Array, shape (2, K)
        The e above.
    toward : Array, shape (2, K)
        How sectors s and s + 1 push to the line: > 0 towards it.
    """

    line: Line
    along: Array
    ray: Array
    toward: Array

    @classmethod
    def of(cls, sectors: Sectors, sector: Whole, a: Array, drive: Array, drive_next: Array) -> OnLine:
        """Neurons with output weights `a`; drives of sectors s and s + 1, shape (2, K)."""
        line = line_after(sectors, sector)
        length = np.hypot(line.x, 1.0)
        ray = line.side * np.stack([np.ones_like(line.x), -line.x]) / length
        along = (drive * ray).sum(0)
        a = np.where(a == 0, -along, a)  # its sign in a moment
        normal = np.stack([drive[0] * line.x + drive[1], -(drive_next[0] * line.x + drive_next[1])])
        return cls(line, along, ray, a * line.side * normal)

    @property
    def held(self) -> Flags:
        """Whether both sides push towards the line."""
        here, there = self.toward > 0
        held: Flags = here & there
        return held

    @property
    def undetermined(self) -> Flags:
        """Whether leaving is a solution of the flow, but not the only one."""
        here, there = self.toward
        free: Flags = (here <= 0) & (there <= 0) & ((here < 0) | (there < 0))
        return free

    @property
    def goes_on(self) -> Flags:
        """Whether a neuron that is not held goes to sector s + 1 rather than s."""
        here, there = self.toward
        right = self.line.side < 0  # of the kink: there wx + b > 0
        on: Flags = (here > 0) | ((there < 0) & (here == 0)) | ((there <= 0) & right & ~((here < 0) & (there == 0)))
        return on


class Emergence(NamedTuple):
    """Where neurons at h = 0 go: a sector, or the line after it; `moves` is False where they stay."""

    sector: Whole
    on_line: Flags
    moves: Flags


def leave_origin(sectors: Sectors, a: Array, drives: Array) -> Emergence:
    """Where neurons with h = 0, output weights `a`, (K,), and the drives of all sectors, (K, 2M, 2), go: fastest way out.

    A way out is a sector that holds its own velocity :math:`-a D`, or a ray along which it slides outwards.
    """
    every = np.arange(sectors.count)
    line = line_after(sectors, every)
    velocity = -a[:, None, None] * drives
    past_next = (velocity[..., 0] * line.x + velocity[..., 1]) * line.side < 0
    short_of_last = (velocity[..., 0] * np.roll(line.x, 1) + velocity[..., 1]) * np.roll(line.side, 1) > 0
    speed = np.where(past_next | short_of_last, 0.0, np.hypot(*np.moveaxis(velocity, -1, 0)))
    drive, drive_next = np.moveaxis(drives, -1, 0), np.moveaxis(np.roll(drives, -1, axis=1), -1, 0)
    outer = np.broadcast_to(a[:, None], speed.shape)
    on = OnLine.of(sectors, np.broadcast_to(every, speed.shape), outer, drive, drive_next)
    sliding = np.where(on.held, -outer * on.along, 0.0)
    ways = np.maximum(np.concatenate([speed, sliding], axis=1), 0.0)
    best = ways.argmax(axis=1)
    return Emergence(best % sectors.count, best >= sectors.count, ways.max(axis=1, initial=0.0) > 0)
