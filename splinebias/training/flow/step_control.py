r"""Control of a batch of flows: sizes of the steps, what is accepted, and when each network is done.

A step is accepted if its errors are within tolerance and the loss falls (along the flow it always does):

- drift, the part of the correction that comes from moving features, stays in the result: at most `rtol` of the misfit at
  the start, and half of the present one;
- wander, the rest, is an error of the path in the range of :math:`J^T`. With frozen features every such path ends at the
  same point, so if only the end counts a tenth of the present misfit will do. If times count it is held like the drift.

Where the field jumps, because breakpoints pass samples, errors fall with the step only slowly. There no step is made shorter
than that of stable descent, :math:`1/\lambda_{\max}`, for the sake of accuracy, only to make the loss fall.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import Array
from splinebias.errors import Outcome

_SAFETY, _SHRINK, _GROW = 0.9, 0.1, 100.0  # of the factor between steps
_GROW_AT_START, _CAUTION = 10.0, 1.5  # largest growth at first, and after a step was taken back; rises 1.5 times a step
_RELAXED = 40.0  # e-foldings of the slowest mode after which a longer step changes nothing
_LOOSE, _HALF = 0.1, 0.5  # the two fractions of the present misfit above
_DROWNED = 1e-8  # share of the misfit at the start that rounding of the sums over units may reach
_PATIENCE = 10  # accepted steps without a new smallest loss: only rounding does that
_MOST_REJECTIONS = 60  # in a row: the steps halve, so this leaves nothing to try

Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Tolerances:
    """What accuracy means for one batch.

    Parameters
    ----------
    rtol : float
        The `rtol` above.
    times_count : bool
        Whether the wander is held like the drift.
    rounding : float
        Misfit that is rounding error only.
    """

    rtol: float
    times_count: bool
    rounding: float

    def of(self, misfit: Array, at_start: Array) -> tuple[Array, Array]:
        """Largest allowed drift and wander at root mean square residuals `misfit`, each of its shape."""
        drift = np.maximum(np.minimum(self.rtol * at_start, _HALF * misfit), self.rounding)
        return drift, drift if self.times_count else np.maximum(_LOOSE * misfit, self.rounding)


@dataclass
class Steering:
    """Where each of B networks is, and how large its next step is; arrays have shape (B,)."""

    index: Counts
    """Number of the network in the whole batch"""
    loss: Array
    """L now"""
    at_start: Array
    """Root mean square residual at the start"""
    tau: Array
    """Flow time, the sum of step sizes"""
    h: Array
    """Next step; nan: not known yet"""
    growth: Array
    """Largest allowed ratio of successive steps"""
    smallest_loss: Array
    """Smallest loss so far"""
    waiting: Counts
    """Accepted steps since then"""
    refused: Counts
    """Attempts taken back in a row"""
    overflowed: Flags
    """Whether the last attempt gave numbers that are not finite"""
    critical: Flags
    """Whether the gradient vanishes to rounding"""
    broken: Flags
    """Whether the loss or the kernel is not finite"""
    steps: Counts
    """Accepted steps"""
    rejected: Counts
    """Attempts taken back"""
    floored: Counts
    """Steps accepted at the size of stable descent, over a jump, in spite of their error"""
    jumped: Counts
    """Steps accepted over a jump"""
    held: Counts
    """Most units held at samples at the end of a step"""
    passes: Counts
    """Evaluations of the network, each with a product with the transposed Jacobian"""
    largest: Array
    """Largest eigenvalue of S at the last step"""
    smallest: Array
    """Smallest eigenvalue above rounding"""
    rank: Counts
    """Number of eigenvalues above rounding"""

    @classmethod
    def begin(cls, loss: Array) -> Steering:
        """Networks at step 0 with losses `loss`."""
        size = loss.size
        counts = ("waiting", "refused", "steps", "rejected", "floored", "jumped", "held", "rank")
        return cls(
            index=np.arange(size),
            loss=loss,
            at_start=np.sqrt(2 * loss),
            tau=np.zeros(size),
            h=np.full(size, math.nan),
            growth=np.full(size, _GROW_AT_START),
            smallest_loss=loss.copy(),
            overflowed=np.zeros(size, dtype=bool),
            critical=np.zeros(size, dtype=bool),
            broken=~np.isfinite(loss),
            passes=np.ones(size, dtype=np.int64),
            largest=np.full(size, math.nan),
            smallest=np.full(size, math.nan),
            **{name: np.zeros(size, dtype=np.int64) for name in counts},
        )

    def of_networks(self, kept: Flags) -> Steering:
        """The networks `kept` only."""
        return Steering(**{field.name: getattr(self, field.name)[kept] for field in fields(self)})

    def survey(self, largest: Array, smallest: Array, rank: Counts, critical: Flags) -> None:
        """Take note of the spectrum of S and of vanishing gradients."""
        self.largest, self.smallest, self.rank, self.critical = largest, smallest, rank, critical
        self.broken = ~np.isfinite(largest)

    def propose(self, horizon: float, rtol: float) -> Array:
        """Sizes of the next steps, ending at `horizon` at the latest.

        Output weights start at zero, where moves of the hidden weights do not show in f: no estimate sees the error of the
        first step. It is of third order in h lambda_max; here it is made comparable to `rtol`.
        """
        h = np.where(np.isnan(self.h), min(rtol, 1.0) ** (1 / 3) / self.largest, self.h)
        self.h = np.minimum(h, _RELAXED / self.smallest)
        return np.minimum(self.h, horizon - self.tau)

    def judge(
        self, h: Array, *, error: Array, jumps: Flags, held: Counts, loss: Array, noise: Array, rounding: float, passes: int
    ) -> Flags:
        """Which steps of sizes `h` are accepted, from error / tolerance, jumps of the field, units held and new loss.

        Sizes the next step, too. `noise` is the rounding error of the new residual: a free line may hide that unit sums have
        exploded.
        """
        drowned = noise > np.maximum(_DROWNED * self.at_start, rounding)
        finite = np.isfinite(loss) & np.isfinite(error)
        falls = finite & ~drowned & (loss <= np.maximum(self.loss, rounding**2 / 2))
        floor = 1 / self.largest
        good = falls & (error <= 1)
        floored = falls & ~good & jumps & (h <= floor)
        taken = good | floored
        factor = np.where(finite & ~drowned, _SAFETY / np.sqrt(error), 0.0)
        longer = h * np.clip(factor, _SHRINK, self.growth)
        shorter = h * np.clip(factor, _SHRINK, 0.5)
        stop = np.where(jumps & finite & (h > floor), floor, 0.0)
        self.h = np.where(taken, longer, np.maximum(shorter, stop))
        self.growth = np.where(taken, np.minimum(_CAUTION * self.growth, _GROW), _CAUTION)
        self.overflowed = ~finite
        self.refused = np.where(taken, 0, self.refused + 1)
        self.steps += taken
        self.rejected += ~taken
        self.floored += floored
        self.jumped += taken & jumps
        self.held = np.maximum(self.held, np.where(taken, held, 0))
        self.passes += passes
        return taken

    def advance(self, taken: Flags, h: Array, loss: Array, horizon: float) -> None:
        """Move on by `h` to `loss` where the step was `taken`."""
        lands = h >= horizon - self.tau
        self.tau = np.where(taken, np.where(lands, horizon, self.tau + h), self.tau)
        self.loss = np.where(taken, loss, self.loss)
        better = taken & (self.loss < self.smallest_loss)
        self.smallest_loss = np.where(better, self.loss, self.smallest_loss)
        self.waiting = np.where(better, 0, self.waiting + taken)

    @property
    def lost(self) -> Flags:
        """Whether so many attempts in a row were taken back that there is nothing left to try."""
        return self.refused >= _MOST_REJECTIONS

    def outcomes(self, *, loss_tol: float, horizon: float, max_steps: int) -> list[Outcome | None]:
        """How each network has ended, or None."""
        rules = [
            (Outcome.DIVERGED, self.broken | (self.lost & self.overflowed)),
            (Outcome.CONVERGED, self.loss <= loss_tol),
            (Outcome.REACHED_TIME, self.tau >= horizon),
            (Outcome.STALLED, self.lost | self.critical | (self.waiting >= _PATIENCE)),
            (Outcome.MAX_STEPS, self.steps + self.rejected >= max_steps),
        ]
        found: list[Outcome | None] = [None] * self.loss.size
        for outcome, where in reversed(rules):
            if where.any():
                for i in np.flatnonzero(where):
                    found[i] = outcome
        return found
