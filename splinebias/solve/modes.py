r"""Decay modes of the infinite-width flow: residuals, the quadratic form that moves them, and its singular vectors.

With the loss :math:`L = \frac12 \sum_i \omega_i r_i^2`, :math:`r = f - y`, :math:`\omega_i = m_i/\sum_j m_j`, the
multipliers move by :math:`\lambda' = -\omega r` (theory section 6). In the coordinates
:math:`\ell = \omega^{-1/2}\lambda` this is a gradient flow, :math:`\ell' = G = -\omega^{1/2} r`, whose Jacobian is
:math:`-W^{1/2} K W^{1/2}`, :math:`W = \mathrm{diag}(\omega)`. Its condition number grows like :math:`M^4`. In the O(M)
unknowns u of `dual_function`, however, :math:`K = H T H^T` with a benign bordered tridiagonal T and an explicit H,
so the modes are taken as singular vectors of :math:`W^{1/2} H T^{1/2}`: singular values, not their squares, are then known
to machine precision, and 19 digits of condition cost 9 digits of accuracy instead of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular, svd

from splinebias._check import Array
from splinebias.errors import CapabilityError
from splinebias.problem import Problem
from splinebias.solve.structure import BorderedTridiagonal

_LARGEST = 4000  # points: above, the dense matrices of all modes take over a gigabyte and minutes


@dataclass(frozen=True, eq=False)
class Residuals:
    r"""The data as coordinates of the flow.

    Attributes
    ----------
    root : Array, shape (M,)
        :math:`\omega^{1/2}`.
    y : Array, shape (M,)
        Ordinates.
    hinges : Array, shape (M, U)
        :math:`\Pi W^{1/2} H`. Column j of H is the function, at the data, whose coordinates `DualSystem.target` are the
        unit vector j: a constant, a line, and hinges :math:`[x - x_j]_+`. With a free affine part, hinges only, and
        :math:`\Pi` projects out lines (the skip connection follows at once); otherwise :math:`\Pi = 1`.
    start : Array, shape (M,)
        G at time 0, :math:`\Pi \omega^{1/2} y`.
    """

    root: Array
    y: Array
    hinges: Array
    start: Array

    @classmethod
    def of(cls, problem: Problem) -> Residuals:
        """The coordinates of `problem`.

        Raises
        ------
        CapabilityError
            If there are more than 4000 points.
        """
        data = problem.data
        x, y, size = data.x, data.y, data.size
        if size > _LARGEST:
            raise CapabilityError(
                f"finite training times are solved for at most {_LARGEST} points, got {size}; "
                "average neighbours with Dataset weights, or take time = inf"
            )
        root = np.sqrt(data.weights / data.weights.sum())
        hinges = root[:, None] * np.maximum(x[:, None] - x[1:-1], 0.0)
        if problem.affine == "network":
            edge = np.stack([root * (x[-1] - x[0]), root * (x - x[0])], axis=1)
            return cls(root, y, np.concatenate([edge, hinges], axis=1), root * y)
        centred = x - root**2 @ x
        lines = np.stack([root, root * centred / np.linalg.norm(root * centred)], axis=1)  # orthonormal columns
        start = root * (y - y.mean())  # a constant that is projected out anyway: y far from 0 costs no digits
        return cls(root, y, hinges - lines @ (lines.T @ hinges), start - lines @ (lines.T @ start))

    def fitted(self, velocity: Array) -> Array:
        """f at the data, shape (M,), from G."""
        return np.asarray(self.y - velocity / self.root)


@dataclass(frozen=True, eq=False)
class Modes:
    r"""The flow linearized: :math:`\ell' = G`, :math:`G' = -V \mathrm{diag}(s) V^T G`.

    Attributes
    ----------
    rates : Array, shape (k,)
        Decay rates s >= 0, decreasing; k = M, or M - 2 with a free affine part.
    vectors : Array, shape (M, k)
        V, orthonormal columns that span all G can be.
    lift : Array, shape (U, k)
        The unknowns u of each column of :math:`\ell = V`: :math:`u = H^T W^{1/2} \ell`.
    """

    rates: Array
    vectors: Array
    lift: Array

    @classmethod
    def of(cls, residuals: Residuals, form: BorderedTridiagonal) -> Modes:
        """Modes of the quadratic form T, the Hessian of the dual in the unknowns u."""
        hinges = residuals.hinges
        if hinges.shape[1] == 0:
            return cls(np.zeros(0), np.zeros((hinges.shape[0], 0)), np.zeros((0, 0)))
        dense = _dense(form)
        try:
            factor = cholesky(dense, lower=True, check_finite=False)
        except LinAlgError:  # some unknowns move no neuron (yet)
            left, values, _ = svd(hinges @ _semidefinite_root(dense), full_matrices=False, check_finite=False)
            return cls(values**2, left, hinges.T @ left)
        left, values, right = svd(hinges @ factor, full_matrices=False, check_finite=False)
        # H^T W^(1/2) V without its cancellation: hinges @ factor = V diag(values) right
        lift = solve_triangular(factor, right.T * values, lower=True, trans="T", check_finite=False)
        return cls(values**2, left, lift)


def _dense(form: BorderedTridiagonal) -> Array:
    inner = np.diag(form.diagonal) + np.diag(form.off, 1) + np.diag(form.off, -1)
    return np.block([[form.corner, form.border], [form.border.T, inner]])


def _semidefinite_root(matrix: Array) -> Array:
    """R with R R^T = matrix up to rounding, after diagonal scaling so that units do not matter."""
    scale = np.sqrt(np.maximum(np.diag(matrix), 0.0))
    unit = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    values, vectors = np.linalg.eigh(matrix * np.outer(unit, unit))
    return np.asarray(scale[:, None] * vectors * np.sqrt(np.maximum(values, 0.0)))
