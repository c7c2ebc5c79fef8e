r"""Cells on which second moments of influences are resolved, or the finding that these are infinite.

The influence of a neuron grows with :math:`\alpha`, its variance with :math:`\alpha^2`: cells that reach as far as the limit
asks may end too early for it. With hypentropy, :math:`\alpha` grows like :math:`e^g` beyond the data, and a law with
exponential tails has a variance only if g is flat enough.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from splinebias._arguments import Array
from splinebias.errors import DataError
from splinebias.initialization.breakpoints import Side
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.limit.dual.panel_refinement import PanelGrid, PanelNodes
from splinebias.limit.dual.response import ResponseModel
from splinebias.problem import Problem

_ROUNDS = 80
_RESOLVED, _NEGLIGIBLE = 1e-11, 1e-14  # of second moments: coefficients, and shares that are left alone
_LOST = 1e-10  # share that may be beyond doubles


def grid_of_squares(problem: Problem, dual: DualFunction, grid: PanelGrid, sides: tuple[Side, ...]) -> PanelGrid:
    r""":math:`E[w^2 \alpha^2 \mid c]` at the dual function `dual` resolved, starting from `grid`.

    `sides` : the units, in the order of ``dual.sides``.

    Raises
    ------
    DataError
        If its second moment about the data is infinite, or beyond doubles.
    """
    law, size = problem.breakpoint_law(2), 0.0
    for _ in range(_ROUNDS):
        samples, lost = [], []
        for side, g in zip(sides, dual.sides, strict=True):
            nodes = grid.at(g)
            model = ResponseModel.at(side, grid.unfolding.potential, nodes.nodes)
            far = _lever(nodes, problem.data.x)
            square, seen = (far * m(nodes.rows.g).square for m in (model, replace(model, faint=None)))
            samples.append((nodes, square))
            lost.append((nodes.weights * far * (square - seen)).sum())
        size = sum((nodes.weights * _lever(nodes, problem.data.x) * square).sum() for nodes, square in samples)
        if not np.isfinite(size):
            break
        finer = grid.refined(samples, law, np.inf, _RESOLVED, _NEGLIGIBLE)
        if finer is None and sum(lost) <= _LOST * size:
            return grid
        if finer is None:
            break
        grid = finer
    raise DataError(
        "one neuron's contribution has no finite variance, or one beyond doubles: its curvature outgrows the tails of the "
        "law, and errors shrink more slowly than n^(-1/2); choose lighter tails, smaller data or a less steep potential"
    )


def _lever(nodes: PanelNodes, x: Array) -> Array:
    """Distances from the data in units of their span, at least 1: influences grow with them."""
    away = np.maximum(np.maximum(x[0] - nodes.nodes, nodes.nodes - x[-1]), 0.0)
    return np.asarray(1 + away / (x[-1] - x[0]))
