r"""Control of a batch of flows: sizes of the steps and what is accepted.

A step is accepted if its errors are within tolerance and the loss falls (along the flow it always does):

- drift, which comes from moving features, stays in the result: at most `rtol` of the misfit at the start, and half of the
  present one;
- wander, the rest, is an error of the path in the range of :math:`J^T`. With frozen features every such path ends at the
  same point, so if only the end counts a tenth of the present misfit will do. If times count it is held like the drift.

A step taken back in which the field jumps, because breakpoints pass samples, is tried again up to the first of them and for
a part of the rest. No step is made shorter than 100 `rtol` of that of stable descent,
:math:`1/\lambda_{\max}`, for the sake of accuracy there, only to make the loss fall.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array

_SHORTEST = 100.0  # rtol / lambda_max
Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]


class StepControl:
    """How large the next steps of B flows are, and what is known of the last; all attributes are arrays (B,).

    Parameters
    ----------
    loss : Array, shape (B,)
        L at the start.

    Attributes
    ----------
    loss, at_start : Array
        L now, and the root mean square residual at the start.
    h, growth : Array
        Size of the next step (nan: not known yet), and the largest allowed ratio of successive steps.
    floored, jumped, passes : Counts
        Steps accepted at the least size, over a jump, in spite of their error; steps accepted over a jump;
        evaluations of the network, each with a product with the transposed Jacobian.
    held : Counts
        Most units held at samples at the end of a step.
    largest, smallest : Array
        Largest eigenvalue of S at the last step, and the smallest above rounding.
    rank : Counts
        Number of eigenvalues above rounding.
    """

    def __init__(self, loss: Array) -> None:
        self.loss, self.at_start = loss, np.sqrt(2 * loss)
        self.h, self.largest, self.smallest = np.full((3, loss.size), np.nan)
        self.growth, self.passes = np.full(loss.size, 10.0), np.ones(loss.size, dtype=np.int64)
        self.floored, self.jumped, self.held, self.rank = np.zeros((4, loss.size), dtype=np.int64)

    def keep(self, kept: Sequence[int]) -> None:
        """Go on with the networks number `kept` only."""
        for name, values in vars(self).items():
            setattr(self, name, values[kept])

    def tolerances(self, rtol: float, rounding: float, *, times_count: bool) -> tuple[Array, Array]:
        """Largest allowed drift and wander, each (B,), where a misfit below `rounding` is rounding error only."""
        misfit = np.sqrt(2 * self.loss)
        drift = np.maximum(np.minimum(rtol * self.at_start, 0.5 * misfit), rounding)
        return drift, drift if times_count else np.maximum(0.1 * misfit, rounding)

    def propose(self, remaining: Array, rtol: float) -> Array:
        """Sizes of the next steps, shape (B,), at most the flow time that is `remaining`.

        Output weights start at zero, where moves of the hidden weights do not show in f: no estimate sees the error of the
        first step. It is of third order in h lambda_max; here it is made comparable to `rtol`.
        """
        h = np.where(np.isnan(self.h), min(rtol, 1.0) ** (1 / 3) / self.largest, self.h)
        self.h = np.minimum(h, 40 / self.smallest)  # after 40 e-foldings of the slowest mode longer steps change nothing
        within: Array = np.minimum(self.h, remaining)
        return within

    def judge(
        self,
        h: Array,
        *,
        error: Array,
        jumps: Flags,
        landing: Array,
        loss: Array,
        noise: Array,
        rounding: float,
        rtol: float,
    ) -> Flags:
        """Which steps of sizes `h` are accepted, from error / tolerance, jumps of the field and new loss, all (B,).

        `landing` is the share of the way at which the first jump happens.
        Sizes the next step, too. `noise` is the rounding error of the new residual: a free line may hide that unit sums have
        exploded.
        """
        drowned = noise > np.maximum(1e-8 * self.at_start, rounding)
        finite = np.isfinite(loss) & np.isfinite(error)
        falls = finite & ~drowned & (loss <= np.maximum(self.loss, rounding**2 / 2))
        floor = min(1.0, _SHORTEST * rtol) / self.largest
        good = falls & (error <= 1)
        floored = falls & ~good & jumps & (h <= floor)
        taken = good | floored
        factor = np.where(finite & ~drowned, 0.9 / np.cbrt(error), 0.0)
        longer = h * np.clip(factor, 0.1, self.growth)
        shorter = h * np.clip(factor, 0.1, 0.5)
        # what a jump does to the rest of the step falls with that rest, so the next one goes on for a part of it
        part = np.where(finite, np.clip(0.5 / error, 0.05, 0.5), 0.05)
        stop = np.minimum(floor, np.where(finite, 0.5, 0.1) * h)
        land = np.where(jumps & (landing < 0.9), h * (landing + (1 - landing) * part), shorter)
        self.h = np.where(taken, longer, np.where(jumps, np.maximum(land, stop), shorter))
        self.growth = np.where(taken, np.minimum(2 * self.growth, 100.0), 1.5)  # slow again after a step was taken back
        self.loss = np.where(taken, loss, self.loss)
        self.floored = self.floored + floored
        self.jumped = self.jumped + (taken & jumps)
        return taken
