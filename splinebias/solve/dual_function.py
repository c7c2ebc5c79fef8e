r"""The dual function g of a problem, in the O(M) coordinates of theory section 5.

For the two-slope activation :math:`\sigma(z) = p z_+ - q z_-` the dual functions
:math:`g_\pm(c) = \sum_i \lambda_i \sigma(\pm(x_i - c))` are piecewise linear with knots at the data. With
:math:`G(c) = \sum_i \lambda_i [x_i - c]_+` and :math:`\ell(c) = \sum_i \lambda_i (x_i - c) = A - Bc`,

.. math:: g_+ = (p - q) G + q\,\ell, \qquad g_- = (p - q) G - p\,\ell,

so the nodal values :math:`v_j = G(x_j)` (with :math:`v_M = 0`) and :math:`\beta = B (x_M - x_1)` determine everything:
:math:`\ell(c) = v_1 - \beta (c - x_1)/(x_M - x_1)`. A free affine part means
:math:`\sum \lambda_i = \sum \lambda_i x_i = 0`, that is :math:`\beta = v_1 = 0`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splinebias._check import Array
from splinebias.activation import TwoSlope


@dataclass(frozen=True, eq=False)
class DualFunction:
    r"""g_+ and g_- as functions.

    Attributes
    ----------
    x : Array, shape (M,)
        Data abscissae.
    values : Array, shape (M,)
        The :math:`v_j` above; the last is 0.
    beta : float
        The :math:`\beta` above.
    activation : Activation
        Gives p and q.
    """

    x: Array
    values: Array
    beta: float
    activation: TwoSlope

    @property
    def span(self) -> float:
        """x_M - x_1."""
        return float(self.x[-1] - self.x[0])

    def line(self, c: Array) -> Array:
        r""":math:`\ell(c)`."""
        return np.asarray(self.values[0] - self.beta * ((c - self.x[0]) / self.span))

    def __call__(self, c: Array, side: int) -> Array:
        """g_side at `c`, same shape."""
        act, line = self.activation, self.line(c)
        hat = np.where(c < self.x[0], line, np.interp(c, self.x, self.values, right=0.0))
        return np.asarray(act.kink * hat + (act.left if side > 0 else -act.right) * line)

    def zeros(self) -> Array:
        """All isolated zeros of g_+ and g_-, sorted."""
        found = [np.zeros(0)]
        for side in (1, -1):
            g = self(self.x, side)
            cross = np.flatnonzero(g[:-1] * g[1:] < 0)
            share = g[cross] / (g[cross] - g[cross + 1])
            found.append(self.x[cross] + share * (self.x[cross + 1] - self.x[cross]))
        if self.beta != 0:
            root = self.x[0] + self.span * self.values[0] / self.beta
            if np.isfinite(root) and not self.x[0] <= root <= self.x[-1]:
                found.append(np.array([root]))
        return np.unique(np.concatenate(found))

    def multipliers(self) -> Array:
        r"""The :math:`\lambda_i`: jumps of the slope of G, shape (M,)."""
        slopes = np.diff(self.values) / np.diff(self.x)
        return np.diff(np.r_[-self.beta / self.span, slopes, 0.0])
