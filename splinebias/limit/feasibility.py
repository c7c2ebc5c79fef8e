r"""Can the neurons of a law interpolate the data at all?

The kernel matrix is singular exactly when some nonzero :math:`\lambda` has :math:`g_\pm = 0` wherever :math:`\zeta_\pm > 0`.
In the coordinates of `dual_function` this is a question about which side has mass in which data interval.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias.errors import DataError
from splinebias.limit.dual.newton_system import solve_quadratic
from splinebias.limit.posed_problem import PosedProblem
from splinebias.parameterization import Standard
from splinebias.problem import Problem


class DeadDirections(NamedTuple):
    """Which unknowns no neuron sees.

    Attributes
    ----------
    points : Array of bool, shape (M,)
        Points without breakpoints on both neighbouring intervals.
    affine : int
        Number of dead directions among slope and offset: 0, 1 or 2.
    """

    points: NDArray[np.bool_]
    affine: int


def check_reachable(posed: PosedProblem) -> None:
    """Raise DataError if the data ask for a bend, slope or offset that no neuron of the law can supply.

    Raises
    ------
    DataError
        If some data point sits where zeta is zero on both neighbouring intervals and is not collinear with its
        neighbours, or the neurons supply no slope (or no offset) and the data have one.

    Notes
    -----
    A point on a stretch without breakpoints that is collinear with its neighbours is accepted: the function is affine
    there. With powers of ReLU the same is asked of k + 2 neighbouring points and polynomials of degree k.
    With `NTK` only the moments are checked; what is out of reach then shows in the residual.
    """
    problem = posed.problem
    check_moments(problem, problem.limit_potential.moment_order, bias=not problem.free)
    if not isinstance(problem.parameterization, Standard):
        return
    if problem.activation.two_slopes is None:
        _check_derivatives(posed)
        return
    dead = dead_directions(posed)
    x, y = problem.data.x, problem.data.y
    scale = np.abs(y).max() or 1.0
    at = np.flatnonzero(dead.points[1:-1]) + 1
    left, right = x[at] - x[at - 1], x[at + 1] - x[at]
    off_chord = (y[at] * (left + right) - y[at - 1] * right - y[at + 1] * left) / (left + right)
    bad = at[np.abs(off_chord) > 1e-12 * scale]
    if bad.size:
        i = bad[0]
        raise DataError(
            f"no neuron can bend the function near x = {x[i]:g} (the curvature density is zero from {x[i - 1]:g} to "
            f"{x[i + 1]:g}), but the data bend there; use a law whose breakpoints -b/w reach it, or drop the point"
        )
    if dead.affine and not problem.free and not _affine_reachable(posed):
        raise DataError(
            "the neurons supply no free slope or offset beyond the data (zeta vanishes on one side), and these data "
            'need one; use affine="free" or a law with breakpoints on both sides'
        )


def check_moments(problem: Problem, growth: float, *, bias: bool = True) -> None:
    r"""Raise DataError if the laws lack the moments that the neurons' features need.

    Parameters
    ----------
    problem : Problem
        Its laws and activation, of degree k.
    growth : float
        Growth order q of :math:`\phi^*`, 2 for quadratic problems: weight and bias need moments of order qk, for otherwise
        :math:`E[\phi^*(\lambda \sigma)]` is infinite for every nonzero slope and no minimum is attained.
    bias : bool
        Whether the bias law is looked at; its far tail makes offsets only.
    """
    order = growth * problem.activation.degree
    if order <= 2:
        return
    if (law := problem.initialization.pair_law.lacks_moment(order, weight_only=not bias)) is not None:
        wanted = "an exponential moment" if math.isinf(order) else f"a finite moment of order {order:g}"
        raise DataError(
            f"{problem.activation} with {problem.limit_potential} needs {wanted} of {law} has none: far neurons "
            "would make slopes at no cost; use lighter tails, a lower power of ReLU, or add a quadratic part to a power "
            "potential"
        )


def _check_derivatives(posed: PosedProblem) -> None:
    """`check_reachable` for powers of ReLU: no divided difference of the data may be out of reach of all neurons."""
    bad = posed.power_system.out_of_reach()
    if bad.size:
        raise DataError(
            f"no neuron can make the derivative number {posed.problem.activation.degree + 1} that the data have between "
            f"x = {bad[0]:g} and x = {bad[-1]:g} (the density zeta is zero there); use a law whose breakpoints -b/w reach "
            "it, or drop points"
        )


def dead_directions(posed: PosedProblem) -> DeadDirections:
    """The directions in which the kernel matrix is singular, from the masses of zeta per data interval and side."""
    problem, grid = posed.problem, posed.grid
    x, act = problem.data.x, problem.two_slopes
    has = {}
    for side in (1, -1):
        has[side] = np.zeros(x.size + 1, dtype=bool)
        has[side][grid.piece[(grid.zeta[side] > 0).any(axis=1)]] = True
    either = has[1] | has[-1]
    points = ~(either[:-1] | either[1:])
    if problem.free:
        return DeadDirections(points, 0)
    # G + (q/kink) line = 0 where side + has mass, G - (p/kink) line = 0 where side - has: both at a node force line = 0
    outer = (act.right != 0 and (has[1][0] or has[-1][-1])) or (act.left != 0 and (has[-1][0] or has[1][-1]))
    pinned = {side: has[side][:-1] | has[side][1:] for side in (1, -1)}
    pinned[1][-1] |= act.left == 0  # v_M = 0 by definition
    pinned[-1][0] |= act.left == 0  # v_1 = line(x_1) by definition
    conditions = 2 if outer else int(min(2, (pinned[1] & pinned[-1]).sum()))
    return DeadDirections(points, 2 - conditions)


def _affine_reachable(posed: PosedProblem) -> bool:
    """Whether the data lie in the range of the (singular) kernel matrix: decided by the O(M) solve itself."""
    return solve_quadratic(posed.system, posed.grid.zeta, posed.problem.data.y).misfit <= 1e-9
