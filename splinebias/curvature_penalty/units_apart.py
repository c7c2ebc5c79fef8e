r"""The cheapest split of a prescribed curvature between units with w > 0 and with w < 0, for any convex potential.

With :math:`a_s` the E[|w| alpha] of side s per breakpoint and :math:`\sigma(z) = p z_+ - q z_-`, the split has
:math:`a_+ + a_- = h''/(p - q)` at every breakpoint and the given moments :math:`\int (1, u)\, \tau`,
:math:`\tau = q a_+ - p a_-`. The least :math:`E[D_\phi(\alpha, 0)]` has :math:`\phi'(\alpha) = |w| g_\pm` with
:math:`g_+ = t + q\ell`, :math:`g_- = t - p\ell`: one value t(c) per breakpoint, and a line :math:`\ell` with two
unknowns, the multipliers of the two moments. Eliminating t leaves a smooth concave maximization over the line.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from splinebias._arguments import Array
from splinebias.activation import TwoSlope
from splinebias.errors import SolveError
from splinebias.initialization.breakpoints import BreakpointLaw
from splinebias.limit.dual.response import Response, ResponseModel
from splinebias.numerics.roots import Evaluation, Subset, increasing_roots
from splinebias.potential import Potential

_NEWTON_STEPS = 100
_PATIENCE = 20  # steps in a row that do not halve the gradient: it is at rounding
_HALVINGS = 50
_GOAL, _ENOUGH = 1e-12, 1e-8  # gradient over the terms it is the difference of: aimed at, and required


Models = tuple[ResponseModel, ResponseModel]  # of plus and minus, as all pairs here
Responses = tuple[Response, Response]


def models_at(law: BreakpointLaw, potential: Potential, c: Array) -> Models:
    """The responses of plus and minus at breakpoints `c`, any shape."""
    plus, minus = law.sides
    return ResponseModel.at(plus, potential, c), ResponseModel.at(minus, potential, c)


class Point(NamedTuple):
    """A line (2,) with the optimal g and responses at the nodes, and the dual there.

    shift : the line's part of g on both sides, (2, N, q), as g. scale : the size of the terms that make up the gradient.
    """

    line: Array
    shift: Array
    g: Array
    responses: Responses
    dual: float
    gradient: Array
    scale: float

    @property
    def penalty(self) -> Array:
        """Density of the cost of both sides at the nodes, (N, q)."""
        return np.asarray(self.responses[0].penalty + self.responses[1].penalty)


class Split(NamedTuple):
    r"""The problem at quadrature nodes of shape (N, q).

    models : responses of plus and minus. half : h''/(p - q). weights : of the quadrature. lever : 1 and u, (2, N, q).
    moments : the prescribed :math:`\int (1, u)\, \tau`, or None if nothing is prescribed.
    """

    models: Models
    activation: TwoSlope
    half: Array
    weights: Array
    lever: Array
    moments: Array | None

    def solve(self) -> Point:
        """The maximum over the line, by Newton steps halved until the dual rises.

        Raises
        ------
        SolveError
            If the moments are not met to 1e-8.
        """
        point = self.at(np.zeros(2), None)
        if self.moments is None:
            return point
        best, stale = np.inf, 0
        for _ in range(_NEWTON_STEPS):
            left = float(np.abs(point.gradient).max() / point.scale)
            stale, best = (0, left) if left < best / 2 else (stale + 1, best)
            if left <= _GOAL or stale >= _PATIENCE:
                break
            step = np.linalg.lstsq(self._hessian(point.responses), point.gradient, rcond=1e-14)[0]
            moved = self._search(point, np.asarray(step, dtype=float))
            if moved is None:
                break
            point = moved
        if not np.abs(point.gradient).max() <= _ENOUGH * point.scale:
            raise SolveError("the slope and offset of this function could not be matched; evaluate one nearer to the limit")
        return point

    def at(self, line: Array, near: Point | None) -> Point:
        """The point of this line; a point nearby saves root finding. Exact for the discretized integral."""
        act = self.activation
        along = np.tensordot(line, self.lever, axes=1)
        shift = np.array([act.left * along, -act.right * along])
        g = dual_values(self.models, shift, self.half, None if near is None else _predict(near, shift))
        with np.errstate(all="ignore"):  # far from the maximum a response may overflow; such a step is halved
            plus, minus = self.models[0](g[0]), self.models[1](g[1])
            dual = float((self.weights * ((g[0] - shift[0]) * self.half - plus.conjugate - minus.conjugate)).sum())
            tau = self.weights * (act.left * plus.value - act.right * minus.value)
            size = self.weights * (np.abs(plus.value) + np.abs(minus.value))
            scale = float(np.einsum("ink,nk->i", np.abs(self.lever), size).max()) or 1.0
        if self.moments is None:
            return Point(line, shift, g, (plus, minus), dual, np.zeros(2), scale)
        gradient = self.moments - np.einsum("ink,nk->i", self.lever, tau)
        return Point(line, shift, g, (plus, minus), dual + float(line @ self.moments), gradient, scale)

    def _search(self, point: Point, step: Array) -> Point | None:
        """The first halving of the step that raises the dual, or lowers its gradient where the rise is below rounding."""
        length = 1.0
        for _ in range(_HALVINGS):
            moved = self.at(point.line + length * step, point)
            rises = moved.dual >= point.dual + 1e-4 * length * float(point.gradient @ step)
            if rises or np.abs(moved.gradient).max() <= (1 - length / 4) * np.abs(point.gradient).max():
                return moved
            length /= 2
        return None

    def _hessian(self, responses: Responses) -> Array:
        """Minus the second derivative in the line: with t free, the sides trade curvature in series."""
        with np.errstate(divide="ignore", over="ignore"):
            series = 1 / (1 / responses[0].slope + 1 / responses[1].slope)
        weight = (self.activation.right + self.activation.left) ** 2 * self.weights * series
        return np.asarray(np.einsum("ink,jnk,nk->ij", self.lever, self.lever, weight))


def _predict(near: Point, shift: Array) -> Array:
    """g for other shifts, to first order."""
    plus, minus = (response.slope for response in near.responses)
    change = shift - near.shift
    total, moved = plus + minus, plus * change[0] + minus * change[1]
    with np.errstate(over="ignore"):
        t = np.divide(moved, total, out=np.zeros_like(moved), where=total > 0)
    t = np.where(np.isfinite(t), t, 0.0)
    return near.g + change - t


def dual_values(models: Models, shift: Array, half: Array, start: Array | None) -> Array:
    r"""The :math:`g_s = t + \text{shift}_s` with :math:`a_+(g_+) + a_-(g_-)` = `half` at every node, shape (2, N, q).

    `start` is a guess, or None. Nodes without neurons get t = 0. The unknown is the smaller of the two g, because alpha
    can be singular at g = 0, where a difference t + shift would lose its digits.
    """
    flat = [model.ravelled(half.shape) for model in models]
    first, second = (np.asarray(sum((of.rho * of.v**k).sum(axis=1) for of in flat)) for k in (1, 2))
    there = np.flatnonzero(flat[0].occupied | flat[1].occupied)
    wanted, (plus_units, minus_units) = half.ravel()[there], (of.take(there) for of in flat)
    first, second = first[there], second[there]
    apart = (shift[0] - shift[1]).ravel()[there]  # g_+ - g_-

    def excess(offset: Array, r: Array, subset: Subset) -> Evaluation:
        of_plus, of_minus = r + offset[:, subset]
        return _excess((plus_units.take(subset)(of_plus), minus_units.take(subset)(of_minus)), wanted[subset])

    midway = np.array([apart / 2, -apart / 2])
    # the root is nearer to g_+ = 0; signs, because the product can overflow
    plus = np.sign(excess(midway, np.zeros(there.size), np.arange(there.size))[0]) * np.sign(apart) > 0
    offset = np.array([np.where(plus, 0.0, apart), np.where(plus, -apart, 0.0)])
    # exact if every neuron had the same |w| and there were no line
    with np.errstate(all="ignore"):  # next to no neurons: 0 / 0
        even = models[0].potential.grad(wanted / first) * first / second
    guess = np.where(np.isfinite(even), even, 0.0) - (offset[0] + offset[1]) / 2
    if start is not None:
        guess = np.where(plus, start[0].ravel()[there], start[1].ravel()[there])
    r = increasing_roots(partial(excess, offset), guess)
    g = np.array([of.ravel() for of in shift])
    g[:, there] = r + offset
    return g.reshape(2, *half.shape)


def _excess(responses: Responses, wanted: Array) -> Evaluation:
    """a_+ + a_- - wanted, its derivative in t, and the size of its terms."""
    with np.errstate(all="ignore"):
        plus, minus = responses
        right, left, slope = plus.value, minus.value, plus.slope + minus.slope
        value, middle = right + left - wanted, plus.g + minus.g
        size = np.abs(wanted) + np.abs(right) + np.abs(left)
    return np.where(np.isnan(value), middle, value), np.where(np.isfinite(slope), slope, 0.0), size
