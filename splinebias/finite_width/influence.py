"""Which influences a problem has, and whether they exist: a unique limit and finite second moments."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from splinebias._arguments import Array
from splinebias.errors import DataError
from splinebias.finite_width.band_at_limit import BendInfluence, Influence
from splinebias.finite_width.band_in_modes import ModeInfluence
from splinebias.finite_width.band_on_path import PathInfluence
from splinebias.limit.hypotheses import dead_directions, require_moments
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.prediction import beyond_bending
from splinebias.limit.trajectory.linear_flow import is_linear
from splinebias.potential import Potential
from splinebias.problem import Problem


class InfluenceModel(Protocol):
    """Influences of the neurons of one problem at one training time."""

    def at(self, points: Array) -> Influence:
        """At increasing `points`, shape (N,)."""
        ...

    def mean_shift(self, points: Array, copies: int = 1) -> Array:
        """The limit of n E[f_n - f] at increasing `points`, shape (N,), if `copies` units share one draw."""
        ...


def copies_of(problem: Problem) -> int:
    """How many units share one draw of (w, b)."""
    return 1 if problem.initialization.output is None else 2


def growth(potential: Potential) -> float:
    r"""The a of :math:`(\phi')^{-1}(z) \sim z^a` for large z; infinity if it grows faster than all powers."""
    with np.errstate(over="ignore"):
        low, high = (float(potential.grad_inverse(np.float64(z))) for z in (1e30, 1e60))
    return math.log(high / low) / math.log(1e30) if math.isfinite(high) else math.inf


def influence_model(problem: Problem, multipliers: Array, time: float) -> InfluenceModel:
    """The influences of the neurons of `problem` at a training time, from the multipliers of its limit.

    Raises
    ------
    DataError
        If the limit is not unique.
    CapabilityError
        If no influences are known.
    """
    bends = beyond_bending(problem) is None
    if time == math.inf and bends:
        _require_unique(problem)
        return BendInfluence.of(problem, multipliers, _stiffness(problem) if is_linear(problem) else None)
    if is_linear(problem):
        return ModeInfluence.of(problem, time)
    return PathInfluence.of(problem, multipliers, time)


def _stiffness(problem: Problem) -> float:
    r""":math:`\phi''` in units of the multipliers of the limit."""
    return problem.phi.hess_at_zero if problem.scaled else 1.0


def check_spread(problem: Problem) -> None:
    r"""Raise DataError if :math:`E[u^2]` is infinite."""
    why = "errors then shrink more slowly than n^(-1/2); choose lighter tails"
    order = 2 * (1 + growth(problem.limit_potential))
    require_moments(problem, order, "one neuron's contribution has a finite variance only with", why, bias=not problem.free)


def _require_unique(problem: Problem) -> None:
    """Raise DataError if no neuron sees some direction, and say which."""
    dead = dead_directions(PosedProblem(problem))
    x = problem.data.x
    inner = np.flatnonzero(dead.points[1:-1]) + 1
    if inner.size:
        i = inner[0]
        raise DataError(
            f"the limit is not unique: no neuron can bend the function from x = {x[i - 1]:g} to {x[i + 1]:g}, so networks "
            f"cannot follow the point x = {x[i]:g}; use a law whose breakpoints -b/w reach it, or drop the point"
        )
    if dead.affine and not problem.free:
        what = "neither slope nor offset" if dead.affine == 2 else "one combination of slope and offset"
        raise DataError(
            f'H is singular: the neurons supply {what} of their own; use affine="free" or a law with breakpoints on '
            "both sides of the data"
        )
