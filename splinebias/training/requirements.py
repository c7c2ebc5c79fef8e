"""What is asked of a problem and a method before any network is drawn; none of it needs torch."""

from __future__ import annotations

from splinebias.errors import CapabilityError, DataError
from splinebias.limit.feasibility import check_reachable
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
    check_reachable(PosedProblem(problem))
    return method


def require_mobile_start(problem: Problem) -> None:
    r"""Refuse potentials whose mirror flow is undefined at the start, where output weights sit at zero.

    Raises
    ------
    DataError
        Unless :math:`0 < \phi''(0) < \infty`: at 0 the speed :math:`1/\phi''(0)` would be infinite or zero.
    """
    curvature = problem.phi.hess_at_zero
    if 0 < curvature < float("inf"):
        return
    speed = "infinitely fast" if curvature == 0 else "not at all"
    fix = "add a quadratic part" if curvature == 0 else "use p >= 2 or sb.Hypentropy"
    raise DataError(
        f"training needs a potential with 0 < phi''(0) < inf, got phi''(0) = {curvature:g} for {problem.phi!r}: "
        f"output weights at zero would move {speed}; {fix}, e.g. {_example(problem)}"
    )


def _example(problem: Problem) -> str:
    p = getattr(problem.phi, "p", 0.0)
    return f"sb.Power({p:g}, quadratic=1)" if p > 2 else "sb.Hypentropy(0.1)"
