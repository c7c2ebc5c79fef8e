r"""Activation patterns: which unit is active at which point, as a matrix that is applied but rarely written down.

For units :math:`\sigma(w_k x + b_k)` and points :math:`x_i` the pattern is
:math:`H_{ik} = 1[w_k x_i + b_k > 0] \in \{0, 1\}`. Everything a network does to first order is a product with H:

- `over_units`: :math:`\sum_k H_{ik} v_k`,
- `over_points`: :math:`\sum_i u_i H_{ik}`,
- `pairs`: :math:`\sum_k H_{ik} H_{lk} c_k`.

`DensePattern` stores H. `SortedPattern` uses that a unit on the line switches once, at its breakpoint: with one integer
per unit the products are prefix sums, O(n log M + M) instead of O(nM), and `pairs` O(n + M^2) instead of O(n M^2).
Both broadcast over leading (batch) dimensions; c below counts channels that share one pattern.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

_MANY_POINTS = 32  # measured: from here on prefix sums beat matrix products at every width


class Pattern(ABC):
    """The matrix H above as an operator."""

    @abstractmethod
    def over_units(self, v: Tensor) -> Tensor:
        r""":math:`\sum_k H_{ik} v_k`: shape (..., c, n) to (..., c, M)."""

    @abstractmethod
    def over_points(self, u: Tensor) -> Tensor:
        r""":math:`\sum_i u_i H_{ik}`: shape (..., c, M) to (..., c, n)."""

    @abstractmethod
    def pairs(self, c: Tensor) -> Tensor:
        r""":math:`\sum_k H_{ik} H_{lk} c_k`: shape (..., c, n) to (..., c, M, M)."""


class DensePattern(Pattern):
    """H as a matrix of zeros and ones.

    Parameters
    ----------
    lines : Tensor, shape (..., 2, n)
        Rows w and b.
    points : Tensor, shape (2, M)
        Rows x (in any order) and 1.
    """

    def __init__(self, lines: Tensor, points: Tensor) -> None:
        self.matrix = (points.mT @ lines).gt_(0)  # (..., M, n), in place: no boolean copy

    def over_units(self, v: Tensor) -> Tensor:
        return v @ self.matrix.mT

    def over_points(self, u: Tensor) -> Tensor:
        return u @ self.matrix

    def pairs(self, c: Tensor) -> Tensor:
        scaled = self.matrix.unsqueeze(-3) * c.unsqueeze(-2)  # (..., c, M, n)
        products = scaled.flatten(-3, -2) @ self.matrix.mT  # one product a network: broadcasting the second factor is slow
        return products.reshape(*scaled.shape[:-1], -1)


class SortedPattern(Pattern):
    r"""H through the number of points :math:`x_i \le -b_k/w_k` at or left of each breakpoint.

    A unit with w > 0 is active at the points after those, one with w < 0 at those. The two classes differ only if a
    breakpoint equals a point to the last bit, where :math:`\sigma'` is a convention.

    Parameters
    ----------
    lines : Tensor, shape (..., 2, n)
        Rows w and b.
    points : Tensor, shape (2, M)
        Rows x, increasing (not checked), and 1.
    """

    def __init__(self, lines: Tensor, points: Tensor) -> None:
        w, b = lines.unbind(-2)
        self._bins = points.shape[-1] + 1
        at_or_left = torch.searchsorted(points[0], -b / w, right=True)
        # signbit, not w < 0: with w = -0 the breakpoint -b/w has the opposite infinity
        self._index = (at_or_left + self._bins * torch.signbit(w)).unsqueeze(-2)  # (..., 1, n)

    def _cumulative(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of v over units active at point i: those with w > 0, those with w < 0; each (..., c, M)."""
        bins = torch.zeros((*v.shape[:-1], 2 * self._bins), dtype=v.dtype, device=v.device)
        bins.scatter_add_(-1, self._index.expand_as(v), v)
        sums = bins.reshape(*v.shape[:-1], 2, self._bins).cumsum(-1)
        return sums[..., 0, :-1], sums[..., 1, -1:] - sums[..., 1, :-1]

    def over_units(self, v: Tensor) -> Tensor:
        rightward, leftward = self._cumulative(v)
        return rightward + leftward

    def over_points(self, u: Tensor) -> Tensor:
        before = torch.nn.functional.pad(u.cumsum(-1), (1, 0))
        table = torch.cat([before[..., -1:] - before, before], dim=-1)
        return table.gather(-1, self._index.expand(*table.shape[:-1], -1))

    def pairs(self, c: Tensor) -> Tensor:
        rightward, leftward = self._cumulative(c)
        i = torch.arange(self._bins - 1, device=c.device)
        # a unit with w > 0 is active at both points if it is at the smaller one, with w < 0 if it is at the larger one
        return rightward[..., torch.minimum(i[:, None], i)] + leftward[..., torch.maximum(i[:, None], i)]


def pattern(lines: Tensor, points: Tensor) -> Pattern:
    """The faster of the two classes: prefix sums for many points on a CPU (on a GPU their order would be random)."""
    many = points.shape[-1] >= _MANY_POINTS and points.device.type == "cpu"
    return SortedPattern(lines, points) if many else DensePattern(lines, points)
