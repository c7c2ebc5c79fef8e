r"""The dual problem in its O(M) unknowns (theory section 5): what integrals over data intervals mean for it.

Unknowns :math:`u = (\beta, v_1, \dots, v_{M-1})`; see `dual_function` for their meaning, and for what takes the place of
:math:`v_1` where data are far from the breakpoints. In them the linear form
:math:`\lambda^T y` has coefficients :math:`(y_1/(x_M - x_1),\ \text{first chord slope},\ \text{slope jumps of the linear
interpolant})`, and the Hessian :math:`\sum_s \int D_s(c)\, \nabla g_s \nabla g_s^T dc` is tridiagonal in
:math:`v_2, \dots, v_{M-1}` with a border of two: :math:`\beta` and :math:`v_1`.

What belongs to sides comes in their order: plus and minus, or one for both where they have one dual function. On a fixed
quadrature all integrals are sums over its nodes, and a quadratic potential makes the equations linear.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.activation import TwoSlope
from splinebias.initialization.breakpoints import BreakpointLaw, Side
from splinebias.limit.discretization import Nodes
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


class FarMass(NamedTuple):
    """The curvature densities beyond the data, where units make lines: mass, mean place and standard deviation."""

    mass: float
    centre: float
    deviation: float


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


class DualSystem(DualEquations):
    """`DualEquations` with a quadrature: basis functions of the unknowns at all nodes, and products in O(nodes + M).

    Densities at the nodes have shape (S, N, q), or (S, N, 1) where they are constant on rows, for the S sides in order.

    Parameters
    ----------
    x : Array, shape (M,)
        Data abscissae; every one is a cell edge.
    grid : Nodes
        The quadrature.
    activation : TwoSlope
        Two-slope activation.
    free : bool
        Whether the affine part is free.
    frame : LineFrame, optional
        As in `DualEquations`.
    """

    def __init__(self, x: Array, grid: Nodes, activation: TwoSlope, *, free: bool, frame: LineFrame | None = None) -> None:
        super().__init__(x, activation, free=free, frame=frame)
        self.grid, self.interval = grid, grid.interval
        (self.outside,) = ((self.interval == 0) | (self.interval == x.size)).nonzero()

    @property
    def nodes(self) -> Array:
        """The nodes of the quadrature, shape (N, q)."""
        return self.grid.nodes

    @property
    def weights(self) -> Array:
        """The weights of the quadrature, shape (N, q)."""
        return self.grid.weights

    @cached_property
    def far(self) -> tuple[Array, Array]:
        """Nodes and weights of the quadrature beyond the data."""
        return self.grid.rule_of(self.outside)

    @cached_property
    def right(self) -> Array:
        """The hat of the right end of its data interval at every node, shape (N, q); 0 beyond the data."""
        share = self.grid.share(self.x)
        share[self.outside] = 0.0
        return share

    @cached_property
    def left(self) -> Array:
        """The hat of the left end, same shape."""
        left = 1 - self.right
        left[self.outside] = 0.0
        return np.asarray(left)

    @cached_property
    def factor_at(self) -> Array:
        """Derivative of g with respect to the line, of every side at every row, shape (S, N, 1)."""
        return np.array([np.where(self.interval == 0, *pair) for pair in self.factors])[..., None]

    @cached_property
    def far_factor(self) -> Array:
        """The same at the rows beyond the data."""
        left = self.interval[self.outside] == 0
        return np.array([np.where(left, *pair) for pair in self.factors])[..., None]

    @cached_property
    def _tau_outside(self) -> Array:
        """`tau` at the nodes beyond the data."""
        return self.tau(self.far[0])

    def evaluate(self, u: Array) -> Array:
        """The dual functions with unknowns u of all sides at the nodes, shape (S, N, q)."""
        return self.values(self.function(u))

    def values(self, function: DualFunction) -> Array:
        """The dual functions of all sides at the nodes, shape (S, N, q)."""
        at = np.clip(self.interval - 1, 0, self.x.size - 2)
        values = function.nodal[:, at, None] * self.left
        values += function.nodal[:, at + 1, None] * self.right
        if self.outside.size:
            values[:, self.outside] = self.far_factor * function.line(self.far[0])
        return np.asarray(values)

    def gather(self, density: Array) -> Array:
        r""":math:`\sum_s \int a_s(c)\, \nabla_u g_s(c)\, dc` for densities a at the nodes, the equations of the model."""
        return self.gathered([self._moments(*of) for of in zip(density, self.factor_at, strict=True)])

    def load(self, density: Array) -> Array:
        """Sizes of the terms that `gather` adds up, same shape."""
        pairs = zip(np.abs(density), np.abs(self.factor_at), strict=True)
        return self.gathered([self._moments(*of, sizes=True) for of in pairs], sizes=True)

    def curvature(self, density: Array) -> BorderedTridiagonal:
        """The Hessian for densities D at the nodes."""
        return self.hessian([self.masses(row, of) for row, of in enumerate(density)])

    def far_lines(self, density: Array) -> FarMass:
        """What densities D at the nodes have beyond the data, on the sides that act on them."""
        if not self.outside.size:
            return FarMass(0.0, 0.0, 0.0)
        acting = (density[:, self.outside] * self.far_factor**2).sum(axis=0)
        c, weights = self.far
        mass = weights * acting
        total = float(mass.sum())
        if not total > 0:
            return FarMass(0.0, 0.0, 0.0)
        centre = float((mass * c).sum()) / total
        return FarMass(total, centre, math.sqrt(float((mass * (c - centre) ** 2).sum()) / total))

    def masses(self, row: int, density: Array) -> Masses:
        """Integrals of a density of the side number `row`, times products of basis functions."""
        weighted, line = self.weights * density, self.far_masses(row, density[self.outside])
        left, right = weighted * self.left, weighted * self.right
        return Masses(self._sums(left * self.left), self._sums(left * self.right), self._sums(right * self.right), line)

    def far_masses(self, row: int, density: Array) -> Array:
        """The `line` of `masses`, from the density at the nodes beyond the data."""
        if self.free or not self.outside.size:
            return np.zeros(3)
        mass, tau = self.far[1] * density * self.far_factor[row] ** 2, self._tau_outside
        return np.array([(mass * tau**2).sum(), (mass * tau).sum(), mass.sum()])

    def _moments(self, density: Array, factor: Array, *, sizes: bool = False) -> Moments:
        """Integrals of a density; with `sizes`, of a density >= 0 times the sizes of the basis functions."""
        weighted, line = self.weights * density, self.far_moments(density[self.outside], factor[self.outside], sizes=sizes)
        return Moments(self._sums(weighted * self.left), self._sums(weighted * self.right), line)

    def far_moments(self, density: Array, factor: Array, *, sizes: bool = False) -> Array:
        """The `line` of moments, from the density and the factor of the line at the nodes beyond the data."""
        if self.free or not self.outside.size:
            return np.zeros(2)
        mass = self.far[1] * density * factor
        tau = np.abs(self._tau_outside) if sizes else self._tau_outside
        return np.array([(mass * tau).sum(), mass.sum()])

    def _sums(self, per_node: Array) -> Array:
        """Sums over the data intervals, shape (M - 1,)."""
        rows = per_node @ np.ones(per_node.shape[1])
        sums = np.bincount(self.interval, rows, self.x.size + 1)
        return np.asarray(sums[1:-1], dtype=float)
