"""What every solver returns, and the interface that every solver has."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from splinebias._arguments import real_number
from splinebias._array import Array
from splinebias._result import DrawnFunction
from splinebias.errors import CapabilityError, DataError, Outcome
from splinebias.functions.piecewise import PiecewiseLinear, WeightedSpline
from splinebias.functions.several_inputs import PointFunction
from splinebias.functions.smooth_units import SmoothUnits
from splinebias.functions.sums import FunctionSum
from splinebias.limit.hypotheses import require_limit
from splinebias.limit.posed_problem import PosedProblem
from splinebias.parameterization import Standard

if TYPE_CHECKING:
    from splinebias.limit.dual.dual_function import DualFunction
    from splinebias.limit.neighbour import Reached
    from splinebias.problem import Problem


@dataclass(frozen=True, eq=False)
class Prediction(DrawnFunction):
    r"""The infinite-width limit of a Problem; ``prediction(x, nu=0)`` is its function.

    Attributes
    ----------
    problem : Problem
        What was solved.
    function : WeightedSpline, FunctionSum, PointFunction, SmoothUnits or PiecewiseLinear
        The limit f; from a start function on, the sum of that and of `change`. Of several inputs, a `PointFunction`, which
        takes points of shape (..., d) and has a `gradient`. With `MeanField`, piecewise linear: that of particles.
    penalty : float
        The cost of `change`: :math:`E[\alpha^2] = y^T\lambda` for unscaled potentials, :math:`E[D_\phi(\alpha, 0)]` for
        scaled ones; with `NTK`, :math:`y^T\lambda` is the squared distance that all parameters move.
    residual : float
        Optimality residual: how far the data are from the function, measured locally (the shift of one ordinate against
        its neighbours), relative to max |y|. Stationarity holds by construction. GridSolver: the larger of the
        relative misfit and the relative duality gap of its discretized problem. Smooth activations and `MeanField`: what two
        rules or populations differ by. Of all but GridSolver and `MeanField`, `predict` adds what a spot check finds that
        shares no quadrature, truncation or elimination with the solver (``stats["second_opinion"]``, docs/reliability.md).
    outcome : Outcome
        CONVERGED, or INACCURATE when the residual is above the solver's tolerance.
    multipliers : Array, shape (M,)
        The dual variables :math:`\lambda_i` with :math:`\phi'(\alpha(w, b)) = \sum_i \lambda_i \sigma(w x_i + b)`; in
        quadratic problems :math:`f = \sum_i \lambda_i K(\cdot, x_i)`, plus a line if that is free, with the kernel K of
        `tangent_kernel`.
    stats : dict
        Solver, cells, iterations, seconds.
    dual_function : DualFunction or None
        The dual functions :math:`g_\pm(c) = \sum_i \lambda_i \sigma(\pm(x_i - c))` in the coordinates of the solver, where
        it has them: the multipliers are their second differences and lose digits where data are dense.
    start : callable or None
        The function f_0 at time 0 that was asked for; None: zero. Penalty, multipliers and residual are those of `change`.
    reached : Reached or None
        Where the solve of a dual ended, for ``predict(problem, warm=prediction)``; None: nothing to begin with.
    """

    problem: Problem
    function: PiecewiseLinear | WeightedSpline | FunctionSum | PointFunction | SmoothUnits
    penalty: float
    residual: float
    outcome: Outcome
    multipliers: Array
    stats: dict[str, Any] = field(default_factory=dict)
    dual_function: DualFunction | None = None
    start: Any = None
    reached: Reached | None = field(default=None, repr=False)

    @property
    def change(self) -> WeightedSpline:
        """What training adds to the start function: f - f_0, the weighted spline of the theorems.

        Raises
        ------
        CapabilityError
            If neurons are smooth: it is no spline then; see `function`.
        """
        changed = self.function.parts[-1] if isinstance(self.function, FunctionSum) else self.function
        if isinstance(changed, SmoothUnits):
            raise CapabilityError(
                f"what training adds to {self.problem.activation!r} networks is no spline; take `function`"
            )
        assert isinstance(changed, WeightedSpline)
        return changed

    @property
    def advice(self) -> str:
        """What to do about an outcome that is not ok, and about a law with few breakpoints among the data; mostly empty.

        Worked out when asked for; `print` and notebooks show it.
        """
        from splinebias.rescaling import few_breakpoints

        few = "" if self.problem.without_breakpoints is not None else few_breakpoints(self.problem)
        return "; ".join(filter(None, ["" if self.outcome.ok else self.outcome.value, few]))

    def __repr__(self) -> str:
        return (
            f"Prediction({self.problem.describe()}; penalty {self.penalty:.6g}, residual {self.residual:.1e}, "
            f"{self.outcome})"
        )

    def __str__(self) -> str:
        return f"{self!r}; {self.advice}" if self.advice else repr(self)


class Solver(ABC):
    """A way to solve a Problem exactly or approximately.

    Attributes
    ----------
    tolerance : float
        Relative optimality residual above which the outcome is INACCURATE.
    exact : bool
        Whether the function is the limit up to rounding, which `predict` then checks in its own way (`second_opinion`).
    """

    tolerance: float = 1e-10
    exact: ClassVar[bool] = True

    def __post_init__(self) -> None:
        real_number(self.tolerance, "tolerance", above=0)

    @abstractmethod
    def supports(self, problem: Problem) -> str | None:
        """None if the problem can be taken, else the missing capability and what has it, in words."""

    @abstractmethod
    def solve_posed(self, posed: PosedProblem) -> Prediction:
        """The infinite-width limit of a problem that `supports` accepts."""

    def solve(self, problem: Problem) -> Prediction:
        """The infinite-width limit, without the checks of `predict`.

        Raises
        ------
        CapabilityError
            If `supports` names a missing capability.
        """
        began = time.perf_counter()
        require(self, problem)
        return timed(self.solve_posed(PosedProblem(problem)), began)


def timed(prediction: Prediction, began: float) -> Prediction:
    """The prediction with ``stats["seconds"]`` since `began`: what was prepared before the solve counts too."""
    return replace(prediction, stats=prediction.stats | {"seconds": time.perf_counter() - began})


def beyond_bending(problem: Problem) -> str | None:
    """Why `problem` is no weighted second-derivative problem, in words, or None: solvers of those alone ask this."""
    if problem.without_breakpoints is not None:
        return problem.without_breakpoints
    if problem.activation.two_slopes is None:
        return (
            f"it takes two-slope activations only and the activation is {problem.activation}; "
            "PowerSolver and KernelSolver take its quadratic problems"
        )
    if not isinstance(problem.parameterization, Standard):
        return f"it takes Standard() networks only, got {problem.parameterization}; KernelSolver takes it"
    return None


def require(solver: Solver, problem: Problem) -> None:
    """Raise CapabilityError if `solver` cannot take `problem`, DataError if it is no solver at all."""
    if not isinstance(solver, Solver):
        hint = "; call it: add ()" if isinstance(solver, type) else ""
        raise DataError(f"`solver` must be a solver such as sb.DualSolver(), got {solver!r}{hint}")
    require_limit(problem)
    missing = solver.supports(problem)
    if missing is not None:
        raise CapabilityError(f"{type(solver).__name__} cannot take this problem: {missing}")
