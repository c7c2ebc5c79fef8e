"""predict for points of several inputs: checks, the start function, and one input by the solvers of the line."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from splinebias._arguments import warn_caller
from splinebias.data import Dataset, Points
from splinebias.functions.several_inputs import OfOneInput, PointFunctionSum
from splinebias.limit.hypotheses import require_mobile, require_size
from splinebias.limit.prediction import Prediction, Solver, require
from splinebias.limit.several_inputs.input_system import require_points
from splinebias.limit.several_inputs.solver import SAMPLED, PointsSolver
from splinebias.limit.start_function import residual_problem
from splinebias.problem import Problem


def predict_points(
    problem: Problem,
    solver: Solver | None,
    times: list[float],
    start: Any,
    on_line: Callable[..., Prediction],
    checked: Callable[[Prediction, float], Prediction],
) -> tuple[Prediction, ...]:
    """Predictions at times >= 0 for `Points`, `checked` to a tolerance; of one input by `on_line`: `predict` itself."""
    data = problem.data
    assert isinstance(data, Points)
    require_size(data)
    if start is not None:
        residuals, function = residual_problem(problem, start)
        made = predict_points(residuals, solver, times, None, on_line, checked)
        return tuple(
            replace(p, problem=problem, function=PointFunctionSum((function, p.function)), start=function) for p in made
        )
    if data.inputs == 1:
        line = one_input(problem)
        found = [on_line(line, solver if t == math.inf else None, time=t) for t in times]
        return tuple(replace(p, problem=problem, function=OfOneInput(p.function)) for p in found)
    chosen = PointsSolver() if solver is None else solver
    require(chosen, problem)
    assert isinstance(chosen, PointsSolver), "no other solver takes points of several inputs"
    if not problem.scaled:
        require_mobile(problem.phi, "an unscaled potential", also=", or wrap it in sb.Scaled")
    require_points(problem)
    return tuple(
        checked(found, SAMPLED if found.stats["sampling_error"] else chosen.tolerance) for found in chosen.at(problem, times)
    )


def one_input(problem: Problem) -> Problem:
    """The problem of `Points` of one input as one of a `Dataset`, with a word that this is faster."""
    data = problem.data
    assert isinstance(data, Points)
    warn_caller("points of one input: sb.Dataset(x[:, 0], y) is faster and is taken by every verb")
    return replace(problem, data=Dataset(data.x[:, 0], data.y, data.weights))
