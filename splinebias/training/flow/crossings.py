r"""What units that pass samples within a step add to it: their field jumps at a time inside, which quadrature does not see.

The slope :math:`S_{ik}` of unit k at sample i jumps by :math:`\delta` where the pre-activation s changes its sign, and from
then on the rows of J for (w, b) and a have :math:`\delta a (x_i, 1)` and :math:`\delta s` in addition. If that happens at
the time :math:`t_1` of a step of size h, then this adds, with p of `exponential_step`,

.. math:: -\delta\, W_i^{1/2} \bigl(p_i(h) - p_i(t_1)\bigr) \bigl(a (x_i, 1),\; \tfrac12 s(h)\bigr)

to the integral of :math:`N_J`. The time is that at which a parabola through the start and both stages passes 0, all without
the jump, which bends the way of its own unit. Stages enter the quadrature as if no slope had jumped, so its error is that of
a smooth flow. Source: derived here.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from splinebias.training.flow.held_breakpoints import Units
from splinebias.training.flow.spectrum import Modes
from splinebias.training.flow.vector_field import FlowState


class Jump(NamedTuple):
    """What crossings add to the integral of N_J."""

    all: Tensor
    """All of it, shape (B, 3n + 1)"""
    late: Tensor
    r"""The part that counts with E instead of T, so that the mean time of each jump is right, shape (B, 3n + 1)"""
    back: Units
    """Units whose own jump drives them back to where they came from: they are held"""
    doubt: Tensor
    """What a straight path instead of a parabola would change, shape (B, 3n + 1)"""


class Crossings:
    """Units that pass samples on the way from `start`; here a unit occurs once for each sample that it passes.

    Parameters
    ----------
    start : FlowState
        The start of the step.
    pairs : Units
        Units and samples.
    """

    def __init__(self, start: FlowState, pairs: Units) -> None:
        self.pairs, self._start = pairs, start
        loss, two_slopes = start.field.loss, start.field.activation.two_slopes
        assert two_slopes is not None, "only where the slope jumps does the field"
        self._n = start.dual.shape[-1] // 3
        self._x, self._root = loss.points[0][pairs.sample], loss.weights.sqrt()[pairs.sample]
        self._before = self._position(start)
        self._change = two_slopes.kink * torch.where(self._before > 0, -1.0, 1.0)

    def _parts(self, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Entries (w, b, a) of the units in `v`, shape (B, 3n + 1), each (K,)."""
        row, unit = self.pairs.row, self.pairs.unit
        return v[row, unit], v[row, unit + self._n], v[row, unit + 2 * self._n]

    def _position(self, state: FlowState) -> Tensor:
        w, b, _ = self._parts(state.theta)
        return w * self._x + b

    def _dual(self, hidden: Tensor, outer: Tensor) -> Tensor:
        """Sums of `hidden` (x, 1) and `outer` for each unit, as a dual vector, shape (B, 3n + 1)."""
        v, (row, unit, _) = torch.zeros_like(self._start.dual), self.pairs
        for offset, part in ((0, hidden * self._x), (self._n, hidden), (2 * self._n, outer)):
            v.index_put_((row, unit + offset), part, accumulate=True)
        return self._start.field.moving(v)

    def jumped(self, state: FlowState, u: Tensor) -> Tensor:
        """What the jumps of slopes from `start` to `state` add to J^T W^(1/2) u there, u of shape (B, M)."""
        amount = self._change * self._root * u[self.pairs.row, self.pairs.sample]
        return self._dual(amount * self._parts(state.theta)[2], amount * self._position(state))

    def begun(self, middle: FlowState, h: Tensor, decay: Modes) -> Tensor:
        """What they add until the end, shape (B, 3n + 1), if units go on as they did to the `middle`."""
        first = 0.5 * self._before / (self._before - self._position(middle))
        return self._dual(self._amount(first, h, decay) * self._parts(self._start.theta)[2], 0 * first)

    def jump(self, middle: FlowState, far: FlowState, turn: Tensor, begun: Tensor, h: Tensor, decay: Modes) -> Jump:
        """What they add, for stages `middle`, which lacks a quarter of `turn`, and `far`, with twice that and `begun`."""
        turned, pushed = self._moved(turn), self._moved(begun)
        half, end = self._position(middle) + turned / 4, self._position(far) - turned - pushed
        slope, bend = 4 * half - 3 * self._before - end, 2 * (self._before - 2 * half + end)
        first, chord = _root(self._before, slope, bend), _root(self._before, end - self._before, 0 * end)
        start, last = (self._parts(state.theta)[2] for state in (self._start, far))
        amount = self._amount(first, h, decay)
        hidden = amount * (start + (1 + first) / 2 * (last - start))
        own = self._moved(self._dual(hidden, 0 * hidden))
        same = (self.pairs.unit[:, None] == self.pairs.unit) & (self.pairs.row[:, None] == self.pairs.row)
        order = torch.arange(first.shape[0], device=first.device)
        earlier = (first < first[:, None]) | ((first == first[:, None]) & (order < order[:, None]))
        back = (self._before * end < 0) & (self._before * (end + own) > 0) & ~(same & earlier).any(-1)
        amount = torch.where((same & back).any(-1) & ~back, 0.0, amount)  # one that is held passes no other sample
        hidden = torch.where((same & back).any(-1) & ~back, 0.0, hidden)
        doubt = hidden - self._amount(chord, h, decay) * start
        hidden = torch.where(back, -end / own, 1.0) * hidden
        outer = torch.where(back, 0.0, amount * (end + own) / 2)
        late = (3 * first - 1) / 2
        every, later = self._dual(hidden, outer), self._dual(late * hidden, late * outer)
        return Jump(every, later, self.pairs.where(back), self._dual(doubt, 0 * doubt))

    def _moved(self, v: Tensor) -> Tensor:
        """By how much the dual vector `v`, shape (B, 3n + 1), moves s, to first order, shape (K,)."""
        (w, b, _), (v_w, v_b, _) = self._parts(self._start.metric), self._parts(v)
        return w * v_w * self._x + b * v_b

    def _amount(self, first: Tensor, h: Tensor, decay: Modes) -> Tensor:
        """The factor of (a (x, 1), mean of s) above from a share of the way on, shape (K,)."""
        row, sample = self.pairs.row, self.pairs.sample
        rates, weights = decay.rates[row], decay.vectors[row, sample] * decay.coefficients[row]
        safe = torch.where(rates == 0, 1.0, rates)
        t = h[row, None]
        start = first[:, None] * t
        # e^(-t rate) - 1 integrated from the start to t
        rest = torch.exp(-start * rates) * torch.where(rates == 0, t - start, -torch.expm1((start - t) * rates) / safe) - (
            t - start
        )
        passed = (1 - first) * h[row] * self._start.rho[row, sample] + (rest * weights).sum(-1)
        return -self._change * self._root * passed

    @cached_property
    def size(self) -> int:
        """Number of the pairs of a unit and a sample that are followed."""
        return self.pairs.size


def together(one: Units, other: Units, n: int, points: int) -> Units:
    """The pairs of either list, each once."""
    keys = torch.cat([(u.row * n + u.unit) * points + u.sample for u in (one, other)])
    keys = torch.unique(keys)
    return Units(keys // (n * points), keys // points % n, keys % points)


def _root(s: Tensor, slope: Tensor, bend: Tensor) -> Tensor:
    """The first share in (0, 1) at which s + slope t + bend t^2 is 0; 1 where there is none."""
    square = slope * slope - 4 * bend * s
    q = -0.5 * (slope + torch.where(slope < 0, -1.0, 1.0) * square.clamp(min=0.0).sqrt())
    roots = torch.stack([s / q, q / bend])
    return torch.where((square >= 0) & (roots > 0) & (roots < 1), roots, 1.0).amin(0)
