r"""The plane of (w, b), cut into sectors by the lines on which a neuron's kink sits at a sample.

A neuron :math:`a\,\sigma(wx + b)` with slopes p (right) and q (left) is at sample j where :math:`h \cdot \tilde x_j = 0`,
:math:`h = (w, b)`, :math:`\tilde x_j = (x_j, 1)`. These M lines through the origin make 2M sectors, counted by s as h turns:
in sector :math:`s \le M` the samples :math:`j \ge s` are on the right side of the neuron, in sector :math:`s \ge M` the
samples :math:`j < s - M`. Sectors s and s + 1 share the line of sample s mod M. So what depends on neurons through
sides alone is a sum over sectors, O(n + M), whatever the number of samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.activation import TwoSlope

Whole = NDArray[np.int64]
Flags = NDArray[np.bool_]


def at(values: Array, index: Whole) -> Array:
    """``values[..., index]`` for indices that are in range, which is not checked: several times as fast."""
    picked: Array = values.take(index, axis=-1, mode="clip")
    return picked


class Place(NamedTuple):
    """Where neurons are: their sector, or, if `on_line`, the line between it and the next one."""

    sector: Whole
    on_line: Flags


@dataclass(frozen=True, eq=False)
class Sectors:
    """The sectors that M samples make, and sums over samples and neurons by sector.

    Parameters
    ----------
    x : Array, shape (M,)
        The samples, increasing, M >= 1.
    activation : TwoSlope
        The slopes p and q above.
    """

    x: Array
    activation: TwoSlope

    @property
    def count(self) -> int:
        """Number 2M of sectors."""
        return 2 * self.x.size

    @cached_property
    def lengths(self) -> Array:
        r""":math:`|\tilde x_j|`, shape (M,)."""
        return np.hypot(self.x, 1.0)

    @cached_property
    def line_x(self) -> Array:
        """The sample of the line after each sector, shape (2M,)."""
        return np.concatenate([self.x, self.x])

    @cached_property
    def line_side(self) -> Array:
        r"""The sign of :math:`h \cdot \tilde x` in each sector, for the line after it, shape (2M,)."""
        return np.repeat([1.0, -1.0], self.x.size)

    @cached_property
    def before(self) -> Whole:
        """The sector before each one, shape (2M,)."""
        return np.roll(np.arange(self.count), 1)

    @cached_property
    def walls(self) -> Array:
        """Normals of the lines after and before each sector, inwards, not normalized, shape (2 components, 2 lines, 2M)."""
        after = self.line_side * np.stack([self.line_x, np.ones(self.count)])
        return np.stack([after, -after[:, self.before]], axis=1)

    @cached_property
    def normals(self) -> Array:
        """Unit normals of the lines after each sector, inwards, shape (2, 2M)."""
        wall = self.walls[:, 0]
        return np.asarray(wall / np.hypot(*wall))

    @cached_property
    def across(self) -> Array:
        """Entries (1, 1), (1, 2), (2, 2) of the projections on these normals, shape (2M, 3)."""
        one, two = self.normals
        return np.stack([one * one, one * two, two * two], axis=-1)

    @cached_property
    def rays(self) -> Array:
        """Unit vectors along the lines after each sector, shape (2, 2M)."""
        return self.line_side * np.stack([np.ones(self.count), -self.line_x]) / np.hypot(self.line_x, 1.0)

    def locate(self, w: Array, b: Array) -> Place:
        """Where neurons with hidden weights `w` and biases `b`, any shape, are; within rounding of a line: on it."""
        size = self.x.size
        with np.errstate(all="ignore"):
            left = np.searchsorted(self.x, np.where(w == 0, 0.0, -b / w))  # samples left of the kink
        sector = np.where(w > 0, left, (size + left) % self.count)
        sector = np.where(w == 0, np.where(b > 0, 0, size), sector)
        on_line = np.zeros(w.shape, dtype=bool)
        for neighbour in (left - 1, left):
            j = np.clip(neighbour, 0, size - 1)
            scale = np.abs(w * self.x[j]) + np.abs(b)
            near = (w != 0) & (np.abs(w * self.x[j] + b) <= 4 * np.finfo(float).eps * scale)
            sector, on_line = np.where(near, np.where(w > 0, j, size + j), sector), on_line | near
        return Place(sector, on_line)

    def drives(self, force: Array) -> Array:
        r""":math:`(P, Q) = \sum_j \sigma'_j F_j \tilde x_j` of every sector, for forces F at the samples.

        Shape (B, M) to (B, 2M, 2).
        """
        moments = np.empty((*force.shape, 2))
        moments[..., 0], moments[..., 1] = force * self.x, force
        ahead = np.cumsum(moments[:, ::-1], axis=1)[:, ::-1]  # over j >= s; its own sum, so that small parts keep digits
        behind = np.cumsum(moments, axis=1)
        empty = np.zeros_like(moments[:, :1])
        right = np.concatenate([ahead, empty, behind[:, :-1]], axis=1)
        left, kink = self.activation.left, self.activation.kink
        right = right if kink == 1 else kink * right
        return left * ahead[:, :1] + right if left else right

    def _right(self, sums: Array) -> tuple[Array, Array]:
        """Sums over the sectors that have sample j on their right side, as s <= j and s > M + j, (B, 2M, C) to (B, M, C)."""
        size = self.x.size
        before = np.cumsum(sums[:, :size], axis=1)
        beyond = np.zeros_like(before)
        beyond[:, :-1] = np.cumsum(sums[:, :size:-1], axis=1)[:, ::-1]
        return before, beyond

    def values(self, lines: Array) -> Array:
        r""":math:`\sum_k \sigma'_{kj} (v_k \cdot \tilde x_j)` from sums `lines` of v over the neurons of each sector.

        With v = a h these are the values of the neurons at the samples. Shape (B, 2M, 2) to (B, M).
        """
        before, beyond = self._right(lines)
        sums = self.activation.left * lines.sum(1, keepdims=True) + self.activation.kink * (before + beyond)
        return np.asarray(sums[..., 0] * self.x + sums[..., 1])

    @cached_property
    def _pairs(self) -> tuple[Whole, Whole]:
        """The lower and the higher number of all pairs of samples, each (M, M)."""
        index = np.arange(self.x.size)
        return np.minimum.outer(index, index), np.maximum.outer(index, index)

    @cached_property
    def _products(self) -> Array:
        """What the entries of a form are multiplied by for all pairs of samples, shape (M, M, 3)."""
        x, one = self.x, np.ones((self.x.size, self.x.size))
        return np.stack([np.multiply.outer(x, x), np.add.outer(x, x), one], axis=-1)

    def gram(self, forms: Array) -> Array:
        r""":math:`\sum_k \sigma'_{ki} \sigma'_{kj}\, \tilde x_i^T C_k \tilde x_j` from sums `forms` of C per sector.

        Shape (B, 2M, 3), the entries (1, 1), (1, 2) and (2, 2) of the symmetric C, to (B, M, M).
        """
        before, beyond = self._right(forms)
        low, high = self._pairs
        left, kink = self.activation.left, self.activation.kink
        sums = before[:, low] + beyond[:, high]
        sums = sums if kink == 1 else kink**2 * sums
        if left:
            one = before + beyond
            sums = sums + left * kink * (one[:, :, None] + one[:, None]) + left**2 * forms.sum(1)[:, None, None]
        sums *= self._products
        return np.asarray(sums.sum(-1))
