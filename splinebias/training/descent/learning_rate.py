"""Control of a descent run: how large the next step is, and when to stop."""

from __future__ import annotations

import math

from splinebias.errors import Outcome

_LONGEST_WAIT = 1024  # steps between two measurements of the sharpness
_SETTLED = 0.01  # relative change between two measurements that allows a longer wait
_EXPLOSION = 1e4  # loss over start loss that counts as divergence
_SETBACK = 1.1  # growth of the loss in one step that is taken back; see LearningRate
_WINDOW = 1000  # evaluations (times points per batch) after which progress is judged
_PROGRESS = 1e-12  # relative fall of the smallest loss per window below which a run has stalled


class LearningRate:
    """The learning rate along a run: fixed, or 1 / sharpness.

    The sharpness is measured again after 1, 2, 4, ... up to 1024 steps. The wait falls back to 1 whenever it has changed by
    over 1 %, and it is over at once when a step raises the loss. A step that would raise it by over 10 % is taken
    back and the rate halved, which recovers by 10 % per good step.

    Smaller increases are accepted on purpose. Where a breakpoint sits at a sample the gradient jumps, and the flow may slide
    along that discontinuity: no rate, however small, lowers the loss there at every single step.

    Parameters
    ----------
    fixed : float or None
        The constant rate; None: automatic.
    noisy : bool
        Whether the loss may rise by chance (mini-batches): then every step is taken and nothing is concluded from it.
    """

    def __init__(self, fixed: float | None, *, noisy: bool = False) -> None:
        self._fixed, self._noisy, self._sharpness = fixed, noisy, math.nan
        self._safety, self._wait, self._left = 1.0, 1, 0

    @property
    def value(self) -> float:
        """The rate of the next step; 0 if no step is safe."""
        if self._fixed is not None:
            return float(self._fixed)
        return self._safety / self._sharpness if self._sharpness > 0 else 0.0

    @property
    def due(self) -> bool:
        """Whether `update` must be called before the next step."""
        return self._fixed is None and self._left == 0

    def update(self, sharpness: float) -> None:
        """Take note of the present sharpness."""
        settled = abs(sharpness - self._sharpness) <= _SETTLED * self._sharpness  # False the first time: nan
        self._wait = min(2 * self._wait, _LONGEST_WAIT) if settled else 1
        self._sharpness, self._left = sharpness, self._wait

    def judge(self, before: float, after: float) -> bool:
        """Whether to take a step that changes the loss from `before` to `after` (possibly not a number)."""
        if self._fixed is not None:
            return True
        if not (self._noisy or after <= _SETBACK * before):
            self._left, self._safety = 0, self._safety / 2
            return False
        self._left = 0 if after > before and not self._noisy else self._left - 1
        self._safety = min(1.0, 1.1 * self._safety)
        return True


class StoppingRule:
    """When a run ends, and the counts that decide it.

    Parameters
    ----------
    loss_tol : float
        Loss to reach.
    max_steps : int
        Most steps to take.
    patience : int
        Progress is judged every ``1000 * patience`` evaluations of the loss.
    start : float
        Loss at the start.
    """

    def __init__(self, *, loss_tol: float, max_steps: int, patience: int, start: float) -> None:
        self._loss_tol, self._max_steps, self._window = loss_tol, max_steps, _WINDOW * patience
        self._explosion = _EXPLOSION * start
        self._best, self._best_before = start, math.inf
        self.loss, self.steps, self.passes, self.time = start, 0, 0, 0.0

    def accept(self, loss: float, time: float) -> None:
        """A step to `loss` that advanced the training time by `time`."""
        self.loss, self.steps, self.passes, self.time = loss, self.steps + 1, self.passes + 1, self.time + time
        self._best = min(self._best, loss)

    def reject(self) -> None:
        """A step that was evaluated and taken back."""
        self.passes += 1

    def exploded(self, loss: float) -> bool:
        """Whether `loss` (possibly not a number, or infinite like that of the start) means divergence."""
        return not (math.isfinite(loss) and loss <= self._explosion)

    def outcome(self) -> Outcome | None:
        """How the run has ended, or None; to be asked once after every evaluation."""
        if self.loss <= self._loss_tol:
            return Outcome.CONVERGED
        if self.steps == self._max_steps:
            return Outcome.MAX_STEPS
        if self.passes % self._window == 0:
            if self._best > (1 - _PROGRESS) * self._best_before:
                return Outcome.STALLED
            self._best_before = self._best
        return None
