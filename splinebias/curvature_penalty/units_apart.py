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
from splinebias.limit.dual.response import Response, ResponseModel, Sides
from splinebias.numerics.roots import Evaluation, Subset, increasing_roots

_NEWTON_STEPS = 100
_PATIENCE = 20  # steps in a row that do not halve the gradient: it is at rounding
_HALVINGS = 50
_GOAL, _ENOUGH = 1e-12, 1e-8  # gradient over the terms it is the difference of: aimed at, and required


class Point(NamedTuple):
    """A line (2,) with the optimal g and response at the nodes, and the dual there.

    shift : the line's part of g on both sides. scale : the size of the terms that make up the gradient.
    """

    line: Array
    shift: Sides
    g: Sides
    response: Response
    dual: float
    gradient: Array
    scale: float


class Split(NamedTuple):
    r"""The problem at quadrature nodes of shape (N, q).

    model : response of law and potential. half : h''/(p - q). weights : of the quadrature. lever : 1 and u, (2, N, q).
    moments : the prescribed :math:`\int (1, u)\, \tau`, or None if nothing is prescribed.
    """

    model: ResponseModel
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
            step = np.linalg.lstsq(self._hessian(point.response), point.gradient, rcond=1e-14)[0]
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
        shift = {1: act.left * along, -1: -act.right * along}
        g = dual_values(self.model, shift, self.half, None if near is None else _predict(near, shift))
        with np.errstate(all="ignore"):  # far from the maximum a response may overflow; such a step is halved
            response = self.model(g)
            dual = float((self.weights * ((g[1] - shift[1]) * self.half - response.dual[1] - response.dual[-1])).sum())
            tau = self.weights * (act.left * response.value[1] - act.right * response.value[-1])
            size = self.weights * (np.abs(response.value[1]) + np.abs(response.value[-1]))
            scale = float(np.einsum("ink,nk->i", np.abs(self.lever), size).max()) or 1.0
        if self.moments is None:
            return Point(line, shift, g, response, dual, np.zeros(2), scale)
        gradient = self.moments - np.einsum("ink,nk->i", self.lever, tau)
        return Point(line, shift, g, response, dual + float(line @ self.moments), gradient, scale)

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

    def _hessian(self, response: Response) -> Array:
        """Minus the second derivative in the line: with t free, the sides trade curvature in series."""
        with np.errstate(divide="ignore", over="ignore"):
            series = 1 / (1 / response.slope[1] + 1 / response.slope[-1])
        weight = (self.activation.right + self.activation.left) ** 2 * self.weights * series
        return np.asarray(np.einsum("ink,jnk,nk->ij", self.lever, self.lever, weight))


def _predict(near: Point, shift: Sides) -> Sides:
    """g for other shifts, to first order."""
    slope = near.response.slope
    change = {side: shift[side] - near.shift[side] for side in shift}
    total = slope[1] + slope[-1]
    moved = slope[1] * change[1] + slope[-1] * change[-1]
    with np.errstate(over="ignore"):
        t = np.divide(moved, total, out=np.zeros_like(moved), where=total > 0)
    t = np.where(np.isfinite(t), t, 0.0)
    return {side: near.g[side] + change[side] - t for side in shift}


def dual_values(model: ResponseModel, shift: Sides, half: Array, start: Sides | None) -> Sides:
    r"""The :math:`g_s = t + \text{shift}_s` with :math:`a_+(g_+) + a_-(g_-)` = `half` at every node, each of its shape.

    `start` is a guess, or None. Nodes without neurons get t = 0. The unknown is the smaller of the two g, because alpha
    can be singular at g = 0, where a difference t + shift would lose its digits.
    """
    flat = model.ravelled(half.shape)
    first, second = (np.asarray(sum((flat.rho[s] * flat.v[s] ** k).sum(axis=1) for s in (1, -1))) for k in (1, 2))
    there = np.flatnonzero(flat.occupied)
    wanted, atoms, first, second = half.ravel()[there], flat.take(there), first[there], second[there]
    apart = (shift[1] - shift[-1]).ravel()[there]  # g_+ - g_-

    def excess(offset: Sides, r: Array, subset: Subset) -> Evaluation:
        return _excess(atoms.take(subset)({s: r + offset[s][subset] for s in (1, -1)}), wanted[subset])

    midway = {1: apart / 2, -1: -apart / 2}
    # the root is nearer to g_+ = 0; signs, because the product can overflow
    plus = np.sign(excess(midway, np.zeros(there.size), np.arange(there.size))[0]) * np.sign(apart) > 0
    offset = {1: np.where(plus, 0.0, apart), -1: np.where(plus, -apart, 0.0)}
    # exact if every neuron had the same |w| and there were no line
    with np.errstate(all="ignore"):  # next to no neurons: 0 / 0
        even = model.potential.grad(wanted / first) * first / second
    guess = np.where(np.isfinite(even), even, 0.0) - (offset[1] + offset[-1]) / 2
    if start is not None:
        guess = np.where(plus, start[1].ravel()[there], start[-1].ravel()[there])
    r = increasing_roots(partial(excess, offset), guess)
    g = {side: shift[side].ravel().copy() for side in (1, -1)}
    for side in (1, -1):
        g[side][there] = r + offset[side]
    return {side: g[side].reshape(half.shape) for side in (1, -1)}


def _excess(response: Response, wanted: Array) -> Evaluation:
    """a_+ + a_- - wanted, its derivative in t, and the size of its terms."""
    with np.errstate(all="ignore"):
        (right, left), slope = (response.value[side] for side in (1, -1)), response.slope[1] + response.slope[-1]
        value, middle = right + left - wanted, response.g[1] + response.g[-1]
        size = np.abs(wanted) + np.abs(right) + np.abs(left)
    return np.where(np.isnan(value), middle, value), np.where(np.isfinite(slope), slope, 0.0), size
