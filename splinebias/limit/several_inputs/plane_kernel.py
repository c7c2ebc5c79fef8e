r"""Two inputs, b ~ U(-B, B), any points: the mean over the direction of w, split where the integrand is not smooth.

With :math:`u = w \cdot x`, :math:`u' = w \cdot x'`, E|z z'| is the mean over w of the closed form in b. On the circle that
is smooth between the directions in which :math:`|u|` or :math:`|u'|` meets B and those orthogonal to x - x' and x + x', over
half a turn. In the square it is a polynomial of degree 3 between the lines :math:`u = u'`, :math:`|u| = B` and
:math:`|u'| = B`: its mean over :math:`w_1` is one of degree 4 in :math:`w_2` between the places where these lines meet each
other and the sides, so that Gauss rules with two and three nodes are exact, however small B is. Derived here.
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

_NODES = 12  # of a cell of directions: twice as many change no kernel by more than 1e-15 of it
_PAIRS = 2000  # at once


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
        _, weight, u, u2 = self._nodes(x, x2)
        mean, half, bias = self._slopes
        size = (weight * magnitudes(bias, u, u2)).sum(axis=(1, 2))
        return np.asarray(mean**2 * self._product(x, x2) + half**2 * size)

    def _slope_of(self, x: Array, x2: Array) -> Array:
        """The gradient by x, shape (P, 2)."""
        w, weight, u, u2 = self._nodes(x, x2)
        mean, half, bias = self._slopes
        pull = weight * magnitude_slopes(bias, u, u2)
        return np.asarray(mean**2 * self._second_moment * x2 + half**2 * np.einsum("pcn,pcnk->pk", pull, w))

    @property
    def _slopes(self) -> tuple[float, float, UniformBias]:
        act = self.activation
        return (act.right + act.left) / 2, act.kink / 2, UniformBias(-self.half_width, self.half_width)

    @property
    def _second_moment(self) -> float:
        return 0.5 if self.side is None else self.side**2 / 3

    def _product(self, x: Array, x2: Array) -> Array:
        return np.asarray(self._second_moment * (x * x2).sum(axis=1) + self.half_width**2 / 3)

    def _nodes(self, x: Array, x2: Array) -> tuple[Array, Array, Array, Array]:
        """Units w (P, C, N, 2), weights of sum 1, and w x, w x', of shape (P, C, N)."""
        w, weight = self._on_circle(x, x2) if self.side is None else self._in_square(x, x2, self.side)
        u, u2 = (np.einsum("pcnk,pk->pcn", w, points) for points in (x, x2))
        return w, weight, u, u2

    def _on_circle(self, x: Array, x2: Array) -> tuple[Array, Array]:
        orthogonal = [np.arctan2(-z[:, 0], z[:, 1])[:, None] for z in (x - x2, x + x2)]
        found = [*orthogonal, *(self._where_reached(points) for points in (x, x2))]
        angle, weight = _pieces(np.concatenate(found, axis=1) % math.pi, 0.0, math.pi, _NODES)
        return np.stack([np.cos(angle), np.sin(angle)], axis=-1), weight / math.pi

    def _in_square(self, x: Array, x2: Array, side: float) -> tuple[Array, Array]:
        """Between the lines p w_1 + q w_2 = r in which the polynomial changes."""
        (p, q), bound = np.moveaxis(np.stack([x - x2, x, x, x2, x2], axis=1), -1, 0), self.half_width
        r = np.array([0.0, bound, -bound, bound, -bound])
        i, j = np.triu_indices(5, 1)
        met = _quotient(p[:, j] * r[i] - p[:, i] * r[j], q[:, i] * p[:, j] - q[:, j] * p[:, i])
        ends = [_quotient(r - sign * side * p, q) for sign in (1, -1)]
        v, of_v = _pieces(np.concatenate([met, *ends], axis=1), -side, side, 3)
        v, of_v = v.reshape(len(x), -1, 1), of_v.reshape(len(x), -1, 1)
        w, of_w = _pieces(_quotient(r - q[:, None] * v, p[:, None]), -side, side, 2)
        w, of_w = w.reshape(*v.shape[:2], -1), of_w.reshape(*v.shape[:2], -1)
        return np.stack([w, np.broadcast_to(v, w.shape)], axis=-1), of_w * of_v / (4 * side * side)

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


def _quotient(one: Array, other: Array) -> Array:
    """Quotients, infinite where there are none."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.nan_to_num(one / other, nan=np.inf, posinf=np.inf, neginf=-np.inf)


def _pieces(cuts: Array, first: float, last: float, count: int) -> tuple[Array, Array]:
    """Gauss nodes and weights between all cuts, of shape (..., K), that are in a range: of shape (..., K + 1, count)."""
    t, weights = gauss_legendre(count)
    ends = [np.full((*cuts.shape[:-1], 1), end) for end in (first, last)]
    edges = np.sort(np.concatenate([ends[0], np.clip(cuts, first, last), ends[1]], axis=-1), axis=-1)
    wide = np.diff(edges, axis=-1)[..., None]
    return edges[..., :-1, None] + wide * t, wide * weights


def _blocks(count: int) -> list[slice]:
    return [slice(first, first + _PAIRS) for first in range(0, max(count, 1), _PAIRS)]
