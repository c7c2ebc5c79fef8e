r"""The whole training trajectory at infinite width, from the zero function to the limit (theory section 6)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from splinebias._array import Array
from splinebias._result import Drawn, frame_of, table_points
from splinebias.errors import CapabilityError, Outcome
from splinebias.functions.piecewise import PiecewiseLinear, WeightedSpline
from splinebias.functions.several_inputs import PointFunction
from splinebias.functions.smooth_units import SmoothUnits
from splinebias.functions.sums import FunctionSum
from splinebias.limit.kernels.kernel_solver import KernelSolver
from splinebias.limit.kernels.power_solver import PowerSolver
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.prediction import Prediction, beyond_bending
from splinebias.limit.trajectory.linear_flow import LinearFlow
from splinebias.limit.trajectory.radau import TOLERANCE
from splinebias.limit.trajectory.scaled_flow import ScaledFlow
from splinebias.parameterization import Standard
from splinebias.problem import Problem


@dataclass(frozen=True, eq=False)
class Path(Drawn):
    r"""What infinitely wide networks compute during training; ``path(x)`` has one row per time.

    Attributes
    ----------
    problem : Problem
        What is fitted.
    times : Array, shape (T,)
        Training times t = n * (sum of learning rates), in the order asked for; infinity stands for the limit.
    predictions : tuple of Prediction
        One per time. `multipliers` are those of that time; `penalty` is the least cost of any function through the same
        values at the data, and f_t has it. ``stats["loss"]`` and ``stats["time"]`` hold the loss and the time reached.
    """

    problem: Problem
    times: Array
    predictions: tuple[Prediction, ...]

    @property
    def functions(self) -> tuple[PiecewiseLinear | WeightedSpline | FunctionSum | PointFunction | SmoothUnits, ...]:
        """f_t, one per time."""
        return tuple(prediction.function for prediction in self.predictions)

    @property
    def losses(self) -> Array:
        r""":math:`L = \frac{1}{2 \sum m} \sum_i m_i (f_t(x_i) - y_i)^2`, with the data's weights m, shape (T,)."""
        return np.array([prediction.stats["loss"] for prediction in self.predictions])

    @property
    def outcome(self) -> Outcome:
        """REACHED_TIME if every time was reached, else the first outcome that says why not."""
        return next((p.outcome for p in self.predictions if not p.outcome.ok), Outcome.REACHED_TIME)

    def __call__(self, x: Any, nu: int = 0) -> Array:
        """Derivative number `nu` of every f_t at `x`, shape (T, \\*x.shape); of several inputs (T, ...) for (..., d)."""
        return np.stack([f(x, nu) for f in self.functions])

    def to_frame(self, x: Any = None) -> Any:
        """The functions as a pandas DataFrame with columns ``time``, ``x`` and ``f``; `x` as in `Prediction.to_frame`.

        Raises
        ------
        CapabilityError
            If pandas is not installed.
        """
        x = table_points(self.problem.data, x)
        columns = {"time": np.repeat(self.times, x.size), "x": np.tile(x, self.times.size), "f": self(x).ravel()}
        return frame_of(columns)

    def __repr__(self) -> str:
        first, last = self.times.min(), self.times.max()
        return f"Path({self.problem.describe()}; {self.times.size} times from {first:g} to {last:g}, {self.outcome})"


def require_finite_times(problem: Problem) -> None:
    """Raise CapabilityError if no method follows the training of `problem`."""
    if beyond_bending(problem) is None:
        return
    solver = PowerSolver() if isinstance(problem.parameterization, Standard) else KernelSolver()
    if (missing := solver.supports(problem)) is not None:
        raise CapabilityError(f"finite training times cannot take this problem: {missing}")


def flow_of(posed: PosedProblem, tolerance: float = TOLERANCE) -> LinearFlow | ScaledFlow:
    """The infinite-width flow of a problem; `tolerance` is that of steps where there is no closed form."""
    return LinearFlow.of(posed) if posed.problem.linear else ScaledFlow.of(posed, tolerance)


def follow(posed: PosedProblem, times: Array, limit: Callable[[Problem], Prediction]) -> Path:
    """The path at `times` >= 0, in any order; `limit` solves for time infinity."""
    distinct = np.unique(times)
    finite = distinct[np.isfinite(distinct)]
    found = dict(zip(finite.tolist(), flow_of(posed).at(finite), strict=True)) if finite.size else {}
    if distinct[-1] == math.inf:
        found[math.inf] = _with_loss(limit(posed.problem))
    return Path(posed.problem, times, tuple(found[t] for t in times.tolist()))


def multiplier_path(problem: Problem, times: Array, tolerance: float = TOLERANCE) -> Array:
    r""":math:`\lambda(t)` at finite times >= 0, in any order, shape (T, M), without making the functions f_t.

    A time costs no more than an interpolation, so that integrals along the path can have thousands. With a scaled
    potential y - f is followed to `tolerance`, relative to its start. NaN where a flow with a
    scaled potential could not be followed so far. Raises as `predict_path`.
    """
    require_finite_times(problem)
    distinct, place = np.unique(times, return_inverse=True)
    return flow_of(PosedProblem(problem), tolerance).multipliers(distinct)[place]


def _with_loss(limit: Prediction) -> Prediction:
    """The limit with its time and loss among the statistics."""
    data = limit.problem.data
    residual = limit.function(data.x) - data.y
    loss = float(data.weights @ residual**2 / data.weights.sum()) / 2
    return replace(limit, stats=limit.stats | {"time": math.inf, "loss": loss})
