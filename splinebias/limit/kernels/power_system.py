r"""The linear system for powers of ReLU, in divided differences, coordinates that stay well conditioned.

For :math:`\sigma(z) = \max(z, 0)^k` the limit is :math:`f = E[\alpha \sigma(wx + b)]`, :math:`\alpha = |w|^k g_\pm(c)`,
:math:`g_\pm(c) = \sum_i \lambda_i \sigma(\pm(x_i - c))`, with the least :math:`E[\alpha^2]`. As
:math:`f^{(k+1)}/k! = \zeta^{(k)}_+ g_+ + (-1)^{k+1} \zeta^{(k)}_- g_-`, it is a spline of degree 2k + 1 where zeta is
constant.
The kernel matrix of the :math:`\lambda_i` has condition :math:`M^{2k+2}`. Divided differences in their place do not:

- those of order k + 1 at neighbouring points give B-splines, :math:`g_\pm = (\pm 1)^{k+1} B_j(c)` of degree k, whose
  Gram matrix in :math:`\zeta^{(k)}` is banded and, scaled to a unit diagonal, has a condition that does not depend on M;
- those of order 0, ..., k at k + 1 points spread over the data stand for the polynomials of degree k, and border it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.sparse import csr_array

from splinebias._array import Array
from splinebias.functions.piecewise import WeightedSpline
from splinebias.limit.kernels.features import FeatureKernel, enough_points
from splinebias.numerics.cells import Cells
from splinebias.numerics.divided_differences import (
    b_splines,
    difference_weights,
    leja_points,
    neighbour_forms,
    newton_coefficients,
    truncated_power,
)
from splinebias.numerics.repeated_integrals import integrate_through


@dataclass(frozen=True, eq=False)
class PowerSystem:
    r"""The linear equations of a problem in the coordinates above, on quadrature cells.

    Attributes
    ----------
    x, y : Array, shape (M,)
        Data.
    kernel : FeatureKernel
        Gives k and :math:`\zeta^{(k)}`.
    points : Array
        The data, with more points if they do not determine a polynomial of degree k.
    cells : Cells
        Quadrature, with all `points` among its edges.
    free : bool
        Whether the affine part is free: then the forms of order 0 and 1 are left out, since
        :math:`\sum \lambda_i = \sum \lambda_i x_i = 0`.
    """

    x: Array
    y: Array
    kernel: FeatureKernel
    points: Array
    cells: Cells
    free: bool

    @classmethod
    def of(cls, x: Array, y: Array, kernel: FeatureKernel, *, free: bool) -> PowerSystem:
        """The equations for data (x, y), with as many points as a polynomial of degree k asks for."""
        points = enough_points(x, kernel.degree + 1, kernel.law)
        return cls(x, y, kernel, points, kernel.cells(points), free)

    @cached_property
    def _spread(self) -> list[Array]:
        """Indices of the points of each form of order <= k, increasing."""
        chosen = leja_points(self.x, self.kernel.degree + 1)
        return [np.sort(chosen[: m + 1]) for m in range(2 if self.free else 0, chosen.size)]

    @cached_property
    def forms(self) -> Array:
        r"""The U divided differences as a matrix, shape (U, M): coordinates u of :math:`\lambda = \text{forms}^T u`."""
        spread = np.zeros((len(self._spread), self.x.size))
        for row, index in zip(spread, self._spread, strict=True):
            row[index] = difference_weights(self.x[index])
        return np.concatenate([spread, neighbour_forms(self.x, self.kernel.degree + 1)])

    @cached_property
    def columns(self) -> Array:
        r"""H, shape (M, U): column j is the function, at the data, whose j-th form is 1 and all others 0.

        Newton's polynomials for the forms of order <= k. For neighbours :math:`x_j, \dots, x_{j+k+1}` the discrete power
        :math:`\psi_j(x_i) = (x_i - x_{j+1}) \cdots (x_i - x_{j+k})` for i > j + k, else 0 (the falling factorials of
        Wang, Smola & Tibshirani, ICML 2014), less the polynomial of degree k through it at the points of those forms.
        """
        x, k = self.x, self.kernel.degree
        nodes = x[leja_points(x, k + 1)]
        newton = np.cumprod(np.c_[np.ones_like(x), x[:, None] - nodes[:-1]], axis=1)
        powers = np.zeros((x.size, max(x.size - k - 1, 0)))
        for j in range(powers.shape[1]):
            powers[j + k + 1 :, j] = np.prod(x[j + k + 1 :, None] - x[j + 1 : j + k + 1], axis=1)
        spread = np.array([difference_weights(nodes[: m + 1]) @ powers[leja_points(x, m + 1)] for m in range(nodes.size)])
        first = 2 if self.free else 0
        return np.asarray(np.concatenate([newton[:, first:], powers - newton @ spread], axis=1))

    @cached_property
    def target(self) -> Array:
        """The divided differences of y, shape (U,): digits of y that `forms` @ y would lose."""
        order = self.kernel.degree + 1
        spread = [newton_coefficients(self.x[index], self.y[index])[-1] for index in self._spread]
        if self.x.size <= order:
            return np.array(spread)
        x, y = (sliding_window_view(of, order + 1).T for of in (self.x, self.y))
        return np.concatenate([spread, newton_coefficients(x, y)[-1] * (x[-1] - x[0])])

    @cached_property
    def _nodes(self) -> Array:
        """The nodes of all cells in one row."""
        return self.cells.nodes.ravel()

    @cached_property
    def zeta(self) -> list[Array]:
        """Per side, the density at the nodes."""
        return [side.zeta(self._nodes, self.kernel.degree) for side in self.kernel.law.sides]

    @property
    def _signs(self) -> tuple[int, int]:
        r"""Per side, :math:`(\pm 1)^{k+1}`."""
        return 1, (-1) ** (self.kernel.degree + 1)

    @cached_property
    def _splines(self) -> csr_array:
        """The dual functions of the forms of order k + 1 at the nodes, for side +, shape (nodes, forms)."""
        return b_splines(self.x, self.kernel.degree, self._nodes)

    @cached_property
    def _polynomials(self) -> list[Array]:
        """Per side, the dual functions of the forms of order <= k at the nodes, shape (nodes, forms)."""
        rows = zip(*[self._differences(self.x[index]) for index in self._spread], strict=True)
        return [np.array(of).reshape(-1, self._nodes.size).T for of in rows] or [np.zeros((self._nodes.size, 0))] * 2

    def _differences(self, points: Array) -> tuple[Array, Array]:
        r"""Per side, the divided difference of :math:`x \mapsto (\pm(x - c))_+^k` at increasing `points`, c the nodes."""
        k, c = self.kernel.degree, self._nodes
        # mirrored: [a_0, ..., a_m] (c - .)_+^k = (-1)^m [-a_m, ..., -a_0] (. - (-c))_+^k
        mirrored = (-1) ** (points.size - 1) * truncated_power(-points[::-1], k, -c)
        return truncated_power(points, k, c), mirrored

    def dual(self, u: Array) -> list[Array]:
        """Per side, g at the nodes."""
        head, splines = u[: len(self._spread)], self._splines @ u[len(self._spread) :]
        return [rows @ head + sign * splines for rows, sign in zip(self._polynomials, self._signs, strict=True)]

    @cached_property
    def gram(self) -> Array:
        """The kernel matrix in these coordinates, shape (U, U)."""
        plus, minus = (self.cells.weights.ravel() * zeta for zeta in self.zeta)
        upper, lower = self._polynomials
        corner = (upper * plus[:, None]).T @ upper + (lower * minus[:, None]).T @ lower
        border = self._splines.T @ (upper * plus[:, None] + self._signs[1] * (lower * minus[:, None]))
        inner = (self._splines.T @ (self._splines * (plus + minus)[:, None])).toarray()
        return np.block([[corner, border.T], [border, inner]])

    @np.errstate(over="ignore", invalid="ignore")  # with next to no neurons u may overflow: no better than what was there
    def solve(self) -> Array:
        """u, with iterative refinement."""
        size = np.sqrt(np.diag(self.gram))
        scale = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
        matrix = self.gram * scale * scale[:, None]  # no product of two scales, which overflows next to no neurons
        matrix[np.diag_indices_from(matrix)] = 1.0  # also of forms that no neuron sees, which get 0
        divided = _divided_by(matrix)
        best = u = np.zeros_like(self.target)
        least = np.inf
        for _ in range(4):
            now = self._misfit(u, self.y)
            if not now < least:
                break
            best, least = u, now
            u = u + scale * divided(scale * (self.target - self.gram @ u))
        return best

    def out_of_reach(self) -> Array:
        """Points of the first divided difference of y that no neuron can supply; empty if all can be.

        A difference counts as zero if moving an ordinate by 1e-12 of max |y| makes it zero.
        """
        shift = np.abs(self.target) / np.abs(self.forms).max(axis=1, initial=0.0)
        bad = np.flatnonzero((np.diag(self.gram) == 0) & (shift > 1e-12 * float(np.abs(self.y).max())))
        return self.x[self.forms[bad[0]] != 0] if bad.size else np.zeros(0)

    def _misfit(self, u: Array, y: Array) -> float:
        """How far the equations of ordinates `y` are from holding: the larger of the first two numbers in `residual`."""
        spread, size = len(self._spread), float(np.abs(self.y).max()) or 1.0
        off = np.abs(self.forms @ y - self.gram @ u)
        local = float((off / np.abs(self.forms).max(axis=1, initial=0.0))[spread:].max(initial=0.0)) / size
        forms, gram = np.abs(self.forms[:spread]), np.abs(self.gram[:spread])
        terms = forms @ (np.abs(self.y) + np.abs(y)) + gram @ np.abs(u)
        wide = np.divide(off[:spread], terms, out=np.zeros_like(terms), where=terms > 0)
        return max(local, float(wide.max(initial=0.0)))

    def residual(self, u: Array, y: Array, f: WeightedSpline) -> float:
        r"""Relative optimality residual for ordinates `y`, 0 to rounding: the largest of three.

        - Equations of neighbours: the shift of one ordinate that would make each hold, relative to the data's max |y|.
        - Equations of order <= k, which are sums over all neurons: how far they are from holding, relative to their terms.
        - The jumps of :math:`f^{(j)}`, j <= k, at the data, times :math:`h^j/j!` with the gap h there, relative to max |f|
          or the data's max |y|.
        """
        size = float(np.abs(self.y).max()) or 1.0
        return float(np.max([self._misfit(u, y), self._jumps(f, size)]))  # max() may drop a NaN

    def _jumps(self, f: WeightedSpline, size: float) -> float:
        """The jumps of derivatives of f at the data: the last of the three numbers in `residual`."""
        inner, gaps, edges = self.x[1:-1], np.diff(self.x), self.cells.edges
        gap, before = np.minimum(gaps[1:], gaps[:-1]), np.nextafter(inner, -np.inf)
        among = edges[(edges >= self.x[0]) & (edges <= self.x[-1])]
        size = max(size, float(np.abs(f(np.r_[among, (among[1:] + among[:-1]) / 2])).max()))
        jumps = [np.abs(f(inner, j) - f(before, j)) * gap**j / math.factorial(j) for j in range(1, self.kernel.degree + 1)]
        return float(np.max(jumps, initial=0.0)) / size

    def function(self, u: Array, y: Array) -> WeightedSpline:
        """The function of u, through ordinates `y` at the data."""
        degree, g, law = self.kernel.degree, self.dual(u), self.kernel.law
        highest = np.sum([sign * zeta * of for sign, zeta, of in zip(self._signs, self.zeta, g, strict=True)], axis=0)
        values = y if self.points.size == self.x.size else self._values(g, y)
        highest = self.kernel.activation.kink * highest.reshape(self.cells.nodes.shape)
        pieces = integrate_through(self.cells.edges, highest, degree + 1, self.points, values)
        inner = law.knots[(law.knots > self.cells.edges[0]) & (law.knots < self.cells.edges[-1])]
        return WeightedSpline(pieces, np.union1d(self.x, inner), exact=law.degree is not None)

    def _values(self, g: list[Array], y: Array) -> Array:
        """f at `points`: needed if the data are at most k points."""
        masses = [self.cells.weights.ravel() * zeta * of for zeta, of in zip(self.zeta, g, strict=True)]
        values = np.zeros(self.points.size)
        at = np.searchsorted(self.points, self.x)
        values[at] = y
        others = np.setdiff1d(np.arange(values.size), at)
        if self.free:
            first, last = self.x[[0, -1]]
            for k in others:
                x = self.points[k]
                chord = y[0] + (y[-1] - y[0]) / (last - first) * (x - first)
                # far neurons make lines of any size, and no second difference: no line is taken off what they make
                rows = self._differences(np.sort([first, last, x]))
                bent = sum(float(row @ mass) for row, mass in zip(rows, masses, strict=True))
                values[k] = chord + (x - first) * (x - last) * bent
            return values
        for side, mass in zip(self.kernel.law.sides, masses, strict=True):
            values[others] += self.kernel.feature(side, self.points[others, None], self._nodes) @ mass
        return values


def _divided_by(matrix: Array) -> Callable[[Array], Array]:
    """The map from right-hand sides to solutions for a positive definite matrix, of least norm where it is singular."""
    try:
        factor = cho_factor(matrix)
    except LinAlgError:  # singular to rounding: neighbouring forms that see next to no neurons
        return lambda rhs: np.asarray(np.linalg.lstsq(matrix, rhs, rcond=1e-14)[0])
    return lambda rhs: np.asarray(cho_solve(factor, rhs))
