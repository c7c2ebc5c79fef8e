r"""The cheapest neurons that bend a function as prescribed: the split of h'' between the two signs of w.

Units with w > 0 and with w < 0 both bend; with :math:`a_s = E[|w| \alpha]` per side and
:math:`\sigma(z) = p z_+ - q z_-` a function :math:`h(x) = \int h''(c) [x - c]_+ dc + S x + I` asks of them

.. math:: (p - q)(a_+ + a_-) = h'', \qquad \int \tau = S, \quad \int c\,\tau = -I \quad\text{with}\quad \tau = q a_+ - p a_- .

The least :math:`E[D_\phi(\alpha, 0)]` has :math:`\phi'(\alpha) = |w| g_\pm(c)` with :math:`g_+ = t + q\ell`,
:math:`g_- = t - p\ell`: a free value t(c) at every breakpoint and a line :math:`\ell` with two unknowns, the multipliers
of S and I (zero when the affine part is free). For the quadratic potential all of it is explicit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._check import Array
from splinebias.activation import Activation
from splinebias.breakpoints import BreakpointLaw
from splinebias.errors import SolveError
from splinebias.potential import Potential
from splinebias.quadrature import Cells, bisect_until, panel_nodes, unresolved
from splinebias.solve.response import Response, ResponseModel

_ITERATIONS = 300  # at one node; a bracket over all of float64 closes in fewer bisections of its exponent
_NEWTON_STEPS = 100
_REFINEMENTS = 4
_IGNORED = 1e4  # unresolved parts of the cost below 1e-16 times this, relative, are left alone


@dataclass(frozen=True, eq=False)
class Bend:
    r"""What is asked of the neurons.

    Attributes
    ----------
    cells : Cells
        Quadrature on which zeta and h'' are resolved.
    second : callable
        h'' as a vectorized function.
    affine : Array of shape (2,) or None
        :math:`\int \tau` and :math:`\int u \tau`, u = (c - origin)/unit, still missing when every side takes its share
        :math:`\zeta_s/\zeta` of h''; None if nothing is asked (free affine part), or nothing can be done about it.
    origin, unit : float
        The u above.
    """

    cells: Cells
    second: Callable[[Array], Array]
    affine: Array | None
    origin: float
    unit: float

    @cached_property
    def curvature(self) -> Array:
        """h'' at the nodes of `cells`, shape (N, q), without noise."""
        return self.curvature_on(self.cells.edges[:-1], self.cells.edges[1:])

    def curvature_on(self, left: Array, right: Array) -> Array:
        """h'' at the nodes of panels, without what is rounding: that would count in a quotient by a small zeta.

        A value is rounding if it is below 1e-13 of the largest on its panel, or if, taken for the whole panel, it moves h
        by less than 1e-14 of what all of h'' does.
        """
        nodes, weights = panel_nodes(left, right, self.cells.order)
        values = self.second(nodes)
        moves = np.abs(values) * weights.sum(axis=1, keepdims=True) * self._reach(nodes)
        heard = (np.abs(values) > 1e-13 * np.abs(values).max(axis=1, keepdims=True)) & (moves > self._noise)
        return np.where(heard, values, 0.0)

    @cached_property
    def _noise(self) -> float:
        nodes = self.cells.nodes
        return 1e-14 * float((self.cells.weights * np.abs(self.second(nodes)) * self._reach(nodes)).sum())

    def _reach(self, c: Array) -> Array:
        return self.unit + np.abs(c - self.origin)

    def lever(self, c: Array) -> Array:
        """1 and u at `c`, stacked in front."""
        return np.stack([np.ones_like(c), (c - self.origin) / self.unit])


def tie(law: BreakpointLaw, activation: Activation, c: Array) -> Array:
    r""":math:`\tau/h''` when every side takes its share :math:`\zeta_s/\zeta` of h'', same shape as `c`."""
    plus, minus = law.zeta(c, 1), law.zeta(c, -1)
    total = np.where(plus + minus > 0, plus + minus, 1.0)
    return np.asarray((activation.left * plus - activation.right * minus) / (activation.kink * total))


def exchange(law: BreakpointLaw, activation: Activation, bend: Bend) -> Array:
    r"""Gram matrix (2, 2) of (1, u) in :math:`(p + q)^2 \zeta_+ \zeta_-/\zeta`: how cheaply the sides trade curvature.

    Zero for Abs, where both sides bring the same affine part, and where no breakpoint has both signs of w.
    """
    plus, minus = law.zeta(bend.cells.nodes, 1), law.zeta(bend.cells.nodes, -1)
    omega = plus * minus / np.where(plus + minus > 0, plus + minus, 1.0)
    lever = bend.lever(bend.cells.nodes)
    return np.asarray(
        (activation.right + activation.left) ** 2 * np.einsum("ink,jnk,nk->ij", lever, lever, bend.cells.weights * omega)
    )


def quadratic_cost(law: BreakpointLaw, activation: Activation, bend: Bend) -> float:
    r""":math:`E[\alpha^2] = (p - q)^{-2} \int h''^2/\zeta + d^T G^{-1} d`, d the missing affine part and G `exchange`."""
    zeta, curvature = law.zeta(bend.cells.nodes, 1) + law.zeta(bend.cells.nodes, -1), bend.curvature
    share = np.divide(curvature, zeta, out=np.zeros_like(zeta), where=curvature != 0)
    cost = float((bend.cells.weights * curvature * share).sum()) / activation.kink**2
    if bend.affine is not None and np.any(bend.affine):
        cost += float(bend.affine @ np.linalg.solve(exchange(law, activation, bend), bend.affine))
    return cost


def convex_cost(law: BreakpointLaw, activation: Activation, potential: Potential, bend: Bend) -> float:
    r"""Least :math:`E[D_\phi(\alpha, 0)]`, for any convex potential and law.

    Raises
    ------
    SolveError
        If the two multipliers of the affine part cannot be found to 1e-8.

    Notes
    -----
    Cells are bisected until the cost density is resolved: alpha is singular where g changes sign.
    """
    line, cost = np.zeros(2), math.inf
    for _ in range(_REFINEMENTS):
        line, response = _Inner.at(law, activation, potential, bend).maximize(line)
        cost = float((bend.cells.weights * (response.penalty[1] + response.penalty[-1])).sum())
        finer = _refine(law, activation, potential, bend, line)
        if finer.cells.edges.size == bend.cells.edges.size:
            break
        bend = finer
    return cost


class _Inner(NamedTuple):
    """The dual in the line's two unknowns, with t(c) eliminated at every node."""

    model: ResponseModel
    activation: Activation
    half: Array
    weights: Array
    lever: Array
    affine: Array | None

    @classmethod
    def at(cls, law: BreakpointLaw, activation: Activation, potential: Potential, bend: Bend) -> _Inner:
        nodes, weights, curvature = bend.cells.nodes, bend.cells.weights, bend.curvature
        lever, affine = bend.lever(nodes), bend.affine
        if affine is not None:
            affine = affine + np.einsum("ink,nk->i", lever, weights * tie(law, activation, nodes) * curvature)
        return cls(ResponseModel.at(law, potential, nodes), activation, curvature / activation.kink, weights, lever, affine)

    def maximize(self, line: Array) -> tuple[Array, Response]:
        """The line's unknowns at the maximum, by Newton steps halved until the dual rises, and the response there."""
        state = self._state(line, None)
        if self.affine is None:
            return line, state.response
        for _ in range(_NEWTON_STEPS):
            if np.abs(state.gradient).max() <= 1e-12 * state.scale:
                break
            step = np.linalg.lstsq(self._hessian(state.response), state.gradient, rcond=1e-14)[0]
            moved = self._search(state, step)
            if moved is None:
                break
            state = moved
        if not np.abs(state.gradient).max() <= 1e-8 * state.scale:
            raise SolveError("the affine part of this function could not be matched; evaluate one nearer to the limit")
        return state.line, state.response

    def _search(self, state: _State, step: Array) -> _State | None:
        """The first halving of the step that raises the dual, or lowers its gradient where the rise is below rounding."""
        length = 1.0
        for _ in range(50):
            moved = self._state(state.line + length * step, state)
            rises = moved.value >= state.value + 1e-4 * length * float(state.gradient @ step)
            if rises or np.abs(moved.gradient).max() <= (1 - length / 4) * np.abs(state.gradient).max():
                return moved
            length /= 2
        return None

    def _state(self, line: Array, near: _State | None) -> _State:
        """t at every node for this line, and the dual there with its gradient, exact for the discretized integral."""
        shift = self.shifts(line)
        t = bending_value(self.model, shift, self.half, None if near is None else near.predict(shift))
        with np.errstate(all="ignore"):  # far from the maximum a response may overflow; such a step is halved
            response = self.model({side: t + shift[side] for side in shift})
            dual = float((self.weights * (t * self.half - response.dual[1] - response.dual[-1])).sum())
            tau = self.weights * (self.activation.left * response.value[1] - self.activation.right * response.value[-1])
            size = self.weights * (np.abs(response.value[1]) + np.abs(response.value[-1]))
            scale = float(np.einsum("ink,nk->i", np.abs(self.lever), size).max()) or 1.0
        if self.affine is None:
            return _State(line, shift, t, response, dual, np.zeros(2), scale)
        gradient = self.affine - np.einsum("ink,nk->i", self.lever, tau)
        return _State(line, shift, t, response, dual + float(line @ self.affine), gradient, scale)

    def shifts(self, line: Array) -> dict[int, Array]:
        r""":math:`q\ell` and :math:`-p\ell` at the nodes."""
        along = np.tensordot(line, self.lever, axes=1)
        return {1: self.activation.left * along, -1: -self.activation.right * along}

    def _hessian(self, response: Response) -> Array:
        with np.errstate(divide="ignore"):
            harmonic = 1 / (1 / response.slope[1] + 1 / response.slope[-1])
        weight = (self.activation.right + self.activation.left) ** 2 * self.weights * harmonic
        return np.asarray(np.einsum("ink,jnk,nk->ij", self.lever, self.lever, weight))


class _State(NamedTuple):
    """A line, g - t of both sides, t, the response, and the dual with its gradient; scale is what the gradient compares to."""

    line: Array
    shift: dict[int, Array]
    t: Array
    response: Response
    value: float
    gradient: Array
    scale: float

    def predict(self, shift: dict[int, Array]) -> Array:
        """t for other shifts, to first order."""
        slope = self.response.slope
        moved = slope[1] * (shift[1] - self.shift[1]) + slope[-1] * (shift[-1] - self.shift[-1])
        total = slope[1] + slope[-1]
        return np.asarray(self.t - np.divide(moved, total, out=np.zeros_like(moved), where=total > 0))


def bending_value(model: ResponseModel, shift: dict[int, Array], half: Array, start: Array | None) -> Array:
    r"""The t with :math:`a_+(t + \text{shift}_+) + a_-(t + \text{shift}_-)` = `half` at every node, shape of `half`.

    Newton steps inside a bracket that only shrinks, or doubling steps while there is none; `start` is a guess. Nodes without
    neurons get 0.
    """
    parts = {side: np.broadcast_arrays(model.v[side], model.rho[side]) for side in shift}
    flat = {s: tuple(a.reshape(half.size, -1) for a in pair) for s, pair in parts.items()}
    offset, wanted = {side: shift[side].ravel() for side in shift}, half.ravel()
    first = np.asarray(sum((rho * v).sum(axis=1) for v, rho in flat.values()))
    second = np.asarray(sum((rho * v * v).sum(axis=1) for v, rho in flat.values()))
    active = np.flatnonzero(first > 0)
    t = np.zeros(wanted.size)
    # exact if every neuron had the same |w| and there were no line
    even = model.potential.grad(wanted[active] / first[active]) * first[active] / second[active]
    t[active] = even - (offset[1] + offset[-1])[active] / 2 if start is None else start.ravel()[active]
    low, high = np.full(t.size, -math.inf), np.full(t.size, math.inf)
    before, reach = np.full(t.size, math.inf), np.zeros(t.size)
    reach[active] = np.abs(even) / 8 + np.abs(offset[1] - offset[-1])[active] / 8 + 1e-300
    for _ in range(_ITERATIONS):
        now = {s: (v[active], rho[active], t[active] + offset[s][active]) for s, (v, rho) in flat.items()}
        value, slope, size = _excess(model.potential, now, wanted[active])
        low[active] = np.where(value < 0, t[active], low[active])
        high[active] = np.where(value > 0, t[active], high[active])
        lo, hi = low[active], high[active]
        open_ended = np.isinf(lo) | np.isinf(hi)
        with np.errstate(invalid="ignore"):
            closed = ~open_ended & (hi - lo <= 4e-16 * np.maximum(np.abs(lo), np.abs(hi)))
        going = (np.abs(value) > 1e-14 * size) & ~closed
        newton = t[active] - np.divide(value, slope, out=np.full(value.size, math.inf), where=slope > 0)
        good = (newton > lo) & (newton < hi) & (np.abs(value) < before[active] / 2)
        reach[active] *= np.where(good, 1.0, 4.0)
        with np.errstate(invalid="ignore"):
            other = np.where(open_ended, t[active] - np.sign(value) * reach[active], (lo + hi) / 2)
        t[active] = np.where(going, np.where(good, newton, other), t[active])
        before[active] = np.where(good, np.abs(value), math.inf)
        active = active[going]
        if active.size == 0:
            break
    return t.reshape(half.shape)


def _excess(
    potential: Potential, now: dict[int, tuple[Array, Array, Array]], wanted: Array
) -> tuple[Array, Array, Array]:
    """a_+ + a_- - wanted, its derivative in t, and the size of its terms; where both sides overflow, only the sign is right."""
    value, slope, size = -wanted, np.zeros(wanted.size), np.abs(wanted)
    with np.errstate(all="ignore"):
        for v, rho, g in now.values():
            alpha = potential.grad_inverse(v * g[:, None])
            part = np.where(rho > 0, rho * v * alpha, 0.0).sum(axis=1)
            bend = potential.hess(alpha)
            value, size = value + part, size + np.abs(part)
            slope = slope + np.where((rho > 0) & (bend > 0), rho * v * v / bend, 0.0).sum(axis=1)
        middle = sum(g for _, _, g in now.values())
    return np.where(np.isnan(value), middle, value), np.where(np.isfinite(slope), slope, 0.0), size


def _refine(law: BreakpointLaw, activation: Activation, potential: Potential, bend: Bend, line: Array) -> Bend:
    """`bend` on cells bisected until the cost density, for this line, is resolved."""

    def cost(left: Array, right: Array) -> tuple[Array, Array]:
        nodes, weights = panel_nodes(left, right, bend.cells.order)
        model = ResponseModel.at(law, potential, nodes)
        half = bend.curvature_on(left, right) / activation.kink
        inner = _Inner(model, activation, half, weights, bend.lever(nodes), None)
        penalty = inner.maximize(line)[1].penalty
        return penalty[1] + penalty[-1], np.asarray((weights * (penalty[1] + penalty[-1])).sum(axis=1))

    total = float(cost(bend.cells.edges[:-1], bend.cells.edges[1:])[1].sum())

    def failing(left: Array, right: Array, tolerance: float) -> NDArray[np.bool_]:
        density, mass = cost(left, right)
        return unresolved(density, mass, _IGNORED * total, tolerance)

    return replace(bend, cells=bisect_until(bend.cells, failing))
