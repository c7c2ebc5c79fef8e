r"""Networks that do not start at zero: what training adds to the start function is the limit of the residual.

.. math:: f = f_0 + h, \qquad h \text{ of least cost with } h(x_i) = y_i - f_0(x_i)

(Jin & Montufar 2023: their theorems are about f - f_0). The same at all times of training.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from splinebias.errors import DataError
from splinebias.functions.sums import FunctionSum, as_function
from splinebias.limit.prediction import Prediction
from splinebias.problem import Problem


def residual_problem(problem: Problem, start: Any) -> tuple[Problem, Any]:
    """The problem whose data are the residuals of the start function, and that function.

    Raises
    ------
    DataError
        If `start` is no function, or is not finite (or not of the shape of x) at the data.
    """
    function, data = as_function(start, "start"), problem.data
    values = np.asarray(function(data.x), dtype=float)
    if values.shape != data.y.shape:
        raise DataError(
            f"`start` must map x of shape {data.x.shape} to values of shape {data.y.shape}, got shape {values.shape}; of a "
            "batch of networks give one"
        )
    if not np.isfinite(values).all():
        bad = np.flatnonzero(~np.isfinite(values))[0]
        raise DataError(f"`start` must be finite at the data, got {values[bad]} at x = {data.x[bad]}")
    return problem.with_ordinates(data.y - values), function


def shifted(prediction: Prediction, problem: Problem, start: Any) -> Prediction:
    """The prediction of the residuals as one of the data of `problem`, from the start function on."""
    return replace(prediction, problem=problem, function=FunctionSum((start, prediction.function)), start=start)
