r"""Influences at finite training times with a scaled potential: the flow of the multipliers, linearized (theory section 7).

The multipliers follow :math:`\lambda' = -W (F(\lambda) - y)`, :math:`F(\lambda) = E[S_X \alpha]`, and
:math:`f_t(x) = E[S(x)\, \alpha_t]`. One more neuron (w, b) adds :math:`S_X \alpha_t` to F, so to first order

.. math:: \delta\lambda' = -W (H_t\, \delta\lambda + S_X \alpha_t), \qquad \delta\lambda(0) = 0, \qquad
          H_t = E[S_X S_X^T/\phi''(\alpha_t)], \qquad
          u_t(x; w, b) = S(x)\, \alpha_t(w, b) + C_t(x)^T \delta\lambda_t(w, b) .

As :math:`t \to \infty`, :math:`\delta\lambda \to -H^{-1} S_X \alpha`: the influence of the limit. For a quadratic potential
H is constant, and `influence_in_modes` has the integral in closed form.

In the unknowns of `DualSystem`, with the dual functions b of a neuron, v = |w| and A = `Residuals.hinges`, the multipliers
change by :math:`A^T \xi`,

.. math:: \xi' = -(K_t\, \xi + A\, b\, v \alpha_t), \qquad K_t = A T_t A^T,

where T is the Hessian of the dual. All neurons share :math:`K_t`: collocation gives
:math:`\xi_t = \sum_k Y_k\, b\, v \alpha_{t_k}` with matrices :math:`Y_k` that are computed once. S(x) is a tent
:math:`T_x` (see `quadrature.tents`) and what is interpolated between data, where f is known from :math:`\xi'`; hence

.. math:: u = T_x\, v \alpha_t + L(x)\, W^{-1/2} A\, (b\, v \alpha_t + T_t A^T \xi_t)
          + E[T_x\, b\, v^2/\phi''(\alpha_t)]^T A^T \xi_t

with the weights L(x) of interpolation. The second term vanishes as :math:`t \to \infty`, and nothing large is subtracted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from splinebias._array import Array
from splinebias.errors import CapabilityError
from splinebias.finite_width.influence import Influence, InfluenceModel
from splinebias.finite_width.quadrature.neuron_quadrature import NeuronQuadrature, unknowns_of
from splinebias.finite_width.quadrature.neurons import NeuronsOfSide
from splinebias.finite_width.quadrature.tents import interpolation
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.trajectory.decay_modes import Residuals
from splinebias.limit.trajectory.path import multiplier_path
from splinebias.numerics.collocation import Collocation, propagated

_LARGEST = 300  # points


@dataclass(frozen=True, eq=False)
class PathInfluence(InfluenceModel):
    r"""The influences of the neurons of one problem with two slopes at one finite training time.

    Attributes
    ----------
    neurons : NeuronQuadrature
        The neurons at that time, in units in which curvature is of order 1.
    residuals : Residuals
        The data as coordinates of the flow.
    stages : tuple of DualFunction
        The dual function at the times :math:`t_k`, in the same units.
    responses : Array, shape (K, M, U)
        The :math:`Y_k` above.
    """

    neurons: NeuronQuadrature
    residuals: Residuals
    stages: tuple[DualFunction, ...]
    responses: Array

    @classmethod
    def of(cls, posed: PosedProblem, multipliers: Array, time: float) -> PathInfluence:
        r"""From the multipliers at `time`.

        Raises
        ------
        CapabilityError
            If there are more than 300 points: responses are dense matrices.
        """
        problem = posed.problem
        if problem.data.size > _LARGEST:
            raise CapabilityError(
                f"error bands at finite training times with scaled {problem.phi} take at most {_LARGEST} points, got "
                f"{problem.data.size}; group neighbours into one point with a weight, or take time=math.inf"
            )
        neurons, residuals = NeuronQuadrature.of(posed, multipliers), Residuals.of(problem, largest=_LARGEST)
        if not multipliers.any():  # f_t = 0, or a free line: no neuron contributes
            return cls(neurons, residuals, (), np.zeros((0, *residuals.hinges.shape)))
        ends, rule = _panels(neurons, residuals, time), Collocation.of(8)
        steps = np.diff(ends)
        times = np.minimum(ends[:-1, None] + steps[:, None] * rule.points, time)
        path = multiplier_path(problem, times.ravel())
        stages = [neurons.with_unknowns(unknowns_of(problem, passed)) for passed in path]
        operators = np.array([_operator(stage, residuals) for stage in stages])
        passed = propagated(operators.reshape(*times.shape, *operators.shape[1:]), steps).reshape(operators.shape)
        duals = tuple(stage.dual for stage in stages)
        return cls(neurons, residuals, duals, -neurons.clock * passed @ residuals.hinges)

    def at(self, points: Array) -> Influence:
        if not self.stages:
            return Influence(np.zeros((points.size, 0)), np.zeros(points.size))
        sides, form = self.neurons.sides(points)
        tents, loads = self.neurons.tents(points, sides)
        lines = interpolation(points, self.neurons.problem.data.x) / self.residuals.root @ self.residuals.hinges
        reach = np.concatenate([lines, loads], axis=1)
        rows, mean = [], np.zeros(points.size)
        for side, tent in zip(sides, tents, strict=True):
            rho, size = side.slices[1], np.sqrt(side.square)
            weights = np.stack([rho * side.curvature(side.g), rho])
            seen, average = self._responses(side, side.basis, weights, form.dense())
            seen = np.divide(seen, size, out=np.zeros_like(seen), where=size > 0)
            rows.append((tent * size + reach @ seen) * np.sqrt(side.weights))
            mean += tent @ (side.weights * side.value) + reach @ (average @ side.weights)
        made = np.concatenate([*rows, reach @ self._scatter], axis=1)
        return Influence(self.neurons.size * made, self.neurons.size * mean)

    @np.errstate(over="ignore", invalid="ignore")
    def _responses(self, side: NeuronsOfSide, basis: sparse.csr_array, weights: Array, form: Array) -> Array:
        r"""Sums over \|w\| of `weights`, shape (a, n, m), times e: shape (a, 2U, n), with the dual functions at the nodes.

        The response e of a neuron stacks :math:`b\, v \alpha_t + T_t A^T \xi_t` on :math:`A^T \xi_t`.
        """
        moved = np.zeros((weights.shape[0], self.residuals.root.size, side.nodes.size))
        for dual, response in zip(self.stages, self.responses, strict=True):
            sums = np.einsum("anm,nm->an", weights, side.curvature(dual(side.nodes)[side.row]))
            moved += (basis.T @ response.T).T * sums[:, None]
        steps = self.residuals.hinges.T @ moved
        sums = np.einsum("anm,nm->an", weights, side.curvature(side.g))
        return np.concatenate([basis.toarray() * sums[:, None] + form @ steps, steps], axis=1)

    @cached_property
    def _scatter(self) -> Array:
        r"""R with :math:`R R^T` the part of E[e e^T] that :math:`v \alpha_t` at the same breakpoint does not explain.

        Neurons that share a breakpoint but not \|w\| respond in different directions; with one \|w\| nothing is left. Shape
        (2U, 2U), or (2U, 0) then.
        """
        sides, form = self.neurons.sides(np.zeros(0))
        size = 2 * self.residuals.hinges.shape[1]
        parts = (self._unexplained(*part, form.dense()) for side in sides for part in _blocks(side, size))
        total = sum(parts, np.zeros((size, size)))
        if not total.any():
            return np.zeros((size, 0))
        values, vectors = np.linalg.eigh(total)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))

    def _unexplained(self, side: NeuronsOfSide, basis: sparse.csr_array, form: Array) -> Array:
        """What some breakpoints, with several |w| each, add to R R^T above."""
        rho, value = side.slices[1], side.curvature(side.g)
        count, mass = rho.shape[1], side.weights[:, None] * rho
        each = np.broadcast_to(np.eye(count)[:, None, :], (count, *rho.shape))  # of one |w| at a time
        e = self._responses(side, basis, each, form).transpose(1, 2, 0)
        seen, square = (e * (mass * value)).sum(axis=2), (mass * value**2).sum(axis=1)
        seen = np.divide(seen, np.sqrt(square), out=np.zeros_like(seen), where=square > 0)
        return np.asarray(np.einsum("unm,nm,vnm->uv", e, mass, e, optimize=True) - seen @ seen.T)


def _blocks(side: NeuronsOfSide, size: int) -> Iterator[tuple[NeuronsOfSide, sparse.csr_array]]:
    """The neurons, and dual functions at them, in parts of which responses with `size` numbers fit into memory.

    None if one |w| stands for the law at every breakpoint.
    """
    if (count := side.slices[1].shape[1]) > 1:
        step = max(1, 2_000_000 // (size * count))
        for start in range(0, side.nodes.size, step):
            at = slice(start, start + step)
            flat = (side.nodes[at], side.weights[at], side.g[at], side.system)
            yield NeuronsOfSide(side.row, side.side, side.potential, *flat), side.basis[:, at]


def _operator(neurons: NeuronQuadrature, residuals: Residuals) -> Array:
    r""":math:`K_t`, per training time, shape (M, M)."""
    form = neurons.sides(np.zeros(0))[1].dense()
    return np.asarray(neurons.clock * residuals.hinges @ form @ residuals.hinges.T)


def _panels(neurons: NeuronQuadrature, residuals: Residuals, time: float) -> Array:
    """Ends of panels of time: the first resolves the fastest decay at the start and at the end, the rest grow."""
    start = residuals.hinges.T @ residuals.start  # multipliers go straight at first

    def fastest(neurons: NeuronQuadrature) -> float:
        return float(np.linalg.eigvalsh(_operator(neurons, residuals))[-1])

    share = 0.05  # of the time in which the fastest decay happens
    first = min(time, share / fastest(neurons))
    while first > 1e-15 * time and first * fastest(neurons.with_unknowns(first * start)) > share:
        first /= 2
    count = min(60, math.ceil(math.log2(time / first)))  # they double in length up to there
    return np.r_[0.0, np.geomspace(first, time, count + 1)] if count else np.array([0.0, time])
