r"""The neurons of a problem with two slopes on a quadrature of the breakpoint axis, and the tents of query points.

A neuron with breakpoint c, sign s and v = \|w\| has :math:`\alpha = A(v g_s(c))`, :math:`A = (\phi')^{-1}`, and
:math:`S(x) = v\, \sigma(s(x - c))`. As a function of c, :math:`\sigma(s(x - c))` is its value interpolated linearly between
two neighbouring data points plus a tent :math:`T_x` which does not depend on s.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from splinebias._array import Array
from splinebias.errors import DataError
from splinebias.functions.unfolding import Unfolding
from splinebias.initialization.breakpoints import Side
from splinebias.initialization.zeta_cells import integration_cells
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.limit.dual.equations import DualEquations, DualSystem
from splinebias.limit.dual.objective import IntegratedDual
from splinebias.limit.dual.panel_refinement import PanelGrid, PanelNodes
from splinebias.limit.dual.response import ResponseModel
from splinebias.limit.posed_problem import PosedProblem
from splinebias.numerics.bordered import BorderedTridiagonal
from splinebias.numerics.cells import Cells
from splinebias.potential import Hypentropy, Potential, Power, Quadratic
from splinebias.problem import Problem

_ORDER = 16  # nodes per cell, where zeta is no polynomial


@dataclass(frozen=True, eq=False)
class NeuronsOfSide:
    r"""The neurons of one side at nodes of the breakpoint axis, with sums over their v of masses :math:`\rho`.

    Attributes
    ----------
    row : int
        Number of the side among those of the dual function.
    side : Side
        One sign of w, or both where they have one dual function.
    potential : Potential
        The :math:`\phi` above.
    nodes, weights : Array, shape (n,)
        The quadrature.
    g : Array, shape (n,)
        The dual function at the nodes.
    basis : sparse array, shape (U, n)
        Dual functions of the unknowns of `DualSystem`.
    """

    row: int
    side: Side
    potential: Potential
    nodes: Array
    weights: Array
    g: Array
    basis: sparse.csr_array

    @cached_property
    def slices(self) -> tuple[Array, Array]:
        r"""v, 0 where there is no mass, and :math:`\rho`, both of shape (n, m)."""
        v, rho = self.side.slices(self.nodes)
        return np.where(rho > 0, v, 0.0), rho

    def curvature(self, g: Array) -> Array:
        r""":math:`v \alpha` where the dual function has values `g`, shape (n, m)."""
        v, g = self.slices[0], g[:, None]
        return np.asarray(np.sign(g) * v * self.potential.grad_inverse(v * np.abs(g)))  # phi is even

    @cached_property
    def _alpha(self) -> Array:
        r""":math:`|\alpha|`, shape (n, m)."""
        return np.asarray(self.potential.grad_inverse(self.slices[0] * np.abs(self.g)[:, None]))

    @cached_property
    def _steepness(self) -> Array:
        r"""A', shape (n, m); 0 where it is infinite, for neurons at rest, active at no data point."""
        steepness = 1 / self.potential.hess(self._alpha)
        return np.where(np.isinf(steepness), 0.0, steepness)

    @property
    def _turn(self) -> Array:
        r"""The derivative of A', shape (n, m), 0 at rest; of potentials of one's own by a difference quotient."""
        phi, alpha, steep = self.potential, self._alpha, self._steepness
        if isinstance(phi, Hypentropy):  # A is a multiple of sinh
            return alpha
        if isinstance(phi, Power):
            rate = np.divide(phi.p - 2, alpha, out=np.zeros_like(alpha), where=alpha > 0)
            return np.asarray(-rate * (1 - 2 * phi.quadratic * steep) * steep**2)
        z, step = self.slices[0] * np.abs(self.g)[:, None], 1e-6
        near = 1 / phi.hess(phi.grad_inverse(z * (1 + step)))
        return np.asarray(np.divide(near - steep, step * z, out=np.zeros_like(z), where=z > 0))

    @property
    def value(self) -> Array:
        r"""The sum of :math:`v \alpha`, shape (n,)."""
        return np.sign(self.g) * self._sum(self.slices[0] * self._alpha)

    @cached_property
    def slope(self) -> Array:
        r"""The sum of :math:`v^2 A'`, shape (n,)."""
        return self._sum(self.slices[0] ** 2 * self._steepness)

    @property
    def square(self) -> Array:
        r"""The sum of :math:`v^2 \alpha^2`, shape (n,)."""
        return self._sum((self.slices[0] * self._alpha) ** 2)

    @property
    def higher(self) -> tuple[Array, Array]:
        r"""The sums of :math:`v^3 \alpha^3` and :math:`v^4 \alpha^4`, each of shape (n,)."""
        curvature = self.slices[0] * self._alpha
        return np.sign(self.g) * self._sum(curvature**3), self._sum(curvature**4)

    def second_order(self) -> tuple[Array, Array]:
        r"""The sums of :math:`v^3 A' \alpha` and :math:`v^3 A''`, each of shape (n,)."""
        v = self.slices[0]
        pull, bend = self._sum(v**3 * self._steepness * self._alpha), self._sum(v**3 * self._turn)
        return np.sign(self.g) * pull, np.sign(self.g) * bend

    def unseen_square(self) -> Array:
        r"""What `square` lacks because masses underflow where A is an exponential, shape (n,)."""
        model = ResponseModel.at(self.side, self.potential, self.nodes)
        if model.faint is None:
            return np.zeros_like(self.g)
        return np.asarray(model(self.g).square - ResponseModel(model.potential, model.v, model.seen)(self.g).square)

    def unseen_fourth(self) -> Array:
        r"""What the second of `higher` lacks because masses underflow where A is an exponential, shape (n,)."""
        model = ResponseModel.at(self.side, self.potential, self.nodes)
        if model.faint is None:
            return np.zeros_like(self.g)
        size = np.log(model.v * self.potential.grad_inverse(model.v * np.abs(self.g)[:, None]))
        return np.asarray(np.exp(np.where(model.faint > -np.inf, model.faint + 4 * size, -np.inf)).sum(axis=-1))

    def _sum(self, values: Array) -> Array:
        return np.asarray((self.slices[1] * values).sum(axis=-1))


class QuadraticNeurons(NeuronsOfSide):
    r"""The neurons of one side where :math:`\alpha = v g`: their sums are :math:`\zeta^{(1)}` and :math:`\zeta^{(2)}`."""

    @property
    def value(self) -> Array:
        return self.slope * self.g

    @cached_property
    def slope(self) -> Array:
        return self.side.zeta(self.nodes)

    @property
    def square(self) -> Array:
        return self.side.zeta(self.nodes, 2) * self.g**2

    @property
    def higher(self) -> tuple[Array, Array]:
        return self.side.zeta(self.nodes, 3) * self.g**3, self.side.zeta(self.nodes, 4) * self.g**4

    def second_order(self) -> tuple[Array, Array]:
        return self.side.zeta(self.nodes, 2) * self.g, np.zeros_like(self.g)


@dataclass(frozen=True, eq=False)
class NeuronQuadrature:
    r"""A rule that resolves the influences of the neurons at one training time.

    Attributes
    ----------
    problem : Problem
        What is fitted.
    dual : DualFunction
        :math:`g_\pm` at that time, in units in which :math:`\phi` is the `potential` of the grid.
    size, unit : float
        Influences are those of `dual` and `potential` times `size`; `dual` is that of the multipliers times `unit`.
    grid : PanelGrid
        Resolves law and curvature; its potential is quadratic for problems whose limit is.
    power : int
        The power of :math:`v \alpha` up to which sums over v are right.
    """

    problem: Problem
    dual: DualFunction
    size: float
    unit: float
    grid: PanelGrid
    power: int = 2

    @classmethod
    @np.errstate(all="ignore")  # 1/phi'' at a node that lands on a zero of g, masses that underflow
    def of(cls, posed: PosedProblem, multipliers: Array) -> NeuronQuadrature:
        """The rule for the dual function of `multipliers`.

        Raises
        ------
        DataError
            If the variance of one neuron's contribution is infinite, or beyond doubles.
        """
        problem, x = posed.problem, posed.problem.data.x
        law, u = problem.initialization.breakpoint_law, unknowns_of(problem, multipliers)
        order = _ORDER if law.degree is None else law.degree + 4  # u^2 is zeta times a polynomial of degree 4
        edges = integration_cells(law, x, order, 2).edges
        if not problem.linear:
            start, _ = IntegratedDual.of(posed)
            if not isinstance(start.potential, Quadratic):  # else data are so small that nothing else counts
                unit = start.size / start.factor
                dual = _dual_function(problem, u * unit)
                start = start.on(replace(start.grid, split=True))  # 1/phi'' and its derivative turn sharply at zeros
                grid = (start.refined(start.at(dual), np.inf).finer or start).grid
                grid = replace(grid, cells=Cells(np.union1d(edges, grid.cells.edges), _ORDER))
                rule = cls(problem, dual, start.size, unit, grid)._resolved(_squares)
                if rule is not None:
                    return rule._resolved(_slopes) or rule
                raise DataError(
                    "one neuron's contribution has no finite variance, or one beyond doubles: its curvature outgrows the "
                    "tails of the law, and errors shrink more slowly than n^(-1/2); choose lighter tails, smaller data or a "
                    "less steep potential"
                )
        unit = 1 / problem.phi.hess_at_zero if problem.scaled else 1.0
        cells = Cells(np.union1d(edges, integration_cells(law, x, order).edges), order)
        grid = PanelGrid(x, cells, Unfolding.of(Quadratic()), split=True)
        return cls(problem, _dual_function(problem, u * unit), 1.0, unit, grid)

    @np.errstate(all="ignore")  # as above
    def with_fourth_moments(self) -> NeuronQuadrature | None:
        r"""This rule where :math:`E[w^4 \alpha^4 \mid c]` is resolved, too; None if its integral is not finite."""
        if not isinstance(self.potential, Quadratic):
            return replace(self, power=4)._resolved(_fourth_powers)
        law, cells = self.problem.initialization.breakpoint_law, self.grid.cells
        edges = np.union1d(cells.edges, integration_cells(law, self.problem.data.x, cells.order, 4).edges)
        return replace(self, power=4, grid=replace(self.grid, cells=Cells(edges, cells.order + 4)))

    @np.errstate(all="ignore")  # as above
    def with_turns(self) -> NeuronQuadrature:
        r"""This rule where sums of :math:`v^3 A''` are resolved, too, as far as they can be."""
        return self if isinstance(self.potential, Quadratic) else self._resolved(_turns) or self

    def _resolved(self, moments: Callable[[NeuronsOfSide], tuple[Array, Array]]) -> NeuronQuadrature | None:
        r"""This quadrature on cells on which what `moments` gives is resolved; None if it has no finite integral.

        Those are :math:`E[(w \alpha)^k \mid c]` and what masses that underflow add to it. Cells that reach as far as the
        limit asks may end too early for it. With hypentropy, :math:`\alpha` grows like :math:`e^g` beyond the data, and
        a law with exponential tails has a variance only if g is flat enough.
        """
        rule, x, law = self, self.problem.data.x, self.problem.breakpoint_law(self.power)
        for _ in range(80):
            samples, total, lost = [], 0.0, 0.0
            for row in range(len(rule._law_sides)):
                nodes, _, neurons = rule._on(rule.grid, row)
                away = np.maximum(np.maximum(x[0] - nodes.nodes, nodes.nodes - x[-1]), 0.0)
                lever = 1 + away / (x[-1] - x[0])  # influences grow with the distance from the data
                seen, unseen = (lever * a.reshape(lever.shape) for a in moments(neurons))
                samples.append((nodes, seen + unseen))
                total += float((nodes.weights * (seen + unseen)).sum())
                lost += float((nodes.weights * unseen).sum())
            finer = rule.grid.refined(samples, law, np.inf, 1e-11, 1e-14) if math.isfinite(total) else None
            if finer is None:
                break
            rule = replace(rule, grid=finer)
        return rule if finer is None and lost <= 1e-10 * abs(total) < math.inf else None

    @property
    def clock(self) -> float:
        """Time of the flow in these units per training time."""
        return self.size * self.unit

    def with_unknowns(self, u: Array) -> NeuronQuadrature:
        """The neurons on the same grid where the multipliers have the unknowns `u` of `DualSystem`."""
        return replace(self, dual=_dual_function(self.problem, u * self.unit))

    @property
    def potential(self) -> Potential:
        """The potential in the units of `dual`."""
        return self.grid.unfolding.potential

    @cached_property
    def equations(self) -> DualEquations:
        """The unknowns of the dual."""
        return DualEquations(self.problem.data.x, self.problem.two_slopes, free=self.problem.free)

    @cached_property
    def _law_sides(self) -> tuple[Side, ...]:
        """Both sides of the law, or the two as one where they have one dual function."""
        return self.equations.sides_of(self.problem.breakpoint_law(self.power))

    def _on(self, grid: PanelGrid, row: int) -> tuple[PanelNodes, DualSystem, NeuronsOfSide]:
        """The nodes that a grid has for the side number `row`, the equations of the dual on them, and the neurons there."""
        nodes = grid.at(self.dual.sides[row])
        system = DualSystem(self.dual.x, nodes, self.problem.two_slopes, free=self.problem.free)
        flat = (nodes.nodes.ravel(), nodes.weights.ravel(), nodes.rows.g.ravel())
        kind = QuadraticNeurons if isinstance(self.potential, Quadratic) else NeuronsOfSide
        return nodes, system, kind(row, self._law_sides[row], self.potential, *flat, _basis(system, row))

    @np.errstate(all="ignore")  # 1/phi'' at a node that lands on a zero of g, masses that underflow
    def sides(self, points: Array) -> tuple[list[NeuronsOfSide], BorderedTridiagonal]:
        """The neurons at nodes that do not straddle `points`, and the Hessian of the dual."""
        grid = replace(self.grid, cells=self.grid.cells.split(points))
        made = [self._on(grid, row) for row in range(len(self._law_sides))]
        masses = [
            system.masses(row, neurons.slope.reshape(nodes.nodes.shape)) for row, (nodes, system, neurons) in enumerate(made)
        ]
        return [neurons for *_, neurons in made], self.equations.hessian(masses)

    def tents(self, points: Array, sides: list[NeuronsOfSide]) -> tuple[list[Array], Array]:
        r"""The tents at the nodes of all sides, and :math:`E[T_x b\, v^2 A']` for the dual functions b, shape (N, U)."""
        tents = [self.problem.two_slopes.kink * tent(points, self.dual.x, side.nodes) for side in sides]
        loads = sum(side.basis @ (side.weights * side.slope * t).T for side, t in zip(sides, tents, strict=True))
        return tents, np.asarray(loads).T


def _squares(neurons: NeuronsOfSide) -> tuple[Array, Array]:
    return neurons.square, neurons.unseen_square()


def _slopes(neurons: NeuronsOfSide) -> tuple[Array, Array]:
    return neurons.slope, np.zeros_like(neurons.slope)


def _turns(neurons: NeuronsOfSide) -> tuple[Array, Array]:
    bend = neurons.second_order()[1]
    return bend, np.zeros_like(bend)


def _fourth_powers(neurons: NeuronsOfSide) -> tuple[Array, Array]:
    return neurons.higher[1], neurons.unseen_fourth()


def unknowns_of(problem: Problem, multipliers: Array) -> Array:
    r"""The unknowns of `DualSystem` from :math:`\lambda`, sums from the right."""
    x, rest = problem.data.x, np.cumsum(multipliers[::-1])[::-1]  # sum of the multipliers from i on
    values = np.r_[np.cumsum((np.diff(x) * rest[1:])[::-1])[::-1], 0.0]
    return np.asarray(values[1:-1] if problem.free else np.r_[rest[0] * (x[-1] - x[0]), values[:-1]])


def _dual_function(problem: Problem, unknowns: Array) -> DualFunction:
    return DualFunction.of(problem.data.x, unknowns, problem.two_slopes, free=problem.free)


def tent(points: Array, x: Array, c: Array) -> Array:
    r""":math:`T_x(c)`: :math:`[x - c]_+` less its linear interpolation between two neighbouring data points, shape (N, n).

    The two are those around x, or the nearest two if x is beyond the data. The tent has its top at the middle one of the
    three points and is 0 beyond the outer two; it is negative for x between data.
    """
    j, _ = _beside(points, x)
    low, middle, high = np.sort(np.stack([x[j], x[j + 1], points]), axis=0)
    rise, fall = middle - low, high - middle
    top = np.where(points < x[0], rise, np.where(points > x[-1], fall, -rise * fall / (high - low)))
    rise, fall = (np.where(top != 0, length, 1.0)[:, None] for length in (rise, fall))  # the tent of a data point is 0
    up, down = (c - low[:, None]) / rise, (high[:, None] - c) / fall
    return np.asarray(top[:, None] * np.clip(np.minimum(up, down), 0.0, None))


def interpolation(points: Array, x: Array) -> Array:
    """Weights of the data in linear interpolation, or in extrapolation from the nearest two, shape (N, M)."""
    j, share = _beside(points, x)
    row, weights = np.arange(points.size), np.zeros((points.size, x.size))
    weights[row, j], weights[row, j + 1] = 1 - share, share
    return weights


def _beside(points: Array, x: Array) -> tuple[NDArray[np.intp], Array]:
    """Which data point is the left one of the two around each of `points`, or nearest to it, and the share of the other."""
    j = np.clip(np.searchsorted(x, points, side="right") - 1, 0, x.size - 2)
    return j, (points - x[j]) / (x[j + 1] - x[j])


def _basis(system: DualSystem, row: int) -> sparse.csr_array:
    """Dual functions of the unknowns of `system` at its nodes, for the side number `row`, (U, n): two hats, and the line."""
    size, (count, q) = system.x.size, system.left.shape
    at: NDArray[np.intp] = np.repeat(np.clip(system.interval - 1, 0, size - 2), q)
    values = system.activation.kink * np.concatenate([system.left.ravel(), system.right.ravel()])
    places = (np.concatenate([at, at + 1]), np.tile(np.arange(count * q), 2))
    hats = sparse.csr_array((values, places), shape=(size, count * q))
    if system.free:
        return hats[1:-1]
    factor = np.broadcast_to(system.factor_at[row], (count, q))
    line = sparse.csr_array(np.stack([(factor * system.tau(system.nodes)).ravel(), factor.ravel()]))
    return sparse.csr_array(sparse.vstack([line[[0]], hats[[0]] + line[[1]], hats[1:-1]]))
