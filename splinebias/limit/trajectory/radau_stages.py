r"""The linear algebra of an implicit step of the flow: all stages at once, in O(M).

In the unknowns u of `dual_function` the flow is :math:`Q u' = r(u)`, with r the gradient of the dual and
:math:`Q = D W^{-1} D^T`, D the matrix of `DualSystem.target`. A Newton step of a collocation method solves

.. math:: T_i \delta_i + h^{-1} \sum_j C_{ij} Q \delta_j = R_i,

with T_i the Hessian at stage i. Q has five diagonals and T_i three, apart from a border of two unknowns: ordered unknown
by unknown, the matrix is banded with a border of two per stage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_banded
from scipy.sparse import csr_array

from splinebias._array import Array
from splinebias.limit.dual.equations import DualEquations
from splinebias.numerics.bordered import BorderedTridiagonal


@dataclass(frozen=True, eq=False)
class StageSystem:
    """The Newton equations of one collocation method for one problem.

    Attributes
    ----------
    metric : csr_array, shape (U, U)
        Q.
    coupling : Array, shape (s, s)
        C, the inverse of the Runge-Kutta matrix.
    places, entries : Array
        Where, in the flat band of the inner unknowns, the products of C and Q stand, and these.
    edge : Array, shape (k, s, U, s)
        The rows of the border of these products, k = 2 or 0.
    """

    metric: csr_array
    coupling: Array
    places: NDArray[np.intp]
    entries: Array
    edge: Array

    @classmethod
    def of(cls, equations: DualEquations, share: Array, coupling: Array) -> StageSystem:
        """The system for the matrix C = `coupling` and a loss that weighs a point by its `share` of all weights, (M,)."""
        target = csr_array(np.stack([equations.target(unit) for unit in np.eye(share.size)]))
        q, s = csr_array(target.T.multiply(1 / share) @ target), coupling.shape[0]
        border = 0 if equations.free else 2
        inner = q[border:, border:].tocoo()
        stage, other = np.meshgrid(np.arange(s), np.arange(s), indexing="ij")
        row = inner.row[:, None, None] * s + stage
        column = inner.col[:, None, None] * s + other
        band = (3 * s - 1 + row - column) * (s * inner.shape[0]) + column
        entries = inner.data[:, None, None] * coupling
        edge = q[:border].toarray()[:, None, :, None] * coupling[None, :, None, :]
        return cls(q, coupling, band.ravel(), entries.ravel(), edge)

    def imbalance(self, velocity: Array, increments: Array, h: float) -> Array:
        r"""The R of the Newton equations: :math:`r_i - h^{-1} \sum_j C_{ij} Q z_j` for increments z, shape (s, U).

        `velocity` is :math:`Q^{-1} r`. As Q is ill-conditioned where points are close, it is applied to what is left only.
        """
        left = h * np.linalg.solve(self.coupling, velocity) - increments
        return np.asarray((self.metric @ (self.coupling @ left).T).T / h)

    def solve(self, hessians: BorderedTridiagonal, rhs: Array, h: float) -> Array:
        """The Newton step for a Hessian a stage, or one for all; right-hand sides `rhs` and step have shape (s, U)."""
        s, k = self.coupling.shape[0], self.edge.shape[0]
        inner = rhs.shape[1] - k
        size, half = s * inner, 3 * s - 1
        edge, at = self.edge / h, np.arange(s)
        edge[:, at, k:, at] += hessians.border
        edge[:, at, :k, at] += hessians.corner
        border = edge[:, :, k:].reshape(k * s, size)
        columns = edge[:, :, k:].transpose(2, 1, 0, 3).reshape(size, k * s)
        corner = edge[:, :, :k].reshape(k * s, k * s)
        outer = rhs[:, :k].T.reshape(k * s)
        if inner == 0:
            return np.asarray(np.linalg.solve(corner, outer).reshape(k, s).T)
        band = np.zeros((2 * half + 1) * size)
        band[self.places] = self.entries / h
        band = band.reshape(2 * half + 1, size)
        band[half] += _stage_after_stage(hessians.diagonal, s)
        off = _stage_after_stage(hessians.off, s)
        band[half - s, s:] += off
        band[half + s, : size - s] += off
        solved = solve_banded((half, half), band, np.c_[columns, rhs[:, k:].T.reshape(size)], check_finite=False)
        head = np.linalg.solve(corner - border @ solved[:, :-1], outer - border @ solved[:, -1])
        rest = solved[:, -1] - solved[:, :-1] @ head
        return np.concatenate([head.reshape(k, s), rest.reshape(inner, s)]).T


def _stage_after_stage(values: Array, stages: int) -> Array:
    """The values of all stages, shape (s, m), or of one for all, of one unknown after those of another, shape (m * s,)."""
    return np.broadcast_to(values, (stages, values.shape[-1])).T.ravel()
