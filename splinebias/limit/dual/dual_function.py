r"""The dual function g of a problem, in the O(M) coordinates of theory section 5.

For the two-slope activation :math:`\sigma(z) = p z_+ - q z_-` the dual functions
:math:`g_\pm(c) = \sum_i \lambda_i \sigma(\pm(x_i - c))` are piecewise linear with knots at the data. With
:math:`G(c) = \sum_i \lambda_i [x_i - c]_+` and :math:`\ell(c) = \sum_i \lambda_i (x_i - c) = A - Bc`,

.. math:: g_+ = (p - q) G + q\,\ell, \qquad g_- = (p - q) G - p\,\ell,

so the nodal values :math:`v_j = G(x_j)` (with :math:`v_M = 0`) and :math:`\beta = B (x_M - x_1)` determine everything:
:math:`\ell(c) = v_1 - \beta (c - x_1)/(x_M - x_1)`. A free affine part means
:math:`\sum \lambda_i = \sum \lambda_i x_i = 0`, that is :math:`\beta = v_1 = 0`.

Where :math:`g_+ = g_-` for all multipliers, both sides are one.

Data far from the breakpoints of a law (time stamps) ask for a line that is small there and large at the data: it is known by
its value at those breakpoints then, see `LineFrame`, because the difference of two large ones has no digits.

The *mirror image* of a dual function is the curvature that it makes, about :math:`\alpha = (\phi')^{-1}(g)`. The equations
are almost linear in :math:`\alpha` whatever :math:`\phi` is, while in g they are as curved as :math:`(\phi')^{-1}`. A Newton
step :math:`\delta` is therefore taken as :math:`\alpha + \delta/\phi''(\alpha)` at every data point, which is the same to
first order. The same map turns the solution of the quadratic problem into a start for any other. A data point has one
unknown and up to two dual values: one of them counts. At the ends it is the line that matters, of slope and offset the two
unknowns that are left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.activation import TwoSlope
from splinebias.potential import Potential

Factors = tuple[tuple[float, float], ...]


class Zeros(NamedTuple):
    """Zeros, and how far they are from the data point before them (or the first one), shape (Z,)."""

    place: Array
    offset: Array


class LineFrame(NamedTuple):
    r"""Two places at which :math:`\ell` counts; an unknown is its value at the `first`. In general, the ends of the data."""

    first: float
    last: float

    @classmethod
    def of(cls, x: Array) -> LineFrame:
        """The ends of data `x`."""
        return cls(float(x[0]), float(x[-1]))


def line_factors(activation: TwoSlope, *, free: bool) -> Factors:
    r"""Per side, the factor of :math:`\ell` in g left of the data, where G is the line itself, and elsewhere.

    Of one side if both have one dual function for all multipliers: with a free affine part, or where q = -p.
    """
    p, q = activation.right, activation.left
    return ((p, q),) if free or q == -p else ((p, q), (-q, -p))


@dataclass(frozen=True, eq=False)
class SideFunction:
    r"""The dual function of one side: linear between the data, a multiple of :math:`\ell` beyond them.

    Attributes
    ----------
    dual : DualFunction
        Gives the data abscissae and :math:`\ell`.
    nodal : Array, shape (M,)
        Values at the data.
    factors : tuple of float
        The factor of :math:`\ell` left of the data, and elsewhere.
    """

    dual: DualFunction
    nodal: Array
    factors: tuple[float, float]

    def zeros(self) -> Zeros:
        """The isolated zeros, in order."""
        g, x, beta, frame = self.nodal, self.dual.x, self.dual.beta, self.dual.frame
        (cross,) = (g[:-1] * g[1:] < 0).nonzero()
        offset = g[cross] / (g[cross] - g[cross + 1]) * (x[cross + 1] - x[cross])
        found, span = Zeros(x[cross] + offset, offset), self.dual.span
        if beta == 0:
            return found
        way = span * self.dual.height / beta  # to the zero of the line
        place, root = frame.first + way, way + (frame.first - x[0])  # relative to x_1
        if not np.isfinite(root) or 0 <= root <= span:
            return found
        if root < 0:
            return Zeros(np.concatenate([[place], found.place]), np.concatenate([[root], found.offset]))
        return Zeros(np.concatenate([found.place, [place]]), np.concatenate([found.offset, [root - span]]))


@dataclass(frozen=True, eq=False)
class DualFunction:
    r"""The dual functions of all sides together.

    Attributes
    ----------
    x : Array, shape (M,)
        Data abscissae.
    values : Array, shape (M,)
        The :math:`v_j` above; the last is 0.
    beta, height : float
        The :math:`\beta` above, and :math:`\ell` at the first place of the `frame`: :math:`v_1`, where that is x_1.
    frame : LineFrame
        Where :math:`\ell` is known best.
    activation : TwoSlope
        Gives p and q.
    free : bool
        Whether the affine part is free.
    nodal : Array, shape (S, M), or (S, K, M) of K functions at once, which have an axis more everywhere
        The dual function of every side at the data: of plus and minus, or of the one that both have. It follows from
        `values` and `beta`, but only up to their rounding: where g_- is a small difference of large numbers, increments (see
        `moved`) know it better.
    """

    x: Array
    values: Array
    beta: Any  # a float; of several functions a column
    height: Any
    frame: LineFrame
    activation: TwoSlope
    free: bool
    nodal: Array

    @classmethod
    def of(cls, x: Array, u: Array, activation: TwoSlope, *, free: bool, frame: LineFrame | None = None) -> DualFunction:
        r"""From unknowns :math:`(\beta, \ell(\text{first}), v_2, \dots, v_{M-1})`, the first two if they are not free.

        They have shape (U,), or (K, U) for K functions.
        """
        values, line = np.zeros((*u.shape[:-1], x.size)), np.zeros((*u.shape[:-1], 2))
        frame = LineFrame.of(x) if frame is None else frame
        if free:
            values[..., 1:-1] = u
        else:
            line, values[..., 1:-1] = u[..., :2], u[..., 2:]
        beta, height = _numbers(line)
        return cls._from_values(x, values, beta, height, frame, activation, free)

    @classmethod
    def _from_values(
        cls, x: Array, values: Array, beta: Any, height: Any, frame: LineFrame, activation: TwoSlope, free: bool
    ) -> DualFunction:
        """From values at the inner data, to which that at x_1 is added."""
        found = cls(x, values, beta, height, frame, activation, free, values)
        line = found.line(x)
        values[..., 0] = line[..., 0]
        return replace(found, nodal=_nodal(activation.kink * values, line, activation, free))

    def through(self, inner: Array, line: Array, factor: Array | float) -> DualFunction:
        r"""The dual function that is `inner` at the inner data and whose :math:`\ell` has these values in the frame.

        `factor` is that of :math:`\ell` in `inner`, whose entries may belong to different sides.
        """
        (first, last), (begin, end) = _numbers(line), self.frame
        along = first - (first - last) * ((self.x - begin) / (end - begin))
        kinks = inner - factor * along  # (p - q) G
        kinks[..., 0], kinks[..., -1] = self.activation.kink * along[..., 0], 0.0
        values = kinks / self.activation.kink
        values[..., 0] = along[..., 0]
        nodal, beta = _nodal(kinks, along, self.activation, self.free), (first - last) * (self.span / (end - begin))
        return DualFunction(self.x, values, beta, first, self.frame, self.activation, self.free, nodal)

    def __call__(self, c: Array) -> Array:
        """Values of all sides at `c`, of shape (S,) and that of `c`; (S, K, N) of several functions at c of shape (N,)."""
        rows = [np.interp(c, self.x, nodal) for nodal in self.nodal.reshape(-1, self.x.size)]
        found = np.array(rows).reshape(*self.nodal.shape[:-1], *c.shape)
        before, after = c < self.x[0], c > self.x[-1]
        for values, (left, right) in zip(found, self.factors, strict=True):
            for outside, factor in ((before, left), (after, right)):
                if outside.any():
                    values[..., outside] = factor * self.line(c[outside])
        return found

    @property
    def several(self) -> DualFunction:
        """The same as several functions, of which there is one: K = 1."""
        beta, height = np.array([[self.beta]]), np.array([[self.height]])
        return replace(self, values=self.values[None], beta=beta, height=height, nodal=self.nodal[:, None])

    def __getitem__(self, k: int) -> DualFunction:
        """The k-th of several functions."""
        beta, height = float(self.beta[k, 0]), float(self.height[k, 0])
        return replace(self, values=self.values[k], beta=beta, height=height, nodal=self.nodal[:, k])

    def moved(self, step: Array) -> DualFunction:
        """The dual function whose unknowns are larger by `step`, shape (U,)."""
        return self._plus(self._with(step))

    def mirrored(self, phi: Potential, step: Array) -> DualFunction:
        r"""The dual function after a Newton step of the unknowns, shape (U,), taken in the mirror image.

        At a data point the side that bends more as g moves takes the step.
        """
        increment = self._with(step)
        old, change = self._known, increment._known
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # such steps are not taken
            alpha = phi.grad_inverse(old)
            rigid = phi.hess(alpha)
            first, last = self._of_sides(rigid)
            plus = first <= last
            old, change, alpha, rigid = (self._counting(of, plus) for of in (old, change, alpha, rigid))
            moved, size = phi.grad(alpha + change / rigid) - old, np.abs(change)
            # not where that moves g more than the step itself, as at a sign change, where 1/phi'' is infinite; nor where the
            # two hardly differ, because the step is known with its own relative precision
            taken = (np.abs(moved) < size) & (size > 1e-4 * np.abs(old)) & (alpha != 0)
        return self._plus(self._through(np.where(taken, moved, change), plus))

    def through_mirror(self, phi: Potential, before: Potential | None = None) -> DualFunction:
        r"""Has :math:`\phi'` of the values here at the data, or of the curvature they make with the potential `before`.

        It is made of those values, not by increments: where these are larger by powers of ten, their rounding would stay,
        and :math:`g_+ - g_- = \ell` be lost.
        """
        plus = np.abs(self.nodal[0]) >= np.abs(self.nodal[-1])
        old = self._counting(self._known, plus)
        return self._through(phi.grad(old if before is None else before.grad_inverse(old)), plus)

    def _with(self, u: Array) -> DualFunction:
        """The dual function with unknowns u."""
        return DualFunction.of(self.x, u, self.activation, free=self.free, frame=self.frame)

    def _plus(self, step: DualFunction) -> DualFunction:
        """The sum of the two, in which g at the data keeps the relative precision of the increments.

        Where increments larger by powers of ten leave their rounding behind, the two sides are made from `values` anew.
        """
        values, beta, height = self.values + step.values, self.beta + step.beta, self.height + step.height
        new = replace(self, values=values, beta=beta, height=height, nodal=self.nodal + step.nodal)
        far_apart = 1e-12  # part of g by which the two sides may disagree
        torn = new.torn > far_apart
        if not np.any(torn):
            return new
        anew = self._from_values(self.x, values.copy(), beta, height, self.frame, self.activation, self.free)
        return replace(new, values=np.where(torn, anew.values, values), nodal=np.where(torn, anew.nodal, new.nodal))

    @property
    def _largest(self) -> float:
        """Factor of the line in the dual value that counts at its ends."""
        return max(abs(self.activation.right), abs(self.activation.left))

    @property
    def _known(self) -> Array:
        """The dual values at the ends of the line, and of all sides at the data, shape (..., 2 + S M)."""
        return np.concatenate([self._largest * self.line_ends, *self.nodal], axis=-1)

    def _of_sides(self, known: Array) -> tuple[Array, Array]:
        """Such values of the first and of the last side at the data, shape (..., M)."""
        size = self.x.size
        return known[..., 2 : 2 + size], known[..., -size:]

    def _counting(self, known: Array, plus: NDArray[np.bool_]) -> Array:
        """What counts of such values, (..., 2 + M): at the data those of the first side where `plus`, else of the last."""
        return np.concatenate([known[..., :2], np.where(plus, *self._of_sides(known))], axis=-1)

    def _through(self, found: Array, plus: NDArray[np.bool_]) -> DualFunction:
        """The dual function of which these are the values that count."""
        factor = np.where(plus, self.factors[0][1], self.factors[-1][1])
        return self.through(found[..., 2:], found[..., :2] / self._largest, factor)

    def times(self, factor: float) -> DualFunction:
        """A multiple of it."""
        values, nodal = self.values * factor, self.nodal * factor
        return replace(self, values=values, beta=self.beta * factor, height=self.height * factor, nodal=nodal)

    @cached_property
    def factors(self) -> Factors:
        r"""Per side, the factor of :math:`\ell` left of the data, and elsewhere."""
        return line_factors(self.activation, free=self.free)

    @cached_property
    def sides(self) -> tuple[SideFunction, ...]:
        """The dual functions of plus and minus, or the one that both have."""
        return tuple(SideFunction(self, *of) for of in zip(self.nodal, self.factors, strict=True))

    @property
    def torn(self) -> Any:
        r"""How far :math:`g_+ - g_-` is from a multiple of :math:`\ell` at the data, relative to the larger of the two.

        Beyond rounding of :math:`\ell`: what increments larger by powers of ten leave behind, where nothing else shows it.
        A float, or of K functions shape (K, 1).
        """
        if len(self.nodal) == 1:
            return 0.0
        (plus, minus), ((_, factor), (_, other)) = self.nodal, self.factors
        gap = self.line(self.x)
        gap *= other - factor
        gap += plus
        gap -= minus
        gap = np.abs(gap, out=gap)
        gap -= 1e-14 * np.abs(self.line(self.x[[0, -1]])).max(axis=-1, keepdims=True)  # rounding after many increments
        size = np.maximum(np.abs(plus), np.abs(minus))
        torn = np.divide(gap, size, out=np.zeros_like(gap), where=(gap > 0) & (size > 0)).max(axis=-1, keepdims=True)
        return float(torn[0]) if torn.ndim == 1 else torn

    @property
    def span(self) -> float:
        """The length x_M - x_1 of the data."""
        return float(self.x[-1] - self.x[0])

    @property
    def turn(self) -> Any:
        r"""The slope of :math:`\ell`."""
        return -self.beta / self.span

    def line(self, c: Array) -> Array:
        r""":math:`\ell(c)`, same shape as `c`; of K functions shape (K, N) at c of shape (N,)."""
        line = np.subtract(c, self.frame.first)
        line /= self.span
        line = line * -self.beta
        line += self.height
        return np.asarray(line)

    @cached_property
    def line_ends(self) -> Array:
        r""":math:`\ell` at the two places of the frame, shape (..., 2)."""
        return self.line(np.array(self.frame))

    def zeros(self) -> Array:
        """The isolated zeros of all sides, sorted."""
        return np.unique(np.concatenate([g.zeros().place for g in self.sides]))

    def multipliers(self) -> Array:
        r"""The :math:`\lambda_i`: jumps of the slope of G, shape (M,)."""
        slopes = np.empty(self.x.size + 1)
        np.divide(np.diff(self.values), np.diff(self.x), out=slopes[1:-1])
        slopes[[0, -1]] = -self.beta / self.span, 0.0
        return np.diff(slopes)


def _numbers(pairs: Array) -> tuple[Any, Any]:
    """Two numbers, shape (2,); of several functions, shape (K, 2), columns."""
    return tuple(pairs.tolist()) if pairs.ndim == 1 else (pairs[:, :1], pairs[:, 1:])


def _nodal(kinks: Array, line: Array, activation: TwoSlope, free: bool) -> Array:
    r"""The dual functions at the data, shape (S, M), from :math:`(p - q) G` and :math:`\ell` there."""
    factors = line_factors(activation, free=free)
    nodal = np.empty((len(factors), *line.shape))
    for row, (_, factor) in enumerate(factors):
        np.multiply(line, factor, out=nodal[row])
    nodal += kinks
    return nodal
