r"""How much a side bends for a given dual value: the only place where law and potential meet.

Given :math:`g` at breakpoint c, every neuron there has :math:`\alpha = (\phi')^{-1}(v g)`, v = |w|, hence per side

.. math:: a(c, g) = \int \rho(c, v)\, v\, \alpha\, dv, \quad
          a'(c, g) = \int \rho\, v^2 / \phi''(\alpha)\, dv, \quad
          \Psi(c, g) = \int \rho\, (\phi^*(v g) - \phi^*(0))\, dv .

For :math:`\phi(u) = u^2/2` these are :math:`\zeta g`, :math:`\zeta` and :math:`\zeta g^2/2`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from splinebias._check import Array
from splinebias.breakpoints import BreakpointLaw
from splinebias.potential import Potential, Quadratic

Sides = dict[int, Array]
_UNDERFLOWING = 1e-290  # masses on the point of it
_FAINT = 1e-50  # masses next to those, not next to the end of a support


@dataclass(frozen=True, eq=False)
class Response:
    r"""The response to dual values g, each part computed when it is first asked for: a Newton step that fails needs few.

    Attributes
    ----------
    potential : Potential
        The phi above.
    v, rho : dict of Array
        As in `ResponseModel`.
    g : dict of Array
        Per side, the dual values.
    """

    potential: Potential
    v: Sides
    rho: Sides
    g: Sides

    @cached_property
    def _size(self) -> Sides:
        """Per side, v |g|, shape (..., m)."""
        return {side: self.v[side] * np.abs(g)[..., None] for side, g in self.g.items()}

    @cached_property
    def alpha(self) -> Sides:
        r"""Per side, :math:`|\alpha|`, shape (..., m)."""
        return {side: np.asarray(self.potential.grad_inverse(size)) for side, size in self._size.items()}

    @cached_property
    def value(self) -> Sides:
        """Per side and breakpoint, a: odd in g, because phi is even."""
        return {
            side: np.copysign(_average(self.rho[side], self.v[side] * a), self.g[side]) for side, a in self.alpha.items()
        }

    @cached_property
    def slope(self) -> Sides:
        """Per side and breakpoint, a'."""
        found = {}
        for side, alpha in self.alpha.items():
            curvature, square = self.potential.hess(alpha), self.v[side] ** 2
            steep = square / curvature
            found[side] = _average(self.rho[side], steep if (curvature > 0).all() else np.where(curvature > 0, steep, 0.0))
        return found

    def brink(self, side: int) -> tuple[NDArray[np.bool_], Array] | None:
        r"""Where terms of `value` are left out, because mass underflows and :math:`\alpha` overflows, and their neighbours.

        None if nowhere. Else per breakpoint whether any is, and the size of the term of least mass, 0 if that is not faint.
        """
        alpha, rho = self.alpha[side], self.rho[side]
        if np.isfinite(alpha).all():
            return None
        rho, v, alpha = np.broadcast_arrays(rho, self.v[side], alpha)
        out = ~np.isfinite(alpha) & (rho <= _UNDERFLOWING)
        faint = np.where((rho > 0) & (rho < _FAINT) & ~out, rho, np.inf)
        least = np.argmin(faint, axis=-1)[..., None]
        mass, size = (np.take_along_axis(a, least, -1)[..., 0] for a in (faint, v * alpha))
        return np.asarray(out.any(axis=-1)), np.asarray(np.where(np.isfinite(mass), mass * size, 0.0))

    @cached_property
    def _cost(self) -> Sides:
        return {side: np.asarray(self.potential.cost(alpha)) for side, alpha in self.alpha.items()}

    @cached_property
    def dual(self) -> Sides:
        """Per side and breakpoint, Psi."""
        return {side: _average(self.rho[side], a * self._size[side] - self._cost[side]) for side, a in self.alpha.items()}

    @cached_property
    def penalty(self) -> Sides:
        """Per side and breakpoint, the density of the penalty."""
        return {side: _average(self.rho[side], cost) for side, cost in self._cost.items()}


@dataclass(frozen=True, eq=False)
class ResponseModel:
    """The response of one law and potential at fixed breakpoints (the law is integrated over |w| once).

    Attributes
    ----------
    potential : Potential
        The phi above.
    v, rho : dict of Array
        Per side, nodes and masses of |w| at each breakpoint, shape (..., m); for the quadratic potential v = 1, rho = zeta.
    """

    potential: Potential
    v: Sides
    rho: Sides

    @classmethod
    def at(cls, law: BreakpointLaw, potential: Potential, c: Array, sides: tuple[int, ...] = (1, -1)) -> ResponseModel:
        """The model at breakpoints `c`, any shape, for one side or both."""
        if isinstance(potential, Quadratic):
            rho = {side: law.zeta(c, side)[..., None] for side in sides}
            return cls(potential, {side: np.ones((1,) * rho[side].ndim) for side in rho}, rho)
        sliced = {side: law.slices(c, side) for side in sides}
        return cls(potential, {s: v for s, (v, _) in sliced.items()}, {s: rho for s, (_, rho) in sliced.items()})

    @classmethod
    def of_both(cls, law: BreakpointLaw, potential: Potential, c: Array) -> ResponseModel:
        """The two sides as one, number +1, for dual functions on which they agree."""
        model = cls.at(law, potential, c)
        (v, rho), (w, sigma) = ((model.v[side], model.rho[side]) for side in (1, -1))
        if v.shape == w.shape and rho.shape[-1] == 1 and (v == w).all():
            return cls(potential, {1: v}, {1: rho + sigma})
        v, w = np.broadcast_to(v, rho.shape), np.broadcast_to(w, sigma.shape)
        return cls(potential, {1: np.concatenate([v, w], axis=-1)}, {1: np.concatenate([rho, sigma], axis=-1)})

    def take(self, at: NDArray[np.intp]) -> ResponseModel:
        """The model at some of the breakpoints."""
        v = {side: v[at] if v.shape[0] > 1 else v for side, v in self.v.items()}
        return ResponseModel(self.potential, v, {side: rho[at] for side, rho in self.rho.items()})

    def __call__(self, g: Sides) -> Response:
        """Response to dual values `g` of one side or two, each of the shape of the breakpoints."""
        return Response(self.potential, self.v, self.rho, g)


def _average(rho: Array, values: Array) -> Array:
    """sum_m rho values, where a rho that underflows, or is about to, wins over a value that overflows."""
    if rho.shape[-1] == 1:
        with np.errstate(invalid="ignore", over="ignore"):
            product = (rho * values)[..., 0]
            known = np.isfinite(product.sum())
        return np.asarray(product if known else np.where((rho[..., 0] > _UNDERFLOWING) | np.isfinite(product), product, 0.0))
    total = np.einsum("...m,...m->...", rho, values)
    if not np.isfinite(total).all():
        product = rho * values
        total = np.where((rho > _UNDERFLOWING) | np.isfinite(product), product, 0.0).sum(axis=-1)
    return np.asarray(total)
