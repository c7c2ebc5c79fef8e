"""The quadrature cells of a problem, computed once for the check of the data and for the solve."""

from __future__ import annotations

from functools import lru_cache

from splinebias.potential import Quadratic
from splinebias.problem import Problem
from splinebias.quadrature import Cells, integration_cells


@lru_cache(maxsize=4)
def problem_cells(problem: Problem) -> Cells:
    """Cells that hold the data of `problem` and resolve its law."""
    return integration_cells(problem.initialization.breakpoint_law, problem.data.x, _order(problem))


def _order(problem: Problem) -> int:
    """Nodes per cell: 2 where zeta is constant between knots, fewer where the data are dense, else 16."""
    law = problem.initialization.breakpoint_law
    if law.degree is not None and isinstance(problem.limit_potential, Quadratic):
        return law.degree + 2
    return 16 if problem.data.size < 300 else 8 if problem.data.size < 5000 else 4
