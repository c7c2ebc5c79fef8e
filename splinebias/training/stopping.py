r"""Why a run ends: decided and put into words here, for flow and descent alike.

The rules, in this order; the first that holds is the reason:

- *OVERFLOW*: the loss or the kernel is not finite, or steps of every size led to numbers that are not;
- *UNSTABLE*: the loss grew 1e4-fold, or made no progress at a fixed learning rate above that of linear stability;
- *CONVERGED*: the loss is at most `loss_tol`;
- *REACHED_TIME*: the time asked for is over;
- *FLAT*: the gradient vanishes to rounding;
- *OUT_OF_REACH*: most of the loss is out of the range of the tangent kernel, and moving features did not halve it in the
  last 99 % of the time;
- *NO_STEP*: steps of every size were taken back;
- *ROUNDING*, *AT_REST* (of labels *LABELS_AT_REST*): no progress for `patience` steps, at a loss that may be rounding or
  is more than that;
- *OVERSHOT*: the steps are used up at a fixed learning rate above that of linear stability, at the start or on the way;
- *FLOW_STEPS*, *DESCENT_STEPS*, *LABEL_STEPS* or *LAST_RATE*: the steps are used up, or the learning rates.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from splinebias.activation import Homogeneous
from splinebias.errors import Outcome
from splinebias.networks.network import Network

_RESCALE = "rescale the data or the initialization, or use float64"
_COVER = (
    "; use a larger width, y scaled down, or a law whose breakpoints -b/w cover the data "
    "(training moves them: see sb.laziness)"
)


class Reason(NamedTuple):
    """Why a network moves no further."""

    outcome: Outcome
    advice: str
    """What to do about it, with places for the numbers of a run"""

    def advise(self, numbers: Mapping[str, object]) -> str:
        """The advice with the `numbers` of a run."""
        return self.advice.format_map(numbers)


OVERFLOW = Reason(Outcome.DIVERGED, "numbers overflowed at loss {loss:.3g}: " + _RESCALE)
UNSTABLE = Reason(
    Outcome.DIVERGED, "the loss did not settle at learning_rate = {learning_rate:.3g}: use one below {stable:.3g}"
)
CONVERGED = Reason(Outcome.CONVERGED, Outcome.CONVERGED.value)
REACHED_TIME = Reason(Outcome.REACHED_TIME, Outcome.REACHED_TIME.value)
FLAT = Reason(
    Outcome.STALLED,
    "the gradient vanishes at loss {loss:.3g}: the tangent kernel has rank {rank:.0f} for {points} points at width {width}, "
    "and f misses {worst}" + _COVER,
)
OUT_OF_REACH = Reason(
    Outcome.STALLED,
    "the tangent kernel has rank {rank:.0f} for {points} points at width {width}: {missed:.0%} of the loss, {loss:.3g}, is "
    "out of its range, and moving features did not halve the loss in the last 99 % of the time (`time` follows it on); "
    "f misses {worst}" + _COVER,
)
NO_STEP = Reason(Outcome.STALLED, "no step lowers the loss from {loss:.3g}: " + _RESCALE)
ROUNDING = Reason(Outcome.STALLED, "the loss is down to rounding at {loss:.3g}: raise `loss_tol` above that, or use float64")
AT_REST = Reason(
    Outcome.STALLED, "steps no longer change the loss, {loss:.3g}, beyond rounding, and f misses {worst}" + _COVER
)
LABELS_AT_REST = Reason(
    Outcome.STALLED,
    "steps no longer lower the loss, {loss:.3g}, with {wrong:.0f} of {points} labels on the wrong side and least margin "
    "{margin:.3g}: no function of such networks may separate them; use a larger width, or check the labels",
)
LABEL_STEPS = Reason(
    Outcome.MAX_STEPS,
    "max_steps was reached at loss {loss:.3g}, with {wrong:.0f} of {points} labels on the wrong side: raise `max_steps`, or "
    "`loss_tol`, as this loss has no minimum",
)
OVERSHOT = Reason(
    Outcome.MAX_STEPS,
    "learning_rate = {learning_rate:.3g} is above 2 / lambda_max of the tangent kernel, {stable:.3g}: steps overshoot and "
    "can kill units for good; unless the loss, {loss:.3g} after {max_steps} steps, is falling, use one below {stable:.3g}",
)
FLOW_STEPS = Reason(Outcome.MAX_STEPS, "max_steps = {max_steps} steps led to loss {loss:.3g}: raise `max_steps` or `rtol`")
LAST_RATE = Reason(Outcome.REACHED_TIME, "the steps whose learning rates were given are taken, at loss {loss:.3g}")
DESCENT_STEPS = Reason(Outcome.MAX_STEPS, Outcome.MAX_STEPS.value + "{more}")


@dataclass(frozen=True)
class Limits:
    """What a run may take.

    Parameters
    ----------
    loss_tol : float
        Loss to reach.
    max_steps : int
        Most steps.
    patience : int
        Steps within which the smallest loss must fall by a relative 1e-12.
    out_of_steps : Reason
        What to say when they are used up.
    counts_rejected : bool
        Whether steps taken back count among them.
    horizon : float
        Sum of step sizes at which to stop.
    labels : bool
        Whether the loss is one of labels, whose rounding errors are relative: it may fall on, whatever it was at the start.
    """

    loss_tol: float
    max_steps: int
    patience: int
    out_of_steps: Reason
    counts_rejected: bool = False
    horizon: float = math.inf
    labels: bool = False


class Progress:
    """How far one network of a batch has come.

    Parameters
    ----------
    number : int
        Its number in the whole batch.
    loss : float
        L at the start.

    Attributes
    ----------
    loss, at_start, mark : float
        L now, at the start, and when it was smallest at last, by a relative 1e-12.
    tau : float
        Sum of step sizes.
    missed : float
        Share of the loss that is out of the range of the tangent kernel, once that may be judged.
    steps, rejected, refused, idle : int
        Steps taken, taken back, taken back in a row, and taken since `mark`.
    broken, overflowed, exploded, critical, unstable : bool
        Whether loss or kernel are not finite; the last try gave numbers that are not; it raised the loss 1e4-fold; the
        gradient vanishes to rounding; the rate is fixed above that of linear stability, at the start or on the way.
    """

    def __init__(self, number: int, loss: float) -> None:
        self.number = number
        self.loss = self.at_start = self.mark = loss
        self.tau = self.missed = 0.0
        self._trail: list[tuple[float, float]] = [(0.0, loss)]  # times and losses
        self.steps = self.rejected = self.refused = self.idle = 0
        self.broken = not math.isfinite(loss)
        self.overflowed = self.exploded = self.critical = self.unstable = False

    def advance(self, h: float, loss: float, horizon: float) -> None:
        """Note a step of size `h` to `loss`, unless it explodes."""
        self.exploded = not (math.isfinite(loss) and loss <= 1e4 * self.at_start)
        if self.exploded:
            return
        self.tau = horizon if h >= horizon - self.tau else self.tau + h
        self.loss, self.steps, self.refused = loss, self.steps + 1, 0
        self._trail.append((self.tau, loss))
        if loss < (1 - 1e-12) * self.mark:
            self.mark, self.idle = loss, 0
        else:
            self.idle += 1

    def _is_out_of_reach(self) -> bool:
        """Whether what the kernel of now cannot reach is most of the loss, and its changes do not help in useful time."""
        if self.missed < 0.5:
            return False
        before = bisect_right(self._trail, (self.tau / 100, math.inf))
        return before > 1 and self.loss > 0.5 * self._trail[before - 1][1]

    def refuse(self) -> None:
        """Note a step that was tried and taken back."""
        self.rejected, self.refused = self.rejected + 1, self.refused + 1

    def reason(self, limits: Limits) -> Reason | None:
        """Why the network moves no further, or None."""
        lost, idle = self.refused >= 60, self.idle >= limits.patience  # steps halve: there is nothing left to try
        rounding = self.loss <= 1e-12 * self.at_start and not limits.labels  # share of the start that may be rounding
        spent = self.steps + (self.rejected if limits.counts_rejected else 0)
        rules = (
            (OVERFLOW, self.broken or (lost and self.overflowed)),
            (UNSTABLE, self.exploded or (idle and self.unstable)),
            (CONVERGED, self.loss <= limits.loss_tol),
            (REACHED_TIME, self.tau >= limits.horizon),
            (LABELS_AT_REST if limits.labels else FLAT, self.critical),
            (OUT_OF_REACH, limits.horizon == math.inf and self._is_out_of_reach()),
            (NO_STEP, lost),
            (ROUNDING, idle and rounding),
            (LABELS_AT_REST if limits.labels else AT_REST, idle),
            (OVERSHOT, self.unstable and spent >= limits.max_steps),
            (limits.out_of_steps, spent >= limits.max_steps),
        )
        return next((reason for reason, holds in rules if holds), None)


def largest_miss(network: Network, residual: Tensor, x: Tensor) -> str:
    """Where `network` misses the data most, in words, with what is left to bend f there; residual and x: (M,).

    Of D > 1 inputs x has shape (D, M).
    """
    worst = int(residual.abs().argmax())
    if x.ndim > 1:
        return f"y by {abs(float(residual[worst])):.3g} at x = {[round(v, 4) for v in x[:, worst].tolist()]}"
    at = x[worst]
    if not isinstance(network.activation, Homogeneous):  # no breakpoints
        return f"y by {abs(float(residual[worst])):.3g} at x = {float(at):.4g}"
    c = -network.b / network.w
    left, right = c[c <= at], c[c >= at]
    near = ", beyond all breakpoints"
    if left.numel() and right.numel():
        near = f" between breakpoints at {float(left.amax()):.4g} and {float(right.amin()):.4g}"
    return f"y by {abs(float(residual[worst])):.3g} at x = {float(at):.4g}{near}"


def steps_to_go(loss: float, loss_tol: float, speed: float) -> str:
    """How many more steps are needed, in words, if the loss falls from `loss` to `loss_tol` as exp(-`speed` * steps)."""
    return f" (at this rate about {math.log(loss / loss_tol) / speed:.1e} more steps are needed)" if speed > 0 else ""
