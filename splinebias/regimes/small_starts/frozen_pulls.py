r"""Directions of neurons in the plane while no output has changed: alignment and death of each, exactly, without training.

From a start of size :math:`\varepsilon \to 0` the pulls stay at :math:`-\ell'(0)` until the neurons have grown. Directions
:math:`u = (\cos\theta, \sin\theta)` then move by :math:`u' = s (I - u u^T) g(u)`, and between the lines
:math:`u \cdot x_i = 0` the drive g is constant, :math:`|g|(\cos\varphi, \sin\varphi)`:

.. math:: \theta' = s |g| \sin(\varphi - \theta), \qquad \tan\frac{\theta - \varphi}{2} \propto e^{-s |g| t}.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array

_TURN = 2 * math.pi


@dataclass(frozen=True, eq=False)
class FrozenPulls:
    r"""Where directions go under constant pulls.

    Attributes
    ----------
    aligned_at : Array, shape (n,)
        Times at which each neuron first is active on all points of its class and on no other, for
        :math:`-\ell'(0) = 1`; infinite if it never is.
    dead : Array of bool, shape (n,)
        Neurons that end active on no point.
    """

    aligned_at: Array
    dead: NDArray[np.bool_]


def follow(points: Array, labels: Array, angles: Array, signs: Array) -> FrozenPulls:
    """Follow directions at `angles`, shape (n,), of neurons with output weights of these `signs`, sector by sector.

    Parameters
    ----------
    points : Array, shape (M, 2)
        Points whose :math:`y_i y_k \\cos(x_i, x_k)` are all positive (not checked here): then no neuron slides along a line.
    labels : Array, shape (M,)
        Labels, +1 or -1.
    angles, signs : Array, shape (n,)
        Radians, and +1 or -1.
    """
    lines = np.arctan2(points[:, 1], points[:, 0])
    edges = np.unique(np.r_[lines + math.pi / 2, lines - math.pi / 2] % _TURN)
    middles = (edges + np.roll(edges, -1) + _TURN * (np.arange(edges.size) == edges.size - 1)) / 2
    active = np.stack([np.cos(middles), np.sin(middles)], axis=1) @ points.T > 0
    drives = (active * labels) @ points / labels.size
    towards = {sign: np.asarray(np.equal(active, labels == sign).all(axis=1)) for sign in (1, -1)}
    empty = np.asarray(~active.any(axis=1))
    aligned_at, dead = np.full(angles.shape, np.inf), np.zeros(angles.shape, dtype=bool)
    for number, (start, sign) in enumerate(zip((angles % _TURN).tolist(), signs.astype(int).tolist(), strict=True)):
        angle = start
        sector, time = int(np.searchsorted(edges, angle, side="right") - 1) % edges.size, 0.0
        for _ in range(2 * edges.size):
            if towards[sign][sector]:
                aligned_at[number] = min(aligned_at[number], time)
            if empty[sector]:
                dead[number] = True
                break
            speed = float(np.hypot(*drives[sector]))
            aim = math.atan2(drives[sector, 1], drives[sector, 0]) + (math.pi if sign < 0 else 0.0)
            offset = (angle - aim + math.pi) % _TURN - math.pi  # it shrinks: to 0, or until the sector ends
            upper, lower = (edges[(sector + 1) % edges.size] - angle) % _TURN, (angle - edges[sector]) % _TURN
            room = upper if offset < 0 else lower
            if speed == 0 or abs(offset) <= room:
                break
            time += math.log(math.tan(abs(offset) / 2) / math.tan((abs(offset) - room) / 2)) / speed
            step = 1 if offset < 0 else -1
            angle = float(edges[(sector + 1) % edges.size] if step == 1 else edges[sector])
            sector = (sector + step) % edges.size
    return FrozenPulls(aligned_at, dead)
