r"""Double exponential rules on pieces of a line, each with the rule of half its nodes (Takahasi & Mori 1974); and Fejer's.

On (0, 1) the nodes are :math:`u = 1/(1 + e^{-\pi \sinh t})` at equidistant t; a piece to infinity is mapped by
:math:`u \mapsto u/(1 - u)`. Ends may be singular. The difference between a rule and that of half its nodes bounds the error
of the former: for integrands without structure near the ends it is about the square of that.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from splinebias._array import Array

_REACH = 3.25  # of t: u down to 1e-17, u / (1 - u) up to 1e17


class UnitRule(NamedTuple):
    """Nodes u and 1 - u on (0, 1) with weights, and the weights of the rule that takes some of the nodes; shape (q,)."""

    u: Array
    other: Array
    weights: Array
    half: Array


def unit_rule(step: float) -> UnitRule:
    """The double exponential rule whose t are `step` apart."""
    count = round(_REACH / step)
    t = np.arange(-count, count + 1) * step
    other = 1 / (1 + np.exp(np.pi * np.sinh(t)))
    weights = step * np.pi * np.cosh(t) * other * other[::-1]
    return UnitRule(other[::-1], other, weights, np.where(np.arange(-count, count + 1) % 2 == 0, 2 * weights, 0.0))


SHORT, PLAIN, FINE = unit_rule(0.1875), unit_rule(0.125), unit_rule(0.0625)


def fejer(count: int) -> UnitRule:
    """Fejer's second rule, with count - 1 nodes, none at an end, beside that with every second one: for smooth pieces.

    `count` is a multiple of 4; polynomials of degree count - 1 are exact, with half of the nodes of degree count / 2 - 1.
    """
    half = np.zeros(count - 1)
    half[1::2] = _sine_weights(count // 2)
    u = np.sin(np.pi * np.arange(1, count) / (2 * count)) ** 2
    return UnitRule(u, u[::-1], _sine_weights(count), half)


def _sine_weights(count: int) -> Array:
    angles, odd = np.pi * np.arange(1, count) / count, np.arange(1, count, 2)
    return np.asarray(2 * np.sin(angles) / count * (np.sin(np.outer(angles, odd)) / odd).sum(axis=1))


class PieceRule(NamedTuple):
    """A rule on pieces, row by row.

    Attributes
    ----------
    nodes, weights, half : Array, shape (pieces, q)
        Nodes, weights, and weights that are 0 at half of the nodes.
    blur : Array, shape (pieces,)
        Rounding of the nodes, relative to the width of the piece.
    """

    nodes: Array
    weights: Array
    half: Array
    blur: Array

    def rows(self, values: Array) -> tuple[Array, Array]:
        """The integrals over each piece of what has these values at the nodes, and bounds on their errors."""
        whole = np.where(values != 0, values * self.weights, 0.0)  # 0 times infinity is 0 far out
        half = np.where(values != 0, values * self.half, 0.0)
        total = whole.sum(axis=-1)
        return total, np.abs(total - half.sum(axis=-1)) + (4e-16 + self.blur) * np.abs(whole).sum(axis=-1)


def on_pieces(pieces: Array, rule: UnitRule) -> PieceRule:
    """The rule on finite pieces, given by their two ends, shape (pieces, 2)."""
    left, right = pieces[:, :1], pieces[:, 1:]
    wide = right - left
    nodes = np.where(rule.u < 0.5, left + wide * rule.u, right - wide * rule.other)
    blur = np.spacing(np.maximum(np.abs(left), np.abs(right))) / wide
    return PieceRule(nodes, wide * rule.weights, wide * rule.half, blur[:, 0])


def to_infinity(ends: Array, scales: Array, signs: Array, rule: UnitRule) -> PieceRule:
    """The rule on pieces from `ends` to plus or minus infinity, on these scales; all of shape (pieces,)."""
    jacobian = scales[:, None] / rule.other**2
    nodes = ends[:, None] + (signs * scales)[:, None] * (rule.u / rule.other)
    return PieceRule(nodes, jacobian * rule.weights, jacobian * rule.half, np.spacing(np.abs(ends)) / scales)
