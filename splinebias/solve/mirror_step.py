r"""Newton steps of the dual, taken in the mirror image of its variables.

The curvature that a dual value g makes is about :math:`\alpha = (\phi')^{-1}(g)`, and the equations to solve are almost
linear in :math:`\alpha` whatever :math:`\phi` is, while in g they are as curved as :math:`(\phi')^{-1}`. A Newton step
:math:`\delta` is therefore taken as :math:`\alpha + \delta/\phi''(\alpha)` at every data point, which is the same to
first order. The same map turns the solution of the quadratic problem into a start for any other.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from splinebias._check import Array
from splinebias.potential import Potential
from splinebias.solve.dual_function import DualFunction

_SMALL = 1e-4  # relative size of a step up to which steps in g and in alpha are the same


def mirrored(phi: Potential, start: DualFunction, step: DualFunction, *, free: bool, steeper: bool = True) -> DualFunction:
    """The increment of `start` for the Newton step `step`.

    `steeper` : whether at a data point the side that bends more as g moves takes the step, or the other one.
    """
    plus = None
    if not start.symmetric:
        steep = {side: 1 / phi.hess(phi.grad_inverse(start.nodal[side])) for side in (1, -1)}
        plus = (steep[1] >= steep[-1]) == steeper
    return _nodewise(start, step, lambda old, change: _mirror(phi, old, change), plus, free=free)


def through_mirror(phi: Potential, dual: DualFunction, *, free: bool) -> DualFunction:
    r"""Has :math:`\phi'` of the values of `dual` at the data.

    It is made of those values, not by increments of `dual`: where these are larger by powers of ten, their rounding would
    stay, and :math:`g_+ - g_- = \ell` be lost.
    """
    plus = None if dual.symmetric else np.abs(dual.nodal[1]) >= np.abs(dual.nodal[-1])
    return _nodewise(dual, dual, lambda old, _: np.asarray(phi.grad(old)), plus, free=free)


def _mirror(phi: Potential, old: Array, change: Array) -> Array:
    r"""Increments of dual values for a step of `change`, taken in :math:`\alpha` where that is wise.

    It is not where :math:`\alpha` moves more than by a step in g, as at a sign change, where :math:`1/\phi''` is infinite;
    nor where the two hardly differ, because `change` is known with its own relative precision.
    """
    start, direct = phi.grad_inverse(np.array([old, old + change]))
    linear = change / phi.hess(start)
    taken = (np.abs(linear) < np.abs(direct - start)) & (np.abs(change) > _SMALL * np.abs(old)) & (start != 0)
    return np.where(taken, phi.grad(np.where(taken, start + linear, 0.0)) - old, change)


def _nodewise(
    start: DualFunction,
    step: DualFunction,
    rule: Callable[[Array, Array], Array],
    plus: NDArray[np.bool_] | None,
    *,
    free: bool,
) -> DualFunction:
    """The increment that is `rule` (values of `start`, those of `step`) at the data.

    Inside, a data point has one unknown and two dual values: g_+ counts where `plus`, else g_-; None: they agree.
    At the ends it is the line that matters, of slope and offset the two unknowns that are left.
    """
    act = start.activation
    factor: float | Array = start.factor(1)
    if plus is None:
        values = [f.nodal[1] for f in (start, step)]
    else:
        values = [np.where(plus, f.nodal[1], f.nodal[-1]) for f in (start, step)]
        factor = np.where(plus, start.factor(1), start.factor(-1))
    if free:
        return DualFunction.through(start.x, rule(*values), np.zeros(2), factor, act)
    size = max(abs(act.right), abs(act.left))
    found = rule(*(np.concatenate([size * f.line_ends, at]) for f, at in zip((start, step), values, strict=True)))
    return DualFunction.through(start.x, found[2:], found[:2] / size, factor, act)
