r"""The exact motion of a neuron while its drive is constant: a hyperbolic rotation of (a, h·u).

With the drive :math:`D = (P, Q) = \sum_j \sigma'_j F_j \tilde x_j`, :math:`\kappa = |D|`, :math:`u = D/\kappa` and h =
(w, b),

.. math:: a' = -D \cdot h, \qquad h' = -a D

is linear. Only :math:`v = h \cdot u` moves of h, and with :math:`z = \kappa \tau`

.. math:: a(\tau) = a \cosh z - v \sinh z, \qquad v(\tau) = v \cosh z - a \sinh z,

so that :math:`a^2 - |h|^2` stays. Along a line of the plane, u is a direction of that line and v all of h. Weight decay
:math:`-\mu (a, h)` on the right multiplies all of it by :math:`e^{-\mu \tau}`: the flow is linear and the decay a multiple
of the identity; kinks are not moved by it.
Source: derived here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array

Flags = NDArray[np.bool_]


def moved(a: Array, v: Array, z: Array) -> tuple[Array, Array]:
    """The new a, and by how much v changes, after the angle `z` >= 0; any shape."""
    sinh = np.sinh(z)
    half = np.sinh(z / 2)
    growth = 2 * half * half  # cosh z - 1, without cancellation
    return a + (growth * a - sinh * v), growth * v - sinh * a


def first_angle(a: Array, v: Array, gap: Array) -> Array:
    r"""The least angle z > 0 at which v has changed by -`gap`; infinity if it never does; any shape.

    With :math:`y = e^z - 1`, :math:`(v - a) y^2 + 2(\text{gap} - a) y + 2\,\text{gap} = 0`. Where gap = 0, z = 0 is no
    answer: v returns after z if a changes sign before.
    """
    with np.errstate(all="ignore"):  # what is not a number > 0 is no answer
        half = gap - a
        root = np.sqrt(gap * gap + a * a - 2 * gap * v)
        q = -(half + np.where(half < 0, -root, root))
        one, other = q / (v - a), 2 * gap / q
        one, other = np.where(one > 0, one, np.inf), np.where(other > 0, other, np.inf)
        return np.asarray(np.log1p(np.minimum(one, other)))


def sign_change(a: Array, v: Array) -> tuple[Array, Flags]:
    r"""The z > 0 at which a or v changes sign, infinity if neither does, and whether it is a; any shape.

    :math:`\tanh z = a/v` or :math:`v/a`, whichever is below 1.
    """
    turns: Flags = np.abs(a) < np.abs(v)
    with np.errstate(all="ignore"):
        ratio = np.where(turns, a / v, v / a)
        angle: Array = np.where((ratio > 0) & (ratio < 1), np.arctanh(ratio), np.inf)
    return angle, turns
