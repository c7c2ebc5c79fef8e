r"""The neurons of a problem with two slopes on a quadrature of the breakpoint axis, and the tents of query points.

A neuron with breakpoint c, sign s and v = \|w\| has :math:`S(x) = v\, \sigma(s(x - c))`. As a function of c,
:math:`\sigma(s(x - c))` is its value interpolated linearly between two neighbouring data points plus a tent :math:`T_x`
which does not depend on s.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from splinebias._array import Array
from splinebias.errors import DataError
from splinebias.finite_width.quadrature.lumps import LumpedNeurons, edges_of
from splinebias.finite_width.quadrature.neurons import NeuronsOfSide, neurons_on
from splinebias.finite_width.quadrature.tents import tent
from splinebias.functions.unfolding import Unfolding
from splinebias.initialization.breakpoints import Side
from splinebias.initialization.zeta_cells import integration_cells
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.limit.dual.dual_system import DualSystem
from splinebias.limit.dual.equations import DualEquations
from splinebias.limit.dual.objective import IntegratedDual
from splinebias.limit.dual.panel_refinement import PanelGrid, PanelNodes
from splinebias.limit.posed_problem import PosedProblem
from splinebias.numerics.bordered import BorderedTridiagonal
from splinebias.numerics.cells import Cells
from splinebias.potential import Potential, Quadratic
from splinebias.problem import Problem

_ORDER = 16  # nodes per cell, where zeta is no polynomial


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
    finest : bool
        Whether sums over v are by the finest rules there are: a check.
    """

    problem: Problem
    dual: DualFunction
    size: float
    unit: float
    grid: PanelGrid
    power: int = 2
    finest: bool = False

    @classmethod
    @np.errstate(all="ignore")  # 1/phi'' at a node that lands on a zero of g, masses that underflow
    def of(cls, posed: PosedProblem, multipliers: Array) -> NeuronQuadrature:
        """The rule for the dual function of `multipliers`; that of a prediction which is its own neighbour, on its grid.

        Raises
        ------
        DataError
            If the variance of one neuron's contribution is infinite, or beyond doubles.
        """
        problem, x = posed.problem, posed.problem.data.x
        law, u = problem.initialization.breakpoint_law, unknowns_of(problem, multipliers)
        if not problem.linear:
            start, function = IntegratedDual.of(posed)
            if not isinstance(start.potential, Quadratic):  # else data are so small that nothing else counts
                unit = start.size / start.factor
                dual = _dual_function(problem, u * unit)
                start = start.on(replace(start.grid, split=True))  # 1/phi'' and its derivative turn sharply at zeros
                if posed.near is None:
                    start = start.refined(start.at(dual), np.inf).finer or start
                elif function.frame == dual.frame:
                    dual = function
                grid = replace(start.grid, cells=Cells(start.grid.cells.edges, _ORDER))
                rule = cls(problem, dual, start.size, unit, grid)._resolved(_squares)
                if rule is not None:
                    rule = rule._resolved(_slopes) or rule
                    return rule._resolved(_slopes, apart=True) or rule
                raise DataError(
                    "one neuron's contribution has no finite variance, or one beyond doubles: its curvature outgrows the "
                    "tails of the law, and errors shrink more slowly than n^(-1/2); choose lighter tails, smaller data or a "
                    "less steep potential"
                )
        unit = 1 / problem.phi.hess_at_zero if problem.scaled else 1.0
        order = _ORDER if law.degree is None else law.degree + 4  # u^2 is zeta times a polynomial of degree 4
        edges = integration_cells(law, x, order, 2).edges
        cells = Cells(np.union1d(edges, posed.grid.cells.edges), order)
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
    def with_turns(self, points: Array) -> NeuronQuadrature:
        r"""This rule where sums of :math:`v^3 A''` are resolved, too, as far as they can be, cut at `points`.

        A'' is odd in g and sharp where g is small: what is left and right of a zero of g cancels but for a small share,
        which nodes that are symmetric about the zero keep.
        """
        cut = replace(self, grid=replace(self.grid, cells=self.grid.cells.split(points)))
        if isinstance(self.potential, Quadratic):
            return cut
        even = cut.mirrored()
        return (even._resolved(_turns) or even).mirrored()

    def mirrored(self) -> NeuronQuadrature:
        """This rule on cells whose edges next to a zero of g are equally far from it."""
        zeros = np.unique(self.dual.zeros())
        if not zeros.size:
            return self
        cells = self.grid.cells.split((zeros[1:] + zeros[:-1]) / 2)
        at = np.clip(np.searchsorted(cells.edges, zeros), 1, cells.edges.size - 1)
        left, right = zeros - cells.edges[at - 1], cells.edges[at] - zeros
        return replace(self, grid=replace(self.grid, cells=cells.split(np.where(left < right, zeros + left, zeros - right))))

    def _resolved(
        self, moments: Callable[[NeuronsOfSide], tuple[Array, Array]], *, apart: bool = False
    ) -> NeuronQuadrature | None:
        r"""This quadrature on cells on which what `moments` gives is resolved; None if it has no finite integral.

        `apart` : whether in every data interval by itself, however little there is of it.

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
            if apart:
                samples = _as_shares(samples)
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
        law = self.problem.breakpoint_law(self.power)
        return self.equations.sides_of(law.finest() if self.finest else law)

    def checking(self) -> NeuronQuadrature:
        """This rule with half as many nodes again and, where sums over v are no functions known exactly, finer ones."""
        cells = Cells(self.grid.cells.edges, self.grid.cells.order * 3 // 2)
        families = all(side.families for side in self._law_sides)
        return replace(self, grid=replace(self.grid, cells=cells), finest=not families)

    def _on(self, grid: PanelGrid, row: int) -> tuple[PanelNodes, DualSystem, NeuronsOfSide]:
        """The nodes that a grid has for the side number `row`, the equations of the dual on them, and the neurons there."""
        nodes = grid.at(self.dual.sides[row])
        system = DualSystem(self.dual.x, nodes, self.problem.two_slopes, free=self.problem.free)
        flat = (nodes.nodes.ravel(), nodes.weights.ravel(), nodes.rows.g.ravel())
        return nodes, system, neurons_on(row, self._law_sides[row], self.potential, *flat, system)

    @np.errstate(all="ignore")  # 1/phi'' at a node that lands on a zero of g, masses that underflow
    def sides(self, points: Array) -> tuple[list[NeuronsOfSide], BorderedTridiagonal]:
        """The neurons at nodes that do not straddle `points`, and the Hessian of the dual."""
        grid = replace(self.grid, cells=self.grid.cells.split(points))
        made = [self._on(grid, row) for row in range(len(self._law_sides))]
        masses = [
            system.masses(row, neurons.slope.reshape(nodes.nodes.shape)) for row, (nodes, system, neurons) in enumerate(made)
        ]
        return [neurons for *_, neurons in made], self.equations.hessian(masses)

    def lumps(self, points: Array) -> tuple[Array, list[LumpedNeurons], BorderedTridiagonal]:
        """Edges, see `edges_of`, what `sides` gives, lumped between them, and the Hessian of the dual."""
        (sides, form), edges = self.sides(points), edges_of(points, self.dual.x)
        return edges, [LumpedNeurons.of(side, edges) for side in sides], form

    def tents(self, points: Array, sides: list[NeuronsOfSide]) -> tuple[list[Array], Array]:
        r"""The tents at the nodes of all sides, and :math:`E[T_x b\, v^2 A']` for the dual functions b, shape (N, U)."""
        tents = [self.problem.two_slopes.kink * tent(points, self.dual.x, side.nodes) for side in sides]
        loads = sum(side.basis @ (side.weights * side.slope * t).T for side, t in zip(sides, tents, strict=True))
        return tents, np.asarray(loads).T


def _as_shares(samples: list[tuple[PanelNodes, Array]]) -> list[tuple[PanelNodes, Array]]:
    """Positive densities at nodes, relative to their integrals over the data interval on all sides."""
    size = max(int(nodes.interval.max(initial=0)) for nodes, _ in samples) + 1
    total = sum(np.bincount(nodes.interval, (nodes.weights * values).sum(axis=1), size) for nodes, values in samples)
    scale = 1 / np.where(total > 0, total, 1.0)
    return [(nodes, values * scale[nodes.interval][:, None]) for nodes, values in samples]


def _squares(neurons: NeuronsOfSide) -> tuple[Array, Array]:
    return neurons.square, neurons.unseen_square()


def _slopes(neurons: NeuronsOfSide) -> tuple[Array, Array]:
    return _of_active(neurons, neurons.slope), np.zeros_like(neurons.slope)


def _turns(neurons: NeuronsOfSide) -> tuple[Array, Array]:
    bend = neurons.second_order()[1]
    return _of_active(neurons, bend), np.zeros_like(bend)


def _of_active(neurons: NeuronsOfSide, density: Array) -> Array:
    """A density without the neurons that no data point activates: they are at rest, and most mobile, and see nothing."""
    return np.where(neurons.g == 0, 0.0, density)


def _fourth_powers(neurons: NeuronsOfSide) -> tuple[Array, Array]:
    return neurons.higher[1], neurons.unseen_fourth()


def unknowns_of(problem: Problem, multipliers: Array) -> Array:
    r"""The unknowns of `DualSystem` from :math:`\lambda`, sums from the right."""
    x, rest = problem.data.x, np.cumsum(multipliers[::-1])[::-1]  # sum of the multipliers from i on
    values = np.r_[np.cumsum((np.diff(x) * rest[1:])[::-1])[::-1], 0.0]
    return np.asarray(values[1:-1] if problem.free else np.r_[rest[0] * (x[-1] - x[0]), values[:-1]])


def _dual_function(problem: Problem, unknowns: Array) -> DualFunction:
    return DualFunction.of(problem.data.x, unknowns, problem.two_slopes, free=problem.free)
