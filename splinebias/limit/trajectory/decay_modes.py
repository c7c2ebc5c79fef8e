r"""Decay modes of the infinite-width flow of quadratic problems (theory section 6).

With the loss :math:`L = \frac12 \sum_i \omega_i r_i^2`, :math:`r = f - y`, :math:`\omega_i = m_i/\sum_j m_j`, the
multipliers move by :math:`\lambda' = -\omega r`. In :math:`\ell = \omega^{-1/2}\lambda` this is a gradient flow,
:math:`\ell' = G = -\omega^{1/2} r`, and G decays by :math:`W^{1/2} K W^{1/2}`, :math:`W = \mathrm{diag}(\omega)`.

The condition number of that matrix grows like :math:`M^4`. But in the O(M) unknowns u of `dual_function` it is
:math:`A A^T` with :math:`A = W^{1/2} H T^{1/2}`, a benign bordered tridiagonal T, and an explicit H. Singular values of A
are known to machine precision, so 19 digits of condition cost 9 digits of accuracy instead of all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular, svd

from splinebias._array import Array
from splinebias.errors import CapabilityError
from splinebias.problem import Problem

_EPS = float(np.finfo(float).eps)


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
        :math:`\Pi W^{1/2} H`. Column j of H is the function, at the data, that unknown j stands for. With two slopes, that
        whose `DualSystem.target` is the unit vector j: a constant, a line, and hinges :math:`[x - x_j]_+`. With a free
        affine part, hinges only, and :math:`\Pi` projects out lines, because the skip connection follows at once;
        otherwise :math:`\Pi = 1`.
    start : Array, shape (M,)
        G at time 0, :math:`\Pi \omega^{1/2} y`.
    """

    root: Array
    y: Array
    hinges: Array
    start: Array

    @classmethod
    def of(cls, problem: Problem, *, largest: int) -> Residuals:
        """The coordinates of `problem`.

        Raises
        ------
        CapabilityError
            If there are more than `largest` points: matrices here are dense.
        """
        require_few(problem, largest)
        x = problem.data.x
        columns = np.maximum(x[:, None] - x[1:-1], 0.0)
        if not problem.free:
            columns = np.concatenate([np.stack([np.full_like(x, x[-1] - x[0]), x - x[0]], axis=1), columns], axis=1)
        return cls.along(problem, columns)

    @classmethod
    def along(cls, problem: Problem, columns: Array) -> Residuals:
        """The coordinates of `problem` for unknowns with H = `columns`, shape (M, U)."""
        data = problem.data
        x, y = data.x, data.y
        root = np.sqrt(data.weights / data.weights.sum())
        hinges = root[:, None] * columns
        if problem.free:
            lines = line_basis(root, x)
            hinges -= lines @ (lines.T @ hinges)
        return cls(root, y, hinges, _start(root, x, y, free=problem.free))

    def of_values(self, problem: Problem) -> Residuals:
        """The same coordinates for other ordinates, those of `problem`."""
        data = problem.data
        return replace(self, y=data.y, start=_start(self.root, data.x, data.y, free=problem.free))

    def velocity(self, residual: Array) -> Array:
        """G, shape (M,), from the gradient of the dual in the unknowns, shape (U,)."""
        return np.asarray(self.hinges @ residual)

    def fitted(self, velocity: Array) -> Array:
        """f at the data, shape (M,), from G."""
        return np.asarray(self.y - velocity / self.root)


@dataclass(frozen=True, eq=False)
class DecayModes:
    r"""Singular vectors of A: :math:`W^{1/2} K W^{1/2} = V \mathrm{diag}(s) V^T`.

    Attributes
    ----------
    rates : Array, shape (k,)
        Decay rates s >= 0, decreasing; k = M, or M - 2 with a free affine part.
    vectors : Array, shape (M, k)
        V, orthonormal columns that span all that G can be.
    lift : Array, shape (U, k)
        The unknowns u that belong to the columns of :math:`\ell = V`: :math:`H^T W^{1/2} V`.
    blur : Array, shape (k,)
        How far rounding may have moved the rates.
    """

    rates: Array
    vectors: Array
    lift: Array
    blur: Array

    @classmethod
    def of(cls, hinges: Array, matrix: Array) -> DecayModes:
        """Modes from `Residuals.hinges` and T, the quadratic form of the unknowns, shape (U, U)."""
        try:
            factor = cholesky(matrix, lower=True, check_finite=False)
        except LinAlgError:  # some unknowns are seen by no neuron
            left, values, _ = svd(hinges @ _semidefinite_root(matrix), full_matrices=False, check_finite=False)
            return cls(values**2, left, hinges.T @ left, _EPS * values.max(initial=0.0) * values)
        left, values, right = svd(hinges @ factor, full_matrices=False, check_finite=False)
        # the same lift without its cancellation, because hinges @ factor = V diag(values) right
        lift = solve_triangular(factor, right.T * values, lower=True, trans="T", check_finite=False)
        return cls(values**2, left, lift, _EPS * values.max(initial=0.0) * values)

    @classmethod
    def of_kernel(cls, root: Array, matrix: Array, lines: Array) -> DecayModes:
        r"""Modes from K at the data: the unknowns are the multipliers.

        Parameters
        ----------
        root : Array, shape (M,)
            :math:`\omega^{1/2}`, as in `Residuals`.
        matrix : Array, shape (M, M)
            K.
        lines : Array, shape (M, 2) or (M, 0)
            Orthonormal columns to which all modes are orthogonal.
        """
        basis = np.eye(root.size)
        if lines.shape[1]:
            basis = np.linalg.qr(lines, mode="complete")[0][:, 2:]
        rates, inner = np.linalg.eigh(basis.T @ (matrix * np.outer(root, root)) @ basis)
        rates, vectors = np.maximum(rates[::-1], 0.0), basis @ inner[:, ::-1]
        return cls(rates, vectors, root[:, None] * vectors, np.full_like(rates, _EPS * rates.max(initial=0.0)))


def _start(root: Array, x: Array, y: Array, *, free: bool) -> Array:
    """The residuals before training, lines projected out where these are free: `Residuals.start`."""
    if not free:
        return root * y
    lines, start = line_basis(root, x), root * (y - y.mean())  # any constant goes; without it, y far from 0 costs no digits
    bent = start - lines @ (lines.T @ start)
    return bent if np.linalg.norm(bent) > 1e-14 * np.linalg.norm(root * y) else np.zeros_like(bent)  # rounding of a line


def line_basis(root: Array, x: Array) -> Array:
    """Orthonormal columns that span :math:`W^{1/2}` times lines, shape (M, 2)."""
    rise = root * (x - root**2 @ x)
    return np.stack([root, rise / np.linalg.norm(rise)], axis=1)


def require_few(problem: Problem, largest: int) -> None:
    """Raise CapabilityError if there are more than `largest` points: matrices of decay modes are dense."""
    if problem.data.size > largest:
        raise CapabilityError(
            f"finite training times of {problem.potential} problems with {problem.activation} and "
            f"{problem.parameterization} are for at most {largest} points, got {problem.data.size}; "
            "group neighbours into one point with a weight, or predict the limit, time=math.inf"
        )


def _semidefinite_root(matrix: Array) -> Array:
    """R with R R^T = matrix up to rounding, after diagonal scaling so that units do not matter."""
    scale = np.sqrt(np.maximum(np.diag(matrix), 0.0))
    unit = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    values, vectors = np.linalg.eigh(matrix * np.outer(unit, unit))
    return np.asarray(scale[:, None] * vectors * np.sqrt(np.maximum(values, 0.0)))
