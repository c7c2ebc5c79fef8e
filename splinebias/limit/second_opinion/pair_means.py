r"""Means over units of several inputs, pair by pair of points, by rules that no kernel of the solver takes.

.. math:: K(x, x') = E[\sigma(w \cdot x + b)\, \sigma(w \cdot x' + b)], \qquad
          G(x, x') = E[\sigma'(w \cdot x + b)\, \sigma'(w \cdot x' + b)] .

- *Normal (w, b).* Given :math:`z = w \cdot x + b`, the other argument is normal with mean :math:`\rho z` and a deviation
  :math:`\tau`: what :math:`E|z'|` is beyond :math:`|\rho z|` is integrated over z by Fejer's rule.
- *b ~ U(-B, B), any pair of slopes.* Over b that is a piecewise quadratic polynomial, :math:`\int_0^r t\, (t + D)\, dt` with
  :math:`D = |w \cdot (x - x')|`. Over w on the sphere where both points are reached: along x - x' by Fejer's rule, across by
  two points, exact for the cubic polynomials that are left. In the cube: :math:`E|w \cdot z|^r` by its corners. For
  two inputs anywhere: over the angle by Fejer's rule, over the square by Radau's and Simpson's rules between all lines in
  which the polynomial changes, which is exact.

All other laws are drawn from (`points`). Derived here.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
from scipy.special import erfc

from splinebias._array import Array
from splinebias.activation import TwoSlope
from splinebias.numerics.double_exponential import fejer

_FAR = 8.5  # deviations beyond which a normal law has less than 1e-16
_NEAR = 6.0  # sizes beyond which the complementary error function is less than 1e-16
_LONG, _ARC = fejer(48), fejer(24)
_ROUND = fejer(24), fejer(40), fejer(96)  # for powers of a cosine: up to 4 inputs, 16, and more
_SMALL = 1e-3  # of the largest edge of a box: smaller ones are expanded in
_SIMPSON = np.array([[0.0, 0.5, 1.0], [1 / 6, 4 / 6, 1 / 6]])  # nodes and weights: exact for degree 3
_ROOT = math.sqrt(6)
_RADAU = np.array([[0.0, (6 - _ROOT) / 10, (6 + _ROOT) / 10], [1 / 9, (16 + _ROOT) / 36, (16 - _ROOT) / 36]])  # for 4


class Means(NamedTuple):
    """K and G of pairs, and bounds on their errors beside rounding, each of the same shape."""

    outer: Array
    outer_bound: Array | float
    hidden: Array
    hidden_bound: Array | float


def of_normal(activation: TwoSlope, s_w: float, s_b: float, x: Array, x2: Array) -> Means:
    """w ~ N(0, s_w^2) in every input, b ~ N(0, s_b^2): all pairs of points (P, d) and (M, d)."""
    one, two = (np.c_[s_w * of, np.full(len(of), s_b)] for of in (x, x2))
    size = np.linalg.norm(one, axis=1, keepdims=True)
    axis = one / np.where(size > 0, size, 1.0)
    mean = axis @ two.T
    width = np.maximum(np.linalg.norm(two - mean[..., None] * axis[:, None], axis=-1), 1e-300) * math.sqrt(2)
    # E|z'| and E sgn z' are |mean| t and its sign, but for t next to 0
    last = np.minimum(_FAR, _NEAR / np.maximum(np.abs(mean) / width, 1e-300))
    t = last[..., None] * _LONG.u
    far = np.abs(mean / width)[..., None] * t
    missed = erfc(far)
    density = np.exp(-(t**2) / 2)
    rules = np.array([_LONG.weights, _LONG.half]).T * math.sqrt(2 / math.pi)
    signs = last[..., None] * ((density * missed) @ rules)
    missed *= -far
    missed += np.exp(-(far**2)) / math.sqrt(math.pi)
    missed *= t
    magnitudes = (last * width)[..., None] * ((density * missed) @ rules)
    m, h = (activation.right + activation.left) / 2, activation.kink / 2
    return Means(
        size * (m**2 * mean + h**2 * (np.abs(mean) + magnitudes[..., 0])),
        size * (h**2 * _apart(magnitudes)),
        m**2 + h**2 * np.sign(mean) * (1 - signs[..., 0]),
        h**2 * _apart(signs),
    )


def over_uniform_bias(activation: TwoSlope, half_width: float, u: Array, u2: Array) -> tuple[Array, Array]:
    """The means over b ~ U(-B, B) alone of products of two units, and of their slopes."""
    p, q, end = activation.right, activation.left, half_width
    low, high = np.minimum(u, u2), np.maximum(u, u2)
    apart = high - low

    def both(last: Array, first: Array) -> Array:  # of t (t + D) where t > 0
        last, first = np.maximum(last, 0.0), np.maximum(first, 0.0)
        return np.asarray((last**3 - first**3) / 3 + apart * (last**2 - first**2) / 2)

    total = p * p * both(low + end, low - end)
    gates = p * p * np.clip(low + end, 0.0, 2 * end)
    if q:
        total += q * q * both(end - high, -end - high)
        r, s = np.clip(-apart, low - end, low + end), np.clip(0.0, low - end, low + end)
        r, s = np.clip(r, -apart, 0.0), np.clip(s, -apart, 0.0)
        total += p * q * (apart * (s**2 - r**2) / 2 + (s**3 - r**3) / 3)
        gates += q * q * np.clip(end - high, 0.0, 2 * end) + p * q * (s - r)
    return total / (2 * end), gates / (2 * end)


def on_sphere(activation: TwoSlope, half_width: float, x: Array, x2: Array) -> Means:
    """w on the unit sphere, b ~ U(-B, B), points that all units reach: all pairs of points (P, d) and (M, d)."""
    d = x.shape[1]
    gap = x[:, None] - x2
    apart = np.linalg.norm(gap, axis=-1)
    axis = np.divide(gap, apart[..., None], out=np.zeros_like(gap), where=apart[..., None] > 0)
    axis[apart == 0, 0] = 1.0
    along = np.einsum("pmd,pd->pm", axis, x)
    across = np.linalg.norm(x[:, None] - along[..., None] * axis, axis=-1) / math.sqrt(d - 1)
    rule = _ROUND[int(np.searchsorted([4, 16], d))]
    angle = math.pi / 2 * rule.u
    s, left = np.concatenate([np.sin(angle), -np.sin(angle)]), np.tile(np.cos(angle), 2)
    rules = np.array([np.tile(of, 2) for of in (rule.weights, rule.half)]).T * left[:, None] ** (d - 2)
    rules /= rules.sum(axis=0)
    turned, moved = s * along[..., None], s * apart[..., None]
    found = []
    for sign in (1, -1):
        u = turned + sign * left * across[..., None]
        found.append([of @ rules for of in over_uniform_bias(activation, half_width, u, u - moved)])
    outer, hidden = (sum(of) / 2 for of in zip(*found, strict=True))
    return Means(outer[..., 0], _apart(outer), hidden[..., 0], _apart(hidden))


def on_circle(activation: TwoSlope, half_width: float, x: Array, x2: Array) -> Means:
    """w on the unit circle, b ~ U(-B, B): pairs of any points, both of shape (N, 2)."""
    cuts = [np.zeros(len(x)), np.full(len(x), 2 * math.pi)]
    for point, ends in ((x - x2, (0.0,)), (x, (half_width, -half_width)), (x2, (half_width, -half_width))):
        size, angle = np.linalg.norm(point, axis=1), np.arctan2(point[:, 1], point[:, 0])
        for end in ends:
            turn = np.arccos(np.clip(end / np.maximum(size, 1e-300), -1.0, 1.0))
            cuts += [(angle + turn) % (2 * math.pi), (angle - turn) % (2 * math.pi)]
    edges = np.sort(np.stack(cuts, axis=1), axis=1)
    wide = np.diff(edges, axis=1)[..., None]
    angle = edges[:, :-1, None] + wide * _ARC.u
    w = np.cos(angle), np.sin(angle)
    u, u2 = (of[:, :1, None] * w[0] + of[:, 1:, None] * w[1] for of in (x, x2))
    rules = np.array([_ARC.weights, _ARC.half]).T / (2 * math.pi)
    outer, hidden = ((wide * (of @ rules)).sum(axis=1) for of in over_uniform_bias(activation, half_width, u, u2))
    return Means(outer[..., 0], _apart(outer), hidden[..., 0], _apart(hidden))


def on_square(activation: TwoSlope, half_width: float, side: float, x: Array, x2: Array) -> Means:
    """w ~ U(-a, a) in two inputs, b ~ U(-B, B): pairs of any points, both of shape (N, 2)."""
    points = np.stack([x - x2, x, x, x2, x2], axis=1)
    ends = half_width * np.array([0.0, 1.0, -1.0, 1.0, -1.0])
    # lines p w_1 + q w_2 = end: where they meet each other and the edges w_1 = +-a, the polynomial in w_2 changes
    p, q = points[..., 0], points[..., 1]
    i, j = np.triu_indices(5, 1)
    met = _ratio(p[:, j] * ends[i] - p[:, i] * ends[j], q[:, i] * p[:, j] - q[:, j] * p[:, i])
    edge = [_ratio(ends - sign * side * p, q) for sign in (1, -1)]
    pair, v, of_v = _pieces(np.concatenate([met, *edge], axis=1), side, _RADAU)
    unit, w, of_w = _pieces(_ratio(ends - q[pair] * v[:, None], p[pair]), side, _SIMPSON)
    pair, v, mass = pair[unit], v[unit], of_w * of_v[unit] / (4 * side * side)
    u, u2 = (of[pair, 0] * w + of[pair, 1] * v for of in (x, x2))
    outer, hidden = (
        np.asarray(np.bincount(pair, weights=mass * of, minlength=len(x)), dtype=float)
        for of in over_uniform_bias(activation, half_width, u, u2)
    )
    return Means(outer, 0.0, hidden, 0.0)


def in_cube(activation: TwoSlope, half_width: float, side: float, x: Array, x2: Array) -> Means:
    """w ~ U(-a, a) in every input, b ~ U(-B, B), points that all units reach: all pairs of points (P, d) and (M, d)."""
    m, h = (activation.right + activation.left) / 2, activation.kink / 2
    edges = side * np.abs(x[:, None] - x2)
    product = side**2 / 3 * (x @ x2.T) + half_width**2 / 3
    (cube, lost), (size, off) = (of_box(edges, power) for power in (3, 1))
    return Means(
        (m**2 + h**2) * product + h**2 / (6 * half_width) * cube,
        h**2 / (6 * half_width) * lost,
        m**2 + h**2 * (1 - size / half_width),
        h**2 / half_width * off,
    )


def of_box(edges: Array, power: int) -> tuple[Array, Array]:
    r""":math:`E|\sum_i a_i u_i|^r`, u_i ~ U(-1, 1), a of shape (..., d) and r = 1 or 3, and a bound on its error.

    The mean of :math:`y^k |y|^r`, k times integrated, over the corners of the box; small edges are expanded in.
    """
    a = -np.sort(-edges.reshape(-1, edges.shape[-1]), axis=1)
    first = a[:, :1]
    large = (a > _SMALL * first).sum(axis=1)
    value, bound = np.zeros(len(a)), np.zeros(len(a))
    for count in np.unique(large[first[:, 0] > 0]).tolist():
        at = large == count
        of, rest = (a[at] / first[at]).astype(np.longdouble), a[at, count:] / first[at]
        found, lost = _corners(of[:, :count], power)
        second, fourth = (rest**2).sum(axis=1), (rest**4).sum(axis=1) + (rest**2).sum(axis=1) ** 2
        if power == 3:
            less, more = _corners(of[:, :count], 1)
            found, lost = found + second * less, lost + second * more + fourth / 2
        else:
            lost = lost + second / 2  # a mean |y| has the second derivative 2 p(y), at most 1
        scale = first[at, 0] ** power
        value[at], bound[at] = scale * found, scale * lost
    return value.reshape(edges.shape[:-1]), bound.reshape(edges.shape[:-1])


def _corners(a: Array, power: int) -> tuple[Array, Array]:
    """The sum over corners for boxes (N, k), and a bound on its rounding."""
    count = a.shape[1]
    signs = np.array(list(itertools.product([1.0, -1.0], repeat=count - 1))).reshape(2 ** (count - 1), count - 1)
    signs = np.c_[np.ones(len(signs)), signs]  # the others say the same
    at = a @ signs.T.astype(np.longdouble)
    terms = at**count * np.abs(at) ** power * signs.prod(axis=1)
    scale = 2 * math.factorial(power) / (math.factorial(power + count) * (2 * a).prod(axis=1))
    eps = float(np.finfo(np.longdouble).eps) * (power + 2 * count)
    return np.asarray(scale * terms.sum(axis=1), float), np.asarray(eps * scale * np.abs(terms).sum(axis=1), float)


def _ratio(one: Array, other: Array) -> Array:
    """Quotients, 0 where there are none."""
    return np.divide(one, other, out=np.zeros(np.broadcast_shapes(one.shape, other.shape)), where=other != 0)


def _pieces(cuts: Array, end: float, rule: Array) -> tuple[Array, Array, Array]:
    """Row, node and weight of a rule on all pieces of some width from -end to end, between the cuts in each row."""
    outer = np.full((len(cuts), 1), end)
    edges = np.sort(np.concatenate([-outer, np.clip(cuts, -end, end), outer], axis=1), axis=1)
    wide = np.diff(edges, axis=1)
    row, piece = np.nonzero(wide > 0)
    wide, left = wide[row, piece, None], edges[row, piece, None]
    return np.repeat(row, rule.shape[1]), (left + wide * rule[0]).ravel(), (wide * rule[1]).ravel()


def _apart(rules: Array) -> Array:
    """What a rule may be off: all integrands are entire, of which twice the nodes square the relative error, and more."""
    error, size = np.abs(rules[..., 0] - rules[..., 1]), np.abs(rules[..., 0])
    return np.asarray(np.minimum(10 * error * (error / np.where(size > 0, size, 1.0)), error))
