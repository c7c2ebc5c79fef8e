r"""The vector field of mirror flow in dual coordinates, with its linearization in function space.

.. math:: \frac{dz}{d\tau} = -J(\theta)^T \omega r, \qquad z = \nabla\Phi(\theta), \qquad D = (\nabla^2\Phi)^{-1},

for a batch of B networks of one width. Function-space vectors are symmetrized with :math:`W^{1/2}`,
:math:`W = \mathrm{diag}(\omega)`; in particular :math:`\rho = W^{1/2} r`. With the D-orthogonal projection :math:`\Pi` that
holds sliding units on their samples (`held_breakpoints`) and the projection P along a free affine part (`SquaredLoss`),

.. math:: B = \Pi^T J^T W^{1/2}, \qquad C = P W^{1/2} J D \Pi^T, \qquad S = C B,

and, to first order, :math:`\rho` moves by :math:`d\rho/d\tau = -S\rho`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from splinebias.networks.linearization import FeatureLinearization, TwoSlopeLinearization
from splinebias.training.field import Field, State
from splinebias.training.flow.held_breakpoints import Arrivals, Boundary, Units
from splinebias.training.flow.spectrum import DenseSpectrum, KrylovSpectrum, Spectrum


class FlowField(Field):
    """The field whose states know which units are held at samples; the centre of its mirror map has the batch dimension."""

    def at(self, dual: Tensor, held: Units | None = None) -> FlowState:
        """The state with dual coordinates `dual`, shape (B, P), and the units `held` on their samples; None: no unit."""
        return FlowState(dual, self, Units.none(dual.device) if held is None else held)

    def held_at(self, dual: Tensor, held: Units) -> FlowState:
        """The state near `dual`, shape (B, P), with the units `held` put on their samples."""
        if held.size:
            theta = self.mirror.to_primal(dual)
            two_slopes = self.activation.two_slopes
            assert two_slopes is not None, "only where the slope jumps are units held"
            boundary = Boundary(held, theta, self.mirror.inverse_hessian(theta), self.loss.points[0], two_slopes)
            dual = boundary.place(dual, self.mirror)
        return self.at(dual, held)


class FlowState(State):
    r"""A batch of points of trajectories; everything but the dual coordinates and the held units is derived from them.

    Attributes
    ----------
    held : Units
        The units that are held at samples.
    rho : Tensor, shape (B, M)
        The :math:`\rho` above.
    force : Tensor, shape (B, M)
        :math:`\omega r`.
    """

    field: FlowField

    def __init__(self, dual: Tensor, field: FlowField, held: Units) -> None:
        super().__init__(dual, field)
        self.held, self._root = held, field.loss.weights.sqrt()
        self.rho = self._root * self.residual
        self.force = self._root * self.rho

    @cached_property
    def loss(self) -> Tensor:
        """The loss L of every network, shape (B,)."""
        return (self.rho * self.rho).sum(-1) / 2

    @property
    def rounding(self) -> Tensor:
        """Rounding errors of the sums over units, to which those of the residual are at least equal, shape (B,)."""
        return torch.finfo(self.dual.dtype).eps * self.linear.value.abs().amax(-1)

    def of_networks(self, kept: Sequence[int]) -> FlowState:
        """The state of the networks number `kept`, increasing."""
        index = torch.tensor(kept, device=self.dual.device)
        return self.field.of_networks(index).at(self.dual[index], self.held.of_networks(index))

    def moved(self, taken: Sequence[bool], new: FlowState) -> FlowState:  # type: ignore[override]
        """The state `new` for the networks `taken`, and this one for the others."""
        mask = torch.tensor(taken, device=self.dual.device)
        held = self.held.where(~mask[self.held.row]).join(new.held.where(mask[new.held.row]))
        return self.field.at(torch.where(mask[:, None], new.dual, self.dual), held)

    # -- the field and its linearization

    def pull(self, u: Tensor) -> Tensor:
        """B u, shape (B, M) to (B, 3n + 1)."""
        v = self.field.moving(self.linear.vjp(self._root * self._without_lines(u)))
        return self.boundary.with_normal(v, 0.0) if self.held.size else v

    def normal_pull(self, boundary: Boundary, u: Tensor) -> Tensor:
        """Normal components of J^T W^(1/2) u for units on the sides of their samples where they are, (B, M) to (K,)."""
        return boundary.gradient_on_side(self._root * u)

    def push(self, v: Tensor) -> Tensor:
        """C v, shape (B, 3n + 1) to (B, M)."""
        if self.held.size:
            v = self.boundary.with_normal(v, 0.0)
        return self._project(self.linear.jvp(self.metric * v))

    def _project(self, f: Tensor) -> Tensor:
        """Values f at the data, (B, M), as residuals: weighted by W^(1/2), lines projected out where these are free."""
        return self._without_lines(self._root * f)

    def _without_lines(self, u: Tensor) -> Tensor:
        """P u, shape (B, M)."""
        if self.field.loss.line is None:
            return u
        lines = self.field.loss.line * self._root
        return u - (u @ lines.mT) @ lines

    def spectrum(self) -> Spectrum:
        """S here: by its eigenvectors for few samples, through products for many."""
        loss, scale = self.field.loss, self.rho.new_zeros(self.rho.shape[0])
        if self.rho.shape[-1] > 1000:  # Krylov spaces are cheaper than eigenvectors
            if loss.line is not None:
                lines = (loss.line * self._root).expand(self.rho.shape[0], -1, -1).unbind(-2)
                moved = [self._root * self.linear.jvp(self.metric * self.pull(line)) for line in lines]
                scale = torch.stack([f.norm(dim=-1) for f in moved]).amax(0)
            return KrylovSpectrum(lambda u: self.push(self.pull(u)), self.rho, scale)
        kernel = self._free_kernel()
        if loss.line is not None:
            scale = (loss.weights * kernel.diagonal(dim1=-2, dim2=-1)).sum(-1)
        return DenseSpectrum(loss.operator(kernel), scale)

    def _free_kernel(self) -> Tensor:
        """Tangent kernel J D J^T of units free to move, on their tangents if held, shape (B, M, M)."""
        held, n = self.held, self.dual.shape[-1] // 3
        if not held.size:
            return self.kernel
        free = self.metric.clone()
        free[held.row, held.unit] = 0.0
        free[held.row, held.unit + n] = 0.0
        turning = self.boundary.turning()
        return self.linear.gram(free).index_add_(0, held.row, turning[:, :, None] * turning[:, None, :])

    # -- units at samples

    @cached_property
    def boundary(self) -> Boundary:
        """Geometry of the held units."""
        return self.boundary_of(self.held)

    def boundary_of(self, units: Units) -> Boundary:
        """Geometry of other units at this state."""
        two_slopes = self.field.activation.two_slopes
        assert two_slopes is not None, "only where the slope jumps are units held"
        return Boundary(units, self.theta, self.metric, self.field.loss.points[0], two_slopes)

    @cached_property
    def _rightward(self) -> Tensor:
        """Whether w is positive, so that a unit is active right of its breakpoint, boolean, shape (B, n)."""
        return ~torch.signbit(self.theta[..., : self.dual.shape[-1] // 3])

    @cached_property
    def _active(self) -> Tensor:
        """Number of samples at which each unit is on its right side, shape (B, n)."""
        assert isinstance(self.linear, TwoSlopeLinearization), "only where the slope jumps do samples count"
        return self.linear.active

    def _passed(self, row: Tensor, unit: Tensor) -> Tensor:
        """Number of samples left of the breakpoints of some units, shape (K,)."""
        active = self._active[row, unit].long()
        return torch.where(self._rightward[row, unit], self.rho.shape[-1] - active, active)

    def arrivals(self, after: FlowState, rho: Tensor) -> Arrivals:
        r"""Units that crossed samples from here to `after` but belong on the first of them, or just beyond the last.

        That is judged by the :math:`\rho` = `rho`, shape (B, M), that drives them from there on.
        Units held in `after` are not looked at, nor those whose w changed sign (their breakpoint went through infinity).
        """
        none, never = Units.none(after.dual.device), torch.full_like(after.loss, torch.inf)
        if self.field.activation.two_slopes is None:  # then the field is continuous
            return Arrivals(none, none, torch.zeros_like(after.loss, dtype=torch.bool), never)
        if self.field.loss.points.shape[0] > 2:  # kinks are lines, planes, ...: seen to pass samples, not held there
            assert isinstance(self.linear, FeatureLinearization)
            assert isinstance(after.linear, FeatureLinearization)
            return Arrivals(none, none, (self.linear.positive != after.linear.positive).any(-1).any(-1), never)
        crossed = (self._active != after._active) & (self._rightward == after._rightward)
        crossed[after.held.row, after.held.unit] = False
        jumps = crossed.any(-1)
        if not bool(jumps.any()):
            return Arrivals(none, none, jumps, never)
        row, unit = crossed.nonzero(as_tuple=True)
        start, end = self._passed(row, unit), after._passed(row, unit)
        first = Units(row, unit, torch.where(end > start, start, start - 1))
        last = Units(row, unit, torch.where(end > start, end - 1, end))
        force, boundary = self._root * rho, after.boundary_of(first)
        before = self.boundary_of(first).preactivation
        share = before / (before - boundary.preactivation)
        when = never.scatter_reduce(0, row, share.nan_to_num(0.0), "amin")
        right, left = boundary.speeds(force)
        held = (right < 0) & (left > 0)
        right, left = after.boundary_of(last).speeds(force)
        return Arrivals(first.where(held), last.where(~held & (right < 0) & (left == 0)), jumps, when)

    def put(self, dual: Tensor, arrivals: Arrivals) -> Tensor:
        """`dual` with units that arrived near this state at their samples: on them if held, just beyond if stopped."""
        mirror = self.field.mirror
        if arrivals.held.size:
            dual = self.boundary_of(arrivals.held).place(dual, mirror)
        if arrivals.stopped.size:
            boundary = self.boundary_of(arrivals.stopped)
            dual = boundary.place(dual, mirror, -boundary.margin)
        return dual

    def settled(self, arrivals: Arrivals) -> tuple[FlowState, int]:
        """This state with units that arrived at samples put there, held from now on, and how often this evaluated."""
        if not arrivals.all.size:
            return self, 0
        return self.field.at(self.put(self.dual, arrivals), self.held.join(arrivals.held)), 1

    def released(self, rho: Tensor) -> FlowState:
        r"""This state without the held units that :math:`\rho` = `rho`, shape (B, M), drives off; itself if there are none.

        These are let go: put just beyond their samples, on the side where they go.
        """
        if not self.held.size:
            return self
        force = self._root * rho
        right, left = self.boundary.speeds(force)
        stays = (right <= 0) & (left >= 0)
        if bool(stays.all()):
            return self
        leaving = self.boundary_of(self.held.where(~stays))
        return self.field.at(leaving.place(self.dual, self.field.mirror, leaving.beyond(force)), self.held.where(stays))
