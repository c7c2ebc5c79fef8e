r"""The neurons of one side at breakpoints, with sums over their sizes |w|: by rules, or functions of one variable.

A neuron with breakpoint c, sign s and v = \|w\| has :math:`\alpha = A(v g_s(c))`, :math:`A = (\phi')^{-1}`. What second
moments need are sums over v at every c; `neurons_on` takes the cheapest way to them for a law and a potential.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from splinebias._array import Array
from splinebias.finite_width.quadrature.effective_moments import MomentsPart, moments_of
from splinebias.finite_width.quadrature.moment_tables import turn
from splinebias.initialization.breakpoints import Side
from splinebias.limit.dual.dual_system import DualSystem
from splinebias.limit.dual.responses.effective_potential import conjugate_power
from splinebias.limit.dual.responses.effective_response import EffectiveModel, EffectiveResponse, SideResponse
from splinebias.limit.dual.responses.response import ResponseModel
from splinebias.potential import Potential, Quadratic


@dataclass(frozen=True, eq=False)
class NeuronsOfSide:
    r"""The neurons of one side at nodes of the breakpoint axis, with sums over their v of masses :math:`\rho`.

    Attributes
    ----------
    row : int
        Number of the side among those of the dual function.
    side : Side
        One sign of w, or both where they have one dual function.
    potential : Potential
        The :math:`\phi` above.
    nodes, weights : Array, shape (n,)
        The quadrature.
    g : Array, shape (n,)
        The dual function at the nodes.
    system : DualSystem
        The equations of the dual on these nodes.
    """

    row: int
    side: Side
    potential: Potential
    nodes: Array
    weights: Array
    g: Array
    system: DualSystem

    @cached_property
    def basis(self) -> sparse.csr_array:
        """Dual functions of the unknowns of `system` at the nodes: two hats, and the line; shape (U, n)."""
        return basis_of(self.system, self.row)

    @cached_property
    def slices(self) -> tuple[Array, Array]:
        r"""v, 0 where there is no mass, and :math:`\rho`, both of shape (n, m)."""
        v, rho = self.side.slices(self.nodes)
        return np.where(rho > 0, v, 0.0), rho

    def curvature(self, g: Array) -> Array:
        r""":math:`v \alpha` where the dual function has values `g`, shape (n, m)."""
        v, g = self.slices[0], g[:, None]
        return np.asarray(np.sign(g) * v * self.potential.grad_inverse(v * np.abs(g)))  # phi is even

    @cached_property
    def _alpha(self) -> Array:
        r""":math:`|\alpha|`, shape (n, m)."""
        return np.asarray(self.potential.grad_inverse(self.slices[0] * np.abs(self.g)[:, None]))

    @cached_property
    def _steepness(self) -> Array:
        r"""A', shape (n, m); 0 where it is infinite, for neurons at rest, active at no data point."""
        steepness = 1 / self.potential.hess(self._alpha)
        return np.where(np.isinf(steepness), 0.0, steepness)

    @property
    def value(self) -> Array:
        r"""The sum of :math:`v \alpha`, shape (n,)."""
        return np.sign(self.g) * self._sum(self.slices[0] * self._alpha)

    @cached_property
    def slope(self) -> Array:
        r"""The sum of :math:`v^2 A'`, shape (n,)."""
        return self._slope_by_sizes()

    def _slope_by_sizes(self) -> Array:
        return self._sum(self.slices[0] ** 2 * self._steepness)

    @property
    def square(self) -> Array:
        r"""The sum of :math:`v^2 \alpha^2`, shape (n,)."""
        return self._sum((self.slices[0] * self._alpha) ** 2)

    @property
    def higher(self) -> tuple[Array, Array]:
        r"""The sums of :math:`v^3 \alpha^3` and :math:`v^4 \alpha^4`, each of shape (n,)."""
        curvature = self.slices[0] * self._alpha
        return np.sign(self.g) * self._sum(curvature**3), self._sum(curvature**4)

    def second_order(self) -> tuple[Array, Array]:
        r"""The sums of :math:`v^3 A' \alpha` and :math:`v^3 A''`, each of shape (n,)."""
        v, steep = self.slices[0], self._steepness
        bent = turn(self.potential, self._alpha, steep, v * np.abs(self.g)[:, None])
        pull, bend = self._sum(v**3 * steep * self._alpha), self._sum(v**3 * bent)
        return np.sign(self.g) * pull, np.sign(self.g) * bend

    def unseen_square(self) -> Array:
        r"""What `square` lacks because masses underflow where A is an exponential, shape (n,)."""
        model = ResponseModel.at(self.side, self.potential, self.nodes)
        if model.faint is None:
            return np.zeros_like(self.g)
        return np.asarray(model(self.g).square - ResponseModel(model.potential, model.v, model.seen)(self.g).square)

    def unseen_fourth(self) -> Array:
        r"""What the second of `higher` lacks because masses underflow where A is an exponential, shape (n,)."""
        model = ResponseModel.at(self.side, self.potential, self.nodes)
        if model.faint is None:
            return np.zeros_like(self.g)
        size = np.log(model.v * self.potential.grad_inverse(model.v * np.abs(self.g)[:, None]))
        return np.asarray(np.exp(np.where(model.faint > -np.inf, model.faint + 4 * size, -np.inf)).sum(axis=-1))

    def _sum(self, values: Array) -> Array:
        return np.asarray((self.slices[1] * values).sum(axis=-1))


class QuadraticNeurons(NeuronsOfSide):
    r"""The neurons of one side where :math:`\alpha = v g`: their sums are :math:`\zeta^{(1)}` and :math:`\zeta^{(2)}`."""

    @property
    def value(self) -> Array:
        return self.slope * self.g

    @cached_property
    def slope(self) -> Array:
        return self.side.zeta(self.nodes)

    @property
    def square(self) -> Array:
        return self.side.zeta(self.nodes, 2) * self.g**2

    @property
    def higher(self) -> tuple[Array, Array]:
        return self.side.zeta(self.nodes, 3) * self.g**3, self.side.zeta(self.nodes, 4) * self.g**4

    def second_order(self) -> tuple[Array, Array]:
        return self.side.zeta(self.nodes, 2) * self.g, np.zeros_like(self.g)


@dataclass(frozen=True, eq=False)
class PowerNeurons(NeuronsOfSide):
    r"""The neurons of one side where :math:`\phi^*` is a power of order q: :math:`\alpha = v^{q-1} A(g)`.

    Attributes
    ----------
    q : float
        That order.
    """

    q: float

    def _moment(self, order: float) -> Array:
        r""":math:`\int \rho v^k\, dv`, k = `order`, shape (n,)."""
        families = self.side.families
        if families and all(order < family.profile.tail for family in families):
            return np.asarray(sum(family.zeta(self.nodes, order) for family in families))
        return self._sum(self.slices[0] ** order)

    @cached_property
    def _one(self) -> tuple[Array, Array]:
        r""":math:`|\alpha|` and A' of v = 1, the latter 0 at rest."""
        alpha = np.asarray(self.potential.grad_inverse(np.abs(self.g)))
        steepness = 1 / self.potential.hess(alpha)
        return alpha, np.where(np.isinf(steepness), 0.0, steepness)

    @property
    def value(self) -> Array:
        found = np.sign(self.g) * self._moment(self.q) * self._one[0]
        return _within_doubles(found, lambda: super(PowerNeurons, self).value)

    @cached_property
    def slope(self) -> Array:
        found = self._moment(self.q) * self._one[1]
        return _within_doubles(found, self._slope_by_sizes)

    @property
    def square(self) -> Array:
        found = self._moment(2 * self.q) * self._one[0] ** 2
        return _within_doubles(found, lambda: super(PowerNeurons, self).square)

    @property
    def higher(self) -> tuple[Array, Array]:
        alpha = self._one[0]
        third, fourth = np.sign(self.g) * self._moment(3 * self.q) * alpha**3, self._moment(4 * self.q) * alpha**4
        return (
            _within_doubles(third, lambda: super(PowerNeurons, self).higher[0]),
            _within_doubles(fourth, lambda: super(PowerNeurons, self).higher[1]),
        )


def _within_doubles(found: Array, by_sizes: Callable[[], Array]) -> Array:
    """A product of a moment and a power of g; size by size where one underflows and the other overflows."""
    inside = np.isfinite(found)
    return found if inside.all() else np.where(inside, found, by_sizes())


@dataclass(frozen=True, eq=False)
class FamilyNeurons(NeuronsOfSide):
    """The neurons of one side that is a sum of scale families, with sums over their sizes as functions of one variable.

    Attributes
    ----------
    model : EffectiveModel
        What the dual asks of them.
    parts : list of MomentsPart
        Second moments of every family.
    """

    model: EffectiveModel
    parts: list[MomentsPart]

    @cached_property
    def _response(self) -> EffectiveResponse:
        return self.model(self.g)

    @property
    def value(self) -> Array:
        return self._response.value

    @cached_property
    def slope(self) -> Array:
        return self._response.slope

    def _summed(self, name: str, power: int) -> Array:
        size, total = np.abs(self.g), np.zeros_like(self.g)
        for moments, scale, mass in self.parts:
            term = mass * scale**power * getattr(moments, name)(scale * size)
            total += np.where(mass != 0, term, 0.0)  # it may be infinite where no mass is
        return total

    @cached_property
    def square(self) -> Array:
        return self._summed("square", 2)

    def second_order(self) -> tuple[Array, Array]:
        if not all(moments.has_bend for moments, *_ in self.parts):
            return super().second_order()
        return np.sign(self.g) * self._summed("pull", 3), np.sign(self.g) * self._summed("bend", 3)

    def unseen_square(self) -> Array:
        return np.zeros_like(self.g)


def neurons_on(
    row: int, side: Side, potential: Potential, nodes: Array, weights: Array, g: Array, system: DualSystem
) -> NeuronsOfSide:
    """The neurons of a side at nodes of the breakpoint axis, in the form in which sums over their sizes cost least."""
    common = (row, side, potential, nodes, weights, g, system)
    if isinstance(potential, Quadratic):
        return QuadraticNeurons(*common)
    if (q := conjugate_power(potential)) is not None:
        return PowerNeurons(*common, q)
    if (model := SideResponse(side, potential).effective(nodes)) is not None and (parts := moments_of(model)):
        return FamilyNeurons(*common, model, parts)
    return NeuronsOfSide(*common)


def basis_of(system: DualSystem, row: int) -> sparse.csr_array:
    """Dual functions of the unknowns of `system` at its nodes, for the side number `row`, shape (U, n)."""
    size, (count, q) = system.x.size, system.left.shape
    at: NDArray[np.intp] = np.repeat(np.clip(system.interval - 1, 0, size - 2), q)
    values = system.activation.kink * np.concatenate([system.left.ravel(), system.right.ravel()])
    places = (np.concatenate([at, at + 1]), np.tile(np.arange(count * q), 2))
    hats = sparse.csr_array((values, places), shape=(size, count * q))
    if system.free:
        return hats[1:-1]
    factor = np.broadcast_to(system.factor_at[row], (count, q))
    line = sparse.csr_array(np.stack([(factor * system.tau(system.nodes)).ravel(), factor.ravel()]))
    return sparse.csr_array(sparse.vstack([line[[0]], hats[[0]] + line[[1]], hats[1:-1]]))
