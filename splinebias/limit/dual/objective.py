r"""The dual of a problem as a function: value, gradient and Hessian, integrated on a grid that follows it.

.. math:: \lambda^T y - E[\phi^*(\sum_i \lambda_i \sigma_i)], \qquad y - E[\sigma_X \alpha], \qquad
          -E[\sigma_X \sigma_X^T/\phi''(\alpha)]

(theory section 4), in the unknowns of `DualEquations` and in units in which curvature is of order 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import Array
from splinebias.initialization.breakpoints import BreakpointLaw
from splinebias.limit.dual.approach import approached
from splinebias.limit.dual.by_parts import CellsByParts
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.limit.dual.equations import DualEquations, misfit
from splinebias.limit.dual.integrals import Brink, Integrals, Sample, neglected
from splinebias.limit.dual.mirror import through_mirror
from splinebias.limit.dual.newton_system import CHECK, DualSystem
from splinebias.limit.dual.panel_refinement import STEADY, GradedGrid, GradedNodes
from splinebias.limit.dual.response import Response, ResponseModel
from splinebias.limit.posed_problem import PosedProblem
from splinebias.numerics.bordered import BorderedTridiagonal
from splinebias.numerics.half_line import MODERATE
from splinebias.potential import Potential
from splinebias.problem import Problem

_MAX_DEPTH = 40  # bisections of a cell
_RESOLVED = 1e-12  # relative size of neglected Legendre coefficients of the curvature
_NEGLIGIBLE, _NEGLIGIBLE_OF_SPEEDS = 1e-16, 1e-13  # shares of the moments; rules for |w| are good to 1e-12
_BLOCK = 1 << 15  # nodes (c, |w|) treated at once: what fits into the cache of a core
_PROBES = 5  # breakpoints at which values of |w| are counted
_FEW = 200  # cells up to which looking for reuse is no use
_SECOND = np.array([[False], [True]])  # of a pair of moments, the sizes
_PLAIN = 6  # nodes that resolve the curvature of a cell on which g is steady
_FEWEST, _STEADIER, _BETWEEN = 4, 2e-3, 0.1  # the same, up to a smaller change; share of cells that may be laid out anew
_STALE = 0.7  # share of the cells above which all are integrated anew


@dataclass(frozen=True, eq=False)
class DualState:
    r"""The dual at one point.

    Attributes
    ----------
    dual : IntegratedDual
        The dual.
    function : DualFunction
        The point.
    integrals : dict of Integrals
        Per side, or for side 1 where the two agree.
    objective, pairing : float
        Its value; and :math:`|\lambda^T y|`, for the rounding of that.
    made, residual, load : Array, shape (U,)
        What the function makes of the data, in the equations; what is missing, the gradient; sizes of the terms added up.
    misfit : float
        See `equations.misfit`.
    samples : tuple of Sample
        All nodes, of a check.
    """

    dual: IntegratedDual
    function: DualFunction
    integrals: dict[int, Integrals]
    objective: float
    pairing: float
    made: Array
    residual: Array
    load: Array
    misfit: float
    samples: tuple[Sample, ...]

    @property
    def cost(self) -> float:
        r"""E[D_phi(alpha, 0)], of a check."""
        return sum(sample.cost for sample in self.samples)

    @property
    def made_share(self) -> float:
        r"""What the network of these dual values makes of y, along them: :math:`E[z \alpha]/\lambda^T y`, 1 at best."""
        missing = float((self.residual * self.function.unknowns(free=self.dual.equations.free)).sum())
        return 1 - missing / self.pairing if self.pairing else 1.0

    @property
    def neglected(self) -> float:
        """The share of the moments that is beyond doubles, of a check."""
        lost = 0.0
        for side in self.integrals:
            samples = [sample for sample in self.samples if sample.side == side]
            brinks = [sample.brink for sample in samples if sample.brink is not None]
            largest = float(np.max([np.abs(sample.value).max() for sample in samples]))  # not max(), which may drop a NaN
            if brinks and largest != 0:  # a side without weights leaves nothing out
                lost += neglected(brinks, self.function.x, largest)
        if not lost:
            return 0.0
        moments = (sample.nodes.moments(sample.nodes.weights * sample.value)[0] for sample in self.samples)
        return lost / sum(float(moment.sum()) for moment in moments)

    def hessian(self) -> BorderedTridiagonal:
        """Minus the second derivative of the dual."""
        return self.dual.equations.hessian({side: of.masses for side, of in self.integrals.items()})


@dataclass(frozen=True, eq=False)
class IntegratedDual:
    r"""The dual of a problem, on a grid.

    With :math:`\alpha = s \hat\alpha` for a typical size s of the curvature, and :math:`\phi(s \hat\alpha) = \kappa
    \hat\phi(\hat\alpha)`, the problem for y/s and :math:`\hat\phi` is solved: no power of y overflows.

    Attributes
    ----------
    problem : Problem
        The problem.
    equations : DualEquations
        Its unknowns.
    grid : GradedGrid
        The rule.
    potential : Potential
        The :math:`\hat\phi` above.
    size, factor : float
        s and :math:`\kappa`.
    """

    problem: Problem
    equations: DualEquations
    grid: GradedGrid
    potential: Potential
    size: float
    factor: float

    @classmethod
    def of(cls, posed: PosedProblem) -> tuple[IntegratedDual, DualFunction]:
        r"""The dual on the coarsest grid; and a start, :math:`\phi'` of the dual function of the quadratic problem."""
        problem, grid = posed.problem, posed.grid
        x, y, free = problem.data.x, problem.data.y, problem.free
        equations = DualEquations(x, problem.two_slopes, free=free)
        u = posed.system.curvature(posed.zeta).solve(equations.target(y))
        size = max(float(np.abs(g).max()) for g in equations.function(u).nodal.values())
        size = 2.0 ** round(math.log2(size)) if size > 0 else 1.0  # a power of 2 costs no digits
        potential, factor = problem.limit_potential.rescaled(size)
        rule = GradedGrid(x, grid.cells, np.array([0.0, 1.0]), split=not potential.smooth)
        dual = cls(problem, equations, rule, potential, size, factor)
        return dual, through_mirror(potential, equations.function(u / size), free=free)

    def approached(self, start: DualFunction, quadratic: DualSystem) -> DualFunction:
        """`start`, nearer to the maximum by steps on the rule of the quadratic problem, if one |w| stands for the law."""
        if self._speeds > 1:
            return start
        models = self._in_cells if self._constant else {side: self._model(side, quadratic.nodes) for side in self._sides}
        return approached(quadratic, models, self.y, start)

    @cached_property
    def law(self) -> BreakpointLaw:
        """The breakpoints, with rules for integrands as steep as those of the potential."""
        return self.problem.breakpoint_law()

    @property
    def y(self) -> Array:
        """y/s, shape (M,)."""
        return np.asarray(self.problem.data.y / self.size)

    def at(self, function: DualFunction, near: DualState | None = None, *, check: bool = False) -> DualState:
        """Value and derivatives at a dual function.

        `near` : a state on the same grid, of which integrals may be reused.
        `check` : whether to take half as many nodes again and to keep them in `DualState.samples`.
        """
        order = round(CHECK * self.grid.cells.order) if check else self.grid.cells.order
        integrals, samples, step = {}, [], max(1, _BLOCK // (order * self._speeds))
        for side in self._sides:
            integrals[side], cells = self._known(function, side, near)
            if self._by_parts is not None and not check:
                self._by_parts.add(integrals[side], function, side, cells)
                continue
            for some in _blocks(self.grid.frame.piece.size, cells, step):
                nodes = self.grid.at(function, side, self.potential, some, order)
                response = self._response(side, nodes)
                integrals[side].add(side, nodes, response, self.equations)
                if check:
                    ((value,), (cost,)) = (part.values() for part in (response.value, response.penalty))
                    share, brink = float((nodes.weights * cost).sum()), Brink.of(response, side, nodes.nodes)
                    samples.append(Sample(side, nodes, value, share, brink))
        return self._state(function, integrals, tuple(samples))

    def sampled(self, state: DualState) -> DualState:
        """`state` with as many nodes as its function needs, where `exact`."""
        samples = []
        for side in self._sides:
            order, steady = self._layout(state.function, side)
            for some in _blocks(self.grid.frame.piece.size, None, _BLOCK // order):
                nodes = self.grid.at(state.function, side, self.potential, some, order, steady)
                alpha, rho = nodes.alpha(self.potential), self._units[side][nodes.number, None]
                cost = float((nodes.weights * rho * self.potential.cost(alpha)).sum())
                samples.append(Sample(side, nodes, rho * np.copysign(alpha, nodes.rows.g), cost, None))
        return replace(state, samples=tuple(samples))

    def _layout(self, function: DualFunction, side: int) -> tuple[int, float]:
        """Nodes per cell for `sampled`, and up to which change of g they are laid out in c: fewer if that costs little."""
        least = max(_FEWEST, sum(self.curvature_degrees or ()))
        if least >= _PLAIN or not self.reuses:
            return max(_PLAIN, least), STEADY
        changes = self.grid.changes(function, side)
        between = (changes > _STEADIER) & (changes <= STEADY)
        if between[self.grid.frame.outer].any() or np.count_nonzero(between) > _BETWEEN * changes.size:
            return _PLAIN, STEADY  # beyond the data cells are long: rounding of their coordinates would show
        return least, _STEADIER

    @property
    def reuses(self) -> bool:
        """Whether there are so many cells that integrals are reused."""
        return self.grid.frame.piece.size > _FEW

    @property
    def _sides(self) -> tuple[int, ...]:
        return (1,) if self.equations.sides_agree else (1, -1)

    def _response(self, side: int, nodes: GradedNodes) -> Response:
        """Of one side, or of both where they agree."""
        model = self._in_cells[side].take(nodes.number) if self._constant else self._model(side, nodes.nodes)
        alpha = {side: nodes.alpha(self.potential)[..., None]} if self._of_one_speed else None
        return model({side: nodes.rows.g}, alpha)

    def _model(self, side: int, c: Array) -> ResponseModel:
        law = self.law
        if self.equations.sides_agree:
            return ResponseModel.of_both(law, self.potential, c)
        return ResponseModel.at(law, self.potential, c, (side,))

    @cached_property
    def _speeds(self) -> int:
        """How many values of |w| stand for the law at one breakpoint, or at most of them."""
        if self._constant:
            return max(1, int(self._in_cells[1].rho[1].shape[-1]))
        edges = self.grid.cells.edges
        some = edges[np.linspace(0, edges.size - 1, _PROBES).astype(int)]
        return max(1, int(np.median([self._model(1, c[None, None]).rho[1].shape[-1] for c in some])))

    @property
    def _constant(self) -> bool:
        """Whether the law is constant on each cell."""
        return self.problem.initialization.breakpoint_law.degree == 0

    @property
    def curvature_degrees(self) -> tuple[int, int] | None:
        """Degrees of breakpoint and curvature in the coordinate of `Potential.unfold`, if both are polynomials in cells."""
        return self.potential.unfolded_degrees if self._of_one_speed else None

    @cached_property
    def _of_one_speed(self) -> bool:
        """Whether the law is constant on each cell and all |w| are 1: the coordinate is that of the curvature itself."""
        return self._constant and all(bool((model.v[side] == 1).all()) for side, model in self._in_cells.items())

    @property
    def exact(self) -> bool:
        """Whether integrals are known in closed form."""
        return self._by_parts is not None

    @cached_property
    def _by_parts(self) -> CellsByParts | None:
        """The cells, if integrals over them are known in closed form."""
        degrees = self.potential.unfolded_degrees if self._of_one_speed else None
        if degrees is None or self.potential.chord(np.ones(1), np.ones(1)) is None:
            return None
        frame = self.grid.frame
        mass = {side: units * frame.wide for side, units in self._units.items()}
        return CellsByParts(frame, self.equations, self.potential, degrees[0] + 1, mass)

    @cached_property
    def _units(self) -> dict[int, Array]:
        """Per side, the density of units in the cells, of a law that is constant on each; mixtures have several parts."""
        return {side: model.rho[side].sum(axis=-1)[:, 0] for side, model in self._in_cells.items()}

    @cached_property
    def _in_cells(self) -> dict[int, ResponseModel]:
        """Per side, the model in the cells, for a law that is constant on each."""
        middles = (self.grid.cells.edges[:-1] + self.grid.cells.edges[1:])[:, None] / 2
        return {side: self._model(side, middles) for side in self._sides}

    def _known(self, function: DualFunction, side: int, near: DualState | None) -> tuple[Integrals, NDArray[np.intp] | None]:
        """What is known of the integrals from `near`, 0 elsewhere; and which cells are to be integrated, None: all."""
        piece = self.grid.frame.piece
        if near is not None and self.reuses:
            old = near.function
            moved = old.nodal[side] != function.nodal[side]
            turned = [old.beta != function.beta or old.values[0] != function.values[0]]
            stale = np.concatenate([turned, moved[:-1] | moved[1:], turned])
            cells = np.flatnonzero(stale[piece])
            if cells.size < _STALE * piece.size:
                table = near.integrals[side].table.copy()
                table[:, stale] = 0.0
                return Integrals(table), cells
        return Integrals(np.zeros((8, self.equations.x.size + 1))), None

    def _state(self, function: DualFunction, integrals: dict[int, Integrals], samples: tuple[Sample, ...]) -> DualState:
        equations = self.equations
        made, load = equations.gathered({side: of.moments for side, of in integrals.items()}, sizes=_SECOND)
        pairing, residual = float((self._target * function.unknowns(free=equations.free)).sum()), self._target - made
        objective, error = pairing - sum(of.conjugate for of in integrals.values()), misfit(residual, self._scale, load)
        return DualState(self, function, integrals, objective, abs(pairing), made, residual, load, error, samples)

    @cached_property
    def _target(self) -> Array:
        return self.equations.target(self.y)

    @cached_property
    def _scale(self) -> Array:
        return self.equations.scale(self.y)

    def misfit_of_finest(self, function: DualFunction) -> float:
        r"""The misfit there with the finest rule for |w|, 0 if rules are exact or |\alpha| too flat to ask much of them."""
        if self._speeds == 1 or self.problem.limit_potential.moment_order <= MODERATE:
            return 0.0
        finest = replace(self)
        finest.__dict__["law"] = self.law.finest()
        return finest.at(function).misfit

    def farther(self, check: DualState) -> IntegratedDual:
        """The same on a grid that reaches as far as the law matters at the state of a check, itself if its own does."""
        size = float(np.abs(self.y).max()) or 1.0
        samples = [(sample.nodes, sample.value) for sample in check.samples]
        finer = self.grid.farther(samples, self.law, size)
        return self if finer is None else replace(self, grid=finer)

    def refined(self, state: DualState, tolerance: float) -> tuple[IntegratedDual, DualState]:
        """The same on a grid that resolves the curvature at `state`, itself if its own does; and a check by more nodes."""
        dual, size = self, float(np.abs(self.y).max()) or 1.0
        for _ in range(_MAX_DEPTH):
            check = state if state.dual is dual and state.samples else dual.at(state.function, check=True)
            finer = dual.grid.refined(
                [(sample.nodes, sample.value) for sample in check.samples],
                self.law,
                size,
                _RESOLVED,
                _NEGLIGIBLE if self._speeds == 1 else _NEGLIGIBLE_OF_SPEEDS,
            )
            if finer is None:
                break
            dual = replace(self, grid=finer)
        if dual is self and state.misfit <= tolerance < check.misfit:
            halved = self.grid.halved()
            dual = self if halved is None else replace(self, grid=halved)
        return dual, check


def _blocks(size: int, cells: NDArray[np.intp] | None, step: int) -> Iterator[Any]:
    """Indices of `cells` out of `size`, at most `step` at once; None, twice: all of them."""
    if cells is None and size <= step:
        yield None
        return
    for first in range(0, size if cells is None else cells.size, step):
        yield slice(first, first + step) if cells is None else cells[first : first + step]
