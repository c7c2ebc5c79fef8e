r"""How much a side bends for a given dual value: the only place where law and potential meet.

Given :math:`g` at breakpoint c, every neuron there has :math:`\alpha = (\phi')^{-1}(v g)`, v = |w|, hence per side

.. math:: a(c, g) = \int \rho(c, v)\, v\, \alpha\, dv, \quad
          a'(c, g) = \int \rho\, v^2 / \phi''(\alpha)\, dv, \quad
          \Psi(c, g) = \int \rho\, (\phi^*(v g) - \phi^*(0))\, dv .

For :math:`\phi(u) = u^2/2` these are :math:`\zeta g`, :math:`\zeta` and :math:`\zeta g^2/2`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import Array
from splinebias.initialization.breakpoints import BreakpointLaw
from splinebias.potential import Potential, Quadratic

Sides = dict[int, Array]
_UNDERFLOWING = 1e-290  # masses on the point of it
_OVERFLOWING = 1e200  # curvature that makes up for them
_FAINT = 1e-50  # masses next to those, not next to the end of a support


@dataclass(frozen=True, eq=False)
class Response:
    r"""The response to dual values g, each part computed when it is first asked for: a Newton step that fails needs few.

    Attributes
    ----------
    potential : Potential
        The phi above.
    v, rho, faint : dict of Array
        As in `ResponseModel`.
    g : dict of Array
        Per side, the dual values.
    known : dict of Array or None
        `alpha`, where the caller knows it.
    """

    potential: Potential
    v: Sides
    rho: Sides
    faint: Sides
    g: Sides
    known: Sides | None = None

    @cached_property
    def _size(self) -> Sides:
        """Per side, v |g|, shape (..., m)."""
        return {side: self.v[side] * np.abs(g)[..., None] for side, g in self.g.items()}

    @cached_property
    def alpha(self) -> Sides:
        r"""Per side, :math:`|\alpha|`, shape (..., m)."""
        if self.known is not None:
            return self.known
        return {side: np.asarray(self.potential.grad_inverse(size)) for side, size in self._size.items()}

    @cached_property
    def _far(self) -> Sides:
        r"""Per side with faint masses, :math:`\rho |\alpha| = \rho/\phi''` of these, shape (..., m)."""
        return {s: np.exp(log + self.potential.log_grad_inverse(self._size[s])) for s, log in self.faint.items()}

    def _mean(self, side: int, values: Array, faint: Array | float = 1.0) -> Array:
        r"""Per breakpoint, sum_m rho `values`; for faint masses these are `faint` times :math:`|\alpha|`."""
        found = _average(self.rho[side], values)
        if side not in self.faint:
            return found
        far = np.where(self._far[side] > 0, self._far[side] * faint, 0.0)
        return np.asarray(found + far.sum(axis=-1))

    @cached_property
    def value(self) -> Sides:
        """Per side and breakpoint, a: odd in g, because phi is even."""
        v = self.v
        return {side: np.copysign(self._mean(side, v[side] * a, v[side]), self.g[side]) for side, a in self.alpha.items()}

    @cached_property
    def square(self) -> Sides:
        r"""Per side and breakpoint, :math:`\int \rho\, v^2 \alpha^2\, dv`."""
        found = {}
        for side, alpha in self.alpha.items():
            found[side] = _average(self.rho[side], (self.v[side] * alpha) ** 2)
            if side in self.faint:
                far = np.exp(self.faint[side] + 2 * self.potential.log_grad_inverse(self._size[side]))
                found[side] = found[side] + np.where(far > 0, self.v[side] ** 2 * far, 0.0).sum(axis=-1)
        return found

    @cached_property
    def slope(self) -> Sides:
        """Per side and breakpoint, a'."""
        found = {}
        for side, alpha in self.alpha.items():
            curvature, square = self.potential.hess(alpha), self.v[side] ** 2
            steep = square / curvature
            found[side] = self._mean(side, steep if (curvature > 0).all() else np.where(curvature > 0, steep, 0.0), square)
        return found

    def brink(self, side: int) -> tuple[NDArray[np.bool_], Array] | None:
        r"""Where terms of `value` are left out, because mass underflows and :math:`\alpha` overflows, and their neighbours.

        None if nowhere. Else per breakpoint whether any is, and the size of the term of least mass, 0 if that is not faint.
        """
        alpha = self.alpha[side]
        if (alpha <= _OVERFLOWING).all():
            return None
        log, term = np.log(self.rho[side]), self.rho[side] * (self.v[side] * alpha)
        known: NDArray[np.bool_] = np.zeros(1, dtype=bool)
        if side in self.faint:
            known = self.faint[side] > -np.inf
            log, term = np.where(known, self.faint[side], log), np.where(known, self.v[side] * self._far[side], term)
        log, term, alpha, known = np.broadcast_arrays(log, term, alpha, known)
        out = ~(alpha <= _OVERFLOWING) & (log <= math.log(_UNDERFLOWING)) & ~known
        least = np.argmin(np.where((log > -np.inf) & (log < math.log(_FAINT)) & ~out, log, np.inf), axis=-1)[..., None]
        mass, size = (np.take_along_axis(a, least, -1)[..., 0] for a in (log, term))
        faint = (mass > -np.inf) & (mass < math.log(_FAINT)) & np.isfinite(size)
        return np.asarray(out.any(axis=-1)), np.asarray(np.where(faint, size, 0.0))

    @cached_property
    def _cost(self) -> Sides:
        return {side: np.asarray(self.potential.cost(alpha)) for side, alpha in self.alpha.items()}

    @cached_property
    def dual(self) -> Sides:
        """Per side and breakpoint, Psi."""
        return {side: self._mean(side, a * self._size[side] - self._cost[side]) for side, a in self.alpha.items()}

    @cached_property
    def penalty(self) -> Sides:
        """Per side and breakpoint, the density of the penalty."""
        return {side: self._mean(side, cost, self._size[side] - 1) for side, cost in self._cost.items()}


@dataclass(frozen=True, eq=False)
class ResponseModel:
    """The response of one law and potential at fixed breakpoints (the law is integrated over |w| once).

    Attributes
    ----------
    potential : Potential
        The phi above.
    v, rho : dict of Array
        Per side, nodes and masses of |w| at each breakpoint, shape (..., m); for the quadratic potential v = 1, rho = zeta.
    faint : dict of Array
        Logarithms of masses that underflow, which are 0 in `rho`, and -inf elsewhere; of sides with such masses, and of
        potentials that make up for them.
    """

    potential: Potential
    v: Sides
    rho: Sides
    faint: Sides

    @classmethod
    def at(cls, law: BreakpointLaw, potential: Potential, c: Array, sides: tuple[int, ...] = (1, -1)) -> ResponseModel:
        """The model at breakpoints `c`, any shape, for one side or both."""
        if isinstance(potential, Quadratic):
            rho = {side: law.zeta(c, side)[..., None] for side in sides}
            return cls(potential, {side: np.ones((1,) * rho[side].ndim) for side in rho}, rho, {})
        sliced = {side: law.slices(c, side) for side in sides}
        v, rho, faint = {s: v for s, (v, _) in sliced.items()}, {s: rho for s, (_, rho) in sliced.items()}, {}
        if potential.log_grad_inverse(np.float64(1.0)) is not None:
            for side in sides:
                if (fades := rho[side] <= _UNDERFLOWING).any():
                    faint[side] = np.where(fades, law.log_masses(c, side), -np.inf)
                    rho[side] = np.where(fades & (faint[side] > -np.inf), 0.0, rho[side])
        return cls(potential, v, rho, faint)

    @classmethod
    def of_both(cls, law: BreakpointLaw, potential: Potential, c: Array) -> ResponseModel:
        """The two sides as one, number +1, for dual functions on which they agree."""
        model = cls.at(law, potential, c)
        (v, rho), (w, sigma) = ((model.v[side], model.rho[side]) for side in (1, -1))
        faint = [model.faint.get(s, np.full_like(model.rho[s], -np.inf)) for s in (1, -1)] if model.faint else []
        if v.shape == w.shape and rho.shape[-1] == 1 and (v == w).all():
            return cls(potential, {1: v}, {1: rho + sigma}, {1: np.logaddexp(*faint)} if faint else {})
        v, w = np.broadcast_to(v, rho.shape), np.broadcast_to(w, sigma.shape)
        both = {1: np.concatenate([rho, sigma], axis=-1)}
        return cls(potential, {1: np.concatenate([v, w], axis=-1)}, both, {1: np.concatenate(faint, -1)} if faint else {})

    def take(self, at: NDArray[np.intp]) -> ResponseModel:
        """The model at some of the breakpoints."""
        v = {side: v[at] if v.shape[0] > 1 else v for side, v in self.v.items()}
        rho, faint = ({side: part[at] for side, part in parts.items()} for parts in (self.rho, self.faint))
        return ResponseModel(self.potential, v, rho, faint)

    def ravelled(self, shape: tuple[int, ...]) -> ResponseModel:
        """The model at breakpoints of this shape, these in one dimension."""

        def flat(parts: Sides) -> Sides:
            wide = {side: (*shape, self.rho[side].shape[-1]) for side in parts}
            return {s: np.broadcast_to(a, wide[s]).reshape(math.prod(shape), wide[s][-1]) for s, a in parts.items()}

        return ResponseModel(self.potential, flat(self.v), flat(self.rho), flat(self.faint))

    @property
    def occupied(self) -> NDArray[np.bool_]:
        """Per breakpoint, whether there is any mass."""
        masses = [rho > 0 for rho in self.rho.values()] + [faint > -np.inf for faint in self.faint.values()]
        return np.asarray(np.concatenate(masses, axis=-1).any(axis=-1))

    def __call__(self, g: Sides, alpha: Sides | None = None) -> Response:
        """Response to dual values `g` of one side or two, each of the shape of the breakpoints; `alpha` as in `Response`."""
        return Response(self.potential, self.v, self.rho, self.faint, g, alpha)


@np.errstate(invalid="ignore", over="ignore")
def _average(rho: Array, values: Array) -> Array:
    """sum_m rho values, where a rho that underflows, or is about to, wins over a value that overflows."""
    if rho.shape[-1] == 1:
        product = (rho * values)[..., 0]
        known = np.isfinite(product.sum())
        return np.asarray(product if known else np.where((rho[..., 0] > _UNDERFLOWING) | np.isfinite(product), product, 0.0))
    total = np.einsum("...m,...m->...", rho, values)
    if not np.isfinite(total).all():
        product = rho * values
        total = np.where((rho > _UNDERFLOWING) | np.isfinite(product), product, 0.0).sum(axis=-1)
    return np.asarray(total)
