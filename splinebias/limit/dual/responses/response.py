r"""How much a side bends for a given dual value, summed over sizes |w|: where law and potential meet.

Given :math:`g` at breakpoint c, every neuron there has :math:`\alpha = (\phi')^{-1}(v g)`, v = |w|, hence

.. math:: a(c, g) = \int \rho(c, v)\, v\, \alpha\, dv, \quad
          a'(c, g) = \int \rho\, v^2 / \phi''(\alpha)\, dv, \quad
          \Psi(c, g) = \int \rho\, (\phi^*(v g) - \phi^*(0))\, dv .

For :math:`\phi(u) = u^2/2` these are :math:`\zeta g`, :math:`\zeta` and :math:`\zeta g^2/2`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.initialization.breakpoints import Side
from splinebias.potential import Hypentropy, Potential, Quadratic

_UNDERFLOWING = 1e-290  # masses on the point of it
_OVERFLOWING = 1e200  # curvature that makes up for such masses
_FAR_DOWN, _NOTHING = 1e-60, 1e-30  # masses from which on a tail falls as it will; shares of a sum that do not matter


class Brink(NamedTuple):
    """Where terms are left out because doubles end: masses underflow where the curvature overflows.

    With an exponential conjugate and a law with exponential tails, both far out, their product can still matter: near the
    end of the domain of the dual it decays as slowly as one likes. Nothing on the nodes shows that; the last product
    before does.

    Attributes
    ----------
    at : Array, shape (K,)
        Breakpoints.
    out : Array of bool, shape (K,)
        Whether terms are left out there.
    term : Array, shape (K,)
        The term of least mass that is not, 0 if it is not faint.
    """

    at: Array
    out: NDArray[np.bool_]
    term: Array


@dataclass(frozen=True, eq=False)
class ResponseModel:
    """The response of one side and potential at fixed breakpoints (the law is integrated over |w| once).

    Attributes
    ----------
    potential : Potential
        The phi above.
    v, rho : Array, shape (..., m)
        Nodes and masses of |w| at each breakpoint; for the quadratic potential v = 1, rho = zeta.
    logarithms : callable or None
        To the logarithms of all masses, where some underflow and the potential may make up for that; else None.
    """

    potential: Potential
    v: Array
    rho: Array
    logarithms: Callable[[], Array] | None = None

    @classmethod
    def at(cls, side: Side, potential: Potential, c: Array) -> ResponseModel:
        """The model at breakpoints `c`, any shape."""
        if isinstance(potential, Quadratic):
            rho = side.zeta(c)[..., None]
            return cls(potential, np.ones((1,) * rho.ndim), rho)
        v, rho = side.slices(c)
        if not (isinstance(potential, Hypentropy) and (rho <= _UNDERFLOWING).any()):
            return cls(potential, v, rho)
        return cls(potential, v, rho, lambda: side.log_masses(c))

    @cached_property
    def faint(self) -> Array | None:
        """Logarithms of masses that underflow, and -inf elsewhere, shape (..., m); None if there are none."""
        if self.logarithms is None:
            return None
        return np.where(self.rho <= _UNDERFLOWING, self.logarithms(), -np.inf)

    @cached_property
    def seen(self) -> Array:
        """Masses without those that are known as `faint`."""
        return self.rho if self.faint is None else np.where(self.faint > -np.inf, 0.0, self.rho)

    def take(self, at: NDArray[np.intp]) -> ResponseModel:
        """The model at some of the breakpoints."""
        v, faint = self.v[at] if self.v.shape[0] > 1 else self.v, self.faint
        return ResponseModel(self.potential, v, self.rho[at], None if faint is None else lambda: faint[at])

    def ravelled(self, shape: tuple[int, ...]) -> ResponseModel:
        """The model at breakpoints of this shape, these in one dimension."""

        def flat(part: Array) -> Array:
            return np.broadcast_to(part, (*shape, self.rho.shape[-1])).reshape(math.prod(shape), -1)

        faint = self.faint
        return ResponseModel(self.potential, flat(self.v), flat(self.rho), None if faint is None else lambda: flat(faint))

    @property
    def speeds(self) -> int:
        r"""How many values of \|w\| stand for the law at a breakpoint."""
        return int(self.rho.shape[-1])

    def moment(self, order: int) -> Array:
        r""":math:`\int \rho\, v^k\, dv`, k = `order`, per breakpoint."""
        return np.asarray((self.rho * self.v**order).sum(axis=-1))

    @property
    def occupied(self) -> NDArray[np.bool_]:
        """Per breakpoint, whether there is any mass."""
        there = self.rho > 0
        return np.asarray((there if self.faint is None else there | (self.faint > -np.inf)).any(axis=-1))

    def __call__(self, g: Array, alpha: Array | None = None) -> Response:
        r"""Response to dual values `g`, of the shape of the breakpoints; `alpha` is :math:`|\alpha|` where that is known."""
        return Response(self, g, alpha)


@dataclass(frozen=True, eq=False)
class Response:
    r"""The response to dual values g, each part computed when it is first asked for: a Newton step that fails needs few.

    Attributes
    ----------
    model : ResponseModel
        Law and potential.
    g : Array
        The dual values.
    known : Array, shape (..., m), or None
        `alpha`, where the caller knows it.
    """

    model: ResponseModel
    g: Array
    known: Array | None = None

    @cached_property
    def _size(self) -> Array:
        """v |g|, shape (..., m)."""
        return self.model.v * np.abs(self.g)[..., None]

    @cached_property
    def alpha(self) -> Array:
        r""":math:`|\alpha|`, shape (..., m)."""
        return self.known if self.known is not None else np.asarray(self.model.potential.grad_inverse(self._size))

    @cached_property
    def _log_alpha(self) -> Array:
        r""":math:`\log |\alpha|` of :math:`\alpha = \beta \sinh(vg)`: as :math:`1/\phi''` and :math:`\phi^*` grow, too."""
        potential = self.model.potential
        assert isinstance(potential, Hypentropy)
        return np.asarray(np.log(-np.expm1(-2 * self._size)) + self._size + math.log(potential.beta / 2))

    @cached_property
    def _far(self) -> Array:
        r""":math:`\rho |\alpha| = \rho/\phi''` of faint masses, shape (..., m)."""
        assert self._faint is not None
        return np.exp(self._faint + self._log_alpha)

    @cached_property
    def _faint(self) -> Array | None:
        r"""`ResponseModel.faint`, where that can matter, which takes a while.

        It does not where the smallest masses that are known far down the tail add nothing: beyond them :math:`\rho |\alpha|`
        falls as it does there. Where none are known so far down, masses are 0 because the law ends.
        """
        model = self.model
        if model.logarithms is None:
            return None
        fading = model.rho <= _UNDERFLOWING
        if (fading & ~(self.alpha <= _OVERFLOWING)).any():  # whether such products matter only logarithms tell
            return model.faint
        known = np.where(fading, np.inf, model.rho)
        terms = np.where(fading, 0.0, model.rho * (model.v * self.alpha) ** 2)
        least = np.argmin(known, axis=-1)[..., None]
        mass, term = (np.take_along_axis(of, least, -1)[..., 0] for of in (known, terms))
        fallen = np.where(mass < _FAR_DOWN, term <= _NOTHING * terms.max(axis=-1), mass < np.inf)
        return None if (fallen | ~fading.any(axis=-1)).all() else model.faint

    def _mean(self, values: Array, faint: Array | float = 1.0) -> Array:
        r"""Per breakpoint, sum_m rho `values`; for faint masses these are `faint` times :math:`|\alpha|`."""
        if self._faint is None:
            return _average(self.model.rho, values)
        found = _average(self.model.seen, values)
        return np.asarray(found + np.where(self._far > 0, self._far * faint, 0.0).sum(axis=-1))

    @cached_property
    def value(self) -> Array:
        """Per breakpoint, a: odd in g, because phi is even."""
        v = self.model.v
        return np.copysign(self._mean(v * self.alpha, v), self.g)

    @cached_property
    def square(self) -> Array:
        r"""Per breakpoint, :math:`\int \rho\, v^2 \alpha^2\, dv`."""
        square = (self.model.v * self.alpha) ** 2
        if self._faint is None:
            return _average(self.model.rho, square)
        found = _average(self.model.seen, square)
        far = np.exp(self._faint + 2 * self._log_alpha)
        return np.asarray(found + np.where(far > 0, self.model.v**2 * far, 0.0).sum(axis=-1))

    @cached_property
    def slope(self) -> Array:
        """Per breakpoint, a'; neurons at rest where phi'' = 0 are left out."""
        curvature, square = self.model.potential.hess(self.alpha), self.model.v**2
        steep = square / curvature
        return self._mean(steep if (curvature > 0).all() else np.where(curvature > 0, steep, 0.0), square)

    @cached_property
    def _cost(self) -> Array:
        return np.asarray(self.model.potential.cost(self.alpha))

    @cached_property
    def conjugate(self) -> Array:
        """The dual density Psi per breakpoint."""
        return self._mean(self.alpha * self._size - self._cost)

    @cached_property
    def penalty(self) -> Array:
        """Per breakpoint, the density of the penalty."""
        return self._mean(self._cost, self._size - 1)

    def brink(self, c: Array) -> Brink | None:
        r"""Where terms of `value` are left out at breakpoints `c`, because mass underflows and :math:`\alpha` overflows."""
        little = math.log(1e-50)  # masses that count as faint
        model, alpha = self.model, self.alpha
        if (alpha <= _OVERFLOWING).all():
            return None
        rho = model.rho if self._faint is None else model.seen
        log, term = np.log(rho), rho * (model.v * alpha)
        known: NDArray[np.bool_] = np.zeros(1, dtype=bool)
        if self._faint is not None:
            known = self._faint > -np.inf
            log, term = np.where(known, self._faint, log), np.where(known, model.v * self._far, term)
        log, term, alpha, known = np.broadcast_arrays(log, term, alpha, known)
        out = ~(alpha <= _OVERFLOWING) & (log <= math.log(_UNDERFLOWING)) & ~known
        least = np.argmin(np.where((log > -np.inf) & (log < little) & ~out, log, np.inf), axis=-1)[..., None]
        mass, size = (np.take_along_axis(a, least, -1)[..., 0] for a in (log, term))
        faint = (mass > -np.inf) & (mass < little) & np.isfinite(size)
        return Brink(c.ravel(), out.any(axis=-1).ravel(), np.where(faint, size, 0.0).ravel())


@np.errstate(invalid="ignore", over="ignore")
def _average(rho: Array, values: Array) -> Array:
    """sum_m rho values, where a rho that underflows, or is about to, wins over a value that overflows."""
    total = (rho * values)[..., 0] if rho.shape[-1] == 1 else np.einsum("...m,...m->...", rho, values)
    if np.isfinite(total).all():
        return np.asarray(total)
    product = rho * values
    return np.asarray(np.where((rho > _UNDERFLOWING) | np.isfinite(product), product, 0.0).sum(axis=-1))


def neglected(brinks: list[Brink], x: Array, largest: float) -> float:
    """The moment that one side leaves out if its curvature goes on to decay as it did from `largest`, near the data `x`."""
    at, out, term = (np.concatenate(column) for column in zip(*brinks, strict=True))
    order = np.argsort(at)
    at, out, term = at[order], out[order], term[order]
    beside = out.copy()
    beside[1:] |= out[:-1]
    beside[:-1] |= out[1:]
    span = x[-1] - x[0]
    wide = span + np.maximum(np.maximum(x[0] - at, at - x[-1]), 0.0)
    term, wide = term[beside], wide[beside]
    decay = wide / np.maximum(1.0, -np.log(np.maximum(term / largest, 1e-300)))
    return float((term * decay * (wide + span)).max(initial=0.0))
