r"""Newton steps of the dual, taken in the mirror image of its variables.

The curvature that a dual value g makes is about :math:`\alpha = (\phi')^{-1}(g)`, and the equations to solve are almost
linear in :math:`\alpha` whatever :math:`\phi` is, while in g they are as curved as :math:`(\phi')^{-1}`. A Newton step
:math:`\delta` is therefore taken as :math:`\alpha + \delta/\phi''(\alpha)` at every data point, which is the same to
first order. The same map turns the solution of the quadratic problem into a start for any other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import Array
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.potential import Potential

_SMALL = 1e-4  # relative size of a step up to which steps in g and in alpha are the same


class _Column(NamedTuple):
    """Values at the two ends of the line, and per side at the data."""

    line: Array
    sides: dict[int, Array]


def mirrored(phi: Potential, start: DualFunction, step: DualFunction, *, free: bool, steeper: bool = True) -> DualFunction:
    """The increment of `start` for the Newton step `step`.

    `steeper` : whether at a data point the side that bends more as g moves takes the step, or the other one.
    """
    sides = (1,) if start.symmetric else (1, -1)
    curvature = {side: start.curvature(phi, side) for side in sides}
    plus = None
    if not start.symmetric:
        steep = {side: 1 / phi.hess(curvature[side]) for side in sides}
        plus = (steep[1] >= steep[-1]) == steeper
    line = _largest(start) * start.line_ends
    columns = [
        _Column(line, start.nodal),
        _Column(line if free else np.asarray(phi.grad_inverse(line)), curvature),
        _Column(_largest(start) * step.line_ends, step.nodal),
    ]
    return _nodewise(start, columns, partial(_mirror, phi), plus, free=free)


def through_mirror(phi: Potential, dual: DualFunction, *, free: bool, before: Potential | None = None) -> DualFunction:
    r"""Has :math:`\phi'` of the values of `dual` at the data, or of the curvature they make with the potential `before`.

    It is made of those values, not by increments of `dual`: where these are larger by powers of ten, their rounding would
    stay, and :math:`g_+ - g_- = \ell` be lost.
    """
    plus = None if dual.symmetric else np.abs(dual.nodal[1]) >= np.abs(dual.nodal[-1])
    columns = [_Column(_largest(dual) * dual.line_ends, dual.nodal)]
    curvature = before.grad_inverse if before is not None else np.asarray
    return _nodewise(dual, columns, lambda old: np.asarray(phi.grad(curvature(old))), plus, free=free)


def _largest(dual: DualFunction) -> float:
    """Factor of the line in the dual value that counts at its ends."""
    return max(abs(dual.activation.right), abs(dual.activation.left))


def _mirror(phi: Potential, old: Array, start: Array, change: Array) -> Array:
    r"""Increments of dual values, whose :math:`\alpha` is `start`, for a step of `change`, taken in that where it is wise.

    It is not where that moves g more than the step itself, as at a sign change, where :math:`1/\phi''` is infinite; nor
    where the two hardly differ, because `change` is known with its own relative precision.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # such steps are not taken
        moved = phi.grad(start + change / phi.hess(start)) - old
        size = np.abs(change)
        taken = (np.abs(moved) < size) & (size > _SMALL * np.abs(old)) & (start != 0)
    return np.where(taken, moved, change)


def _nodewise(
    start: DualFunction,
    columns: list[_Column],
    rule: Callable[..., Array],
    plus: NDArray[np.bool_] | None,
    *,
    free: bool,
) -> DualFunction:
    """The increment of `start` that is `rule` (columns) at the data.

    Inside, a data point has one unknown and two dual values: g_+ counts where `plus`, else g_-; None: they agree.
    At the ends it is the line that matters, of slope and offset the two unknowns that are left.
    """
    factor: float | Array = start.factor(1)
    if plus is None:
        values = [column.sides[1] for column in columns]
    else:
        values = [np.where(plus, column.sides[1], column.sides[-1]) for column in columns]
        factor = np.where(plus, start.factor(1), start.factor(-1))
    if free:
        return DualFunction.through(start.x, rule(*values), np.zeros(2), factor, start.activation)
    found = rule(*(np.concatenate([column.line, at]) for column, at in zip(columns, values, strict=True)))
    return DualFunction.through(start.x, found[2:], found[:2] / _largest(start), factor, start.activation)
