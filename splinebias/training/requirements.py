"""What is asked of a problem and a method before any network is drawn; none of it needs torch."""

from __future__ import annotations

from splinebias.errors import CapabilityError, DataError
from splinebias.limit.hypotheses import require_mobile, require_reachable
from splinebias.limit.posed_problem import PosedProblem
from splinebias.problem import Problem
from splinebias.training.flow.flow import MirrorFlow
from splinebias.training.method import TrainingMethod


def checked_method(problem: Problem, method: TrainingMethod | None) -> TrainingMethod:
    """The method to use, after every check of the problem that costs nothing."""
    if not isinstance(problem, Problem):
        raise DataError(f"`problem` must be an sb.Problem, got {problem!r}; build one with sb.Problem(data, initialization)")
    method = MirrorFlow() if method is None else method
    if not isinstance(method, TrainingMethod):
        hint = "; call it: add ()" if isinstance(method, type) else ""
        raise DataError(f"`method` must be a training method such as sb.MirrorDescent(), got {method!r}{hint}")
    require_mobile_start(problem)
    missing = method.supports(problem)
    if missing is not None:
        raise CapabilityError(f"{type(method).__name__} cannot take this problem: {missing}")
    require_reachable(PosedProblem(problem))
    return method


def require_mobile_start(problem: Problem) -> None:
    r"""Refuse potentials whose mirror flow is undefined at the start, where output weights sit at zero.

    Raises
    ------
    DataError
        Unless :math:`0 < \phi''(0) < \infty`: at 0 the speed :math:`1/\phi''(0)` would be infinite or zero.
    """
    require_mobile(problem.phi, "training")
