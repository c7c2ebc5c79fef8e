r"""The published way to the limit: node values on a grid, data moved to the nearest node, a general convex solver.

Written out from the formulas of Liang & Montúfar (2025) for W = ±1 and B uniform on (-1, 1), in the discretization of the
paper's own notebooks: 501 nodes on [-1.5, 1.5], second differences, sums for integrals. `solve_as_published` also states the
problem as they do, with the two outer slopes as unknowns and one constraint after the other; `solve` states it for cvxpy as
well as we can, in vectors.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cvxpy as cp
import numpy as np

import splinebias as sb

_DENSITY, _SECOND_MOMENT = 0.5, 1 / 3  # of B: p_B on its support, and E[B^2]


class Found(NamedTuple):
    """Nodes and values of the solution."""

    x: Any
    values: Any

    def __call__(self, x: Any) -> Any:
        return np.interp(x, self.x, self.values)


class Grid(NamedTuple):
    """The grid, the unknown node values on it, their second differences at inner nodes, and the nodes next to the data."""

    x: Any
    step: float
    f: cp.Variable
    bend: cp.Expression
    at: list[int]

    @classmethod
    def of(cls, problem: sb.Problem, nodes: int) -> Grid:
        """For the data of a problem."""
        x, f = np.linspace(-1.5, 1.5, nodes), cp.Variable(nodes)
        step = x[1] - x[0]
        bend = (f[2:] - 2 * f[1:-1] + f[:-2]) / step**2
        return cls(x, step, f, bend, [int(np.abs(x - point).argmin()) for point in problem.data.x])

    def found(self, cost: cp.Expression, constraints: list[cp.Constraint], solver: str) -> Found:
        """The minimizer."""
        cp.Problem(cp.Minimize(cost), constraints).solve(solver=solver)
        return Found(self.x, self.f.value)


def solve(problem: sb.Problem, solver: str, *, nodes: int = 501) -> Found:
    """The minimizer for ReLU and unscaled potentials, or Abs and |u|^p + eps u^2 scaled."""
    grid = Grid.of(problem, nodes)
    x, step, f, bend, at = grid
    c = x[1:-1]
    inside = np.abs(c) <= 1
    constraints = [f[at] == problem.data.y, bend[~inside] == 0]
    slopes = (f[-1] - f[-2] + f[1] - f[0]) / step
    offset = step * (np.abs(c) @ bend) - 2 * f[nodes // 2]
    if isinstance(problem.activation, sb.Abs):
        alpha = bend[inside] / (2 * _DENSITY)
        phi = problem.phi
        cost = cp.sum(cp.power(cp.abs(alpha), phi.p)) + phi.quadratic * cp.sum_squares(alpha)
        cost = step * _DENSITY * cost
        constraints += [slopes == 0, offset == 0]
    else:
        cost = step * cp.sum_squares(bend[inside]) / _DENSITY + cp.square(slopes) + cp.square(offset) / _SECOND_MOMENT
    return grid.found(cost, constraints, solver)


def solve_as_published(problem: sb.Problem, solver: str, *, nodes: int = 501) -> Found:
    """The same with 335 scalar constraints: outside data on [-1, 1], every difference equals the slope there."""
    grid = Grid.of(problem, nodes)
    _, step, f, bend, at = grid
    left, right = cp.Variable(), cp.Variable()
    slope = (f[1:] - f[:-1]) / step
    (first, *_, last), y = problem.data.x, problem.data.y
    constraints = [f[node] == value for node, value in zip(at, y, strict=True)]
    for node in range(at[0]):
        constraints += [slope[node] == left, slope[nodes - 2 - node] == right]
    for node in range(at[0] - 1):
        constraints += [bend[node] == 0, bend[nodes - 3 - node] == 0]
    offset = y[0] + y[-1] - first * left - last * right
    if isinstance(problem.activation, sb.Abs):
        alpha = bend / (2 * _DENSITY)
        phi = problem.phi
        cost = step * _DENSITY * cp.sum(cp.abs(alpha) ** phi.p + phi.quadratic * alpha**2)
        constraints += [left + right == 0, offset == 0]
    else:
        cost = step * cp.sum(bend**2) / _DENSITY + (left + right) ** 2 + offset**2 / _SECOND_MOMENT
    return grid.found(cost, constraints, solver)
