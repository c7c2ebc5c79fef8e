"""What a prediction leaves behind for its neighbours: where Newton's method may begin, and the cells that it needed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from splinebias._array import Array
from splinebias.limit.dual.dual_function import DualFunction, LineFrame
from splinebias.limit.dual.panel_refinement import PanelGrid
from splinebias.numerics.cells import Cells, with_points
from splinebias.problem import Problem

GRID_TOO = "start and grid"  # what helped
_FAR = 8.0  # by how much the size of the data may change
_GROWN = 1.5  # cells after refinements for one neighbour after another, relative to those of a solve from the beginning


@dataclass(frozen=True, eq=False)
class Reached:
    r"""Where a solve of the dual ended.

    Attributes
    ----------
    function : DualFunction
        The maximum, in units in which curvature is of order 1.
    grid : PanelGrid
        The rule that resolved the curvature, with the potential in these units.
    size : float
        The s of these units, see `IntegratedDual`.
    largest : float
        The largest ordinate of its data.
    coarse : Cells
        Those that resolve the law, with which it began.
    fresh : int
        How many cells a solve from the beginning ended with.
    """

    function: DualFunction
    grid: PanelGrid
    size: float
    largest: float
    coarse: Cells
    fresh: int


@dataclass(frozen=True, eq=False)
class Neighbour:
    r"""What of a prediction helps with another problem.

    Attributes
    ----------
    reached : Reached
        Where its solve ended.
    problem : Problem
        What it was the limit of.
    x : Array, shape (M,)
        The data abscissae of the other problem.
    same_law : bool
        Whether the law is the same: then the cells that resolve it are, too.
    """

    reached: Reached
    problem: Problem
    x: Array
    same_law: bool

    @classmethod
    def of(cls, problem: Problem, before: Problem, reached: Reached | None) -> tuple[Neighbour | None, str]:
        """What the solve of the problem `before` gives `problem`, in words, too; None, and why, if it gives nothing."""
        if reached is None:
            return None, "nothing: that prediction was not solved on the dual"
        if before.data.size != problem.data.size:
            return None, f"nothing: that prediction has {before.data.size} points, not {problem.data.size}"
        if (before.activation, before.affine) != (problem.activation, problem.affine):
            return None, "nothing: that prediction has another activation or affine part"
        if not reached.largest / _FAR <= np.abs(problem.data.y).max() <= reached.largest * _FAR:
            return None, "nothing: data of another size"
        x, same_x = problem.data.x, np.array_equal(before.data.x, problem.data.x)
        if not same_x and reached.function.frame != LineFrame.of(before.data.x):
            return None, "nothing: the points moved, and they are far from the breakpoints"
        same_law = before.initialization == problem.initialization
        found = cls(reached, before, x, same_law)
        return found, GRID_TOO if same_law else "start"

    @cached_property
    def coarse(self) -> Cells:
        """Cells that resolve the law and hold the data."""
        return self._moved(self.reached.coarse)

    def grid(self, fresh: PanelGrid) -> PanelGrid:
        """The rule to begin with, in place of a `fresh` one: as it is where too many refinements would gather."""
        old = self.reached.grid
        if not self.same_law or old.cells.edges.size > _GROWN * self.reached.fresh:
            return fresh
        breaks = old.breaks if old.breaks.size > fresh.breaks.size else fresh.breaks
        before, after = old.folds
        before = before if before is not None and before.edge < self.x[0] else None
        after = after if after is not None and after.edge > self.x[-1] else None
        split = old.split or fresh.split
        return replace(fresh, cells=self._moved(old.cells), split=split, breaks=breaks, folds=(before, after))

    def function(self, frame: LineFrame) -> DualFunction:
        """The dual function of the prediction, at the data of the other problem; `frame` is that of its equations."""
        old = self.reached.function
        if np.array_equal(old.x, self.x) and old.frame == frame:
            return old
        slope = old.beta / old.span * float(self.x[-1] - self.x[0])
        height = float(old.line(np.array(frame.first)))
        u = old.values[1:-1] if old.free else np.concatenate([[slope, height], old.values[1:-1]])
        return DualFunction.of(self.x, u, old.activation, free=old.free, frame=frame)

    def _moved(self, cells: Cells) -> Cells:
        """Cells with the new data at their ends in place of the old ones, unless the law has a knot there."""
        old, law = self.problem.data.x, self.problem.initialization.breakpoint_law
        if np.array_equal(old, self.x):
            return cells
        fixed = np.concatenate([law.knots, law.support])
        kept = cells.edges[~np.isin(cells.edges, old) | np.isin(cells.edges, fixed)]
        return Cells(with_points(self.x, kept), cells.order, cells.resolved)
