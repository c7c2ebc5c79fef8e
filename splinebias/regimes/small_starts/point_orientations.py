r"""Condensed orientations of several inputs, where the leading term is a linear or a quadratic form.

With :math:`\tilde x = (x, 1)` it is :math:`Q(u) = \kappa\, v \cdot u`, :math:`v = \sum_i m_i y_i \tilde x_i`, for
multiplicity 1 and :math:`Q(u) = \kappa\, u^T A u`, :math:`A = \sum_i m_i y_i \tilde x_i \tilde x_i^T`, for 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from splinebias._array import Array
from splinebias.activation import Activation, Smooth
from splinebias.data import Points
from splinebias.errors import CapabilityError, DataError

_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class PointOrientations:
    """The condensed orientations of networks of several inputs: maxima of Q > 0 and minima of Q < 0, k of them.

    Attributes
    ----------
    directions : Array, shape (k, d + 1)
        Unit directions of (w, b).
    signs : Array, shape (k,)
        Sign of the output weight, +1 where Q > 0.
    strengths : Array, shape (k,)
        The Q above.
    """

    directions: Array
    signs: Array
    strengths: Array

    def away(self, weights: Array, signs: Array) -> Array:
        """Degrees from each (w, b), shape (n, d + 1), to each orientation, (n, k); infinite where the signs of a differ."""
        length = np.linalg.norm(weights, axis=1, keepdims=True)
        cosine = np.clip(weights @ self.directions.T / length, -1, 1)
        return np.where(signs[:, None] == self.signs, np.degrees(np.arccos(cosine)), math.inf)


def point_orientations(data: Points, activation: Activation) -> PointOrientations:
    """The orientations of `data`; refused where Q is no such form."""
    if not isinstance(activation, Smooth) or activation.multiplicity > 2:
        raise CapabilityError(
            f"of several inputs orientations are known for smooth activations of multiplicity 1 and 2, got {activation!r}; "
            "take sb.Tanh() or sb.XTanh(), or sb.Dataset for one input"
        )
    rows, pull = np.c_[data.x, np.ones(data.size)], data.weights * data.y * activation.leading
    size = np.abs(pull) @ np.linalg.norm(rows, axis=1) ** activation.multiplicity
    if activation.multiplicity == 1:
        v = pull @ rows
        strength = float(np.linalg.norm(v))
        if strength > _ROUNDING * size:
            return PointOrientations(np.array([v, -v]) / strength, np.array([1.0, -1.0]), np.array([strength, -strength]))
    else:
        values, vectors = np.linalg.eigh((rows.T * pull) @ rows)
        directions, signs, strengths = [], [], []
        for at, beside in ((-1, -2), (0, 1)):
            sign = 1.0 if at else -1.0
            if sign * values[at] <= _ROUNDING * size:
                continue
            if abs(values[at] - values[beside]) <= _ROUNDING * size:
                raise DataError(
                    "condensation has single orientations only if the outer eigenvalues of sum m y (x, 1)(x, 1)^T are "
                    f"simple, got {values[at]:g} twice: every direction of a plane is as good; break the symmetry"
                )
            directions += [vectors[:, at], -vectors[:, at]]
            signs += [sign, sign]
            strengths += [values[at], values[at]]
        if directions:
            return PointOrientations(np.array(directions), np.array(signs), np.array(strengths))
    raise DataError(
        f"condensation needs y with sum m y (u.(x, 1))^{activation.multiplicity} != 0 for some direction u, got none: this "
        f"power of {activation} does not see the data; change y or take an activation of another multiplicity"
    )
