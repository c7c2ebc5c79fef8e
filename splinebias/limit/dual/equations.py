r"""The dual problem in its O(M) unknowns (theory section 5): what integrals over data intervals mean for it.

Unknowns :math:`u = (\beta, v_1, \dots, v_{M-1})`; see `dual_function` for their meaning, and for what takes the place of
:math:`v_1` where data are far from the breakpoints. In them the linear form
:math:`\lambda^T y` has coefficients :math:`(y_1/(x_M - x_1),\ \text{first chord slope},\ \text{slope jumps of the linear
interpolant})`, and the Hessian :math:`\sum_s \int D_s(c)\, \nabla g_s \nabla g_s^T dc` is tridiagonal in
:math:`v_2, \dots, v_{M-1}` with a border of two: :math:`\beta` and :math:`v_1`.

What belongs to sides comes in their order: plus and minus, or one for both where they have one dual function.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.activation import TwoSlope
from splinebias.initialization.breakpoints import BreakpointLaw, Side
from splinebias.limit.dual.dual_function import DualFunction, LineFrame, line_factors
from splinebias.numerics.bordered import BorderedTridiagonal

_SECOND = np.array([[False], [True]])  # of two densities, whether they are sizes of terms


class Moments(NamedTuple):
    r"""Integrals of a density :math:`a_s` of one side, or of several densities.

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
    r"""Integrals of a density of one side, times products of two derivatives of g.

    Attributes
    ----------
    left, mixed, right : Array, shape (..., M - 1)
        On every data interval, times the hat of its left end squared, the product of the two hats, the right one squared.
    line : Array, shape (..., 3)
        Beyond the data, times the derivatives by :math:`\beta` squared, their product, that by :math:`v_1` squared.
    """

    left: Array
    mixed: Array
    right: Array
    line: Array


class Balance(NamedTuple):
    r"""How far a dual function is from solving the equations.

    Attributes
    ----------
    objective, pairing : float
        The value of the dual; and :math:`|\lambda^T y|`, for the rounding of that.
    made_share : float
        What the network of these dual values makes of y, along them: :math:`E[z \alpha]/\lambda^T y`, 1 at best.
    made, residual, load : Array, shape (U,)
        What it makes of the data, in the equations; what is missing, the gradient; sizes of the terms added up.
    misfit : float
        See `misfit`.
    masses : tuple of Masses
        Of the derivative of the curvature density, per side: of these the Hessian is made.
    """

    objective: float
    pairing: float
    made_share: float
    made: Array
    residual: Array
    load: Array
    misfit: float
    masses: tuple[Masses, ...]


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
    frame : LineFrame, optional
        Where the line is known best; None: at the ends of the data.

    Attributes
    ----------
    factors : tuple
        Of every side, see `line_factors`.
    """

    def __init__(self, x: Array, activation: TwoSlope, *, free: bool, frame: LineFrame | None = None) -> None:
        self.x, self.activation, self.free = x, activation, free
        self.frame = LineFrame.of(x) if frame is None else frame
        self.steps, self.span = np.diff(x), float(x[-1] - x[0])
        self.lead = (self.frame.first - self.x[0]) / self.span  # of the line at x_1: v_1 = height + lead * beta
        self.factors = line_factors(activation, free=free)

    def sides_of(self, law: BreakpointLaw) -> tuple[Side, ...]:
        """The units of plus and of minus, or all units as one side where both have one dual function."""
        return law.sides if len(self.factors) == 2 else (law.both,)

    @cached_property
    def _tau(self) -> Array:
        """Derivative of the line by beta at the data, shape (M,); that by v_1 is 1."""
        return self.tau(self.x)

    def tau(self, c: Array) -> Array:
        """Derivative of the line with respect to beta at breakpoints `c`, same shape."""
        tau = c - self.frame.first
        tau /= -self.span
        return tau

    def target(self, y: Array) -> Array:
        """Coefficients of lambda^T y in the unknowns, shape (U,)."""
        slopes = np.diff(y)
        slopes /= self.steps
        if self.free:
            return np.diff(slopes)
        target, first = np.empty(y.size), y[0] / self.span
        target[:2] = first + self.lead * slopes[0] if self.lead else first, slopes[0]
        np.subtract(slopes[1:], slopes[:-1], out=target[2:])
        return target

    def function(self, u: Array) -> DualFunction:
        """The dual function with unknowns u."""
        return DualFunction.of(self.x, u, self.activation, free=self.free, frame=self.frame)

    def unknowns(self, function: DualFunction) -> Array:
        """Inverse of `function`, shape (U,) or (K, U)."""
        inner = function.values[..., 1:-1]
        if self.free:
            return inner
        return np.concatenate([np.atleast_1d(function.beta), np.atleast_1d(function.height), inner], axis=-1)

    def gathered(self, moments: Iterable[Moments], *, sizes: bool | Array = False) -> Array:
        r""":math:`\sum_s \int a_s(c)\, \nabla_u g_s(c)\, dc`, the equations of the model, shape (..., U).

        `sizes` : whether the moments are sizes of terms, to be added up as such; of several densities, shape (..., 1).
        """
        hats, line = np.zeros(0), np.zeros(2)
        for (left, right, beyond), (_, factor) in zip(moments, self.factors, strict=True):
            own = _at_data(left, right)
            if not self.free:
                line = line + beyond
                if factor:
                    # no product of BLAS, whose threads wait for each other
                    turned, shifted = np.einsum("...m,m->...", own, self._tau), own.sum(axis=-1)
                    inside = factor * np.stack([turned, shifted], axis=-1)  # of one sign if moments are
                    line += np.where(sizes, np.abs(inside), inside)
            hats = np.add(hats, own, out=own) if hats.size else own
        if self.activation.kink != 1:
            hats *= self.activation.kink
        if self.free:
            return hats[..., 1:-1]
        if self.lead:
            led = self.lead * hats[..., :1]
            line[..., :1] += np.where(sizes, np.abs(led), led)
        hats[..., 0] += line[..., 1]
        return np.concatenate([line[..., :1], hats[..., :-1]], axis=-1)

    def balance(self, function: DualFunction, integrals: Array, target: Array, scale: Array) -> Balance:
        """Of a dual function, for a `target` and its `scale`, from integrals over sides and data intervals.

        Those have shape (8, S, M + 1); rows as of `Quadrature.integrals`.
        """
        made, load, masses = self.sums(integrals)
        residual, u = target - made, self.unknowns(function)
        paired, missing = float((target * u).sum()), float((residual * u).sum())
        pairing, objective = abs(paired), paired - sum(float(row.sum()) for row in integrals[7])
        share = 1 - missing / pairing if pairing else 1.0
        return Balance(objective, pairing, share, made, residual, load, misfit(residual, scale, load), masses)

    def sums(self, integrals: Array) -> tuple[Array, Array, tuple[Masses, ...]]:
        """The `made`, `load` and `masses` of `Balance`, from integrals of shape (8, S, M + 1), or (8, S, K, M + 1)."""
        inner, beyond = integrals[..., 1:-1], integrals[..., 0] + integrals[..., -1]
        density, lines = (of[:4].reshape(2, 2, *of.shape[1:]) for of in (inner, beyond))
        sides, sizes = range(integrals.shape[1]), _SECOND.reshape(2, *(1,) * (integrals.ndim - 2))
        made, load = self.gathered(
            [Moments(density[:, 0, row], density[:, 1, row], np.moveaxis(lines[:, :, row], 1, -1)) for row in sides],
            sizes=sizes,
        )
        far = (np.moveaxis(beyond[4:7, row], 0, -1) for row in sides)
        near = (inner[4:7, row] for row in sides)
        return made, load, tuple(Masses(of[0], of[1], of[2], line) for of, line in zip(near, far, strict=True))

    def hessian(self, masses: Iterable[Masses]) -> BorderedTridiagonal:
        r""":math:`\sum_s \int D_s \nabla_u g_s \nabla_u g_s^T dc`."""
        kink, size, masses = self.activation.kink, self.x.size, tuple(masses)
        many = masses[0].left.shape[:-1]
        diagonal, off, border = np.zeros((*many, size)), np.zeros((*many, size - 1)), np.zeros((*many, 2, 0))
        corner = np.zeros((*many, 3))  # of beta alone, of both, of v_1 alone
        for (left, mixed, right, beyond), (_, factor) in zip(masses, self.factors, strict=True):
            own = _at_data(left, right)
            diagonal += own
            off += mixed
            if self.free:
                continue
            corner += beyond
            if not factor:
                continue
            tau, inside = self._tau, np.empty((*many, 2, size))
            turned, shifted = np.multiply(own, tau, out=inside[..., 0, :]), inside[..., 1, :]
            turned[..., :-1] += tau[1:] * mixed
            turned[..., 1:] += tau[:-1] * mixed
            np.add(own[..., :-1], mixed, out=shifted[..., :-1])  # the other of the lines is 1
            shifted[..., -1] = own[..., -1]
            shifted[..., 1:] += mixed
            corner += factor**2 * np.stack([of.sum(axis=-1) for of in (turned * tau, turned, shifted)], axis=-1)
            inside *= kink * factor
            border = border + inside if border.size else inside
        if kink != 1:
            diagonal *= kink**2
            off *= kink**2
        inner, beside = diagonal[..., 1:-1], off[..., 1:-1]
        if self.free:
            return BorderedTridiagonal(inner, beside, np.zeros((*many, 0, size - 2)), np.zeros((*many, 0, 0)))
        turn, shift, first = border[..., 0, 0], border[..., 1, 0], diagonal[..., 0]  # v_1 is that of the first hat, too
        both, ends = corner[..., 1] + turn, np.empty((*many, 2, 2))
        ends[..., 0, 0] = corner[..., 0] + self.lead * (2 * turn + self.lead * first)
        ends[..., 0, 1] = ends[..., 1, 0] = both + self.lead * (shift + first)
        ends[..., 1, 1] = corner[..., 2] + 2 * shift + first
        border = border[..., 1:-1]
        if border.size:
            border[..., 1, 0] += off[..., 0]
            border[..., 0, 0] += self.lead * off[..., 0]
        return BorderedTridiagonal(inner, beside, border, ends)

    def scale(self, y: Array) -> Array:
        """What counts as a residual of 1, shape (U,): a bend is the shift of one ordinate against its neighbours.

        Relative to max |y|; slope and offset are shifts of the same size.
        """
        size = float(max(y.max(), -y.min())) or 1.0
        near, ends = size / self.steps, 0 if self.free else 2
        scale = np.empty(near.size - 1 + ends)
        np.add(near[:-1], near[1:], out=scale[ends:])
        if ends:
            scale[:2] = size / self.span + abs(self.lead) * near[0], near[0]
        return scale


def _at_data(left: Array, right: Array) -> Array:
    """At every data point, what the interval on its right has on its left end, and the other way round, shape (..., M)."""
    total = np.empty((*left.shape[:-1], left.shape[-1] + 1))
    total[..., 0], total[..., -1] = left[..., 0], right[..., -1]
    np.add(left[..., 1:], right[..., :-1], out=total[..., 1:-1])
    return total


def misfit(residual: Array, scale: Array, load: Array | float) -> float:
    """Relative optimality residual: how far the equations are from holding, 0 to rounding.

    Relative to `DualEquations.scale`, or to the terms that balance in the equation (the `load`), if these are larger. A load
    of 0 gives an upper bound.
    """
    size = np.abs(residual)
    size /= np.maximum(scale, load)
    return float(size.max(initial=0.0))
