r"""DualSystem: the equations of the dual on a fixed quadrature, where all integrals are sums over its nodes.

A quadratic potential makes them linear.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.activation import TwoSlope
from splinebias.limit.discretization import Nodes
from splinebias.limit.dual.dual_function import DualFunction, LineFrame
from splinebias.limit.dual.equations import DualEquations, Masses, Moments
from splinebias.numerics.bordered import BorderedTridiagonal


class FarMass(NamedTuple):
    """The curvature densities beyond the data, where units make lines: mass, mean place and standard deviation."""

    mass: float
    centre: float
    deviation: float


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
