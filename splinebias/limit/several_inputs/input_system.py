r"""The dense linear systems of problems of several inputs: solved for multipliers, taken apart into decay modes."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigh

from splinebias._array import Array
from splinebias.activation import Homogeneous
from splinebias.errors import CapabilityError, DataError
from splinebias.limit.hypotheses import require_moments
from splinebias.limit.several_inputs.closed_kernels import InputKernel, PiecewiseKernel
from splinebias.limit.several_inputs.kernel_of import input_kernel
from splinebias.limit.several_inputs.sampled_kernel import REPLICATES, Replicated
from splinebias.parameterization import NTK
from splinebias.problem import Problem

_MOST_BYTES = 8 * 2**30
_PLACES = 64  # points at which functions of several samples are compared


class Modes(NamedTuple):
    """Decay rates of the residual, and what is in them at the start."""

    rates: Array
    vectors: Array
    root: Array
    start: Array

    def at(self, t: float) -> tuple[Array, Array]:
        r""":math:`\lambda(t) = W^{1/2} V \frac{1 - e^{-st}}{s} V^T W^{1/2} y` and the residual y - f_t, each (M,)."""
        done = -np.expm1(-t * self.rates)
        moved = np.divide(done, self.rates, out=np.full_like(done, t), where=done > 0)
        left = self.vectors @ (np.exp(-t * self.rates) * self.start)
        return self.root * (self.vectors @ (moved * self.start)), left / self.root


@dataclass(frozen=True, eq=False)
class InputSystem:
    r"""The linear system of a problem of several inputs.

    Attributes
    ----------
    problem : Problem
        What is fitted.
    kernel : InputKernel
        Its kernel, modulo affine functions if these are free.
    x : Array, shape (M, d)
        The points.
    matrix : Array, shape (M, M)
        The kernel there.
    plane : Array or None, shape (M, d + 1)
        Orthonormal values at the points of affine functions, if these are free.
    """

    problem: Problem
    kernel: InputKernel
    x: Array
    matrix: Array
    plane: Array | None

    @classmethod
    def of(cls, problem: Problem, draws: int | None, seed: int) -> InputSystem:
        """The system, after a check of memory and points.

        Raises
        ------
        CapabilityError
            If the matrices do not fit into 8 GiB.
        DataError
            If affine functions are free and vanish at all points, which then lie in a hyperplane.
        """
        x, act = problem.data.x, problem.activation.two_slopes
        assert act is not None, "PointsSolver.supports asks for two slopes"
        both = isinstance(problem.parameterization, NTK)
        moment = problem.initialization.output_second_moment if both else None
        kernel = input_kernel(problem.initialization, act, draws, seed, moment)
        plane = None
        if problem.free:
            kernel = kernel.modulo_affine
            plane = affine_basis(x)
        required = (2 + kernel.cost) * 8 * len(x) ** 2
        if required > _MOST_BYTES:
            most = math.isqrt(_MOST_BYTES // (8 * (2 + kernel.cost)))
            raise CapabilityError(
                f"limits of several inputs are solved with dense matrices, and {len(x):,} points take "
                f"{required / 2**30:,.0f} GiB; take at most {most:,}: average near ones, or a part"
            )
        return cls(problem, kernel, x, kernel.matrix(x, x), plane)

    @property
    def sampled(self) -> Replicated | None:
        """The kernel from samples that is part of the kernel, if it is used at all."""
        kernel = self.kernel
        if isinstance(kernel, PiecewiseKernel):
            return kernel.other if isinstance(kernel.other, Replicated) else None
        return kernel if isinstance(kernel, Replicated) else None

    def multipliers(self, y: Array) -> Array:
        r""":math:`\lambda` with :math:`K \lambda = y`, up to affine functions if these are free, shape (M,) or (M, k)."""
        return solved(self.matrix, self.plane, y)

    def cardinal(self, x: Array) -> Array:
        """The functions that are 1 at one point and 0 at the others, at x (P, d): f(x) = cardinal y, shape (P, M)."""
        every = np.eye(self.problem.data.size)
        multipliers = solved(self.matrix, self.plane, every)
        found = self.kernel.matrix(x, self.x) @ multipliers
        if self.plane is not None:
            columns = np.c_[self.x, np.ones(len(self.x))]
            affine = np.linalg.lstsq(columns, every - self.matrix @ multipliers, rcond=None)[0]
            found += np.c_[x, np.ones(len(x))] @ affine
        return np.asarray(found)

    def affine_part(self, values: Array) -> tuple[Array, Array]:
        """Slope and intercept, shape (d + 1,), of the best affine function if it is free, else 0, and what is left."""
        x, m = self.x, self.problem.data.weights
        affine = np.zeros(x.shape[1] + 1)
        if self.plane is not None:
            root = np.sqrt(m)
            centre, columns = x.mean(axis=0), np.ones((len(x), x.shape[1] + 1))
            columns[:, :-1] = x - centre
            affine = np.linalg.lstsq(root[:, None] * columns, root * values, rcond=None)[0]
            left = columns @ affine - values
            affine[-1] -= affine[:-1] @ centre
            return affine, left
        return affine, -values

    def modes(self) -> Modes:
        """Decay rates under gradient flow, with affine functions at their weighted least squares at all times if free."""
        m = self.problem.data.weights
        root = np.sqrt(m / m.sum())
        operator, start = root[:, None] * self.matrix * root, root * self.problem.data.y
        if self.plane is None:
            rates, vectors = eigh(operator, overwrite_a=True)
        else:  # in the complement of affine functions, which are at rest
            frame = Complement.of(root[:, None] * self.plane)
            rates, inner = eigh(frame.part(operator), overwrite_a=True)
            vectors = frame.embedded(inner)
        return Modes(np.maximum(rates, 0.0), vectors, root, vectors.T @ start)

    def sampling_error(self, multipliers: Array, size: float) -> float:
        """How far functions from independent samples differ between the data: standard error, relative to `size`."""
        sampled = self.sampled
        assert sampled is not None
        rng, x, y = np.random.default_rng(0), self.x, self.matrix @ multipliers
        shares = rng.dirichlet(np.ones(min(3, len(x))), _PLACES)
        places = np.einsum("kj,kjd->kd", shares, x[rng.integers(0, len(x), shares.shape)])
        values = []
        for number in range(REPLICATES):
            one = _Replicate(self.kernel, sampled, number)
            matrix = one.matrix(x, x)
            found = solved(matrix, self.plane, y)
            values.append(one.matrix(places, x) @ found + self._plane_at(places, y - matrix @ found))
        return float(np.std(values, axis=0, ddof=1).max() / math.sqrt(REPLICATES)) / size

    def _plane_at(self, places: Array, values: Array) -> Array:
        affine = self.affine_part(values)[0]
        return np.asarray(places @ affine[:-1] + affine[-1])


class _Replicate(NamedTuple):
    """The kernel with one of the samples in place of all."""

    kernel: InputKernel
    sampled: Replicated
    number: int

    def matrix(self, x: Array, x2: Array) -> Array:
        def other(one: Array, two: Array) -> Array:
            return self.sampled.replicate(self.number, one, two)

        return self.kernel.matrix_with(other, x, x2) if isinstance(self.kernel, PiecewiseKernel) else other(x, x2)


def require_points(problem: Problem) -> None:
    """Raise DataError unless points can be fitted: the law has moments, and affine functions are told apart if free."""
    if isinstance(problem.activation, Homogeneous):  # how others grow, only those ask who need their kernel
        require_moments(problem, 2, "this needs", "kernels would be infinite; choose lighter tails")
    if problem.free:
        affine_basis(problem.data.x)


def affine_basis(x: Array) -> Array:
    """Orthonormal values of affine functions at points (M, d), shape (M, d + 1), or a DataError."""
    columns = np.c_[x - x.mean(axis=0), np.ones(len(x))]
    columns = columns / np.maximum(np.abs(columns).max(axis=0), 1e-300)
    if len(x) <= x.shape[1] or np.linalg.matrix_rank(columns) <= x.shape[1]:
        raise DataError(
            f'affine="free" needs points that no hyperplane holds, got {len(x)} points of {x.shape[1]} inputs in one; add a '
            'point outside, leave out an input, or take affine="network"'
        )
    return np.asarray(np.linalg.qr(columns)[0])


def solved(matrix: Array, plane: Array | None, y: Array) -> Array:
    r""":math:`\lambda` with :math:`K \lambda = y`, on the complement of a `plane` (M, d + 1) if there is one.

    By Cholesky with a step of refinement; where rounding makes the matrix indefinite, with a shift of its diagonal and
    refinement; where that does not settle, of least squares.
    """
    if plane is None:
        return _solve(matrix, y)
    frame = Complement.of(plane)
    return frame.embedded(_solve(frame.part(matrix), frame.projected(y))) if len(y) > plane.shape[1] else np.zeros_like(y)


class Complement(NamedTuple):
    r"""Orthonormal coordinates of what is orthogonal to k vectors: the last columns of :math:`Q = I - V T V^T`.

    Attributes
    ----------
    v : Array, shape (M, k)
        Householder vectors.
    t : Array, shape (k, k)
        The T above, an upper triangle.
    """

    v: Array
    t: Array

    @classmethod
    def of(cls, vectors: Array) -> Complement:
        """The complement of the columns of `vectors`, (M, k), by their QR decomposition."""
        reflectors, tau = np.linalg.qr(vectors, mode="raw")
        v = np.tril(reflectors.T, -1)
        np.fill_diagonal(v, 1.0)
        t = np.diag(tau)
        for j in range(1, len(tau)):
            t[:j, j] = -tau[j] * (t[:j, :j] @ (v[:, :j].T @ v[:, j]))
        return cls(v, t)

    def part(self, matrix: Array) -> Array:
        """A symmetric matrix in these coordinates, shape (M - k, M - k): one update of rank 2k."""
        moved = matrix @ self.v @ self.t
        moved -= self.v @ (self.t.T @ (self.v.T @ moved)) / 2
        k = self.v.shape[1]
        return np.asarray(matrix[k:, k:] - np.hstack([self.v, moved])[k:] @ np.hstack([moved, self.v])[k:].T)

    def projected(self, y: Array) -> Array:
        """Coordinates of y, (M,) or (M, r)."""
        return np.asarray((y - self.v @ (self.t.T @ (self.v.T @ y)))[self.v.shape[1] :])

    def embedded(self, coordinates: Array) -> Array:
        """What has these coordinates, (M - k,) or (M - k, r)."""
        padded = np.concatenate([np.zeros((self.v.shape[1], *coordinates.shape[1:])), coordinates])
        return np.asarray(padded - self.v @ (self.t @ (self.v.T @ padded)))


def _solve(matrix: Array, y: Array) -> Array:
    """lambda with K lambda = y for a positive definite K that rounding may have made indefinite."""
    scale = float(np.trace(matrix)) / len(matrix)
    for shift in (0.0, 1e-15, 1e-14, 1e-13):
        with suppress(LinAlgError):
            shifted = matrix + shift * len(matrix) * scale * np.eye(len(matrix)) if shift else matrix
            factor = cho_factor(shifted, lower=True)
            found, size = np.asarray(cho_solve(factor, y)), np.abs(y).max() or 1.0
            for _ in range(30 if shift else 1):
                left = y - matrix @ found
                better = found + cho_solve(factor, left)
                if not np.abs(y - matrix @ better).max() < np.abs(left).max():
                    break
                found = better
            if np.abs(y - matrix @ found).max() <= 1e-10 * size:
                return found
    return np.asarray(np.linalg.lstsq(matrix, y, rcond=1e-15 * len(matrix))[0])
