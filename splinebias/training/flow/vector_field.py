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

    def gradient(self) -> Tensor:
        r""":math:`J^T \omega r`, with Filippov's choice of the slope for held units, shape (B, 3n + 1)."""
        g = self.field.moving(self.linear.vjp(self.force))
        return self.boundary.with_normal(g, self.boundary.gradient_sliding(self.force)) if self.held.size else g

    def pull(self, u: Tensor) -> Tensor:
        """B u, shape (B, M) to (B, 3n + 1)."""
        v = self.field.moving(self.linear.vjp(self._root * u))
        return self.boundary.with_normal(v, 0.0) if self.held.size else v

    def push(self, v: Tensor) -> Tensor:
        """C v, shape (B, 3n + 1) to (B, M)."""
        if self.held.size:
            v = self.boundary.with_normal(v, 0.0)
        return self._project(self.linear.jvp(self.metric * v))

    def push_normals(self, v: Tensor) -> Tensor:
        """What C leaves out: the effect on rho of the normal components of `v` at held units, (B, 3n + 1) to (B, M)."""
        rows = self.boundary.effect(self.boundary.normal(v))
        return self._project(torch.zeros_like(self.rho).index_add_(0, self.held.row, rows))

    def _project(self, f: Tensor) -> Tensor:
        """Values f at the data, (B, M), as residuals: weighted by W^(1/2), lines projected out where these are free."""
        f = self._root * f
        if self.field.loss.line is None:
            return f
        lines = self.field.loss.line * self._root
        return f - (f @ lines.mT) @ lines

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

    def arrivals(self, after: FlowState) -> Arrivals:
        """Units that crossed samples from here to `after` but belong on the first of them, or just beyond the last.

        Units held in `after` are not looked at, nor those whose w changed sign (their breakpoint went through infinity).
        """
        none = Units.none(after.dual.device)
        if self.field.activation.two_slopes is None:  # then the field is continuous
            return Arrivals(none, none, torch.zeros_like(after.loss, dtype=torch.bool))
        if self.field.loss.points.shape[0] > 2:  # kinks are lines, planes, ...: seen to pass samples, not held there
            assert isinstance(self.linear, FeatureLinearization)
            assert isinstance(after.linear, FeatureLinearization)
            return Arrivals(none, none, (self.linear.positive != after.linear.positive).any(-1).any(-1))
        crossed = (self._active != after._active) & (self._rightward == after._rightward)
        crossed[after.held.row, after.held.unit] = False
        jumps = crossed.any(-1)
        if not bool(jumps.any()):
            return Arrivals(none, none, jumps)
        row, unit = crossed.nonzero(as_tuple=True)
        start, end = self._passed(row, unit), after._passed(row, unit)
        first = Units(row, unit, torch.where(end > start, start, start - 1))
        last = Units(row, unit, torch.where(end > start, end - 1, end))
        right, left = after.boundary_of(first).speeds(after.force)
        held = (right < 0) & (left > 0)
        right, left = after.boundary_of(last).speeds(after.force)
        return Arrivals(first.where(held), last.where(~held & (right < 0) & (left == 0)), jumps)

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
        """This state with its units sorted: those that arrived at samples are put there, those driven off are let go.

        Forces are judged with every unit on its sample: where a step has left them, its own excursions from s = 0 hide what
        drives a unit off, and it would be held, and moved, in every step again. Also returned is how often this evaluated.
        """
        field, mirror, held = self.field, self.field.mirror, self.held.join(arrivals.held)
        dual = self.put(self.dual, arrivals)
        if self.held.size:
            dual = self.boundary.place(dual, mirror)
        placed, evaluations = (self, 0) if dual is self.dual else (field.at(dual, held), 1)
        if not held.size:
            return placed, evaluations
        right, left = placed.boundary.speeds(placed.force)
        stays = (right <= 0) & (left >= 0)
        if bool(stays.all()):
            return placed, evaluations
        target = placed.boundary.beyond(placed.force, self.boundary_of(held).preactivation)
        leaving = placed.boundary_of(held.where(~stays))
        return field.at(leaving.place(dual, mirror, target[~stays]), held.where(stays)), evaluations + 1
