r"""Linear filters of the residual in O(M): smoothing by banded elimination, training as a sum of complex smoothings.

For two slopes, in the O(M) unknowns u of `dual_function`, smoothing with strength :math:`\lambda` leaves the residual

.. math:: r = -\lambda W^{-1} D^T u, \qquad (T + \lambda D W^{-1} D^T)\, u = D y,

with the curvature matrix T of the quadratic dual and rows of D that take what the unknowns stand for from values at the
data. Here these are the weighted least-squares line and the bends at inner data, :math:`D^T = (W X G^{-1}, Q)` for lines X
and :math:`G = X^T W X`: then :math:`D W^{-1} D^T` is pentadiagonal in the bends and has nothing between them and the line.

Breakpoints beyond the data make lines there, with covariance :math:`F = \int \rho(c) (\tau(c), 1)(\tau(c), 1)^T dc`. Seen
from data far from the breakpoints of a law it is a matrix of rank 1 up to rounding, and what is left decides which slopes
cost how much: so F is kept as mass, mean and variance of :math:`\tau`, taken about the mean, and a 2 x 2 system that it is
part of is solved by its adjugate, whose terms do not cancel. (Derived here; the free affine part is Reinsch's spline.)

Training leaves :math:`e^{-st}`, a sum of :math:`z_j/(z_j + st)` with weights :math:`w_j`: the trapezoidal rule on a parabola
(Weideman & Trefethen, Math. Comp. 76, 2007).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.limit.posed_problem import PosedProblem
from splinebias.numerics.pentadiagonal import Bands, PentadiagonalFactors

Numbers = NDArray[Any]  # real or complex
_BLOCK = 1 << 19  # entries of work arrays for one unknown that are held at once: they fit the cache


class Poles(NamedTuple):
    r"""A filter that leaves :math:`\mathrm{Re} \sum_j w_j z_j/(z_j + st)` of a mode with decay rate s, for strengths t.

    Attributes
    ----------
    places, weights : array, shape (J,)
        The z_j and w_j above.
    rounding : float
        Absolute error of what is left.
    """

    places: Numbers
    weights: Numbers
    rounding: float


def _parabola(count: int) -> Poles:
    """The poles above the real axis of a rule with twice as many for the exponential, whose weights count for both."""
    nodes, theta = 2 * count, np.pi * (np.arange(count) + 0.5) / count
    places = nodes * (0.1309 - 0.1194 * theta**2 + 0.25j * theta)
    slopes = nodes * (-0.2388 * theta + 0.25j)
    weights = 2 * np.exp(places) * slopes / (1j * nodes * places)
    return Poles(places, weights, 2e-14)


SMOOTHING = Poles(np.ones(1), np.ones(1), 0.0)
TRAINING = _parabola(16)


class FarLines(NamedTuple):
    r"""The covariance F above: :math:`m\,(\bar\tau, 1)(\bar\tau, 1)^T + v\,(1, 0)(1, 0)^T`.

    Attributes
    ----------
    mass, spread : float, or one for each of several matrices
        m and v.
    mean : float
        :math:`\bar\tau`.
    """

    mass: Any
    mean: float
    spread: Any

    def adjugate(self, x: Numbers) -> Numbers:
        """tr(adj(F) x) for symmetric x, shape (2, 2, K), in terms of one sign if x is semidefinite."""
        along = x[0, 0] - 2 * self.mean * x[0, 1] + self.mean**2 * x[1, 1]
        return np.asarray(self.mass * along + self.spread * x[1, 1])

    def product(self, u: Numbers) -> Numbers:
        """F u, shape (2, K)."""
        along = self.mass * (self.mean * u[0] + u[1])
        return np.stack([self.mean * along + self.spread * u[0], along])

    def adjugate_on(self, d: Numbers) -> Numbers:
        """adj(F) d, shape (2, K)."""
        along = self.mass * (d[0] - self.mean * d[1])
        return np.stack([along, self.spread * d[1] - self.mean * along])


class Filtered(NamedTuple):
    """What filters of several strengths leave.

    Attributes
    ----------
    residual : Array, shape (M, K)
        f - y at the data.
    left, made : Array, shape (K,)
        Traces of the filter and of the hat matrix, each by a formula of its own.
    """

    residual: Array
    left: Array
    made: Array


@dataclass(frozen=True, eq=False)
class BandedFilters:
    """A quadratic problem with two slopes, ready to be filtered.

    Attributes
    ----------
    omega : Array, shape (M,)
        Weights of the data, of sum 1.
    steps : Array, shape (M - 1,)
        Distances of the data.
    lines : Array, shape (M, k)
        X, the functions of the two unknowns of the line; k = 0 if that is free, else 2.
    gram : Array, shape (k, k)
        G.
    t, p : Bands
        Of T and of D W^-1 D^T, the rows of the bends.
    between, corner : Array, shape (M - 2, k), (k, k)
        Of T without F, the bends against the line and the line.
    far : FarLines
        F.
    target : Array, shape (k + M - 2,)
        D y.
    start : Array, shape (M,)
        f - y of no training.
    unit : float
        Size of T, by which `t`, `between`, `corner` and `far` are divided.
    """

    omega: Array
    steps: Array
    lines: Array
    gram: Array
    t: Bands
    p: Bands
    between: Array
    corner: Array
    far: FarLines
    target: Array
    start: Array
    unit: float

    @classmethod
    def of(cls, posed: PosedProblem) -> BandedFilters:
        """The filters of a problem with two slopes, parameterization `Standard`."""
        data, system = posed.problem.data, posed.seen_from_data
        x, y, steps = data.x, data.y, system.steps
        omega = data.weights / data.weights.sum()
        rows = [system.masses(row, of)._replace(line=np.zeros(3)) for row, of in enumerate(posed.zeta)]
        local = system.hessian(rows)
        unit = float(max(local.diagonal.max(initial=0.0), local.corner.max(initial=0.0))) or 1.0
        diagonal, off, border, corner = local.diagonal / unit, local.off / unit, local.border / unit, local.corner / unit
        t, p = Bands.of(diagonal, off[: max(diagonal.size - 1, 0)], np.zeros(0)), _bends(omega, steps)
        bends, lines = np.diff(np.diff(y) / steps), np.stack([np.full_like(x, system.span), x - x[0]], axis=1)
        if posed.problem.free:
            nothing = np.zeros((bends.size, 0)), np.zeros((0, 0))
            start = _bent(omega, x, y)
            return cls(omega, steps, lines[:, :0], nothing[1], t, p, *nothing, FarLines(0.0, 0.0, 0.0), bends, -start, unit)
        weighted = omega[:, None] * lines
        gram = lines.T @ weighted
        beyond = np.cumsum(weighted[::-1], axis=0)[::-1]  # of every point and those after it
        hinges = np.cumsum((steps[:, None] * beyond[1:])[::-1], axis=0)[::-1][1:]  # X^T W [x - x_j]_+ at inner data
        shares = np.linalg.solve(gram, hinges.T).T  # the line that is nearest to a hinge
        between = t @ shares + border.T
        corner = corner + border @ shares + shares.T @ between
        mass, centre, deviation = system.far_lines(posed.zeta)
        far = FarLines(mass / unit, (x[0] - centre) / system.span, mass * (deviation / system.span) ** 2 / unit)
        target = np.concatenate([np.linalg.solve(gram, weighted.T @ y), bends])
        return cls(omega, steps, lines, gram, t, p, between, corner, far, target, -y, unit)

    def filtered(self, poles: Poles, strengths: Array) -> Filtered:
        """What filters with these poles leave, for strengths > 0 in units of 1/`unit`."""
        block = max(1, _BLOCK // (self.omega.size * poles.places.size))
        parts = [self._block(poles, strengths[at : at + block]) for at in range(0, strengths.size, block)]
        return Filtered(*(np.concatenate(columns, axis=-1) for columns in zip(*parts, strict=True)))

    def _block(self, poles: Poles, strengths: Array) -> Filtered:
        numbers = (poles.places / strengths[:, None]).ravel()
        eliminated = Eliminated.of(self, numbers)
        residual = self._residual(numbers, *eliminated.solve(*self._targets))
        made, left = eliminated.traces()
        shape, size = (strengths.size, poles.places.size), self.target.size
        kept, gone, not_made = (
            np.real(part.reshape(*part.shape[:-1], *shape) @ poles.weights) for part in (residual, left, size - made)
        )
        return Filtered(kept, gone, size - not_made)

    def traces(self, strengths: Array) -> Array:
        """Traces of the hat matrices of smoothing, without lines that are free, shape (K,)."""
        return np.asarray(Eliminated.of(self, 1 / strengths).traces()[0])

    def correction(self, poles: Poles, strength: float) -> Array:
        """The change of the residual at the data by a step of iterative refinement, shape (M,): about its rounding."""
        numbers = poles.places / strength
        eliminated = Eliminated.of(self, numbers)
        more = eliminated.solve(*eliminated.missing(*self._targets, *eliminated.solve(*self._targets)))
        return np.asarray(np.real(self._residual(numbers, *more) @ poles.weights))

    @property
    def _targets(self) -> tuple[Array, Array]:
        """D y of the line and of the bends, one column each."""
        count = self.lines.shape[1]
        return self.target[:count, None], self.target[count:, None]

    def _residual(self, numbers: Numbers, line: Numbers, bends: Numbers) -> Numbers:
        """f - y at the data, shape (M, K), from the unknowns."""
        heights = np.zeros((self.omega.size, numbers.size), bends.dtype)
        heights[1:-1] = bends
        slopes = np.zeros((self.omega.size + 1, numbers.size), bends.dtype)
        slopes[1:-1] = np.diff(heights, axis=0) / self.steps[:, None]
        made = np.diff(slopes, axis=0) / self.omega[:, None]
        if line.size:
            made += self.lines @ np.linalg.solve(self.gram, line)
        return np.asarray(-numbers * made)


@dataclass(frozen=True, eq=False)
class Eliminated:
    r"""The equations of `BandedFilters` for K numbers :math:`\lambda`, solved for the bends.

    Attributes
    ----------
    filters : BandedFilters
        What they belong to.
    numbers : array, shape (K,)
        The :math:`\lambda`.
    factors : PentadiagonalFactors
        Of the rows of the bends.
    bent : array, shape (M - 2, k, K)
        What the bends answer to the line.
    scale : array, shape (K,)
        Size of the equations of the line that are left, by which all that follows is divided.
    far : FarLines
        F.
    rest : array, shape (k, k, K)
        The others of these equations.
    determinant : array, shape (K,)
        Of both together.
    """

    filters: BandedFilters
    numbers: Numbers
    factors: PentadiagonalFactors
    bent: Numbers
    scale: Array
    far: FarLines
    rest: Numbers
    determinant: Numbers

    @classmethod
    def of(cls, filters: BandedFilters, numbers: Numbers) -> Eliminated:
        """The equations for these numbers, which are no negative ones."""
        factors = PentadiagonalFactors.of(filters.t, filters.p, numbers)
        bent, far, one = factors.solve(filters.between), filters.far, np.ones(numbers.size)
        if not filters.lines.shape[1]:
            return cls(filters, numbers, factors, bent, one, far, np.zeros((0, 0, numbers.size)), one)
        rest = filters.corner[..., None] - np.einsum("na,nbk->abk", filters.between, bent)
        rest = (rest + rest.swapaxes(0, 1)) / 2 + np.linalg.inv(filters.gram)[..., None] * numbers
        scale = np.abs(rest).max(axis=(0, 1)) + far.mass
        far, rest = FarLines(far.mass / scale, far.mean, far.spread / scale), rest / scale
        own = rest[0, 0] * rest[1, 1] - rest[0, 1] ** 2
        return cls(filters, numbers, factors, bent, scale, far, rest, far.mass * far.spread + far.adjugate(rest) + own)

    def solve(self, line: Numbers, bends: Numbers) -> tuple[Numbers, Numbers]:
        """The unknowns for right-hand sides with one column, or one for each number: shapes (k, K) and (M - 2, K)."""
        alone = self.factors.solve(bends[:, None, :])[:, 0]
        if not line.size:
            return np.zeros((0, self.numbers.size)), alone
        d = (line - self.filters.between.T @ alone) / self.scale
        (first, across), (_, second) = self.rest
        turned = np.stack([second * d[0] - across * d[1], first * d[1] - across * d[0]])
        found = (self.far.adjugate_on(d) + turned) / self.determinant
        return found, alone - np.einsum("nak,ak->nk", self.bent, found)

    def missing(self, line: Array, bends: Array, found: Numbers, bent: Numbers) -> tuple[Numbers, Numbers]:
        """By how much unknowns miss the right-hand sides."""
        filters, numbers = self.filters, self.numbers
        bends_missing = bends - filters.t @ bent - numbers * (filters.p @ bent) - filters.between @ found
        if not line.size:
            return np.zeros((0, numbers.size)), bends_missing
        shrunk = numbers * np.linalg.solve(filters.gram, found)
        line_missing = line - filters.far.product(found) - filters.corner @ found - shrunk - filters.between.T @ bent
        return line_missing, bends_missing

    def traces(self) -> tuple[Numbers, Numbers]:
        r"""Traces of the hat matrix, without lines that are free, and of what smoothing leaves, each by its own formula."""
        filters, numbers = self.filters, self.numbers
        made, left = self.factors.traces(filters.t, filters.p)
        if not self.rest.size:
            return made, numbers * left
        far, rest, bent = self.far, self.rest, self.bent
        across = np.einsum("na,nbk->abk", filters.between, bent)
        local = (filters.corner[..., None] - across - across.swapaxes(0, 1) + _form(filters.t, bent)) / self.scale
        shrunk = (np.linalg.inv(filters.gram)[..., None] + _form(filters.p, bent)) / self.scale
        made_line = 2 * far.mass * far.spread + far.adjugate(local) + far.adjugate(rest) + _mixed(rest, local)
        left_line = far.adjugate(shrunk) + _mixed(rest, shrunk)
        return made + made_line / self.determinant, numbers * (left + left_line / self.determinant)


def _form(matrix: Bands, columns: Numbers) -> Numbers:
    """Y^T X Y for columns Y, shape (n, 2, K): shape (2, 2, K)."""
    return np.asarray(np.einsum("nak,nbk->abk", columns, matrix @ columns))


def _mixed(x: Numbers, y: Numbers) -> Numbers:
    """tr(adj(x) y) of symmetric 2 x 2 matrices, shape (2, 2, K)."""
    return np.asarray(x[1, 1] * y[0, 0] + x[0, 0] * y[1, 1] - 2 * x[0, 1] * y[0, 1])


def _bent(omega: Array, x: Array, y: Array) -> Array:
    """What the weighted least-squares line leaves of y, 0 if that is rounding."""
    rise, middle = x - x[0], y - y[0]
    rise, middle = rise - omega @ rise, middle - omega @ middle
    left = middle - rise * ((omega * rise) @ middle / ((omega * rise) @ rise))
    return left if np.linalg.norm(left) > 1e-14 * np.linalg.norm(y) else np.zeros_like(y)


def _bends(omega: Array, steps: Array) -> Bands:
    """Q^T W^-1 Q for second divided differences Q^T."""
    near, share = 1 / steps, 1 / omega
    middle = -(near[:-1] + near[1:])
    diagonal = near[:-1] ** 2 * share[:-2] + middle**2 * share[1:-1] + near[1:] ** 2 * share[2:]
    first = middle[:-1] * near[1:-1] * share[1:-2] + near[1:-1] * middle[1:] * share[2:-1]
    return Bands.of(diagonal, first, near[1:-2] * near[2:-1] * share[2:-2])
