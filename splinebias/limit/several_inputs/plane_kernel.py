r"""Two inputs, b ~ U(-B, B), any points: the mean over the direction of w, split where the integrand is not smooth.

With :math:`w = r (\cos\varphi, \sin\varphi)`, :math:`u = w \cdot x`, :math:`u' = w \cdot x'`, E|z z'| is the mean
over half a turn of the closed form in b, which is polynomial in r between :math:`r |e_\varphi \cdot x| = B` and the
same for x', so that Gauss rules with three nodes are exact in r. As a function of :math:`\varphi` it is smooth
between the directions in which one of these meets the end of the range of r, those orthogonal to x - x' and x + x',
and the corners of a square. Derived here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from splinebias._array import Array
from splinebias.activation import TwoSlope
from splinebias.limit.several_inputs.bias_moments import UniformBias
from splinebias.limit.several_inputs.closed_kernels import InputKernel
from splinebias.numerics.legendre import gauss_legendre

_NODES = 12  # of a cell of directions: twice as many change no kernel by more than 1e-13 of it
_PAIRS = 4000  # at once


@dataclass(frozen=True)
class PlaneKernel(InputKernel):
    r"""The kernel above.

    Attributes
    ----------
    activation : TwoSlope
        The activation.
    half_width : float
        The B above.
    side : float or None
        w uniform on the square :math:`[-a, a]^2`; None: on the unit circle.
    """

    activation: TwoSlope
    half_width: float
    side: float | None

    def matrix(self, x: Array, x2: Array) -> Array:
        if x is x2:
            i, j = np.triu_indices(len(x))
            total = np.empty((len(x), len(x)))
            total[i, j] = total[j, i] = self._of_pairs(x[i], x[j])
            return total
        i, j = (part.ravel() for part in np.indices((len(x), len(x2))))
        return self._of_pairs(x[i], x2[j]).reshape(len(x), len(x2))

    def slope(self, x: Array, centres: Array, weights: Array) -> Array:
        i, j = (part.ravel() for part in np.indices((len(x), len(centres))))
        found = np.concatenate([self._slope_of(x[i[at]], centres[j[at]]) for at in _blocks(i.size)])
        return np.asarray(np.einsum("pqk,q->pk", found.reshape(len(x), len(centres), 2), weights))

    def _of_pairs(self, x: Array, x2: Array) -> Array:
        """K of P pairs, shape (P,)."""
        return np.concatenate([self._values(x[at], x2[at]) for at in _blocks(len(x))])

    def _values(self, x: Array, x2: Array) -> Array:
        _, radius, weight, u, u2 = self._nodes(x, x2)
        mean, half, bias = self._slopes
        size = (weight * magnitudes(bias, radius * u, radius * u2)).sum(axis=(1, 2, 3))
        return np.asarray(mean**2 * self._product(x, x2) + half**2 * size)

    def _slope_of(self, x: Array, x2: Array) -> Array:
        """The gradient by x, shape (P, 2)."""
        direction, radius, weight, u, u2 = self._nodes(x, x2)
        mean, half, bias = self._slopes
        pull = (weight * radius * magnitude_slopes(bias, radius * u, radius * u2)).sum(axis=3)
        return np.asarray(mean**2 * self._second_moment * x2 + half**2 * np.einsum("pcn,pcnk->pk", pull, direction))

    @property
    def _slopes(self) -> tuple[float, float, UniformBias]:
        act = self.activation
        return (act.right + act.left) / 2, act.kink / 2, UniformBias(-self.half_width, self.half_width)

    @property
    def _second_moment(self) -> float:
        return 0.5 if self.side is None else self.side**2 / 3

    def _product(self, x: Array, x2: Array) -> Array:
        return np.asarray(self._second_moment * (x * x2).sum(axis=1) + self.half_width**2 / 3)

    def _nodes(self, x: Array, x2: Array) -> tuple[Array, Array, Array, Array, Array]:
        """Directions (P, C, N, 2), radii (P, C, N, R) and weights of sum 1, and e x, e x' of shape (P, C, N, 1)."""
        cuts = np.sort(
            np.concatenate([np.zeros((len(x), 1)), self._cuts(x, x2), np.full((len(x), 1), math.pi)], axis=1), axis=1
        )
        t, weights = gauss_legendre(_NODES)
        length = np.diff(cuts, axis=1)[..., None]
        angle = cuts[:, :-1, None] + length * t
        weight = (length * weights / math.pi)[..., None]
        direction = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        u, u2 = (np.einsum("pcnk,pk->pcn", direction, points)[..., None] for points in (x, x2))
        if self.side is None:
            return direction, np.ones_like(u), weight, u, u2
        end = self.side / np.abs(direction).max(axis=-1, keepdims=True)
        with np.errstate(divide="ignore"):
            stops = [np.minimum(self.half_width / np.abs(part), end) for part in (u, u2)]
        edges = np.concatenate([np.zeros_like(end), np.minimum(*stops), np.maximum(*stops), end], axis=-1)
        s, masses = gauss_legendre(3)
        width = np.diff(edges, axis=-1)
        radius = (edges[..., :-1, None] + width[..., None] * s).reshape(*angle.shape, 9)
        share = (width[..., None] * masses).reshape(*angle.shape, 9) * radius * (math.pi / (2 * self.side**2))
        return direction, radius, weight * share, u, u2

    def _cuts(self, x: Array, x2: Array) -> Array:
        """Directions, modulo half a turn, between which the integrand is smooth, shape (P, C)."""
        orthogonal = [np.arctan2(-z[:, 0], z[:, 1])[:, None] for z in (x - x2, x + x2)]
        if self.side is None:
            found = [*orthogonal, *(self._where_reached(points) for points in (x, x2))]
            return np.asarray(np.concatenate(found, axis=1) % math.pi)
        corners = np.broadcast_to([math.pi / 4, 3 * math.pi / 4], (len(x), 2))
        bound = self.half_width / self.side
        met = []
        for p, q in ((points[:, :1], points[:, 1:]) for points in (x, x2)):
            for sign in (-1, 1):
                met += [np.arctan2(sign * bound - p, q), np.arctan2(p, sign * bound - q)]
        return np.asarray(np.concatenate([*orthogonal, corners, *met], axis=1) % math.pi)

    def _where_reached(self, x: Array) -> Array:
        """Directions on the circle in which |e x| = B, shape (P, 2); that of x where there are none."""
        size = np.linalg.norm(x, axis=1)
        turn = np.arccos(np.minimum(self.half_width / np.maximum(size, self.half_width), 1.0))
        angle = np.arctan2(x[:, 1], x[:, 0])
        return np.stack([angle - turn, angle + turn], axis=1)


def magnitudes(bias: UniformBias, u: Array, u2: Array) -> Array:
    r""":math:`E_b|(u + b)(u' + b)|` for a bias of mean 0."""
    first, last = bias.above(-np.maximum(u, u2)), bias.above(-np.minimum(u, u2))
    inside = u * u2 * (first[0] - last[0]) + (u + u2) * (first[1] - last[1]) + first[2] - last[2]
    return np.asarray(u * u2 + bias.whole[2] - 2 * inside)


def magnitude_slopes(bias: UniformBias, u: Array, u2: Array) -> Array:
    """Its derivative by u."""
    first, last = bias.above(-np.maximum(u, u2)), bias.above(-np.minimum(u, u2))
    return np.asarray(u2 - 2 * (u2 * (first[0] - last[0]) + first[1] - last[1]))


def _blocks(count: int) -> list[slice]:
    return [slice(first, first + _PAIRS) for first in range(0, max(count, 1), _PAIRS)]
