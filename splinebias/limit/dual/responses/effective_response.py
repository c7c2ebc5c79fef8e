r"""How much a side bends where its law is a sum of scale families, and which way of summing over |w| costs least."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.initialization.breakpoints import Side
from splinebias.initialization.zeta import OneRadius, Profile, ScaleFamily
from splinebias.limit.dual.responses.effective_potential import EffectivePotential, conjugate_power, effective_potential
from splinebias.limit.dual.responses.moments import MomentTable, moment
from splinebias.limit.dual.responses.response import Brink, ResponseModel
from splinebias.numerics.cells import Cells
from splinebias.potential import Potential, Quadratic


class EffectivePart(NamedTuple):
    r"""The units of one scale family at fixed breakpoints.

    Attributes
    ----------
    potential : EffectivePotential
        Gives :math:`\Psi`.
    profile : Profile
        The law of :math:`|w|/\tau`.
    scale, mass : Array
        The :math:`\tau` and R of the family, of the shape of the breakpoints.
    """

    potential: EffectivePotential
    profile: Profile
    scale: Array
    mass: Array


@dataclass(frozen=True, eq=False)
class EffectiveModel:
    r"""The response of scale families: integrals over \|w\| are :math:`R \tau^k \Psi^{(k)}(\tau |g|)`, k = 0, 1, 2.

    Attributes
    ----------
    potential : Potential
        The :math:`\phi` of one unit.
    parts : tuple of EffectivePart
        Families whose sum the units are.
    """

    potential: Potential
    parts: tuple[EffectivePart, ...]

    @property
    def speeds(self) -> int:
        """How many terms there are at a breakpoint."""
        return len(self.parts)

    def take(self, at: NDArray[np.intp]) -> EffectiveModel:
        """The model at some of the breakpoints."""
        parts = (part._replace(scale=part.scale[at], mass=part.mass[at]) for part in self.parts)
        return EffectiveModel(self.potential, tuple(parts))

    def ravelled(self, shape: tuple[int, ...]) -> EffectiveModel:
        """The model at breakpoints of this shape, these in one dimension."""

        def flat(part: Array) -> Array:
            return np.broadcast_to(part, shape).ravel()

        parts = (part._replace(scale=flat(part.scale), mass=flat(part.mass)) for part in self.parts)
        return EffectiveModel(self.potential, tuple(parts))

    @property
    def occupied(self) -> NDArray[np.bool_]:
        """Per breakpoint, whether there is any mass."""
        return np.asarray(np.any([part.mass != 0 for part in self.parts], axis=0))

    def moment(self, order: int) -> Array:
        r""":math:`\int \rho\, v^k\, dv`, k = `order`, per breakpoint."""
        return np.asarray(sum(part.mass * part.scale**order * part.profile.moment(order) for part in self.parts))

    def __call__(self, g: Array) -> EffectiveResponse:
        r"""Response to dual values `g`, of the shape of the breakpoints.

        Sums of :math:`R\Psi`, :math:`R\tau\Psi'`, :math:`R\tau^2\Psi''` and :math:`R(z\Psi' - \Psi)`.
        """
        size = np.abs(g)
        found = np.zeros((4, *size.shape))
        for potential, _, scale, mass in self.parts:
            z = scale * size
            value, first, second = potential(z)
            first = mass * first
            terms = np.array([mass * value, scale * first, mass * scale**2 * second, z * first])
            terms[3] -= terms[0]
            found += terms if mass.all() else np.where(mass != 0, terms, 0.0)  # Psi may be infinite where no mass is
        conjugate, value, slope, penalty = found
        return EffectiveResponse(np.copysign(value, g), slope, conjugate, penalty)


class EffectiveResponse(NamedTuple):
    """The response of scale families to dual values g, with what `Response` has of it, each of their shape.

    Attributes
    ----------
    value : Array
        Per breakpoint, a: odd in g, because phi is even.
    slope : Array
        Derivative a' of the curvature by the dual function.
    conjugate, penalty : Array
        The dual density Psi, and the density of the penalty.
    """

    value: Array
    slope: Array
    conjugate: Array
    penalty: Array

    def brink(self, c: Array) -> Brink | None:
        """None: masses of families do not underflow where curvature overflows."""
        return None


@dataclass(frozen=True, eq=False)
class SideResponse:
    r"""How a side responds, wherever that is asked, without an integral over \|w\| for each g where there is a way.

    Attributes
    ----------
    side : Side
        Gives the law.
    potential : Potential
        The :math:`\phi` of one unit.
    cells : Cells or None
        Where the law is resolved, so that moments may be looked up there instead of integrated.
    """

    side: Side
    potential: Potential
    cells: Cells | None = None

    @cached_property
    def _power(self) -> float | None:
        """The order q of a conjugate that is a power: it needs the integral of rho v^q only, then all units have |w| = 1."""
        return None if isinstance(self.potential, Quadratic) else conjugate_power(self.potential)

    @cached_property
    def _families(self) -> tuple[tuple[EffectivePotential, ScaleFamily], ...]:
        """Families whose sum the units are, of several sizes, if Psi is known for all of them."""
        families = self.side.families
        if all(isinstance(family.profile, OneRadius) for family in families):
            return ()
        known = [(effective_potential(self.potential, family.profile), family) for family in families]
        found = tuple((effective, family) for effective, family in known if effective is not None)
        return found if len(found) == len(known) else ()

    def at(self, c: Array) -> ResponseModel | EffectiveModel:
        """The model at breakpoints `c`, any shape."""
        if (q := self._power) is None:
            return self.effective(c) or ResponseModel.at(self.side, self.potential, c)
        rho = self._table(c) if self._table is not None else moment(self.side, c, q)
        return ResponseModel(self.potential, np.ones((1,) * (rho.ndim + 1)), rho[..., None])

    @property
    def exact(self) -> SideResponse:
        """The same without a table."""
        return self if self._table is None else replace(self, cells=None)

    @cached_property
    def _table(self) -> MomentTable | None:
        """The table of moments, where there are integrals to be saved."""
        if self.cells is None or self._power is None or not self.side.law.costly or self.side.families:
            return None
        return MomentTable(self.side, self._power, self.cells)

    def effective(self, c: Array) -> EffectiveModel | None:
        """The model at breakpoints `c`, any shape; None where the law is no sum of families, or one has no known Psi."""
        found: dict[Profile, list[EffectivePart]] = {}
        for effective, family in self._families:
            parts, (scale, mass) = found.setdefault(family.profile, []), family.at(c)
            if parts and (parts[-1].scale == scale).all():  # the other sign of w
                mass = mass + parts.pop().mass
            parts.append(EffectivePart(effective, family.profile, scale, mass))
        return EffectiveModel(self.potential, tuple(part for parts in found.values() for part in parts)) if found else None


def joined(
    first: ResponseModel | EffectiveModel, second: ResponseModel | EffectiveModel
) -> ResponseModel | EffectiveModel | None:
    """The model at the breakpoints of one and of another, both of shape (N, q); None where they are not alike."""
    if isinstance(first, ResponseModel) and isinstance(second, ResponseModel):
        if first.speeds != second.speeds or first.faint is not None or second.faint is not None:
            return None
        parts = [(of.rho, np.broadcast_to(of.v, of.rho.shape)) for of in (first, second)]
        rho, v = (np.concatenate(pair) for pair in zip(*parts, strict=True))
        return ResponseModel(first.potential, v, rho)
    if not (isinstance(first, EffectiveModel) and isinstance(second, EffectiveModel)):
        return None
    if [part.profile for part in first.parts] != [part.profile for part in second.parts]:
        return None
    both = zip(first.parts, second.parts, strict=True)
    found = (a._replace(scale=np.concatenate([a.scale, b.scale]), mass=np.concatenate([a.mass, b.mass])) for a, b in both)
    return EffectiveModel(first.potential, tuple(found))
