r"""The dual problem in its O(M) unknowns (theory section 5): what integrals over data intervals mean for it.

Unknowns :math:`u = (\beta, v_1, \dots, v_{M-1})`; see `dual_function` for their meaning. In them the linear form
:math:`\lambda^T y` has coefficients :math:`(y_1/(x_M - x_1),\ \text{first chord slope},\ \text{slope jumps of the linear
interpolant})`, and the Hessian :math:`\sum_s \int D_s(c)\, \nabla g_s \nabla g_s^T dc` is tridiagonal in
:math:`v_2, \dots, v_{M-1}` with a border of two: :math:`\beta` and :math:`v_1`.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from splinebias._arguments import Array
from splinebias.activation import TwoSlope
from splinebias.limit.dual.dual_function import DualFunction, line_factors, sides_agree
from splinebias.numerics.bordered import BorderedTridiagonal


class Moments(NamedTuple):
    r"""Integrals of a density :math:`a_s` of one side, or of several.

    Attributes
    ----------
    left, right : Array, shape (..., M - 1)
        On every data interval, times the hat of its left and of its right end.
    line : Array, shape (..., 2)
        Beyond the data, times the derivatives of g by :math:`\beta` and :math:`v_1`.
    """

    left: Array
    right: Array
    line: Array


class Masses(NamedTuple):
    """The same with products of two: both left, mixed, both right, each (M - 1,); and three numbers beyond the data."""

    left: Array
    mixed: Array
    right: Array
    line: Array


class DualEquations:
    """The unknowns of a problem and the algebra on them.

    Parameters
    ----------
    x : Array, shape (M,)
        Data abscissae.
    activation : TwoSlope
        Two-slope activation.
    free : bool
        Whether the affine part is free; then the unknowns are v_2, ..., v_{M-1} only.

    Attributes
    ----------
    sides_agree : bool
        See the function of this name.
    """

    def __init__(self, x: Array, activation: TwoSlope, *, free: bool) -> None:
        self.x, self.activation, self.free = x, activation, free
        self.steps, self.span = np.diff(x), float(x[-1] - x[0])
        self.sides_agree = sides_agree(activation, free=free)

    @cached_property
    def _at_data(self) -> Array:
        """`tau` at the data, shape (M,)."""
        return self.tau(self.x)

    @cached_property
    def _lines(self) -> Array:
        """Derivatives of the line by beta and v_1 at the data, shape (2, M)."""
        return np.array([self._at_data, np.ones(self.x.size)])

    def tau(self, c: Array) -> Array:
        """Derivative of the line with respect to beta at breakpoints `c`, same shape."""
        return np.asarray((c - self.x[0]) / -self.span)

    def factors(self, side: int) -> tuple[float, float]:
        """Those of the line in g_side left of the data and elsewhere."""
        return line_factors(self.activation, side)

    def target(self, y: Array) -> Array:
        """Coefficients of lambda^T y in the unknowns."""
        slopes = np.diff(y) / self.steps
        bends = np.diff(slopes)
        return bends if self.free else np.concatenate([[y[0] / self.span, slopes[0]], bends])

    def values(self, u: Array) -> tuple[Array, float]:
        """Nodal values v (M,) and beta from the unknowns."""
        return (np.concatenate([[0.0], u, [0.0]]), 0.0) if self.free else (np.append(u[1:], 0.0), float(u[0]))

    def function(self, u: Array) -> DualFunction:
        """The unknowns as a function."""
        return DualFunction.of(self.x, u, self.activation, free=self.free)

    def gathered(self, moments: dict[int, Moments], *, sizes: bool | Array = False) -> Array:
        r""":math:`\sum_s \int a_s(c)\, \nabla_u g_s(c)\, dc`: the model's equations, shape (..., U).

        `sizes` : whether the moments are sizes of terms, to be added up as such; of several densities, shape (..., 1).
        """
        shape = next(iter(moments.values())).left.shape[:-1]
        hats, line = np.zeros((*shape, self.x.size)), np.zeros((*shape, 2))
        for side, (left, right, beyond) in moments.items():
            own = np.zeros_like(hats)
            own[..., :-1] = left
            own[..., 1:] += right
            hats += own
            if not self.free:
                # no product of BLAS, whose threads wait for each other
                turned, shifted = np.einsum("...m,m->...", own, self._at_data), own.sum(axis=-1)
                inside = self.factors(side)[1] * np.array([turned, shifted]).T  # of one sign if moments are
                line += np.where(sizes, np.abs(inside), inside) + beyond
        hats *= self.activation.kink
        if self.free:
            return hats[..., 1:-1]
        hats[..., 0] += line[..., 1]
        return np.concatenate([line[..., :1], hats[..., :-1]], axis=-1)

    def hessian(self, masses: dict[int, Masses]) -> BorderedTridiagonal:
        r""":math:`\sum_s \int D_s \nabla_u g_s \nabla_u g_s^T dc`."""
        kink, size = self.activation.kink, self.x.size
        diagonal, off, border = np.zeros(size), np.zeros(size - 1), np.zeros((2, size))
        corner = [0.0, 0.0, 0.0]  # of beta alone, of both, of v_1 alone
        for side, (left, mixed, right, beyond) in masses.items():
            own = np.zeros(size)
            own[:-1] = left
            own[1:] += right
            diagonal += own
            off += mixed
            if self.free:
                continue
            corner = [sum(pair) for pair in zip(corner, beyond.tolist(), strict=True)]
            if (factor := self.factors(side)[1]) == 0:
                continue
            lines = self._lines
            inside = lines * own
            inside[:, :-1] += lines[:, 1:] * mixed
            inside[:, 1:] += lines[:, :-1] * mixed
            turned, both = (inside * lines[0]).sum(axis=-1).tolist()
            of_line = (turned, both, float(inside[1].sum()))
            corner = [old + factor**2 * new for old, new in zip(corner, of_line, strict=True)]
            inside *= kink * factor
            border += inside
        diagonal *= kink**2
        off *= kink**2
        if self.free:
            return BorderedTridiagonal(diagonal[1:-1], off[1:-1], np.zeros((0, size - 2)), np.zeros((0, 0)))
        (turned, shifted), first = border[:, 0].tolist(), float(diagonal[0])  # v_1 is that of the first hat, too
        both = corner[1] + turned
        ends = np.array([[corner[0], both], [both, corner[2] + 2 * shifted + first]])
        border = border[:, 1:-1]
        if border.size:
            border[1, 0] += off[0]
        return BorderedTridiagonal(diagonal[1:-1], off[1:-1], border, ends)

    def scale(self, y: Array) -> Array:
        """What counts as a residual of 1: a bend is measured as the shift of one ordinate against its neighbours.

        Relative to max |y|; slope and offset as shifts of the same size.
        """
        size = float(np.abs(y).max()) or 1.0
        scale = size * (1 / self.steps[:-1] + 1 / self.steps[1:])
        return scale if self.free else np.concatenate([[size / self.span, size / self.steps[0]], scale])


def misfit(residual: Array, scale: Array, load: Array | float) -> float:
    """Relative optimality residual: how far the equations are from holding, 0 to rounding.

    Relative to `DualEquations.scale`, or to the terms that balance in the equation (the `load`), if these are larger. A load
    of 0 gives an upper bound.
    """
    return float((np.abs(residual) / np.maximum(scale, load)).max(initial=0.0))
