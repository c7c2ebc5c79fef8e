"""predict for points of several inputs: checks, the start function, and one input by the solvers of the line."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from splinebias.data import Dataset, Points
from splinebias.errors import DataError
from splinebias.functions.several_inputs import OfOneInput, PointFunctionSum, values_at
from splinebias.functions.sums import as_function
from splinebias.limit.hypotheses import require_mobile
from splinebias.limit.prediction import Prediction, Solver, require
from splinebias.limit.several_inputs.input_system import require_points
from splinebias.limit.several_inputs.solver import PointsSolver
from splinebias.problem import Problem

_LARGEST = 1e50


def predict_points(
    problem: Problem, solver: Solver | None, times: list[float], start: Any, on_line: Callable[..., Prediction]
) -> tuple[Prediction, ...]:
    """Predictions at times >= 0 for `Points`; those of one input by `on_line`, which is `predict` for `Dataset`."""
    data = problem.data
    assert isinstance(data, Points)
    _check_range(data)
    if start is not None:
        function = as_function(start, "start")
        values = values_at(function, data.x, "start")
        residuals = replace(problem, data=data.with_ordinates(data.y - values))
        made = predict_points(residuals, solver, times, None, on_line)
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
    return tuple(chosen.at(problem, times))


def one_input(problem: Problem) -> Problem:
    """The problem of `Points` of one input as one of a `Dataset`, with a word that this is faster."""
    data = problem.data
    assert isinstance(data, Points)
    warnings.warn(
        "points of one input: sb.Dataset(x[:, 0], y) is faster and is taken by every verb", UserWarning, stacklevel=4
    )
    return replace(problem, data=Dataset(data.x[:, 0], data.y, data.weights))


def _check_range(data: Points) -> None:
    for name, size in (("|x|", np.abs(data.x).max()), ("|y|", np.abs(data.y).max())):
        if size > _LARGEST:
            raise DataError(f"predictions need {name} <= {_LARGEST:g}, got {size:g}; rescale the data")
