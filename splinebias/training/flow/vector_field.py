r"""The vector field of mirror flow in dual coordinates, with its linearization in function space.

.. math:: \frac{dz}{d\tau} = -J(\theta)^T \omega r, \qquad z = \nabla\Phi(\theta), \qquad D = (\nabla^2\Phi)^{-1},

for a batch of B networks of one width. Function-space vectors are symmetrized with :math:`W^{1/2}`,
:math:`W = \mathrm{diag}(\omega)`; in particular :math:`\rho = W^{1/2} r`. With the D-orthogonal projection :math:`\Pi` that
holds sliding units on their samples (`_sliding`) and the projection P along a free affine part (`SquaredLoss`),

.. math:: B = \Pi^T J^T W^{1/2}, \qquad C = P W^{1/2} J D \Pi^T, \qquad S = C B,

and, to first order, :math:`\rho` moves by :math:`d\rho/d\tau = -S\rho`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from splinebias.activation import Activation
from splinebias.networks.linearization import TwoSlopeLinearization, linearize
from splinebias.training.flow.held_breakpoints import Arrivals, Boundary, Units
from splinebias.training.flow.spectrum import DenseSpectrum, KrylovSpectrum, Spectrum
from splinebias.training.losses import SquaredLoss
from splinebias.training.mirror_map import BatchMirrorMap

_DENSE_POINTS = 1000  # number of samples beyond which Krylov spaces are cheaper than eigenvectors


class FlowState:
    """A batch of points of trajectories; everything but the dual coordinates and the held units is derived from them.

    Attributes
    ----------
    dual, theta : Tensor, shape (B, 3n + 1)
        z and the parameters.
    held : Units
        The units that are held at samples.
    linear : Linearization
        The networks to first order at the samples.
    residual : Tensor, shape (B, M)
        The rho above.
    """

    def __init__(self, dual: Tensor, held: Units, mirror: BatchMirrorMap, loss: SquaredLoss, activation: Activation) -> None:
        self._mirror, self._loss, self._activation = mirror, loss, activation
        self.dual, self.held = dual, held
        self.theta = mirror.to_primal(dual)
        self.linear = linearize(self.theta, loss.points, activation)
        self._root = loss.weights.sqrt()
        self.residual = self._root * loss.residual(self.linear.value)

    @cached_property
    def loss(self) -> Tensor:
        """L, shape (B,)."""
        return (self.residual * self.residual).sum(-1) / 2

    @property
    def rounding(self) -> Tensor:
        """Rounding errors of the sums over units, to which those of the residual are at least equal, shape (B,)."""
        return torch.finfo(self.dual.dtype).eps * self.linear.value.abs().amax(-1)

    @cached_property
    def metric(self) -> Tensor:
        """Diagonal of D, shape (B, 3n + 1)."""
        return self._mirror.inverse_hessian(self.theta)

    @cached_property
    def force(self) -> Tensor:
        r""":math:`\omega r`, shape (B, M)."""
        return self._root * self.residual

    @cached_property
    def rightward(self) -> Tensor:
        """Whether w is positive, so that a unit is active right of its breakpoint, boolean, shape (B, n)."""
        return ~torch.signbit(self.theta[..., : self.dual.shape[-1] // 3])

    @cached_property
    def active(self) -> Tensor:
        """Number of samples at which each unit is on its right side, shape (B, n)."""
        assert isinstance(self.linear, TwoSlopeLinearization), "only where the slope jumps do samples count"
        return self.linear.active

    def passed(self, row: Tensor, unit: Tensor) -> Tensor:
        """Number of samples left of the breakpoints of some units, shape (K,)."""
        active = self.active[row, unit].long()
        return torch.where(self.rightward[row, unit], self.residual.shape[-1] - active, active)

    @cached_property
    def boundary(self) -> Boundary:
        """Geometry of the held units."""
        return self.boundary_of(self.held)

    def boundary_of(self, units: Units) -> Boundary:
        """Geometry of other units at this state."""
        two_slopes = self._activation.two_slopes
        assert two_slopes is not None, "only where the slope jumps are units held"
        return Boundary(units, self.theta, self.metric, self._loss.points[0], two_slopes)


@dataclass(frozen=True, eq=False)
class FlowField:
    """The field for one activation, loss and mirror map (whose centre has the batch dimension)."""

    activation: Activation
    loss: SquaredLoss
    mirror: BatchMirrorMap

    def at(self, dual: Tensor, held: Units) -> FlowState:
        """The state with dual coordinates `dual` and the units `held` on their samples."""
        return FlowState(dual, held, self.mirror, self.loss, self.activation)

    def of_networks(self, kept: Tensor) -> FlowField:
        """The field after a batch has been reduced to the networks `kept`, boolean, shape (B,)."""
        return replace(self, mirror=self.mirror.of_networks(kept))

    @cached_property
    def _root(self) -> Tensor:
        """Diagonal of W^(1/2)."""
        return self.loss.weights.sqrt()

    def pull(self, state: FlowState, u: Tensor) -> Tensor:
        """B u, shape (B, M) to (B, 3n + 1)."""
        v = state.linear.vjp(self._root * u)
        return state.boundary.with_normal(v, 0.0) if state.held.size else v

    def push(self, state: FlowState, v: Tensor) -> Tensor:
        """C v, shape (B, 3n + 1) to (B, M)."""
        if state.held.size:
            v = state.boundary.with_normal(v, 0.0)
        return self._project(state.linear.jvp(state.metric * v))

    def push_normals(self, state: FlowState, v: Tensor) -> Tensor:
        """What C leaves out: the effect on rho of the normal components of `v` at held units, (B, 3n + 1) to (B, M)."""
        rows = state.boundary.effect(state.boundary.normal(v))
        return self._project(torch.zeros_like(state.residual).index_add_(0, state.held.row, rows))

    def _project(self, f: Tensor) -> Tensor:
        """P W^(1/2) f."""
        f = self._root * f
        if self.loss.line is None:
            return f
        lines = self.loss.line * self._root
        return f - (f @ lines.mT) @ lines

    def spectrum(self, state: FlowState) -> Spectrum:
        """S at `state`: by its eigenvectors for few samples, through products for many."""
        if state.residual.shape[-1] > _DENSE_POINTS:
            return KrylovSpectrum(lambda u: self.push(state, self.pull(state, u)), state.residual, self._scale(state))
        kernel = self._kernel(state)
        scale = 0.0 if self.loss.line is None else (self.loss.weights * kernel.diagonal(dim1=-2, dim2=-1)).sum(-1)
        return DenseSpectrum(self.loss.operator(kernel), scale)

    def _scale(self, state: FlowState) -> Tensor | float:
        """Size of S without P, shape (B,), by what it does to lines: without them all that is left may be rounding."""
        if self.loss.line is None:
            return 0.0
        sizes = []
        for line in (self.loss.line * self._root).expand(state.residual.shape[0], 2, -1).unbind(-2):
            moved = self._root * state.linear.jvp(state.metric * self.pull(state, line))
            sizes.append(moved.norm(dim=-1))
        return torch.stack(sizes).amax(0)

    def _kernel(self, state: FlowState) -> Tensor:
        """Tangent kernel J D J^T of units free to move, on their tangents if held, shape (B, M, M)."""
        held = state.held
        if not held.size:
            return state.linear.gram(state.metric)
        n = state.dual.shape[-1] // 3
        free = state.metric.clone()
        free[held.row, held.unit] = 0.0
        free[held.row, held.unit + n] = 0.0
        turning = state.boundary.turning()
        return state.linear.gram(free).index_add_(0, held.row, turning[:, :, None] * turning[:, None, :])

    def gradient(self, state: FlowState) -> Tensor:
        r""":math:`J^T \omega r`, with Filippov's choice of the slope for held units, shape (B, 3n + 1)."""
        g = state.linear.vjp(state.force)
        return state.boundary.with_normal(g, state.boundary.gradient_sliding(state.force)) if state.held.size else g

    def arrivals(self, before: FlowState, after: FlowState) -> Arrivals:
        """Units that crossed samples between two states but belong on the first of them, or just beyond the last.

        Units held in `after` are not looked at, nor those whose w changed sign (their breakpoint went through infinity).
        """
        none = Units.none(after.dual.device)
        if self.activation.two_slopes is None:  # then the field is continuous
            return Arrivals(none, none, torch.zeros_like(after.loss, dtype=torch.bool))
        crossed = (before.active != after.active) & (before.rightward == after.rightward)
        if after.held.size:
            crossed[after.held.row, after.held.unit] = False
        jumps = crossed.any(-1)
        if not bool(jumps.any()):
            return Arrivals(none, none, jumps)
        row, unit = crossed.nonzero(as_tuple=True)
        start, end = before.passed(row, unit), after.passed(row, unit)
        first = Units(row, unit, torch.where(end > start, start, start - 1))
        last = Units(row, unit, torch.where(end > start, end - 1, end))
        right, left = after.boundary_of(first).speeds(after.force)
        held = (right < 0) & (left > 0)
        right, left = after.boundary_of(last).speeds(after.force)
        return Arrivals(first.where(held), last.where(~held & (right < 0) & (left == 0)), jumps)

    def put(self, dual: Tensor, state: FlowState, arrivals: Arrivals) -> Tensor:
        """`dual` with units that arrived near `state` at their samples: on them if held, just beyond if stopped."""
        if arrivals.held.size:
            dual = state.boundary_of(arrivals.held).place(dual, self.mirror)
        if arrivals.stopped.size:
            boundary = state.boundary_of(arrivals.stopped)
            dual = boundary.place(dual, self.mirror, -boundary.margin)
        return dual

    def settle(self, after: FlowState, arrivals: Arrivals) -> tuple[FlowState, int]:
        """`after` with its units sorted: those that arrived at samples are put there, those driven off are let go.

        Forces are judged with every unit on its sample: where a step has left them, its own excursions from s = 0 hide what
        drives a unit off, and it would be held, and moved, in every step again. Also returned is how often this evaluated.
        """
        held = after.held.join(arrivals.held)
        dual = self.put(after.dual, after, arrivals)
        if after.held.size:
            dual = after.boundary.place(dual, self.mirror)
        placed, evaluations = (after, 0) if dual is after.dual else (self.at(dual, held), 1)
        if not held.size:
            return placed, evaluations
        right, left = placed.boundary.speeds(placed.force)
        stays = (right <= 0) & (left >= 0)
        if bool(stays.all()):
            return placed, evaluations
        excursion = after.boundary_of(held).preactivation
        target = placed.boundary.beyond(placed.force, excursion)
        leaving = placed.boundary_of(held.where(~stays))
        free = self.at(leaving.place(dual, self.mirror, target[~stays]), held.where(stays))
        return free, evaluations + 1
