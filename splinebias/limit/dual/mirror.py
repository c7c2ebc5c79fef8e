r"""The mirror image of a dual function, the curvature that it makes, in which a Newton step is almost linear.

The curvature that a dual value g makes is about :math:`\alpha = (\phi')^{-1}(g)`, and the equations to solve are almost
linear in :math:`\alpha` whatever :math:`\phi` is, while in g they are as curved as :math:`(\phi')^{-1}`. A Newton step
:math:`\delta` is therefore taken as :math:`\alpha + \delta/\phi''(\alpha)` at every data point, which is the same to
first order. The same map turns the solution of the quadratic problem into a start for any other.

A data point has one unknown and up to two dual values: one of them counts. At the ends it is the line that matters, of slope
and offset the two unknowns that are left.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.potential import Potential


def mirrored(phi: Potential, start: DualFunction, curvature: Array, step: DualFunction) -> DualFunction:
    r"""The increment of `start` for the Newton step `step`.

    `curvature` is :math:`(\phi')^{-1}` of ``start.nodal``, same shape; `step` may be several steps from one `start`. At a
    data point the side that bends more as g moves takes the step.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # such steps are not taken
        steep = 1 / phi.hess(curvature)
        plus = steep[0] >= steep[-1]
        old, change = _counting(start, start.nodal, plus), _counting(step, step.nodal, plus)
        ends = phi.grad_inverse(old[..., :2])
        alpha = np.concatenate([ends, np.where(plus, curvature[0], curvature[-1])], axis=-1)
        moved, size = phi.grad(alpha + change / phi.hess(alpha)) - old, np.abs(change)
        # not where that moves g more than the step itself, as at a sign change, where 1/phi'' is infinite; nor where the
        # two hardly differ, because the step is known with its own relative precision
        taken = (np.abs(moved) < size) & (size > 1e-4 * np.abs(old)) & (alpha != 0)
    return _through(start, np.where(taken, moved, change), plus)


def through_mirror(phi: Potential, dual: DualFunction, before: Potential | None = None) -> DualFunction:
    r"""Has :math:`\phi'` of the values of `dual` at the data, or of the curvature they make with the potential `before`.

    It is made of those values, not by increments of `dual`: where these are larger by powers of ten, their rounding would
    stay, and :math:`g_+ - g_- = \ell` be lost.
    """
    plus = np.abs(dual.nodal[0]) >= np.abs(dual.nodal[-1])
    old = _counting(dual, dual.nodal, plus)
    return _through(dual, phi.grad(old if before is None else before.grad_inverse(old)), plus)


def _largest(dual: DualFunction) -> float:
    """Factor of the line in the dual value that counts at its ends."""
    return max(abs(dual.activation.right), abs(dual.activation.left))


def _counting(dual: DualFunction, nodal: Array, plus: NDArray[np.bool_]) -> Array:
    """The dual values that count, shape (..., 2 + M): at the ends of the line, and at the data those of one side each."""
    return np.concatenate([_largest(dual) * dual.line_ends, np.where(plus, nodal[0], nodal[-1])], axis=-1)


def _through(dual: DualFunction, found: Array, plus: NDArray[np.bool_]) -> DualFunction:
    """The dual function of which these are the values that count."""
    factor = np.where(plus, dual.factors[0][1], dual.factors[-1][1])
    return dual.through(found[..., 2:], found[..., :2] / _largest(dual), factor)
