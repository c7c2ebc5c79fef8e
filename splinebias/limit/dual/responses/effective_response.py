r"""How much a side bends where its law is a sum of scale families, and which way of summing over |w| costs least."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.initialization.breakpoints import Side
from splinebias.initialization.zeta import OneRadius, Profile
from splinebias.limit.dual.responses.effective_potential import EffectivePotential, conjugate_power, effective_potential
from splinebias.limit.dual.responses.response import Brink, ResponseModel
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

    @classmethod
    def at(cls, side: Side, potential: Potential, c: Array) -> EffectiveModel | None:
        """The model at breakpoints `c`, any shape; None where the law is no sum of families, or one has no known Psi."""
        found: dict[Profile, list[EffectivePart]] = {}
        families = side.families
        if not families or all(isinstance(family.profile, OneRadius) for family in families):
            return None
        for family in families:
            if (effective := effective_potential(potential, family.profile)) is None:
                return None
            parts, scale, mass = found.setdefault(family.profile, []), family.scale(c), family.mass(c)
            if parts and (parts[-1].scale == scale).all():  # the other sign of w
                mass = mass + parts.pop().mass
            parts.append(EffectivePart(effective, family.profile, scale, mass))
        return cls(potential, tuple(part for parts in found.values() for part in parts))

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
        return np.any([part.mass != 0 for part in self.parts], axis=0)

    def moment(self, order: int) -> Array:
        r""":math:`\int \rho\, v^k\, dv`, k = `order`, per breakpoint."""
        return np.asarray(sum(part.mass * part.scale**order * part.profile.moment(order) for part in self.parts))

    def __call__(self, g: Array) -> EffectiveResponse:
        """Response to dual values `g`, of the shape of the breakpoints."""
        return EffectiveResponse(self, g)


@dataclass(frozen=True, eq=False)
class EffectiveResponse:
    r"""The response of scale families to dual values g, with what `Response` has of it.

    Attributes
    ----------
    model : EffectiveModel
        Law and potential.
    g : Array
        The dual values.
    """

    model: EffectiveModel
    g: Array

    @cached_property
    def _sums(self) -> Array:
        r"""Sums of :math:`R\Psi`, :math:`R\tau\Psi'`, :math:`R\tau^2\Psi''`, :math:`R(z\Psi' - \Psi)`, shape (4, ...)."""
        size = np.abs(self.g)
        found = np.zeros((4, *size.shape))
        for potential, _, scale, mass in self.model.parts:
            z = scale * size
            value, first, second = potential(z)
            first = mass * first
            terms = np.array([mass * value, scale * first, mass * scale**2 * second, z * first])
            terms[3] -= terms[0]
            found += terms if mass.all() else np.where(mass != 0, terms, 0.0)  # Psi may be infinite where no mass is
        return found

    @property
    def value(self) -> Array:
        """Per breakpoint, a: odd in g, because phi is even."""
        return np.asarray(np.copysign(self._sums[1], self.g))

    @property
    def slope(self) -> Array:
        """Derivative a' of the curvature by the dual function, at every breakpoint."""
        return np.asarray(self._sums[2])

    @property
    def conjugate(self) -> Array:
        """The dual density Psi per breakpoint."""
        return np.asarray(self._sums[0])

    @property
    def penalty(self) -> Array:
        """Per breakpoint, the density of the penalty."""
        return np.asarray(self._sums[3])

    def brink(self, c: Array) -> Brink | None:
        """None: masses of families do not underflow where curvature overflows."""
        return None


def response_model(side: Side, potential: Potential, c: Array) -> ResponseModel | EffectiveModel:
    r"""The response of a side at breakpoints `c`, any shape, without an integral over \|w\| for each g where there is a way.

    A conjugate that is a power of order q needs :math:`\int \rho\, v^q dv` only: then all units have \|w\| = 1.
    """
    q = None if isinstance(potential, Quadratic) else conjugate_power(potential)
    families = side.families
    if q is not None:
        if families and all(q < family.profile.tail for family in families):
            rho = np.asarray(sum(family.zeta(c, q) for family in families))
        else:
            v, rho = side.slices(c)
            rho = np.where(rho > 0, rho * v**q, 0.0).sum(axis=-1)
        return ResponseModel(potential, np.ones((1,) * (rho.ndim + 1)), rho[..., None])
    return EffectiveModel.at(side, potential, c) or ResponseModel.at(side, potential, c)


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
