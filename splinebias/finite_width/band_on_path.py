r"""Influences at finite training times with a scaled potential: the flow of the multipliers, linearized (theory section 7).

The multipliers follow :math:`\lambda' = -W (F(\lambda) - y)`, :math:`F(\lambda) = E[S_X \alpha]`, and
:math:`f_t(x) = E[S(x)\, \alpha_t]`. One more neuron (w, b) adds :math:`S_X \alpha_t` to F, so to first order

.. math:: \delta\lambda' = -W (H_t\, \delta\lambda + S_X \alpha_t), \qquad \delta\lambda(0) = 0, \qquad
          H_t = E[S_X S_X^T/\phi''(\alpha_t)], \qquad
          u_t(x; w, b) = S(x)\, \alpha_t(w, b) + C_t(x)^T \delta\lambda_t(w, b) .

As :math:`t \to \infty`, :math:`\delta\lambda \to -H^{-1} S_X \alpha`: the influence of the limit. For a quadratic potential
H is constant, and `band_in_modes` has the integral in closed form.

In the unknowns of `DualSystem`, with the dual functions b of a neuron, v = |w| and A = `Residuals.hinges`, the multipliers
change by :math:`A^T \xi`,

.. math:: \xi' = -(K_t\, \xi + A\, b\, v \alpha_t), \qquad K_t = A T_t A^T,

where T is the Hessian of the dual. All neurons share :math:`K_t`: collocation gives
:math:`\xi_t = \sum_k Y_k\, b\, v \alpha_{t_k}` with matrices :math:`Y_k` that are computed once. S(x) is a tent
:math:`T_x` (see `band_at_limit`) and what is interpolated between data, where f is known from :math:`\xi'`; hence

.. math:: u = T_x\, v \alpha_t + L(x)\, W^{-1/2} A\, (b\, v \alpha_t + T_t A^T \xi_t)
          + E[T_x\, b\, v^2/\phi''(\alpha_t)]^T A^T \xi_t

with the weights L(x) of interpolation. The second term vanishes as :math:`t \to \infty`, and nothing large is subtracted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import sparse

from splinebias._arguments import Array
from splinebias.errors import CapabilityError
from splinebias.finite_width.band_at_limit import NO_SHIFT, BendInfluence, Influence, Side, interpolation, unknowns_of
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.limit.trajectory.decay_modes import Residuals
from splinebias.limit.trajectory.path import multiplier_path
from splinebias.numerics.collocation import Collocation, propagated
from splinebias.problem import Problem

_LARGEST = 300  # points
_FIRST = 5e-2  # the first panel of time, in units of the fastest decay
_STAGES = 8  # of collocation on a panel
_PANELS = 60  # at most; they double in length up to there
_SHORTEST = 1e-15  # of the time
_AT_ONCE = 2_000_000  # numbers in a block of responses


class _Neurons(NamedTuple):
    r"""Neurons of one side (or both at once, where they agree) on a quadrature.

    Attributes
    ----------
    nodes, weights : Array, shape (n,)
        Breakpoints and their rule.
    basis : sparse array, shape (U, n)
        Dual functions b of the unknowns.
    row : int
        Number of the side.
    v, rho : Array, shape (n, m)
        |w| and its masses at each breakpoint.
    """

    nodes: Array
    weights: Array
    basis: sparse.csr_array
    row: int
    v: Array
    rho: Array

    def blocks(self, size: int) -> Iterator[_Neurons]:
        """The same in pieces of at most `size` breakpoints."""
        for start in range(0, self.nodes.size, size):
            at = slice(start, start + size)
            yield _Neurons(self.nodes[at], self.weights[at], self.basis[:, at], self.row, self.v[at], self.rho[at])

    def apart(self) -> _Neurons:
        """The same with one |w| per breakpoint, which is repeated, shape (nm, 1)."""
        count = self.v.shape[1]
        nodes, weights = np.repeat(self.nodes, count), np.repeat(self.weights, count)
        basis = self.basis[:, np.repeat(np.arange(self.nodes.size), count)]
        return _Neurons(nodes, weights, basis, self.row, self.v.reshape(-1, 1), self.rho.reshape(-1, 1))


@dataclass(frozen=True, eq=False)
class PathInfluence:
    r"""Influences of two-slope problems at one finite training time.

    Attributes
    ----------
    bend : BendInfluence
        Dual function and grid at that time, in units in which curvature is of order 1.
    residuals : Residuals
        The data as coordinates of the flow.
    stages : tuple of DualFunction
        The dual function at the times :math:`t_k`, in the same units.
    responses : Array, shape (K, M, U)
        The :math:`Y_k` above.
    """

    bend: BendInfluence
    residuals: Residuals
    stages: tuple[DualFunction, ...]
    responses: Array

    @classmethod
    def of(cls, problem: Problem, multipliers: Array, time: float) -> PathInfluence:
        r"""From the multipliers at `time`.

        Raises
        ------
        CapabilityError
            If there are more than 300 points: responses are dense matrices.
        """
        if problem.data.size > _LARGEST:
            raise CapabilityError(
                f"error bands at finite training times with scaled {problem.phi} take at most {_LARGEST} points, got "
                f"{problem.data.size}; group neighbours into one point with a weight, or take time=math.inf"
            )
        residuals = Residuals.of(problem, largest=_LARGEST)
        bend = BendInfluence.of(problem, multipliers, None)
        if not multipliers.any():  # f_t = 0, or a free line: no neuron contributes
            return cls(bend, residuals, (), np.zeros((0, *residuals.hinges.shape)))
        flow = _LinearizedFlow(bend, residuals)
        ends = flow.panels(time)
        steps = np.diff(ends)
        times = np.minimum(ends[:-1, None] + steps[:, None] * Collocation.of(_STAGES).points, time)
        stages = tuple(flow.dual(passed) for passed in multiplier_path(problem, times.ravel()))
        operators = np.array([flow.operator(dual) for dual in stages])
        passed = propagated(operators.reshape(*times.shape, *operators.shape[1:]), steps)
        return cls(bend, residuals, stages, -flow.clock * passed.reshape(operators.shape) @ residuals.hinges)

    def at(self, points: Array) -> Influence:
        """Influences at increasing `points`, shape (N,)."""
        if not self.stages:
            return Influence(np.zeros((points.size, 0)), np.zeros(points.size))
        sides, form = self.bend.sides(points)
        tents, loads = self.bend.loads(points, sides)
        x, root = self.bend.problem.data.x, self.residuals.root
        reach = np.concatenate([interpolation(points, x) / root @ self.residuals.hinges, loads], axis=1)
        rows, mean = [], np.zeros(points.size)
        for row, (side, tent) in enumerate(zip(sides, tents, strict=True)):
            neurons = self._neurons(row, side)
            weights = np.stack([neurons.rho * self._curvature(self.bend.dual, neurons), neurons.rho])
            seen, average = self._responses(neurons, weights, form.dense())
            size = np.sqrt(side.square)
            seen = np.divide(seen, size, out=np.zeros_like(seen), where=size > 0)
            rows.append((tent * size + reach @ seen) * np.sqrt(side.weights))
            mean += tent @ (side.weights * side.value) + reach @ (average @ side.weights)
        made = np.concatenate([*rows, reach @ self._scatter], axis=1)
        return Influence(self.bend.size * made, self.bend.size * mean)

    def mean_shift(self, points: Array, copies: int = 1) -> Array:
        """Not known."""
        raise CapabilityError(NO_SHIFT)

    def _neurons(self, row: int, side: Side) -> _Neurons:
        """The neurons that `BendInfluence.sides` puts at the nodes of side number `row`."""
        v, rho = self.bend.units[row].slices(side.nodes)
        return _Neurons(side.nodes, side.weights, side.basis, row, np.where(rho > 0, v, 0.0), rho)

    @np.errstate(over="ignore", invalid="ignore")
    def _curvature(self, dual: DualFunction, neurons: _Neurons) -> Array:
        r""":math:`v \alpha` of the neurons, shape (n, m)."""
        g = dual.sides[neurons.row](neurons.nodes)[:, None]
        return np.asarray(np.sign(g) * neurons.v * self.bend.potential.grad_inverse(neurons.v * np.abs(g)))  # phi is even

    def _responses(self, neurons: _Neurons, weights: Array, form: Array) -> Array:
        r"""Sums over |w| of `weights`, shape (a, n, m), times e: shape (a, 2U, n).

        The response e of a neuron stacks :math:`b\, v \alpha_t + T_t A^T \xi_t` on :math:`A^T \xi_t`.
        """
        moved = np.zeros((weights.shape[0], self.residuals.root.size, neurons.nodes.size))
        for dual, response in zip(self.stages, self.responses, strict=True):
            sums = np.einsum("anm,nm->an", weights, self._curvature(dual, neurons))
            moved += (neurons.basis.T @ response.T).T * sums[:, None]
        steps = self.residuals.hinges.T @ moved
        sums = np.einsum("anm,nm->an", weights, self._curvature(self.bend.dual, neurons))
        return np.concatenate([neurons.basis.toarray() * sums[:, None] + form @ steps, steps], axis=1)

    @cached_property
    def _scatter(self) -> Array:
        r"""R with :math:`R R^T` the part of E[e e^T] that :math:`v \alpha_t` at the same breakpoint does not explain.

        Neurons that share a breakpoint but not |w| respond in different directions; with one |w| nothing is left. Shape
        (2U, 2U), or (2U, 0) then.
        """
        sides, form = self.bend.sides(np.zeros(0))
        size = 2 * self.residuals.hinges.shape[1]
        total = np.zeros((size, size))
        for row, side in enumerate(sides):
            neurons = self._neurons(row, side)
            several = neurons.v.max(axis=1, initial=0.0) > np.where(neurons.rho > 0, neurons.v, np.inf).min(
                axis=1, initial=np.inf
            )
            if several.any():
                for block in neurons.blocks(max(1, _AT_ONCE // (size * neurons.v.shape[1]))):
                    total += self._unexplained(block, form.dense())
        if not total.any():
            return np.zeros((size, 0))
        values, vectors = np.linalg.eigh(total)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))

    def _unexplained(self, neurons: _Neurons, form: Array) -> Array:
        """What some breakpoints add to R R^T above."""
        each = neurons.apart()
        e = self._responses(each, np.ones((1, each.nodes.size, 1)), form)[0]
        value, mass = self._curvature(self.bend.dual, each)[:, 0], each.weights * each.rho[:, 0]
        shape = (-1, *neurons.v.shape)
        seen, square = (e * mass * value).reshape(shape).sum(axis=2), (mass * value**2).reshape(shape[1:]).sum(axis=1)
        seen = np.divide(seen, np.sqrt(square), out=np.zeros_like(seen), where=square > 0)
        return np.asarray((e * mass) @ e.T - seen @ seen.T)


@dataclass(frozen=True, eq=False)
class _LinearizedFlow:
    """The flow of the multipliers in the units of `bend`, in which it is faster by the factor `clock`."""

    bend: BendInfluence
    residuals: Residuals

    @property
    def _unit(self) -> float:
        """Of the multipliers."""
        return self.bend.size / self.bend.problem.limit_potential.rescaled(self.bend.size)[1]

    @property
    def clock(self) -> float:
        """Time in these units per training time."""
        return self.bend.size * self._unit

    def dual(self, multipliers: Array) -> DualFunction:
        """The dual function of multipliers."""
        problem = self.bend.problem
        return self._function(unknowns_of(problem.data.x, multipliers, free=problem.free))

    def _function(self, u: Array) -> DualFunction:
        return self.bend.equations.function(self._unit * u)

    def operator(self, dual: DualFunction) -> Array:
        r""":math:`K_t` where the dual function is `dual`, per training time, shape (M, M)."""
        form = replace(self.bend, dual=dual).sides(np.zeros(0))[1].dense()
        return np.asarray(self.clock * self.residuals.hinges @ form @ self.residuals.hinges.T)

    def panels(self, time: float) -> Array:
        """Ends of panels of time: the first resolves the fastest decay at the start and at the end, the rest grow."""
        start = self.residuals.hinges.T @ self.residuals.start  # multipliers go straight at first
        first = min(time, _FIRST / _fastest(self.operator(self.bend.dual)))
        while first > _SHORTEST * time and first * _fastest(self.operator(self._function(first * start))) > _FIRST:
            first /= 2
        count = min(_PANELS, math.ceil(math.log2(time / first)))
        return np.r_[0.0, np.geomspace(first, time, count + 1)] if count else np.array([0.0, time])


def _fastest(operator: Array) -> float:
    return float(np.linalg.eigvalsh(operator)[-1])
