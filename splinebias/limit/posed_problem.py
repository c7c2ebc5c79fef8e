"""A problem with all that its checks and its solvers share."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from splinebias._array import Array
from splinebias.errors import CapabilityError
from splinebias.functions.piecewise import WeightedSpline
from splinebias.functions.unfolding import Unfolding
from splinebias.limit.discretization import CHECK, Discretization
from splinebias.limit.dual.dual_function import LineFrame
from splinebias.limit.dual.dual_system import DualSystem, FarMass
from splinebias.limit.kernels.features import FeatureKernel
from splinebias.limit.kernels.power_system import PowerSystem

if TYPE_CHECKING:
    from splinebias.initialization.breakpoints import Side
    from splinebias.limit.neighbour import Neighbour
    from splinebias.problem import Problem

_COARSE = 1e-9  # accuracy from which on cells have fewer nodes
_CLOSE = 1e-3  # of the distance: the square of this is what rounding of a line known at the data is magnified by


@dataclass(frozen=True, eq=False)
class PosedProblem:
    r"""A problem on its way to a prediction: whoever needs a part of it computes it, whoever comes later finds it.

    It is made once, where a computation begins, and handed on: to the checks of the data, to a solver, to the flow.

    Attributes
    ----------
    problem : Problem
        What is fitted.
    over_sizes : bool
        Whether to integrate over \|w\| by the finest rules, also where effective potentials make that unnecessary: a check.
    near : Neighbour or None
        What is known from the solve of a neighbouring problem.
    accuracy : float
        How well the law is to be resolved, as far as rounding lets it; 0: as well as possible.

    Raises
    ------
    CapabilityError
        If the data have several inputs, or neurons no breakpoints: nothing here would make sense.
    """

    problem: Problem
    over_sizes: bool = field(default=False, kw_only=True)
    near: Neighbour | None = field(default=None, kw_only=True)
    accuracy: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        if (missing := self.problem.without_breakpoints) is not None:
            raise CapabilityError(f"this cannot take the problem: {missing}")

    @cached_property
    def grid(self) -> Discretization:
        """Cells that hold the data and resolve the law, with curvature densities at their nodes."""
        problem, law = self.problem, self.problem.initialization.breakpoint_law
        if self.near is not None and self.near.same_law:
            return Discretization.on(self.near.coarse, law, problem.data.x)
        return Discretization.of(law, problem.data.x, self._order, self.accuracy)

    @cached_property
    def system(self) -> DualSystem:
        """The equations of the dual on that grid, for activations of two slopes."""
        near = self.seen_from_data
        frame = None if near.free else _far_frame(near.far_lines(self.zeta), near.x)
        return near if frame is None else DualSystem(near.x, self.grid, near.activation, free=False, frame=frame)

    @cached_property
    def seen_from_data(self) -> DualSystem:
        """The same equations with the line known by its value at the first data point, wherever breakpoints are."""
        problem = self.problem
        return DualSystem(problem.data.x, self.grid, problem.two_slopes, free=problem.free)

    @cached_property
    def sides(self) -> tuple[Side, ...]:
        """The sides whose dual functions differ, with rules for |w| that integrate the curvature of the potential."""
        law = self.problem.breakpoint_law()
        return self.system.sides_of(law.finest() if self.over_sizes else law)

    @property
    def _order(self) -> int:
        """How many nodes of the rule a cell of the discretization holds."""
        order = _order(self.problem)
        return order if self.accuracy < _COARSE else min(order, 10)

    @property
    def zeta(self) -> Array:
        """Curvature densities of those sides at the nodes, shape (S, N, q), or (S, N, 1) if constant on every cell."""
        zeta = self.grid.zeta
        return zeta if len(self.seen_from_data.factors) == 2 else zeta[:1] + zeta[1:]

    @cached_property
    def power_system(self) -> PowerSystem:
        """The equations for powers of ReLU."""
        problem = self.problem
        kernel = FeatureKernel(problem.initialization.breakpoint_law, problem.homogeneous)
        return PowerSystem.of(problem.data.x, problem.data.y, kernel, free=problem.free)

    def spline(self, curvature: Array, y: Array, *, linear: bool = False) -> WeightedSpline:
        """The function with f''/(p - q) the `curvature` of all sides at the nodes, through ordinates `y` at the data.

        `linear`: the curvature is so on cells, and known at both ends of them instead.
        """
        problem = self.problem
        return WeightedSpline.from_curvature(
            self.grid.cells.edges,
            problem.two_slopes.kink * curvature,
            problem.data.x,
            y,
            self.knots(),
            exact=problem.initialization.breakpoint_law.degree is not None,
            linear=linear,
        )

    def knots(self, zeros: Array | None = None) -> Array:
        """Where the solution is not smooth: at data, at knots and ends of the law, at the `zeros` of the dual function."""
        law, x, edges = self.problem.initialization.breakpoint_law, self.problem.data.x, self.grid.cells.edges
        inside = law.knots[(law.knots > edges[0]) & (law.knots < edges[-1])]
        ends = [end for end in law.support if math.isfinite(end)]
        few = np.unique(np.concatenate([inside, ends, zeros if zeros is not None else []]))
        at = x.searchsorted(few)
        fresh = x[np.minimum(at, x.size - 1)] != few
        knots = np.insert(x, at[fresh], few[fresh]) if fresh.any() else x
        knots.setflags(write=False)
        return knots


def _far_frame(lines: FarMass, x: Array) -> LineFrame | None:
    """Where the line counts if the breakpoints that make it are far from data `x` and close together, else None."""
    away = max(x[0] - lines.centre, lines.centre - x[-1])
    if not lines.mass > 0 or not 0 < lines.deviation < _CLOSE * away:
        return None
    return LineFrame(lines.centre - lines.deviation, lines.centre + lines.deviation)


def _order(problem: Problem) -> int:
    """Nodes per cell: 2 where zeta is constant between knots, fewer where the data are dense, else 16.

    With a scaled potential, enough for the moments of the curvature if zeta is constant and the potential unfolds to powers.
    """
    law, potential, size = problem.initialization.breakpoint_law, problem.limit_potential, problem.data.size
    if potential.stiffness is not None:
        if law.degree is not None:
            return law.degree + 2
        return 16 if size < 300 else 8 if size < 200_000 else 6
    if size < 300:
        return 16
    degrees = Unfolding.of(potential).degrees
    if law.degree is None or degrees is None:
        return 8
    of_c, of_curvature = degrees
    degree = of_curvature + (law.degree + 1) * of_c - 1  # of the curvature times dc/ds, whose last coefficients tell
    fits = (order for order in (4, 8) if degree <= round(CHECK * order) - 3 and degree + of_c < 2 * order)
    return next((order for order in fits if order == 8 or size >= 5000), 16)
