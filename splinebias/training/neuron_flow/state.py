r"""Networks as populations of neurons: values and tangent kernel at the data, and what moves them.

With output weights :math:`s a_k` (the s of the parameterization, a of order 1), curvature :math:`\kappa` of the potential
and a weight decay :math:`\mu`, gradient flow of :math:`L + \tfrac{\mu}{2} \sum_k (a_k^2 + w_k^2 + b_k^2)` is, for every
neuron,

.. math:: a' = -c\, D \cdot h - \tfrac{\mu}{\kappa} a, \qquad h' = -c\, a D - \tfrac{\mu}{\kappa} h,
          \qquad c = s/\kappa, \quad D = \sum_j \sigma'_j \omega_j r_j (x_j, 1), \quad h = (w, b),

and :math:`d' = -c s \sum_j \omega_j r_j` for the output bias, which does not decay. Symmetrized with
:math:`W = \mathrm{diag}(\omega)`, the residual :math:`\rho = W^{1/2} r` moves by
:math:`\rho' = -A \rho - 2\tfrac{\mu}{\kappa} (\rho + \eta)`,

.. math:: A = c s\, W^{1/2} \Bigl(1 + \sum_k \sigma'_{ki} \sigma'_{kj}\,
          \tilde x_i^T (a_k^2 + h_k h_k^T) \tilde x_j\Bigr) W^{1/2}, \qquad \eta = W^{1/2} (y - d),

because units are homogeneous of degree 2 in (a, w, b). For a loss of labels r is :math:`\ell'` (`LabelLoss`), and with
:math:`C = \mathrm{diag}(\ell'')` the vector :math:`C^{-1/2} \rho` moves by :math:`-C^{1/2} A C^{1/2}` while C is constant. A
neuron that slides along a line has :math:`a^2 e e^T` for
:math:`a^2`, e the direction of the line. Where an affine part is free, all of it is projected along lines.
Source: derived here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from splinebias._array import Array
from splinebias.activation import TwoSlope
from splinebias.networks.network import Network
from splinebias.neurons.population import Journey, Neurons, advance
from splinebias.neurons.sectors import Flags, Sectors, Whole, at
from splinebias.training.field import Field
from splinebias.training.losses import LabelLoss


@dataclass(frozen=True, eq=False)
class Medium:
    r"""What B networks of width n have in common, and the two rates of each.

    Attributes
    ----------
    field : Field
        The loss, and the clock.
    sectors : Sectors
        The samples.
    scale : float
        The s above.
    rate, decay : Array, shape (B,)
        :math:`c` and :math:`\mu/\kappa` above, per sum of learning rates.
    root : Array, shape (M,)
        Diagonal of :math:`W^{1/2}`.
    lines : Array, shape (2, M), or (0, M) where no affine part is free
        An orthonormal basis of :math:`W^{1/2}` times lines.
    """

    field: Field
    sectors: Sectors
    scale: float
    rate: Array
    decay: Array
    root: Array
    lines: Array

    @classmethod
    def of(cls, start: Network, field: Field, weight_decay: float) -> Medium:
        """The medium of the networks `start`, whose potentials are all quadratic."""
        loss, mirror = field.loss, field.mirror
        assert isinstance(start.activation, TwoSlope), "other neurons do not move in closed form"
        kappa = np.array([potential.stiffness for potential in mirror.potentials])[mirror.owner.numpy()]
        scale = 1.0 if mirror.unit is None else float(mirror.unit[-1])
        root = loss.weights.sqrt().numpy()
        lines = np.zeros((0, root.size)) if loss.line is None else loss.line.numpy() * root
        sectors = Sectors(loss.points[0].numpy(), start.activation)
        return cls(field, sectors, scale, scale / kappa, weight_decay / kappa, root, lines)

    @property
    def labels(self) -> bool:
        """Whether the loss is one of labels."""
        return isinstance(self.field.loss, LabelLoss)

    def at(self, start: Network) -> NeuronState:
        """The state of the networks `start`."""
        a, w, b, d = (part.numpy() for part in (start.a, start.w, start.b, start.d))
        return NeuronState(Neurons.at(self.sectors, a / self.scale, w, b), d, self)

    def project(self, rho: Array) -> Array:
        """What no line can make of rho, shape (..., M)."""
        return rho - (rho @ self.lines.T) @ self.lines


class NeuronState:
    """Where B networks are.

    Attributes
    ----------
    neurons : Neurons
        Their units.
    d : Array, shape (B,)
        Output biases.
    """

    def __init__(self, neurons: Neurons, d: Array, medium: Medium) -> None:
        self.neurons, self.d, self.medium = neurons, d, medium

    @property
    def field(self) -> Field:
        """The loss and the clock."""
        return self.medium.field

    @cached_property
    def _bins(self) -> Whole:
        """The number of its sector for every neuron of every network, shape (B n,)."""
        bins: Whole = (self.neurons.sector + self.medium.sectors.count * np.arange(self.d.size)[:, None]).ravel()
        return bins

    def _by_sector(self, bins: Whole, *parts: Array) -> Array:
        """Sums over the neurons in each sector, `parts` for the neurons in `bins` to shape (B, 2M, parts)."""
        count = self.medium.sectors.count
        size = self.d.size * count
        sums = np.empty((size, len(parts)))
        for column, part in enumerate(parts):
            sums[:, column] = np.bincount(bins, part.ravel(), size)
        return sums.reshape(self.d.size, count, len(parts))

    @cached_property
    def occupied(self) -> Flags:
        """Whether there are neurons in a sector, shape (B, 2M)."""
        count = self.medium.sectors.count
        occupied: Flags = np.bincount(self._bins, minlength=self.d.size * count).reshape(-1, count) > 0
        return occupied

    @property
    def dead(self) -> Whole:
        """How many neurons have slope 0 at all samples, shape (B,)."""
        sectors, n = self.medium.sectors, self.neurons
        none: Whole = ((n.sector == sectors.x.size) & ~n.on_line).sum(-1) * (sectors.activation.left == 0)
        return none

    @cached_property
    def units(self) -> Array:
        """Values at the data without output bias and skip part, shape (B, M)."""
        n, medium = self.neurons, self.medium
        return medium.scale * medium.sectors.values(self._by_sector(self._bins, n.a * n.w, n.a * n.b))

    @property
    def values(self) -> torch.Tensor:
        """Values at the data without the skip part, shape (B, M)."""
        return torch.from_numpy(self.units + self.d[:, None])

    @cached_property
    def rho(self) -> Array:
        r"""The :math:`\rho` above, shape (B, M)."""
        medium = self.medium
        if medium.labels:
            slope: Array = medium.field.loss.residual(self.values).numpy()
            return medium.root * slope
        return medium.project(medium.root * (self.units + self.d[:, None] - medium.field.loss.y.numpy()))

    @property
    def residual(self) -> torch.Tensor:
        """r = f(x) - y, after the best skip part if the affine part is free, shape (B, M)."""
        return torch.from_numpy(self.rho / self.medium.root)

    @cached_property
    def loss(self) -> Array:
        """The loss L of every network, shape (B,)."""
        loss: Array = (self.rho * self.rho).sum(-1) / 2
        if self.medium.labels:
            loss = self.medium.field.loss.total(self.values, self.residual).numpy()
        return loss

    def _forms(self, some: Whole | None = None, weight: Array | None = None) -> Array:
        """Sums of what the neurons (number `some` of all, times `weight`) have in the kernel, (B, 2M, 4).

        Entries (1, 1), (1, 2), (2, 2) of a^2 + h h^T, and the a^2 of those that slide.
        """
        n = self.neurons
        a, w, b, on_line, bins = n.a.ravel(), n.w.ravel(), n.b.ravel(), n.on_line.ravel(), self._bins
        if some is not None:
            a, w, b, on_line, bins = a[some], w[some], b[some], on_line[some], bins[some]
        square = a * a
        parts = (square + w * w, w * b, square + b * b, np.where(on_line, square, 0.0))
        return self._by_sector(bins, *(parts if weight is None else (weight * part for part in parts)))

    @cached_property
    def stiffness(self) -> Array:
        r"""Diagonal of :math:`C^{1/2}` above, shape (B, M): ones for the squared loss."""
        return self.medium.field.loss.stiffness(self.values).numpy() if self.medium.labels else np.ones_like(self.rho)

    @cached_property
    def decaying(self) -> Array:
        r""":math:`C^{-1/2} \rho`, shape (B, M)."""
        if not self.medium.labels:
            return self.rho
        return np.divide(self.rho, self.stiffness, out=np.zeros_like(self.rho), where=self.stiffness > 0)

    @property
    def seen(self) -> Array:
        r"""What errors at the data are measured on, shape (B, M): :math:`\rho`; of labels :math:`W^{1/2} f`."""
        return self.medium.root * self.values.numpy() if self.medium.labels else self.rho

    @cached_property
    def forms(self) -> Array:
        """What the neurons of each sector have in the kernel, shape (B, 2M, 4)."""
        return self._forms()

    def _kernel(self, forms: Array) -> Array:
        """A for neurons with these `forms`, of labels without its factors."""
        medium = self.medium
        lost = forms[..., 3:] * medium.sectors.across  # a^2 (1 - e e^T) of those that slide
        gram = medium.sectors.gram(forms[..., :3] - lost)
        root = np.sqrt(medium.rate * medium.scale)[:, None] * medium.root
        kernel: Array = root[:, :, None] * (gram + 1) * root[:, None, :]
        if medium.lines.size:
            kernel = medium.project(np.swapaxes(medium.project(kernel), -1, -2))
        return kernel

    @property
    def _factors(self) -> Array:
        r"""What :math:`C^{1/2}` on either side multiplies the entries of a matrix by, shape (B, M, M)."""
        return self.stiffness[:, :, None] * self.stiffness[:, None, :]

    @cached_property
    def operator(self) -> Array:
        """The A above, of labels between two factors C^(1/2), shape (B, M, M)."""
        kernel = self._kernel(self.forms)
        return kernel * self._factors if self.medium.labels else kernel

    def operator_until(self, end: NeuronState, late: Array) -> Array:
        """The mean over time of A on the way to `end`: neurons with events change at their last one, see `Journey.late`."""
        forms, late = (self.forms + end.forms) / 2, late.ravel() - 0.5
        some = np.flatnonzero(late)
        if some.size:
            late = late[some]
            forms = forms + end._forms(some, late) - self._forms(some, late)
        kernel = self._kernel(forms)
        return kernel * (self._factors + end._factors) / 2 if self.medium.labels else kernel

    @cached_property
    def pull(self) -> Array:
        r"""Where weight decay draws :math:`-\rho` to: the :math:`\eta` above, shape (B, M)."""
        medium = self.medium
        return medium.project(medium.root * (medium.field.loss.y.numpy() - self.d[:, None]))

    def force(self, rho: Array) -> Array:
        r""":math:`\omega r` for a residual rho, shape (B, M)."""
        return self.medium.root * rho

    def flown(self, rho: Array, h: Array) -> tuple[NeuronState, Journey]:
        r"""The state after the times `h`, shape (B,), of flow with a constant residual `rho`, and the way there."""
        medium, force = self.medium, self.force(rho)
        journey = advance(self.neurons, medium.sectors, force, medium.rate * h)
        end = journey.end
        if medium.decay.any():
            end = end.scaled(np.exp(-medium.decay * h))
        return NeuronState(end, self.d - medium.rate * medium.scale * h * force.sum(-1), medium), journey

    @cached_property
    def drives(self) -> Array:
        """The D above of every sector, shape (B, 2M, 2)."""
        return self.medium.sectors.drives(self.force(self.rho))

    @cached_property
    def speed(self) -> Array:
        r"""The largest :math:`|(a', h')| / |(a, h)|` of a neuron, without decay, shape (B,)."""
        n, rays = self.neurons, self.medium.sectors.rays
        drives = self.drives.transpose(2, 0, 1)
        both = np.concatenate([drives, (drives * rays[:, None]).sum(0) * rays[:, None]], axis=1).reshape(2, -1)
        p, q = at(both, self._bins + np.where(n.on_line.ravel(), both.shape[-1] // 2, 0)).reshape(2, *n.a.shape)
        size = np.sqrt(n.a**2 + n.w**2 + n.b**2)
        motion = np.hypot(p * n.w + q * n.b, n.a * np.hypot(p, q))
        speed: Array = np.divide(motion, size, out=np.zeros_like(size), where=size > 0).max(-1)
        return self.medium.rate * speed

    @cached_property
    def size(self) -> Array:
        """A bound of the root mean square of the units' sum at the data, shape (B,)."""
        n, medium = self.neurons, self.medium
        length = np.sqrt(((medium.root * medium.sectors.lengths) ** 2).sum())
        size: Array = medium.scale * length * (n.a**2 + n.w**2 + n.b**2).sum(-1) / 2
        return size

    def network(self, row: int) -> Network:
        """Network number `row` of the batch, with its skip part."""
        n, loss = self.neurons, self.field.loss
        parts = [n.w[row], n.b[row], self.medium.scale * n.a[row], self.d[row : row + 1]]
        skip = loss.skip(torch.from_numpy(self.units[row] + self.d[row]))
        return Network(torch.from_numpy(np.concatenate(parts)), self.field.activation, skip)

    def of_networks(self, kept: Sequence[int]) -> NeuronState:
        """The state of the networks number `kept`, increasing."""
        index = np.asarray(kept)
        medium = replace(self.medium, rate=self.medium.rate[index], decay=self.medium.decay[index])
        return NeuronState(self.neurons.of_networks(index), self.d[index], medium)

    def moved(self, taken: Sequence[bool], new: NeuronState) -> NeuronState:
        """The state `new` for the networks `taken`, and this one for the others."""
        mask = np.asarray(taken)
        return NeuronState(self.neurons.where(mask, new.neurons), np.where(mask, new.d, self.d), self.medium)
