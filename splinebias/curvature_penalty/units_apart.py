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

from splinebias._array import Array
from splinebias.activation import TwoSlope
from splinebias.errors import SolveError
from splinebias.initialization.breakpoints import BreakpointLaw
from splinebias.limit.dual.responses.effective_response import EffectiveModel, EffectiveResponse, SideResponse
from splinebias.limit.dual.responses.response import Response, ResponseModel
from splinebias.numerics.roots import Evaluation, Subset, increasing_roots
from splinebias.potential import Potential

Models = tuple[ResponseModel | EffectiveModel, ResponseModel | EffectiveModel]  # of plus and minus, as all pairs here
Responses = tuple[Response | EffectiveResponse, Response | EffectiveResponse]


class Point(NamedTuple):
    r"""A line :math:`\ell` with the best t for it.

    Attributes
    ----------
    line : Array, shape (2,)
        The coefficients of :math:`\ell` in 1 and u.
    responses : pair of Response or EffectiveResponse
        Per side, how much its neurons bend.
    dual : float
        The dual objective.
    gradient : Array, shape (2,)
        Its derivative in the line.
    scale : float
        The size of the terms that make up the gradient.
    """

    line: Array
    responses: Responses
    dual: float
    gradient: Array
    scale: float

    @property
    def penalty(self) -> Array:
        """The density of the penalty at the nodes, shape (N, q)."""
        plus, minus = self.responses
        return np.asarray(plus.penalty + minus.penalty)


class Split(NamedTuple):
    r"""The problem at quadrature nodes.

    Attributes
    ----------
    models : pair of ResponseModel or EffectiveModel
        Per side, the response of law and potential.
    activation : TwoSlope
        Gives p and q.
    half, weights : Array, shape (N, q)
        h''/(p - q), and the weights of the quadrature.
    lever : Array, shape (2, N, q)
        1 and u.
    moments : Array, shape (2,), or None
        The prescribed :math:`\int (1, u)\, \tau`; None if nothing is prescribed.
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
            If the moments are not met to 1e-8 of the terms that they are the difference of.
        """
        point = self.at(np.zeros(2))
        if self.moments is None:
            return point
        best, stale = np.inf, 0
        for _ in range(100):
            left = float(np.abs(point.gradient).max() / point.scale)
            stale, best = (0, left) if left < best / 2 else (stale + 1, best)
            if left <= 1e-12 or stale >= 20:  # at rounding
                break
            step = np.linalg.lstsq(self._hessian(point.responses), point.gradient, rcond=1e-14)[0]
            moved = self._search(point, np.asarray(step, dtype=float))
            if moved is None:
                break
            point = moved
        if not np.abs(point.gradient).max() <= 1e-8 * point.scale:
            raise SolveError("the slope and offset of this function could not be matched; evaluate one nearer to the limit")
        return point

    def at(self, line: Array) -> Point:
        """The point of this line, exact for the discretized integral."""
        act = self.activation
        along = np.tensordot(line, self.lever, axes=1)
        shift = np.stack([act.left * along, -act.right * along])
        g = dual_values(self.models, shift, self.half)
        with np.errstate(all="ignore"):  # far from the maximum a response may overflow; such a step is halved
            plus, minus = responses = self.models[0](g[0]), self.models[1](g[1])
            dual = float((self.weights * ((g[0] - shift[0]) * self.half - plus.conjugate - minus.conjugate)).sum())
            tau = self.weights * (act.left * plus.value - act.right * minus.value)
            size = self.weights * (np.abs(plus.value) + np.abs(minus.value))
            scale = float(np.einsum("ink,nk->i", np.abs(self.lever), size).max()) or 1.0
        if self.moments is None:
            return Point(line, responses, dual, np.zeros(2), scale)
        gradient = self.moments - np.einsum("ink,nk->i", self.lever, tau)
        return Point(line, responses, dual + float(line @ self.moments), gradient, scale)

    def _search(self, point: Point, step: Array) -> Point | None:
        """The first halving of the step that raises the dual, or lowers its gradient where the rise is below rounding."""
        for length in 0.5 ** np.arange(50):
            moved = self.at(point.line + length * step)
            rises = moved.dual >= point.dual + 1e-4 * length * float(point.gradient @ step)
            if rises or np.abs(moved.gradient).max() <= (1 - length / 4) * np.abs(point.gradient).max():
                return moved
        return None

    def _hessian(self, responses: Responses) -> Array:
        """Minus the second derivative in the line: with t free, the sides trade curvature in series."""
        plus, minus = responses
        with np.errstate(divide="ignore", over="ignore"):
            series = 1 / (1 / plus.slope + 1 / minus.slope)
        weight = (self.activation.right + self.activation.left) ** 2 * self.weights * series
        return np.asarray(np.einsum("ink,jnk,nk->ij", self.lever, self.lever, weight))


def models_at(law: BreakpointLaw, potential: Potential, c: Array) -> Models:
    """The responses of units with w > 0 and with w < 0 at breakpoints `c`; by effective potentials, if there are."""
    plus, minus = law.sides
    return SideResponse(plus, potential).at(c), SideResponse(minus, potential).at(c)


def dual_values(models: Models, shift: Array, half: Array) -> Array:
    r"""Per side, the :math:`g_s = t + \text{shift}_s` with :math:`a_+(g_+) + a_-(g_-)` = `half` at every node.

    Nodes without neurons get t = 0. The unknown is the smaller of the two g, because alpha
    can be singular at g = 0, where a difference t + shift would lose its digits.
    """
    plus, minus = (model.ravelled(half.shape) for model in models)
    there = np.flatnonzero(plus.occupied | minus.occupied)
    atoms, wanted = (plus.take(there), minus.take(there)), half.ravel()[there]
    apart = (shift[0] - shift[1]).ravel()[there]  # g_+ - g_-

    def excess(offset: Array, r: Array, subset: Subset) -> Evaluation:
        values = r + offset[:, subset]
        responses = atoms[0].take(subset)(values[0]), atoms[1].take(subset)(values[1])
        return _excess(responses, values[0] + values[1], wanted[subset])

    # the root is nearer to g_+ = 0; signs, because the product can overflow
    midway = np.stack([apart / 2, -apart / 2])
    nearer = np.sign(excess(midway, np.zeros(there.size), np.arange(there.size))[0]) * np.sign(apart) > 0
    offset = np.stack([np.where(nearer, 0.0, apart), np.where(nearer, -apart, 0.0)])
    first, second = (atoms[0].moment(k) + atoms[1].moment(k) for k in (1, 2))
    with np.errstate(all="ignore"):  # next to no neurons: 0 / 0
        even = atoms[0].potential.grad(wanted / first) * first / second
    # exact if every neuron had the same |w| and there were no line
    guess = np.where(np.isfinite(even), even, 0.0) - (offset[0] + offset[1]) / 2
    g = shift.reshape(2, -1).copy()
    g[:, there] = increasing_roots(partial(excess, offset), guess) + offset
    return g.reshape(shift.shape)


def _excess(responses: Responses, middle: Array, wanted: Array) -> Evaluation:
    """a_+ + a_- - wanted, or g_+ + g_- (`middle`) where that is inf - inf; its derivative in t; the size of its terms."""
    plus, minus = responses
    with np.errstate(all="ignore"):
        slope = plus.slope + minus.slope
        value = plus.value + minus.value - wanted
        size = np.abs(wanted) + np.abs(plus.value) + np.abs(minus.value)
    return np.where(np.isnan(value), middle, value), np.where(np.isfinite(slope), slope, 0.0), size
