r"""Breakpoints on samples: where the field of the flow jumps, and the motion along the jump.

The pre-activation of unit k at sample i is :math:`s = w_k x_i + b_k`. Where it changes sign the slope
:math:`S_{ik} = \sigma'(s)` jumps from q to p, and with it the motion of the unit. Its normal speed,

.. math:: \dot s(S) = -a_k \Big(\beta + S\, \omega_i r_i\, \nu\Big), \qquad
          \beta = \sum_{j \ne i} S_{jk}\, \omega_j r_j (D_w x_i x_j + D_b), \quad \nu = D_w x_i^2 + D_b,

may point to :math:`s = 0` from both sides. The breakpoint then stays on the sample and the unit slides along
:math:`s = 0`, with the slope :math:`S^*` for which :math:`\dot s(S^*) = 0` (Filippov's convention; it is also what descent
with small steps does on average). In dual coordinates the choice of S moves z along the normal :math:`(x_i, 1)` of the
unit's (w, b) only, so a sliding unit moves by the D-orthogonal projection that removes this normal, until
:math:`S^*` leaves :math:`[q, p]`. That is judged by the mean residual over the coming step: at the end of a step residuals
still have parts that fast modes will remove at once, and where slow ones hardly move anything those would decide.
A ReLU unit driven off its last sample is inactive at all of them and stops there.

References
----------
A. F. Filippov, Differential Equations with Discontinuous Righthand Sides, Kluwer 1988.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from splinebias.activation import TwoSlope
from splinebias.training.mirror_map import MirrorMap


class Units(NamedTuple):
    """A list of K units of a batch, each with one sample; no unit occurs twice."""

    row: Tensor
    """Network in the batch, shape (K,)"""
    unit: Tensor
    """Unit k, shape (K,)"""
    sample: Tensor
    """Sample i, shape (K,)"""

    @classmethod
    def none(cls, device: torch.device) -> Units:
        """Units of which there are none."""
        empty = torch.zeros(0, dtype=torch.long, device=device)
        return cls(empty, empty, empty)

    @property
    def size(self) -> int:
        """Number K of units in the list."""
        return self.row.shape[0]

    def where(self, mask: Tensor) -> Units:
        """The units for which `mask`, shape (K,), holds."""
        return Units(self.row[mask], self.unit[mask], self.sample[mask])

    def join(self, other: Units) -> Units:
        """This list followed by `other`."""
        if not other.size:
            return self
        return Units(*(torch.cat(pair) for pair in zip(self, other, strict=True)))

    def of_networks(self, kept: Tensor) -> Units:
        """The list after a batch has been reduced to the networks number `kept`, increasing."""
        mine = self.where(torch.isin(self.row, kept))
        return mine._replace(row=torch.searchsorted(kept, mine.row))


class Arrivals(NamedTuple):
    """Units that reached a sample and go no further."""

    held: Units
    """Driven back from both sides"""
    stopped: Units
    """Inactive at every sample once beyond this one, so that nothing drives them any more"""
    passed: Units
    """Units that passed samples and go on, once for each sample"""
    share: Tensor
    """Share of the way at which those that are held got there, if each moves steadily, shape (K,)"""
    jumps: Tensor
    """Whether any unit passed a sample, and the field jumped, boolean, shape (B,)"""
    first: Tensor
    """Share of the way at which the first unit did, if each moves steadily, infinite without any, shape (B,)"""

    @property
    def all(self) -> Units:
        """Both lists in one."""
        return self.held.join(self.stopped)

    def late(self, moved: Tensor) -> Tensor:
        """The part of `moved`, shape (B, 3n + 1), of units that are held, that counts with E (see `Crossings`)."""
        result, factor, n = torch.zeros_like(moved), (3 * self.share - 1) / 2, moved.shape[-1] // 3
        for at in ((self.held.row, self.held.unit), (self.held.row, self.held.unit + n)):
            result[at] = factor * moved[at]
        return result


class Boundary:
    r"""The geometry of :math:`s = 0` for listed units at given parameters.

    Parameters
    ----------
    units : Units
        The units and their samples.
    theta, metric : Tensor, shape (B, 3n + 1)
        Parameters, and the diagonal of D there.
    x : Tensor, shape (M,)
        Samples.
    activation : TwoSlope
        With slopes p = `right` and q = `left`.
    """

    def __init__(self, units: Units, theta: Tensor, metric: Tensor, x: Tensor, activation: TwoSlope) -> None:
        self.units, self._x, self._activation = units, x, activation
        n = (theta.shape[-1] - 1) // 3
        row, k = units.row, units.unit
        self._w_at, self._b_at = (row, k), (row, k + n)
        self._at = x[units.sample]
        self._w, self._b, self._a = theta[self._w_at], theta[self._b_at], theta[row, k + 2 * n]
        self._dw, self._db = metric[self._w_at], metric[self._b_at]
        self._nu = self._dw * self._at**2 + self._db
        self._slopes = activation.left + activation.kink * (self._w[:, None] * x + self._b[:, None] > 0)  # (K, M)

    def normal(self, v: Tensor) -> Tensor:
        """Normal components of a dual vector, shape (B, 3n + 1) to (K,)."""
        return (self._dw * v[self._w_at] * self._at + self._db * v[self._b_at]) / self._nu

    def with_normal(self, v: Tensor, amount: Tensor | float) -> Tensor:
        """A copy of the dual vector `v` whose normal components are `amount`, shape (K,)."""
        change = amount - self.normal(v)
        v = v.clone()
        v[self._w_at] += change * self._at
        v[self._b_at] += change
        return v

    def turning(self) -> Tensor:
        r"""Rows R, shape (K, M), such that :math:`R^T R` is what the hidden parameters of sliding units add to the kernel.

        Held at s = 0, (w, b) moves along (1, -x_i) only; row i vanishes, so the slope there does not matter.
        """
        turn = self._a * (self._dw * self._db / self._nu).sqrt()
        return self._slopes * turn[:, None] * (self._x - self._at[:, None])

    @cached_property
    def _lever(self) -> Tensor:
        r""":math:`D_w x_i x_j + D_b`, shape (K, M)."""
        return (self._dw * self._at)[:, None] * self._x + self._db[:, None]

    def _pull(self, force: Tensor) -> tuple[Tensor, Tensor]:
        r""":math:`\beta` and :math:`\omega_i r_i` for `force` :math:`= \omega r`, shape (B, M); each (K,)."""
        f = force[self.units.row]
        sample = self.units.sample[:, None]
        return (self._slopes.scatter(1, sample, 0.0) * f * self._lever).sum(-1), f.gather(1, sample)[:, 0]

    def speeds(self, force: Tensor) -> tuple[Tensor, Tensor]:
        r""":math:`\dot s` just right and just left of s = 0, each (K,)."""
        beta, own = self._pull(force)
        sides = (self._activation.right, self._activation.left)
        right, left = (-self._a * (beta + slope * own * self._nu) for slope in sides)
        return right, left

    def gradient_on_side(self, force: Tensor) -> Tensor:
        r"""Normal component of :math:`J^T \omega r` with the slope of the side where the unit is, shape (K,)."""
        beta, own = self._pull(force)
        slope = self._slopes.gather(1, self.units.sample[:, None])[:, 0]
        return self._a * (beta / self._nu + slope * own)

    @cached_property
    def margin(self) -> Tensor:
        """Size of s below which its sign is uncertain, 64 rounding errors, shape (K,)."""
        scale = self._b.abs() + self._w.abs() * self._x.abs().amax()
        return 64 * torch.finfo(self._b.dtype).eps * scale

    @property
    def preactivation(self) -> Tensor:
        """The pre-activations s of the units at their samples, shape (K,)."""
        return self._w * self._at + self._b

    def beyond(self, force: Tensor) -> Tensor:
        """Values of s just off 0 for units driven off it, where they go; right of it if both sides drive off, (K,)."""
        right, _ = self.speeds(force)
        return torch.where(right > 0, 1.0, -1.0) * self.margin

    def place(self, dual: Tensor, mirror: MirrorMap, target: Tensor | float = 0.0) -> Tensor:
        """Dual coordinates moved along the normals until s is `target`, to rounding; `dual` itself if it is already.

        Parameters
        ----------
        dual : Tensor, shape (B, 3n + 1)
            Dual coordinates; left unchanged.
        mirror : MirrorMap
            Their mirror map.
        target : float or Tensor, shape (K,)
            Wanted values of s.
        """
        (row, w), (_, b) = self._w_at, self._b_at
        at = row[:, None], torch.stack([w, b], dim=-1)  # (K, 2)
        mirror = mirror.of_hidden(*at)
        normal = torch.stack([self._at, torch.ones_like(self._at)], dim=-1)
        start = dual[at]
        amount = torch.zeros_like(self._at)
        low, high = amount - torch.inf, amount + torch.inf  # s increases with the amount
        below, above = high, low  # where Newton's method leads from there
        # potentials may be steep: there the primal parameters hardly move but near dual ones of 0
        bends = {4: -start[:, 0] / self._at, 5: -start[:, 1]}
        for k in range(60):  # Newton's method between bounds, from either; one step if quadratic
            theta = mirror.to_primal(start + amount[:, None] * normal)
            excess = (theta * normal).sum(-1) - target
            narrow = high - low <= 4 * torch.finfo(amount.dtype).eps * amount.abs()  # there is nothing left to try
            if bool(((excess.abs() <= self.margin / 2) | narrow).all()):
                break
            newton = amount - excess / (mirror.inverse_hessian(theta) * normal**2).sum(-1)
            low, below = torch.where(excess < 0, amount, low), torch.where(excess < 0, newton, below)
            high, above = torch.where(excess > 0, amount, high), torch.where(excess > 0, newton, above)
            other = torch.where(excess < 0, above, below)
            chosen = torch.where((newton > low) & (newton < high), newton, other)
            chosen = torch.where((bends.get(k, chosen) > low) & (bends.get(k, chosen) < high), bends.get(k, chosen), chosen)
            middle = (low + high) / 2
            bisect = middle.isfinite() & ((chosen <= low) | (chosen >= high) | (k % 8 == 7))
            amount = torch.where(excess == 0, amount, torch.where(bisect, middle, chosen))
        if not k:
            return dual
        moved = dual.clone()
        moved[at] = start + amount[:, None] * normal
        return moved
