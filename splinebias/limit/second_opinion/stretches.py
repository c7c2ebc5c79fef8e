r"""Stretches of the breakpoint axis, and what curvature adds up to on them against levers that are linear there.

On a stretch two functions span all linear ones: :math:`h_0 = 1 - u, h_1 = u` between two ends, :math:`h_0 = 1, h_1 = s` on
the way to infinity, s in units of a scale. A linear function is its two *corners* then, an integral against it two numbers,
:math:`m_i = \int I\, h_i\, dc`. Where curvature is :math:`I = \zeta g` with a linear g of corners :math:`g_j`,

.. math:: m_i = \sum_j g_j \int \zeta\, h_i h_j\, dc,

so that a rule is summed for :math:`\zeta` only. Between data that is a rule of integrals that no solver takes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.limit.second_opinion.functional import EPS
from splinebias.numerics.double_exponential import FINE, PLAIN, SHORT, UnitRule, fejer


class Shape(NamedTuple):
    """A rule on one stretch, and that of half of its nodes.

    Attributes
    ----------
    spans : Array, shape (2, q)
        The two functions that span the linear ones, at the nodes.
    hats : Array, shape (q, 4)
        Weights of the integrals against these, of either rule.
    squares : Array, shape (q, 8)
        Weights of the integrals against the products of two of them, of either rule.
    """

    spans: Array
    hats: Array
    squares: Array

    @classmethod
    def of(cls, spans: Array, rules: list[Array]) -> Shape:
        """From weights of both rules, each of shape (q,)."""
        weights = np.array(rules).T[:, :, None] * spans.T[:, None, :]  # (q, 2, 2)
        squares = weights[..., None] * spans.T[:, None, None, :]
        return cls(spans, weights.reshape(spans.shape[1], -1), squares.reshape(spans.shape[1], -1))


def _between(rule: UnitRule) -> Shape:
    return Shape.of(np.stack([rule.other, rule.u]), [rule.weights, rule.half])


def _to_infinity(rule: UnitRule) -> Shape:
    far = rule.u / rule.other
    return Shape.of(np.stack([np.ones_like(far), far]), [of / rule.other**2 for of in (rule.weights, rule.half)])


def _close(rule: UnitRule) -> UnitRule:
    """The rule beside that without the middle one of its nodes, rather than half of them."""
    rest = np.arange(rule.u.size) != rule.u.size // 2
    powers = np.arange(np.count_nonzero(rest))
    weights = np.zeros_like(rule.u)
    weights[rest] = np.linalg.solve((2 * rule.u[rest] - 1) ** powers[:, None], (1 + (-1.0) ** powers) / (2 * powers + 2))
    return rule._replace(half=weights)


CUBIC, CLOSE, SMOOTH = _between(fejer(8)), _between(_close(fejer(8))), _between(fejer(16))
SHORT_ENDS, PLAIN_ENDS, FINE_ENDS = (_between(rule) for rule in (SHORT, PLAIN, FINE))
SHORT_TAIL, PLAIN_TAIL, FINE_TAIL = (_to_infinity(rule) for rule in (SHORT, PLAIN, FINE))


class Stretches(NamedTuple):
    """Stretches with one rule.

    Attributes
    ----------
    frame : Array, shape (N, 2)
        The corners of c itself: both ends, or the end and one scale, with a sign, on the way to infinity.
    size : Array, shape (N,)
        The widths, or the scales.
    blur : Array, shape (N,) or (1,)
        The rounding of nodes, relative to `size`.
    shape : Shape
        The rule.
    """

    frame: Array
    size: Array
    blur: Array
    shape: Shape

    @classmethod
    def between(cls, left: Array, right: Array, shape: Shape) -> Stretches:
        """From ends to ends."""
        wide = right - left
        if shape is CUBIC:  # of polynomials: where nodes are does not matter
            return cls(np.array([left, right]).T, wide, np.zeros(1), shape)
        return cls(np.array([left, right]).T, wide, np.spacing(np.maximum(np.abs(left), np.abs(right))) / wide, shape)

    @classmethod
    def to_infinity(cls, first: float, last: float, scales: tuple[float, float], shape: Shape) -> Stretches:
        """From the first and the last of all ends, on these scales."""
        size = np.array(scales)
        frame = np.array([[first, -scales[0]], [last, scales[1]]])
        return cls(frame, size, np.spacing(np.abs(frame[:, 0])) / size, shape)

    def nodes(self) -> Array:
        """The nodes of the rule, shape (N, q)."""
        return np.asarray(self.frame @ self.shape.spans)


class Moments(NamedTuple):
    """The :math:`m_i` of the curvature of plus and minus on stretches, and bounds on their errors, each of shape (S, N, 2).

    S = 1: of both together.
    """

    value: Array
    bound: Array

    @classmethod
    def joined(cls, parts: list[Moments]) -> Moments:
        """The moments of some stretches after those of others."""
        return parts[0] if len(parts) == 1 else cls(*(np.concatenate(of, axis=1) for of in zip(*parts, strict=True)))

    @classmethod
    def of_density(cls, at: Stretches, zeta: Array, g: Array, lost: Array) -> Moments:
        """From :math:`\\zeta` at the nodes, shape (S, N, q), and the corners of g and of how far it is off, (S, N, 2)."""
        squares = (zeta @ at.shape.squares).reshape(*zeta.shape[:2], 2, 2, 2)
        if not np.isfinite(squares).all():  # far out, where g is nothing
            squares = np.where((g != 0).any(axis=-1)[..., None, None, None], squares, 0.0)
        rounding = lost + np.abs(g) * (4e-16 + 2 * EPS + at.blur)[:, None]
        size = at.size[:, None]
        rules = (squares @ g[:, :, None, :, None])[..., 0] * size[..., None]
        return cls._of(rules, (squares[:, :, 0] @ rounding[..., None])[..., 0] * size)

    @classmethod
    def of_curvature(cls, at: Stretches, bent: Array, lost: Array) -> Moments:
        """From curvature at the nodes, and how far it is off, each of shape (S, N, q)."""
        rounding = lost + np.abs(bent) * (4e-16 + 2 * EPS + at.blur)[:, None]
        hats, size = at.shape.hats, at.size[:, None]
        rules = (bent @ hats).reshape(*bent.shape[:2], 2, 2) * size[..., None]
        return cls._of(rules, (rounding @ hats[:, :2]) * size)

    @classmethod
    def _of(cls, rules: Array, rounding: Array) -> Moments:
        """From the sums of the rule and that of half of its nodes, shape (S, N, 2, 2)."""
        whole, half = rules[:, :, 0], rules[:, :, 1]
        return cls(whole, np.abs(whole - half) + rounding)

    def against(self, levers: Array) -> tuple[Array, Array]:
        """Integrals against levers given by their corners, and bounds, each of shape (F,).

        Levers of shape (F, N, 2) are the same on both sides, others have shape (F, 2, N, 2).
        """
        value, bound = self
        if levers.ndim == 3:
            value, bound = value.sum(axis=0), bound.sum(axis=0)
        levers = levers.reshape(levers.shape[0], -1)
        found = np.array([levers @ value.ravel(), np.abs(levers) @ bound.ravel()])
        if not np.isfinite(found).all():  # where a lever is nothing it may be infinite
            found = np.array(
                [
                    np.where(levers != 0, a * b.ravel(), 0.0).sum(axis=1)
                    for a, b in ((levers, value), (np.abs(levers), bound))
                ]
            )
        return found[0], found[1]
